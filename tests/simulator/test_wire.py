"""The real clients of alpaca-py against the exchange, over loopback."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.enums import Adjustment, DataFeed
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.requests import (
    NewsRequest,
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockSnapshotRequest,
)
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetCalendarRequest,
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLossRequest,
    StopOrderRequest,
    TakeProfitRequest,
)
from pydantic import ValidationError
from tests.simulator.conftest import KEYS, exchange_on, new_york

from swingtrader.simulator.server import serve


def market(symbol="AAA", side="buy", qty=10, **fields):
    return MarketOrderRequest(symbol=symbol, side=side, qty=qty, time_in_force="day", **fields)


def limit(price, **fields):
    common = {"symbol": "AAA", "side": "buy", "qty": 10, "time_in_force": "day"}
    return LimitOrderRequest(limit_price=price, **common | fields)


# Account, clock, calendar, assets -------------------------------------------------------------


def test_account(trading):
    account = trading.get_account()
    assert (account.account_number, account.cash, account.status) == (
        "PA3SIMULATED", "100000", "ACTIVE",
    )  # fmt: skip
    assert account.pattern_day_trader is account.daytrade_count is None


def test_clock(trading):
    clock = trading.get_clock()
    assert (clock.timestamp, clock.is_open) == (new_york(20, 10), True)
    assert clock.next_close == new_york(20, 16)


def test_calendar_comes_with_naive_datetimes(trading):
    asked = GetCalendarRequest(start=date(2023, 11, 23), end=date(2023, 11, 24))
    (half_day,) = trading.get_calendar(asked)
    assert (half_day.open, half_day.close) == (
        datetime(2023, 11, 24, 9, 30), datetime(2023, 11, 24, 13, 0),  # noqa: DTZ001 - the point
    )  # fmt: skip


def test_asset_fails_the_clients_model_and_comes_raw(trading):
    with pytest.raises(ValidationError, match="easy_to_borrow"):
        trading.get_asset("AAA")
    asset = trading.get("/assets/AAA")
    assert (asset["tradable"], asset["fractionable"], asset["status"]) == (True, True, "active")
    assert trading.get(f"/assets/{asset['id']}") == asset
    with pytest.raises(APIError) as refused:
        trading.get("/assets/NOPE")
    assert (refused.value.status_code, refused.value.code) == (404, 40410000)


def test_asset_passes_the_clients_model_while_alpaca_keeps_the_field():
    with serve(exchange_on(easy_to_borrow=True)) as running:
        assert TradingClient(*KEYS, url_override=running.url).get_asset("AAA").easy_to_borrow


def test_configuration_is_read_and_written(trading, served):
    configuration = trading.get_account_configurations()
    assert configuration.no_shorting is False
    trading.set_account_configurations(configuration.model_copy(update={"no_shorting": True}))
    assert trading.get_account_configurations().no_shorting is True
    with pytest.raises(APIError, match="not allowed to short"):
        trading.submit_order(market(side="sell"))
    assert served.all_orders == ()


def test_history(trading, served):
    served.advance_to(new_york(22, 10))
    assert trading.get_portfolio_history().equity == [100_000.0, 100_000.0]


# Orders and positions -------------------------------------------------------------------------


def test_order_is_found_again_by_either_name(trading):
    order = trading.submit_order(market(client_order_id="mine"))
    assert (order.status, order.filled_qty, order.order_class) == ("pending_new", "0", "simple")
    assert trading.get_order_by_id(order.id).status == "filled"
    found = trading.get_order_by_client_id("mine")
    assert (found.id, found.filled_avg_price) == (order.id, "100.02")


def test_bracket_and_its_legs(trading):
    order = trading.submit_order(
        market(
            order_class="bracket",
            take_profit=TakeProfitRequest(limit_price=120),
            stop_loss=StopLossRequest(stop_price=90),
        )
    )
    assert [leg.status for leg in order.legs] == ["held", "held"]
    nested = trading.get_order_by_id(order.id, GetOrderByIdRequest(nested=True))
    assert [leg.status for leg in nested.legs] == ["new", "held"]
    assert len(trading.get_orders()) == 1
    assert trading.get_orders(GetOrdersRequest(status="open", nested=True)) == []
    (parent,) = trading.get_orders(GetOrdersRequest(status="all", nested=True, symbols=["AAA"]))
    assert [leg.id for leg in parent.legs] == [leg.id for leg in order.legs]


def test_cancel_answers_before_it_is_done(trading, served):
    order = trading.submit_order(limit(50))
    assert trading.cancel_order_by_id(order.id) is None
    assert served.all_orders[0].status == "pending_cancel"
    assert trading.get_order_by_id(order.id).status == "canceled"
    with pytest.raises(APIError) as refused:
        trading.cancel_order_by_id(order.id)
    assert refused.value.message == 'order is already in "canceled" state'


def test_cancel_all(trading):
    orders = [trading.submit_order(limit(50)) for _ in range(2)]
    answers = trading.cancel_orders()
    assert {(each.id, each.status) for each in answers} == {(order.id, 200) for order in orders}


def test_replace(trading):
    order = trading.submit_order(limit(50))
    trading.get_clock()
    new = trading.replace_order_by_id(order.id, ReplaceOrderRequest(limit_price=51))
    assert (new.replaces, trading.get_order_by_id(order.id).replaced_by) == (order.id, new.id)


def test_positions_are_listed_and_closed(trading):
    for symbol in ("AAA", "BBB"):
        trading.submit_order(market(symbol))
    trading.get_clock()
    assert [(p.symbol, p.qty, p.side) for p in trading.get_all_positions()] == [
        ("AAA", "10", "long"), ("BBB", "10", "long"),
    ]  # fmt: skip
    half = trading.close_position("AAA", ClosePositionRequest(percentage="50"))
    assert (half.qty, trading.get_open_position("AAA").qty) == ("5", "5")
    trading.submit_order(
        StopOrderRequest(symbol="BBB", side="sell", qty=10, time_in_force="gtc", stop_price=40)
    )
    with pytest.raises(APIError) as refused:
        trading.close_position("BBB")
    assert (refused.value.status_code, refused.value.code) == (403, 40310000)
    answers = trading.close_all_positions(cancel_orders=True)
    assert [(each.symbol, each.status) for each in answers] == [("AAA", 200), ("BBB", 200)]
    assert trading.get_all_positions() == []
    with pytest.raises(APIError, match="position does not exist"):
        trading.get_open_position("BBB")


def test_fills_are_paged_raw(trading):
    for _ in range(3):
        trading.submit_order(market(qty=1))
    trading.get_clock()
    first = trading.get("/account/activities/FILL", {"page_size": 2, "direction": "asc"})
    token = {"page_size": 2, "direction": "asc", "page_token": first[-1]["id"]}
    second = trading.get("/account/activities/FILL", token)
    assert [len(first), len(second)] == [2, 1]
    assert {part["type"] for part in first + second} == {"fill"}
    assert trading.get("/account/activities", {"activity_types": "SPLIT,DIV"}) == []


def test_float_that_grew_digits_is_a_sub_penny_price(trading):
    with pytest.raises(APIError, match=r"3\.3000000000000003") as refused:
        trading.submit_order(limit(1.1 + 2.2))
    assert (refused.value.status_code, refused.value.code) == (422, 42210000)
    assert trading.submit_order(limit(round(1.1 + 2.2, 2))).limit_price == "3.3"


def test_naive_datetime_is_sent_as_utc(trading, served):
    noon = datetime(2023, 11, 20, 12)  # noqa: DTZ001 - the point
    trading.get_orders(GetOrdersRequest(after=noon))
    assert served.requests[-1].query["after"] == "2023-11-20T12:00:00+00:00"


# Market data ----------------------------------------------------------------------------------


def bars_of(*symbols, **fields):
    return StockBarsRequest(
        symbol_or_symbols=list(symbols),
        timeframe=TimeFrame.Day,
        start=datetime(2023, 11, 1, tzinfo=UTC),
        **fields,
    )


def test_unknown_symbol_is_absent_from_the_bars(stocks):
    bars = stocks.get_stock_bars(bars_of("AAA", "NOPE"))
    assert (bars["AAA"][0].timestamp, bars["AAA"][0].close) == (new_york(15, 0), 100)
    with pytest.raises(KeyError):
        bars["NOPE"]


def test_limit_over_many_symbols_returns_only_the_first_ones(stocks):
    bars = stocks.get_stock_bars(bars_of("AAA", "BBB", "PENNY", limit=5))
    assert {symbol: len(found) for symbol, found in bars.data.items()} == {"AAA": 4, "BBB": 1}


def test_client_follows_the_pages(server):
    server.exchange.advance_to(new_york(30, 17))
    raw = StockHistoricalDataClient(*KEYS, raw_data=True, url_override=server.url)
    asked = bars_of("AAA", "BBB", "MOVE", feed=DataFeed.IEX, adjustment=Adjustment.SPLIT)
    asked.timeframe = TimeFrame.Minute
    bars = raw.get_stock_bars(asked)
    whole = 10 * 390 + 210
    assert {symbol: len(found) for symbol, found in bars.items()} == {
        "AAA": whole, "BBB": whole, "MOVE": whole,
    }  # fmt: skip
    assert [r.query["limit"] for r in server.exchange.requests] == ["10000", "10000"]


def test_recent_sip_is_refused_without_a_code(stocks, served):
    with pytest.raises(APIError) as refused:
        stocks.get_stock_bars(bars_of("AAA", end=served.now))
    assert refused.value.status_code == 403
    assert refused.value.message == "subscription does not permit querying recent SIP data"
    with pytest.raises(KeyError):
        _ = refused.value.code


def test_latest_and_snapshots(stocks):
    names = ["AAA", "NOPE"]
    quote = stocks.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=names))
    trade = stocks.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=names))
    bar = stocks.get_stock_latest_bar(StockLatestBarRequest(symbol_or_symbols=names))
    snapshot = stocks.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=names))
    assert set(quote) == set(trade) == set(bar) == set(snapshot) == {"AAA"}
    assert (quote["AAA"].bid_price, quote["AAA"].ask_price) == (99.98, 100.02)
    assert quote["AAA"].timestamp == trade["AAA"].timestamp == new_york(20, 10)
    assert bar["AAA"].close == snapshot["AAA"].previous_daily_bar.close == 100
    assert snapshot["AAA"].latest_trade.price == 100


def test_client_pulls_all_pages_of_news_unless_limited(news, served):
    everything = news.get_news(NewsRequest(symbols="AAA,BBB", start=new_york(20, 0)))
    assert len({article.id for article in everything.data["news"]}) == 113
    assert len(served.requests) == 3
    few = news.get_news(NewsRequest(symbols="AAA", start=new_york(20, 0), limit=5))
    assert few.data["news"][0].headline == "No. 112"
    assert len(few.data["news"]) == 5
