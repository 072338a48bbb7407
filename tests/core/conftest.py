"""Small markets and snapshots, every value of which a test may override."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from swingtrader.core.market import Panel
from swingtrader.core.sizing import TradeRecord
from swingtrader.core.snapshot import Account, DayActivity, Position, Snapshot


@pytest.fixture
def make_panel():
    """Return a maker of panels: one list of closes a symbol, bars of a single price by default."""

    def make(closes, *, opens=None, highs=None, lows=None, volume=1e7, first=date(2020, 1, 6)):
        symbols = tuple(sorted(closes))
        close = np.array([closes[s] for s in symbols], dtype=float).T
        sessions = np.datetime64(first, "D") + np.arange(len(close))

        def field(given):
            rows = given or {}
            return np.array([rows.get(s, closes[s]) for s in symbols], dtype=float).T

        open_, high, low = field(opens), field(highs), field(lows)
        high = np.fmax(high, np.fmax(open_, close)) if highs is None else high
        low = np.fmin(low, np.fmin(open_, close)) if lows is None else low
        shares = np.where(np.isnan(close), np.nan, volume)
        return Panel(sessions, symbols, open_, high, low, close, shares)

    return make


@pytest.fixture
def make_snapshot():
    """Return a maker of snapshots of healthy, buyable stocks: every signal says +0.5."""

    def make(symbols=("AAA", "BBB", "CCC"), **changes):
        n = len(symbols)
        values = {
            "asof": datetime(2020, 1, 6, 14, 30, tzinfo=UTC),
            "session": date(2020, 1, 6),
            "minutes_to_close": 390.0,
            "symbols": tuple(symbols),
            "sector": np.zeros(n, dtype=np.int64),
            "signals": np.full((6, n), 0.5),
            "sector_strength": np.array([0.5]),
            "close": np.full(n, 100.0),
            "dollar_volume_usd": np.full(n, 1e9),
            "atr_fraction": np.full(n, 0.02),
            "price": np.full(n, 100.0),
            "bid": np.full(n, 99.98),
            "ask": np.full(n, 100.02),
            "quote_age_seconds": np.zeros(n),
            "p_high_volatility": 0.0,
            "account": Account(100_000.0, 100_000.0, 100_000.0),
            "positions": (),
            "day": DayActivity(),
            "record": TradeRecord(),
        }
        values |= changes
        # The ranker's probability is what the quant signal says, unless a test parts the two.
        values.setdefault("probability", 0.5 + 0.5 * values["signals"][1])
        return Snapshot(**values)

    return make


@pytest.fixture
def make_position():
    """Return a maker of positions: 100 shares bought at 100 USD five sessions ago."""

    def make(symbol="AAA", **changes):
        values = {
            "symbol": symbol,
            "qty": 100.0,
            "entry_price": 100.0,
            "entry_session": date(2020, 1, 6) - timedelta(days=7),
            "age_sessions": 5,
        }
        return Position(**{**values, **changes})

    return make
