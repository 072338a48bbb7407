"""The sentiment signal of a backtest: headlines from a file, scored by an installed model.

There is nothing to fall back to. Without a file or without a model the signal is absent, and
the caller says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from swingtrader.adapters.news import read_news
from swingtrader.core.sentiment import normalised_headline, symbol_sentiment
from swingtrader.estimators.artifact import serving_artifact
from swingtrader.estimators.sentiment import HeadlineScorer

if TYPE_CHECKING:
    from pathlib import Path

    from swingtrader.core.arrays import FloatArray, SessionArray

FAMILY = "finbert"


def news_sentiment(
    news_file: Path, models_dir: Path, asof: SessionArray, symbols: tuple[str, ...]
) -> tuple[FloatArray | None, tuple[str, ...]]:
    """Score the headlines known at each instant.

    Parameters
    ----------
    asof : ndarray of shape (T,), UTC
        Instants decided at.
    symbols : tuple of length N

    Returns
    -------
    sentiment : ndarray of shape (T, N), or None
        None without a model; NaN where fewer than two headlines are recent enough.
    warnings : tuple of str

    Raises
    ------
    DataError
        The file cannot be used, or the installed model is damaged.
    """
    news = read_news(news_file)
    artifact = serving_artifact(models_dir, FAMILY)
    if artifact is None:
        why = f"no sentiment model is installed in {models_dir / FAMILY}: sentiment is absent"
        return None, (*news.warnings, why)
    # Copies of a headline get one score, that of its first telling.
    _, first_telling, story = np.unique(
        [normalised_headline(text) for text in news.headlines],
        return_index=True,
        return_inverse=True,
    )
    scores = HeadlineScorer.load(artifact).scores([news.headlines[i] for i in first_telling])
    sentiment = symbol_sentiment(
        asof, symbols, news.published_at, news.symbols, story, scores[story]
    )
    if np.isfinite(sentiment).any():
        return sentiment, news.warnings
    why = "no symbol has two recent headlines at the open of any session: sentiment is absent"
    return sentiment, (*news.warnings, why)
