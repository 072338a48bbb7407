"""Which sessions may train the model that serves which decisions.

A model that serves the decisions of a week is trained before the week's first session opens,
from what was known at the close of the session before. A label looks `horizon` sessions ahead,
so session s may train only if s + horizon is no later than that close: a shorter gap lets the
label see the weeks the model is then judged on.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.arrays import frozen

if TYPE_CHECKING:
    from swingtrader.core.arrays import BoolArray, FloatArray, SessionArray

LABEL_HORIZON = 21
RANKER_WINDOW = 378
"""Eighteen months of sessions."""
RANKER_MINIMUM = 252
"""With fewer labelled sessions there is no ranker: a year of seasons is the least."""
REGIME_WINDOW = 1260
REGIME_MINIMUM = 252
MINIMUM_CROSS_SECTION = 4
"""Symbols a session needs before a quartile means anything."""


@dataclass(frozen=True)
class Retraining:
    """One training and the decisions it serves.

    Attributes
    ----------
    known : int
        Row of the last session that was complete when training took place.
    serves : range
        Rows of the sessions decided with the model; all after `known`.
    """

    known: int
    serves: range


def weekly_retrainings(sessions: SessionArray, rows: range) -> tuple[Retraining, ...]:
    """One retraining before the first session of every calendar week in `rows`.

    Parameters
    ----------
    sessions : ndarray of shape (T,), datetime64[D]
    rows : range
        Sessions to decide; the first must have a session before it.
    """
    if rows.start < 1:
        raise ValueError("the first decision needs a completed session before it")
    # Unix weeks begin on Thursday; four days later they begin on Monday.
    week = (sessions.astype("datetime64[D]").astype(np.int64) + 3) // 7
    starts = [t for t in rows if t == rows.start or week[t] != week[t - 1]]
    return tuple(Retraining(a - 1, range(a, b)) for a, b in pairwise([*starts, rows.stop]))


def forward_returns(close: FloatArray, horizon: int = LABEL_HORIZON) -> FloatArray:
    """Return from the close of each session to the close `horizon` sessions later.

    Parameters
    ----------
    close : ndarray of shape (T, N)

    Returns
    -------
    ndarray of shape (T, N)
        NaN in the last `horizon` rows and where either close is missing.
    """
    returns = np.full(close.shape, np.nan)
    returns[:-horizon] = close[horizon:] / close[:-horizon] - 1.0
    return frozen(returns)


def top_quartile(forward: FloatArray) -> FloatArray:
    """Label 1 for the best quarter of each session's forward returns, else 0.

    Parameters
    ----------
    forward : ndarray of shape (T, N)

    Returns
    -------
    ndarray of shape (T, N)
        A return at or above the 75th percentile of its session is 1. NaN where the return is,
        and in sessions with fewer than four returns, which have no quartile.
    """
    labels = np.full(forward.shape, np.nan)
    known = ~np.isnan(forward)
    rows = known.sum(axis=1) >= MINIMUM_CROSS_SECTION
    if rows.any():
        threshold = np.nanquantile(forward[rows], 0.75, axis=1, keepdims=True)
        labels[rows] = np.where(known[rows], forward[rows] >= threshold, np.nan)
    return frozen(labels)


def training_rows(
    known: int, *, window: int = RANKER_WINDOW, horizon: int = LABEL_HORIZON, first: int = 0
) -> range:
    """Sessions whose labels are fully realised at the close of row `known`.

    Parameters
    ----------
    window : int
        At most so many sessions, the latest ones.
    first : int
        No session before this row.
    """
    stop = known - horizon + 1
    return range(max(first, stop - window), max(first, stop))


def first_decision(usable: BoolArray, horizon: int = LABEL_HORIZON) -> int | None:
    """Row of the first session with enough history to train on, or None.

    Parameters
    ----------
    usable : ndarray of shape (T, N)
        From `usable_rows`.
    """
    # A session counts once it has a cross-section.
    counted = np.cumsum(usable.sum(axis=1) >= MINIMUM_CROSS_SECTION)
    row = int(np.searchsorted(counted, RANKER_MINIMUM)) + horizon + 1
    return row if row < len(usable) else None


def usable_rows(factors: FloatArray, labels: FloatArray) -> BoolArray:
    """Where a symbol's session may train: a label, and no factor but the optional two missing.

    Parameters
    ----------
    factors : ndarray of shape (T, N, F)
    labels : ndarray of shape (T, N)

    Returns
    -------
    ndarray of shape (T, N), bool
    """
    return rankable(factors) & ~np.isnan(labels)


def rankable(factors: FloatArray) -> BoolArray:
    """Where every factor is present that a quarter of history gives: shape (T, N), bool.

    The 252-session high and the sector's momentum, the last two, may be missing: a young
    listing and a symbol without a sector are ranked on the rest.
    """
    present: BoolArray = ~np.isnan(factors[..., :-2])
    return np.asarray(present.all(axis=-1))
