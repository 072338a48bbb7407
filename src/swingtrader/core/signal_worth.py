"""What each signal of a backtest was worth, and whether that can be told from chance.

Two figures a signal. By leaving it out: the change of the Sharpe ratio, with an interval from a
stationary bootstrap that resamples the sessions of both runs together, since what they share
says nothing about the difference. By its rank IC: how well it ordered the stocks, whatever the
vote and the limits made of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.arrays import SESSIONS_PER_YEAR, frozen
from swingtrader.core.inference import (
    information_coefficient,
    spearman_by_session,
    stationary_bootstrap_indices,
)
from swingtrader.core.performance import sharpe_per_session
from swingtrader.core.walkforward import LABEL_HORIZON
from swingtrader.core.worth import SignalWorth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.simulate import Simulation

LEVEL = 0.95
MEAN_BLOCK_SESSIONS = 21.0
"""A month, as for the interval of the Sharpe ratio itself."""
FEWEST_BLOCKS = 12
"""Shorter runs have shorter blocks: out of two or three, draws hardly differ, and chance would be
ruled out in a quarter of all runs of 40 sessions."""
DRAWS = 2000

_CELLS_AT_ONCE = 2**19  # draws x sessions; bounds memory


@dataclass(frozen=True)
class SignalIc:
    """How well a signal ordered the stocks by what they returned.

    Attributes
    ----------
    mean, t : float
        Mean rank correlation and its t with Newey-West errors; NaN without any session.
    sessions : int
        Those on which enough stocks had the signal, not all the same, and a known return.
    """

    mean: float
    t: float
    sessions: int


def returns_from_open(open_: FloatArray, close: FloatArray) -> FloatArray:
    """Return from the open of each session to the close that ends the horizon of its decision.

    What was learnt overnight is in the opening price, so a signal that hears the night's news
    may only be judged from there on.

    Parameters
    ----------
    open_, close : ndarray of shape (T, N)

    Returns
    -------
    ndarray of shape (T, N)
        Row t ends at the close of session t + 20, where the 21-session return from the close
        before ends; NaN in the last 20 rows and where either price is missing.
    """
    ahead = LABEL_HORIZON - 1
    returns = np.full(close.shape, np.nan)
    if len(close) > ahead:
        returns[:-ahead] = close[ahead:] / open_[:-ahead] - 1.0
    return frozen(returns)


def signal_ic(signal: FloatArray, outcome: FloatArray) -> SignalIc:
    """Rank IC of one signal over the sessions decided.

    Parameters
    ----------
    signal : ndarray of shape (L, N)
        NaN is absent. A session on which it is the same for all stocks has no rank correlation;
        stocks that share a value, as those of one sector may, share their average rank.
    outcome : ndarray of shape (L, N)
        Return that follows; NaN where it is not realised.
    """
    ic = spearman_by_session(signal, outcome)
    sessions = int(np.count_nonzero(np.isfinite(ic)))
    if not sessions:
        return SignalIc(math.nan, math.nan, 0)
    estimate = information_coefficient(ic)
    return SignalIc(estimate.value, estimate.t, sessions)


def sharpe_change_intervals(returns: FloatArray, others: FloatArray, *, seed: int) -> FloatArray:
    """95 % percentile interval of the Sharpe ratio of each other run minus that of this one.

    Parameters
    ----------
    returns : ndarray of shape (T,)
        Finite, in time order.
    others : ndarray of shape (K, T)
        Of the same sessions; each draw takes the same of them from every run.
    seed : int
        Same seed, same intervals.

    Returns
    -------
    ndarray of shape (K, 2)
        Low and high, annualised. Both 0 for a run equal to this one, and for fewer than two
        sessions.

    Raises
    ------
    ValueError
        The sessions differ, or a return is not finite.
    """
    runs = np.vstack([returns[np.newaxis], others])
    if not np.isfinite(runs).all():
        raise ValueError("returns must be finite")
    sessions = runs.shape[1]
    if sessions < 2 or not len(others):
        return np.zeros((len(others), 2))
    rng = np.random.default_rng(seed)
    changes = np.empty((DRAWS, len(others)))
    mean_block = max(1.0, min(MEAN_BLOCK_SESSIONS, sessions / FEWEST_BLOCKS))
    at_once = max(1, _CELLS_AT_ONCE // sessions)
    for start in range(0, DRAWS, at_once):
        stop = min(start + at_once, DRAWS)
        rows = stationary_bootstrap_indices(sessions, mean_block, stop - start, rng)
        drawn = np.column_stack([sharpe_per_session(run[rows]) for run in runs])
        changes[start:stop] = drawn[:, 1:] - drawn[:, :1]
    tail = (1.0 - LEVEL) / 2.0
    bounds = np.quantile(changes, [tail, 1.0 - tail], axis=0) * math.sqrt(SESSIONS_PER_YEAR)
    return frozen(bounds.T)


def signal_worths(
    simulation: Simulation,
    without: Mapping[str, Simulation],
    leave_one_out: Mapping[str, Mapping[str, float]],
    ics: Mapping[str, SignalIc],
    *,
    seed: int,
) -> tuple[SignalWorth, ...]:
    """Both figures of every signal in `ics`, in that order.

    Parameters
    ----------
    without : mapping
        A simulation for each present signal, with that signal left out; one that was never
        present has a change and an interval of 0.
    leave_one_out : mapping
        From `scorecard.worth_of_signals`.
    """
    present = [name for name in ics if name in without]
    others = np.array([without[name].returns for name in present])
    intervals = sharpe_change_intervals(
        simulation.returns, others.reshape(len(present), len(simulation.returns)), seed=seed
    )
    bounds = dict(zip(present, intervals.tolist(), strict=True))
    return tuple(
        SignalWorth(
            signal=name,
            sharpe_change=leave_one_out[name]["sharpe_change"],
            low=bounds.get(name, (0.0, 0.0))[0],
            high=bounds.get(name, (0.0, 0.0))[1],
            ic_mean=ic.mean,
            ic_t=ic.t,
        )
        for name, ic in ics.items()
    )


def worth_figures(
    worths: Sequence[SignalWorth], ics: Mapping[str, SignalIc]
) -> dict[str, dict[str, float | list[float]]]:
    """Intervals and rank ICs for ``metrics.json``, where a figure that is not measured is 0."""
    return {
        worth.signal: {
            "sharpe_change_ci95": [worth.low, worth.high],
            "ic_mean": 0.0 if math.isnan(worth.ic_mean) else worth.ic_mean,
            "ic_t": 0.0 if math.isnan(worth.ic_t) else worth.ic_t,
            "ic_sessions": ics[worth.signal].sessions,
        }
        for worth in worths
    }
