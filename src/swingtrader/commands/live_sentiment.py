"""The sentiment of a live run: the broker's headlines of three days, scored through the cache.

The figures are the backtest's for the same instant and headlines: the same cleaning, the same
cache of scores, the same mean. Whatever is missing or fails leaves the signal absent, and is told
in one sentence; nothing here ends a run, for exits must go on.

A run scores a bounded number of new headlines, the latest first, and leaves the rest to the runs
after it. A headline is a stranger's text: none is logged, stored or shown, only counted.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.adapters.news import cleaned_headline
from swingtrader.commands.headline_scores import scores_through
from swingtrader.commands.trading_run import log
from swingtrader.core.sentiment import WINDOW, normalised_headline, symbol_sentiment
from swingtrader.errors import (
    BrokerError,
    ConfigurationError,
    CredentialsRefused,
    DataError,
    LockHeld,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from swingtrader.adapters.store import Store
    from swingtrader.commands.data_pull import Feed
    from swingtrader.core.arrays import FloatArray
    from swingtrader.estimators.artifact import Artifact

MOST_HEADLINES = 2000
"""Read in one run: 40 pages. The default universe has some 600 in three days."""

MOST_SCORED = 300
"""New headlines scored in one run: some seconds of work."""

ABSENT = "sentiment is absent"


def live_sentiment(
    symbols: Sequence[str],
    artifact: Artifact,
    store: Store,
    data: Feed,
    asof: datetime,
    warnings: list[str],
) -> FloatArray | None:
    """Score what the last 72 hours said of each symbol; no lock is held or needed.

    Parameters
    ----------
    symbols : sequence of str, length N
        Without repeats.
    artifact : Artifact
        The classifier that serves.
    store : Store
        Of its tables only the cache of scores is touched.
    asof : datetime
        The broker's now of this run, aware: nothing later counts.
    warnings : list of str
        Is told what leaves the signal absent.

    Returns
    -------
    ndarray of shape (N,), or None
        In [-1, 1]; NaN for fewer than two headlines. None where the signal is absent altogether.
    """
    try:
        found = data.headlines(symbols, asof - WINDOW.item(), asof, most=MOST_HEADLINES)
    except (BrokerError, CredentialsRefused) as error:
        warnings.append(f"headlines could not be read ({error}): {ABSENT}")
        return None
    if len(found) >= MOST_HEADLINES:
        warnings.append(
            f"over {MOST_HEADLINES:,} headlines in three days: the older ones were left out"
        )
    stories: dict[tuple[datetime, str], frozenset[str]] = {}
    for headline in found:
        if text := cleaned_headline(headline.text):
            story = headline.at.astimezone(UTC).replace(tzinfo=None), text
            stories[story] = stories.get(story, frozenset()).union(headline.symbols)
    in_time = sorted(stories)
    cache = _TolerantCache(store, warnings)
    # Scored from the latest back, so that what is left for a later run is what weighs least.
    latest_first = [text for _, text in reversed(in_time)]
    try:
        scores, scored = scores_through(cache, artifact, latest_first, asof, limit=MOST_SCORED)
    except (DataError, OSError) as error:  # a file of the model may go while it is read
        warnings.append(f"{error}: {ABSENT}")
        return None
    log.info(
        "headlines.scored", headlines=len(in_time), scored=scored, left=cache.unknown - scored
    )
    sentiment: FloatArray = symbol_sentiment(
        np.array([asof.astimezone(UTC).replace(tzinfo=None)], dtype="datetime64[us]"),
        symbols,
        np.array([at for at, _ in in_time], dtype="datetime64[us]"),
        [sorted(stories[story]) for story in in_time],
        np.array([normalised_headline(text) for _, text in in_time], dtype=np.str_),
        scores[::-1],
    )[0]
    if np.isfinite(sentiment).any():
        return sentiment
    warnings.append(f"no symbol has two headlines of the last 72 hours: {ABSENT}")
    return None


class _TolerantCache:
    """The store's scores, without which a run still knows what it scores itself.

    Attributes
    ----------
    unknown : int
        Headlines asked about that had no score.
    """

    def __init__(self, store: Store, warnings: list[str]) -> None:
        self._store = store
        self._warnings = warnings
        self.unknown = 0

    def scores(self, model: str, headlines: Collection[str]) -> dict[str, float]:
        """Scores on record; none where they cannot be read."""
        try:
            known = self._store.sentiment.scores(model, headlines)
        except (ConfigurationError, DataError, LockHeld) as error:
            self._warnings.append(f"scores of headlines could not be read: {error}")
            known = {}
        self.unknown = len(headlines) - len(known)
        return known

    def record(self, model: str, scores: Mapping[str, float], at: datetime) -> None:
        """Keep scores for later runs, where that can be done."""
        try:
            self._store.sentiment.record(model, scores, at)
        except (ConfigurationError, DataError, LockHeld) as error:
            self._warnings.append(f"scores of headlines could not be kept: {error}")
