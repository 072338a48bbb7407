"""The stop that rests at the broker under every position (DESIGN §8, ADR 10)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from tests.trading.conftest import FIRST_DAY, MONDAY, QUIET, at, flat_from, world_on

from swingtrader.environment import Mode
from swingtrader.simulator import faults
from swingtrader.simulator.conditions import PartialFills
from swingtrader.simulator.settings import Latency

TUESDAY, WEDNESDAY = date(2023, 11, 21), date(2023, 11, 22)
STOP = Decimal("94.01")
"""6 % below the 100.02 USD that AAA costs."""


@pytest.fixture
def holder(world):
    """AAA bought on Monday, and its stop at rest."""
    assert world.decide(AAA=0.5).report["warnings"] == []
    assert world.stops("AAA") == [(46, STOP)]
    return world


def resting_orders(world, symbol):
    return [each for each in world.exchange.all_orders if each.symbol == symbol and each.is_open]


def test_an_entry_is_followed_by_a_stop_that_is_good_till_canceled(holder):
    (stop,) = resting_orders(holder, "AAA")

    assert (stop.type, stop.time_in_force, stop.order_class) == ("stop", "gtc", "simple")
    assert stop.client_order_id.startswith("st-20231120-AAA-sell-protection-")


def test_a_stop_that_is_only_planned_is_shown_and_no_reason_to_warn(tmp_path):
    world = world_on(tmp_path, mode=Mode.DRY_RUN)
    world.holding("AAA", 10)
    world.risk_check()

    ran = world.risk_check()

    assert ran.orders == [("protection", "AAA", 10, "planned")]
    assert ran.report["warnings"] == []


def test_what_was_bought_is_protected_before_anything_else_is_bought(world):
    ran = world.decide(AAA=0.5, BBB=0.4)

    assert [order[:2] for order in ran.orders] == [
        (purpose, symbol) for symbol in ("AAA", "BBB") for purpose in ("entry", "protection")
    ]


def test_a_part_filled_entry_that_cannot_be_canceled_is_protected_by_the_next_run(tmp_path):
    world = world_on(tmp_path, cancel_latency=Latency(polls=None, delay=timedelta(minutes=4)))
    world.exchange.set_fault(PartialFills(Decimal("0.4"), side="buy"))

    assert world.decide(AAA=0.5, BBB=0.5).code == 69
    assert (world.held("AAA"), world.held("BBB")) == (18, 0)
    world.wait(minutes=5)

    assert world.risk_check().code == 0
    assert world.stops("AAA") == [(18, STOP)]


def test_a_stop_that_is_right_is_left_alone(holder):
    before = len(holder.order_requests())
    for day in (MONDAY, TUESDAY, WEDNESDAY):
        holder.move_to(day, 11)
        assert holder.risk_check().report["warnings"] == []
        holder.decide(AAA=0.1)

    assert len(holder.order_requests()) == before


def test_a_stop_that_was_canceled_by_hand_is_renewed(holder):
    holder.exchange.cancel_orders()
    holder.wait(minutes=5)

    assert holder.risk_check().orders[0][:3] == ("protection", "AAA", 46)
    assert holder.stops("AAA") == [(46, STOP)]


def test_a_stop_that_ended_after_90_days_is_renewed(tmp_path):
    world = world_on(tmp_path, start=at(date(2023, 10, 16), 10))
    world.decide(AAA=0.5)
    world.move_to(date(2024, 1, 16), 9, 31)
    assert (world.held("AAA"), world.resting("AAA")) == (46, 0)

    world.risk_check()

    assert world.stops("AAA") == [(46, STOP)]


@pytest.mark.parametrize(("sold", "left"), [(6, 40), ("6.5", 39)])
def test_a_hand_sale_of_a_part_leaves_the_rest_under_a_stop_of_its_size(holder, sold, left):
    holder.exchange.cancel_orders()
    holder.by_hand("AAA", "sell", sold)
    holder.wait(minutes=5)
    ran = holder.risk_check()

    assert holder.stops("AAA") == [(left, STOP)]
    assert [warning[:8] for warning in ran.report["warnings"]] == ["AAA: 0.5"] * (left == 39)


def test_a_hand_purchase_is_taken_under_one_stop_over_everything(holder):
    holder.exchange.cancel_orders()
    holder.holding("AAA", 10)
    holder.risk_check()

    assert holder.stops("AAA") == [(56, STOP)]


def test_shares_that_a_stop_no_longer_covers_are_covered_after_the_next_run(holder):
    holder.exchange.deliver("AAA", Decimal(4), Decimal(100))

    holder.risk_check()

    assert holder.resting("AAA") == 50
    assert holder.risk_check().orders == []


def test_a_stop_under_shares_that_left_the_account_is_withdrawn_and_no_other(holder):
    holder.decide(BBB=0.4)
    held = holder.held("BBB")
    holder.exchange.deliver("AAA", Decimal(-46), Decimal(100))
    assert (holder.held("AAA"), holder.resting("AAA")) == (0, 46)

    assert holder.risk_check().code == 0
    assert (holder.resting("AAA"), holder.resting("BBB")) == (0, held)


def test_a_symbol_left_to_the_person_keeps_no_other_from_its_stop(world):
    world.strategy = replace(world.strategy, unmanaged=("AAA",))
    world.holding("AAA", 10)
    world.holding("BBB", 10)

    world.risk_check()

    assert (world.resting("AAA"), world.resting("BBB")) == (0, 10)


@pytest.mark.parametrize(("sold", "left"), [(50, 0), (20, 30)])
def test_what_is_sold_by_hand_while_its_stop_is_renewed_is_not_stopped_as_well(holder, sold, left):
    holder.exchange.deliver("AAA", Decimal(4), Decimal(100))

    def sell():
        holder.by_hand("AAA", "sell", sold)
        holder.wait(seconds=2)

    holder.when("DELETE", "/v2/orders/*", sell)

    assert holder.risk_check().code == 0
    assert (holder.held("AAA"), holder.resting("AAA")) == (left, left)


def test_what_comes_while_its_stop_is_renewed_is_under_it(holder):
    holder.exchange.deliver("AAA", Decimal(4), Decimal(100))
    holder.when("DELETE", "*", lambda: holder.exchange.deliver("AAA", Decimal(10), Decimal(100)))

    assert holder.risk_check().code == 0
    assert [qty for qty, _price in holder.stops("AAA")] == [60]


def test_a_position_far_under_water_has_its_stop_below_the_market(tmp_path):
    world = world_on(tmp_path, QUIET | {"AAA": flat_from((FIRST_DAY, 100.0))})
    world.risk_check()
    world.exchange.deliver("AAA", Decimal(10), Decimal(150))
    world.exchange.set_fault(faults.rate_limited("GET", "/v2/stocks/snapshots", times=99))

    world.risk_check()

    assert world.stops("AAA") == [(10, Decimal("94.00"))]


@pytest.mark.parametrize("qty", [10, 6])
def test_a_stop_that_was_placed_by_hand_counts_and_is_left_alone(world, qty):
    world.holding("AAA", 10)
    by_hand = world.by_hand("AAA", "sell", qty, type="stop", stop_price="97", time_in_force="gtc")
    world.wait(minutes=5)
    for _run in range(2):
        world.risk_check()

    assert world.exchange.order(by_hand["id"])["status"] == "new"
    assert sum(each.remaining for each in resting_orders(world, "AAA")) == 10


def test_shares_under_a_limit_of_the_persons_own_are_left_to_it_and_it_is_said(world):
    world.holding("AAA", 10)
    world.by_hand("AAA", "sell", 10, type="limit", limit_price="120", time_in_force="gtc")
    world.wait(minutes=5)

    ran = world.risk_check()

    assert ran.code == 0
    assert ran.orders == []
    assert any("AAA" in warning for warning in ran.report["warnings"])


def test_the_legs_of_a_bracket_by_hand_are_protection_enough(world):
    world.by_hand(
        "AAA", "buy", 10, order_class="bracket", time_in_force="gtc",
        take_profit={"limit_price": "120"}, stop_loss={"stop_price": "95"},
    )  # fmt: skip
    world.wait(minutes=5)
    assert world.held("AAA") == 10

    ran = world.risk_check()

    assert (ran.code, ran.orders) == (0, [])
    assert world.resting("AAA") == 10


def test_an_entry_by_hand_with_one_leg_is_protected_by_it(world):
    world.by_hand(
        "AAA", "buy", 10, order_class="oto", time_in_force="gtc", stop_loss={"stop_price": "95"}
    )
    world.wait(minutes=5)

    ran = world.risk_check()

    assert (ran.code, ran.orders) == (0, [])
    assert world.stops("AAA") == [(10, Decimal(95))]


def test_a_stop_that_the_broker_refuses_is_said_and_tried_again(holder):
    holder.exchange.cancel_orders()
    holder.wait(minutes=5)
    holder.exchange.set_fault(
        faults.Fault(faults.Kind.STATUS, "POST", status=422, body='{"message":"no"}')
    )
    ran = holder.risk_check()
    assert any("AAA" in warning for warning in ran.report["warnings"])
    assert holder.resting("AAA") == 0

    holder.risk_check()

    assert holder.resting("AAA") == 46


def test_a_stop_that_fired_closes_the_position_in_the_books(tmp_path):
    world = world_on(tmp_path, QUIET | {"AAA": flat_from((FIRST_DAY, 100.0), (TUESDAY, 90.0))})
    world.decide(AAA=0.5)
    world.move_to(TUESDAY, 10)

    ran = world.decide(AAA=0.5)

    assert (ran.code, world.held("AAA")) == (0, 0)
    assert ran.reason("AAA") in {"exited_this_session", "daily_loss", "halted"}
    with world.store() as store:
        assert store.positions.all() == {}
        (stop,) = [i for i in store.intents.of_session(MONDAY) if i.purpose == "protection"]
    assert (stop.state, stop.status) == ("done", "filled")
