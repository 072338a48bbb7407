"""The market's regime: a two-state Gaussian hidden Markov model, filtered forward.

The state is learned elsewhere (``swingtrader.estimators.hmm``) and arrives here as plain
arrays. Everything a decision reads is a *filtered* probability, which knows the sessions up to
its own and none later; a smoothed one (hmmlearn's ``predict_proba``) looks ahead. States are
ordered by volatility, so that 0 is calm and the last is turbulent whatever order the fit found
them in.

Elementwise arithmetic and scalar loops are chosen over matrix products on purpose: a product's
rounding may depend on how many rows it is given, and a row here must not change by one bit when
later sessions are appended.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from operator import mul
from typing import TYPE_CHECKING, Literal

import numpy as np

from swingtrader.core.archive import archived, unarchived
from swingtrader.core.arrays import SESSIONS_PER_YEAR, frozen

if TYPE_CHECKING:
    from swingtrader.core.arrays import FloatArray

VOLATILITY_LOOKBACK_SESSIONS = 21
"""Log returns in one realised volatility: a month of sessions."""

VOLATILITY_FEATURE = 1
"""Column of `regime_features` that orders the states."""

EXPOSURE_CUT = 0.3
"""Share of the exposure given up when high volatility is certain."""

FORMAT_VERSION = 1
"""Of the bytes `RegimeModel.to_bytes` writes; raised when their meaning changes."""

_UNDERFLOW = 1e-200
"""A sum of scaled densities below this has lost digits, and is taken in logarithms."""

RegimeLabel = Literal["low_volatility", "high_volatility", "unknown"]


@dataclass(frozen=True, eq=False)  # arrays have no single truth value, so no generated ==
class RegimeModel:
    """Parameters of a Gaussian hidden Markov model, named as in hmmlearn.

    Attributes
    ----------
    startprob : ndarray of shape (K,)
        Probability of each state in a window's first session.
    transmat : ndarray of shape (K, K)
        Row i to column j from one session to the next.
    means : ndarray of shape (K, F)
    covars : ndarray of shape (K, F, F)
        Symmetric and positive definite.

    Raises
    ------
    ValueError
        Shapes disagree, a value is not finite, a distribution does not sum to 1, or a
        covariance is not positive definite.
    """

    startprob: FloatArray
    transmat: FloatArray
    means: FloatArray
    covars: FloatArray

    def __post_init__(self) -> None:
        for field in fields(self):
            # A copy: the caller's own array stays writable and must not reach in here.
            array = np.array(getattr(self, field.name), dtype=np.float64)
            if not np.isfinite(array).all():
                raise ValueError(f"{field.name} must be finite")
            object.__setattr__(self, field.name, frozen(array))
        if self.means.ndim != 2:
            raise ValueError(f"means has shape {self.means.shape}, expected (K, F)")
        k, f = self.means.shape
        for name, shape in (("startprob", (k,)), ("transmat", (k, k)), ("covars", (k, f, f))):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, expected {shape}")
        for name in ("startprob", "transmat"):
            array = getattr(self, name)
            if (array < 0).any() or (np.abs(array.sum(axis=-1) - 1.0) > 1e-8).any():
                raise ValueError(f"{name} must hold probabilities that sum to 1")
        asymmetry = np.abs(self.covars - self.covars.swapaxes(1, 2)).max(initial=0.0)
        if asymmetry > 1e-8 * np.abs(self.covars).max(initial=0.0):
            raise ValueError("covars must be symmetric")
        _cholesky(self.covars)

    def to_bytes(self) -> bytes:
        """Return the model as .npz; the same model gives the same bytes."""
        return archived(FORMAT_VERSION, {f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def from_bytes(cls, content: bytes) -> RegimeModel:
        """Read back what `to_bytes` wrote; nothing in it can execute.

        Raises
        ------
        ValueError
            The bytes are damaged, of another version, or no valid model.
        """
        names = [field.name for field in fields(cls)]
        try:
            return cls(**unarchived("regime model", FORMAT_VERSION, names, content))
        except TypeError as error:  # a member of another type than numbers
            raise ValueError(f"not a regime model: {error}") from error


def ordered_by_volatility(model: RegimeModel) -> RegimeModel:
    """Permute the states so that realised volatility rises with the state's number.

    The order is that of the mean of feature 1, realised volatility. The variance of the log
    return would say the same most of the time, but it is a second moment of a fat-tailed
    variable: one crash session assigned to a calm state can lift it above the other's and swap
    the labels between two refits. The mean of a 21-session average hardly moves.

    Raises
    ------
    ValueError
        The model has no feature 1.
    """
    if model.means.shape[1] <= VOLATILITY_FEATURE:
        raise ValueError("the model has no realised volatility to order its states by")
    order = np.argsort(model.means[:, VOLATILITY_FEATURE], kind="stable")
    return RegimeModel(
        startprob=model.startprob[order],
        transmat=model.transmat[np.ix_(order, order)],
        means=model.means[order],
        covars=model.covars[order],
    )


def regime_features(close: FloatArray) -> FloatArray:
    """Log return and realised volatility of one symbol.

    Parameters
    ----------
    close : ndarray of shape (T,), USD
        NaN where there is no bar; nothing is carried over the gap.

    Returns
    -------
    ndarray of shape (T, 2)
        Log return since the previous session, and the sample standard deviation of the last 21
        log returns, annualised. NaN until there are enough, and wherever a close that is
        needed is missing.

    Raises
    ------
    ValueError
        `close` is not one-dimensional, or a price is not positive and finite.
    """
    if close.ndim != 1:
        raise ValueError(f"close has shape {close.shape}, expected (T,)")
    if (close <= 0).any() or np.isinf(close).any():
        raise ValueError("closes must be positive and finite")
    features = np.full((len(close), 2), np.nan)
    log_returns = np.diff(np.log(close))
    features[1:, 0] = log_returns
    if len(log_returns) >= VOLATILITY_LOOKBACK_SESSIONS:
        windows = np.lib.stride_tricks.sliding_window_view(
            log_returns, VOLATILITY_LOOKBACK_SESSIONS
        )
        deviation = windows.std(axis=1, ddof=1)
        features[VOLATILITY_LOOKBACK_SESSIONS:, 1] = deviation * math.sqrt(SESSIONS_PER_YEAR)
    return features


def log_likelihood(features: FloatArray, model: RegimeModel) -> FloatArray:
    """Log density of each session's features under each regime.

    Parameters
    ----------
    features : ndarray of shape (T, F)
        A row with any NaN has no density.
    model : RegimeModel
        Of K states and the same F features.

    Returns
    -------
    ndarray of shape (T, K)
        NaN in the rows that have any NaN.

    Raises
    ------
    ValueError
        `features` is not of shape (T, F).
    """
    k, f = model.means.shape
    if features.ndim != 2 or features.shape[1] != f:
        raise ValueError(f"features has shape {features.shape}, expected (T, {f})")
    lower = _cholesky(model.covars)
    density = np.empty((len(features), k))
    for state in range(k):
        # With covars = L L', the Mahalanobis distance is the squared length of the z that
        # solves L z = x - mean; forward substitution, one feature after the other.
        z: list[FloatArray] = []
        square = np.zeros(len(features))
        for i in range(f):
            rest = features[:, i] - model.means[state, i]
            for j in range(i):
                rest = rest - lower[state, i, j] * z[j]
            z.append(rest / lower[state, i, i])
            square += z[i] * z[i]
        log_determinant = 2.0 * np.log(np.diagonal(lower[state])).sum()
        density[:, state] = -0.5 * (f * math.log(2.0 * math.pi) + log_determinant + square)
    return density


def filtered_probabilities(
    log_likelihood: FloatArray, startprob: FloatArray, transmat: FloatArray
) -> FloatArray:
    """Regime probabilities given the observations up to each session.

    Forward pass only (Hamilton 1989): row t ignores t+1, so a backtest may read every row.
    hmmlearn's ``predict_proba`` also looks ahead.

    Parameters
    ----------
    log_likelihood : ndarray of shape (T, K)
        Log density of each session's features per regime. NaN rows carry the prediction
        forward.
    startprob : ndarray of shape (K,)
        Before the first row is seen.
    transmat : ndarray of shape (K, K)
        Row i to column j; rows sum to 1.

    Returns
    -------
    ndarray of shape (T, K)
        Rows sum to 1.

    Raises
    ------
    ValueError
        K differs between arguments, or a row is impossible (density 0) under every regime that
        can be reached.
    """
    k = len(startprob)
    if log_likelihood.shape[1:] != (k,) or transmat.shape != (k, k):
        raise ValueError(
            f"log_likelihood {log_likelihood.shape}, startprob {startprob.shape} and "
            f"transmat {transmat.shape} do not share K"
        )
    likeliest = log_likelihood.max(axis=1, keepdims=True)
    if np.isinf(likeliest).any():
        raise ValueError("a row of log_likelihood is impossible under every regime")
    # Plain floats: for a handful of states they are several times faster than arrays of that
    # size, and this runs over five years of sessions at every refit of a backtest.
    columns: list[list[float]] = transmat.T.tolist()
    predicted: list[float] = startprob.tolist()
    rows: list[list[float]] = []
    for densities in (log_likelihood - likeliest).tolist():
        joint = [p * math.exp(d) for p, d in zip(predicted, densities, strict=True)]
        total = sum(joint)
        if total > _UNDERFLOW:
            current = [value / total for value in joint]
        elif math.isnan(total):
            current = predicted
        else:
            current = _updated_in_logarithms(predicted, densities)
        rows.append(current)
        predicted = [sum(map(mul, current, column)) for column in columns]
    return np.array(rows, dtype=np.float64).reshape(len(rows), k)


def predictive_log_likelihood(features: FloatArray, model: RegimeModel) -> FloatArray:
    """Log density of each session's features as the sessions before it foretell them.

    What a regime model is worth on sessions it was not fitted to: Hamilton (1989), whose sum
    over the rows is the log likelihood of the series.

    Parameters
    ----------
    features : ndarray of shape (T, F)
    model : RegimeModel

    Returns
    -------
    ndarray of shape (T,)
        NaN in the rows that have any NaN.

    Raises
    ------
    ValueError
        `features` is not of shape (T, F), or a row is impossible under every regime.
    """
    density = log_likelihood(features, model)
    filtered = filtered_probabilities(density, model.startprob, model.transmat)
    predicted = np.vstack([model.startprob, filtered[:-1] @ model.transmat])
    # A regime that cannot be reached has log 0; rows that are NaN stay so.
    with np.errstate(divide="ignore", invalid="ignore"):
        joint = np.log(predicted) + density
        return frozen(np.logaddexp.reduce(joint, axis=1))


def exposure_scale(p_high_volatility: float) -> float:
    """Share of the usual exposure to take: 1 - 0.3 p, and 0.7 where p is absent (NaN).

    Not knowing the regime is treated as the turbulent one: the error then costs a little
    return and never capital.

    Raises
    ------
    ValueError
        `p_high_volatility` is a number outside [0, 1].
    """
    if math.isnan(p_high_volatility):
        return 1.0 - EXPOSURE_CUT
    _check_probability(p_high_volatility)
    return 1.0 - EXPOSURE_CUT * p_high_volatility


def regime_label(p_high_volatility: float) -> RegimeLabel:
    """Name of the likelier regime; a tie is high volatility, NaN is unknown.

    Raises
    ------
    ValueError
        `p_high_volatility` is a number outside [0, 1].
    """
    if math.isnan(p_high_volatility):
        return "unknown"
    _check_probability(p_high_volatility)
    return "high_volatility" if p_high_volatility >= 0.5 else "low_volatility"


def _updated_in_logarithms(predicted: list[float], log_densities: list[float]) -> list[float]:
    """Bayes' rule where the likeliest regime is (almost) out of reach.

    Takes the likeliest *reachable* regime as the unit, so that densities as small as
    exp(-10,000) do not erase the only regime that is possible.
    """
    joint = [
        math.log(p) + density if p > 0.0 else -math.inf
        for p, density in zip(predicted, log_densities, strict=True)
    ]
    largest = max(joint)
    if largest == -math.inf:
        raise ValueError("a row of log_likelihood is impossible under every regime in reach")
    scaled = [math.exp(value - largest) for value in joint]
    total = sum(scaled)
    return [value / total for value in scaled]


def _cholesky(covars: FloatArray) -> FloatArray:
    """Lower triangles of shape (K, F, F)."""
    try:
        return np.linalg.cholesky(covars)
    except np.linalg.LinAlgError as error:
        raise ValueError("covars must be positive definite") from error


def _check_probability(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"a probability lies in [0, 1], got {p}")
