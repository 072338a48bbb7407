"""Headlines and their scores into one sentiment signal per session and symbol.

Which headlines count depends on the 72 hours before the decision and on nothing older, so a
live run that fetches three days of news and a backtest over years of it agree.

A headline repeated within the window counts once, at its *earliest* time there: news is as old
as its first telling, and nobody can keep a story fresh by repeating it. Once the first telling
has left the window, a later copy is the earliest one left.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from swingtrader.core.arrays import FloatArray, IntArray, SessionArray

WINDOW = np.timedelta64(72, "h")
HALF_LIFE = np.timedelta64(24, "h")
MINIMUM_HEADLINES = 2
"""One headline alone is an anecdote: the signal is absent."""

_URL = re.compile(r"(?:https?://|www\.)\S+")
_CASHTAG = re.compile(r"\$(?=[a-z])")  # "$AAPL" is AAPL, "$5" stays a price


def normalised_headline(text: str) -> str:
    """Return what two copies of a headline have in common, to recognise them by.

    Case, links, the dollar sign of cashtags, HTML entities and the amount of white space are
    dropped. Not meant for reading, nor for the classifier.
    """
    plain = _URL.sub(" ", html.unescape(text).casefold())
    return " ".join(_CASHTAG.sub("", plain).split())


def symbol_sentiment(
    asof: SessionArray,
    symbols: Sequence[str],
    published_at: SessionArray,
    headline_symbols: Sequence[Sequence[str]],
    headline_ids: NDArray[np.generic],
    scores: FloatArray,
) -> FloatArray:
    """Recency-weighted mean score of each symbol's headlines of the last 72 hours.

    A headline of age a hours weighs 2^(-a/24). It counts from `published_at` <= `asof`, so no
    row sees a later headline, and up to but not including an age of 72 hours. The work grows
    with the number of (instant, headline) pairs that share a window.

    Parameters
    ----------
    asof : ndarray of shape (T,), datetime64 of any unit, UTC
        The instants decided at, in any order.
    symbols : sequence of str, length N
        Without repeats.
    published_at : ndarray of shape (H,), datetime64 of any unit, UTC
        Never decreasing. Not to be rounded down: a headline would be known too early.
    headline_symbols : sequence of sequences of str, length H
        The symbols each headline is about; those not in `symbols` are ignored.
    headline_ids : ndarray of shape (H,)
        Equal for copies of one headline, see `normalised_headline`. Integers or strings.
    scores : ndarray of shape (H,)
        P(positive) - P(negative), in [-1, 1]. A headline with a NaN score is skipped.

    Returns
    -------
    ndarray of shape (T, N)
        In [-1, 1]; NaN (no view) with fewer than two distinct headlines.

    Raises
    ------
    ValueError
        Lengths disagree, `symbols` repeats itself, a time is missing, `published_at`
        decreases, or a score lies outside [-1, 1].
    """
    _check_headlines(published_at, headline_symbols, headline_ids, scores)
    columns = {symbol: n for n, symbol in enumerate(symbols)}
    if len(columns) != len(symbols):
        raise ValueError("symbols must not repeat")
    if np.isnat(asof).any():
        raise ValueError("asof must have no missing times")

    story = np.unique(headline_ids, return_inverse=True)[1]
    headline, column = _mentions(headline_symbols, columns, ~np.isnan(scores))
    mentioned_at = published_at[headline]
    row, mention = _windows(asof, mentioned_at)
    cell = row * len(columns) + column[mention]
    distinct = _first_of_each(cell, story[headline][mention])
    row, mention, cell = row[distinct], mention[distinct], cell[distinct]

    half_lives = (asof[row] - mentioned_at[mention]) / HALF_LIFE
    weight = np.exp2(-half_lives)
    n_cells = len(asof) * len(columns)
    count = np.bincount(cell, minlength=n_cells)
    total = np.bincount(cell, weights=weight, minlength=n_cells)
    weighted = np.bincount(cell, weights=weight * scores[headline][mention], minlength=n_cells)
    enough = count >= MINIMUM_HEADLINES
    mean = np.full(n_cells, np.nan)
    # Clipped because the quotient of two rounded sums can pass 1 by the last bit.
    mean[enough] = np.clip(weighted[enough] / total[enough], -1.0, 1.0)
    return mean.reshape(len(asof), len(columns))


def _check_headlines(
    published_at: SessionArray,
    headline_symbols: Sequence[Sequence[str]],
    headline_ids: NDArray[np.generic],
    scores: FloatArray,
) -> None:
    lengths = {len(published_at), len(headline_symbols), len(headline_ids), len(scores)}
    if len(lengths) != 1:
        raise ValueError(f"one entry per headline expected, got lengths {sorted(lengths)}")
    if np.isnat(published_at).any() or np.any(published_at[1:] < published_at[:-1]):
        raise ValueError("published_at must have no missing times and must not decrease")
    if np.any(np.abs(scores) > 1.0):
        raise ValueError("scores must lie in [-1, 1]")


def _mentions(
    headline_symbols: Sequence[Sequence[str]], columns: dict[str, int], scored: NDArray[np.bool_]
) -> tuple[IntArray, IntArray]:
    """Headline and column of every known symbol in a scored headline, in headline order."""
    pairs = [
        (h, columns[name])
        for h, (names, has_score) in enumerate(zip(headline_symbols, scored, strict=True))
        if has_score
        for name in names
        if name in columns
    ]
    headline, column = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return headline, column


def _windows(asof: SessionArray, mentioned_at: SessionArray) -> tuple[IntArray, IntArray]:
    """Row and mention of every mention inside a row's window, mentions in order per row."""
    begin = np.searchsorted(mentioned_at, asof - WINDOW, side="right")
    length = np.searchsorted(mentioned_at, asof, side="right") - begin
    row = np.repeat(np.arange(len(asof)), length)
    place_in_window = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
    return row, np.repeat(begin, length) + place_in_window


def _first_of_each(cell: IntArray, story: IntArray) -> IntArray:
    """Positions of the first entry of each (cell, story), by cell, then story."""
    n_stories = int(story.max(initial=0)) + 1
    # np.unique reports first occurrences, and entries come in order of time.
    first: IntArray = np.unique(cell * n_stories + story, return_index=True)[1]
    return first
