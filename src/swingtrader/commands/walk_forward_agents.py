"""The reinforcement-learning signal of a backtest: agents trained on what was known, then heard.

Before the first session traded of every calendar quarter (or, frozen, of all) an ensemble is
trained on the bars up to the close before, over the stocks the ranker then liked best. It serves
until the next. Where it could not be trained, or no agent earned a weight, it has no view.

The signal of a session is computed one session at a time by the function that live decisions
call, from the last `ROLLED_SESSIONS` completed sessions and the probabilities of the regime
model that serves it, so it is equal to the live one bit by bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np

from swingtrader.commands.rl_training import SCAN_SESSIONS, SYMBOLS, cost_fraction_of, train_rl
from swingtrader.core.agents import ROLLED_SESSIONS, rolled_action
from swingtrader.core.arrays import frozen
from swingtrader.core.walkforward import Retraining
from swingtrader.errors import DataError
from swingtrader.estimators.agents import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from swingtrader.adapters.model_cache import ModelCache
    from swingtrader.commands.backtest_inputs import Progress
    from swingtrader.commands.rl_mode import RlMode
    from swingtrader.commands.walk_forward import Opinions
    from swingtrader.core.agents import Ensemble
    from swingtrader.core.arrays import FloatArray, SessionArray
    from swingtrader.core.costs import Costs
    from swingtrader.core.signals import MarketView


@dataclass(frozen=True, eq=False)
class TrainedAgents:
    """What one training came to.

    Attributes
    ----------
    ensemble : Ensemble
    held_back_sharpe : mapping
        Net Sharpe ratio of each agent, by name, on sessions it was not trained on.
    why_absent : str, optional
        Why the ensemble has no view.
    """

    ensemble: Ensemble
    held_back_sharpe: Mapping[str, float]
    why_absent: str | None = None


class TrainsAgents(Protocol):
    """What trains an ensemble from what was known at the close of a row."""

    def __call__(
        self, known: int, columns: Sequence[int], p_high_volatility: FloatArray
    ) -> TrainedAgents:
        """Train, or fetch, the ensemble.

        Parameters
        ----------
        known : int
            Row of the last completed session; nothing later may be read.
        columns : sequence of int
            Stocks to train on.
        p_high_volatility : ndarray of shape (known + 1,)
            Filtered by the model that serves the session after; NaN before it begins.

        Raises
        ------
        DataError
            There is too little to train on.
        """


@dataclass(frozen=True, eq=False)
class Heard:
    """What the agents said over a backtest, and who they were.

    Attributes
    ----------
    signal : ndarray of shape (T, N)
        By the session decided in; NaN is no view.
    trainings : tuple of TrainedAgents
    silences : tuple of (date, str)
        First session of each period without a view, and why.
    """

    signal: FloatArray
    trainings: tuple[TrainedAgents, ...]
    silences: tuple[tuple[date, str], ...]

    @property
    def silence(self) -> str:
        """Since when there was no view until the next training, and why; empty if never.

        Reasons hold figures and seldom repeat: the first and the last one are enough.
        """
        if not self.silences:
            return ""
        since = ", ".join(str(day) for day, _ in self.silences)
        whys = dict.fromkeys([self.silences[0][1], self.silences[-1][1]])
        return f"from {since} until the next training: {'; at last '.join(whys)}"

    def figures(self, rows: range) -> dict[str, object]:
        """Figures for ``metrics.json``: trainings, share of sessions heard, mean Sharpe ratios."""
        heard = np.isfinite(self.signal[rows.start : rows.stop]).any(axis=1)
        sharpes: dict[str, list[float]] = {}
        for trained in self.trainings:
            for name, sharpe in trained.held_back_sharpe.items():
                sharpes.setdefault(name, []).append(sharpe)
        return {
            "trainings": len(self.trainings),
            "sessions_heard": float(heard.mean()),
            "held_back_sharpe": {name: float(np.mean(s)) for name, s in sharpes.items()},
        }


def agent_trainings(sessions: SessionArray, rows: range, mode: RlMode) -> tuple[Retraining, ...]:
    """When an ensemble is trained and which decisions it serves; none where the mode is off.

    Parameters
    ----------
    sessions : ndarray of shape (T,), datetime64[D]
    rows : range
        Sessions to decide; the first must have a session before it.
    """
    if mode == "off":
        return ()
    starts = [rows.start]
    if mode == "walk-forward":
        quarter = sessions.astype("datetime64[M]").astype(np.int64) // 3
        starts += [t for t in rows[1:] if quarter[t] != quarter[t - 1]]
    return tuple(Retraining(a - 1, range(a, b)) for a, b in pairwise([*starts, rows.stop]))


def hear_agents(
    view: MarketView,
    opinions: Opinions,
    trainings: Sequence[Retraining],
    train: TrainsAgents,
    progress: Progress,
) -> Heard:
    """Train the ensembles one after the other, then let each speak for its sessions.

    Parameters
    ----------
    opinions : Opinions
        Of all sessions that `trainings` serve.
    """
    path_of = {row: path for path in opinions.paths for row in path.serves}
    agents: list[TrainedAgents] = []
    speakers: list[tuple[range, Ensemble]] = []
    silences: list[tuple[date, str]] = []
    done = progress.phase("Training agents", len(trainings))
    for number, training in enumerate(trainings, start=1):
        first = training.serves.start
        columns = best_ranked(opinions.probability, first, since=trainings[0].serves.start)
        try:
            trained = train(training.known, columns, path_of[first].before(first, first))
        except DataError as error:
            silences.append((view.stocks.sessions[first].item(), str(error)))
        else:
            agents.append(trained)
            speakers.append((training.serves, trained.ensemble))
            if trained.why_absent is not None:
                silences.append((view.stocks.sessions[first].item(), trained.why_absent))
        done(number)
    signal = np.full(view.stocks.close.shape, np.nan)
    spoken = [(row, ensemble) for serves, ensemble in speakers for row in serves]
    done = progress.phase("Hearing agents", len(spoken))
    for number, (row, ensemble) in enumerate(spoken, start=1):
        completed = slice(row - ROLLED_SESSIONS, row)
        signal[row] = rolled_action(
            ensemble,
            view.factors[completed],
            path_of[row].before(row, ROLLED_SESSIONS),
            view.atr_fraction[completed],
        )
        done(number)
    return Heard(frozen(signal), tuple(agents), tuple(silences))


def agents_trainer(
    view: MarketView, costs: Costs, *, seed: int, timesteps: int, cache: ModelCache
) -> TrainsAgents:
    """Return what trains agents as live ones are trained, but with one seed.

    Parameters
    ----------
    timesteps : int
        Of each agent.
    cache : ModelCache
        Where agents are kept, so that a second run trains none.
    """

    def train(known: int, columns: Sequence[int], p_high_volatility: FloatArray) -> TrainedAgents:
        training = train_rl(
            view,
            p_high_volatility,
            [view.stocks.symbols[n] for n in columns],
            known=known,
            cost_fraction=cost_fraction_of(costs),
            cache=cache,
            progress=lambda _done: None,
            seeds=(seed,),
            timesteps=timesteps,
        )
        sharpes = {str(name): training.figures[f"{name}_sharpe_median"] for name in ALGORITHMS}
        return TrainedAgents(training.ensemble, sharpes, training.why_absent)

    return train


def best_ranked(probability: FloatArray, row: int, *, since: int) -> tuple[int, ...]:
    """Columns of the stocks that the ranker liked best in the decisions up to `row`.

    Parameters
    ----------
    probability : ndarray of shape (T, N)
        By the session decided in; that of `row` was known at the close before it.
    since : int
        First row decided: before the first session traded only its own ranks are known.

    Returns
    -------
    tuple of int
        At most `SYMBOLS`, in ascending order; of equal means the first column.
    """
    recent = probability[max(since, row + 1 - SCAN_SESSIONS) : row + 1]
    known = np.isfinite(recent)
    count = known.sum(axis=0)
    mean = np.full(recent.shape[1], -np.inf)
    np.divide(np.where(known, recent, 0.0).sum(axis=0), count, out=mean, where=count > 0)
    order = np.argsort(-mean, kind="stable")[:SYMBOLS]
    return tuple(sorted(int(n) for n in order if count[n]))
