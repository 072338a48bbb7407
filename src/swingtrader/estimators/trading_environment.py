"""The paper game as environments that reinforcement learning libraries can play.

`TradingEnv` is one asset in Gymnasium's form; `TradingVecEnv` is N assets stepped at once as
arrays, in the form of stable-baselines3. They play the same game: asset n of the second goes
through what the first goes through with the same seed plus n. Both import torch by way of
stable-baselines3, so this module is imported only where something is trained.

An episode is a window of consecutive sessions that starts at random, and always ends by
truncation: a market does not end because we stop looking. All assets of the vectorised form
have windows of one length and end together, each beginning anew at a place of its own.

Rewards are returns (`core.paper_book`) times `reward_scale`; with `differential_sharpe` they are
Moody and Saffell's differential Sharpe ratio instead, which punishes risk as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from gymnasium.utils import seeding
from stable_baselines3.common.vec_env import VecEnv

from swingtrader.core.agents import HIGHEST_VOLATILITY, LOWEST_VOLATILITY
from swingtrader.core.factors import FACTORS, WINSORISED_AT
from swingtrader.core.paper_book import (
    TYPICAL_DEVIATION,
    differential_sharpe,
    positions_held,
    rewards,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from swingtrader.core.arrays import BoolArray, FloatArray, IntArray
    from swingtrader.core.paper_book import Game

EPISODE_SESSIONS = 63
"""A quarter: long enough to hold, short enough to see many starts in one window."""


def observation_space() -> Box:
    """Bounds of what an agent sees: z-scores, P(high volatility), volatility, position."""
    low = [-WINSORISED_AT] * len(FACTORS) + [0.0, LOWEST_VOLATILITY, -1.0]
    high = [WINSORISED_AT] * len(FACTORS) + [1.0, HIGHEST_VOLATILITY, 1.0]
    return Box(np.array(low, dtype=np.float32), np.array(high, dtype=np.float32))


def action_space() -> Box:
    """Target position as a share of the capital, from short to long."""
    return Box(-1.0, 1.0, (1,), np.float32)


class _Play:
    """What `assets` of a game go through, step by step, as arrays of shape (M,).

    Each has an episode's row of its own; the random number that starts it is the caller's.
    """

    def __init__(
        self,
        game: Game,
        assets: IntArray,
        *,
        episode_sessions: int,
        reward_scale: float,
        sharpe: bool,
    ) -> None:
        if not 1 <= episode_sessions < len(game.returns):
            raise ValueError(
                f"episodes of {episode_sessions} sessions do not fit into {len(game.returns)}"
            )
        self._game = game
        self._assets = assets
        self._episode_sessions = episode_sessions
        self._reward_scale = reward_scale
        self._sharpe = sharpe

    def begin(self, generators: Sequence[np.random.Generator]) -> FloatArray:
        """Start every asset's episode; return what is seen, (M, OBSERVATIONS)."""
        starts = len(self._game.returns) - self._episode_sessions
        self._row = np.array([int(g.integers(starts)) for g in generators])
        self._taken = 0
        shape = self._assets.shape
        self._position: FloatArray = np.zeros(shape)
        self._mean: FloatArray = np.zeros(shape)
        self._square: FloatArray = np.full(shape, TYPICAL_DEVIATION**2)
        return self._seen()

    def step(self, asked: FloatArray) -> tuple[FloatArray, FloatArray, bool]:
        """Hold what is asked for; return what is seen then, the reward, and whether it ends."""
        returns = self._game.returns[self._row, self._assets]
        held = positions_held(asked, returns)
        reward = rewards(held, self._position, returns, self._game.cost_fraction)
        if self._sharpe:
            reward, self._mean, self._square = differential_sharpe(
                reward, self._mean, self._square
            )
        self._position = held
        self._row = self._row + 1
        self._taken += 1
        return self._seen(), reward * self._reward_scale, self._taken == self._episode_sessions

    def _seen(self) -> FloatArray:
        seen: FloatArray = self._game.seen[self._row, self._assets]  # a copy: indexed by arrays
        seen[:, -1] = self._position
        return seen


class TradingEnv(gym.Env["NDArray[Any]", "NDArray[Any]"]):
    """One asset of a game, in Gymnasium's form.

    Parameters
    ----------
    game : Game
    asset : int
        Its column.
    episode_sessions : int
        Steps of an episode; fewer than the game has sessions.
    reward_scale : float
    differential_sharpe : bool

    Raises
    ------
    ValueError
        No episode fits into the game.
    """

    def __init__(
        self,
        game: Game,
        asset: int = 0,
        *,
        episode_sessions: int = EPISODE_SESSIONS,
        reward_scale: float = 1.0,
        differential_sharpe: bool = False,
    ) -> None:
        self.observation_space = observation_space()
        self.action_space = action_space()
        self._play = _Play(
            game,
            np.array([asset]),
            episode_sessions=episode_sessions,
            reward_scale=reward_scale,
            sharpe=differential_sharpe,
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Begin an episode at a random session; return what is seen, and nothing else.

        Parameters
        ----------
        seed : int, optional
            Restarts the random numbers.
        options : dict, optional
            None is known.
        """
        super().reset(seed=seed, options=options)
        return self._play.begin([self.np_random])[0], {}

    def step(self, action: NDArray[Any]) -> tuple[NDArray[Any], float, bool, bool, dict[str, Any]]:
        """Hold `action` of shape (1,) for a session.

        Returns
        -------
        observation, reward, terminated, truncated, info
            `terminated` is never true.
        """
        seen, reward, ends = self._play.step(np.asarray(action, dtype=np.float64).reshape(1))
        return seen[0], float(reward[0]), False, ends, {}


class TradingVecEnv(VecEnv):
    """All N assets of a game at once, in the form of stable-baselines3.

    Resets itself at the end of an episode, as that library expects; the last observation of the
    old episode is then in the entries. The entries of all other steps are one and the same
    empty dictionaries, which nobody may write to.

    Parameters are those of `TradingEnv`.
    """

    def __init__(
        self,
        game: Game,
        *,
        episode_sessions: int = EPISODE_SESSIONS,
        reward_scale: float = 1.0,
        differential_sharpe: bool = False,
    ) -> None:
        n = game.returns.shape[1]
        self._play = _Play(
            game,
            np.arange(n),
            episode_sessions=episode_sessions,
            reward_scale=reward_scale,
            sharpe=differential_sharpe,
        )
        self._generators = [seeding.np_random()[0] for _ in range(n)]
        self._asked = np.zeros(n)
        self._going_on = np.zeros(n, dtype=np.bool_)
        self._no_entries: list[dict[str, Any]] = [{} for _ in range(n)]
        super().__init__(n, observation_space(), action_space())

    def reset(self) -> FloatArray:
        """Begin an episode of every asset; return what is seen, (N, OBSERVATIONS)."""
        for n, seed in enumerate(self._seeds):
            if seed is not None:
                self._generators[n] = seeding.np_random(seed)[0]
        self._reset_seeds()
        self._reset_options()
        return self._play.begin(self._generators)

    def step_async(self, actions: FloatArray) -> None:
        """Take note of the positions asked for, (N, 1)."""
        self._asked = np.asarray(actions, dtype=np.float64).reshape(self.num_envs)

    def step_wait(
        self,
    ) -> tuple[FloatArray, FloatArray, BoolArray, list[dict[str, Any]]]:
        """Hold them; return what is seen, rewards, ends and entries of every asset."""
        seen, reward, ends = self._play.step(self._asked)
        single = reward.astype(np.float32)
        if not ends:
            return seen, single, self._going_on.copy(), self._no_entries
        entries: list[dict[str, Any]] = [
            {"TimeLimit.truncated": True, "terminal_observation": last} for last in seen
        ]
        return self._play.begin(self._generators), single, ~self._going_on, entries

    def close(self) -> None:
        """Nothing is open."""

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """Attribute of every asset's environment; they have none but ``render_mode``, None."""
        if attr_name != "render_mode":
            raise AttributeError(attr_name)
        return [None for _ in self._get_indices(indices)]

    def set_attr(
        self,
        attr_name: str,
        value: Any,  # noqa: ARG002 - the library's signature
        indices: int | Iterable[int] | None = None,  # noqa: ARG002 - likewise
    ) -> None:
        """Refuse: there are no single environments to change."""
        raise AttributeError(attr_name)

    def env_method(
        self,
        method_name: str,
        *method_args: Any,  # noqa: ARG002 - the library's signature
        indices: int | Iterable[int] | None = None,  # noqa: ARG002 - likewise
        **method_kwargs: Any,  # noqa: ARG002 - likewise
    ) -> list[Any]:
        """Refuse: there are no single environments to call."""
        raise AttributeError(method_name)

    def env_is_wrapped(
        self,
        wrapper_class: type[Any],  # noqa: ARG002 - the library's signature
        indices: int | Iterable[int] | None = None,
    ) -> list[bool]:
        """None is wrapped."""
        return [False for _ in self._get_indices(indices)]
