"""Quotes, daily bars and headlines from Alpaca's data interface.

Choices. Live quotes come from the feed that is set, daily bars always from the consolidated one:
one exchange's small share of the volume would distort floors and factors. A bar is believed only
once its session had closed as far as the feed could see: a free plan sees until 15 minutes ago,
so a bar asked for five minutes after the close lacks the closing auction, and nothing in it says
so. What later than `asof` is, is not asked for.

One row that cannot be used costs that row, and a sentence in `doubts`; a symbol that the broker
calls invalid costs that symbol, not all that were asked for beside it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from swingtrader.adapters.alpaca_fields import instant, text, written
from swingtrader.adapters.alpaca_market_rows import bar_of, panel_of, quote_of
from swingtrader.adapters.alpaca_wire import Connection, ReadRefused, data_wires
from swingtrader.adapters.calendar import session_closes, sessions_between
from swingtrader.core.new_york import new_york_date, start_of
from swingtrader.errors import BrokerUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from requests import Session

    from swingtrader.adapters.alpaca_market_rows import Bar
    from swingtrader.adapters.alpaca_wire import Wire
    from swingtrader.core.market import Panel
    from swingtrader.core.portfolio import Quote

    Json = Mapping[str, Any]

SYMBOLS_A_REQUEST = 100
BARS_PAGE = 10_000
NEWS_PAGE = 50
LONGEST_HEADLINE = 300

HIDDEN = timedelta(minutes=16)
"""What a free plan hides of consolidated data, and a minute for the closing auction."""

_INVALID = re.compile(r"invalid symbols?: *(?P<symbol>[^\s,;]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Headline:
    """One headline: words of a stranger, printable, on one line, and never to be logged.

    Attributes
    ----------
    at : datetime
        When it was published; aware, UTC.
    symbols : tuple of str
        Sorted, without repeats.
    """

    at: datetime
    symbols: tuple[str, ...]
    text: str


class AlpacaData:
    """`ports.MarketData` over the real clients, and headlines.

    Parameters
    ----------
    connection : Connection
    pause : callable
        Waits so many seconds, between tries.
    asof : datetime
        The broker's now of this run; aware.

    Attributes
    ----------
    doubts : list of str
        What was odd about the answers so far, one sentence a kind and symbol.
    """

    def __init__(
        self, connection: Connection, *, pause: Callable[[float], None], asof: datetime
    ) -> None:
        if asof.tzinfo is None:
            raise ValueError("asof must carry its time zone")
        self._stocks, self._news = data_wires(connection, pause)
        self._feed = connection.feed
        self._asof = asof.astimezone(UTC)
        self._invalid: set[str] = set()
        self.doubts: list[str] = []

    @property
    def sessions(self) -> tuple[Session, Session]:
        """Carry the requests; an exchange in the same process is mounted on both."""
        return self._stocks.session, self._news.session

    def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """Read latest quotes and trades of the live feed; symbols it does not know are absent."""
        found: dict[str, Quote] = {}
        for group in _groups(symbols):
            answer = self._of_symbols("/stocks/snapshots", group, {"feed": self._feed})
            for symbol in group:
                snapshot = answer.get(symbol)
                if isinstance(snapshot, Mapping):
                    found[symbol] = quote_of(symbol, snapshot)
        return found

    def daily_bars(self, symbols: Sequence[str], first: date, last: date) -> Panel:
        """Read completed, consolidated, split-adjusted daily bars of sessions `first` to `last`.

        Returns
        -------
        Panel
            Without the symbols that have no bar, and without sessions in which none has one.
            Never with a session that has not closed, whatever `last` says.
        """
        seen_until = self._asof - HIDDEN
        sessions = _completed(first, last, seen_until)
        if not sessions:
            return panel_of({})
        query = {
            "timeframe": "1Day",
            "adjustment": "split",
            "feed": "sip",
            "start": written(start_of(first)),
            "end": written(min(seen_until, start_of(last + timedelta(days=1)))),
            "limit": BARS_PAGE,
            "sort": "asc",
        }
        bars: dict[tuple[str, date], Bar] = {}
        unusable: Counter[str] = Counter()
        for group in _groups(symbols):
            for symbol, row in self._bar_rows(group, query):
                at, bar = instant(row, "t"), bar_of(row)
                if at is None or bar is None:
                    unusable[symbol] += 1
                elif (session := new_york_date(at)) in sessions:
                    bars[symbol, session] = bar
        for symbol, count in unusable.items():
            self.doubts.append(f"{symbol}: {count} malformed daily bars were left out")
        return panel_of(bars)

    def headlines(
        self, symbols: Sequence[str], start: datetime, end: datetime, *, most: int
    ) -> tuple[Headline, ...]:
        """Read the latest headlines that name any of the symbols, oldest first.

        Parameters
        ----------
        start, end : datetime
            Aware; nothing after `asof` is asked for.
        most : int
            Where there are more, the older ones are left out.

        Returns
        -------
        tuple of Headline
            One that names symbols of several requests (of `SYMBOLS_A_REQUEST` each) comes with
            each of them.
        """
        query = {
            "start": written(start),
            "end": written(min(end, self._asof)),
            "sort": "desc",
        }
        if most < 1 or start > min(end, self._asof):
            return ()
        found: list[Headline] = []
        for group in _groups(symbols):
            of_group: list[Headline] = []
            for row in self._news_rows(group, query, most):
                at, words = instant(row, "created_at"), _line(text(row, "headline") or "")
                if at is not None and at <= self._asof and words:
                    of_group.append(Headline(at, _symbols(row), words))
            found.extend(reversed(of_group))
        return tuple(sorted(found, key=lambda headline: headline.at)[-most:])

    def _of_symbols(
        self, path: str, symbols: Sequence[str], query: Json, wire: Wire | None = None
    ) -> Json:
        """Ask about symbols; those that the broker calls invalid are left out and told of."""
        while True:
            asked = [symbol for symbol in symbols if symbol not in self._invalid]
            if not asked:
                return {}
            try:
                return (wire or self._stocks).row(path, {**query, "symbols": ",".join(asked)})
            except ReadRefused as refused:
                named = _INVALID.search(refused.message)
                if named is None or named["symbol"] not in asked:
                    raise
                self._invalid.add(named["symbol"])
                self.doubts.append(f"{named['symbol']}: the broker says that it is no symbol")

    def _bar_rows(self, symbols: Sequence[str], query: Json) -> Iterator[tuple[str, Json]]:
        path = "/stocks/bars"
        asked = self._stocks.asked("GET", path)

        def page(token: Json) -> Json:
            return self._of_symbols(path, symbols, {**query, **token})

        for answer in _pages(asked, page):
            series = answer.get("bars") or {}
            if not isinstance(series, Mapping):
                raise BrokerUnreachable(asked, "bars are no JSON object")
            for symbol in symbols:
                rows = series.get(symbol) or []
                for row in rows if isinstance(rows, list) else [rows]:
                    yield symbol, row if isinstance(row, Mapping) else {}

    def _news_rows(self, symbols: Sequence[str], query: Json, most: int) -> Iterator[Json]:
        path = "/news"
        asked = self._news.asked("GET", path)
        left = most

        def page(token: Json) -> Json:
            limited = {**query, **token, "limit": min(left, NEWS_PAGE)}
            return self._of_symbols(path, symbols, limited, self._news)

        for answer in _pages(asked, page):
            rows = answer.get("news") or []
            if not isinstance(rows, list):
                raise BrokerUnreachable(asked, "news are no list")
            yield from (row for row in rows[:left] if isinstance(row, Mapping))
            left -= len(rows)
            if left < 1:
                return


def _pages(asked: str, ask: Callable[[Json], Json]) -> Iterator[Json]:
    """Ask for page after page, until none is named that comes next."""
    seen: set[str] = set()
    page: dict[str, str] = {}
    while True:
        answer = ask(page)
        yield answer
        token = answer.get("next_page_token")
        if token is None or token == "":
            return
        if not isinstance(token, str) or token in seen:
            raise BrokerUnreachable(asked, "its pages do not go on")
        seen.add(token)
        page = {"page_token": token}


def _groups(symbols: Sequence[str]) -> Iterator[list[str]]:
    distinct = list(dict.fromkeys(symbols))
    for start in range(0, len(distinct), SYMBOLS_A_REQUEST):
        yield distinct[start : start + SYMBOLS_A_REQUEST]


def _completed(first: date, last: date, seen_until: datetime) -> frozenset[date]:
    """Sessions from `first` to `last` that had closed by then."""
    sessions = sessions_between(first, last)
    until = np.datetime64(seen_until.replace(tzinfo=None), "us")
    closed: list[date] = sessions[session_closes(sessions) <= until].tolist()
    return frozenset(closed)


def _line(words: str) -> str:
    """Make a stranger's text one printable line of bounded length."""
    printable = "".join(letter if letter.isprintable() else " " for letter in words)
    return " ".join(printable.split())[:LONGEST_HEADLINE].rstrip()


def _symbols(row: Json) -> tuple[str, ...]:
    symbols = row.get("symbols")
    if not isinstance(symbols, list):
        return ()
    return tuple(sorted({symbol for symbol in symbols if isinstance(symbol, str) and symbol}))
