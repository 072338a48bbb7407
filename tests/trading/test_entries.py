"""What is bought, what is not, and with which money (DESIGN §7, §8)."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal

import pytest
from tests.trading.conftest import MONDAY, world_on

from swingtrader.simulator import faults
from swingtrader.simulator.conditions import NoQuote, PartialFills, StaleQuotes

TUESDAY, WEDNESDAY, HALF_DAY = date(2023, 11, 21), date(2023, 11, 22), date(2023, 11, 24)
NOTHING_FILLS = PartialFills(Decimal(0), side="buy")


def posted(world):
    return [json.loads(each.body) for each in world.order_requests() if each.method == "POST"]


def test_a_purchase_is_a_day_limit_a_little_above_the_ask_in_whole_shares(world):
    world.decide(AAA=0.5)

    entry = posted(world)[0]
    assert (entry["type"], entry["time_in_force"]) == ("limit", "day")
    assert Decimal(entry["qty"]) % 1 == 0
    assert Decimal("100.02") < Decimal(entry["limit_price"]) <= Decimal("100.23")


def test_a_purchase_that_does_not_fill_is_canceled_within_the_run(world):
    world.exchange.set_fault(NOTHING_FILLS)

    ran = world.decide(AAA=0.5)

    assert ran.code == 0
    assert [order[3] for order in world.sent()] == ["canceled"]
    assert ran.orders[0][3] == "canceled"
    assert world.held("AAA") == 0


def test_a_purchase_that_fills_a_moment_later_is_waited_for(world):
    world.exchange.set_fault(NOTHING_FILLS)

    def fill():
        world.exchange.clear_faults()
        world.wait(minutes=1)

    world.when("GET", "/v2/orders/*", fill)
    world.decide(AAA=0.5)

    assert world.held("AAA") == 46 == world.resting("AAA")
    assert {each.method for each in world.order_requests()} == {"POST"}


def test_what_a_purchase_got_before_it_was_canceled_has_its_stop_at_once(world):
    world.exchange.set_fault(PartialFills(Decimal("0.4"), side="buy"))

    world.decide(AAA=0.5)

    assert world.sent()[0][3] == "canceled"
    assert world.held("AAA") == 18 == world.resting("AAA")


@pytest.mark.parametrize(
    ("day", "hour", "minute", "reason"),
    [
        (MONDAY, 15, 44, "entry_vote"),
        (MONDAY, 15, 46, "near_close"),
        (HALF_DAY, 12, 44, "entry_vote"),
        (HALF_DAY, 12, 46, "near_close"),
    ],
)
def test_nothing_is_bought_in_the_last_quarter_of_an_hour(world, day, hour, minute, reason):
    world.move_to(day, hour, minute)

    assert world.decide(AAA=0.5).reason("AAA") == reason
    assert bool(world.held("AAA")) is (reason == "entry_vote")


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        (StaleQuotes(timedelta(seconds=70), "AAA"), "stale_quote"),
        (NoQuote("AAA"), "no_quote"),
        (NoQuote("AAA", bid=True, ask=False), "no_quote"),
        (NoQuote("AAA", bid=False, ask=True), "no_quote"),
    ],
)
def test_without_a_fresh_quote_of_both_sides_nothing_is_bought(world, condition, reason):
    world.exchange.set_fault(condition)

    assert world.decide(AAA=0.5).reason("AAA") == reason
    assert world.sent() == []


@pytest.mark.parametrize(
    ("hour", "minute", "reason"), [(10, 0, "stale_quote"), (15, 44, "near_close")]
)
def test_the_time_that_the_run_itself_has_taken_counts(world, hour, minute, reason):
    world.move_to(MONDAY, hour, minute)
    world.exchange.set_fault(StaleQuotes(timedelta(seconds=10)))
    world.when("GET", "/v2/positions", lambda: setattr(world, "elapsed", 70.0))

    assert world.decide(AAA=0.5).reason("AAA") == reason


def test_across_a_spread_of_more_than_50_bps_nothing_is_bought(tmp_path):
    world = world_on(tmp_path, half_spread_bps=Decimal(26))

    assert world.decide(AAA=0.5).reason("AAA") == "spread_too_wide"
    assert world.sent() == []


@pytest.mark.parametrize(("trades", "bought"), [(18, 2), (19, 1), (20, 0)])
def test_twenty_orders_a_session_are_the_limit_whoever_sent_them(world, trades, bought):
    world.risk_check()
    for n in range(trades):
        world.by_hand("CCC", "sell" if n % 2 else "buy", 1)
        world.wait(seconds=2)

    ran = world.decide(AAA=0.5, BBB=0.4)

    assert [order[0] for order in ran.orders].count("entry") == bought
    assert (ran.reason("BBB") == "order_limit") is (bought < 2)


def test_there_are_never_more_than_ten_positions(tmp_path):
    prices = {f"S{n:02}": 50.0 for n in range(12)}
    world = world_on(tmp_path, prices)

    for _run in range(2):
        assert world.decide(**dict.fromkeys(prices, 0.3)).reason("S11") == "position_limit"
        assert len(world.exchange.positions()) == 10
        world.wait(minutes=15)


def test_at_most_four_fifths_of_the_equity_are_invested(tmp_path):
    world = world_on(tmp_path)
    world.risk_check()
    world.holding("BBB", 1560)

    world.decide(AAA=0.5)

    assert 0 < world.held("AAA") <= 20
    assert 1 - world.exchange.cash / world.exchange.equity() <= Decimal("0.8")
    assert world.decide(DDD=0.5).reason("DDD") == "gross_limit"


def test_nothing_is_added_to_what_is_held_today_or_tomorrow(world):
    world.decide(AAA=0.5)
    before = world.held("AAA")
    world.wait(minutes=15)

    assert world.decide(AAA=0.5).reason("AAA") == "held"
    world.move_to(TUESDAY, 10)
    assert world.decide(AAA=0.5).reason("AAA") == "held"
    assert world.held("AAA") == before


def test_what_was_sold_is_bought_again_in_the_next_session_at_the_earliest(world):
    world.decide(AAA=0.5)
    world.move_to(TUESDAY, 10)
    world.decide(AAA=-0.5)
    assert world.held("AAA") == 0
    world.wait(minutes=15)

    assert world.decide(AAA=0.5).reason("AAA") == "exited_this_session"
    assert world.held("AAA") == 0
    world.move_to(WEDNESDAY, 10)
    assert world.decide(AAA=0.5).reason("AAA") == "entry_vote"


def test_what_was_bought_this_session_and_is_gone_is_not_bought_again(world):
    world.risk_check()
    world.holding("AAA", 5)
    world.by_hand("AAA", "sell", 5)
    world.wait(minutes=5)

    assert world.decide(AAA=0.5).reason("AAA") in {"bought_this_session", "exited_this_session"}
    assert world.sent() == []


def test_sales_go_first_and_purchases_use_what_they_freed(tmp_path):
    world = world_on(tmp_path, cash=5000)
    world.risk_check()
    world.holding("BBB", 99)

    ran = world.decide(AAA=0.5, BBB=-0.5)

    assert [(post["symbol"], post["side"]) for post in posted(world)][:2] == [
        ("BBB", "sell"),
        ("AAA", "buy"),
    ]
    assert ran.code == 0
    assert (world.held("BBB"), world.held("AAA")) == (0, 2)
    assert world.exchange.cash >= 0


def test_a_sale_that_does_not_fill_pays_for_nothing(tmp_path):
    world = world_on(tmp_path, cash=5000)
    world.risk_check()
    world.holding("BBB", 99)
    world.exchange.set_fault(PartialFills(Decimal(0), side="sell"))

    world.decide(AAA=0.5, BBB=-0.5)

    assert world.held("AAA") == 0
    assert world.held("BBB") == 99 == world.resting("BBB")


def test_money_that_other_orders_have_reserved_is_not_spent_nor_is_money_borrowed(world):
    world.risk_check()
    world.by_hand("BBB", "buy", 2000, type="limit", limit_price="49", time_in_force="gtc")

    world.decide(AAA=0.5)

    assert world.held("AAA") == 19  # of the 2,000 USD that are left


@pytest.mark.parametrize("field", ["cash", "equity", "non_marginable_buying_power"])
@pytest.mark.parametrize("value", [None, "plenty", [], faults.MISSING])
def test_an_account_that_cannot_be_read_stops_entries_and_not_exits(world, field, value):
    world.risk_check()
    world.holding("BBB", 10)
    world.exchange.set_fault(faults.edit("GET", "/v2/account", field, value, times=99))

    ran = world.decide(AAA=0.5, BBB=-0.5)

    assert (world.held("AAA"), world.held("BBB")) == (0, 0)
    assert ran.code == 69


@pytest.mark.parametrize("field", ["qty", "avg_entry_price"])
@pytest.mark.parametrize("value", [None, "many", faults.MISSING])
def test_a_position_that_cannot_be_read_stops_only_its_own_symbol(world, field, value):
    world.holding("BBB", 10)
    world.holding("CCC", 10)
    world.risk_check()
    world.exchange.set_fault(faults.edit("GET", "/v2/positions", f"0.{field}", value, times=99))

    ran = world.decide(BBB=0.5, CCC=-0.5)

    assert (world.held("BBB"), world.held("CCC")) == (10, 0)
    assert ran.report["warnings"]


def test_while_the_size_of_a_position_cannot_be_read_nothing_is_bought(world):
    world.holding("BBB", 10)
    world.exchange.set_fault(faults.edit("GET", "/v2/positions", "0.qty", None, times=99))

    ran = world.decide(DDD=0.5)

    assert (world.held("DDD"), ran.reason("DDD")) == (0, "halted")


@pytest.mark.parametrize(
    "field", ["trading_blocked", "account_blocked", "trade_suspended_by_user"]
)
def test_a_blocked_account_buys_nothing_and_says_so(world, field):
    world.exchange.set_fault(faults.edit("GET", "/v2/account", field, value=True, times=99))

    ran = world.decide(AAA=0.5)

    assert world.sent() == []
    assert ran.report["warnings"]


def test_a_vote_below_the_threshold_buys_nothing(world):
    assert world.decide(AAA=0.19).reason("AAA") == "vote_too_low"
