"""Scores of headlines through the store's cache, so that no headline is scored twice.

Live runs and backtests share the cache. The classifier is loaded, with onnxruntime and
tokenizers, only where some headline has no score yet. Each chunk is kept as soon as it is
scored: what an interrupted run has done is not lost.

A score is kept under a digest of the version's files, as the manifest states them. A quantised
model's scores move a little with the company a headline is scored in, so the first score stays.
"""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import numpy as np

from swingtrader.adapters.model_cache import fingerprint
from swingtrader.estimators.sentiment import HeadlineScorer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from swingtrader.adapters.store import Store
    from swingtrader.core.arrays import FloatArray
    from swingtrader.estimators.artifact import Artifact

CHUNK = 512
"""Headlines scored between two writes: some seconds of work."""


class ScoreCache(Protocol):
    """Where scores are kept: the store's ``sentiment``, or what stands before it."""

    def scores(self, model: str, headlines: Collection[str]) -> dict[str, float]:
        """Scores on record of the headlines with these digests; NaN for an unreadable one."""

    def record(self, model: str, scores: Mapping[str, float], at: datetime) -> None:
        """Keep scores by the headline's digest."""


def cached_scores(
    store: Store,
    artifact: Artifact,
    headlines: Sequence[str],
    at: datetime,
    *,
    limit: int | None = None,
) -> tuple[FloatArray, int]:
    """Score headlines, those on record in the store from there.

    Parameters
    ----------
    store : Store
    artifact : Artifact
        The installed classifier.
    headlines : sequence of str, length H
    at : datetime
        Of this run, aware; dates what is recorded.
    limit : int, optional
        At most so many are scored now, the first ones; None scores all.

    Returns
    -------
    scores : ndarray of shape (H,)
        P(positive) - P(negative), in [-1, 1]; NaN for a headline without a word, and for one
        beyond the limit.
    scored : int
        How many were scored now.

    Raises
    ------
    DataError
        The classifier has to be loaded and is damaged, or fails.
    """
    return scores_through(store.sentiment, artifact, headlines, at, limit=limit)


def scores_through(
    cache: ScoreCache,
    artifact: Artifact,
    headlines: Sequence[str],
    at: datetime,
    *,
    limit: int | None = None,
    begin: Callable[[int], Callable[[int], None]] | None = None,
) -> tuple[FloatArray, int]:
    """Score headlines as `cached_scores` does, through any cache.

    Parameters
    ----------
    begin : callable, optional
        Told how many are to be scored, if any; what it returns is told after each chunk how
        many are.
    """
    model = model_digest(artifact)
    digests = [headline_digest(text) for text in headlines]
    known = dict(cache.scores(model, set(digests)))
    texts = dict(zip(digests, headlines, strict=True))
    missing = list(islice((digest for digest in texts if digest not in known), limit))
    if missing:
        scorer = HeadlineScorer.load(artifact)
        progress = None if begin is None else begin(len(missing))
        for start in range(0, len(missing), CHUNK):
            chunk = missing[start : start + CHUNK]
            scores = scorer.scores([texts[digest] for digest in chunk]).tolist()
            told = dict(zip(chunk, scores, strict=True))
            cache.record(model, told, at)
            known.update(told)
            if progress is not None:
                progress(start + len(chunk))
    return np.array([known.get(digest, np.nan) for digest in digests]), len(missing)


def headline_digest(text: str) -> str:
    """SHA-256 of a headline, in hexadecimal; lone surrogates count as what the model reads."""
    return hashlib.sha256(text.encode("utf-8", errors="replace")).hexdigest()


def model_digest(artifact: Artifact) -> str:
    """SHA-256 over all that a score depends on: classifier, tokenizer and labels.

    From the manifest, so that nothing needs to be read where every score is on record.
    """
    listed = sorted(artifact.manifest.sha256.items())
    return fingerprint(*(text for entry in listed for text in entry))
