"""How sure one may be of a mean over few outcomes that overlap.

``inference`` judges years. Over 126 sessions its Newey-West errors with 42 lags are themselves
so uncertain that a t-statistic means little. Here the dependence is taken as known instead: V
sessions whose outcomes overlap by `span` count as V / span observations. That is right for
scores that hardly change within the span, and errs towards more noise for what depends less.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

from swingtrader.core.inference import Estimate
from swingtrader.core.performance import NEGLIGIBLE, finite_series

if TYPE_CHECKING:
    from swingtrader.core.arrays import FloatArray

NOISE_LEVEL = 0.05
"""How often pure noise goes beyond what is allowed for it, on one side."""

_NORMAL_QUANTILE = NormalDist().inv_cdf(1.0 - NOISE_LEVEL)


def mean_of_overlapping(x: FloatArray, span: int) -> Estimate:
    """Mean of a short series whose neighbours overlap, and its error.

    Of V values V / span are independent. The standard deviation about their own mean is too
    small by the root of 1 - span / V; mended, the error of the mean is sd / sqrt(V / span - 1).

    Parameters
    ----------
    x : ndarray of shape (V,)
        Finite, in time order.
    span : int, sessions

    Returns
    -------
    Estimate
        Error 0.0 for values that do not vary.

    Raises
    ------
    ValueError
        No more values than `span`, or not finite.
    """
    series = finite_series(x, "x")
    blocks = len(series) / span
    if blocks <= 1.0:
        raise ValueError(f"{len(series)} values say nothing of their noise over {span} sessions")
    deviation = float(series.std())
    if deviation <= NEGLIGIBLE * float(abs(series).max()):
        return Estimate(float(series.mean()), 0.0)
    return Estimate(float(series.mean()), deviation / math.sqrt(blocks - 1.0))


def noise_allowance(sessions: int, span: int) -> float:
    """Standard errors that noise alone exceeds, on one side, in 5 of 100 tries.

    Student's t for `sessions` / `span` - 1 degrees of freedom, by Fisher's expansion about the
    normal distribution (Abramowitz & Stegun 26.7.5): 2.02 for 126 and 21, 1.66 for 126 and 1.
    """
    z = _NORMAL_QUANTILE
    freedom = sessions / span - 1.0
    first = (z**3 + z) / 4.0
    second = (5.0 * z**5 + 16.0 * z**3 + 3.0 * z) / 96.0
    third = (3.0 * z**7 + 19.0 * z**5 + 17.0 * z**3 - 15.0 * z) / 384.0
    return z + first / freedom + second / freedom**2 + third / freedom**3
