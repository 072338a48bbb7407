from __future__ import annotations

from decimal import Decimal

import pytest
from tests.simulator.conftest import (
    DAYS,
    bought,
    exchange_on,
    flat,
    limit,
    new_york,
    stop,
    ticket,
)

from swingtrader.simulator.conditions import PartialFills
from swingtrader.simulator.errors import RefusalError
from swingtrader.simulator.prices import Split

MONEY = (
    "cash", "equity", "last_equity", "buying_power", "non_marginable_buying_power",
    "long_market_value", "initial_margin", "maintenance_margin", "multiplier",
)  # fmt: skip


def test_decimals_are_strings_and_switches_are_not(exchange):
    account = exchange.account()
    assert {type(account[name]) for name in MONEY} == {str}
    for name in ("trading_blocked", "account_blocked", "shorting_enabled"):
        assert type(account[name]) is bool


def test_day_trading_fields_have_left_the_account(exchange):
    gone = {"pattern_day_trader", "daytrade_count", "daytrading_buying_power"}
    assert not gone & set(exchange.account())
    assert not {"dtbp_check", "pdt_check"} & set(exchange.configuration())


def test_account_number_is_the_one_that_was_set():
    assert exchange_on(account_number="PA7").account()["account_number"] == "PA7"


@pytest.mark.parametrize(
    ("multiplier", "buying_power"), [(1, "49990"), (2, "149980"), (4, "349960")]
)
def test_buying_power_is_leveraged(multiplier, buying_power):
    exchange = exchange_on(multiplier=multiplier)
    bought(exchange, qty="500")
    account = exchange.account()
    assert account["buying_power"] == buying_power
    assert account["non_marginable_buying_power"] == "49990"


def test_last_equity_is_that_of_the_previous_close():
    exchange = exchange_on(start=new_york(20, 15, 59))
    bought(exchange, "MOVE", "100")
    exchange.advance_to(new_york(20, 16))
    closing = exchange.equity()
    assert exchange.account()["last_equity"] == "100000"
    exchange.advance_to(new_york(21, 15))
    assert Decimal(exchange.account()["last_equity"]) == closing
    assert Decimal(exchange.account()["equity"]) != closing


def test_position_is_valued_at_the_last_trade():
    exchange = exchange_on(start=new_york(20, 9, 30))
    bought(exchange, "MOVE")
    exchange.advance_to(new_york(21, 16))
    position = exchange.position("MOVE")
    assert (position["avg_entry_price"], position["current_price"]) == ("100.02", "106")
    assert (position["lastday_price"], position["change_today"]) == ("105", "0.009524")
    assert (position["market_value"], position["cost_basis"]) == ("1060", "1000.2")
    assert (position["unrealized_pl"], position["unrealized_intraday_pl"]) == ("59.8", "10")
    assert "entry_date" not in position


def test_average_price_moves_with_purchases_and_not_with_sales():
    exchange = exchange_on(start=new_york(20, 9, 30))
    bought(exchange, "MOVE", "10")
    exchange.advance_to(new_york(21, 9, 30))
    bought(exchange, "MOVE", "30")
    first, second = (fill.price for fill in exchange.fills)
    average = (10 * first + 30 * second) / 40
    assert Decimal(exchange.position("MOVE")["avg_entry_price"]) == average
    exchange.submit_order(ticket("MOVE", "sell", "25"))
    position = exchange.position("MOVE")
    assert (Decimal(position["avg_entry_price"]), position["qty"]) == (average, "15")


def test_fraction_for_dollars_is_rounded_down_to_nine_decimals(exchange):
    order = exchange.submit_order(ticket(qty=None, notional="50"))
    seen = exchange.order(order["id"])
    assert (seen["qty"], seen["notional"], seen["status"]) == (None, "50", "filled")
    assert seen["filled_qty"] == exchange.position("AAA")["qty"] == "0.499900019"


def test_shares_from_elsewhere_arrive_without_cash_or_fill(exchange):
    exchange.deliver("AAA", Decimal("2.5"), Decimal(80))
    position = exchange.position("AAA")
    assert (position["qty"], position["avg_entry_price"]) == ("2.5", "80")
    assert (exchange.cash, exchange.activities()) == (100_000, [])


def test_position_is_found_by_asset_id_and_absence_is_404(exchange):
    bought(exchange)
    assert exchange.position(exchange.asset("AAA")["id"])["symbol"] == "AAA"
    with pytest.raises(RefusalError, match="position does not exist") as refused:
        exchange.position("BBB")
    assert (refused.value.status, refused.value.code) == (404, 40410000)


# Closing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "qty"),
    [({}, "10"), ({"qty": Decimal(3)}, "3"), ({"percentage": Decimal(25)}, "2.5")],
)
def test_close_position_is_a_new_order_each_time(exchange, how, qty):
    bought(exchange)
    order = exchange.close_position("AAA", **how)
    assert (order["side"], order["type"], order["qty"]) == ("sell", "market", qty)
    exchange.account()
    assert exchange.held_qty("AAA") == 10 - Decimal(qty)
    if qty != "10":
        assert exchange.close_position("AAA")["client_order_id"] != order["client_order_id"]


def test_close_of_a_short_buys(exchange):
    exchange.submit_order(ticket(side="sell"))
    exchange.account()
    assert exchange.close_position("AAA")["side"] == "buy"
    exchange.account()
    assert exchange.positions() == []


def test_close_of_nothing_is_404(exchange):
    with pytest.raises(RefusalError, match="position does not exist"):
        exchange.close_position("AAA")


def test_close_all_reports_each_position_and_what_stood_in_its_way(exchange):
    for symbol in ("AAA", "BBB"):
        bought(exchange, symbol)
    exchange.submit_order(stop(90, time_in_force="gtc"))
    first = exchange.close_positions()
    assert [(each["symbol"], each["status"]) for each in first] == [("AAA", 403), ("BBB", 200)]
    assert first[0]["body"]["code"] == 40310000
    second = exchange.close_positions(cancel_orders=True)
    assert [(each["symbol"], each["status"]) for each in second] == [("AAA", 200)]
    exchange.account()
    assert exchange.positions() == []


# Activities -----------------------------------------------------------------------------------


def test_fills_are_journalled_with_what_is_left(exchange):
    exchange.set_fault(PartialFills(Decimal("0.3")))
    order = exchange.submit_order(ticket())
    exchange.account()
    exchange.clear_faults()
    exchange.advance_to(new_york(20, 10, 1))
    parts = exchange.activities(frozenset({"FILL"}), descending=False)
    wanted = ("type", "qty", "cum_qty", "leaves_qty", "price", "side", "symbol")
    assert [tuple(part[name] for name in wanted) for part in parts] == [
        ("partial_fill", "3", "3", "7", "100.02", "buy", "AAA"),
        ("fill", "7", "10", "0", "100.02", "buy", "AAA"),
    ]
    assert {part["order_id"] for part in parts} == {order["id"]}
    assert parts[1]["transaction_time"] == "2023-11-20T15:01:00.000000Z"
    assert parts[1]["id"].startswith("20231120150100000::")


def test_activities_are_paged_by_the_last_id(exchange):
    for _ in range(7):
        bought(exchange, qty="1")
    pages, token = [], None
    while page := exchange.activities(page_size=3, page_token=token):
        pages.append(page)
        token = page[-1]["id"]
    ids = [part["id"] for page in pages for part in page]
    assert [len(page) for page in pages] == [3, 3, 1]
    assert len(set(ids)) == 7
    assert ids == sorted(ids, reverse=True)
    rising = exchange.activities(descending=False, page_size=3, page_token=ids[-1])
    assert [part["id"] for part in rising] == ids[-2:-5:-1]


def test_activities_between_instants(exchange):
    for second in (1, 2, 3):
        exchange.advance_to(new_york(20, 10, 0, second))
        bought(exchange, qty="1")
    at = new_york(20, 10, 0, 2)
    assert len(exchange.activities(after=at)) == len(exchange.activities(until=at)) == 1


@pytest.mark.parametrize("page_size", [0, 101])
def test_pages_of_activities_have_1_to_100(exchange, page_size):
    with pytest.raises(RefusalError, match="page_size"):
        exchange.activities(page_size=page_size)


def test_history_counts_sessions_in_numbers():
    exchange = exchange_on(start=new_york(17, 10))
    exchange.advance_to(new_york(21, 10))
    history = exchange.portfolio_history()
    assert history["equity"] == [100_000.0, 100_000.0]
    assert history["timeframe"] == "1D"


# Splits ---------------------------------------------------------------------------------------


def split_exchange(ratio="4", before=400.0, **settings):
    """AAA at `before` until the 20th, split before the 21st; bars restated as files are."""
    after = before / float(ratio)
    splits = [Split("AAA", DAYS[4], Decimal(ratio))]
    bars = {"AAA": [flat(after)] * 11, "BBB": [flat(50.0)] * 11}
    return exchange_on(bars, splits=splits, **settings)


def test_split_restates_the_position_and_not_its_worth():
    exchange = split_exchange()
    bought(exchange)
    exchange.advance_to(new_york(20, 17))
    before, worth = exchange.position("AAA"), exchange.equity()
    exchange.advance_to(new_york(21, 8))
    after = exchange.position("AAA")
    assert (before["qty"], after["qty"]) == ("10", "40")
    assert Decimal(before["avg_entry_price"]) == 4 * Decimal(after["avg_entry_price"])
    assert (after["current_price"], after["lastday_price"], exchange.equity()) == (
        "100", "100", worth,
    )  # fmt: skip


def test_split_is_journalled_beside_the_fills():
    exchange = split_exchange()
    bought(exchange)
    exchange.advance_to(new_york(21, 8))
    (split,) = exchange.activities(frozenset({"SPLIT"}))
    assert (split["symbol"], split["qty"], split["date"]) == ("AAA", "30", "2023-11-21")
    assert len(exchange.activities(frozenset({"FILL"}))) == 1


def test_simple_stop_is_restated_by_a_forward_split():
    exchange = split_exchange()
    bought(exchange)
    order = exchange.submit_order(stop("376.00", time_in_force="gtc"))
    exchange.advance_to(new_york(21, 10))
    seen = exchange.order(order["id"])
    assert (seen["status"], seen["qty"], seen["stop_price"]) == ("new", "40", "94")
    assert exchange.held_qty("AAA") == 40


def test_reservation_of_an_open_buy_survives_a_split():
    exchange = split_exchange()
    exchange.submit_order(limit("300.00", time_in_force="gtc"))
    before = exchange.account()["non_marginable_buying_power"]
    exchange.advance_to(new_york(21, 8))
    assert exchange.account()["non_marginable_buying_power"] == before == "97000"


def test_leg_is_not_moved_by_a_split_and_sells_into_it():
    exchange = split_exchange()
    body = ticket(order_class="oto", stop_loss={"stop_price": "376.00"}, time_in_force="gtc")
    exchange.submit_order(body)
    exchange.advance_to(new_york(21, 9))
    assert exchange.position("AAA")["qty_available"] == "30"
    exchange.advance_to(new_york(21, 10))
    assert exchange.held_qty("AAA") == 30


@pytest.mark.parametrize(
    ("treatment", "status", "held"), [("cancel", "canceled", 40), ("keep", "filled", 30)]
)
def test_split_may_cancel_simple_orders_or_leave_them(treatment, status, held):
    exchange = split_exchange(split_treatment=treatment)
    bought(exchange)
    order = exchange.submit_order(stop("376.00", time_in_force="gtc"))
    exchange.advance_to(new_york(21, 10))
    assert exchange.order(order["id"])["status"] == status
    assert exchange.held_qty("AAA") == held


def test_reverse_split_cancels_every_order():
    exchange = split_exchange("0.1", 8.0)
    bought(exchange, qty="15")
    exchange.submit_order(stop("7.00", qty="15", time_in_force="gtc"))
    exchange.submit_order(limit("40.00", "BBB", time_in_force="gtc"))
    exchange.advance_to(new_york(21, 10))
    assert [order.status for order in exchange.all_orders][1:] == ["canceled", "new"]
    assert exchange.position("AAA")["qty"] == "1.5"


def test_split_without_a_position_is_no_activity():
    exchange = split_exchange()
    exchange.advance_to(new_york(21, 10))
    assert exchange.activities() == []


# Clock, calendar, assets ----------------------------------------------------------------------


def test_clock_speaks_new_york_with_nine_decimals(exchange):
    assert exchange.clock() == {
        "timestamp": "2023-11-20T10:00:00.000000000-05:00",
        "is_open": True,
        "next_open": "2023-11-21T09:30:00-05:00",
        "next_close": "2023-11-20T16:00:00-05:00",
    }


def test_calendar_gives_hours_in_new_york(exchange):
    days = exchange.calendar(DAYS[5], DAYS[6])
    assert [(day["date"], day["open"], day["close"]) for day in days] == [
        ("2023-11-22", "09:30", "16:00"),
        ("2023-11-24", "09:30", "13:00"),
    ]


def test_assets_come_and_go():
    exchange = exchange_on(start=new_york(20, 9))
    with pytest.raises(RefusalError, match="asset not found for IPO") as refused:
        exchange.asset("IPO")
    assert (refused.value.status, refused.value.code) == (404, 40410000)
    assert exchange.asset("GONE")["tradable"] is True
    exchange.advance_to(new_york(29, 10))
    assert exchange.asset("IPO")["status"] == "active"
    assert (exchange.asset("GONE")["status"], exchange.asset("GONE")["tradable"]) == (
        "inactive", False,
    )  # fmt: skip
    assert [asset["symbol"] for asset in exchange.assets("inactive")] == ["GONE"]


@pytest.mark.parametrize("kept", [True, False])
def test_easy_to_borrow_is_shown_as_long_as_alpaca_does(kept):
    asset = exchange_on(easy_to_borrow=kept).asset("AAA")
    assert ("easy_to_borrow" in asset) is kept
    assert asset["borrow_status"] == "easy_to_borrow"
