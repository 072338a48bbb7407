"""Rows of the data interface's JSON: quotes, and bars on their way into a panel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from swingtrader.adapters.alpaca_fields import decimal, instant, positive
from swingtrader.core.arrays import session_array
from swingtrader.core.market import Panel
from swingtrader.core.portfolio import Quote

if TYPE_CHECKING:
    from datetime import date

    Row = Mapping[str, Any]
    Bar = tuple[float, float, float, float, float]


def quote_of(symbol: str, snapshot: Row) -> Quote:
    """Read a snapshot's latest quote and trade; a price of 0 is none."""
    quote, trade = (
        part if isinstance(part, Mapping) else {}
        for part in (snapshot.get("latestQuote"), snapshot.get("latestTrade"))
    )
    return Quote(
        symbol,
        bid=positive(quote, "bp"),
        ask=positive(quote, "ap"),
        quote_at=instant(quote, "t"),
        trade=positive(trade, "p"),
        trade_at=instant(trade, "t"),
    )


def bar_of(row: Row) -> Bar | None:
    """Open, high, low, close and volume; None where one is missing or they make no sense."""
    opened, high, low, close, volume = (_number(row, name) for name in "ohlcv")
    if opened is None or high is None or low is None or close is None or volume is None:
        return None
    if min(opened, low, close) <= 0 or high < low or volume < 0:
        return None
    return opened, high, low, close, volume


def _number(row: Row, name: str) -> float | None:
    """Read a finite number; a panel has tens of thousands, so not by way of `Decimal`."""
    value = row.get(name)
    if type(value) is float:
        return value if math.isfinite(value) else None
    exact = decimal(row, name)
    return None if exact is None else float(exact)


def panel_of(bars: Mapping[tuple[str, date], Bar]) -> Panel:
    """Put bars, by symbol and session, into a panel; of shape (0, 0) where there is none."""
    symbols = sorted({symbol for symbol, _ in bars})
    sessions = sorted({session for _, session in bars})
    column = {symbol: n for n, symbol in enumerate(symbols)}
    line = {session: t for t, session in enumerate(sessions)}
    table = np.full((5, len(sessions), len(symbols)), np.nan)
    for (symbol, session), bar in bars.items():
        table[:, line[session], column[symbol]] = bar
    return Panel(session_array(sessions), tuple(symbols), *table)
