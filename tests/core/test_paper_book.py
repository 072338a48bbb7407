"""The paper game: what a position earns, what a change costs, and what a gap does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from swingtrader.core.paper_book import (
    ADAPTATION,
    TYPICAL_DEVIATION,
    Game,
    book_returns,
    differential_sharpe,
    exposure,
    open_to_open_returns,
    paper_game,
    positions_held,
    rewards,
)
from swingtrader.core.perceptron import OBSERVATIONS

NAN = math.nan


def game(sessions=12, symbols=2, *, opens=None, cost_fraction=0.001):
    rng = np.random.default_rng(0)
    if opens is None:
        opens = rng.uniform(90, 110, (sessions, symbols))
    return paper_game(
        rng.normal(size=(sessions, symbols, OBSERVATIONS - 3)),
        rng.random(sessions),
        rng.uniform(0, 0.1, (sessions, symbols)),
        opens,
        cost_fraction=cost_fraction,
    )


def test_a_decision_earns_from_the_next_open_to_the_one_after():
    opens = np.array([[50.0], [100.0], [110.0], [99.0]])
    assert_allclose(open_to_open_returns(opens), [[0.1], [-0.1], [NAN], [NAN]])


@pytest.mark.parametrize("missing", [NAN, 0.0, -1.0])
def test_a_missing_open_leaves_two_rows_without_reward(missing):
    opens = np.array([[50.0], [100.0], [missing], [99.0], [99.0], [99.0]])
    assert_array_equal(
        np.isnan(open_to_open_returns(opens)[:, 0]), [True, True, False, False, True, True]
    )


def test_a_change_of_position_costs_what_it_trades():
    held, before = np.array([1.0, -0.5, 0.25]), np.array([-1.0, -0.5, 1.0])
    returns = np.array([0.02, 0.02, -0.04])
    assert_allclose(rewards(held, before, returns, 0.001), [0.018, -0.01, -0.01075])


def test_positions_are_bounded_and_nothing_is_held_through_a_gap():
    asked = np.array([2.0, -3.0, 0.5, NAN])
    assert_array_equal(positions_held(asked, np.array([0.0, 0.0, NAN, 0.0])), [1.0, -1.0, 0, 0])


def test_a_book_leaves_at_the_last_open_before_a_gap_and_pays_for_it():
    opens = np.array([[100.0], [100.0], [110.0], [NAN], [100.0], [100.0], [100.0], [100.0]])
    returns = open_to_open_returns(opens)
    daily = book_returns(np.ones((8, 1)), returns, 0.001)
    # Bought at the second open, sold at the third, bought again after the gap.
    assert_allclose(daily, [0.099, -0.001, 0.0, -0.001, 0.0, 0.0, -0.001, 0.0])


def test_a_book_gives_every_symbol_the_same_capital():
    returns = np.array([[0.02, NAN], [0.04, -0.02]])
    assert_allclose(book_returns(np.ones((2, 2)), returns, 0.0), [0.01, 0.01])
    assert_array_equal(book_returns(np.full((2, 2), NAN), returns, 0.5), [0.0, 0.0])


def test_exposure_is_the_mean_over_what_could_be_played():
    assert exposure(np.array([[0.5, 0.0]]), np.array([[0.01, NAN]])) == 0.5
    assert exposure(np.zeros((1, 2)), np.full((1, 2), NAN)) == 0.0


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.integers(0, 1000))
def test_later_sessions_change_no_earlier_reward(seed):
    opens = np.random.default_rng(seed).uniform(50, 150, (12, 2))
    whole, part = game(opens=opens), game(10, opens=opens[:10])
    assert_array_equal(part.returns[:8], whole.returns[:8])
    assert np.isnan(part.returns[8:]).all()


def test_a_row_that_is_not_rankable_cannot_be_played():
    factors = np.zeros((6, 2, OBSERVATIONS - 3))
    factors[1, 0, 4] = NAN
    factors[1, 1, -1] = NAN  # optional
    played = paper_game(
        factors, np.zeros(6), np.zeros((6, 2)), np.full((6, 2), 9.0), cost_fraction=0.0
    )
    assert_array_equal(np.isnan(played.returns[1]), [True, False])
    assert_array_equal(played.ranked[1], [False, True])
    assert np.isfinite(played.seen).all()


def test_a_part_of_a_game_is_the_game_of_that_part():
    whole = game()
    part = whole.rows(3, 7)
    assert_array_equal(part.returns, whole.returns[3:7])
    assert_array_equal(part.seen, whole.seen[3:7])
    with pytest.raises(ValueError, match="read-only"):
        part.returns[0, 0] = 1.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"returns": np.zeros((3, 2))}, "do not fit together"),
        ({"seen": np.zeros((2, 2, 5))}, "do not fit together"),
        ({"ranked": np.zeros((3, 2), dtype=np.bool_)}, "do not fit together"),
        ({"seen": np.full((2, 2, OBSERVATIONS), NAN)}, "finite"),
        ({"returns": np.full((2, 2), math.inf)}, "finite"),
        ({"cost_fraction": -0.1}, "cost_fraction"),
        ({"cost_fraction": NAN}, "cost_fraction"),
        ({"cost_fraction": 1.0}, "cost_fraction"),
    ],
)
def test_a_game_that_makes_no_sense_is_refused(changes, message):
    sound = {
        "seen": np.zeros((2, 2, OBSERVATIONS), dtype=np.float32),
        "ranked": np.ones((2, 2), dtype=np.bool_),
        "returns": np.zeros((2, 2)),
        "cost_fraction": 0.001,
    }
    Game(**sound)
    with pytest.raises(ValueError, match=message):
        Game(**(sound | changes))


def test_the_differential_sharpe_ratio_is_the_slope_of_the_sharpe_ratio():
    """Moody & Saffell's expansion: S after = S before + adaptation x D + a second order."""
    mean, square = np.array([0.001]), np.array([TYPICAL_DEVIATION**2])
    reward = np.array([0.015])
    slope, _, _ = differential_sharpe(reward, mean, square)

    def sharpe(adaptation):
        new_mean = mean + adaptation * (reward - mean)
        new_square = square + adaptation * (reward**2 - square)
        return new_mean / np.sqrt(new_square - new_mean**2)

    assert_allclose(slope, (sharpe(1e-6) - sharpe(-1e-6)) / 2e-6, rtol=1e-6)


def test_the_moments_of_the_differential_sharpe_ratio_move_towards_the_reward():
    _, mean, square = differential_sharpe(np.array([0.02]), np.zeros(1), np.array([0.0004]))
    assert_allclose(mean, 0.02 * ADAPTATION)
    assert_allclose(square, 0.0004)
    without_variance, _, _ = differential_sharpe(np.array([0.02]), np.zeros(1), np.zeros(1))
    assert without_variance == 0.0
