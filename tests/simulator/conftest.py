"""One small market whose bars are written by hand, an exchange on it, and real clients."""

from __future__ import annotations

import warnings
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pytest

from swingtrader.core.arrays import session_array
from swingtrader.core.market import Panel
from swingtrader.simulator.articles import Article
from swingtrader.simulator.clock import EASTERN, Timetable
from swingtrader.simulator.exchange import Exchange
from swingtrader.simulator.server import serve
from swingtrader.simulator.settings import ExchangeSettings

with warnings.catch_warnings():
    # alpaca-py 0.44 imports a part of websockets that is announced to go; we stream nothing.
    warnings.filterwarnings("ignore", "websockets.legacy is deprecated", DeprecationWarning)
    from alpaca.data.historical import NewsClient, StockHistoricalDataClient
    from alpaca.trading.client import TradingClient

# The week before Thanksgiving 2023 to the week after: the 23rd is a holiday, the 24th a half-day.
DAYS = [date(2023, 11, day) for day in (15, 16, 17, 20, 21, 22, 24, 27, 28, 29, 30)]
HALF_DAY = date(2023, 11, 24)


def new_york(day, hour, minute=0, second=0):
    """Instant of a wall time in New York; `day` is a date or a day of November 2023."""
    if isinstance(day, int):
        day = date(2023, 11, day)
    there = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=EASTERN)
    return there.astimezone(UTC)


def timetable_of(days=DAYS, half_days=(HALF_DAY,)):
    def utc(day, hour, minute):
        return np.datetime64(new_york(day, hour, minute).replace(tzinfo=None), "s")

    return Timetable(
        session_array(days),
        np.array([utc(day, 9, 30) for day in days]),
        np.array([utc(day, 13 if day in half_days else 16, 0) for day in days]),
    )


def panel_of(bars, days):
    """Panel from {symbol: [(open, high, low, close, volume) or None, ...]}, a row a day."""
    symbols = sorted(bars)
    shape = (len(days), len(symbols), 5)
    table = np.full(shape, np.nan)
    for n, symbol in enumerate(symbols):
        for t, bar in enumerate(bars[symbol]):
            if bar is not None:
                table[t, n] = bar
    return Panel(session_array(days), tuple(symbols), *np.moveaxis(table, -1, 0))


def flat(price, volume=1_000_000):
    """A day on which the price does not move."""
    return (price, price, price, price, volume)


FLAT_WEEKS = {
    "AAA": [flat(100.0)] * len(DAYS),
    "BBB": [flat(50.0)] * len(DAYS),
    # Rises 1 % on the 21st, falls through 90 on the 22nd.
    "MOVE": [
        flat(100.0),
        flat(100.0),
        flat(100.0),
        (100.0, 106.0, 99.0, 105.0, 2_000_000),
        (105.0, 110.0, 100.0, 106.0, 2_000_000),
        (104.0, 105.0, 80.0, 82.0, 5_000_000),
        (82.0, 90.0, 81.0, 88.0, 1_000_000),
        (70.0, 75.0, 65.0, 72.0, 9_000_000),
        flat(72.0),
        flat(72.0),
        flat(72.0),
    ],
    "PENNY": [flat(0.85)] * len(DAYS),
    # First bar on the 20th; last bar on the 17th.
    "IPO": [None] * 3 + [flat(30.0)] * (len(DAYS) - 3),
    "GONE": [flat(20.0)] * 3 + [None] * (len(DAYS) - 3),
}


def exchange_on(
    bars=None,
    start=None,
    *,
    days=DAYS,
    cash=100_000,
    splits=(),
    news=(),
    half_days=(HALF_DAY,),
    **settings,
):
    bars = FLAT_WEEKS if bars is None else bars
    length = max(len(rows) for rows in bars.values())
    return Exchange(
        panel_of(bars, days[:length]),
        timetable_of(days, half_days),
        start=start or new_york(20, 10),
        cash=Decimal(cash),
        splits=splits,
        news=news,
        settings=replace(ExchangeSettings(), **settings),
    )


@pytest.fixture
def exchange():
    """The flat market on Monday the 20th at 10:00; every price stands still but MOVE's."""
    return exchange_on()


def ticket(symbol="AAA", side="buy", qty="10", **fields):
    """Body of an order: a market DAY order unless told otherwise."""
    body = {"symbol": symbol, "side": side, "qty": qty, "type": "market", "time_in_force": "day"}
    return {name: value for name, value in (body | fields).items() if value is not None}


def limit(price, symbol="AAA", side="buy", qty="10", **fields):
    return ticket(symbol, side, qty, type="limit", limit_price=str(price), **fields)


def stop(price, symbol="AAA", side="sell", qty="10", **fields):
    return ticket(symbol, side, qty, type="stop", stop_price=str(price), **fields)


def bought(exchange, symbol="AAA", qty="10"):
    """Buy at market and see it filled."""
    order = exchange.submit_order(ticket(symbol, qty=qty))
    assert exchange.order(order["id"])["status"] == "filled"
    return order


# Served over loopback ---------------------------------------------------------------------------

KEYS = ("simulated-key", "simulated-secret")
NEWS = [Article(new_york(20, 8, n // 2), ("AAA",), f"No. {n}") for n in range(113)]


@pytest.fixture
def server():
    with serve(exchange_on(news=NEWS)) as running:
        yield running


@pytest.fixture
def served(server):
    """The exchange behind `server`."""
    return server.exchange


@pytest.fixture
def trading(server):
    return TradingClient(*KEYS, url_override=server.url)


@pytest.fixture
def stocks(server):
    return StockHistoricalDataClient(*KEYS, url_override=server.url)


@pytest.fixture
def news(server):
    return NewsClient(*KEYS, url_override=server.url)
