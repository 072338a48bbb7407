"""Statistics, checked against statsmodels, arch, scipy and the figures printed in the papers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from arch.bootstrap import StationaryBootstrap
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from swingtrader.core import inference, performance

DAYS = 250  # a year as the papers' examples count it


def autocorrelated(sessions: int, seed: int, persistence: float = 0.5) -> np.ndarray:
    shocks = np.random.default_rng(seed).standard_normal(sessions) * 0.01
    series = np.zeros(sessions)
    for t in range(1, sessions):
        series[t] = persistence * series[t - 1] + shocks[t]
    return series + 0.0005


# Newey-West


@pytest.mark.parametrize("lag", [0, 1, 5, 42])
def test_mean_and_error_are_those_of_statsmodels(lag):
    x = autocorrelated(300, seed=3)
    fit = sm.OLS(x, np.ones(300)).fit(
        cov_type="HAC", cov_kwds={"maxlags": lag, "use_correction": False}
    )
    mean = inference.newey_west_mean(x, lag)
    assert_allclose(mean.value, fit.params[0], rtol=1e-10)
    assert_allclose(mean.standard_error, fit.bse[0], rtol=1e-10)
    assert_allclose(mean.t, fit.tvalues[0], rtol=1e-10)


@pytest.mark.parametrize("lag", [0, 5, 21])
def test_alpha_and_beta_are_those_of_statsmodels(lag):
    market = autocorrelated(400, seed=4)
    account = 0.0002 + 0.7 * market + autocorrelated(400, seed=5)
    fit = sm.OLS(account, sm.add_constant(market)).fit(
        cov_type="HAC", cov_kwds={"maxlags": lag, "use_correction": False}
    )
    ours = inference.linear_regression_hac(account, market, lag)
    assert_allclose([ours.alpha.value, ours.beta.value], fit.params, rtol=1e-9)
    errors = [ours.alpha.standard_error, ours.beta.standard_error]
    assert_allclose(errors, fit.bse, rtol=1e-9)
    assert_allclose([ours.alpha.t, ours.beta.t], fit.tvalues, rtol=1e-9)


def test_dependence_widens_the_error():
    x = autocorrelated(2000, seed=6)
    naive = inference.newey_west_mean(x, 0).standard_error
    assert inference.newey_west_mean(x, 20).standard_error > 1.4 * naive


@pytest.mark.parametrize(
    ("values", "mean"), [([], 0.0), ([0.3], 0.3), ([0.1, 0.1, 0.1], 0.1), ([0.0] * 9, 0.0)]
)
def test_a_mean_without_dispersion_has_no_t(values, mean):
    estimate = inference.newey_west_mean(np.array(values), 42)
    assert_allclose(estimate.value, mean, rtol=1e-12)
    assert (estimate.standard_error, estimate.t) == (0.0, 0.0)


def test_a_lag_beyond_the_record_counts_every_autocovariance_there_is():
    # 1, 0: residuals +1/2, -1/2; at lag 3 the pair has weight 3/4.
    estimate = inference.newey_west_mean(np.array([1.0, 0.0]), 3)
    expected = math.sqrt(0.5 - 2 * 0.75 * 0.25) / 2
    assert_allclose(estimate.standard_error, expected, rtol=1e-12)


def test_an_account_that_is_the_market_has_beta_one_and_no_error():
    market = autocorrelated(50, seed=7)
    same = inference.linear_regression_hac(market, market, 5)
    assert_allclose([same.alpha.value, same.beta.value], [0.0, 1.0], atol=1e-12)
    assert (same.alpha.standard_error, same.beta.standard_error) == (0.0, 0.0)
    assert (same.alpha.t, same.beta.t) == (0.0, 0.0)


@pytest.mark.parametrize("market", [[], [0.01], [0.01] * 5, [0.0] * 5])
def test_against_a_market_that_does_not_move_beta_is_zero_and_alpha_the_mean(market):
    account = autocorrelated(len(market), seed=8)
    ours = inference.linear_regression_hac(account, np.array(market), 5)
    assert ours.beta == inference.Estimate(0.0, 0.0)
    assert ours.alpha == inference.newey_west_mean(account, 5)


# Stationary bootstrap


def test_bootstrap_blocks_follow_the_circle_and_have_the_stated_mean_length():
    rows = inference.stationary_bootstrap_indices(100, 10.0, 500, np.random.default_rng(1))
    assert rows.shape == (500, 100)
    follows = rows[:, 1:] == (rows[:, :-1] + 1) % 100
    # A new block begins with probability 1/10 and then follows by chance once in 100.
    assert_allclose(follows.mean(), 0.9 + 0.1 * 0.01, atol=0.01)
    assert ((rows[:, :-1] == 99) & (rows[:, 1:] == 0)).any()


def test_no_block_runs_from_one_draw_into_the_next():
    rows = inference.stationary_bootstrap_indices(100, 50.0, 2000, np.random.default_rng(4))
    runs_on = rows[1:, 0] == (rows[:-1, -1] + 1) % 100
    assert_allclose(runs_on.mean(), 1 / 100, atol=0.01)  # by chance alone


def test_every_session_is_drawn_equally_often():
    rows = inference.stationary_bootstrap_indices(20, 5.0, 20_000, np.random.default_rng(2))
    assert_allclose(np.bincount(rows.ravel(), minlength=20) / rows.size, 0.05, rtol=0.05)


def test_blocks_of_mean_length_one_are_the_ordinary_bootstrap():
    rows = inference.stationary_bootstrap_indices(50, 1.0, 400, np.random.default_rng(3))
    follows = rows[:, 1:] == (rows[:, :-1] + 1) % 50
    assert_allclose(follows.mean(), 1 / 50, atol=0.005)


def test_sharpe_interval_agrees_with_arch():
    returns = autocorrelated(400, seed=9, persistence=0.3)
    peer = StationaryBootstrap(21, returns, seed=11)
    resampled = peer.apply(lambda r: np.atleast_1d(performance.sharpe_ratio(r)), 3000)[:, 0]
    low, high = inference.sharpe_interval(returns, seed=12, draws=3000)
    # Monte Carlo error of a 2.5 % quantile of 3000 draws is 5 % of their deviation.
    tolerance = 0.2 * resampled.std()
    assert_allclose([low, high], np.quantile(resampled, [0.025, 0.975]), atol=tolerance)


def test_sharpe_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(13)
    truth = 0.05 * math.sqrt(252)
    covered = 0
    for sample in range(100):
        returns = 0.01 * rng.standard_normal(250) + 0.0005
        low, high = inference.sharpe_interval(returns, seed=sample, mean_block=5, draws=400)
        covered += low <= truth <= high
    assert 87 <= covered <= 99


def test_longer_blocks_widen_the_interval_of_a_dependent_record():
    returns = autocorrelated(1000, seed=14, persistence=0.6)
    low_1, high_1 = inference.sharpe_interval(returns, seed=1, mean_block=1)
    low_21, high_21 = inference.sharpe_interval(returns, seed=1)
    assert high_21 - low_21 > 1.3 * (high_1 - low_1)


def test_sharpe_interval_depends_on_the_seed_and_nothing_else():
    returns = autocorrelated(100, seed=15)
    first = inference.sharpe_interval(returns, seed=1, draws=200)
    assert inference.sharpe_interval(returns, seed=1, draws=200) == first
    assert inference.sharpe_interval(returns, seed=2, draws=200) != first


def test_a_higher_level_contains_a_lower_one():
    returns = autocorrelated(100, seed=16)
    low_50, high_50 = inference.sharpe_interval(returns, seed=1, level=0.5, draws=400)
    low_99, high_99 = inference.sharpe_interval(returns, seed=1, level=0.99, draws=400)
    assert low_99 < low_50 < high_50 < high_99


def test_a_record_longer_than_one_batch_of_draws_is_resampled_in_full():
    sessions = inference._CELLS_AT_ONCE // 3  # noqa: SLF001 - the batch limit is the subject
    low, high = inference.sharpe_interval(autocorrelated(sessions, seed=17), seed=1, draws=8)
    assert 0.0 < low < high < 2.0


@pytest.mark.parametrize("values", [[], [0.01], [0.01] * 30])
def test_sharpe_interval_of_a_record_without_dispersion_is_zero(values):
    assert inference.sharpe_interval(np.array(values), seed=1, draws=50) == (0.0, 0.0)


# Probabilistic and deflated Sharpe ratio


@pytest.mark.parametrize(
    ("sharpe", "benchmark", "sessions", "skewness", "kurtosis", "expected"),
    [
        # Bailey & Lopez de Prado 2012: monthly returns over two years, as if they were
        # normal, and as they were.
        (0.458, 0.0, 24, 0.0, 3.0, 0.982),
        (0.458, 0.0, 24, -2.448, 10.164, 0.913),
        # Ibid., minimum track record of an annual Sharpe of 2 over 1 at 95 %: 2.73 years of
        # daily, 2.83 of weekly, 3.24 of monthly normal returns.
        (2 / 250**0.5, 1 / 250**0.5, round(2.73 * 250), 0.0, 3.0, 0.95),
        (2 / 52**0.5, 1 / 52**0.5, round(2.83 * 52), 0.0, 3.0, 0.95),
        (2 / 12**0.5, 1 / 12**0.5, round(3.24 * 12), 0.0, 3.0, 0.95),
    ],
)
def test_probabilistic_sharpe_ratio_gives_the_papers_figures(
    sharpe, benchmark, sessions, skewness, kurtosis, expected
):
    psr = inference.probabilistic_sharpe_ratio(sharpe, benchmark, sessions, skewness, kurtosis)
    assert_allclose(psr, expected, rtol=0, atol=5e-4)


@pytest.mark.parametrize(
    ("trials", "skewness", "kurtosis", "expected"),
    [
        # Bailey & Lopez de Prado 2014, "A numerical example": annual Sharpe of 2.5 over five
        # years of daily returns, variance 1/2 a year across trials.
        (100, -3.0, 10.0, 0.9004),
        (46, -3.0, 10.0, 0.9505),
        (88, 0.0, 3.0, 0.9505),
    ],
)
def test_deflated_sharpe_ratio_gives_the_papers_figures(trials, skewness, kurtosis, expected):
    dsr = inference.deflated_sharpe_ratio(
        2.5 / math.sqrt(DAYS), 1250, skewness, kurtosis, trials=trials, trial_variance=0.5 / DAYS
    )
    assert_allclose(dsr, expected, rtol=0, atol=5e-5)


def test_expected_maximum_sharpe_gives_the_papers_figure():
    assert_allclose(inference.expected_maximum_sharpe(100, 0.5 / DAYS), 0.1132, rtol=0, atol=5e-5)


@pytest.mark.parametrize("trials", [10, 100, 1000])
def test_expected_maximum_sharpe_is_that_of_simulated_normals(trials):
    draws = 0.1 * np.random.default_rng(18).standard_normal((2000, trials))
    simulated = draws.max(axis=1).mean()
    assert_allclose(inference.expected_maximum_sharpe(trials, 0.01), simulated, rtol=0.03)


def test_one_trial_needs_no_deflation():
    assert inference.expected_maximum_sharpe(1, 0.5) == 0.0
    returns = autocorrelated(300, seed=19)
    own = np.array([float(performance.sharpe_per_session(returns))])
    expected = inference.probabilistic_sharpe_of(returns)
    assert inference.deflated_sharpe_of(returns, own) == expected


def test_probabilistic_sharpe_of_returns_takes_their_own_moments():
    returns = stats.skewnorm.rvs(4.0, loc=-0.005, scale=0.01, size=300, random_state=20)
    expected = inference.probabilistic_sharpe_ratio(
        returns.mean() / returns.std(ddof=1),
        0.01,
        300,
        float(stats.skew(returns)),
        float(stats.kurtosis(returns, fisher=False)),
    )
    assert_allclose(inference.probabilistic_sharpe_of(returns, 0.01), expected, rtol=1e-10)


def test_near_copies_in_the_ledger_count_with_the_spread_of_pure_chance():
    returns = 0.01 * np.random.default_rng(21).standard_normal(500) + 0.001
    own = float(performance.sharpe_per_session(returns))
    copies = own + np.linspace(-1e-4, 1e-4, 50)
    expected = inference.probabilistic_sharpe_of(
        returns, inference.expected_maximum_sharpe(50, 1 / 499)
    )
    assert inference.deflated_sharpe_of(returns, copies) == expected
    assert expected < inference.probabilistic_sharpe_of(returns) - 0.1


def test_trials_that_differ_more_than_chance_count_with_their_own_spread():
    returns = 0.01 * np.random.default_rng(22).standard_normal(500) + 0.001
    trials = np.linspace(-0.2, 0.2, 20)
    expected = inference.probabilistic_sharpe_of(
        returns, inference.expected_maximum_sharpe(20, float(trials.var(ddof=1)))
    )
    assert inference.deflated_sharpe_of(returns, trials) == expected


@pytest.mark.parametrize("values", [[], [0.01]])
def test_nothing_is_known_of_fewer_than_two_returns(values):
    assert inference.probabilistic_sharpe_of(np.array(values)) == 0.5
    assert inference.deflated_sharpe_of(np.array(values), np.array([0.0, 0.1])) == 0.5


def test_two_valued_returns_at_the_formulas_pole_still_have_a_probability():
    # Skewness 1/sqrt(2) and kurtosis 3/2: the error of the estimate vanishes at 2 / skewness.
    psr = inference.probabilistic_sharpe_ratio(2 * 2**0.5, 0.0, 3, 0.5**0.5, 1.5)
    assert_allclose(psr, 1.0, rtol=1e-12)


# Inside this box, which daily returns do not leave, PSR rises with the Sharpe ratio.
sharpes = st.floats(0.0, 0.3)
shapes = st.tuples(st.floats(-3.0, 3.0), st.floats(0.0, 20.0)).map(
    lambda drawn: (drawn[0], 1.0 + drawn[0] ** 2 + drawn[1])
)
lengths = st.integers(2, 5000)


@settings(deadline=None, derandomize=True)
@given(sharpes, sharpes, st.floats(0.0, 0.2), lengths, shapes)
def test_psr_is_a_probability_that_rises_with_the_sharpe(one, other, benchmark, sessions, shape):
    low, high = sorted([one, other])
    psr_low = inference.probabilistic_sharpe_ratio(low, benchmark, sessions, *shape)
    psr_high = inference.probabilistic_sharpe_ratio(high, benchmark, sessions, *shape)
    assert 0.0 <= psr_low <= psr_high <= 1.0


@settings(deadline=None, derandomize=True)
@given(st.floats(-1.0, 1.0), lengths, shapes, st.integers(1, 10_000), st.floats(0.0, 1.0))
def test_dsr_never_exceeds_psr_and_more_trials_never_raise_it(
    sharpe, sessions, shape, trials, variance
):
    psr = inference.probabilistic_sharpe_ratio(sharpe, 0.0, sessions, *shape)
    fewer, more = (
        inference.deflated_sharpe_ratio(
            sharpe, sessions, *shape, trials=count, trial_variance=variance
        )
        for count in (trials, trials + 1)
    )
    assert 0.0 <= more <= fewer <= psr


@settings(deadline=None, derandomize=True)
@given(
    arrays(np.float64, st.integers(0, 300), fill=st.just(0.0), elements=st.integers(-300, 300)),
    st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=20),
)
def test_any_record_however_idle_has_finite_probabilities_and_an_ordered_interval(bps, trials):
    returns = bps / 10_000
    psr = inference.probabilistic_sharpe_of(returns)
    assert 0.0 <= inference.deflated_sharpe_of(returns, np.array(trials)) <= psr <= 1.0
    low, high = inference.sharpe_interval(returns, seed=1, draws=20)
    assert -math.inf < low <= high < math.inf


# Rank correlation


def scores_with_gaps(sessions: int = 60, symbols: int = 30, seed: int = 23):
    rng = np.random.default_rng(seed)
    score = rng.standard_normal((sessions, symbols)).round(1)  # rounding makes ties
    outcome = (0.3 * score + rng.standard_normal((sessions, symbols))).round(1)
    score[rng.random(score.shape) < 0.2] = np.nan
    outcome[rng.random(score.shape) < 0.2] = np.inf
    return score, outcome


def test_rank_correlation_is_that_of_scipy_with_ties_and_gaps():
    score, outcome = scores_with_gaps()
    expected = []
    for x, y in zip(score, outcome, strict=True):
        both = np.isfinite(x) & np.isfinite(y)
        expected.append(stats.spearmanr(x[both], y[both]).statistic)
    assert_allclose(inference.spearman_by_session(score, outcome), expected, rtol=0, atol=1e-12)


def test_rank_correlation_of_a_session_does_not_depend_on_the_others():
    symbols = inference._CELLS_AT_ONCE // 4  # noqa: SLF001 - so that five sessions make two batches
    rng = np.random.default_rng(24)
    score, outcome = rng.standard_normal((2, 5, symbols))
    together = inference.spearman_by_session(score, outcome)
    alone = [inference.spearman_by_session(score[[t]], outcome[[t]])[0] for t in range(5)]
    assert_array_equal(together, alone)


@pytest.mark.parametrize(
    ("score", "outcome", "expected"),
    [
        ([1, 2, 3, 4, 5], [10, 20, 30, 40, 50], 1.0),
        ([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], -1.0),
        ([1, 2, 3, 4], [1, 2, 3, 4], np.nan),  # too few symbols
        ([1, 2, 3, 4, np.nan], [1, 2, 3, 4, 5], np.nan),
        ([7, 7, 7, 7, 7], [1, 2, 3, 4, 5], np.nan),  # no ranking to judge
        ([1, 2, 3, 4, 5], [0.1, 0.1, 0.1, 0.1, 0.1], np.nan),
        ([], [], np.nan),
    ],
)
def test_rank_correlation_of_known_sessions(score, outcome, expected):
    ic = inference.spearman_by_session(np.array([score], float), np.array([outcome], float))
    assert_allclose(ic, [expected], rtol=0, atol=1e-15)


def test_rank_correlation_leaves_its_arguments_alone():
    score, outcome = scores_with_gaps()
    before = score.copy(), outcome.copy()
    inference.spearman_by_session(score, outcome)
    assert_array_equal(score, before[0])
    assert_array_equal(outcome, before[1])


@settings(deadline=None, derandomize=True)
@given(
    arrays(np.float64, (3, 8), elements=st.integers(-4, 4).map(float)),
    arrays(np.float64, (3, 8), elements=st.integers(-4, 4).map(float)),
    st.permutations(range(8)),
)
def test_rank_correlation_ignores_the_order_of_symbols_and_any_rising_scale(x, y, order):
    ic = inference.spearman_by_session(x, y)
    assert_allclose(inference.spearman_by_session(x[:, order], y[:, order]), ic, atol=1e-12)
    assert_array_equal(inference.spearman_by_session(np.exp(x), y**3), ic)
    assert_array_equal(inference.spearman_by_session(y, x), ic)
    assume(np.isfinite(ic).any())
    assert np.nanmax(np.abs(ic)) <= 1.0


def test_information_coefficient_is_the_newey_west_mean_of_the_sessions_that_have_one():
    ic = autocorrelated(300, seed=25)
    with_gaps = np.insert(ic, [0, 100, 100, 300], np.nan)
    assert inference.information_coefficient(with_gaps) == inference.newey_west_mean(ic, 42)
    assert inference.information_coefficient(with_gaps, 5) == inference.newey_west_mean(ic, 5)


def test_information_coefficient_of_no_session_is_zero():
    estimate = inference.information_coefficient(np.full(4, np.nan))
    assert (estimate.value, estimate.t) == (0.0, 0.0)


NOISE = autocorrelated(10, seed=26)


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (lambda: inference.newey_west_mean(NOISE, -1), "lag must not be negative"),
        (lambda: inference.newey_west_mean(np.array([np.nan]), 1), "x must be finite"),
        (lambda: inference.linear_regression_hac(NOISE, NOISE[1:], 1), "10 values and x has 9"),
        (lambda: inference.sharpe_interval(NOISE, seed=1, level=95), "between 0 and 1"),
        (lambda: inference.sharpe_interval(NOISE, seed=1, mean_block=0), "mean_block"),
        (
            lambda: inference.stationary_bootstrap_indices(0, 2, 2, np.random.default_rng(1)),
            "length",
        ),
        (lambda: inference.probabilistic_sharpe_ratio(0.1, 0.0, 100, 2.0, 3.0), "impossible"),
        (lambda: inference.expected_maximum_sharpe(0, 1.0), "trials"),
        (lambda: inference.expected_maximum_sharpe(2, math.nan), "variance"),
        (lambda: inference.deflated_sharpe_of(NOISE, np.empty(0)), "this run's own"),
        (lambda: inference.spearman_by_session(np.ones((2, 5)), np.ones((5, 2))), "shape"),
    ],
)
def test_what_cannot_be_meant_is_refused(compute, message):
    with pytest.raises(ValueError, match=message):
        compute()
