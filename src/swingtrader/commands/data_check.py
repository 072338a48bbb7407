"""``swingtrader data check``: whether the local cache may be traded on.

Offline: the cache, the calendar and an instant. Also the home of what the pull must know of bars:
which ratios are a split's, and whether two tellings of a bar belong to one history.

A suspected split blocks trading, so a false alarm is dear. Price alone does not tell one from
news: NFLX fell by a third on 2011-10-25. But news trades several times the usual volume and a
split does not, so a move counts only where the session's volume was ordinary, in shares or in
dollars, whichever of the two the file leaves unadjusted. 5:4 and 4:3 are not looked for: the
market makes such moves in ordinary volume too (AMD on 2018-10-25).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.adapters.bar_rows import FIELDS
from swingtrader.adapters.bars import read_bars
from swingtrader.adapters.calendar import session_closes, sessions_between
from swingtrader.core.signals import market_view
from swingtrader.core.walkforward import (
    LABEL_HORIZON,
    RANKER_MINIMUM,
    first_decision,
    forward_returns,
    top_quartile,
    usable_rows,
)
from swingtrader.errors import DataError, FileDataError
from swingtrader.reports.data_tables import DataCheck, Finding, SymbolFindings
from swingtrader.reports.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from swingtrader.config import Strategy
    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.market import Panel
    from swingtrader.core.universe import Universe

BARS_FILE = "bars.parquet"
NEWS_FILE = "news.parquet"

SPLIT_RATIOS = (
    Fraction(3, 2),
    Fraction(5, 2),
    *(Fraction(n) for n in (2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50)),
)
"""New shares for an old one, or old for a new."""

SPLIT_TOLERANCE = 0.03
"""Relative: how far the night or the day may move the price beside the split."""
ORDINARY_VOLUME = 2.5
"""Times the median of the 20 sessions before. Of 81 symbols over ten years the least volume on a
move as large as a split was 3.7 times the median."""
SPLIT_SESSIONS = 300
"""A suspected split this recent lies in what the factors and the ranker look back at."""

PRICE_TOLERANCE = 1e-3
VOLUME_TOLERANCE = 0.02
"""Relative: how far two tellings of a bar may lie apart, and volumes from a split's ratio."""


def universe_symbols(universe: Universe) -> tuple[str, ...]:
    """Stocks, funds, market and context of a universe that a feed of stocks can have."""
    funds = (sector.etf for sector in universe.sectors if sector.etf)
    symbols = {*universe.sector_of, *funds, universe.market, *universe.context}
    return tuple(sorted(symbol for symbol in symbols if not symbol.startswith("^")))


def last_completed_session(at: datetime) -> date:
    """Last session whose close is not later than `at`, an aware instant."""
    at = at.astimezone(UTC)
    sessions = sessions_between(at.date() - timedelta(days=14), at.date())
    closed = session_closes(sessions) <= np.datetime64(at.replace(tzinfo=None), "us")
    last: date = sessions[closed][-1].item()
    return last


def split_near(ratio: float, tolerance: float) -> Fraction | None:
    """Split whose new shares per old one lie within `tolerance`, relative, of `ratio`."""
    for split in (*SPLIT_RATIOS, *(1 / split for split in SPLIT_RATIOS)):
        if abs(ratio / float(split) - 1) <= tolerance:
            return split
    return None


def restatements(older: Panel, newer: Panel) -> dict[str, str]:
    """Symbols of which the two panels tell different histories, each with an example.

    A price that differs by over 0.1 % tells of another history, and so do volumes that differ by
    one and the same split; a volume that was merely corrected, as happens for days, does not.
    """
    _, before, after = np.intersect1d(older.sessions, newer.sessions, return_indices=True)
    found: dict[str, str] = {}
    for column, symbol in enumerate(newer.symbols):
        place = older.column(symbol)
        if place is None:
            continue
        for name in FIELDS:
            was = getattr(older, name)[before, place]
            now = getattr(newer, name)[after, column]
            told = np.flatnonzero((was > 0) & ~np.isnan(now))
            ratio = now[told] / was[told]
            different = np.abs(ratio - 1) > PRICE_TOLERANCE
            if different.any() and (name != "volume" or _is_one_split(ratio)):
                row = told[different.argmax()]
                session = older.sessions[before[row]]
                found[symbol] = f"{name} of {session} was {was[row]:g}, is {now[row]:g}"
                break
    return found


def _is_one_split(ratio: FloatArray) -> bool:
    split = split_near(float(np.median(ratio)), VOLUME_TOLERANCE)
    return split is not None and bool((np.abs(ratio / float(split) - 1) <= VOLUME_TOLERANCE).all())


def check(data_dir: Path, strategy: Strategy, *, now: datetime) -> DataCheck:
    """Judge the cached bars.

    Parameters
    ----------
    data_dir : Path
        Where `data pull` keeps its files.
    strategy : Strategy
    now : datetime
        Aware. Decides which session was the last to complete.

    Returns
    -------
    DataCheck
        Also for a cache that is missing or damaged. Symbols beginning with ^ are not looked at.
    """
    path, session = data_dir / BARS_FILE, last_completed_session(now)
    if not path.exists():
        why = f"{path}: there is no cache yet; run swingtrader data pull"
        return DataCheck(path, session, 0, (), (why,))
    try:
        bars = read_bars(path)
    except FileDataError as error:
        why = f"{error}; swingtrader data pull sets the file aside and pulls it anew"
        return DataCheck(path, session, 0, (), (why,))
    panel = bars.panel
    wanted = universe_symbols(strategy.universe)
    symbols = sorted({*wanted, *(name for name in panel.symbols if not name.startswith("^"))})
    trainable, too_short = _trainable(panel, strategy)
    rows = tuple(_findings(panel, symbol, session, trainable.get(symbol)) for symbol in symbols)
    reasons = (*_reasons(rows, strategy.universe, session), *too_short)
    remarks = bars.warnings
    if panel.sessions[-1] > np.datetime64(session):
        ahead = f"bars until {panel.sessions[-1]}, but the last completed session is {session}"
        remarks = (*remarks, ahead)
    return DataCheck(path, session, len(symbols), rows, reasons, remarks)


def require_tradeable(checked: DataCheck) -> None:
    """Raise DataError with all the reasons in one line, if there are any."""
    if not checked.tradeable:
        raise DataError(f"the data must not be traded on: {'; '.join(checked.reasons)}")


def _findings(panel: Panel, symbol: str, session: date, trainable: int | None) -> SymbolFindings:
    """All that is to say of one symbol; `trainable` counts a stock's sessions for the ranker."""
    column = panel.column(symbol)
    if column is None:
        return SymbolFindings(symbol, None, None, 0, (Finding("missing", "no bar at all"),))
    rows = np.flatnonzero(panel.traded[:, column])
    sessions: list[date] = panel.sessions[rows].tolist()

    def found() -> Iterator[Finding]:
        recent = len(panel.sessions) - SPLIT_SESSIONS
        for row, split in _suspected_splits(panel, column):
            what = f"looks unadjusted for {_named(split)} on {panel.sessions[row]}"
            yield Finding("split" if row >= recent else "old_split", what)
        late = len(sessions_between(sessions[-1], session)) - 1
        if late > 0:
            yield Finding("stale", f"last bar is {counted(late, 'session')} old")
        if gaps := rows[-1] - rows[0] + 1 - len(rows):
            first = panel.sessions[rows[np.diff(rows).argmax()] + 1]
            yield Finding("gaps", f"{counted(int(gaps), 'session')} missing, as from {first}")
        if trainable is not None and trainable < RANKER_MINIMUM:
            yield Finding("short", f"{counted(trainable, 'session')} to train on")
        idle = np.flatnonzero(panel.volume[rows, column] == 0)
        if idle.size:
            what = f"{counted(int(idle.size), 'session')} without volume"
            yield Finding("zero_volume", f"{what}, last on {sessions[idle[-1]]}")

    return SymbolFindings(symbol, sessions[0], sessions[-1], len(rows), tuple(found()))


def _suspected_splits(panel: Panel, column: int) -> list[tuple[int, Fraction]]:
    """Rows and ratios of what looks like splits that the prices were not adjusted for."""
    rows = np.flatnonzero(panel.traded[:, column])
    close, volume = panel.close[rows, column], panel.volume[rows, column]
    opened = panel.open[rows, column]
    found = []
    for k in range(1, len(rows)):
        # A night's ratio and a day's; a move of less than a quarter is no split looked for.
        moves = close[k - 1] / opened[k], close[k - 1] / close[k]
        if not any(move > 1.25 or move < 0.8 for move in moves):
            continue
        splits = [split_near(move, SPLIT_TOLERANCE) for move in moves]
        split = splits[0] or splits[1]
        before = slice(max(k - 20, 0), k)
        shares = volume[k], np.median(volume[before])
        dollars = volume[k] * close[k], np.median(volume[before] * close[before])
        ordinary = any(today <= ORDINARY_VOLUME * usual for today, usual in (shares, dollars))
        if split is not None and ordinary:
            found.append((int(rows[k]), split))
    return found


def _named(split: Fraction) -> str:
    return f"a {split.numerator}:{split.denominator} split"


def _trainable(panel: Panel, strategy: Strategy) -> tuple[dict[str, int], tuple[str, ...]]:
    """Sessions of each stock that a ranker may train on, and why all are too few."""
    try:
        view = market_view(panel, strategy.universe, listed_only=strategy.listed_only)
    except ValueError as error:
        return {}, (f"{error}; add stocks or change the universe",)
    usable = usable_rows(view.factors, top_quartile(forward_returns(view.stocks.close)))
    counts = dict(zip(view.stocks.symbols, usable.sum(axis=0).tolist(), strict=True))
    if first_decision(usable) is not None:
        return counts, ()
    why = (
        f"{counted(len(panel.sessions), 'session')} are too few to train on: a ranker needs "
        f"{RANKER_MINIMUM} with a known {LABEL_HORIZON}-session outcome (about 340 in all)"
    )
    return counts, (why,)


def _reasons(rows: tuple[SymbolFindings, ...], universe: Universe, session: date) -> Iterator[str]:
    """Why this must not be traded on."""
    splits = [row.symbol for row in rows if row.has("split")]
    if splits:
        what = f"{counted(len(splits), 'symbol')} with a suspected unadjusted split"
        yield f"{what}: {', '.join(splits)}"
    outdated = {row.symbol for row in rows if row.has("stale") or row.has("missing")}
    if universe.market in outdated:
        yield f"{universe.market} has no bar of {session}, the last completed session"
    late = outdated.intersection(universe.sector_of)
    if 2 * len(late) > len(universe.sector_of):
        yield f"{len(late)} of {len(universe.sector_of)} stocks have no bar of {session}"
