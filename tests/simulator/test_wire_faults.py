"""Each fault as the real client sees it: what it raises, and how often it asked."""

from __future__ import annotations

import functools
import json
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.requests import StockBarsRequest, StockLatestQuoteRequest
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.requests import MarketOrderRequest
from pydantic import ValidationError
from tests.simulator.conftest import KEYS, exchange_on, new_york

from swingtrader.simulator import faults, in_process
from swingtrader.simulator.server import serve


def with_timeout(client):
    """The client with a short timeout, and without its waits between tries."""
    session = client._session  # noqa: SLF001 - the client offers neither
    session.request = functools.partial(session.request, timeout=(1, 0.2))
    client._retry_wait = 0  # noqa: SLF001
    return client


@pytest.fixture(params=["wire", "in process"])
def connected(request):
    """An exchange and a maker of clients that reach it."""
    exchange = exchange_on()
    if request.param == "wire":
        with serve(exchange) as running:
            yield exchange, lambda kind: with_timeout(kind(*KEYS, url_override=running.url))
        return

    def make(kind):
        client = kind(*KEYS, url_override=in_process.URL)
        in_process.mount(client._session, exchange)  # noqa: SLF001 - sockets end there
        return with_timeout(client)

    yield exchange, make


@pytest.fixture
def exchange(connected):
    return connected[0]


@pytest.fixture
def trading(connected):
    return connected[1](TradingClient)


def order(name="mine"):
    return MarketOrderRequest(
        symbol="AAA", side="buy", qty=10, time_in_force="day", client_order_id=name
    )


CODES = [429, 504]


def test_client_tries_four_times_three_seconds_apart_on_429_and_504_only():
    client = TradingClient(*KEYS)
    assert (client._retry, client._retry_wait, client._retry_codes) == (3, 3, CODES)  # noqa: SLF001


@pytest.mark.parametrize("accepted", [False, True])
@pytest.mark.parametrize(
    ("make", "raised", "tries"),
    [
        (faults.silence, requests.exceptions.ReadTimeout, 1),
        (faults.reset, requests.exceptions.ConnectionError, 1),
        (faults.server_error, APIError, 1),
        (faults.bad_gateway, APIError, 1),
        (faults.empty, TypeError, 1),
    ],
)
def test_order_is_there_only_if_it_was_accepted(exchange, trading, make, accepted, raised, tries):
    exchange.set_fault(make("POST", "/v2/orders", accepted=accepted))
    with pytest.raises(raised):
        trading.submit_order(order())
    assert len(exchange.requests) == tries
    assert len(exchange.all_orders) == accepted
    if accepted:
        assert trading.get_order_by_client_id("mine").status == "filled"
    else:
        with pytest.raises(APIError, match="order not found"):
            trading.get_order_by_client_id("mine")


@pytest.mark.parametrize(
    ("make", "raised"),
    [
        (faults.cut_json, requests.exceptions.JSONDecodeError),
        (faults.cut_connection, requests.exceptions.ChunkedEncodingError),
    ],
)
def test_order_whose_answer_is_cut_is_there(exchange, trading, make, raised):
    exchange.set_fault(make("POST", "/v2/orders"))
    with pytest.raises(raised):
        trading.submit_order(order())
    assert len(exchange.all_orders) == 1


def test_504_after_acceptance_is_resent_and_refused_though_the_order_exists(exchange, trading):
    exchange.set_fault(faults.gateway_timeout("POST", "/v2/orders", accepted=True))
    with pytest.raises(APIError, match="client_order_id must be unique") as refused:
        trading.submit_order(order())
    assert refused.value.status_code == 422
    assert (len(exchange.requests), len(exchange.all_orders)) == (2, 1)
    assert trading.get_order_by_client_id("mine").status == "filled"


def test_504_without_a_name_makes_up_to_four_orders(exchange, trading):
    exchange.set_fault(faults.gateway_timeout("POST", "/v2/orders", accepted=True, times=4))
    with pytest.raises(APIError) as refused:
        trading.submit_order(order(None))
    assert refused.value.status_code == 504
    assert len(exchange.all_orders) == 4


def test_504_before_acceptance_is_cured_by_the_clients_retry(exchange, trading):
    exchange.set_fault(faults.gateway_timeout("POST", "/v2/orders", accepted=False, times=3))
    assert trading.submit_order(order()).client_order_id == "mine"
    assert (len(exchange.requests), len(exchange.all_orders)) == (4, 1)


def test_429_is_retried_three_times_and_then_raised(exchange, trading):
    exchange.set_fault(faults.rate_limited("GET", "/v2/account", times=4))
    with pytest.raises(APIError) as refused:
        trading.get_account()
    assert (refused.value.status_code, len(exchange.requests)) == (429, 4)
    assert refused.value.response.headers["X-RateLimit-Remaining"] == "0"
    with pytest.raises(KeyError):
        _ = refused.value.code
    assert trading.get_account().cash == "100000"


def test_code_and_message_fail_on_a_proxys_page(exchange, trading):
    exchange.set_fault(faults.bad_gateway("*", "*", accepted=False))
    with pytest.raises(APIError) as refused:
        trading.get_account()
    assert refused.value.status_code == 502
    for name in ("code", "message"):
        with pytest.raises(json.JSONDecodeError):
            getattr(refused.value, name)


def test_fault_waits_for_its_turn(exchange, trading):
    exchange.set_fault(faults.server_error("GET", "/v2/*", accepted=True, nth=3))
    trading.get_clock()
    trading.get_account()
    with pytest.raises(APIError):
        trading.get_clock()
    trading.get_clock()
    assert [record.fault for record in exchange.requests] == [None, None, "status", None]


@pytest.mark.parametrize(
    ("path", "call", "field", "value"),
    [
        ("/v2/account", "get_account", "status", faults.MISSING),
        ("/v2/account", "get_account", "status", "SLEEPING"),
        ("/v2/account", "get_account", "account_number", None),
        ("/v2/account", "get_account", "cash", 12.5),
        ("/v2/clock", "get_clock", "is_open", faults.MISSING),
        ("/v2/clock", "get_clock", "timestamp", "noon"),
        ("/v2/orders", "get_orders", "*.status", "pondering"),
        ("/v2/orders", "get_orders", "*.client_order_id", None),
        ("/v2/positions", "get_all_positions", "0.qty", faults.MISSING),
        ("/v2/positions", "get_all_positions", "0.exchange", "MOON"),
        ("/v2/account/portfolio/history", "get_portfolio_history", "equity.0", None),
    ],
)
def test_strict_models_refuse_what_is_missing_null_or_new(
    exchange, trading, path, call, field, value
):
    trading.submit_order(order())
    trading.get_clock()
    trading.submit_order(MarketOrderRequest(
        symbol="BBB", side="buy", qty=1, time_in_force="cls"
    ))  # fmt: skip
    exchange.advance_to(new_york(20, 16) if "history" in path else new_york(20, 11))
    exchange.set_fault(faults.edit("GET", path, field, value))
    with pytest.raises(ValidationError):
        getattr(trading, call)()
    assert getattr(trading, call)()


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [("cash", None, None), ("cash", faults.MISSING, None), ("novelty", 1, "100000")],
)
def test_optional_and_extra_fields_pass(exchange, trading, field, value, shown):
    exchange.set_fault(faults.edit("GET", "/v2/account", field, value))
    assert trading.get_account().cash == shown


def test_data_may_be_missing_null_or_of_another_type_too(connected):
    exchange, make = connected
    stocks = make(StockHistoricalDataClient)
    asked = StockBarsRequest(
        symbol_or_symbols=["AAA"], timeframe=TimeFrame.Day, start=new_york(15, 0)
    )
    for value in (None, "n/a", faults.MISSING):
        exchange.set_fault(faults.edit("GET", "/v2/stocks/bars", "bars.AAA.0.c", value))
        with pytest.raises(ValidationError):
            stocks.get_stock_bars(asked)
    exchange.set_fault(faults.edit("GET", "/v2/stocks/bars", "bars"))
    with pytest.raises(ValueError, match="does not match any known keys"):
        stocks.get_stock_bars(asked)
    exchange.set_fault(faults.edit("GET", "/v2/stocks/quotes/latest", "quotes.AAA", None))
    quote = StockLatestQuoteRequest(symbol_or_symbols=["AAA", "BBB"])
    assert set(stocks.get_stock_latest_quote(quote)) == {"BBB"}


def test_client_without_a_timeout_waits_until_the_peer_goes_away():
    exchange = exchange_on()
    arrived = Event()
    with ThreadPoolExecutor(1) as pool, serve(exchange) as running:
        client = TradingClient(*KEYS, url_override=running.url)
        exchange.set_fault(faults.silence("GET", "/v2/clock", accepted=False))

        def ask():
            arrived.set()
            return client.get_clock()

        answer = pool.submit(ask)
        arrived.wait()
        # Another client is served meanwhile: silence holds no lock.
        other = TradingClient(*KEYS, url_override=running.url)
        while not any(record.path == "/v2/clock" for record in exchange.requests):
            other.get_account()
        assert not answer.done()
        running.close()
        assert isinstance(answer.exception(), requests.exceptions.ConnectionError)


def test_client_without_a_timeout_is_found_out_in_process():
    exchange = exchange_on()
    client = TradingClient(*KEYS, url_override=in_process.URL)
    in_process.mount(client._session, exchange)  # noqa: SLF001 - sockets end there
    exchange.set_fault(faults.silence("GET", "/v2/clock", accepted=False))
    with pytest.raises(AssertionError, match="without a timeout"):
        client.get_clock()


def test_both_ways_to_the_exchange_tell_the_same_story():
    stories = []
    for way in ("wire", "in process"):
        exchange = exchange_on()
        running = serve(exchange) if way == "wire" else None
        client = TradingClient(*KEYS, url_override=running.url if running else in_process.URL)
        if running is None:
            in_process.mount(client._session, exchange)  # noqa: SLF001 - sockets end there
        client.submit_order(order())
        client.get_all_positions()
        client.get("/account/activities/FILL", {"direction": "asc", "page_size": 2})
        with pytest.raises(APIError):
            client.close_position("B R/K")
        stories.append(exchange.requests)
        if running is not None:
            running.close()
    assert stories[0] == stories[1]
