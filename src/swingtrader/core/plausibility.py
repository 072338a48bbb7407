"""Whether these bars may train a model that will then decide for weeks.

``data check`` asks of the cache whether today's decisions may rest on it, so it looks for what
misleads a factor: an unadjusted 2:1 split, a symbol without yesterday's bar. Training asks
less of a single bar and more of the whole: bars that are old, short, invented, or no longer
those that the serving model was trained on teach nonsense to everything at once. Choices:

- Most doubts are fatal, even about a single symbol: ranks compare it with all others, the
  market index holds it, and where one symbol is a thousandfold someone should look before the
  next is. Not fatal are gaps in one symbol, which no model reads, and other closes of one
  symbol in a larger market, which may be a late correction; both are told.
- Bounds lie far from real markets, as a false alarm leaves the old model serving until it is
  too old to buy by. Over 81 US symbols from 2010 to 2019 the largest figures were: a close
  62 % above the last (bound 400 %), 2 % median distance from the session's median return
  (bound 15 %), nights 0.4 times as long as days (bound 1.5), 2 closes in a row that did not
  move (bound 10).
- Looked at is what a retrain can see: the longest window and a year for lookbacks before it.
- A reference, taken when a model was promoted, shows what bars alone cannot: that all of them
  are late by a day, or that all of a symbol's history is told in another unit. A split restates
  history by one factor, so the ratio of new closes to old may be anything a split can be, but
  must be the same on all sessions. Without a reference only a unit that no security has (a price
  in the thousands with a turnover larger than the market's) is seen.
- Symbols that begin with ^ train nothing and are not looked at.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.arrays import SESSIONS_PER_YEAR
from swingtrader.core.bar_reference import Reference, compared, reference_of
from swingtrader.core.doubts import (
    ANEW,
    LONGER,
    OR_LEAVE,
    Doubt,
    DoubtKind,
    fatal_doubt,
    named,
)
from swingtrader.core.walkforward import (
    LABEL_HORIZON,
    MINIMUM_CROSS_SECTION,
    RANKER_MINIMUM,
    REGIME_WINDOW,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from swingtrader.core.arrays import BoolArray, FloatArray, IntArray
    from swingtrader.core.market import Panel

# A caller needs these together.
__all__ = ("Doubt", "DoubtKind", "Reference", "doubts_about", "reference_of")

JUDGED_SESSIONS = REGIME_WINDOW + SESSIONS_PER_YEAR
NEEDED_SESSIONS = RANKER_MINIMUM + LABEL_HORIZON + 63
"""Labelled sessions, their outcome, and the quarter that most factors look back on."""
QUARTER = 63
MONTH = 21

LARGEST_SHRINKAGE = 0.2
"""Share of the symbols that may be gone at once; one may always."""
LARGEST_MISSING = 0.05
"""Share of bars missing inside listings, in any quarter, that a market may have."""
LARGEST_MISSING_OF_ONE = 0.25
CONSTANT_SESSIONS = 10
"""Closes in a row equal to the one before: two weeks."""
ZERO_VOLUME_SESSIONS = 21
"""Sessions without volume in any quarter; funds of the first months have had five."""
LARGEST_STEP = 5.0
"""Factor between two closes, or between the high and the low of a session."""
LARGEST_DISPERSION = 0.15
"""Median distance of log returns from their session's median. All stocks may crash together;
half of them do not each go their own way by so much."""
DISPERSED_SYMBOLS = 5
"""Fewest log returns of which a median distance means anything."""
LARGEST_NIGHT = 1.5
"""Median move from close to open over the median range of a session, in any quarter."""
LARGEST_TORN = 0.01
"""Share of bars whose open or close lies outside low to high."""
TORN_TOLERANCE = 0.001

DEAR_USD, BUSY_SHARES = 10_000.0, 100_000.0
"""What is dearer trades fewer shares a session."""
HIGH_USD, BUSY_USD = 1_000.0, 100e9
"""What is dearer turns over less a session, in dollars."""

ALTERED_SHARE = 0.05
"""Share of the symbols with other closes; one may always be a late correction."""


def doubts_about(
    panel: Panel, session: date, reference: Reference | None = None
) -> tuple[Doubt, ...]:
    """What speaks against training on these bars.

    Parameters
    ----------
    panel : Panel
        Every symbol that a model will see, stocks and context.
    session : date
        The last completed session, with which the bars must end.
    reference : Reference, optional
        From the last promotion; `Reference.among` where the universe was made smaller since.

    Returns
    -------
    tuple of Doubt
        Empty where nothing is wrong. Train only where none is fatal.
    """
    judged = _judged(panel)
    doubts = [*_extent(judged, session)]
    if judged.traded.any():
        doubts += [*_bars(judged), *_moves(judged)]
        if reference is not None:
            doubts += _against(judged, reference)
    return tuple(doubts)


def _judged(panel: Panel) -> Panel:
    """The part of the panel that a retrain can see."""
    seen = panel.select([symbol for symbol in panel.symbols if not symbol.startswith("^")])
    return seen.rows(max(0, len(seen.sessions) - JUDGED_SESSIONS), len(seen.sessions))


def _extent(panel: Panel, session: date) -> Iterator[Doubt]:
    """Doubts about how much there is."""
    last = panel.sessions[-1].item() if len(panel.sessions) else None
    if last is None or last < session:
        what = "there are no bars" if last is None else f"the last bars are of {last}"
        yield fatal_doubt(DoubtKind.STALE, f"{what}, but {session} was the last session")
    elif last > session:
        what = f"the bars go on until {last}, after the last completed session {session}"
        yield fatal_doubt(DoubtKind.AHEAD, what)
    sessions = int((panel.traded.sum(axis=1) >= MINIMUM_CROSS_SECTION).sum())
    if sessions < NEEDED_SESSIONS:
        what = f"{sessions} sessions with {MINIMUM_CROSS_SECTION} symbols or more are too few"
        yield fatal_doubt(DoubtKind.SHORT, f"{what}, expected {NEEDED_SESSIONS}", LONGER)
    lately = panel.traded[-1 - MONTH : -1].any(axis=0)
    gone = [panel.symbols[n] for n in np.flatnonzero(lately & ~panel.traded[-1:].any(axis=0))]
    if _many(len(gone), int(lately.sum()), LARGEST_SHRINKAGE):
        what = f"{len(gone)} of the {int(lately.sum())} symbols of the month before have no bar"
        yield fatal_doubt(DoubtKind.SHRUNK, f"{what} of {last}: {named(gone)}")


def _bars(panel: Panel) -> Iterator[Doubt]:
    """Doubts about bars that are absent, or that no market makes."""
    fields = np.stack([panel.open, panel.high, panel.low, panel.close])
    rows = np.arange(len(panel.sessions))[:, None]
    listed = (rows >= panel.first_bar) & (rows <= panel.last_bar)
    missing = listed & ~(np.isfinite(fields).all(axis=0) & np.isfinite(panel.volume))
    lost, held = _last(QUARTER, missing), _last(QUARTER, listed)
    share = (lost.sum(axis=1) / np.maximum(held.sum(axis=1), 1)).max(initial=0.0)
    if share > LARGEST_MISSING:
        what = f"{share:.0%} of the bars of a quarter are missing"
        yield fatal_doubt(DoubtKind.MISSING, f"{what}: {_marked(panel, missing)}")
    elif (lost > LARGEST_MISSING_OF_ONE * QUARTER).any():
        thin = missing & (lost > LARGEST_MISSING_OF_ONE * QUARTER).any(axis=0)
        what = f"many bars are missing, which train nothing: {_marked(panel, thin)}"
        yield Doubt(DoubtKind.MISSING, f"{what}; {OR_LEAVE}", fatal=False)
    worthless = np.asarray((fields <= 0.0).any(axis=0))
    if worthless.any():
        what = f"prices are not positive: {_marked(panel, worthless)}"
        yield fatal_doubt(DoubtKind.IMPOSSIBLE, what)
    above = fields[[0, 3]] > panel.high * (1.0 + TORN_TOLERANCE)
    below = fields[[0, 3]] < panel.low * (1.0 - TORN_TOLERANCE)
    torn = np.asarray((above | below).any(axis=0))
    if torn.sum() > LARGEST_TORN * panel.traded.sum():
        what = f"{int(torn.sum())} bars have open or close outside low to high"
        yield fatal_doubt(DoubtKind.IMPOSSIBLE, f"{what}: {_marked(panel, torn)}")
    still = np.zeros(listed.shape, dtype=np.bool_)
    still[1:] = panel.close[1:] == panel.close[:-1]
    constant = (_last(CONSTANT_SESSIONS, still) == CONSTANT_SESSIONS).any(axis=0)
    if constant.any():
        what = f"closes do not move for {CONSTANT_SESSIONS} sessions"
        yield fatal_doubt(
            DoubtKind.CONSTANT, f"{what}: {_marked(panel, still & constant)}", OR_LEAVE
        )
    zero = panel.volume <= 0.0
    idle = (_last(QUARTER, zero) > ZERO_VOLUME_SESSIONS).any(axis=0)
    if idle.any():
        what = f"{ZERO_VOLUME_SESSIONS} sessions of a quarter and more have no volume"
        yield fatal_doubt(
            DoubtKind.ZERO_VOLUME, f"{what}: {_marked(panel, zero & idle)}", OR_LEAVE
        )


def _moves(panel: Panel) -> Iterator[Doubt]:
    """Doubts about moves and levels that no market makes."""
    opened, high, low, close = (
        np.where(field > 0.0, field, np.nan)
        for field in (panel.open, panel.high, panel.low, panel.close)
    )
    before = np.full(close.shape, np.nan)
    for n in range(close.shape[1]):  # across a gap, from the last close before it
        rows = np.flatnonzero(~np.isnan(close[:, n]))
        before[rows[1:], n] = close[rows[:-1], n]
    moved, ranged = np.log(close / before), np.log(high / low)
    steps = (np.abs(moved) > math.log(LARGEST_STEP)) | (ranged > math.log(LARGEST_STEP))
    if steps.any():
        what = f"prices move by more than a factor of {LARGEST_STEP:g} in a session"
        yield fatal_doubt(DoubtKind.JUMPS, f"{what}: {_marked(panel, steps)}", OR_LEAVE)

    wide = np.flatnonzero((~np.isnan(moved)).sum(axis=1) >= DISPERSED_SYMBOLS)
    middle = np.nanmedian(moved[wide], axis=1, keepdims=True)
    apart = wide[np.nanmedian(np.abs(moved[wide] - middle), axis=1) > LARGEST_DISPERSION]
    if apart.size:
        what = f"most symbols move far and apart on {apart.size} sessions"
        why = f"{what}, as rows of other symbols do: first on {panel.sessions[apart[0]]}"
        yield fatal_doubt(DoubtKind.MIXED, why)
    night = np.abs(np.log(opened / before))
    for stop in range(len(close), QUARTER, -QUARTER):
        nights, days = night[stop - QUARTER : stop], ranged[stop - QUARTER : stop]
        known = ~np.isnan(nights + days)
        if known.any() and np.median(nights[known]) > LARGEST_NIGHT * np.median(days[known]):
            what = "prices move more by night than by day, as where sessions are out of order"
            yield fatal_doubt(
                DoubtKind.MIXED, f"{what}: in the quarter to {panel.sessions[stop - 1]}"
            )
            break

    level, shares = _recent_median(close), _recent_median(panel.volume)
    dollars = _recent_median(close * panel.volume)
    dear = (level > DEAR_USD) & (shares > BUSY_SHARES)
    absurd = np.flatnonzero(dear | ((level > HIGH_USD) & (dollars > BUSY_USD)))
    if absurd.size:
        names = named([f"{panel.symbols[n]} at {level[n]:,.0f} USD" for n in absurd])
        what = f"price and turnover are those of no security: {names}"
        yield fatal_doubt(DoubtKind.SCALED, what, OR_LEAVE)


def _against(panel: Panel, reference: Reference) -> Iterator[Doubt]:
    """Doubts about bars that once were others."""
    told = compared(reference, panel)
    if _many(len(told.gone), reference.n_listed, LARGEST_SHRINKAGE):
        what = f"{len(told.gone)} of the {reference.n_listed} symbols of the last promotion"
        why = f"{what} have no bar of {panel.sessions[-1]}: {named(told.gone)}"
        yield fatal_doubt(DoubtKind.SHRUNK, why)
    if not told.comparable:
        what = f"the bars lack most sessions up to {reference.sessions[-1]}, by which to know them"
        yield fatal_doubt(DoubtKind.SHIFTED, what, LONGER)
    if told.scaled:
        what = "closes were multiplied since the last promotion by what no split is"
        yield fatal_doubt(DoubtKind.SCALED, f"{what}: {named(told.scaled)}")
    if told.altered:
        what = f"{len(told.altered)} of {told.symbols} symbols have other closes than at the last"
        why = f"{what} promotion, and not by one factor: {named(told.altered)}; {ANEW}"
        fatal = _many(len(told.altered), told.symbols, ALTERED_SHARE)
        yield Doubt(DoubtKind.SHIFTED, why, fatal=fatal)


def _many(count: int, of: int, share: float) -> bool:
    """Whether `count` is more than a share, and more than one."""
    return count > max(1.0, share * of)


def _last(window: int, marks: BoolArray) -> IntArray:
    """Marks in every `window` rows in a row: (T - window + 1, N), none for fewer rows."""
    total: IntArray = np.cumsum(np.pad(marks, ((1, 0), (0, 0))), axis=0, dtype=np.int64)
    counts: IntArray = total[window:] - total[:-window]
    return counts


def _recent_median(values: FloatArray) -> FloatArray:
    """Median of each symbol's last quarter, (N,); 0 for one without a value."""
    recent = values[-QUARTER:]
    known = (~np.isnan(recent)).any(axis=0)
    median = np.zeros(values.shape[1])
    median[known] = np.nanmedian(recent[:, known], axis=0)
    return median


def _marked(panel: Panel, marks: BoolArray) -> str:
    """Marked symbols, each with its last session marked."""
    found = []
    for n in np.flatnonzero(marks.any(axis=0)):
        row = np.flatnonzero(marks[:, n])[-1]
        found.append(f"{panel.symbols[n]} (last on {panel.sessions[row]})")
    return named(found)
