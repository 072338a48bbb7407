"""Agents kept as soon as they are trained.

An interrupted retraining resumes after the last finished agent, and a backtest over bars seen
before trains none. The key covers everything an agent depends on, its code included: after a
change no old one is served.

Many agents are trained by two processes side by side: a training keeps one processor busy, and
two in one process would share their random numbers. They hand their agents over by the cache. A
process that dies, for want of memory say, only leaves its agents to be trained by this one.
"""

from __future__ import annotations

import os
import signal
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import cache as remembered
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from swingtrader.adapters.model_cache import ModelCache, fingerprint
from swingtrader.core.agents import Ensemble
from swingtrader.errors import DataError
from swingtrader.estimators.agents import train_agent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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

PROCESSES = 2
WORTH_PROCESSES = 300_000
"""Timesteps from which a second process saves more than its start costs: two seeds of all."""

_log = structlog.get_logger()


def trained_agents(
    wanted: Sequence[tuple[Algorithm, int]],
    lesson: Game,
    *,
    timesteps: int,
    cache: ModelCache,
    progress: Callable[[int], None],
) -> list[Agent]:
    """Train, or fetch, an agent for each algorithm and seed, in the order asked for.

    Parameters
    ----------
    progress : callable
        Told how many are there.

    Raises
    ------
    DataError
        As for `cached_agent`.
    """
    missing = [
        (algorithm, seed)
        for algorithm, seed in wanted
        if cache.get(_key(algorithm, lesson, seed, timesteps)) is None
    ]
    if len(missing) * timesteps >= WORTH_PROCESSES and len(os.sched_getaffinity(0)) > 1:
        there = len(wanted) - len(missing)
        _train_apart(missing, lesson, timesteps, cache, lambda done: progress(there + done))
    agents = []
    for algorithm, seed in wanted:
        agents.append(cached_agent(algorithm, lesson, seed=seed, timesteps=timesteps, cache=cache))
        progress(len(agents))
    return agents


def _train_apart(
    missing: Sequence[tuple[Algorithm, int]],
    lesson: Game,
    timesteps: int,
    cache: ModelCache,
    progress: Callable[[int], None],
) -> None:
    """Train in processes of their own, as far as these live."""
    longest_first = sorted(missing, key=lambda each: each[0] != "sac")
    with ProcessPoolExecutor(
        PROCESSES, mp_context=get_context("spawn"), initializer=_leave_interrupts_to_the_parent
    ) as pool:
        futures = [
            pool.submit(_train_one, algorithm, seed, lesson, timesteps, cache.directory)
            for algorithm, seed in longest_first
        ]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                progress(done)
        except BrokenProcessPool:
            _log.warning("training.process_died", why="the rest is trained in this one")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _train_one(
    algorithm: Algorithm, seed: int, lesson: Game, timesteps: int, directory: Path
) -> None:
    cached_agent(algorithm, lesson, seed=seed, timesteps=timesteps, cache=ModelCache(directory))


def cached_agent(
    algorithm: Algorithm, lesson: Game, *, seed: int, timesteps: int, cache: ModelCache
) -> Agent:
    """Train, or fetch, the agent that `algorithm` makes of a game.

    Raises
    ------
    DataError
        The training failed: the game is too short, or its numbers run away.
    """
    key = _key(algorithm, lesson, seed, timesteps)
    content = cache.get(key)
    if content is not None:
        return Ensemble.from_bytes(content).agents[0]
    try:
        agent = train_agent(algorithm, lesson, seed=seed, timesteps=timesteps)
    except ValueError as error:
        raise DataError(f"training {algorithm} with seed {seed} failed: {error}") from error
    cache.put(key, Ensemble((agent,), (1.0,)).to_bytes())
    return agent


def _key(algorithm: Algorithm, lesson: Game, seed: int, timesteps: int) -> str:
    return fingerprint(
        "rl", _recipe(), algorithm, str(seed), str(timesteps), repr(lesson.cost_fraction),
        repr(lesson.seen.shape), lesson.seen.tobytes(), lesson.ranked.tobytes(),
        lesson.returns.tobytes(),
    )  # fmt: skip


@remembered
def _recipe() -> str:
    """Digest of libraries and code that train an agent, read without importing torch."""
    origins = [find_spec(name) for name in _RECIPE]
    code = [Path(str(spec.origin)).read_bytes() for spec in origins if spec is not None]
    return fingerprint(*(f"{name} {version(name)}" for name in _LIBRARIES), *code)
