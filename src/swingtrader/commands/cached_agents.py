"""Agents kept as soon as they are trained.

An interrupted retraining resumes after the last finished agent, and a backtest over bars seen
before trains none. The key covers everything an agent depends on, its code included: after a
change no old one is served.
"""

from __future__ import annotations

from functools import cache as remembered
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from swingtrader.adapters.model_cache import fingerprint
from swingtrader.core.agents import Ensemble
from swingtrader.errors import DataError
from swingtrader.estimators.agents import train_agent

if TYPE_CHECKING:
    from swingtrader.adapters.model_cache import ModelCache
    from swingtrader.core.paper_book import Game
    from swingtrader.core.perceptron import Agent
    from swingtrader.estimators.agents import Algorithm

_RECIPE = (
    "swingtrader.core.agents",
    "swingtrader.core.paper_book",
    "swingtrader.core.perceptron",
    "swingtrader.estimators.agents",
    "swingtrader.estimators.trading_environment",
)
_LIBRARIES = ("gymnasium", "numpy", "stable-baselines3", "torch")


def cached_agent(
    algorithm: Algorithm, lesson: Game, *, seed: int, timesteps: int, cache: ModelCache
) -> Agent:
    """Train, or fetch, the agent that `algorithm` makes of a game.

    Raises
    ------
    DataError
        The training failed: the game is too short, or its numbers run away.
    """
    key = fingerprint(
        "rl", _recipe(), algorithm, str(seed), str(timesteps), repr(lesson.cost_fraction),
        repr(lesson.seen.shape), lesson.seen.tobytes(), lesson.ranked.tobytes(),
        lesson.returns.tobytes(),
    )  # fmt: skip
    content = cache.get(key)
    if content is not None:
        return Ensemble.from_bytes(content).agents[0]
    try:
        agent = train_agent(algorithm, lesson, seed=seed, timesteps=timesteps)
    except ValueError as error:
        raise DataError(f"training {algorithm} with seed {seed} failed: {error}") from error
    cache.put(key, Ensemble((agent,), (1.0,)).to_bytes())
    return agent


@remembered
def _recipe() -> str:
    """Digest of libraries and code that train an agent, read without importing torch."""
    origins = [find_spec(name) for name in _RECIPE]
    code = [Path(str(spec.origin)).read_bytes() for spec in origins if spec is not None]
    return fingerprint(*(f"{name} {version(name)}" for name in _LIBRARIES), *code)
