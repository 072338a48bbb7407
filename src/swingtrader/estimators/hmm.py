"""Learn the regime model: a two-state Gaussian HMM, by hmmlearn's EM.

What is chosen here, and why:

- The start is computed and not drawn: sessions with the highest realised volatility against the
  rest. EM from random starts ends in different optima, which would move a refit's labels for no
  reason in the market.
- Features are standardised for the fit and the model is mapped back, because hmmlearn's priors
  are absolute numbers and a log return's variance is about 1e-4.
- Small priors keep the model usable: a state may not shrink onto a few sessions, and no state is
  absorbing (a filter could never leave it until the next refit).
- EM stops when an iteration gains less than 1e-6 of log-likelihood per session, or after 100
  iterations; then the model it has reached is the result. A regime model a little short of its
  optimum beats having none, and the cap bounds the time of a refit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.regime import VOLATILITY_FEATURE, RegimeModel, ordered_by_volatility

if TYPE_CHECKING:
    from swingtrader.core.arrays import FloatArray

MINIMUM_SESSIONS = 126
"""Half a year: fewer sessions seldom show both regimes."""

MAXIMUM_ITERATIONS = 100

GAIN_PER_SESSION = 1e-6
"""Log-likelihood; an iteration that gains less ends the fit."""

SMALLEST_DEVIATION = 1e-8
"""A feature that varies less than this is constant but for rounding."""

TURBULENT_SHARE = 0.25
"""Sessions that begin in the state of high volatility."""

INITIAL_PERSISTENCE = 0.98
"""Probability of staying in a state that EM begins with: regimes of 50 sessions."""

_STATES = 2


def fit_regime(features: FloatArray, *, seed: int = 0) -> RegimeModel:
    """Fit the two-state regime model; the same features give the same model, bit by bit.

    Parameters
    ----------
    features : ndarray of shape (T, 2)
        As from `regime_features`. Rows that are not finite are left out, and what remains is
        taken as consecutive.
    seed : int
        Handed to hmmlearn, which draws nothing from it: the start is computed.

    Returns
    -------
    RegimeModel
        State 0 has the lower mean realised volatility, state 1 the higher. The first session of
        a window is in either with probability 1/2: one session teaches nothing about that.

    Raises
    ------
    ValueError
        `features` is not of shape (T, 2), has fewer than 126 finite rows, or a feature is
        constant (as with prices that do not move).
    """
    from hmmlearn.hmm import GaussianHMM  # noqa: PLC0415 - a second of imports, for a fit only

    if features.ndim != 2 or features.shape[1] != 2:
        raise ValueError(f"features has shape {features.shape}, expected (T, 2)")
    finite = features[np.isfinite(features).all(axis=1)]
    if len(finite) < MINIMUM_SESSIONS:
        raise ValueError(
            f"a regime model needs {MINIMUM_SESSIONS} sessions with return and volatility, "
            f"got {len(finite)}"
        )
    center, deviation = finite.mean(axis=0), finite.std(axis=0)
    if (deviation < SMALLEST_DEVIATION).any():
        raise ValueError(
            "return or volatility is constant: prices without movement have no regime"
        )
    x = (finite - center) / deviation

    hmm = GaussianHMM(
        _STATES,
        "full",
        # One imagined session of unit variance in each state, and one imagined transition from
        # each state to each. `min_covar` does not bound a full covariance after the first step.
        covars_prior=np.eye(2),
        transmat_prior=2.0,
        random_state=seed,
        n_iter=MAXIMUM_ITERATIONS,
        params="tmc",
        init_params="",
    )
    hmm.startprob_ = np.full(_STATES, 1.0 / _STATES)
    hmm.transmat_ = np.full((_STATES, _STATES), 1.0 - INITIAL_PERSISTENCE)
    np.fill_diagonal(hmm.transmat_, INITIAL_PERSISTENCE)
    states = _initial_states(x)
    hmm.means_ = np.array([rows.mean(axis=0) for rows in states])
    hmm.covars_ = np.array([_initial_covariance(rows) for rows in states])
    hmm.monitor_ = _Plateau(GAIN_PER_SESSION * len(x), MAXIMUM_ITERATIONS)
    hmm.fit(x)

    return ordered_by_volatility(
        RegimeModel(
            startprob=hmm.startprob_,
            transmat=hmm.transmat_,
            means=hmm.means_ * deviation + center,
            covars=hmm.covars_ * np.outer(deviation, deviation),
        )
    )


class _Plateau:
    """When EM ends; takes the place of hmmlearn's ``ConvergenceMonitor``.

    hmmlearn's own logs a warning when the log-likelihood falls. With priors it may: what EM
    raises is the posterior. A fall ends the fit like any gain that is too small.
    """

    def __init__(self, smallest_gain: float, maximum_iterations: int) -> None:
        self.smallest_gain = smallest_gain
        self.maximum_iterations = maximum_iterations
        self._reset()

    def _reset(self) -> None:
        """Begin anew; hmmlearn calls it at the start of a fit."""
        self.iter = 0
        self.gain = np.inf
        self.log_probability = -np.inf

    def report(self, log_probability: float) -> None:
        """Take note of one iteration."""
        self.iter += 1
        self.gain = log_probability - self.log_probability
        self.log_probability = log_probability

    @property
    def converged(self) -> bool:
        """Whether to stop."""
        return self.iter >= self.maximum_iterations or self.gain < self.smallest_gain


def _initial_states(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rows of the calm and of the turbulent sessions, split at a quantile of volatility.

    Split by rank, so that equal volatilities leave neither side empty.
    """
    by_volatility = np.argsort(x[:, VOLATILITY_FEATURE], kind="stable")
    turbulent = int(len(x) * TURBULENT_SHARE)
    return x[by_volatility[:-turbulent]], x[by_volatility[-turbulent:]]


def _initial_covariance(rows: FloatArray) -> FloatArray:
    """Covariance of one side, widened a little so that equal rows leave it invertible."""
    covariance: FloatArray = np.cov(rows, rowvar=False, bias=True) + 1e-3 * np.eye(rows.shape[1])
    return covariance
