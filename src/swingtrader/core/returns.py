"""Simple returns from prices, looking back only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from swingtrader.core.arrays import FloatArray


def simple_returns(price: FloatArray, sessions: int = 1) -> FloatArray:
    """Return over the last `sessions` rows; NaN where either end is missing.

    Parameters
    ----------
    price : ndarray of shape (T,) or (T, N)
    sessions : int

    Returns
    -------
    ndarray of the same shape
        The first `sessions` rows are NaN.
    """
    returns = np.full(price.shape, np.nan)
    returns[sessions:] = price[sessions:] / price[:-sessions] - 1.0
    return returns


def returns_since_last_close(close: FloatArray) -> FloatArray:
    """Return of each session over the symbol's last close before it, across a gap if need be.

    Whoever holds a symbol through a halt has the loss that follows it, so an index must too.

    Parameters
    ----------
    close : ndarray of shape (T, N)

    Returns
    -------
    ndarray of shape (T, N)
        NaN where there is no close, and at a symbol's first.
    """
    rows = np.arange(len(close))[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(close), -1, rows), axis=0)
    before = np.vstack([np.full((1, close.shape[1]), -1), last[:-1]])
    earlier = np.take_along_axis(close, np.maximum(before, 0), axis=0)
    returns: FloatArray = np.where(before >= 0, close / earlier - 1.0, np.nan)
    return returns
