"""The paper game as environments: the libraries' own checks, and two forms that play alike."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.utils import env_checker
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from stable_baselines3.common import env_checker as sb3_checker

from swingtrader.core.paper_book import TYPICAL_DEVIATION, differential_sharpe, paper_game
from swingtrader.core.perceptron import OBSERVATIONS
from swingtrader.estimators.trading_environment import TradingEnv, TradingVecEnv

FEW = settings(deadline=None, derandomize=True, max_examples=15)


def game(sessions=30, symbols=3, seed=0, *, gap=False):
    rng = np.random.default_rng(seed)
    opens = 100.0 * np.exp(np.cumsum(0.02 * rng.normal(size=(sessions, symbols)), axis=0))
    if gap:
        opens[rng.random(opens.shape) < 0.1] = np.nan
    return paper_game(
        rng.normal(size=(sessions, symbols, OBSERVATIONS - 3)).clip(-3, 3),
        rng.random(sessions),
        rng.uniform(0.0, 0.1, (sessions, symbols)),
        opens,
        cost_fraction=0.0005,
    )


@pytest.mark.parametrize("sharpe", [False, True])
def test_the_libraries_own_checkers_find_nothing_wrong(sharpe):
    environment = TradingEnv(game(), 1, episode_sessions=10, differential_sharpe=sharpe)
    # It has nothing to draw, and is not registered under a name.
    env_checker.check_env(environment, skip_render_check=True)
    sb3_checker.check_env(environment)


def test_an_episode_is_a_window_of_consecutive_sessions_that_ends_by_truncation():
    played = game()
    environment = TradingEnv(played, 2, episode_sessions=10)
    seen, entries = environment.reset(seed=5)
    (start,) = np.flatnonzero((played.seen[:, 2] == seen).all(axis=1))
    assert entries == {}
    before = 0.0
    for step in range(10):
        asked = 0.5 * (-1) ** step
        seen, reward, terminated, truncated, entries = environment.step(
            np.array([asked], dtype=np.float32)
        )
        returns = played.returns[start + step, 2]
        assert reward == pytest.approx(asked * returns - 0.0005 * abs(asked - before), abs=1e-15)
        assert_array_equal(seen[:-1], played.seen[start + step + 1, 2, :-1])
        assert seen[-1] == asked
        assert (terminated, truncated, entries) == (False, step == 9, {})
        before = asked


def test_an_action_out_of_bounds_is_held_at_the_bound():
    environment = TradingEnv(game(), episode_sessions=10)
    environment.reset(seed=0)
    seen, *_ = environment.step(np.array([7.0], dtype=np.float32))
    assert seen[-1] == 1.0


def test_a_session_that_cannot_be_played_leaves_the_asset_flat():
    opens = np.full((12, 1), 100.0)
    opens[::3] = np.nan  # no two rows in a row can be played
    factors = np.zeros((12, 1, OBSERVATIONS - 3))
    played = paper_game(factors, np.zeros(12), np.zeros((12, 1)), opens, cost_fraction=0.01)
    environment = TradingEnv(played, episode_sessions=8)
    environment.reset(seed=0)
    steps = [environment.step(np.ones(1, dtype=np.float32)) for _ in range(8)]
    assert {(round(float(seen[-1]), 6), round(reward, 6)) for seen, reward, *_ in steps} == {
        (1.0, -0.01),  # bought
        (0.0, -0.01),  # and sold at the last open before the gap
        (0.0, 0.0),
    }


def test_the_seed_decides_where_episodes_start():
    def starts(seed):
        environment = TradingEnv(game(), episode_sessions=5)
        first = environment.reset(seed=seed)[0]
        return [first.tobytes(), *(environment.reset()[0].tobytes() for _ in range(5))]

    assert starts(1) == starts(1)
    assert starts(1) != starts(2)
    assert len(set(starts(1))) > 1


@FEW
@given(
    seed=st.integers(0, 1000), gap=st.booleans(), sharpe=st.booleans(), steps=st.integers(1, 25)
)
def test_each_asset_of_the_vectorised_form_goes_through_what_the_single_form_does(
    seed, gap, sharpe, steps
):
    played = game(seed=seed, gap=gap)
    settings_of_both = {
        "episode_sessions": 7, "reward_scale": 100.0, "differential_sharpe": sharpe,
    }  # fmt: skip
    together = TradingVecEnv(played, **settings_of_both)
    apart = [TradingEnv(played, n, **settings_of_both) for n in range(3)]
    together.seed(seed)
    rows = together.reset()
    for n, environment in enumerate(apart):
        assert_array_equal(environment.reset(seed=seed + n)[0], rows[n])
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        actions = rng.uniform(-1.2, 1.2, (3, 1)).astype(np.float32)
        rows, rewards, ends, entries = together.step(actions)
        for n, environment in enumerate(apart):
            seen, reward, _, truncated, _ = environment.step(actions[n])
            assert rewards[n] == np.float32(reward)
            assert ends[n] == truncated
            if truncated:
                assert entries[n]["TimeLimit.truncated"] is True
                assert_array_equal(entries[n]["terminal_observation"], seen)
                seen, _ = environment.reset()
            else:
                assert entries[n] == {}
            assert_array_equal(rows[n], seen)


def test_what_was_handed_out_does_not_change_with_the_next_step():
    environment = TradingVecEnv(game(), episode_sessions=5)
    environment.seed(0)
    seen = environment.reset()
    kept = seen.copy()
    environment.step(np.ones((3, 1), dtype=np.float32))
    assert_array_equal(seen, kept)


def test_the_differential_sharpe_ratio_begins_anew_with_each_episode():
    played = game(sessions=9)
    environment = TradingEnv(played, episode_sessions=8, differential_sharpe=True)
    plain = TradingEnv(played, episode_sessions=8)
    for _ in range(2):
        environment.reset(seed=0)
        plain.reset(seed=0)
        mean, square = np.zeros(1), np.full(1, TYPICAL_DEVIATION**2)
        for _ in range(8):
            action = np.array([0.75], dtype=np.float32)
            earned = np.array([plain.step(action)[1]])
            slope, mean, square = differential_sharpe(earned, mean, square)
            assert environment.step(action)[1] == pytest.approx(float(slope[0]))


@pytest.mark.parametrize("episode_sessions", [0, 30])
@pytest.mark.parametrize("form", [TradingEnv, TradingVecEnv])
def test_an_episode_that_does_not_fit_into_the_game_is_refused(form, episode_sessions):
    with pytest.raises(ValueError, match="do not fit into 30"):
        form(game(), episode_sessions=episode_sessions)


def test_there_are_no_single_environments_behind_the_vectorised_form():
    environment = TradingVecEnv(game(), episode_sessions=5)
    assert environment.get_attr("render_mode") == [None, None, None]
    assert environment.env_is_wrapped(object) == [False, False, False]
    for refused in (
        lambda: environment.get_attr("position"),
        lambda: environment.set_attr("position", 1.0),
        lambda: environment.env_method("render"),
    ):
        with pytest.raises(AttributeError):
            refused()
    environment.close()
