"""``swingtrader data pull``: daily bars and headlines into the local Parquet cache.

Only what is missing is asked for, and with it a few sessions that the cache has already. Where
these differ, history was restated (by a split, most often), so the symbol is pulled again from
its beginning. Until that answer is there none of its new bars is kept: beside old ones of another
basis they would look like a crash, and the next run would find the two in agreement.

Bars are written after every group of symbols, so an interrupted run loses one group at most and
the next one asks for what is missing. Headlines are written once, at the end: the latest of them
tells the next run where to go on, so it must speak for every group.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import structlog

from swingtrader.adapters.bars import BarCache, read_bars
from swingtrader.adapters.calendar import FIRST_DAY, sessions_between
from swingtrader.adapters.news import NewsCache, read_news
from swingtrader.commands.data_check import (
    BARS_FILE,
    NEWS_FILE,
    last_completed_session,
    restatements,
    universe_symbols,
)
from swingtrader.errors import ConfigurationError, FileDataError, UsageError
from swingtrader.files import abandoned, ensure_directory, sync_to_disk, unused_path
from swingtrader.ports import MarketData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from swingtrader.adapters.alpaca_data import Headline
    from swingtrader.commands.backtest_inputs import Progress
    from swingtrader.commands.trading_command import Launch
    from swingtrader.config import Strategy
    from swingtrader.core.market import Panel
    from swingtrader.core.portfolio import MarketClock

DEFAULT_SESSIONS = 1300
"""Enough for the regime model's window of 1,260 and the sessions its features look back."""

GROUP = 25
"""Symbols asked for together; what an interruption loses."""

OVERLAP_SESSIONS = 5
"""Asked for again to see whether history was restated. A last bar older than this is told of."""

NEWS_OVERLAP = timedelta(hours=1)
NEWS_KEPT = timedelta(days=400)
MOST_HEADLINES = 2500
"""Of one group: 50 pages, at the 200 requests a minute that the broker allows."""

_ASKABLE = re.compile(r"[A-Z][A-Z0-9]*([./][A-Z0-9]+)?")  # the feed refuses a whole group else

ContentT = TypeVar("ContentT")
SpanT = TypeVar("SpanT")
_log = structlog.get_logger()


class Feed(MarketData, Protocol):
    """Market data with headlines, and what was odd about the answers."""

    @property
    def doubts(self) -> Sequence[str]:
        """One sentence a kind of oddity met so far."""

    def headlines(
        self, symbols: Sequence[str], start: datetime, end: datetime, *, most: int
    ) -> Sequence[Headline]:
        """Read at most `most` headlines that name any of `symbols`, published in the span."""


@dataclass(frozen=True)
class PullOptions:
    """What the command line asks for, by the broker's clock.

    Attributes
    ----------
    sessions : int, optional
        Depth of history; None for `DEFAULT_SESSIONS`.
    news_days : int
        How far back to ask for headlines; 0 for none.
    symbols : tuple of str
        Pulled beside the universe's.
    """

    data_dir: Path
    clock: MarketClock
    sessions: int | None = None
    news_days: int = 5
    symbols: tuple[str, ...] = ()


@dataclass(frozen=True)
class PullResult:
    """What a pull did; the fields of its ``--json``.

    `session` is the last completed one, up to which was asked; `symbols` counts those asked for;
    `restated` were pulled again from their beginning; of `unknown` there is no bar anywhere.
    """

    session: date
    symbols: int
    bars_added: int
    restated: tuple[str, ...]
    unknown: tuple[str, ...]
    headlines_added: int
    warnings: tuple[str, ...]
    path: Path

    def as_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        shown = asdict(self) | {"session": self.session.isoformat(), "path": str(self.path)}
        return {"command": "data pull", **shown}


def pull(options: PullOptions, strategy: Strategy, data: Feed, progress: Progress) -> PullResult:
    """Bring the cache up to the last completed session.

    Raises
    ------
    UsageError
        A number is out of its range.
    ConfigurationError
        The cache cannot be read or written: permission, disk full. It is as it was.
    BrokerError, CredentialsRefused
        From the feed; what was written before stays.
    """
    if options.sessions is not None and options.sessions < 1:
        raise UsageError(f"--sessions must be at least 1, not {options.sessions}")
    if options.news_days < 0:
        raise UsageError(f"--news-days must not be negative, not {options.news_days}")
    ensure_directory(options.data_dir)
    for name in (BARS_FILE, NEWS_FILE):
        for leftover in abandoned(options.data_dir, name):
            leftover.unlink(missing_ok=True)
    run = _Run(options, data, progress)
    wanted = sorted({*universe_symbols(strategy.universe), *options.symbols})
    run.pull_bars([symbol for symbol in wanted if _ASKABLE.fullmatch(symbol)])
    run.tell_of_absences(wanted)
    headlines = run.pull_news(sorted(strategy.universe.sector_of))
    for doubt in data.doubts:
        run.warn("feed.doubted", doubt)
    _log.info("cache.pulled", bars=run.cache.added, headlines=headlines, session=str(run.session))
    unknown = tuple(symbol for symbol in wanted if run.cache.span(symbol) is None)
    return PullResult(
        run.session, len(wanted), run.cache.added, tuple(sorted(run.restated)), unknown,
        headlines, tuple(run.warnings), options.data_dir,
    )  # fmt: skip


def pull_now(
    launch: Launch,
    strategy: Strategy,
    progress: Progress,
    *,
    sessions: int | None,
    news_days: int,
    symbols: tuple[str, ...],
) -> dict[str, Any]:
    """Pull by the broker's clock, and return what ``--json`` prints."""
    clock = launch.connect.broker().clock()
    options = PullOptions(launch.places.data_dir, clock, sessions, news_days, symbols)
    return pull(options, strategy, launch.connect.data(clock.at), progress).as_json()


class _Run:
    """One pull, and what it has met so far."""

    def __init__(self, options: PullOptions, data: Feed, progress: Progress) -> None:
        self._options = options
        self._data = data
        self._progress = progress
        self._at = options.clock.at.astimezone(UTC)
        self.session = last_completed_session(self._at)
        self._calendar = sessions_between(FIRST_DAY, self.session)
        self.warnings: list[str] = []
        self.restated: set[str] = set()
        path = options.data_dir / BARS_FILE
        bars = self._opened(path, read_bars)
        self.cache = BarCache(path, None if bars is None else bars.panel)

    def warn(self, event: str, sentence: str) -> None:
        """Warn now, and in the result."""
        self.warnings.append(sentence)
        self._progress.warn(event, why=sentence)

    def pull_bars(self, symbols: Sequence[str]) -> None:
        """Ask for what is missing, and again for all of what was restated."""
        first = self._calendar[-(self._options.sessions or DEFAULT_SESSIONS) :][0].item()
        spans: dict[tuple[date, date], list[str]] = defaultdict(list)
        for symbol in symbols:
            known = self.cache.span(symbol)
            if known is None:
                spans[first, self.session].append(symbol)
                continue
            row = int(np.searchsorted(self._calendar, np.datetime64(known[1]), side="right"))
            again = self._calendar[max(row - OVERLAP_SESSIONS, 0)].item()
            spans[again, self.session].append(symbol)
            if known[0] > first:
                spans[first, known[0]].append(symbol)
        for group, (begin, end) in self._questions("Pulling bars", spans):
            self._keep(self._data.daily_bars(group, begin, end))
        whole: dict[tuple[date, date], list[str]] = defaultdict(list)
        for symbol in sorted(self.restated):
            known = self.cache.span(symbol)
            whole[min(first, known[0]) if known else first, self.session].append(symbol)
        for group, (begin, end) in self._questions("Pulling restated bars", whole):
            self.cache.replace(self._data.daily_bars(group, begin, end))

    def _questions(
        self, name: str, symbols: Mapping[SpanT, Sequence[str]]
    ) -> Iterator[tuple[Sequence[str], SpanT]]:
        """Groups of symbols with the span they lack, as a phase of the progress."""
        questions = [
            (named[start : start + GROUP], span)
            for span, named in symbols.items()
            for start in range(0, len(named), GROUP)
        ]
        if questions:
            done = self._progress.phase(name, len(questions))
            for number, question in enumerate(questions, start=1):
                yield question
                done(number)

    def _keep(self, answer: Panel) -> None:
        """Keep an answer, but nothing of symbols whose cached history it contradicts."""
        for symbol, example in restatements(self.cache.panel, answer).items():
            if symbol not in self.restated:
                self.restated.add(symbol)
                what = f"{symbol}: history was restated ({example}); all of it is pulled again"
                self.warn("symbol.restated", what)
        self.cache.add(answer.select([s for s in answer.symbols if s not in self.restated]))

    def tell_of_absences(self, symbols: Sequence[str]) -> None:
        """Warn of symbols without bars, without recent ones, and of bars from the future."""
        spans = {symbol: self.cache.span(symbol) for symbol in symbols}
        if unknown := [symbol for symbol, span in spans.items() if span is None]:
            self.warn("symbol.unknown", f"the feed has no bar of {', '.join(unknown)}")
        oldest = self._calendar[-OVERLAP_SESSIONS - 1 :][0].item()
        last = {symbol: span[1] for symbol, span in spans.items() if span}
        if ended := [f"{symbol} ({day})" for symbol, day in last.items() if day < oldest]:
            self.warn("symbol.ended", f"no bar in the last sessions: {', '.join(ended)}")
        if (latest := max(last.values(), default=self.session)) > self.session:
            what = f"the cache has bars until {latest}, after the last completed session"
            self.warn("cache.ahead", f"{what}; move away what a rehearsal filled")

    def pull_news(self, symbols: Sequence[str]) -> int:
        """Add what was published since the latest headline in the cache; return how many."""
        if not self._options.news_days:
            return 0
        path = self._options.data_dir / NEWS_FILE
        cache = NewsCache(path, self._opened(path, read_news))
        oldest = self._at - timedelta(days=self._options.news_days)
        resumed = max(oldest, (cache.latest_at or oldest) - NEWS_OVERLAP)
        known = cache.symbols
        spans: dict[datetime, list[str]] = defaultdict(list)
        for symbol in symbols:
            start = resumed if symbol in known else oldest
            if start < self._at:
                spans[start].append(symbol)
        for group, start in self._questions("Pulling headlines", spans):
            answer = self._data.headlines(group, start, self._at, most=MOST_HEADLINES)
            if len(answer) >= MOST_HEADLINES:
                what = f"over {MOST_HEADLINES:,} headlines of {group[0]} to {group[-1]}"
                self.warn("news.capped", f"{what}; the older ones were left out")
            for headline in answer:
                cache.add(headline.at, headline.symbols, headline.text)
        return cache.write(self._at - NEWS_KEPT)

    def _opened(self, path: Path, read: Callable[[Path], ContentT]) -> ContentT | None:
        """Content of a cache file; None where there is none, or a damaged one, now set aside."""
        try:
            path.open("rb").close()  # what this user may not read is not damaged
            return read(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from error
        except FileDataError as error:
            aside = f"{path.name}.damaged-{self._at:%Y%m%dT%H%M%SZ}"
            self.warn("cache.damaged", f"{error}; moved to {aside} and pulled anew")
        try:
            path.rename(unused_path(path.with_name(aside)))
            sync_to_disk(path.parent)
        except OSError as error:
            message = f"{path}: is damaged and cannot be moved aside ({error.strerror})"
            raise ConfigurationError(message) from error
        return None
