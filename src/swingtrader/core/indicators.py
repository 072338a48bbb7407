"""Technical indicators by TA-Lib's definitions, for many symbols at once.

Every function takes and returns arrays of shape (T, N); row t uses rows up to t. NaN in a row
means that the symbol did not trade; indicators that remember start anew after it, which is
what TA-Lib gives when run over each unbroken stretch of bars. Where a formula would divide by
nothing (prices that never moved) the value is TA-Lib's 0, so that a flat symbol is a number
and not a gap. Nothing means exactly 0: the fixed thresholds of older TA-Lib releases (1e-14 USD,
one dollar of money flow) would make an indicator depend on the currency.

Source: TA-Lib, itself after Wilder (1978) and Bollinger (1992).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.rolling import (
    lagged,
    rolling_mean,
    rolling_standard_deviation,
    rolling_sum,
    wilder_smoothed_together,
    wilder_smoothing,
)

if TYPE_CHECKING:
    from swingtrader.core.arrays import FloatArray

ROUNDING = 1e-14
"""Fraction of two prices' sum below which their difference is none (as in TA-Lib 0.8)."""

BOLLINGER_DEVIATIONS = 2.0
"""Standard deviations from the middle band to either side."""


@np.errstate(divide="ignore", invalid="ignore")
def rsi(close: FloatArray, period: int = 14) -> FloatArray:
    """Relative strength index, in [0, 100].

    Parameters
    ----------
    close : ndarray of shape (T, N), USD
    period : int
        Sessions of Wilder's smoothing.

    Returns
    -------
    ndarray of shape (T, N)
        NaN until `period` changes in a row are known; 0 where the price never moved.
    """
    change = close - lagged(close, 1)
    moves = [np.maximum(change, 0.0), np.maximum(-change, 0.0)]
    gain, loss = wilder_smoothed_together(moves, period)
    either = gain + loss
    index = 100.0 * (gain / either)
    index[either == 0.0] = 0.0
    return index


@np.errstate(divide="ignore", invalid="ignore")
def mfi(
    high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, period: int = 14
) -> FloatArray:
    """Money flow index, in [0, 100]: the RSI's idea, weighted by dollars traded.

    Parameters
    ----------
    high, low, close : ndarray of shape (T, N), USD
    volume : ndarray of shape (T, N), shares
    period : int
        Sessions in the window.

    Returns
    -------
    ndarray of shape (T, N)
        NaN where the window of `period` changes is not whole; 0 where the typical price never
        moved or nothing was traded when it did.
    """
    typical = (high + low + close) / 3.0
    before = lagged(typical, 1)
    change = typical - before
    # Prices in cents whose thirds are equal may differ in the last binary digit.
    change[np.abs(change) <= ROUNDING * (typical + before)] = 0.0
    flow = np.sign(change) * (typical * volume)
    into = rolling_sum(np.maximum(flow, 0.0), period)
    either = rolling_sum(np.abs(flow), period)
    index = 100.0 * (into / either)
    index[either == 0.0] = 0.0
    return index


def true_range(high: FloatArray, low: FloatArray, close: FloatArray) -> FloatArray:
    """Range of the session, the previous close included, in USD; NaN in the first row."""
    before = lagged(close, 1)
    return np.maximum(high, before) - np.minimum(low, before)


def average_true_range(
    high: FloatArray, low: FloatArray, close: FloatArray, period: int = 14
) -> FloatArray:
    """Wilder's average of the true range.

    Parameters
    ----------
    high, low, close : ndarray of shape (T, N), USD
    period : int
        Sessions of Wilder's smoothing.

    Returns
    -------
    ndarray of shape (T, N), USD
        NaN until `period` true ranges in a row are known.
    """
    return wilder_smoothing(true_range(high, low, close), period)


@np.errstate(divide="ignore", invalid="ignore")
def adx(high: FloatArray, low: FloatArray, period: int = 14) -> FloatArray:
    """Average directional index, in [0, 100]: strength of a trend in either direction.

    TA-Lib also takes the close, for the true range that divides both directional movements; it
    cancels from their ratio and is left out.

    Parameters
    ----------
    high, low : ndarray of shape (T, N), USD
    period : int
        Sessions of Wilder's smoothing.

    Returns
    -------
    ndarray of shape (T, N)
        NaN for the first 2 * `period` - 1 rows of every unbroken stretch of bars; 0 as long as
        nothing moved up or down in it.
    """
    higher = high - lagged(high, 1)
    lower = lagged(low, 1) - low
    movement = [
        higher * ((higher > lower) & (higher > 0.0)),
        lower * ((lower > higher) & (lower > 0.0)),
    ]
    up, down = wilder_smoothed_together(movement, period, seed_decays=True)
    either = up + down
    directional = 100.0 * (np.abs(up - down) / either)
    directional[either == 0.0] = 0.0
    return wilder_smoothing(directional, period)


@np.errstate(divide="ignore", invalid="ignore")
def bollinger_width(close: FloatArray, window: int = 20) -> FloatArray:
    """Distance of the Bollinger bands over the middle band.

    Parameters
    ----------
    close : ndarray of shape (T, N), USD
    window : int
        Sessions.

    Returns
    -------
    ndarray of shape (T, N)
        (upper - lower) / middle, with bands two population standard deviations from the
        simple mean; NaN where the window is not whole.
    """
    deviation = rolling_standard_deviation(close, window)
    return 2.0 * BOLLINGER_DEVIATIONS * deviation / rolling_mean(close, window)
