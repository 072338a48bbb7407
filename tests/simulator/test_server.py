"""Keys, limits, the log, and the server itself, seen by the real clients."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from uuid import UUID

import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.requests import (
    StockBarsRequest,
)
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.requests import (
    LimitOrderRequest,
    MarketOrderRequest,
)
from tests.simulator.conftest import KEYS, exchange_on, new_york

from swingtrader.simulator.faults import reset
from swingtrader.simulator.server import serve


def market(**fields):
    common = {"symbol": "AAA", "side": "buy", "qty": 10, "time_in_force": "day"}
    return MarketOrderRequest(**common | fields)


def limit(price):
    return LimitOrderRequest(
        symbol="AAA", side="buy", qty=10, time_in_force="day", limit_price=price
    )


def bars_of(symbol):
    return StockBarsRequest(
        symbol_or_symbols=symbol, timeframe=TimeFrame.Day, start=new_york(1, 0)
    )


# Keys, limits, log ----------------------------------------------------------------------------


def test_wrong_key_is_401_with_a_code_for_trading_and_none_for_data(server):
    wrong = ("simulated-key", "wrong")
    with pytest.raises(APIError) as refused:
        TradingClient(*wrong, url_override=server.url).get_account()
    assert (refused.value.status_code, refused.value.code) == (401, 40110000)
    with pytest.raises(APIError, match="unauthorized") as refused:
        StockHistoricalDataClient(*wrong, url_override=server.url).get_stock_bars(bars_of("AAA"))
    assert refused.value.status_code == 401
    assert "wrong" not in repr(server.exchange.requests)


def test_client_reads_no_environment(monkeypatch):
    for name in ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "ALPACA_API_KEY"):
        monkeypatch.setenv(name, "key")
    with pytest.raises(ValueError, match="must supply a method of authentication"):
        TradingClient()


def test_rate_limit_counts_all_clients_in_simulated_minutes(server, trading, stocks):
    trading._retry_wait = 0  # noqa: SLF001 - else the client would wait for nine seconds
    served = server.exchange
    for _ in range(199):
        served.rate.count(served.now)
    stocks.get_stock_bars(bars_of("AAA"))
    before = len(served.requests)
    with pytest.raises(APIError) as refused:
        trading.get_clock()
    assert (refused.value.status_code, len(served.requests) - before) == (429, 4)
    headers = refused.value.response.headers
    assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("200", "0")
    reset_at = datetime.fromtimestamp(int(headers["X-RateLimit-Reset"]), UTC)
    assert reset_at == new_york(20, 10, 1)
    served.advance_to(reset_at)
    assert trading.get_clock().timestamp == reset_at


def test_log_tells_reading_from_changing_orders(trading, served):
    trading.get_account()
    trading.get_orders()
    assert not any(record.changes_orders for record in served.requests)
    order = trading.submit_order(limit(50))
    trading.cancel_order_by_id(order.id)
    changing = [r for r in served.requests if r.changes_orders]
    assert [(r.method, r.path, r.status) for r in changing] == [
        ("POST", "/v2/orders", 200), ("DELETE", f"/v2/orders/{order.id}", 204),
    ]  # fmt: skip
    assert '"limit_price": 50' in changing[0].body
    assert changing[0].at == new_york(20, 10)


@pytest.mark.parametrize(
    ("path", "message"),
    [("/nothing", "endpoint not found"), ("/orders/not-an-order", "order not found")],
)
def test_unknown_paths_and_orders_are_404(trading, path, message):
    with pytest.raises(APIError, match=message) as refused:
        trading.get(path)
    assert refused.value.status_code == 404


def test_method_that_a_path_does_not_have_is_405(trading):
    with pytest.raises(APIError) as refused:
        trading.put("/orders", {})
    assert refused.value.status_code == 405


def test_body_that_is_no_json_is_400(server, trading):
    headers = trading._get_default_headers()  # noqa: SLF001 - keys as the client sends them
    answer = trading._session.post(f"{server.url}/v2/orders", data="{", headers=headers)  # noqa: SLF001
    assert (answer.status_code, answer.json()["code"]) == (400, 40010000)


# The server -----------------------------------------------------------------------------------


def test_overlapping_clients_get_one_order_for_one_name(server):
    clients = [TradingClient(*KEYS, url_override=server.url) for _ in range(4)]
    together = Barrier(4)

    def submit(client):
        together.wait()
        try:
            return client.submit_order(market(client_order_id="same")).id
        except APIError as refused:
            return refused.message

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(submit, clients))
    assert answers.count("client_order_id must be unique") == 3
    assert sum(isinstance(answer, UUID) for answer in answers) == 1
    assert len(server.exchange.all_orders) == 1


def test_server_listens_on_loopback_and_closes_twice(server):
    assert server.url.startswith("http://127.0.0.1:")
    server.close()
    server.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])))


def test_reset_is_a_reset_and_not_an_orderly_end(server):
    server.exchange.set_fault(reset("GET", "*", accepted=False))
    address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(b"GET /v2/clock HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_port_that_is_taken_is_an_error_and_no_exit(server):
    with pytest.raises(OSError, match="in use"):
        serve(exchange_on(), port=int(server.url.rpartition(":")[2]))


def test_simulated_time_passes_between_requests(trading, served):
    order = trading.submit_order(limit(50))
    served.advance_to(served.now + timedelta(hours=8))
    assert trading.get_order_by_id(order.id).status == "expired"
