"""What a person does in the broker's own app is respected, and taken over (DESIGN §7, §8)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from tests.trading.conftest import FIRST_DAY, MONDAY, QUIET, at, flat_from, world_on

TUESDAY, WEDNESDAY = date(2023, 11, 21), date(2023, 11, 22)


def test_a_position_bought_by_hand_is_adopted_protected_and_managed(tmp_path):
    world = world_on(tmp_path, QUIET | {"BBB": flat_from((FIRST_DAY, 50.0), (WEDNESDAY, 48.5))})
    world.risk_check()
    world.holding("BBB", 10)
    world.move_to(TUESDAY, 10)

    world.risk_check()

    assert world.tracked("BBB").entry_session == MONDAY
    assert world.stops("BBB") == [(10, Decimal("47.00"))]
    world.move_to(WEDNESDAY, 10)
    assert world.risk_check().reason("BBB") == "stop_loss"
    assert world.held("BBB") == 0


def test_its_entry_session_is_the_one_in_which_the_quantity_last_left_zero(tmp_path):
    world = world_on(tmp_path, start=at(date(2023, 10, 16), 10))
    world.holding("AAA", 10)
    world.by_hand("AAA", "sell", 10)
    world.move_to(date(2023, 10, 18), 10)
    world.holding("AAA", 10)
    world.move_to(date(2023, 11, 1), 10)
    world.holding("AAA", 5)
    world.move_to(TUESDAY, 10)

    world.risk_check()

    assert world.tracked("AAA").entry_session == date(2023, 10, 18)


def test_what_was_sold_by_hand_is_forgotten_and_its_stop_leaves_nothing_behind(world):
    world.decide(AAA=0.5)
    world.exchange.cancel_orders()
    world.by_hand("AAA", "sell", 46)
    world.wait(minutes=5)

    ran = world.risk_check()

    assert (ran.code, ran.orders, ran.report["decisions"]) == (0, [], [])
    with world.store() as store:
        assert store.positions.all() == {}
        assert store.intents.unsettled() == ()


def test_a_symbol_that_a_person_is_buying_is_not_bought(world):
    world.risk_check()
    world.by_hand("AAA", "buy", 5, type="limit", limit_price="90", time_in_force="gtc")
    world.wait(minutes=5)

    ran = world.decide(AAA=0.5, BBB=0.5)

    assert ran.reason("AAA") == "open_order"
    assert (world.held("AAA"), world.held("BBB") > 0) == (0, True)


def test_an_order_by_hand_is_never_canceled(world):
    bid = world.by_hand("AAA", "buy", 5, type="limit", limit_price="90", time_in_force="gtc")
    world.holding("BBB", 10)
    ask = world.by_hand("BBB", "sell", 4, type="limit", limit_price="60", time_in_force="gtc")
    world.wait(minutes=5)
    for _run in range(2):
        world.risk_check()
        world.decide(BBB=-0.5)

    assert [world.exchange.order(each["id"])["status"] for each in (bid, ask)] == ["new", "new"]
    assert world.held("BBB") == 4


def test_a_purchase_by_hand_between_two_runs_keeps_the_mark_at_its_price(tmp_path):
    rises = QUIET | {"AAA": flat_from((FIRST_DAY, 100.0), (TUESDAY, 101.0))}
    world = world_on(tmp_path, rises)
    world.decide(AAA=0.5)
    world.move_to(TUESDAY, 10)
    world.risk_check()
    before = world.tracked("AAA")
    world.exchange.cancel_orders()
    world.holding("AAA", 46)

    world.risk_check()

    after = world.tracked("AAA")
    assert float(after.entry_price) * after.marks.high_water == pytest.approx(
        float(before.entry_price) * before.marks.high_water
    )
    assert after.entry_session == MONDAY
    assert world.resting("AAA") == 92


def test_fractions_left_from_elsewhere_stop_nothing_and_are_said(world):
    world.risk_check()
    world.exchange.deliver("AAA", Decimal("0.4"), Decimal(100))
    world.exchange.deliver("BBB", Decimal("0.7"), Decimal(50))

    ran = world.risk_check()

    assert (ran.code, world.sent()) == (0, [])
    for symbol in ("AAA", "BBB"):
        assert any(symbol in warning for warning in ran.report["warnings"])
    world.decide(CCC=0.5, AAA=0.5)
    assert world.held("CCC") > 0
    assert world.decide(AAA=-0.5).orders == [("exit", "AAA", 0.4, "filled")]


def test_shares_that_came_without_a_fill_count_as_entered_today(world):
    world.decide(CCC=0.5)
    world.move_to(TUESDAY, 10)
    world.exchange.deliver("AAA", Decimal(10), Decimal(100))

    ran = world.risk_check()

    assert world.tracked("AAA").entry_session == TUESDAY
    assert world.stops("AAA") == [(10, Decimal("94.00"))]
    assert any("AAA" in warning for warning in ran.report["warnings"])
