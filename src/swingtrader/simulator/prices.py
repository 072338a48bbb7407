"""Prices within the day, from daily bars, without a glimpse of the days to come.

Each session of each symbol gets a path of one trade a minute, drawn with a seed of its own, so
that neither other symbols nor other sessions move it. It starts at the open, reaches high and
low at two random minutes in random order, and ends at the close; between these it is a Brownian
bridge, cut off at the bar's extremes. So the day's high and low become visible only as the path
reaches them, and what is served at an instant depends on no later day. It does depend on its
own day's bar as a whole: a path that must end at the close leans towards it, as any bridge does.

Bars come in split-adjusted. Prices as they were traded are the bar's times the ratios of all
later splits; "split" adjustment as of an instant divides by those that have happened by then.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.arrays import frozen
from swingtrader.simulator.clock import MINUTE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.market import Panel
    from swingtrader.simulator.clock import Timetable

PRICE_QUANTUM = Decimal("0.000001")
"""Bars that were adjusted for splits have six decimals, and paths pass through them exactly."""

NOISE = 0.4
"""Of the bridges' standard deviation a minute, over range / sqrt(minutes)."""

U_SHAPE = 2.0
"""How much busier the session's edges are than its middle."""

SESSIONS_UNTIL_INACTIVE = 5
"""Sessions without a bar after which an asset is no longer active."""


@dataclass(frozen=True)
class Split:
    """A split before the opening of `session`: `ratio` new shares for each old one."""

    symbol: str
    session: date
    ratio: Decimal


@dataclass(frozen=True)
class Bar:
    """One bar: prices in USD, volume in shares, `at` its beginning."""

    at: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int


@dataclass(frozen=True)
class Trade:
    """The last trade of a symbol, as it was printed."""

    at: datetime
    price: Decimal
    row: int


@dataclass(frozen=True)
class Quote:
    """Bid and ask in USD; 0 means that there is none."""

    at: datetime
    bid: Decimal
    ask: Decimal


def tick(price: Decimal) -> Decimal:
    """Smallest price step allowed at a price."""
    return Decimal("0.01") if price >= 1 else Decimal("0.0001")


def intraday_path(
    bar: tuple[float, float, float, float], minutes: int, seed: Sequence[int]
) -> FloatArray:
    """One trade a minute, from the opening to the closing one.

    Parameters
    ----------
    bar : (open, high, low, close)
        USD. Extremes that open or close leave (rounded adjustment) are widened.
    minutes : int
        Length of the session, at least 3.
    seed : sequence of int

    Returns
    -------
    ndarray of shape (minutes + 1,), USD
        Never outside low to high, which it reaches after the opening and before the closing
        trade; anything but these four prices is rounded to the tick where it fits.
    """
    opening, high, low, close = bar
    high, low = max(bar), min(bar)
    rng = np.random.default_rng(seed)
    first, second = np.sort(rng.choice(minutes - 1, 2, replace=False) + 1)
    extremes = (high, low) if rng.random() < 0.5 else (low, high)
    anchors = np.array([0, first, second, minutes])
    levels = np.array([opening, *extremes, close])

    steps = rng.standard_normal(minutes + 1) * NOISE * (high - low) / np.sqrt(minutes)
    walk = np.cumsum(steps)
    grid = np.arange(minutes + 1)
    path = np.interp(grid, anchors, levels) + walk - np.interp(grid, anchors, walk[anchors])
    decimals = 2 if low >= 1 else 4
    path = np.clip(np.round(path, decimals), low, high)
    path[anchors] = levels
    return frozen(path)


def volume_profile(minutes: int) -> FloatArray:
    """Part of the day's volume traded up to each minute, (minutes + 1,), ending at 1."""
    weights = 1 + U_SHAPE * np.linspace(-1, 1, minutes + 1) ** 2
    profile: FloatArray = np.cumsum(weights) / weights.sum()
    return profile


class PriceTape:
    """What was traded and quoted up to any instant.

    Parameters
    ----------
    panel : Panel
        Split-adjusted daily bars; its sessions are the timetable's or some of them.
    timetable : Timetable
    splits : sequence of Split
        Those that the panel's prices were adjusted for and the account lives through.
    seed : int
    half_spread_bps : Decimal

    Raises
    ------
    ValueError
        A session of the panel is not in the timetable, or a split is of no session.
    """

    def __init__(
        self,
        panel: Panel,
        timetable: Timetable,
        splits: Sequence[Split],
        *,
        seed: int,
        half_spread_bps: Decimal,
    ) -> None:
        self.timetable = timetable
        self.symbols = panel.symbols
        self._panel = panel
        self._column = {symbol: n for n, symbol in enumerate(panel.symbols)}
        self._seed = seed
        self._half_spread = half_spread_bps / 10_000
        days: list[date] = panel.sessions.tolist()
        strangers = [day for day in days if timetable.row_of(day) is None]
        strangers += [split.session for split in splits if timetable.row_of(split.session) is None]
        if strangers:
            raise ValueError(f"{strangers[0]} is no session of the exchange")
        rows = np.array([timetable.row_of(day) for day in days], dtype=np.int64)
        self._panel_row = {int(row): t for t, row in enumerate(rows)}
        self._traded: dict[str, list[int]] = {
            symbol: rows[panel.traded[:, n]].tolist() for n, symbol in enumerate(panel.symbols)
        }
        self._splits = {
            symbol: [
                (timetable.days.index(s.session), s.ratio) for s in splits if s.symbol == symbol
            ]
            for symbol in {split.symbol for split in splits}
        }
        self._path = lru_cache(maxsize=4096)(self._drawn_path)

    def last_row(self, symbol: str, at: datetime) -> int | None:
        """Row of the last session in which `symbol` had traded by `at`; None if it never had."""
        rows = self._traded.get(symbol, [])
        place = bisect_right(rows, self.timetable.started(at)) - 1
        return rows[place] if place >= 0 else None

    def rows_between(self, symbol: str, first: int, last: int) -> list[int]:
        """Rows from `first` to `last`, both included, with a bar of `symbol`."""
        rows = self._traded.get(symbol, [])
        return rows[bisect_right(rows, first - 1) : bisect_right(rows, last)]

    def is_listed(self, symbol: str, at: datetime) -> bool:
        """Whether `symbol` has traded by `at`."""
        return self.last_row(symbol, at) is not None

    def is_active(self, symbol: str, at: datetime) -> bool:
        """Whether it has traded within the last five sessions, today's start included."""
        row = self.last_row(symbol, at)
        started = self.timetable.started(at)
        return row is not None and started - row <= SESSIONS_UNTIL_INACTIVE

    def trades_now(self, symbol: str, at: datetime) -> bool:
        """Whether today's session has a bar of `symbol` and has opened; closed days included."""
        return self.last_row(symbol, at) == self.timetable.started(at) >= 0

    def last_trade(self, symbol: str, at: datetime) -> Trade | None:
        """Return the last print, at the price of its own day; None if it never traded."""
        row = self.last_row(symbol, at)
        if row is None:
            return None
        minute = self.timetable.minute_of(row, at)
        stamp = self.timetable.opens[row] + minute * MINUTE
        return Trade(stamp, self._price(symbol, row, minute), row)

    def price(self, symbol: str, at: datetime) -> Decimal | None:
        """Return the last trade's price, restated for splits since: what positions are valued at.

        A split counts from the start of its day.
        """
        trade = self.last_trade(symbol, at)
        if trade is None:
            return None
        since = self.split_ratio(symbol, trade.row, self.timetable.begun(at))
        return trade.price if since == 1 else _quantized(trade.price / since)

    def quote(self, symbol: str, at: datetime) -> Quote | None:
        """Bid and ask around the last trade, renewed every second while the market is open."""
        trade = self.last_trade(symbol, at)
        if trade is None:
            return None
        closed_at = self.timetable.closes[trade.row]
        step = tick(trade.price)
        half = trade.price * self._half_spread
        bid = max(((trade.price - half) / step).to_integral_value(ROUND_FLOOR) * step, step)
        width = (2 * half / step).to_integral_value(ROUND_CEILING) * step
        above = (trade.price / step).to_integral_value(ROUND_CEILING) * step
        ask = max(bid + max(width, step), above)
        return Quote(min(at.replace(microsecond=0), closed_at), bid, ask)

    def day_bar(
        self, symbol: str, row: int, at: datetime, *, adjusted: bool = False
    ) -> Bar | None:
        """Bar of a session as known at `at`; partial until the session closes.

        It is unadjusted, or adjusted for the splits that have happened by `at`.
        """
        if row > self.timetable.started(at) or not self._has_bar(symbol, row):
            return None
        if at < self.timetable.closes[row]:
            return self.span_bar(symbol, row, 0, self.timetable.minute_of(row, at))
        # Not the unadjusted price divided again: a bar whose splits are all past stays exact.
        since = max(row, self.timetable.begun(at)) if adjusted else row
        factor = float(self.split_ratio(symbol, since, len(self.timetable.days)))
        opening, high, low, close = (price * factor for price in self._bar(symbol, row))
        t, n = self._panel_row[row], self._column[symbol]
        volume = round(float(self._panel.volume[t, n]) / factor)
        return Bar(self.timetable.opens[row], opening, high, low, close, volume)

    def span_bar(self, symbol: str, row: int, first: int, last: int) -> Bar:
        """Bar of the trades from minute `first` to `last`, both included, unadjusted."""
        trades = self._path(symbol, row)[first : last + 1]
        before = self._volume(symbol, row, first) if first > 0 else 0
        return Bar(
            self.timetable.opens[row] + first * MINUTE,
            float(trades[0]),
            float(max(trades)),
            float(min(trades)),
            float(trades[-1]),
            self._volume(symbol, row, last) - before,
        )

    def minute_volume(self, symbol: str, at: datetime) -> int:
        """Shares traded in the minute that ends at `at`, or at the opening."""
        row = self.timetable.started(at)
        minute = self.timetable.minute_of(row, at)
        before = self._volume(symbol, row, minute - 1) if minute > 0 else 0
        return self._volume(symbol, row, minute) - before

    def split_ratio(self, symbol: str, after: int, until: int) -> Decimal:
        """New shares for one, by all splits after row `after`, up to row `until` included."""
        ratio = Decimal(1)
        for row, each in self._splits.get(symbol, ()):
            if after < row <= until:
                ratio *= each
        return ratio

    def _has_bar(self, symbol: str, row: int) -> bool:
        return bool(self.rows_between(symbol, row, row))

    def _bar(self, symbol: str, row: int) -> tuple[float, float, float, float]:
        t, n = self._panel_row[row], self._column[symbol]
        p = self._panel
        return float(p.open[t, n]), float(p.high[t, n]), float(p.low[t, n]), float(p.close[t, n])

    def _price(self, symbol: str, row: int, minute: int) -> Decimal:
        return self._path(symbol, row)[minute]

    def _drawn_path(self, symbol: str, row: int) -> tuple[Decimal, ...]:
        factor = float(self.split_ratio(symbol, row, len(self.timetable.days)))
        opening, high, low, close = (price * factor for price in self._bar(symbol, row))
        seed = (self._seed, zlib.crc32(symbol.encode()), self.timetable.days[row].toordinal())
        path = intraday_path((opening, high, low, close), self.timetable.minutes(row), seed)
        return tuple(_quantized(Decimal(float(price))) for price in path)

    def _volume(self, symbol: str, row: int, minute: int) -> int:
        """Shares traded from the opening to a minute, as they were counted on that day."""
        t, n = self._panel_row[row], self._column[symbol]
        factor = float(self.split_ratio(symbol, row, len(self.timetable.days)))
        part = _profile(self.timetable.minutes(row))[minute]
        return int(np.floor(float(self._panel.volume[t, n]) / factor * part + 1e-6))


@lru_cache(maxsize=8)
def _profile(minutes: int) -> tuple[float, ...]:
    return tuple(float(part) for part in volume_profile(minutes))


def _quantized(price: Decimal) -> Decimal:
    return price.quantize(PRICE_QUANTUM)
