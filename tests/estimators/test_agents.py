"""Training by stable-baselines3: what is exported acts like the original, and seeds decide."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from swingtrader.core.agents import HIGHEST_VOLATILITY
from swingtrader.core.paper_book import Game, paper_game
from swingtrader.core.perceptron import OBSERVATIONS
from swingtrader.estimators.agents import ALGORITHMS, exported, train_agent, untrained
from swingtrader.estimators.trading_environment import TradingVecEnv

TIMESTEPS = 300


def game(sessions=80, symbols=3, seed=0):
    rng = np.random.default_rng(seed)
    return paper_game(
        rng.normal(size=(sessions, symbols, OBSERVATIONS - 3)).clip(-3, 3),
        rng.random(sessions),
        rng.uniform(0.0, 0.1, (sessions, symbols)),
        100.0 * np.exp(np.cumsum(0.02 * rng.normal(size=(sessions, symbols)), axis=0)),
        cost_fraction=0.0005,
    )


def model_of(algorithm, *, seed=0, learned=0):
    environment = TradingVecEnv(game(), episode_sessions=20, reward_scale=100.0)
    model = untrained(algorithm, environment, seed=seed, timesteps=TIMESTEPS)
    return model.learn(learned) if learned else model


@pytest.fixture(scope="module")
def agents():
    """One agent of each algorithm."""
    return {name: train_agent(name, game(), seed=0, timesteps=TIMESTEPS) for name in ALGORITHMS}


@pytest.mark.parametrize("learned", [0, TIMESTEPS])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_exported_agent_acts_like_the_librarys_own_deterministic_policy(algorithm, learned):
    model = model_of(algorithm, learned=learned)
    agent = exported(model, algorithm)
    rng = np.random.default_rng(0)
    inside = rng.uniform(-3, 3, (500, OBSERVATIONS))
    outside = rng.normal(0, 10, (500, OBSERVATIONS)) * HIGHEST_VOLATILITY
    for x in (inside.astype(np.float32), outside.astype(np.float32)):
        expected, _ = model.predict(x, deterministic=True)
        assert np.abs(expected).max() <= 1.0
        np.testing.assert_allclose(agent.act(x), expected[:, 0], rtol=0, atol=1e-5)
    assert agent.act(inside).std() > 0.0


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_same_seed_trains_the_same_agent(algorithm, agents):
    again = train_agent(algorithm, game(), seed=0, timesteps=TIMESTEPS)
    x = np.random.default_rng(0).normal(size=(200, OBSERVATIONS))
    np.testing.assert_allclose(again.act(x), agents[algorithm].act(x), rtol=0, atol=1e-6)
    other = train_agent(algorithm, game(), seed=1, timesteps=TIMESTEPS)
    assert not np.allclose(other.act(x), agents[algorithm].act(x), rtol=0, atol=1e-3)


def test_training_leaves_the_process_as_it_was():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002 - what is watched
    before = set(Path(tempfile.gettempdir()).glob("SB3*"))
    train_agent("a2c", game(), seed=3, timesteps=120)
    assert torch.get_num_threads() == 2
    assert not torch.are_deterministic_algorithms_enabled()
    assert random.getstate() == states[0]
    assert_array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002 - what is watched
    assert torch.equal(torch.get_rng_state(), states[2])
    assert set(Path(tempfile.gettempdir()).glob("SB3*")) == before
    torch.set_num_threads(threads)


def test_agents_learn_what_there_is_to_learn():
    """A market whose next return has the sign of the first factor."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(120, 6, OBSERVATIONS - 3)).clip(-3, 3)
    returns = np.full((120, 6), np.nan)
    returns[:-2] = 0.02 * np.sign(factors[:-2, :, 0])
    seen = np.zeros((120, 6, OBSERVATIONS), dtype=np.float32)
    seen[..., :-3] = factors
    easy = Game(seen, np.ones((120, 6), dtype=np.bool_), returns, 0.0005)
    agent = train_agent("a2c", easy, seed=0, timesteps=4_000)
    asked = agent.act(seen[:-2].reshape(-1, OBSERVATIONS))
    assert np.corrcoef(asked, returns[:-2].ravel())[0, 1] > 0.5


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("sessions", "symbols", "timesteps"), [(4, 1, 10), (70, 2, 33)])
def test_short_games_and_few_timesteps_are_played_all_the_same(
    algorithm, sessions, symbols, timesteps
):
    agent = train_agent(algorithm, game(sessions, symbols), seed=0, timesteps=timesteps)
    assert agent.name == algorithm
    assert [biases.size for _, biases in agent.layers] == [64, 64, 1]


def test_a_differential_sharpe_ratio_may_be_learned_instead_of_returns(agents):
    x = np.random.default_rng(0).normal(size=(50, OBSERVATIONS))
    careful = train_agent("a2c", game(), seed=0, timesteps=TIMESTEPS, differential_sharpe=True)
    assert not np.allclose(careful.act(x), agents["a2c"].act(x))


def test_a_game_without_two_sessions_is_refused():
    with pytest.raises(ValueError, match="do not fit into"):
        train_agent("ppo", game().rows(0, 1), seed=0, timesteps=10)


def test_a_policy_that_diverged_is_refused():
    model = model_of("ppo")
    with torch.no_grad():
        model.policy.action_net.bias.fill_(float("nan"))
    with pytest.raises(ValueError, match="not finite"):
        exported(model, "ppo")
