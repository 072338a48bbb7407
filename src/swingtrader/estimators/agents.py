"""Train the agents: PPO, A2C and SAC by stable-baselines3, exported as plain arrays.

What is chosen here, and why:

- All networks have two layers of 64, so that one serving code fits all.
- Rewards are learned in percent: the libraries' defaults (learning rates, SAC's first entropy
  coefficient) expect rewards of about one, and daily returns are a hundredth of that.
- The discount is 0.9, a memory of ten sessions: as long as this program holds a position. At
  the usual 0.99 the value of a state is the sum of a hundred sessions' noise.
- `TIMESTEPS` are counted over all assets, as stable-baselines3 counts them: with 15 assets a
  policy sees 3,334 sessions of each, about six times a training window. On-policy algorithms
  learn from whole rollouts and may play up to one rollout more.
- Sample efficiency is traded for time. Fifteen assets are stepped at once, so a policy is
  updated far less often for as many samples: PPO in 1,080 gradient steps (27 rollouts of 128
  sessions, 5 epochs of 8 minibatches each) where its defaults on one environment make 7,800, A2C
  in 417 instead of 10,000, and SAC in 818 instead of 49,900. Samples of one step are stocks of
  one day or quarter, which move together, and are worth less than as many drawn apart. SAC,
  which pays most, takes larger steps (learning rate 0.001 instead of 0.0003). What is planted
  in a market is found all the same: where one factor foretells 0.3 % a day per deviation, the
  positions of all three correlate with it by about 0.8.
- One thread, torch's deterministic algorithms, and every random number from the seed. All of
  this is process-wide state, put back afterwards, so trainings must not run side by side in
  one process.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from swingtrader.core.perceptron import Agent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stable_baselines3.common.base_class import BaseAlgorithm

    from swingtrader.core.paper_book import Game

Algorithm: TypeAlias = Literal["ppo", "a2c", "sac"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)

TIMESTEPS = 50_000
"""Sessions of single assets that one agent learns from."""

NETWORK = [64, 64]
DISCOUNT = 0.9
PERCENT = 100.0

PPO_STEPS = 128
"""Sessions of every asset between two updates."""
PPO_MINIBATCHES = 8
PPO_EPOCHS = 5
A2C_STEPS = 8
SAC_TRAIN_FREQUENCY = 4
"""Sessions of every asset between two gradient steps."""
SAC_WARM_UP = 1_000
"""Random timesteps before SAC learns."""
SAC_BATCH = 256
SAC_LEARNING_RATE = 1e-3
SAC_ENTROPY = "auto_0.1"
"""Learned from 0.1 on; from the usual 1 so few steps would not get it down to the rewards."""


def train_agent(
    algorithm: Algorithm,
    game: Game,
    *,
    seed: int,
    timesteps: int = TIMESTEPS,
    differential_sharpe: bool = False,
) -> Agent:
    """Train one agent on every asset of a game at once.

    Parameters
    ----------
    algorithm : {'ppo', 'a2c', 'sac'}
    game : Game
        Longer than an episode, if possible; a shorter one is one episode.
    seed : int
        Not negative. The same game and seed give the same actions on the same machine.
    timesteps : int
        Counted over all assets.
    differential_sharpe : bool
        Learn from the differential Sharpe ratio instead of returns.

    Returns
    -------
    Agent
        Named for the algorithm.

    Raises
    ------
    ValueError
        The game has fewer than two sessions, or training has diverged.
    """
    from swingtrader.estimators.trading_environment import (  # noqa: PLC0415 - imports torch
        EPISODE_SESSIONS,
        TradingVecEnv,
    )

    environment = TradingVecEnv(
        game,
        episode_sessions=min(EPISODE_SESSIONS, len(game.returns) - 1),
        # A differential Sharpe ratio is about one by itself.
        reward_scale=1.0 if differential_sharpe else PERCENT,
        differential_sharpe=differential_sharpe,
    )
    with _alone():
        model = untrained(algorithm, environment, seed=seed, timesteps=timesteps)
        model.learn(timesteps)
        return exported(model, algorithm)


def untrained(
    algorithm: Algorithm, environment: Any, *, seed: int, timesteps: int
) -> BaseAlgorithm:
    """Model of stable-baselines3 with this module's settings, before it has learned.

    Parameters
    ----------
    environment : VecEnv
    timesteps : int
        It will learn from: a rollout is never longer.
    """
    from stable_baselines3 import A2C, PPO, SAC  # noqa: PLC0415 - two seconds of torch
    from stable_baselines3.common.logger import Logger  # noqa: PLC0415 - likewise

    assets = environment.num_envs
    longest = max(2, timesteps // assets)
    common: dict[str, Any] = {
        "policy": "MlpPolicy",
        "env": environment,
        "gamma": DISCOUNT,
        "policy_kwargs": {"net_arch": NETWORK},
        "seed": seed,
        "device": "cpu",
    }
    model: BaseAlgorithm
    if algorithm == "ppo":
        steps = min(PPO_STEPS, longest)
        minibatches = PPO_MINIBATCHES if steps % PPO_MINIBATCHES == 0 else 1
        model = PPO(
            **common, n_steps=steps, batch_size=steps * assets // minibatches, n_epochs=PPO_EPOCHS
        )
    elif algorithm == "a2c":
        model = A2C(**common, n_steps=min(A2C_STEPS, longest))
    else:
        model = SAC(
            **common,
            buffer_size=max(timesteps, assets),
            learning_starts=min(SAC_WARM_UP, timesteps // 2),
            train_freq=SAC_TRAIN_FREQUENCY,
            batch_size=SAC_BATCH,
            learning_rate=SAC_LEARNING_RATE,
            ent_coef=SAC_ENTROPY,
        )
    # The library's own logger leaves a directory for every training.
    model.set_logger(Logger(folder=None, output_formats=[]))
    return model


def exported(model: BaseAlgorithm, name: str) -> Agent:
    """Deterministic policy of a model as arrays.

    Parameters
    ----------
    model : PPO, A2C or SAC
        With a ``MlpPolicy`` and actions in [-1, 1].

    Raises
    ------
    ValueError
        A parameter is not finite: training has diverged.
    """
    from stable_baselines3 import SAC  # noqa: PLC0415 - two seconds of torch
    from torch import nn  # noqa: PLC0415 - likewise

    policy: Any = model.policy
    squashed = isinstance(model, SAC)
    stack = (
        [*policy.actor.latent_pi, policy.actor.mu]
        if squashed
        else [*policy.mlp_extractor.policy_net, policy.action_net]
    )
    layers = tuple(
        (layer.weight.detach().numpy().T, layer.bias.detach().numpy())
        for layer in stack
        if isinstance(layer, nn.Linear)
    )
    return Agent(name, layers, "relu" if squashed else "tanh", squashed)


@contextmanager
def _alone() -> Iterator[None]:
    """Let a training set threads, determinism and global random numbers; put them back after."""
    import torch  # noqa: PLC0415 - two seconds

    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    # The replay buffer draws from NumPy's global generator, which the library seeds.
    drawn = random.getstate(), np.random.get_state()  # noqa: NPY002 - the library's choice
    with torch.random.fork_rng(devices=[]):
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(mode=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(mode=deterministic)
            torch.set_num_threads(threads)
            random.setstate(drawn[0])
            np.random.set_state(drawn[1])  # noqa: NPY002 - the library's choice
