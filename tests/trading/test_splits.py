"""A split over night is no loss: nothing is sold, and the stop moves with it (DESIGN §7, §8)."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from tests.trading.conftest import FIRST_DAY, MONDAY, flat_from, world_on

from swingtrader.simulator import faults
from swingtrader.simulator.conditions import NoQuote, StaleQuotes
from swingtrader.simulator.prices import Split

TUESDAY, WEDNESDAY, FRIDAY = date(2023, 11, 21), date(2023, 11, 22), date(2023, 11, 24)


def split_on_wednesday(tmp_path, ratio, **settings):
    """AAA bought on Monday at 100, at 101.50 on Tuesday, split before Wednesday's opening."""
    ratio = Decimal(ratio)
    prices = flat_from((FIRST_DAY, 100 / float(ratio)), (TUESDAY, 101.5 / float(ratio)))
    world = world_on(
        tmp_path,
        {"AAA": prices, "BBB": 50.0},
        splits=[Split("AAA", WEDNESDAY, ratio)],
        **settings,
    )
    world.decide(AAA=0.5)
    assert world.held("AAA") == 46
    world.move_to(TUESDAY, 10)
    world.risk_check()
    return world


@pytest.mark.parametrize("treatment", ["adjust", "cancel"])
@pytest.mark.parametrize("command", ["risk-check", "decide"])
def test_a_forward_split_changes_the_shares_and_nothing_else(tmp_path, command, treatment):
    world = split_on_wednesday(tmp_path, 4, split_treatment=treatment)
    before = world.tracked("AAA")
    world.move_to(WEDNESDAY, 10)

    ran = world.run(command)

    assert ran.code == 0
    assert ran.reason("AAA") == "held"
    after = world.tracked("AAA")
    assert (after.qty, after.entry_price) == (184, before.entry_price / 4)
    assert after.marks == before.marks
    assert after.entry_session == MONDAY
    ((qty, stop),) = world.stops("AAA")
    assert (qty, float(stop)) == (184, pytest.approx(94.01 / 4, abs=0.011))


def test_the_same_plan_holds_in_every_later_run(tmp_path):
    world = split_on_wednesday(tmp_path, 4)
    for day in (WEDNESDAY, FRIDAY):
        world.move_to(day, 10)
        world.risk_check()
        assert world.risk_check().orders == []
    assert world.resting("AAA") == 184


def test_a_reverse_split_is_survived_too(tmp_path):
    world = split_on_wednesday(tmp_path, "0.5")
    before = world.tracked("AAA")
    world.move_to(WEDNESDAY, 10)

    ran = world.risk_check()

    after = world.tracked("AAA")
    assert ran.reason("AAA") == "held"
    assert (after.qty, after.marks, after.entry_session) == (23, before.marks, MONDAY)
    assert world.stops("AAA") == [(23, Decimal("188.03"))]


def test_a_reverse_split_that_leaves_a_fraction_protects_the_whole_shares(tmp_path):
    world = split_on_wednesday(tmp_path, "0.1")
    world.move_to(WEDNESDAY, 10)

    assert world.risk_check().reason("AAA") == "held"
    assert (world.held("AAA"), world.resting("AAA")) == (Decimal("4.6"), 4)


@pytest.mark.parametrize("condition", [NoQuote("AAA"), StaleQuotes(timedelta(hours=20), "AAA")])
def test_prices_from_before_a_split_are_no_witnesses_after_it(tmp_path, condition):
    world = split_on_wednesday(tmp_path, 4)
    high = world.tracked("AAA").marks
    world.move_to(WEDNESDAY, 10)
    world.exchange.set_fault(condition)

    for _poll in range(3):
        assert world.risk_check().reason("AAA") == "held"
        world.wait(minutes=5)

    assert world.tracked("AAA").marks == high


def test_a_split_and_a_purchase_by_hand_on_the_same_morning_are_told_apart(tmp_path):
    world = split_on_wednesday(tmp_path, 4)
    before = world.tracked("AAA")
    world.move_to(WEDNESDAY, 9, 45)
    world.exchange.cancel_orders()
    world.holding("AAA", 16)
    world.move_to(WEDNESDAY, 10)

    ran = world.risk_check()

    after = world.tracked("AAA")
    assert ran.reason("AAA") == "held"
    assert (after.qty, after.entry_session) == (200, MONDAY)
    assert after.marks.high_water * float(after.entry_price) * 4 == pytest.approx(
        before.marks.high_water * float(before.entry_price)
    )
    assert world.resting("AAA") == 200


def test_a_split_that_the_activities_do_not_tell_yet_resets_nothing(tmp_path):
    world = split_on_wednesday(tmp_path, 4)
    before = world.tracked("AAA")
    world.move_to(WEDNESDAY, 10)
    world.exchange.set_fault(faults.edit("GET", "/v2/account/activities*", "1", times=9))
    assert world.risk_check().reason("AAA") == "held"
    assert world.tracked("AAA").marks == before.marks
    world.exchange.clear_faults()

    assert world.risk_check().reason("AAA") == "held"
    after = world.tracked("AAA")
    assert (after.qty, after.marks, after.entry_session) == (184, before.marks, MONDAY)
    assert world.resting("AAA") == 184
