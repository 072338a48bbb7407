"""Descriptive measures, checked against empyrical and against arithmetic done by hand."""

from __future__ import annotations

import math

import empyrical
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from swingtrader.core import performance

CASH = 100_000.0

daily_returns = arrays(
    np.float64, st.integers(2, 60), elements=st.integers(-3000, 3000).map(lambda bps: bps / 1e4)
)


def a_market(sessions: int = 700, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_t(4, sessions) * 0.01 + 0.0005


def equity_from(returns) -> np.ndarray:
    return CASH * np.append(1.0, np.cumprod(1.0 + np.asarray(returns)))


def test_every_figure_agrees_with_empyrical():
    returns = a_market()
    equity = equity_from(returns)
    ours_and_theirs = [
        (performance.total_return(equity), empyrical.cum_returns_final(returns)),
        (performance.cagr(equity), empyrical.cagr(returns)),
        (performance.volatility_annual(returns), empyrical.annual_volatility(returns)),
        (performance.sharpe_ratio(returns), empyrical.sharpe_ratio(returns)),
        (performance.max_drawdown(equity), empyrical.max_drawdown(returns)),
    ]
    for ours, theirs in ours_and_theirs:
        assert_allclose(ours, theirs, rtol=1e-11)


def test_session_returns_give_back_the_returns_behind_an_equity_curve():
    returns = a_market()
    assert_allclose(performance.session_returns(equity_from(returns)), returns, atol=1e-14)


def test_rolling_sharpe_agrees_with_empyrical_on_each_window():
    returns = a_market(80)
    rolling = performance.rolling_sharpe(returns, 21)
    assert np.isnan(rolling[:20]).all()
    expected = [empyrical.sharpe_ratio(returns[t - 20 : t + 1]) for t in range(20, 80)]
    assert_allclose(rolling[20:], expected, rtol=1e-11)


def test_rolling_sharpe_ignores_later_sessions():
    returns = a_market(80)
    shorter = performance.rolling_sharpe(returns[:50], 21)
    assert_array_equal(performance.rolling_sharpe(returns, 21)[:50], shorter)


def test_rolling_sharpe_of_a_record_shorter_than_its_window_is_absent():
    assert_array_equal(performance.rolling_sharpe(a_market(5), 21), [np.nan] * 5)


def test_skewness_and_kurtosis_are_the_population_moments_of_scipy():
    returns = a_market()
    assert_allclose(performance.skewness(returns), stats.skew(returns), rtol=1e-11)
    expected = stats.kurtosis(returns, fisher=False)
    assert_allclose(performance.kurtosis(returns), expected, rtol=1e-11)


def test_monthly_returns_agree_with_empyrical():
    sessions = pd.bdate_range("2012-11-07", "2015-02-11")
    returns = pd.Series(a_market(len(sessions)), index=sessions)
    years, table = performance.monthly_returns(
        sessions.to_numpy().astype("datetime64[D]"), equity_from(returns)
    )
    assert_array_equal(years, [2012, 2013, 2014, 2015])
    expected = empyrical.aggregate_returns(returns, "monthly")
    assert np.isfinite(table).sum() == len(expected)
    for (year, month), value in expected.items():
        assert_allclose(table[year - 2012, month - 1], value, rtol=1e-11, atol=1e-15)


def test_a_month_without_a_session_is_absent_and_its_gain_belongs_to_the_next():
    sessions = np.array(["2019-12-31", "2020-02-03"], dtype="datetime64[D]")
    years, table = performance.monthly_returns(sessions, np.array([100.0, 110.0, 121.0]))
    assert_array_equal(years, [2019, 2020])
    assert_allclose(table[0, 11], 0.1, rtol=1e-12)
    assert np.isnan(table[1, 0])
    assert_allclose(table[1, 1], 0.1, rtol=1e-12)


def test_a_loss_on_the_first_session_is_a_drawdown():
    equity = np.array([100.0, 90.0, 95.0])
    assert_allclose(performance.drawdowns(equity), [0.0, -0.1, -0.05], atol=1e-15)
    assert_allclose(performance.max_drawdown(equity), -0.1, rtol=1e-12)


def test_turnover_counts_one_side_of_each_replacement():
    # Sells 50,000 and buys 50,000 of an account of 100,000, once in 252 sessions.
    traded = np.zeros(252)
    traded[7] = 100_000.0
    turnover = performance.turnover_annual(traded, np.full(253, CASH))
    assert_allclose(turnover, 0.5, rtol=1e-12)


def test_turnover_is_over_the_equity_the_session_started_with():
    turnover = performance.turnover_annual(np.array([100.0]), np.array([200.0, 400.0]))
    assert_allclose(turnover, 252 * 0.25, rtol=1e-12)


@pytest.mark.parametrize(
    ("pnl", "hit_rate", "payoff"),
    [
        ([], 0.0, 0.0),
        ([30.0, -10.0, -20.0, 0.0], 0.25, 2.0),
        ([0.0], 0.0, 0.0),
        ([-5.0, -1.0], 0.0, 0.0),
        ([5.0], 1.0, performance.PAYOFF_CAP),
        ([5.0, -1e-9], 0.5, performance.PAYOFF_CAP),
    ],
)
def test_hit_rate_and_payoff_of_known_trades(pnl, hit_rate, payoff):
    assert_allclose(performance.hit_rate(np.array(pnl)), hit_rate, rtol=1e-12)
    assert_allclose(performance.payoff(np.array(pnl)), payoff, rtol=1e-12)


@pytest.mark.parametrize("values", [[], [100.0]])
def test_an_account_without_a_session_has_figures_of_zero(values):
    equity = np.array(values)
    returns = performance.session_returns(equity)
    assert returns.shape == (0,)
    figures = [
        performance.total_return(equity),
        performance.cagr(equity),
        performance.max_drawdown(equity),
        performance.volatility_annual(returns),
        performance.sharpe_ratio(returns),
        performance.skewness(returns),
    ]
    assert figures == [0.0] * 6
    assert performance.kurtosis(returns) == 3.0


def test_a_single_return_has_no_dispersion():
    one = np.array([0.01])
    assert performance.volatility_annual(one) == 0.0
    assert performance.sharpe_ratio(one) == 0.0
    assert performance.kurtosis(one) == 3.0


def test_tables_and_turnover_of_no_session_are_empty():
    no_sessions = np.empty(0, dtype="datetime64[D]")
    years, table = performance.monthly_returns(no_sessions, np.array([CASH]))
    assert years.shape == (0,)
    assert table.shape == (0, 12)
    assert performance.turnover_annual(np.empty(0), np.array([CASH])) == 0.0


@pytest.mark.parametrize("rate", [0.0, 1e-4, 0.01])
def test_steady_growth_has_a_sharpe_of_zero_despite_rounding(rate):
    returns = performance.session_returns(equity_from(np.full(300, rate)))
    assert performance.sharpe_ratio(returns) == 0.0
    assert performance.skewness(returns) == 0.0
    assert performance.kurtosis(returns) == 3.0


def test_absurd_growth_over_one_session_is_still_a_finite_rate():
    assert math.isfinite(performance.cagr(np.array([1.0, 1e6])))


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (lambda: performance.sharpe_ratio(np.array([0.1, np.nan])), "returns must be finite"),
        (lambda: performance.hit_rate(np.array([np.inf])), "pnl must be finite"),
        (lambda: performance.total_return(np.array([1.0, 0.0])), "equity must be positive"),
        (lambda: performance.sharpe_ratio(np.ones((2, 2))), "one dimension"),
        (lambda: performance.rolling_sharpe(np.ones(5), 1), "at least 2"),
        (lambda: performance.turnover_annual(np.ones(3), np.ones(3)), "expected 4"),
        (
            lambda: performance.monthly_returns(
                np.array(["2020-01-02"] * 2, dtype="datetime64[D]"), np.ones(3)
            ),
            "strictly increasing",
        ),
        (
            lambda: performance.monthly_returns(
                np.array(["2020-01-02"], dtype="datetime64[D]"), np.ones(3)
            ),
            "expected 2",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(compute, message):
    with pytest.raises(ValueError, match=message):
        compute()


@settings(deadline=None, derandomize=True)
@given(daily_returns, st.floats(0.01, 100.0))
def test_sharpe_does_not_depend_on_leverage(returns, leverage):
    sharpe = performance.sharpe_ratio(returns)
    assert_allclose(performance.sharpe_ratio(leverage * returns), sharpe, rtol=1e-6, atol=1e-9)


@settings(deadline=None, derandomize=True)
@given(daily_returns)
def test_drawdowns_lie_between_a_total_loss_and_nothing(returns):
    depth = performance.drawdowns(equity_from(returns))
    assert ((depth > -1.0) & (depth <= 0.0)).all()
    assert performance.max_drawdown(equity_from(returns)) == depth.min()


@settings(deadline=None, derandomize=True)
@given(daily_returns)
def test_every_figure_of_any_record_is_a_finite_number(returns):
    equity = equity_from(returns)
    figures = [
        performance.total_return(equity),
        performance.cagr(equity),
        performance.volatility_annual(returns),
        performance.sharpe_ratio(returns),
        performance.skewness(returns),
        performance.kurtosis(returns),
        performance.hit_rate(returns),
        performance.payoff(returns),
    ]
    assert np.isfinite(figures).all()


@settings(deadline=None, derandomize=True)
@given(daily_returns)
def test_months_compound_to_the_total_return(returns):
    sessions = np.datetime64("2019-11-20") + np.arange(len(returns))
    _, table = performance.monthly_returns(sessions, equity_from(returns))
    total = performance.total_return(equity_from(returns))
    assert_allclose(np.nanprod(1.0 + table), 1.0 + total, rtol=1e-9)
