"""Six signals into one vote.

Each signal is in [-1, 1], or NaN: absent, no view. The vote is their weighted mean over the
present ones, so a missing opinion neither agrees nor disagrees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.policy import SIGNALS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.universe import Kind

BIAS_HIGH_VOLATILITY: Mapping[Kind, float] = {
    "defensive": 0.3, "growth": -0.2, "speculative": -0.5, "neutral": 0.0,
}  # fmt: skip
BIAS_LOW_VOLATILITY: Mapping[Kind, float] = {
    "defensive": -0.1, "growth": 0.1, "speculative": 0.0, "neutral": 0.0,
}  # fmt: skip

DECIMALS = 12
"""Votes and weights are rounded to so many places. A mean of 0.2s comes out as
0.19999999999999998 and would miss a threshold of 0.2 that includes it."""


def quant_signal(probability: FloatArray) -> FloatArray:
    """Ranker's probability of the top quartile as a signal: 2(p - 1/2)."""
    signal: FloatArray = 2.0 * (probability - 0.5)
    return signal


def momentum_signal(momentum_z_score: FloatArray) -> FloatArray:
    """Third of the 21-session momentum's z-score, clipped to [-1, 1]."""
    signal: FloatArray = np.clip(momentum_z_score / 3.0, -1.0, 1.0)
    return signal


def regime_signal(p_high_volatility: FloatArray, kinds: tuple[Kind, ...]) -> FloatArray:
    """Bias toward each stock's kind, blended by the probability of high volatility.

    Parameters
    ----------
    p_high_volatility : ndarray of shape (T,)
        Filtered; NaN where there is none.
    kinds : tuple of length N

    Returns
    -------
    ndarray of shape (T, N)
        NaN rows where the probability is.
    """
    high = np.array([BIAS_HIGH_VOLATILITY[kind] for kind in kinds])
    low = np.array([BIAS_LOW_VOLATILITY[kind] for kind in kinds])
    p = p_high_volatility[:, None]
    bias: FloatArray = p * high + (1.0 - p) * low
    return bias


def weighted_vote(signals: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weighted mean over the present signals, and the weight that was present.

    Parameters
    ----------
    signals : ndarray of shape (6, N)
        In the order of `SIGNALS`; NaN is absent.
    weights : ndarray of shape (6,)

    Returns
    -------
    vote : ndarray of shape (N,)
        Rounded to `DECIMALS` places; NaN where nothing is present.
    present_weight : ndarray of shape (N,)
        As a fraction of all weights, rounded likewise.
    """
    present = ~np.isnan(signals)
    total = weights @ np.where(present, signals, 0.0)
    present_weight = weights @ present
    vote = np.full(len(total), np.nan)
    np.divide(total, present_weight, out=vote, where=present_weight > 0)
    return np.round(vote, DECIMALS), np.round(present_weight / weights.sum(), DECIMALS)


def without_signal(signals: FloatArray, name: str) -> FloatArray:
    """Set one signal to 0 wherever it was present, for its leave-one-out worth.

    It keeps its weight and still counts as present: the other signals' share of the vote and
    the presence rules stay as they were, so that only the opinion itself is taken away.

    Parameters
    ----------
    signals : ndarray of shape (..., 6, N)
    name : str
        One of `SIGNALS`.
    """
    changed = signals.copy()
    opinion = changed[..., SIGNALS.index(name), :]
    opinion[~np.isnan(opinion)] = 0.0
    return changed
