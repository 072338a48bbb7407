"""Exits that need an opinion, and positions that are nobody's business (DESIGN §7)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from tests.trading.conftest import FIRST_DAY, MONDAY, QUIET, Forecast, flat_from, world_on

from swingtrader.simulator import faults

TUESDAY, WEDNESDAY, FRIDAY = date(2023, 11, 21), date(2023, 11, 22), date(2023, 11, 24)
NEXT_MONDAY, NEXT_TUESDAY = date(2023, 11, 27), date(2023, 11, 28)
BBB_FALLS = QUIET | {"BBB": flat_from((FIRST_DAY, 50.0), (TUESDAY, 48.8))}
"""By 2.4 %: beyond its stop, and not a session's largest loss of an account full of it."""


@pytest.fixture
def holder(world):
    """AAA bought on Monday."""
    world.decide(AAA=0.5)
    assert world.held("AAA") == 46
    return world


@pytest.mark.parametrize(("vote", "reason"), [(-0.14, "held"), (-0.16, "vote")])
def test_a_low_vote_sells(holder, vote, reason):
    holder.move_to(TUESDAY, 10)

    assert holder.decide(AAA=vote).reason("AAA") == reason
    assert holder.held("AAA") == (46 if reason == "held" else 0)


def test_a_miss_counts_once_a_session_and_three_in_a_row_sell(holder):
    for day, hour in ((TUESDAY, 10), (TUESDAY, 11), (TUESDAY, 12), (WEDNESDAY, 10)):
        holder.move_to(day, hour)
        assert holder.decide(BBB=0.1).reason("AAA") == "held"
    holder.move_to(FRIDAY, 10)  # Thursday is a holiday

    assert holder.decide(BBB=0.1).reason("AAA") == "missed_scans"
    assert holder.held("AAA") == 0


def test_a_hit_ends_the_row_of_misses(holder):
    for day, votes in (
        (TUESDAY, {"BBB": 0.1}),
        (WEDNESDAY, {"BBB": 0.1}),
        (FRIDAY, {"AAA": 0.1}),
        (NEXT_MONDAY, {"BBB": 0.1}),
        (NEXT_TUESDAY, {"BBB": 0.1}),
    ):
        holder.move_to(day, 10)
        assert holder.decide(**votes).reason("AAA") == "held"


def test_sessions_without_any_scan_are_no_misses(holder):
    for day in (TUESDAY, WEDNESDAY, FRIDAY, NEXT_MONDAY):
        holder.move_to(day, 10)
        assert holder.decide().reason("AAA") == "held"


def test_what_has_not_moved_after_ten_sessions_is_sold(holder):
    holder.move_to(date(2023, 12, 5), 10)
    assert holder.decide(AAA=0.1).reason("AAA") == "held"
    holder.move_to(date(2023, 12, 6), 10)

    assert holder.decide(AAA=0.1).reason("AAA") == "stagnant"


def test_decide_sells_for_the_price_too(tmp_path):
    world = world_on(tmp_path, BBB_FALLS)
    world.decide(BBB=0.5)
    world.move_to(TUESDAY, 10)

    assert world.decide(BBB=0.5).reason("BBB") == "stop_loss"
    assert world.held("BBB") == 0


def test_an_unmanaged_position_is_neither_sold_nor_protected_and_counts_in_the_limits(tmp_path):
    world = world_on(tmp_path, BBB_FALLS)
    world.strategy = replace(world.strategy, unmanaged=("BBB",))
    world.risk_check()
    world.holding("BBB", 1590)
    world.move_to(TUESDAY, 10)

    for ran in (world.risk_check(), world.decide(BBB=-0.9, AAA=0.5)):
        assert ran.reason("BBB") == "unmanaged"
    assert world.held("BBB") == 1590
    assert world.resting("BBB") == 0
    invested = 1 - world.exchange.cash / world.exchange.equity()
    assert world.held("AAA") > 0
    assert invested <= Decimal("0.8")


def test_halt_flatten_leaves_the_unmanaged_alone(tmp_path):
    world = world_on(tmp_path, BBB_FALLS)
    world.strategy = replace(world.strategy, unmanaged=("BBB",))
    world.risk_check()
    world.holding("BBB", 10)
    with world.store() as store:
        store.halts.add("by hand", world.exchange.now, flatten=True)

    world.risk_check()

    assert world.held("BBB") == 10


def test_a_short_only_alarms(tmp_path):
    world = world_on(tmp_path, no_shorting=False)
    world.by_hand("DDD", "sell", 5)
    world.wait(minutes=1)

    for ran in (world.risk_check(), world.decide(DDD=0.9)):
        assert ran.code == 0
        assert any("DDD" in warning for warning in ran.report["warnings"])
    assert world.held("DDD") == -5
    assert world.sent("DDD") == []


def test_a_stock_that_the_feed_does_not_know_is_kept_and_stays_protected(holder):
    holder.move_to(TUESDAY, 10)
    holder.exchange.set_fault(faults.edit("GET", "/v2/stocks/snapshots", "AAA", times=99))

    ran = holder.decide(Forecast({"AAA": 0.1}))

    assert ran.reason("AAA") == "held"
    assert holder.resting("AAA") == 46
    assert ran.report["session"] != MONDAY.isoformat()
