"""Market data: bars, latest trades, quotes and snapshots, as known at the simulated now.

Two feeds. SIP is everything; on a free plan it ends 15 minutes ago, and asking for more is 403.
IEX is live but has one exchange's small share of the volume; its prices here are the same. Bars
are unadjusted unless asked; "split" divides by the splits that have happened by now, and "all"
is the same, since there are no dividends here. Unknown symbols are silently absent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from swingtrader.simulator.clock import day_start, eastern_day
from swingtrader.simulator.errors import RefusalError, data_refused
from swingtrader.simulator.prices import Bar
from swingtrader.simulator.wire_text import instant_text, second_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from swingtrader.simulator.conditions import Conditions
    from swingtrader.simulator.prices import PriceTape
    from swingtrader.simulator.settings import ExchangeSettings

LARGEST_PAGE = 10_000
FEEDS = frozenset({"sip", "iex", "delayed_sip"})
ADJUSTMENTS = frozenset({"raw", "split", "dividend", "all"})

_SYMBOL = re.compile(r"[A-Z][A-Z0-9]*([./][A-Z0-9]+)?")
_TIMEFRAME = re.compile(r"(\d+)(Min|T|Hour|H|Day|D)")
_QUOTE_SIZE = 5


@dataclass(frozen=True)
class BarsQuery:
    """Query of GET /stocks/bars; both bounds are included."""

    symbols: tuple[str, ...]
    timeframe: str
    start: datetime | None = None
    end: datetime | None = None
    limit: int = 1000
    adjustment: str = "raw"
    feed: str | None = None
    descending: bool = False
    page_token: str | None = None


class MarketData:
    """What the data endpoints answer.

    Parameters
    ----------
    tape : PriceTape
    settings : ExchangeSettings
    conditions : Conditions
        Stale and absent quotes.
    """

    def __init__(
        self, tape: PriceTape, settings: ExchangeSettings, conditions: Conditions
    ) -> None:
        self._tape = tape
        self._settings = settings
        self._conditions = conditions

    def bars(self, query: BarsQuery, now: datetime) -> dict[str, Any]:
        """One page of bars, sorted by symbol and then time.

        Raises
        ------
        RefusalError
            400: malformed. 403: recent SIP data on a free plan.
        """
        _check_symbols(query.symbols)
        if not 1 <= query.limit <= LARGEST_PAGE:
            raise data_refused(400, f"limit must be between 1 and {LARGEST_PAGE}")
        if query.adjustment not in ADJUSTMENTS:
            raise data_refused(400, f"invalid adjustment: {query.adjustment}")
        known_at = self._known_at(query.feed, query.end, now)
        start = query.start or _day_start_of(now)
        end = query.end or known_at
        page: dict[str, list[dict[str, Any]]] = {}
        count = 0
        last = _token_place(query.page_token)
        next_token = None
        for symbol in sorted(set(query.symbols)):
            if last is not None and symbol < last[0]:
                continue
            for bar in self._series(symbol, query, start, end, known_at):
                stamp = second_text(bar.at)
                if last is not None and symbol == last[0] and _not_after(stamp, last[1], query):
                    continue
                if count == query.limit:
                    return {"bars": page, "next_page_token": next_token}
                page.setdefault(symbol, []).append(self._wire_bar(bar, query.feed))
                count += 1
                next_token = f"{symbol}|{stamp}"
        return {"bars": page, "next_page_token": None}

    def _series(
        self, symbol: str, query: BarsQuery, start: datetime, end: datetime, known_at: datetime
    ) -> Iterator[Bar]:
        minutes = _timeframe_minutes(query.timeframe)
        adjusted = query.adjustment in {"split", "all"}
        table = self._tape.timetable
        rows = self._tape.rows_between(symbol, table.begun(start), table.started(known_at))
        for row in reversed(rows) if query.descending else rows:
            if minutes is None:
                bars = self._daily(symbol, row, known_at, adjusted=adjusted)
            else:
                bars = self._intraday(symbol, row, minutes, known_at, adjusted=adjusted)
            for bar in reversed(bars) if query.descending else bars:
                if start <= bar.at <= end:
                    yield bar

    def _daily(
        self, symbol: str, row: int, known_at: datetime, *, adjusted: bool = False
    ) -> list[Bar]:
        bar = self._tape.day_bar(symbol, row, known_at, adjusted=adjusted)
        stamp = day_start(self._tape.timetable.days[row])
        return [] if bar is None else [replace(bar, at=stamp)]

    def _intraday(
        self, symbol: str, row: int, minutes: int, known_at: datetime, *, adjusted: bool
    ) -> list[Bar]:
        """Bars of whole minutes; the last one is partial."""
        table = self._tape.timetable
        done = table.minute_of(row, known_at)
        ratio = 1.0
        if adjusted:
            ratio = float(self._tape.split_ratio(symbol, row, table.begun(known_at)))
        bars = [
            self._tape.span_bar(symbol, row, first, min(first + minutes, done))
            for first in range(0, done, minutes)
        ]
        return [
            Bar(b.at, b.open / ratio, b.high / ratio, b.low / ratio, b.close / ratio,
                round(b.volume * ratio))
            for b in bars
        ]  # fmt: skip

    def _wire_bar(self, bar: Bar, feed: str | None) -> dict[str, Any]:
        volume = bar.volume
        if feed == "iex":
            volume = round(bar.volume * float(self._settings.iex_volume_share))
        return {
            "t": second_text(bar.at),
            "o": bar.open,
            "h": bar.high,
            "l": bar.low,
            "c": bar.close,
            "v": volume,
            "n": volume // 100 + 1,
            "vw": round((bar.high + bar.low + bar.close) / 3, 6),
        }

    def latest(
        self, what: str, symbols: tuple[str, ...], feed: str | None, now: datetime
    ) -> dict[str, Any]:
        """Answer `trades/latest`, `quotes/latest` or `bars/latest`.

        Parameters
        ----------
        what : {"trades", "quotes", "bars"}
        symbols : tuple of str
        feed : str or None
            None is the best the plan has: IEX on a free one.
        now : datetime
        """
        _check_symbols(symbols)
        self._check_latest_feed(feed)
        show = {"trades": self._trade, "quotes": self._quote, "bars": self._minute_bar}[what]
        shown = {symbol: show(symbol, self._seen_at(symbol, now)) for symbol in symbols}
        return {what: {symbol: each for symbol, each in shown.items() if each is not None}}

    def snapshots(
        self, symbols: tuple[str, ...], feed: str | None, now: datetime
    ) -> dict[str, Any]:
        """Answer `snapshots`: the symbols are the keys."""
        _check_symbols(symbols)
        self._check_latest_feed(feed)
        shown = {}
        for symbol in symbols:
            at = self._seen_at(symbol, now)
            row = self._tape.last_row(symbol, at)
            if row is None:
                continue
            earlier = self._tape.rows_between(symbol, 0, row - 1)
            shown[symbol] = {
                "latestTrade": self._trade(symbol, at),
                "latestQuote": self._quote(symbol, at),
                "minuteBar": self._minute_bar(symbol, at),
                "dailyBar": self._day(symbol, row, at, feed),
                "prevDailyBar": self._day(symbol, earlier[-1], at, feed) if earlier else None,
            }
        return shown

    def _day(self, symbol: str, row: int, at: datetime, feed: str | None) -> dict[str, Any] | None:
        bars = self._daily(symbol, row, at)
        return self._wire_bar(bars[0], feed or self._best_feed()) if bars else None

    def _trade(self, symbol: str, at: datetime) -> dict[str, Any] | None:
        trade = self._tape.last_trade(symbol, at)
        if trade is None:
            return None
        number = int(trade.at.timestamp() // 60)
        return {
            "t": instant_text(trade.at),
            "p": float(trade.price),
            "s": 100,
            "x": "V",
            "i": number,
            "c": ["@"],
            "z": "A",
        }

    def _quote(self, symbol: str, at: datetime) -> dict[str, Any] | None:
        quote = self._tape.quote(symbol, at)
        if quote is None:
            return None
        no_bid, no_ask = self._conditions.absent_sides(symbol)
        return {
            "t": instant_text(quote.at),
            "ax": " " if no_ask else "V",
            "ap": 0 if no_ask else float(quote.ask),
            "as": 0 if no_ask else _QUOTE_SIZE,
            "bx": " " if no_bid else "V",
            "bp": 0 if no_bid else float(quote.bid),
            "bs": 0 if no_bid else _QUOTE_SIZE,
            "c": ["R"],
            "z": "A",
        }

    def _minute_bar(self, symbol: str, at: datetime) -> dict[str, Any] | None:
        row = self._tape.last_row(symbol, at)
        if row is None:
            return None
        minute = self._tape.timetable.minute_of(row, at)
        bar = self._tape.span_bar(symbol, row, max(minute - 1, 0), minute)
        return self._wire_bar(bar, self._best_feed())

    def _seen_at(self, symbol: str, now: datetime) -> datetime:
        age = self._conditions.age(symbol)
        return now if age is None else now - age

    def _best_feed(self) -> str:
        return "iex" if self._settings.sip_delay else "sip"

    def _check_latest_feed(self, feed: str | None) -> None:
        _check_feed(feed)
        if feed == "sip" and self._settings.sip_delay:
            raise _recent_sip_refused()

    def _known_at(self, feed: str | None, end: datetime | None, now: datetime) -> datetime:
        """Until when a feed may be looked at; no feed named means SIP."""
        _check_feed(feed)
        if feed == "iex":
            return now
        if feed == "delayed_sip":
            return now - timedelta(minutes=15)
        until = now - self._settings.sip_delay
        if end is not None and until < end and self._settings.sip_delay:
            raise _recent_sip_refused()
        return until


def _recent_sip_refused() -> RefusalError:
    """403 of a free plan."""
    return data_refused(403, "subscription does not permit querying recent SIP data")


def _day_start_of(at: datetime) -> datetime:
    """Midnight in New York before an instant."""
    return day_start(eastern_day(at))


def _check_symbols(symbols: tuple[str, ...]) -> None:
    if not symbols:
        raise data_refused(400, "symbols is required")
    for symbol in symbols:
        if not _SYMBOL.fullmatch(symbol):
            raise data_refused(400, f"invalid symbol: {symbol}")


def _check_feed(feed: str | None) -> None:
    if feed is not None and feed not in FEEDS:
        raise data_refused(400, f"invalid feed: {feed}")


def _timeframe_minutes(timeframe: str) -> int | None:
    """Minutes of an intraday bar, None for a daily one."""
    match = _TIMEFRAME.fullmatch(timeframe)
    amount = int(match[1]) if match else 0
    unit = match[2][0] if match else ""
    largest = {"M": 59, "T": 59, "H": 23, "D": 1}.get(unit, 0)
    if not 1 <= amount <= largest:
        raise data_refused(400, f"invalid timeframe: {timeframe}")
    return {"M": amount, "T": amount, "H": 60 * amount, "D": None}[unit]


def _token_place(token: str | None) -> tuple[str, str] | None:
    if token is None:
        return None
    symbol, bar, stamp = token.partition("|")
    if not bar:
        raise data_refused(400, "invalid page_token")
    return symbol, stamp


def _not_after(stamp: str, last: str, query: BarsQuery) -> bool:
    return stamp >= last if query.descending else stamp <= last
