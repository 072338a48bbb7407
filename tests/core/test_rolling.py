"""Trailing windows and Wilder smoothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.core.rolling import (
    lagged,
    rolling_max,
    rolling_mean,
    rolling_standard_deviation,
    rolling_sum,
    wilder_smoothed_together,
    wilder_smoothing,
)

WINDOWED = {
    rolling_sum: np.sum,
    rolling_mean: np.mean,
    rolling_max: np.max,
    rolling_standard_deviation: np.std,
}
TRAILING = [*WINDOWED, wilder_smoothing, lagged]

windows = st.integers(1, 40)
seeds = st.integers(0, 2**32 - 1)


def _random(seed: int, sessions: int = 90, *, missing: float = 0.02) -> np.ndarray:
    """Random numbers of shape (sessions, 4), some missing, none in the last column."""
    rng = np.random.default_rng(seed)
    x = rng.normal(5.0, 2.0, (sessions, 4))
    x[rng.random(x.shape) < missing] = np.nan
    x[:, -1] = 1.0 + np.arange(sessions)
    return x


def _longhand_wilder(column: np.ndarray, period: int) -> list[float]:
    smoothed: list[float] = []
    run: list[float] = []
    y = np.nan
    for x in column:
        run = [] if np.isnan(x) else [*run, x]
        if len(run) < period:
            y = np.nan
        elif len(run) == period:
            y = sum(run) / period
        else:
            y = y + (x - y) / period
        smoothed.append(y)
    return smoothed


@pytest.mark.parametrize("rolling", WINDOWED)
@given(window=windows, seed=seeds)
@settings(deadline=None, derandomize=True, max_examples=25)
def test_window_holds_the_last_rows_and_needs_them_all(rolling, window, seed):
    x = _random(seed)
    expected = np.full_like(x, np.nan)
    for t in range(window - 1, len(x)):
        expected[t] = WINDOWED[rolling](x[t - window + 1 : t + 1], axis=0)
    np.testing.assert_allclose(rolling(x, window), expected, rtol=1e-12, atol=1e-12)


@given(period=windows, seed=seeds)
@settings(deadline=None, derandomize=True, max_examples=25)
def test_wilder_smoothing_equals_the_recursion_written_out(period, seed):
    x = _random(seed, sessions=150)
    expected = np.column_stack([_longhand_wilder(column, period) for column in x.T])
    np.testing.assert_allclose(wilder_smoothing(x, period), expected, rtol=1e-12, atol=0.0)


def test_wilder_smoothing_starts_anew_after_a_gap():
    x = np.array([[1.0], [3.0], [5.0], [np.nan], [7.0], [9.0], [9.0]])
    assert wilder_smoothing(x, 2)[:, 0] == pytest.approx(
        [np.nan, 2.0, 3.5, np.nan, np.nan, 8.0, 8.5], rel=1e-15, nan_ok=True
    )


def test_wilder_smoothing_starts_anew_after_an_infinite_value():
    x = np.array([[1.0], [np.inf], [2.0], [4.0]])
    assert wilder_smoothing(x, 2)[:, 0] == pytest.approx(
        [np.nan, np.nan, np.nan, 3.0], rel=1e-15, nan_ok=True
    )


def test_series_smoothed_together_are_missing_together():
    whole = np.ones((5, 1))
    with_gap = np.array([[1.0], [1.0], [np.nan], [1.0], [1.0]])
    first, second = wilder_smoothed_together([whole, with_gap], 2)
    np.testing.assert_array_equal(first[:, 0], [np.nan, 1.0, np.nan, np.nan, 1.0])
    np.testing.assert_array_equal(second, first)


def test_decaying_seed_has_smoothed_all_but_its_newest_value_once():
    x = np.array([[4.0], [8.0], [6.0]])
    (smoothed,) = wilder_smoothed_together([x], 2, seed_decays=True)
    np.testing.assert_array_equal(smoothed[:, 0], [np.nan, (4.0 / 2 + 8.0) / 2, 5.5])


def test_lagged_moves_rows_down_and_knows_nothing_before_them():
    x = np.array([[1.0], [2.0], [3.0]])
    np.testing.assert_array_equal(lagged(x, 2)[:, 0], [np.nan, np.nan, 1.0])
    np.testing.assert_array_equal(lagged(x, 0), x)
    np.testing.assert_array_equal(lagged(x, 9), np.full((3, 1), np.nan))


@pytest.mark.parametrize("rolling", TRAILING)
@given(window=windows, seed=seeds, known=st.integers(0, 90))
@settings(deadline=None, derandomize=True, max_examples=25)
def test_later_rows_change_no_earlier_output(rolling, window, seed, known):
    x = _random(seed)
    np.testing.assert_array_equal(rolling(x, window)[:known], rolling(x[:known], window))


@pytest.mark.parametrize("rolling", WINDOWED)
@given(window=windows, seed=seeds, start=st.integers(0, 50))
@settings(deadline=None, derandomize=True, max_examples=25)
def test_window_does_not_remember_where_the_history_starts(rolling, window, seed, start):
    x = _random(seed)
    whole = slice(window - 1, None)
    np.testing.assert_array_equal(
        rolling(x, window)[start:][whole], rolling(x[start:], window)[whole]
    )


@given(period=windows, seed=seeds, unlisted=st.integers(1, 70))
@settings(deadline=None, derandomize=True, max_examples=25)
def test_rows_before_a_listing_change_no_bit_of_wilder_smoothing(period, seed, unlisted):
    x = _random(seed)
    later = np.vstack([np.full((unlisted, x.shape[1]), np.nan), x])
    np.testing.assert_array_equal(
        wilder_smoothing(later, period)[unlisted:], wilder_smoothing(x, period)
    )


@pytest.mark.parametrize("rolling", TRAILING)
def test_columns_do_not_see_each_other(rolling):
    x = _random(1)
    alone = np.hstack([rolling(x[:, [n]], 14) for n in range(x.shape[1])])
    np.testing.assert_array_equal(rolling(x, 14), alone)


@pytest.mark.parametrize("rolling", TRAILING)
def test_argument_stays_as_it_was(rolling):
    x = _random(2)
    before = x.copy()
    rolling(x, 1)
    rolling(x, 14)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("rolling", [*WINDOWED, wilder_smoothing])
def test_window_shorter_than_a_session_is_refused(rolling):
    with pytest.raises(ValueError, match="at least one session, not 0"):
        rolling(np.ones((3, 1)), 0)


def test_small_deviation_of_a_large_price_keeps_its_digits():
    steps = np.tile([0.0, 1e-6], 20)[:, np.newaxis]
    deviation = rolling_standard_deviation(1e6 + steps, 20)[-1, 0]
    # A price of 1e6 itself is rounded to 1.2e-10, one part in 1e4 of the step.
    assert deviation == pytest.approx(0.5e-6, rel=1e-3)


def test_deviation_of_equal_values_is_exactly_zero():
    np.testing.assert_array_equal(rolling_standard_deviation(np.full((30, 1), 0.1), 20)[19:], 0.0)
