"""Trading agents in concert: what they see, how they are heard, and how they are stored.

Choices:

- An agent's observation holds its own position, so what it says depends on what it said
  before. Nothing of that is stored: every decision lets each agent walk from flat through the
  last `ROLLED_SESSIONS` sessions. A signal is then a function of the market alone, equal live
  and in a backtest, and a lost state file changes nothing.
- A missing factor is 0, the average of its cross-section. A symbol that is not rankable is not
  acted on: its agents are flat after that session.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.archive import archived, unarchived
from swingtrader.core.arrays import frozen
from swingtrader.core.factors import FACTORS
from swingtrader.core.perceptron import OBSERVATIONS, Agent
from swingtrader.core.walkforward import rankable

if TYPE_CHECKING:
    from swingtrader.core.arrays import BoolArray, FloatArray

FORMAT_VERSION = 1
"""Of the bytes `Ensemble.to_bytes` writes; raised when their meaning changes."""

ROLLED_SESSIONS = 21
"""Sessions an agent walks through before it is heard: a month, the horizon of the ranker.

Trained agents forget where they began: on random markets, walks from fully long and from fully
short differed by 0.021 at most on average after 5 sessions, and by less than 0.0001 after 21.
"""

TYPICAL_ATR_FRACTION = 0.02
"""Average true range of a large stock over its price: volatility 0 on the agents' scale."""

LOWEST_VOLATILITY = -1.0
HIGHEST_VOLATILITY = 3.0

_MEMBERS = ("name", "activation", "squashed", "weight", "depth", "size", "parameter")
_TOLERANCE = 1e-9
"""Of a sum of weights that should be 1."""


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Agents and how much each is heard.

    Attributes
    ----------
    agents : tuple of Agent
    weights : tuple of float
        One an agent, not negative. They add up to 1, or are all 0: the ensemble has no view.

    Raises
    ------
    ValueError
        The weights are not like that.
    """

    agents: tuple[Agent, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.weights) != len(self.agents):
            raise ValueError(f"{len(self.agents)} agents have {len(self.weights)} weights")
        if not all(0.0 <= weight <= 1.0 for weight in self.weights):  # False for NaN
            raise ValueError(f"weights must lie between 0 and 1, not {self.weights}")
        total = math.fsum(self.weights)
        if any(self.weights) and abs(total - 1.0) > _TOLERANCE:
            raise ValueError(f"weights must add up to 1 or all be 0, not to {total}")

    @property
    def is_absent(self) -> bool:
        """Whether no agent has any weight: the signal is absent for every symbol."""
        return not any(self.weights)

    def to_bytes(self) -> bytes:
        """Return the ensemble as .npz; the same ensemble gives the same bytes."""
        size = [
            count
            for agent in self.agents
            for count in (OBSERVATIONS, *(biases.size for _, biases in agent.layers))
        ]
        parameters = [
            array.ravel() for agent in self.agents for layer in agent.layers for array in layer
        ]
        return archived(
            FORMAT_VERSION,
            {
                "name": np.array([agent.name for agent in self.agents], dtype=np.str_),
                "activation": np.array([a.activation for a in self.agents], dtype=np.str_),
                "squashed": np.array([agent.squashed for agent in self.agents], dtype=np.bool_),
                "weight": np.array(self.weights, dtype=np.float64),
                "depth": np.array([len(agent.layers) for agent in self.agents], dtype=np.int64),
                "size": np.array(size, dtype=np.int64),
                "parameter": np.concatenate([*parameters, np.empty(0, dtype=np.float32)]),
            },
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> Ensemble:
        """Read back what `to_bytes` wrote; nothing in it can execute.

        Raises
        ------
        ValueError
            The bytes are damaged, of another version, or no valid ensemble.
        """
        members = unarchived("ensemble of agents", FORMAT_VERSION, _MEMBERS, content)
        if any(array.ndim != 1 for array in members.values()):
            raise ValueError("not an ensemble of agents: its members are no vectors")
        sizes = iter(members["size"].tolist())
        chains = [list(pairwise(islice(sizes, d + 1))) for d in members["depth"].tolist()]
        shapes = [shape for chain in chains for i, o in chain for shape in ((i, o), (o,))]
        ends = np.cumsum([math.prod(shape) for shape in shapes], dtype=np.int64)
        *pieces, rest = np.split(members["parameter"], ends)
        if rest.size:
            raise ValueError(f"not an ensemble of agents: {rest.size} parameters belong nowhere")
        arrays = (piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True))
        said = (members[key].tolist() for key in ("name", "activation", "squashed"))
        agents = tuple(
            Agent(name, tuple((next(arrays), next(arrays)) for _ in chain), activation, squashed)
            for chain, name, activation, squashed in zip(chains, *said, strict=True)
        )
        return cls(agents, tuple(members["weight"].tolist()))


def observations(
    factors: FloatArray, p_high_volatility: float, atr_fraction: FloatArray, position: FloatArray
) -> FloatArray:
    """What the agents see of N symbols at the close of one session.

    Parameters
    ----------
    factors : ndarray of shape (N, 13)
        Z-scores in the order of `FACTORS`; what is not finite is seen as 0.
    p_high_volatility : float
        Filtered up to this session; NaN is seen as 0.
    atr_fraction : ndarray of shape (N,)
        ATR(14) over the close; NaN is seen as 0 on the agents' scale.
    position : ndarray of shape (N,)
        The agent's own, in [-1, 1].

    Returns
    -------
    ndarray of shape (N, OBSERVATIONS), float32
        Finite.

    Raises
    ------
    ValueError
        Shapes disagree.
    """
    n = len(position)
    if factors.shape != (n, len(FACTORS)) or atr_fraction.shape != (n,):
        raise ValueError(
            f"factors {factors.shape}, atr_fraction {atr_fraction.shape} and position "
            f"{position.shape} do not fit together"
        )
    seen = np.empty((n, OBSERVATIONS), dtype=np.float32)
    seen[:, :-3] = np.where(np.isfinite(factors), factors, 0.0)
    seen[:, -3] = p_high_volatility if math.isfinite(p_high_volatility) else 0.0
    seen[:, -2] = volatility_seen(atr_fraction)
    seen[:, -1] = position
    return seen


def seen_when_flat(
    factors: FloatArray, p_high_volatility: FloatArray, atr_fraction: FloatArray
) -> FloatArray:
    """`observations` of T sessions, for agents that hold nothing.

    Parameters
    ----------
    factors : ndarray of shape (T, N, 13)
    p_high_volatility : ndarray of shape (T,)
    atr_fraction : ndarray of shape (T, N)

    Returns
    -------
    ndarray of shape (T, N, OBSERVATIONS), float32
    """
    flat = np.zeros(factors.shape[1])
    return np.stack(
        [
            observations(factors[t], p_high, atr_fraction[t], flat)
            for t, p_high in enumerate(p_high_volatility.tolist())
        ]
    )


def volatility_seen(atr_fraction: FloatArray) -> FloatArray:
    """Volatility on the agents' scale: 0 is typical, -1 none, 3 four times the typical.

    Parameters
    ----------
    atr_fraction : ndarray of any shape
        NaN where unknown, seen as typical.
    """
    relative = atr_fraction / TYPICAL_ATR_FRACTION - 1.0
    bounded = np.clip(relative, LOWEST_VOLATILITY, HIGHEST_VOLATILITY)
    return np.where(np.isnan(bounded), 0.0, bounded)


def rolled_action(
    ensemble: Ensemble,
    factors: FloatArray,
    p_high_volatility: FloatArray,
    atr_fraction: FloatArray,
) -> FloatArray:
    """Signal of the ensemble after the last of K completed sessions.

    Each agent walks its own position from flat through the K sessions; the weighted mean of
    their last actions is the signal.

    Parameters
    ----------
    ensemble : Ensemble
    factors : ndarray of shape (K, N, 13)
        Oldest session first, the last completed one last. Live and in a backtest K is
        `ROLLED_SESSIONS`.
    p_high_volatility : ndarray of shape (K,)
        Filtered by the model that serves the session decided.
    atr_fraction : ndarray of shape (K, N)

    Returns
    -------
    ndarray of shape (N,), float64
        In [-1, 1]. NaN for a symbol that is not rankable on the last session, and for all
        where the ensemble is absent.

    Raises
    ------
    ValueError
        Shapes disagree, or there is no session.
    """
    if (
        factors.ndim != 3
        or len(factors) == 0
        or p_high_volatility.shape != factors.shape[:1]
        or atr_fraction.shape != factors.shape[:2]
    ):
        raise ValueError(
            f"factors {factors.shape}, p_high_volatility {p_high_volatility.shape} and "
            f"atr_fraction {atr_fraction.shape} are not (K, N, {len(FACTORS)}), (K,) and (K, N)"
        )
    signal = np.full(factors.shape[1], np.nan)
    ranked = rankable(factors)
    heard = ranked[-1]
    if ensemble.is_absent or not heard.any():
        return frozen(signal)
    # Rows are independent, so symbols that will not be heard need not be walked.
    seen = seen_when_flat(factors[:, heard], p_high_volatility, atr_fraction[:, heard])
    signal[heard] = _weighted(ensemble, seen, ranked[:, heard])
    return frozen(signal)


def rolled_actions(
    ensemble: Ensemble, seen: FloatArray, ranked: BoolArray, rows: range
) -> FloatArray:
    """Positions the ensemble asks for after each of many sessions, long and short.

    Row by row what `rolled_action` says of the `ROLLED_SESSIONS` up to that row, bit for bit,
    but for symbols without a view, which are flat here.

    Parameters
    ----------
    seen : ndarray of shape (T, N, OBSERVATIONS)
        As from `observations`, for agents that are flat.
    ranked : ndarray of shape (T, N), bool
        From `core.walkforward.rankable`.
    rows : range
        The first must have ``ROLLED_SESSIONS - 1`` sessions before it.

    Returns
    -------
    ndarray of shape (len(rows), N), float64
        In [-1, 1]; 0 where a symbol is not rankable, and for an absent ensemble.

    Raises
    ------
    ValueError
        A row has too few sessions before it, or comes after the last.
    """
    if not ROLLED_SESSIONS <= rows.start + 1 <= rows.stop + 1 <= len(seen) + 1:
        raise ValueError(f"{rows} needs {ROLLED_SESSIONS} sessions up to each row of {len(seen)}")
    n = seen.shape[1]
    shape = (ROLLED_SESSIONS, len(rows) * n)
    window = np.arange(1 - ROLLED_SESSIONS, 1)[:, None] + np.array(rows)
    total = _weighted(ensemble, seen[window].reshape(*shape, -1), ranked[window].reshape(shape))
    return total.reshape(len(rows), n)


def _weighted(ensemble: Ensemble, seen: FloatArray, ranked: BoolArray) -> FloatArray:
    """Weighted mean of the agents' last actions on (K, M, OBSERVATIONS), each from flat: (M,)."""
    total = np.zeros(seen.shape[1])
    for agent, weight in zip(ensemble.agents, ensemble.weights, strict=True):
        if weight > 0.0:
            position = np.zeros(seen.shape[1])
            for session, acted_on in zip(seen, ranked, strict=True):
                x = session.copy()
                x[:, -1] = position
                position = np.where(acted_on, agent.act(x), 0.0)
            total += weight * position
    return total.clip(-1.0, 1.0)
