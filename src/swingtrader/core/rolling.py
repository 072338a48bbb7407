"""Trailing windows and Wilder smoothing over sessions.

Rows are sessions and every function looks backward only. A window is put together from
windows of 1, 2, 4, ... rows (20 = 4 + 16), never as the difference of two cumulative sums. So
nothing cancels, a missing value is forgotten as soon as it leaves the window, and a result
depends on its own window alone, bit for bit: where the history starts, and what follows,
changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from swingtrader.core.arrays import FloatArray

_ROWS_PER_STEP = 32
"""Rows the recursion advances at a time, a power of two. Chosen by measurement: shorter steps
cost more Python, longer ones more doubling."""


def lagged(x: FloatArray, sessions: int) -> FloatArray:
    """What `x` was so many sessions ago.

    Parameters
    ----------
    x : ndarray of shape (T, N)
    sessions : int
        At least 0.

    Returns
    -------
    ndarray of shape (T, N)
        NaN in the first `sessions` rows.
    """
    return _padded(x[: max(len(x) - sessions, 0)], len(x))


def rolling_sum(x: FloatArray, window: int) -> FloatArray:
    """Sum over rows t - window + 1 to t.

    Parameters
    ----------
    x : ndarray of shape (T, N)
    window : int
        Sessions, at least 1.

    Returns
    -------
    ndarray of shape (T, N)
        NaN where the window is not whole: it begins before the first row or holds a NaN.

    Raises
    ------
    ValueError
        The window is shorter than one session.
    """
    _require_window(window)
    return _padded(_window_sum(x, window), len(x))


def rolling_mean(x: FloatArray, window: int) -> FloatArray:
    """Mean over rows t - window + 1 to t; otherwise as `rolling_sum`."""
    return rolling_sum(x, window) / window


def rolling_max(x: FloatArray, window: int) -> FloatArray:
    """Maximum over rows t - window + 1 to t; otherwise as `rolling_sum`."""
    _require_window(window)
    return _padded(_overlapped(np.maximum, x, window), len(x))


def rolling_standard_deviation(x: FloatArray, window: int) -> FloatArray:
    """Population standard deviation over rows t - window + 1 to t; otherwise as `rolling_sum`.

    Neighbouring windows are merged by the update of Chan, Golub & LeVeque (1983), whose terms
    are all squares: unlike the mean of squares less the squared mean it keeps its digits when
    the deviation is small against the mean, and is exactly 0 over equal values.
    """
    _require_window(window)
    # Rows of `power_*` end at t and span `span` rows, those of `total` and `squares` `covered`.
    power_total, power_squares = x, x - x
    total, squares, covered, span = x[:0], x[:0], 0, 1
    while True:
        if window & span and not covered:
            total, squares, covered = power_total, power_squares, span
        elif window & span:
            rows = max(len(x) - covered - span + 1, 0)
            late, early = total[span:], power_total[:rows]
            difference = late / covered - early / span
            squares = squares[span:] + power_squares[:rows]
            squares += difference * difference * (covered * span / (covered + span))
            total, covered = late + early, covered + span
        if covered == window:
            return _padded(np.sqrt(squares / window), len(x))
        late, early = power_total[span:], power_total[:-span]
        difference = late - early
        power_squares = power_squares[span:] + power_squares[:-span]
        power_squares += difference * difference * (0.5 / span)
        power_total, span = late + early, 2 * span


def wilder_smoothing(x: FloatArray, period: int) -> FloatArray:
    """Wilder's moving average: y[t] = y[t-1] + (x[t] - y[t-1]) / period.

    Seeded by the simple mean of the first `period` values, as in TA-Lib. A value that is not
    finite starts it anew. Unlike a window, it remembers everything since its seed.

    Parameters
    ----------
    x : ndarray of shape (T, N)
    period : int
        Sessions, at least 1.

    Returns
    -------
    ndarray of shape (T, N)
        NaN until `period` rows in a row had a value.

    Raises
    ------
    ValueError
        The period is shorter than one session.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return wilder_smoothed_together([x], period)[0]


def wilder_smoothed_together(
    series: Sequence[FloatArray], period: int, *, seed_decays: bool = False
) -> list[FloatArray]:
    """`wilder_smoothing` of several series over the same sessions, and TA-Lib's variant.

    Parameters
    ----------
    series : sequence of ndarray of shape (T, N)
        A row that is missing in one of them is missing in all.
    period : int
        Sessions, at least 1.
    seed_decays : bool
        All but the newest of the first `period` values have decayed by one session in the seed.
        TA-Lib smooths directional movement so: it seeds one row earlier, and drops that row.

    Returns
    -------
    list of ndarray of shape (T, N)
        NaN until `period` rows in a row had a value.

    Raises
    ------
    ValueError
        The period is shorter than one session.
    """
    _require_window(period)
    present = np.logical_and.reduce([np.isfinite(x) for x in series])
    whole = np.zeros_like(present)
    whole[period - 1 :] = _overlapped(np.logical_and, present, period)
    going_on = np.zeros_like(whole)
    np.logical_and(whole[1:], whole[:-1], out=going_on[1:])
    rows, columns = np.unravel_index(np.flatnonzero(whole & ~going_on), whole.shape)

    decay = 1.0 - 1.0 / period
    products = _products(decay * going_on)
    smoothed = []
    for x in series:
        inputs = x / period
        np.copyto(inputs, 0.0, where=~present)
        seeds = x[rows, columns]
        for age in range(1, period):
            seeds += x[rows - age, columns] * (decay if seed_decays else 1.0)
        inputs[rows, columns] = seeds / period
        y = _linear_recursion(products, inputs)
        np.copyto(y, np.nan, where=~whole)
        smoothed.append(y)
    return smoothed


def _products(coefficient: FloatArray) -> list[FloatArray]:
    """Products over the last 1, 2, 4, ... `_ROWS_PER_STEP` rows, whole windows only."""
    products = [coefficient]
    while (span := 2 ** (len(products) - 1)) < _ROWS_PER_STEP:
        products.append(products[-1][span:] * products[-1][:-span])
    return products


def _linear_recursion(products: Sequence[FloatArray], inputs: FloatArray) -> FloatArray:
    """y[t] = coefficient[t] y[t-1] + inputs[t] with y[-1] = 0, from the coefficients' `_products`.

    A loop over single sessions would spend its time in Python. Instead y is first summed over
    the last 2, 4, ... rows, and then advances that many rows at a time. Each row still meets
    its own past in an order that does not depend on where the history starts.
    """
    y = inputs.copy()
    scratch = np.empty_like(y)
    for power, product in enumerate(products[:-1]):
        span = 2**power
        carried = np.multiply(product[1:], y[:-span], out=scratch[span:])
        np.add(y[span:], carried, out=y[span:])
    span = _ROWS_PER_STEP
    for start in range(span, len(y), span):
        late = y[start : start + span]
        early = y[start - span : start][: len(late)]
        product = products[-1][start - span + 1 : start + 1]
        np.add(late, np.multiply(product, early, out=scratch[: len(late)]), out=late)
    return y


def _window_sum(x: FloatArray, window: int) -> FloatArray:
    """Sums over whole windows only: T - window + 1 rows."""
    power, span = x, 1  # row i of `power` ends at t = i + span - 1 and spans `span` rows
    total, covered = x[:0], 0
    while True:
        if window & span:
            rows = max(len(x) - covered - span + 1, 0)
            total = total[span:] + power[:rows] if covered else power
            covered += span
        if covered == window:
            return total
        power = power[span:] + power[:-span]
        span *= 2


def _overlapped(combine: np.ufunc, x: NDArray[Any], window: int) -> NDArray[Any]:
    """Whole windows of an operation for which counting a row twice is counting it once."""
    power, span = x, 1
    while 2 * span <= window:
        power = combine(power[span:], power[:-span])
        span *= 2
    rest = window - span
    combined: NDArray[Any] = combine(power[rest:], power[: max(len(power) - rest, 0)])
    return combined


def _padded(rows: FloatArray, length: int) -> FloatArray:
    """`rows` moved to the end of an array of `length` rows that begins with NaN."""
    padded = np.empty((length, *rows.shape[1:]), dtype=rows.dtype)
    padded[: length - len(rows)] = np.nan
    padded[length - len(rows) :] = rows
    return padded


def _require_window(window: int) -> None:
    if window < 1:
        raise ValueError(f"a window has at least one session, not {window}")
