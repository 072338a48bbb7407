"""What a backtest reads, before any model: options, bars, factors, headlines, intraday bars."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from swingtrader.adapters.bars import read_bars
from swingtrader.adapters.calendar import session_opens
from swingtrader.adapters.intraday import read_intraday_bars
from swingtrader.commands.backtest_store import LockedScores
from swingtrader.commands.news_sentiment import news_sentiment
from swingtrader.core.signals import market_view
from swingtrader.core.walkforward import (
    LABEL_HORIZON,
    MINIMUM_CROSS_SECTION,
    RANKER_MINIMUM,
    first_decision,
    forward_returns,
    top_quartile,
    usable_rows,
)
from swingtrader.errors import FileDataError
from swingtrader.estimators.agents import TIMESTEPS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime
    from pathlib import Path

    from swingtrader.adapters.bars import Bars
    from swingtrader.adapters.intraday import IntradayBars
    from swingtrader.commands.rl_mode import RlMode
    from swingtrader.config import Strategy
    from swingtrader.core.arrays import BoolArray, FloatArray, SessionArray
    from swingtrader.core.market import Panel
    from swingtrader.core.signals import MarketView

RANGE_TOLERANCE = 1.25
"""Factor by which an intraday price may lie outside the day's range, as odd lots and bad prints
do. No split is smaller than five for four."""


@dataclass(frozen=True)
class BacktestOptions:
    """What the command line asks for.

    Attributes
    ----------
    start, end : date, optional
        First and last day to trade; None for all that the bars allow.
    out : Path
        Directory of the files.
    now : datetime
        Of this run, aware. Dates the trial; enters no result.
    rl : {'off', 'frozen', 'walk-forward'}
        Where the reinforcement-learning signal comes from.
    rl_timesteps : int
        Steps of each agent's training.
    """

    bars: Path
    news: Path | None
    intraday: Path | None
    start: date | None
    end: date | None
    cash_usd: float
    out: Path
    seed: int
    state_dir: Path
    models_dir: Path
    now: datetime
    rl: RlMode = "off"
    rl_timesteps: int = TIMESTEPS


class Progress(Protocol):
    """Where a run tells how far it is."""

    def phase(self, name: str, total: int = 1) -> Callable[[int], None]:
        """Begin a phase; the returned function is told how much of `total` is done."""

    def warn(self, event: str, **facts: object) -> None:
        """Say something the person should know, as it happens."""


@dataclass(frozen=True, eq=False)
class Gathered:
    """What the files say, before any model.

    Attributes
    ----------
    rows : range
        Sessions to trade, as rows of the panel.
    forward, labels : ndarray of shape (T, N)
    usable : ndarray of shape (T, N), bool
    sentiment : ndarray of shape (T, N), optional
    """

    bars: Bars
    view: MarketView
    rows: range
    forward: FloatArray
    labels: FloatArray
    usable: BoolArray
    sentiment: FloatArray | None
    intraday: IntradayBars | None


def gathered_inputs(options: BacktestOptions, strategy: Strategy, progress: Progress) -> Gathered:
    """Read and check every file, and derive what needs no model.

    Raises
    ------
    DataError
        A file cannot be used, or its history is too short for the dates asked for.
    """
    spread_bps, limit_bps = 2 * strategy.costs.half_spread_bps, strategy.policy.limits.spread_bps
    if spread_bps > limit_bps:
        progress.warn(
            "entries.refused",
            why=f"the assumed spread of {spread_bps:g} bps exceeds the limit of {limit_bps:g}: "
            "nothing will be bought",
        )
    if not options.bars.exists():
        raise FileDataError(options.bars, "cannot be read: No such file; name one with --bars")
    done = progress.phase("Reading bars")
    bars = read_bars(options.bars)
    for warning in bars.warnings:
        progress.warn("bars.doubted", why=warning)
    done(1)
    done = progress.phase("Computing factors")
    try:
        view = market_view(bars.panel, strategy.universe, listed_only=strategy.listed_only)
    except ValueError as error:
        raise FileDataError(options.bars, f"{error}; add stocks or change the universe") from error
    forward = forward_returns(view.stocks.close)
    labels = top_quartile(forward)
    usable = usable_rows(view.factors, labels)
    first = first_decision(usable)
    if len(view.stocks.symbols) < MINIMUM_CROSS_SECTION:
        stocks = f"{MINIMUM_CROSS_SECTION} stocks"
        progress.warn("ranker.absent", why=f"fewer than {stocks} to rank: nothing will be bought")
        first = _first_unranked(len(view.stocks.sessions))
    rows = _traded_rows(options, view.stocks.sessions, first)
    done(1)
    sentiment = None
    if options.news is not None:
        opens_at = session_opens(view.stocks.sessions)
        done = progress.phase("Reading headlines")
        sentiment, warnings = news_sentiment(
            options.news,
            options.models_dir,
            opens_at,
            view.stocks.symbols,
            cache=LockedScores(options, progress.warn),
            at=options.now,
            begin=partial(progress.phase, "Scoring headlines"),
        )
        for warning in warnings:
            progress.warn("news.doubted", why=warning)
        done(1)
    intraday = None
    if options.intraday is not None:
        done = progress.phase("Reading intraday bars")
        intraday = read_intraday_bars(options.intraday, view.stocks.sessions)
        _check_same_basis(options.intraday, intraday, view.stocks)
        for warning in intraday.warnings:
            progress.warn("intraday.doubted", why=warning)
        done(1)
    return Gathered(bars, view, rows, forward, labels, usable, sentiment, intraday)


def _check_same_basis(path: Path, intraday: IntradayBars, stocks: Panel) -> None:
    """Refuse intraday prices far outside the day's range: another split basis, most likely.

    Bought at one and marked at the other, a position would earn the ratio of the two.
    """
    rows = np.searchsorted(stocks.sessions, intraday.sessions)
    columns = [stocks.column(symbol) for symbol in intraday.symbols]
    known = np.array([-1 if n is None else n for n in columns])[intraday.symbol_columns]
    low = np.where(known >= 0, stocks.low[rows, known], np.nan)
    high = np.where(known >= 0, stocks.high[rows, known], np.nan)
    opened = intraday.fields[0]
    outside = (opened < low / RANGE_TOLERANCE) | (opened > high * RANGE_TOLERANCE)
    if outside.any():
        first = int(outside.argmax())
        raise FileDataError(
            path,
            f"a price of {opened[first]:g} lies far outside the daily range of "
            f"{low[first]:g} to {high[first]:g}; adjust both files for the same splits",
            symbol=intraday.symbols[intraday.symbol_columns[first]],
            date=str(intraday.sessions[first]),
        )


def _first_unranked(sessions: int) -> int | None:
    """Row after a year of sessions whose outcome is known, where no model waits for more."""
    row = RANKER_MINIMUM + LABEL_HORIZON
    return row if row < sessions else None


def _traded_rows(options: BacktestOptions, sessions: SessionArray, first: int | None) -> range:
    """Rows between --start and --end for which there is enough history."""
    if first is None:
        raise FileDataError(
            options.bars,
            f"its {len(sessions)} sessions are too few: a ranker needs {RANKER_MINIMUM} sessions "
            f"on which {MINIMUM_CROSS_SECTION} stocks have a quarter of history behind them and "
            f"a known {LABEL_HORIZON}-session outcome (about 340 sessions in all)",
        )
    start, stop = first, len(sessions)
    if options.start is not None:
        start = int(np.searchsorted(sessions, np.datetime64(options.start, "D")))
    if options.end is not None:
        stop = int(np.searchsorted(sessions, np.datetime64(options.end, "D"), side="right"))
    if start >= stop:
        raise FileDataError(
            options.bars,
            "has no session to trade in the period asked for; its bars allow "
            f"{sessions[first]} to {sessions[-1]}",
        )
    if start < first:
        raise FileDataError(
            options.bars,
            f"has too little history before {options.start}; the first session with enough to "
            f"train on is {sessions[first]}",
        )
    return range(start, stop)
