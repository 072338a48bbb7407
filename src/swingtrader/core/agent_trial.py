"""Judge agents on sessions they have not seen: how much each is heard, and whether at all.

Books are long only, like what the program trades, and take the very positions that are served
(`core.agents.rolled_actions`). The literature finds little in agents of this size, so a positive
Sharpe ratio, which any buyer has in a rising market, is not enough. The ensemble must also beat
holding the same symbols at its own average exposure, by more than noise; and luck with one seed
is not enough either: over several seeds the median must beat it too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.agents import Ensemble, rolled_actions
from swingtrader.core.arrays import SESSIONS_PER_YEAR
from swingtrader.core.inference import newey_west_mean
from swingtrader.core.paper_book import (
    OPENS_AHEAD,
    PURGED_SESSIONS,
    book_returns,
    exposure,
    positions_held,
)
from swingtrader.core.performance import sharpe_ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.inference import Estimate
    from swingtrader.core.paper_book import Game
    from swingtrader.core.perceptron import Agent

WINDOW_SESSIONS = 756
"""Three years, the held-back sessions included."""
MINIMUM_SESSIONS = 378
WEIGHING_SESSIONS = 126
VALIDATION_SESSIONS = 63

SMALLEST_EXCESS_ANNUAL = 0.005
"""Of the capital. An agent that always holds differs from holding by next to nothing, and next to
nothing can be beyond noise too."""
EXCESS_T = 1.645
"""Of the mean daily excess over holding: one-sided 5 %."""
EXCESS_LAG_SESSIONS = 5


@dataclass(frozen=True)
class RlRows:
    """Rows by use; what is decided at the close of a row is paid two opens later."""

    training: range
    weighing: range
    validation: range


@dataclass(frozen=True, eq=False)
class Trial:
    """The agents of one seed on the weighing sessions.

    Attributes
    ----------
    ensemble : Ensemble
        Weighted by Sharpe ratios alone.
    sharpes : tuple of float
        Annual and net, of each agent by itself.
    sharpe : float
        Of the ensemble.
    excess : Estimate
        Mean daily return of the ensemble's book above holding at its average exposure.
    exposure : float
        That exposure.
    """

    ensemble: Ensemble
    sharpes: tuple[float, ...]
    sharpe: float
    excess: Estimate
    exposure: float


def split_rows(first: int, known: int) -> RlRows | None:
    """Split the last `WINDOW_SESSIONS` up to row `known` into three parts, with purged borders.

    Parameters
    ----------
    first : int
        No row before this one.
    known : int
        Last completed session. The two last rows serve nothing: their rewards are not known.

    Returns
    -------
    RlRows or None
        None for fewer than `MINIMUM_SESSIONS`.
    """
    start = max(first, known + 1 - WINDOW_SESSIONS)
    if known + 1 - start < MINIMUM_SESSIONS:
        return None
    stop = known + 1 - OPENS_AHEAD
    validation = range(stop - VALIDATION_SESSIONS, stop)
    stop = validation.start - PURGED_SESSIONS
    weighing = range(stop - WEIGHING_SESSIONS, stop)
    return RlRows(range(start, weighing.start - PURGED_SESSIONS), weighing, validation)


def long_only_book(ensemble: Ensemble, game: Game, rows: range) -> tuple[FloatArray, FloatArray]:
    """Positions the ensemble holds in a book without shorts, and what they return.

    Parameters
    ----------
    rows : range
        Of the game; each with 20 rows before it.

    Returns
    -------
    held : ndarray of shape (len(rows), N)
        In [0, 1]; 0 where nothing can be held.
    returns : ndarray of shape (len(rows),)
        Daily, net, equal-weighted over the symbols; the book begins flat.
    """
    asked = np.maximum(rolled_actions(ensemble, game.seen, game.ranked, rows), 0.0)
    returns = game.returns[rows.start : rows.stop]
    return positions_held(asked, returns), book_returns(asked, returns, game.cost_fraction)


def holding_book(game: Game, rows: range, share: float = 1.0) -> FloatArray:
    """Daily net returns of always holding `share` of every symbol: shape (len(rows),).

    What an agent must beat: it says nothing of timing or choice that one number does not say.
    """
    returns = game.returns[rows.start : rows.stop]
    return book_returns(np.full_like(returns, share), returns, game.cost_fraction)


def trial(agents: Sequence[Agent], game: Game, rows: range) -> Trial:
    """Weigh the agents of one seed by their books over `rows`, and the ensemble they make."""
    sharpes = tuple(
        sharpe_ratio(long_only_book(Ensemble((agent,), (1.0,)), game, rows)[1]) for agent in agents
    )
    ensemble = Ensemble(tuple(agents), sharpe_weights(sharpes))
    held, book = long_only_book(ensemble, game, rows)
    share = exposure(held, game.returns[rows.start : rows.stop])
    excess = book - holding_book(game, rows, share)
    return Trial(
        ensemble,
        sharpes,
        sharpe_ratio(book),
        newey_west_mean(excess, EXCESS_LAG_SESSIONS),
        share,
    )


def sharpe_weights(sharpes: Sequence[float]) -> tuple[float, ...]:
    """How much each agent is heard: in proportion to its Sharpe ratio, 0 where that is negative.

    All 0 where none is positive.
    """
    worth = [max(0.0, sharpe) for sharpe in sharpes]
    total = math.fsum(worth)
    return tuple(value / total for value in worth) if total > 0.0 else (0.0,) * len(worth)


def why_absent(trials: Sequence[Trial]) -> str | None:
    """Why the first trial's ensemble may not speak, a sentence without full stop; None if it may.

    Parameters
    ----------
    trials : sequence of Trial
        One a seed, that of the ensemble to serve first.
    """
    first = trials[0]
    if first.ensemble.is_absent:
        return f"no agent earned anything on the {WEIGHING_SESSIONS} held-back sessions"
    if first.excess.t < EXCESS_T:
        return (
            f"on the {WEIGHING_SESSIONS} held-back sessions the agents did not beat holding the "
            f"same symbols at the same exposure beyond noise (t is {first.excess.t:.2f}, below "
            f"{EXCESS_T})"
        )
    if first.excess.value * SESSIONS_PER_YEAR < SMALLEST_EXCESS_ANNUAL:
        return (
            f"the agents beat holding the same symbols at the same exposure by less than "
            f"{SMALLEST_EXCESS_ANNUAL:.1%} a year"
        )
    if median(each.excess.value for each in trials) <= 0.0:
        return f"the agents of most of the {len(trials)} seeds did not beat holding their symbols"
    return None


def trial_figures(trials: Sequence[Trial], names: Sequence[str]) -> dict[str, float]:
    """What to record of the trials: each agent's Sharpe ratio over seeds, the first's excess.

    Parameters
    ----------
    names : sequence of str
        Of the agents, in the order of each trial's.
    """
    first = trials[0]
    sharpes = {name: [each.sharpes[n] for each in trials] for n, name in enumerate(names)}
    sharpes["ensemble"] = [each.sharpe for each in trials]
    over_seeds = {
        f"{name}_sharpe_{word}": float(of(values))
        for name, values in sharpes.items()
        for word, of in (("min", min), ("median", median), ("max", max))
    }
    weights = zip(names, first.ensemble.weights, strict=True)
    return {
        **over_seeds,
        **{f"{name}_weight": weight for name, weight in weights},
        "ensemble_sharpe": first.sharpe,
        "ensemble_exposure": first.exposure,
        "excess_annual": first.excess.value * SESSIONS_PER_YEAR,
        "excess_t": first.excess.t,
        "excess_annual_median": median(t.excess.value for t in trials) * SESSIONS_PER_YEAR,
    }
