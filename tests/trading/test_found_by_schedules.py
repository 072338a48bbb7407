"""What broke in a schedule once, told as the one thing that must hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from tests.trading.conftest import MONDAY, Forecast, at, world_on

from swingtrader.config import load_strategy
from swingtrader.simulator import conditions, faults
from swingtrader.simulator.settings import Latency


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
