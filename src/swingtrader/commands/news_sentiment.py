"""The sentiment signal of a backtest: headlines from a file, scored by an installed model.

There is nothing to fall back to. Without a file or without a model the signal is absent, and
the caller says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from swingtrader.adapters.news import read_news
from swingtrader.commands.headline_scores import scores_through
from swingtrader.core.sentiment import normalised_headline, symbol_sentiment
from swingtrader.estimators.artifact import serving_artifact

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from swingtrader.commands.headline_scores import ScoreCache
    from swingtrader.core.arrays import FloatArray, SessionArray

FAMILY = "finbert"


def news_sentiment(
    news_file: Path,
    models_dir: Path,
    asof: SessionArray,
    symbols: tuple[str, ...],
    *,
    cache: ScoreCache,
    at: datetime,
    begin: Callable[[int], Callable[[int], None]] | None = None,
) -> tuple[FloatArray | None, tuple[str, ...]]:
    """Score the headlines known at each instant; those scored before are not scored again.

    Parameters
    ----------
    asof : ndarray of shape (T,), UTC
        Instants decided at.
    symbols : tuple of length N
    cache : ScoreCache
        Where scores are kept.
    at : datetime
        Of this run, aware; dates what is kept.
    begin : callable, optional
        As for `scores_through`.

    Returns
    -------
    sentiment : ndarray of shape (T, N), or None
        None without a model; NaN where fewer than two headlines are recent enough.
    warnings : tuple of str

    Raises
    ------
    DataError
        The file cannot be used, or the installed model is damaged and needed.
    """
    news = read_news(news_file)
    artifact = serving_artifact(models_dir, FAMILY)
    if artifact is None:
        why = f"no sentiment model is installed in {models_dir / FAMILY}: sentiment is absent"
        return None, (*news.warnings, why)
    # Every wording has its own score, as live, where the first telling may be out of sight.
    wording = {text: n for n, text in enumerate(dict.fromkeys(news.headlines))}
    scores, _ = scores_through(cache, artifact, list(wording), at, begin=begin)
    told = scores[[wording[text] for text in news.headlines]]
    _, story = np.unique(
        [normalised_headline(text) for text in news.headlines], return_inverse=True
    )
    sentiment = symbol_sentiment(asof, symbols, news.published_at, news.symbols, story, told)
    if np.isfinite(sentiment).any():
        return sentiment, news.warnings
    why = "no symbol has two recent headlines at the open of any session: sentiment is absent"
    return sentiment, (*news.warnings, why)
