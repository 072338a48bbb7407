"""No entries until a person says so, or until the session is over; exits go on (DESIGN §7-§9)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from tests.trading.conftest import FIRST_DAY, MONDAY, QUIET, flat_from, world_on

from swingtrader.adapters.store import STORE_NAME
from swingtrader.commands import halts
from swingtrader.simulator import faults
from swingtrader.simulator.conditions import RejectedOrders

TUESDAY, WEDNESDAY = date(2023, 11, 21), date(2023, 11, 22)
AAA_FALLS = QUIET | {"AAA": flat_from((FIRST_DAY, 100.0), (TUESDAY, 97.0))}


def halt(world, *, flatten=False):
    with world.store() as store:
        return halts.halt(store, "by hand", world.exchange.now, flatten=flatten)


def resume(world):
    with world.store() as store:
        return halts.resume(store, world.exchange.now)


def test_a_halt_stops_entries_over_days_until_resumed(world):
    halt(world)
    for day in (MONDAY, TUESDAY):
        world.move_to(day, 11)
        assert world.decide(AAA=0.5).reason("AAA") == "halted"
    assert world.sent() == []

    resume(world)

    assert world.decide(AAA=0.5).reason("AAA") == "entry_vote"


def test_a_halt_stops_no_exit_and_no_protection(tmp_path):
    world = world_on(tmp_path, AAA_FALLS)
    world.decide(AAA=0.5, BBB=0.5)
    halt(world)
    world.exchange.cancel_orders()
    world.move_to(TUESDAY, 10)

    world.decide(AAA=0.5)

    assert (world.held("AAA"), world.held("BBB") > 0) == (0, True)
    assert world.resting("BBB") == world.held("BBB")


def test_a_halt_takes_effect_during_a_run_without_the_lock(world):
    world.when("POST", "/v2/orders", lambda: halt(world))

    ran = world.decide(AAA=0.5, BBB=0.4, CCC=0.3)

    assert [order[:2] for order in ran.orders] == [("entry", "AAA"), ("protection", "AAA")]
    assert [ran.reason(symbol) for symbol in ("AAA", "BBB", "CCC")] == [
        "entry_vote",
        "halted",
        "halted",
    ]


def test_a_halt_while_the_rate_limit_is_waited_for_keeps_the_purchase_from_being_sent_again(world):
    world.exchange.set_fault(faults.rate_limited("POST", "/v2/orders", times=2))
    world.when("POST", "/v2/orders", lambda: halt(world))
    world.decide(AAA=0.5)
    assert not world.exchange.all_orders


def test_a_halt_between_the_sales_and_the_purchases_stops_the_purchases(world):
    world.decide(AAA=0.5)
    world.move_to(TUESDAY, 10)
    world.when("DELETE", "*", lambda: halt(world))

    world.decide(AAA=-0.5, BBB=0.5)

    assert (world.held("AAA"), world.held("BBB")) == (0, 0)


@pytest.mark.parametrize("command", ["risk-check", "decide"])
def test_flatten_sells_everything_that_is_held_strangers_orders_or_not(world, command):
    world.decide(AAA=0.5)
    world.holding("BBB", 10)
    world.by_hand("BBB", "sell", 10, type="limit", limit_price="60", time_in_force="gtc")
    world.exchange.deliver("CCC", Decimal("2.5"), Decimal(20))
    halt(world, flatten=True)
    world.wait(minutes=5)

    ran = world.run(command)

    assert ran.code == 0
    assert {row["reason"] for row in ran.report["decisions"] if row["action"] == "sell"} == {
        "flatten"
    }
    assert world.exchange.positions() == []
    assert world.exchange.orders() == []


def test_what_flatten_could_not_sell_is_protected_and_tried_again(world):
    world.decide(AAA=0.5)
    halt(world, flatten=True)
    world.exchange.set_fault(RejectedOrders(side="sell"))
    world.wait(minutes=5)
    world.risk_check()
    assert world.held("AAA") == 46 == world.resting("AAA")

    world.risk_check()

    assert world.held("AAA") == 0


def test_flatten_asked_for_over_night_happens_in_the_morning(world):
    world.decide(AAA=0.5)
    world.move_to(MONDAY, 20)
    halt(world, flatten=True)
    assert world.risk_check().report["skipped"] == "market_closed"
    world.move_to(TUESDAY, 9, 35)

    world.risk_check()

    assert world.held("AAA") == 0


def test_after_flatten_and_resume_nothing_more_is_sold(world):
    world.decide(AAA=0.5)
    halt(world, flatten=True)
    world.risk_check()
    resume(world)
    world.move_to(TUESDAY, 10)
    world.decide(AAA=0.5)

    assert world.risk_check().reason("AAA") == "held"


def losing_world(tmp_path, price):
    """BBB is four fifths of the account and falls on Tuesday."""
    world = world_on(tmp_path, QUIET | {"BBB": flat_from((FIRST_DAY, 50.0), (TUESDAY, price))})
    world.risk_check()
    world.holding("BBB", 1590)
    world.risk_check()
    world.move_to(TUESDAY, 10)
    return world


@pytest.mark.parametrize(("price", "reason"), [(48.2, "entry_vote"), (48.1, "daily_loss")])
def test_a_loss_of_three_percent_stops_entries(tmp_path, price, reason):
    world = losing_world(tmp_path, price)

    ran = world.decide(AAA=0.5)

    assert ran.reason("AAA") == reason
    assert world.held("BBB") == 0  # exits go on
    assert world.resting("BBB") == 0


@pytest.mark.parametrize("seen_by", ["risk-check", "decide"])
def test_a_daily_loss_holds_for_the_session_and_for_that_one_only(tmp_path, seen_by):
    world = losing_world(tmp_path, 48.1)
    world.run(seen_by)
    world.exchange.deliver("CCC", Decimal(5000), Decimal(20))  # the equity is back

    world.wait(minutes=5)
    assert world.decide(AAA=0.5).reason("AAA") == "daily_loss"
    world.move_to(WEDNESDAY, 10)
    assert world.decide(AAA=0.5).reason("AAA") == "entry_vote"


def lose_the_store(world):
    for path in world.places.state_dir.glob(f"{STORE_NAME}*"):
        path.unlink()


def test_after_the_store_was_lost_nothing_is_bought_until_the_next_session(tmp_path):
    world = world_on(tmp_path, AAA_FALLS)
    world.decide(AAA=0.5, CCC=0.3)
    world.move_to(TUESDAY, 10)
    lose_the_store(world)

    ran = world.decide(BBB=0.5)

    assert ran.reason("BBB") == "halted"
    assert world.held("AAA") == 0  # at 97 its exit goes on
    assert world.resting("CCC") == world.held("CCC") > 0
    assert world.tracked("CCC").entry_session == MONDAY
    world.move_to(WEDNESDAY, 10)
    assert world.decide(BBB=0.5).reason("BBB") == "entry_vote"


def test_a_damaged_store_is_moved_aside_and_said(world):
    world.decide(AAA=0.5)
    world.wait(minutes=15)
    with world.store() as store:
        path = store.path
    path.write_bytes(b"no database" * 1000)

    ran = world.decide(BBB=0.5)

    assert ran.reason("BBB") == "halted"
    assert any("damaged" in warning for warning in ran.report["warnings"])
    assert (world.held("AAA"), world.resting("AAA")) == (46, 46)
    assert len(list(path.parent.glob(f"{path.name}*"))) >= 2


def test_the_sequence_of_the_day_goes_on_after_the_store_was_lost(tmp_path):
    world = world_on(tmp_path, AAA_FALLS)
    world.decide(CCC=0.5)
    world.move_to(TUESDAY, 10)
    world.decide(AAA=0.5)
    lose_the_store(world)
    world.wait(minutes=5)

    world.decide(CCC=-0.5)

    names = [order.client_order_id for order in world.exchange.all_orders]
    assert names[-1] == "st-20231121-CCC-sell-exit-3"
