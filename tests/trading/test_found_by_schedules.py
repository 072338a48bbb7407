"""What broke in a schedule once, told as the one thing that must hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from tests.trading.conftest import FIRST_DAY, MONDAY, Forecast, at, flat_from, world_on

from swingtrader.config import load_strategy
from swingtrader.core.orders import IntentState
from swingtrader.simulator import conditions, faults
from swingtrader.simulator.settings import Latency

TUESDAY = date(2023, 11, 21)


class SlowForecast:
    """A forecast that takes minutes, as a model on a busy machine does."""

    def __init__(self, world, seconds, votes):
        self.world, self.seconds, self.votes = world, seconds, votes

    def outlook(self, *known):
        """Take the time that it takes."""
        self.world.wait(seconds=self.seconds)
        self.world.elapsed += self.seconds
        return Forecast(self.votes).outlook(*known)


class HaltedInThePause:
    """Pauses in which a person halts."""

    def __init__(self, world):
        self.world = world

    def append(self, _seconds):
        """Halt while the run waits."""
        with self.world.store() as store:
            store.halts.add("by hand", self.world.exchange.now)


def test_a_quote_is_old_by_the_time_it_is_used_not_by_the_time_the_run_began(world):
    world.exchange.set_fault(conditions.StaleQuotes(timedelta(minutes=2)))
    ran = world.decide(SlowForecast(world, 400, {"AAA": 0.5}))
    assert ran.reason("AAA") == "stale_quote"
    assert world.sent() == []


def test_what_the_configuration_leaves_to_the_person_is_not_bought(world):
    world.strategy = replace(load_strategy(None), unmanaged=("AAA",))
    ran = world.decide(AAA=0.9, BBB=0.3)
    assert ran.reason("AAA") == "unmanaged"
    assert [symbol for purpose, symbol, *_ in ran.orders if purpose == "entry"] == ["BBB"]


def test_a_stop_that_the_rate_limit_keeps_out_is_said_by_exit_69(world):
    world.by_hand("AAA", "buy", 10)
    world.wait(minutes=1)
    world.exchange.set_fault(faults.rate_limited("POST", "/v2/orders", times=9))
    assert world.risk_check().code == 69
    assert world.resting("AAA") == 0
    world.exchange.clear_faults()
    assert world.risk_check().code == 0
    assert world.resting("AAA") == 10


def test_nothing_more_is_bought_while_what_was_bought_could_not_be_protected(world):
    world.exchange.set_fault(faults.edit("GET", "/v2/positions/AAA", "qty", None, times=9))
    ran = world.decide(AAA=0.9, BBB=0.3)
    assert ran.code == 69
    assert ran.reason("BBB") == "halted"
    assert world.risk_check().code == 0
    assert world.resting("AAA") == world.held("AAA") > 0


def test_a_purchase_is_not_sent_again_once_a_person_has_halted(world):
    world.exchange.set_fault(faults.reset("POST", "/v2/orders", accepted=False))

    world.pauses = HaltedInThePause(world)
    ran = world.decide(AAA=0.5)
    assert ran.code == 69
    assert world.sent() == []


def falling(_row, day):
    """A stock that loses a tenth on Monday."""
    return (100.0, 100.0, 90.0, 90.0, 2e6) if day == MONDAY else (100.0, 100.0, 100.0, 100.0, 2e6)


def test_a_stop_is_placed_below_the_market_though_the_confirmed_price_lags_behind_it(tmp_path):
    world = world_on(tmp_path, {"AAA": falling}, start=at(MONDAY, 9, 31))
    world.by_hand("AAA", "buy", 10)
    world.wait(minutes=1)
    world.risk_check()
    # Without a quote the median of two prints and the last price counts, and no sale goes through.
    world.exchange.set_fault(conditions.NoQuote())
    for price in (Decimal("96.5"), Decimal("93.5")):
        while world.exchange.price("AAA") > price:
            world.wait(minutes=1)
        ran = world.risk_check()
    assert ("exit", "AAA", 10.0, "canceled") in ran.orders
    assert world.resting("AAA") == 10


def test_what_comes_into_the_account_during_a_run_is_in_its_report(tmp_path):
    world = world_on(tmp_path, order_latency=Latency(polls=9, delay=timedelta(hours=1)))
    world.by_hand("BBB", "buy", 10)
    world.wait(hours=1)
    world.by_hand("AAA", "buy", 3)
    with world.store() as store:
        store.halts.add("all out", world.exchange.now, flatten=True)
    ran = world.risk_check()
    assert world.held("BBB") == 0
    assert world.held("AAA") == 3
    assert {row["symbol"]: row["action"] for row in ran.report["decisions"]} == {
        "AAA": "hold",
        "BBB": "sell",
    }


REFUSALS = {
    "words that break off": (422, '{"code": 40010001, "message": "'),
    "shares held": (
        403,
        '{"code": 40310000, "message": "insufficient qty available", "held_for_orders": "9"}',
    ),
    "no shorting": (403, '{"code": 40310000, "message": "account is not allowed to short"}'),
}
"""What the broker may say of a second attempt, when it has the first."""


def answered_with(refusal, *, nth=1):
    """Every order from the `nth` on is refused in these words, and not taken."""
    status, body = REFUSALS[refusal]
    path = "/v2/orders"
    return faults.Fault(faults.Kind.STATUS, "POST", path, nth, times=9, status=status, body=body)


def taken_then_refused(world, refusal):
    """The first order sent is taken without a word; of the second attempt nobody knows better."""
    look_up = faults.bad_gateway("GET", "/v2/orders:by_client_order_id", accepted=False, times=3)
    taken = faults.silence("POST", "/v2/orders", accepted=True)
    for fault in (look_up, taken, answered_with(refusal, nth=2)):
        world.exchange.set_fault(fault)


def to_be_flattened(tmp_path):
    """Ten and a half shares, to be sold by the next run, on an account that may be short."""
    world = world_on(tmp_path, no_shorting=False)
    world.holding("AAA", "10.5")
    with world.store() as store:
        store.halts.add("all out", world.exchange.now, flatten=True)
    return world


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_sale_that_was_taken_without_an_answer_is_not_made_twice_over_a_refusal(
    tmp_path, refusal
):
    world = to_be_flattened(tmp_path)
    taken_then_refused(world, refusal)

    ran = world.risk_check()

    assert ran.orders == [("exit", "AAA", 10.5, "filled")]
    assert world.sent() == [("sell", "exit", Decimal("10.5"), "filled")]
    assert (ran.code, world.held("AAA")) == (0, 0)


def test_a_sale_that_was_taken_is_not_made_twice_over_an_answer_that_cannot_be_read(tmp_path):
    world = to_be_flattened(tmp_path)
    status, body = REFUSALS["words that break off"]
    world.exchange.set_fault(
        faults.Fault(
            faults.Kind.STATUS, "POST", "/v2/orders", accepted=True, status=status, body=body
        )
    )

    ran = world.risk_check()

    assert ran.orders == [("exit", "AAA", 10.5, "filled")]
    assert world.sent() == [("sell", "exit", Decimal("10.5"), "filled")]
    assert (ran.code, world.held("AAA")) == (0, 0)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_sale_of_an_earlier_run_that_arrives_after_all_is_not_taken_for_refused(
    tmp_path, refusal
):
    world = to_be_flattened(tmp_path)
    world.exchange.set_fault(faults.silence("POST", "/v2/orders", accepted=False, times=3))
    assert world.risk_check().code == 69
    with world.store() as store:
        (sale,) = store.intents.unsettled()
    assert sale.state is IntentState.UNKNOWN
    world.exchange.clear_faults()
    world.wait(minutes=5)
    world.exchange.set_fault(answered_with(refusal))
    # It was on its way all the time, and arrives just before it is sent again.
    world.when(
        "GET",
        "/v2/positions/AAA",
        lambda: world.by_hand("AAA", "sell", sale.qty, client_order_id=sale.client_order_id),
    )

    ran = world.risk_check()

    with world.store() as store:
        known = store.intents.get(sale.client_order_id)
    assert (known.state, known.filled_qty) == (IntentState.DONE, sale.qty)
    assert world.sent() == [("sell", "exit", Decimal("10.5"), "filled")]
    assert (ran.code, world.held("AAA")) == (0, 0)


def test_a_purchase_that_was_taken_without_an_answer_has_its_stop_before_the_next_one(world):
    look_up = faults.silence("GET", "/v2/orders:by_client_order_id", accepted=False, times=3)
    status, body = REFUSALS["words that break off"]
    refused = faults.Fault(
        faults.Kind.STATUS, "POST", "/v2/orders", nth=2, status=status, body=body
    )
    taken = faults.silence("POST", "/v2/orders", accepted=True)
    for fault in (look_up, taken, refused):
        world.exchange.set_fault(fault)

    ran = world.decide(AAA=0.9, BBB=0.3)

    assert ran.code == 0
    assert [(purpose, symbol) for purpose, symbol, *_ in ran.orders] == [
        ("entry", "AAA"),
        ("protection", "AAA"),
        ("entry", "BBB"),
        ("protection", "BBB"),
    ]
    assert world.resting("AAA") == world.held("AAA") > 0


def test_the_marks_outlive_a_sale_in_part_at_an_average_that_the_broker_does_not_state(tmp_path):
    rises = {"AAA": flat_from((FIRST_DAY, 100.0), (TUESDAY, 101.0))}
    world = world_on(tmp_path, rises)
    world.decide(AAA=0.5)
    world.move_to(TUESDAY, 10)
    world.risk_check()
    high = world.tracked("AAA").marks
    assert high.high_water > 1.0 > high.trailing_stop > 0.98
    world.exchange.cancel_orders()
    world.by_hand("AAA", "sell", 6)
    world.wait(minutes=5)
    unstated = faults.edit("GET", "/v2/positions", "*.avg_entry_price", None, times=99)
    world.exchange.set_fault(unstated)

    world.risk_check()

    assert (world.tracked("AAA").qty, world.tracked("AAA").marks) == (40, high)
    world.exchange.clear_faults()
    world.risk_check()
    assert world.tracked("AAA").marks == high


def test_no_stop_is_placed_under_what_turned_out_to_be_gone_when_it_was_to_be_sold(tmp_path):
    world = to_be_flattened(tmp_path)
    world.when("GET", "/v2/positions", lambda: world.by_hand("AAA", "sell", "10.5"))

    ran = world.risk_check()

    assert (ran.code, world.held("AAA")) == (0, 0)
    assert world.sent() == []


def test_no_stop_is_placed_under_what_turned_out_to_be_gone_when_one_was_to_be_sent_again(
    tmp_path,
):
    world = world_on(tmp_path, no_shorting=False)
    world.holding("AAA", 10)
    world.exchange.set_fault(faults.silence("POST", "/v2/orders", accepted=False, times=3))
    assert world.risk_check().code == 69
    world.exchange.clear_faults()
    world.when("GET", "/v2/positions", lambda: world.by_hand("AAA", "sell", "10"))

    ran = world.risk_check()

    assert (ran.code, world.held("AAA")) == (0, 0)
    assert world.sent() == []
