"""How sure one may be of a measured figure: intervals, errors and the price of searching.

Choices:

- Overlapping labels and clustered volatility make sessions dependent. Errors are therefore
  Newey-West (1987) with the Bartlett kernel, without small-sample correction, and intervals
  come from the stationary bootstrap.
- A t-statistic near the sample's own length in lags comes out too large; nothing here mends
  that, so read it with the number of sessions beside it.
- Sharpe ratios that enter PSR and DSR are per session; only intervals are annualised.
- Short input is no error. Without dispersion a standard error and its t are 0.0, and a
  probability says 0.5: nothing is known. NaN or infinity raises ValueError unless a function
  says that NaN means absent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core import performance
from swingtrader.core.arrays import SESSIONS_PER_YEAR
from swingtrader.core.performance import NEGLIGIBLE, finite_series, sharpe_per_session

if TYPE_CHECKING:
    from swingtrader.core.arrays import BoolArray, FloatArray, IntArray

IC_LAG_SESSIONS = 42
"""Twice the label's 21 sessions: at a lag of 21 itself t comes out 1.3 to 1.4 times too large."""

MINIMUM_RANKED_SYMBOLS = 5
"""A rank correlation over fewer symbols is noise."""

_STANDARD_NORMAL = NormalDist()
_EULER_MASCHERONI = float(np.euler_gamma)

# Bounds working memory: draws x sessions, or sessions x thousands of symbols, is too much.
_CELLS_AT_ONCE = 2**19


@dataclass(frozen=True)
class Estimate:
    """A figure and its standard error, in the figure's own unit."""

    value: float
    standard_error: float

    @property
    def t(self) -> float:
        """How many standard errors the value lies from zero; 0.0 where the error is 0."""
        return self.value / self.standard_error if self.standard_error > 0.0 else 0.0


@dataclass(frozen=True)
class MarketRegression:
    """Returns explained by a market's returns.

    Attributes
    ----------
    alpha : Estimate
        Return per session that the market does not explain; times 252 for a year.
    beta : Estimate
    """

    alpha: Estimate
    beta: Estimate


def newey_west_mean(x: FloatArray, lag: int) -> Estimate:
    """Mean of a dependent series with its Newey-West (1987) error.

    Parameters
    ----------
    x : ndarray of shape (T,)
        Finite, in time order.
    lag : int, sessions
        Last autocovariance that counts, cut to T - 1.

    Returns
    -------
    Estimate
        Value 0.0 of an empty series; error 0.0 for fewer than two values and for values that
        do not vary.
    """
    series = finite_series(x, "x")
    if len(series) < 2:
        return Estimate(float(series.sum()), 0.0)
    return _least_squares_hac(np.ones((len(series), 1)), series, lag)[0]


def linear_regression_hac(y: FloatArray, x: FloatArray, lag: int) -> MarketRegression:
    """Alpha and beta of `y` on `x` by least squares, with Newey-West (1987) errors.

    Parameters
    ----------
    y, x : ndarray of shape (T,)
        Returns of the account and of the market on the same sessions, finite, in time order.
    lag : int, sessions
        As for `newey_west_mean`.

    Returns
    -------
    MarketRegression
        Where `x` does not vary (or T < 2) beta is 0.0 and alpha the mean of `y`. Where the
        line fits perfectly, both errors are 0.0.

    Raises
    ------
    ValueError
        Lengths differ.
    """
    dependent, market = finite_series(y, "y"), finite_series(x, "x")
    if len(dependent) != len(market):
        raise ValueError(f"y has {len(dependent)} values and x has {len(market)}")
    if len(market) < 2 or np.std(market) <= NEGLIGIBLE * np.abs(market).max():
        return MarketRegression(newey_west_mean(dependent, lag), Estimate(0.0, 0.0))
    design = np.column_stack([np.ones(len(market)), market])
    alpha, beta = _least_squares_hac(design, dependent, lag)
    return MarketRegression(alpha, beta)


def stationary_bootstrap_indices(
    length: int, mean_block: float, draws: int, rng: np.random.Generator
) -> IntArray:
    """Rows to resample: blocks of geometric length from a circle (Politis & Romano 1994).

    Parameters
    ----------
    length : int
        T, at least 1.
    mean_block : float, sessions
        Mean block length, at least 1; 1 is the ordinary bootstrap.
    draws : int
    rng : Generator

    Returns
    -------
    ndarray of shape (draws, length)
        Row numbers below `length`. Within a block each follows the one before; after the
        last row comes the first.
    """
    if length < 1:
        raise ValueError(f"length must be at least 1, not {length}")
    if mean_block < 1:
        raise ValueError(f"mean_block must be at least 1, not {mean_block}")
    restarts = rng.random((draws, length)) < 1.0 / mean_block
    restarts[:, 0] = True  # so no block runs from one draw into the next
    begins = np.flatnonzero(restarts)
    block = np.cumsum(restarts) - 1
    first_rows = rng.integers(length, size=len(begins))
    rows: IntArray = first_rows[block] + np.arange(draws * length) - begins[block]
    return rows.reshape(draws, length) % length


def sharpe_interval(
    returns: FloatArray,
    *,
    seed: int,
    level: float = 0.95,
    mean_block: float = 21.0,
    draws: int = 2000,
) -> tuple[float, float]:
    """Percentile interval of the annualised Sharpe ratio by the stationary bootstrap.

    Parameters
    ----------
    returns : ndarray of shape (T,)
        Finite, in time order.
    seed : int
        Same seed, same interval.
    level : float
        Coverage aimed at, between 0 and 1.
    mean_block : float, sessions
        A month by default, for dependence of about that length.
    draws : int

    Returns
    -------
    (low, high) : float
        Both 0.0 for returns that do not vary or are fewer than two.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    series = finite_series(returns, "returns")
    if len(series) < 2:
        return 0.0, 0.0
    rng = np.random.default_rng(seed)
    sharpes = np.empty(draws)
    at_once = max(1, _CELLS_AT_ONCE // len(series))
    for start in range(0, draws, at_once):
        stop = min(start + at_once, draws)
        rows = stationary_bootstrap_indices(len(series), mean_block, stop - start, rng)
        sharpes[start:stop] = sharpe_per_session(series[rows])
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(sharpes, [tail, 1.0 - tail]) * math.sqrt(SESSIONS_PER_YEAR)
    return float(low), float(high)


def probabilistic_sharpe_ratio(
    sharpe: float, benchmark_sharpe: float, sessions: int, skewness: float, kurtosis: float
) -> float:
    """Probability that the true Sharpe ratio exceeds a benchmark (Bailey & Lopez de Prado 2012).

    Rises with `sharpe` where daily returns live (0 to 0.3, benchmark to 0.2, skewness to 3).
    Far outside the formula itself turns: with benchmark 0 it falls beyond 2 / skewness.
    The result is in [0, 1], and 0.5 for fewer than two sessions.

    Parameters
    ----------
    sharpe, benchmark_sharpe : float
        Per session, not annualised.
    sessions : int
        Returns behind `sharpe`.
    skewness, kurtosis : float
        Of those returns; kurtosis 3 is normal.

    Raises
    ------
    ValueError
        Kurtosis below 1 + skewness squared, which no distribution has.
    """
    if kurtosis < (1.0 + skewness**2) * (1.0 - NEGLIGIBLE):
        raise ValueError(f"kurtosis {kurtosis} is impossible with skewness {skewness}")
    if sessions < 2:
        return 0.5
    # Zero only for two-valued returns at one Sharpe; there rounding may even make it negative.
    variance = max(1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2, NEGLIGIBLE)
    z = (sharpe - benchmark_sharpe) * math.sqrt(sessions - 1) / math.sqrt(variance)
    return _STANDARD_NORMAL.cdf(z)


def probabilistic_sharpe_of(returns: FloatArray, benchmark_sharpe: float = 0.0) -> float:
    """Probabilistic Sharpe ratio of `returns` of shape (T,), moments taken from them.

    `benchmark_sharpe` is per session. 0.5 for fewer than two returns.
    """
    series = finite_series(returns, "returns")
    return probabilistic_sharpe_ratio(
        float(sharpe_per_session(series)),
        benchmark_sharpe,
        len(series),
        performance.skewness(series),
        performance.kurtosis(series),
    )


def expected_maximum_sharpe(trials: int, variance: float) -> float:
    """Sharpe ratio to expect of the best of `trials` without skill (Bailey & Lopez de Prado 2014).

    0.0 for one trial: nothing was searched.

    Parameters
    ----------
    trials : int
        At least 1, counted as independent.
    variance : float
        Of the trials' Sharpe ratios, whose unit (per session, annual) the result takes.
    """
    if trials < 1:
        raise ValueError(f"trials must be at least 1, not {trials}")
    if not 0.0 <= variance < math.inf:
        raise ValueError(f"variance must be finite and not negative, is {variance}")
    if trials == 1:
        return 0.0
    typical = _STANDARD_NORMAL.inv_cdf(1.0 - 1.0 / trials)
    beyond = _STANDARD_NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    spread = (1.0 - _EULER_MASCHERONI) * typical + _EULER_MASCHERONI * beyond
    return math.sqrt(variance) * spread


def deflated_sharpe_ratio(
    sharpe: float,
    sessions: int,
    skewness: float,
    kurtosis: float,
    *,
    trials: int,
    trial_variance: float,
) -> float:
    """Probability that a Sharpe ratio beats the luckiest of that many skill-less trials.

    The probabilistic Sharpe ratio against `expected_maximum_sharpe` (Bailey & Lopez de Prado
    2014), in [0, 1]; with one trial it is the probabilistic Sharpe ratio against 0.

    Parameters are those of these two functions; `trials` counts everything ever tried, this
    one included, and `trial_variance` is that of Sharpe ratios per session.
    """
    luckiest = expected_maximum_sharpe(trials, trial_variance)
    return probabilistic_sharpe_ratio(sharpe, luckiest, sessions, skewness, kurtosis)


def deflated_sharpe_of(returns: FloatArray, trial_sharpes: FloatArray) -> float:
    """Deflated Sharpe ratio of `returns`, given the Sharpe ratio of every recorded trial.

    The variance across trials is their sample variance, but not less than 1 / (T - 1), that
    of a skill-less Sharpe ratio of this length. Trials in one ledger are near copies of each
    other; their own small spread would make a long search look like none. The result is in
    [0, 1], and 0.5 for fewer than two returns.

    Parameters
    ----------
    returns : ndarray of shape (T,)
    trial_sharpes : ndarray of shape (trials,)
        Per session, this run's own included. Finite, not empty.
    """
    series = finite_series(returns, "returns")
    recorded = finite_series(trial_sharpes, "trial_sharpes")
    if len(recorded) == 0:
        raise ValueError("trial_sharpes must hold at least this run's own")
    if len(series) < 2:
        return 0.5
    by_chance = 1.0 / (len(series) - 1)
    variance = max(float(np.var(recorded, ddof=1)), by_chance) if len(recorded) > 1 else by_chance
    luckiest = expected_maximum_sharpe(len(recorded), variance)
    return probabilistic_sharpe_of(series, luckiest)


def spearman_by_session(score: FloatArray, outcome: FloatArray) -> FloatArray:
    """Spearman rank correlation across symbols, session by session.

    Parameters
    ----------
    score, outcome : ndarray of shape (T, N)
        A symbol counts where both are finite. Ties share their average rank.

    Returns
    -------
    ndarray of shape (T,)
        In [-1, 1]; NaN where fewer than `MINIMUM_RANKED_SYMBOLS` symbols count, or where one
        side is the same for all of them.

    Raises
    ------
    ValueError
        Shapes differ or do not have two dimensions.
    """
    if score.shape != outcome.shape or score.ndim != 2:
        raise ValueError(f"score has shape {score.shape} and outcome {outcome.shape}")
    correlation = np.full(len(score), np.nan)
    at_once = max(1, _CELLS_AT_ONCE // max(1, score.shape[1]))
    for start in range(0, len(score), at_once):
        rows = slice(start, start + at_once)
        both = np.isfinite(score[rows]) & np.isfinite(outcome[rows])
        x = _centred_ranks(score[rows], both)
        y = _centred_ranks(outcome[rows], both)
        scale = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
        enough = (both.sum(axis=1) >= MINIMUM_RANKED_SYMBOLS) & (scale > 0.0)
        np.divide((x * y).sum(axis=1), scale, out=correlation[rows], where=enough)
    return correlation.clip(-1.0, 1.0)


def information_coefficient(ic: FloatArray, lag: int = IC_LAG_SESSIONS) -> Estimate:
    """Mean rank correlation with a Newey-West error.

    `ic` of shape (T,) is as from `spearman_by_session`, in time order. NaN is left out, and
    `lag` counts the sessions that remain.
    """
    return newey_west_mean(ic[np.isfinite(ic)], lag)


def _least_squares_hac(design: FloatArray, y: FloatArray, lag: int) -> list[Estimate]:
    """Coefficients of `y` (T,) on the K columns of `design` (T, K)."""
    if lag < 0:
        raise ValueError(f"lag must not be negative, is {lag}")
    bread = np.linalg.inv(design.T @ design)
    coefficients = bread @ (design.T @ y)
    residual = y - design @ coefficients
    if np.abs(residual).max() <= NEGLIGIBLE * np.abs(y).max():
        return [Estimate(float(c), 0.0) for c in coefficients]
    score = design * residual[:, None]
    meat = score.T @ score
    for step in range(1, min(lag, len(y) - 1) + 1):
        autocovariance = score[step:].T @ score[:-step]
        meat += (1.0 - step / (lag + 1.0)) * (autocovariance + autocovariance.T)
    # The Bartlett kernel keeps variances from being negative, but for rounding.
    variances = np.maximum(np.diag(bread @ meat @ bread), 0.0)
    return [Estimate(float(c), math.sqrt(v)) for c, v in zip(coefficients, variances, strict=True)]


def _centred_ranks(values: FloatArray, counted: BoolArray) -> FloatArray:
    """Average rank within each row of (T, N) less the row's mean rank; 0 where not counted."""
    sessions, symbols = values.shape
    masked = np.where(counted, values, np.nan)  # sorted last
    order = np.argsort(masked, axis=1)
    ascending = np.take_along_axis(masked, order, axis=1)
    begins_tie = np.ones(values.shape, dtype=np.bool_)
    begins_tie[:, 1:] = ascending[:, 1:] != ascending[:, :-1]
    # Ties are numbered over the flattened rows; none crosses a row, as each row begins one.
    first = np.flatnonzero(begins_tie)
    middle = first + (np.diff(np.append(first, values.size)) - 1) / 2.0
    tie = np.cumsum(begins_tie).reshape(values.shape) - 1
    rank = middle[tie] - symbols * np.arange(sessions)[:, None]
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, rank, axis=1)
    # The counted symbols hold the ranks 0 to n - 1, whatever their ties.
    return np.where(counted, ranks - (counted.sum(axis=1, keepdims=True) - 1) / 2.0, 0.0)
