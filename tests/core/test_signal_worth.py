"""What a signal was worth: intervals of the change without it, and its rank correlation."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import spearmanr

from swingtrader.core.costs import Costs
from swingtrader.core.inference import newey_west_mean
from swingtrader.core.market import Panel
from swingtrader.core.performance import sharpe_ratio
from swingtrader.core.policy import SIGNALS, Policy
from swingtrader.core.scorecard import worth_of_signals
from swingtrader.core.signal_worth import (
    SignalIc,
    returns_from_open,
    sharpe_change_intervals,
    signal_ic,
    signal_worths,
    worth_figures,
)
from swingtrader.core.simulate import Known, simulate
from swingtrader.core.universe import NO_SECTOR
from swingtrader.core.vote import without_signal
from swingtrader.core.walkforward import LABEL_HORIZON, forward_returns

NAN = math.nan


def noise(seed, *shape):
    return np.random.default_rng(seed).normal(0.0, 0.01, shape)


# Rank IC


def test_the_ic_of_a_planted_signal_is_scipys():
    outcome = noise(1, 90, 30)
    signal = np.round(0.3 * outcome / 0.01 + noise(2, 90, 30) / 0.01, 1)  # with ties
    signal[noise(3, 90, 30) > 0.012] = NAN
    signal[10] = 0.5  # the same for all: no rank correlation
    signal[11, 4:] = NAN  # too few
    outcome[80:] = NAN
    expected = []
    for x, y in zip(signal, outcome, strict=True):
        both = np.isfinite(x) & np.isfinite(y)
        if both.sum() >= 5 and np.ptp(x[both]) > 0:
            expected.append(spearmanr(x[both], y[both]).statistic)
    ic = signal_ic(signal, outcome)
    assert ic.sessions == len(expected) == 78
    assert_allclose(ic.mean, np.mean(expected), rtol=0, atol=1e-12)
    assert_allclose(ic.t, newey_west_mean(np.array(expected), 42).t, rtol=1e-9, atol=0)
    assert ic.mean > 0.2


@pytest.mark.parametrize(
    ("signal", "why"),
    [
        (np.full((40, 9), NAN), "never present"),
        (np.full((40, 9), 0.3), "never different"),
        (np.where(np.arange(9) < 4, noise(4, 40, 9), NAN), "of too few stocks"),
    ],
)
def test_a_signal_that_orders_nothing_has_no_ic(signal, why):
    ic = signal_ic(signal, noise(5, 40, 9))
    assert ic.sessions == 0, why
    assert math.isnan(ic.mean)
    assert math.isnan(ic.t)


def test_a_signal_of_the_sector_is_ranked_with_ties():
    # Two sectors of four: the sector's mean return is all it can be right about.
    outcome = np.array([[3.0, 4, 5, 6, -1, 0, 1, 2]])
    signal = np.repeat([[0.2, -0.1]], 4, axis=1)
    expected = spearmanr(signal[0], outcome[0]).statistic
    assert_allclose(signal_ic(signal, outcome).mean, expected, rtol=0, atol=1e-12)


def test_a_signal_that_hears_the_night_is_judged_from_the_open_on():
    close = 100.0 * np.cumprod(1.0 + noise(6, 60, 3), axis=0)
    open_ = close * (1.0 + noise(7, 60, 3))
    returns = returns_from_open(open_, close)
    t = 30
    assert_allclose(returns[t], close[t + 20] / open_[t] - 1.0, rtol=1e-12, atol=0)
    assert np.isnan(returns[-20:]).all()
    assert np.isfinite(returns[:-20]).all()
    # It ends where the 21-session return from the close before ends.
    from_close = forward_returns(close)[t - 1]
    overnight = open_[t] / close[t - 1]
    assert_allclose((1.0 + returns[t]) * overnight, 1.0 + from_close, rtol=1e-12, atol=0)


def test_a_history_shorter_than_the_horizon_has_no_returns_from_the_open():
    price = np.full((LABEL_HORIZON - 1, 2), 5.0)
    assert np.isnan(returns_from_open(price, price)).all()


# Intervals


def test_the_interval_covers_the_change_about_as_often_as_it_says():
    covered = 0
    for sample in range(40):
        common = noise(sample, 500)
        runs = common + 0.5 * noise(1000 + sample, 2, 500) + [[0.0], [0.0005]]
        truth = 0.0005 / (0.01 * math.sqrt(1.25)) * math.sqrt(252)
        ((low, high),) = sharpe_change_intervals(runs[0], runs[1:], seed=sample)
        covered += low <= truth <= high
    assert 34 <= covered <= 40


def test_what_both_runs_share_does_not_widen_the_interval():
    apart = 0.1 * noise(8, 2, 500)
    shared = noise(9, 500)
    together = sharpe_change_intervals(shared + apart[0], shared + apart[1:], seed=1)[0]
    alone = sharpe_change_intervals(shared + apart[0], noise(10, 1, 500), seed=1)[0]
    assert np.ptp(together) < 0.25 * np.ptp(alone)


@given(st.integers(0, 10**6), st.integers(2, 60))
@settings(deadline=None, derandomize=True, max_examples=15)
def test_intervals_are_ordered_mirrored_and_zero_for_the_same_run(seed, sessions):
    a, b = noise(seed, 2, sessions)
    there = sharpe_change_intervals(a, np.stack([b, a]), seed=seed)
    back = sharpe_change_intervals(b, a[np.newaxis], seed=seed)
    assert there[0, 0] <= there[0, 1]
    assert there[1].tolist() == [0.0, 0.0]
    assert_allclose(back[0], -there[0, ::-1], rtol=1e-9, atol=1e-9)


def test_an_interval_does_not_depend_on_the_other_runs_beside_it():
    a, b, c = noise(11, 3, 200)
    alone = sharpe_change_intervals(a, b[np.newaxis], seed=3)
    assert np.array_equal(sharpe_change_intervals(a, np.stack([c, b]), seed=3)[1:], alone)
    assert not np.array_equal(sharpe_change_intervals(a, b[np.newaxis], seed=4), alone)


@pytest.mark.parametrize("sessions", [0, 1])
def test_less_than_two_sessions_say_nothing(sessions):
    intervals = sharpe_change_intervals(noise(1, sessions), noise(2, 3, sessions), seed=0)
    assert intervals.tolist() == [[0.0, 0.0]] * 3


def test_returns_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="finite"):
        sharpe_change_intervals(np.array([0.1, NAN]), np.zeros((1, 2)), seed=0)


# Planted signals


STOCKS, FIRST, SESSIONS = 24, 25, 520


def planted_market(seed=1):
    """Simulate stocks of which one signal knows the next month, another nothing at all.

    Returns the simulation with all signals and one without each.
    """
    rng = np.random.default_rng(seed)
    drift = np.repeat(rng.normal(0.0, 0.006, (SESSIONS // 20 + 1, STOCKS)), 20, axis=0)[:SESSIONS]
    close = 50.0 * np.exp(np.cumsum(drift + rng.normal(0, 0.012, (SESSIONS, STOCKS)), axis=0))
    open_ = np.vstack([close[:1], close[:-1]])
    days = np.busday_offset("2015-01-05", np.arange(SESSIONS), roll="forward")
    names = tuple(f"S{n:02}" for n in range(STOCKS))
    high, low = np.maximum(open_, close) * 1.002, np.minimum(open_, close) * 0.998
    panel = Panel(days, names, open_, high, low, close, np.full(close.shape, 5e7))
    signals = np.full((SESSIONS, len(SIGNALS), STOCKS), NAN)
    signals[:, SIGNALS.index("quant")] = np.clip(60 * drift, -1, 1)
    # Louder noise would be told from chance too: acting on it costs money.
    signals[:, SIGNALS.index("momentum")] = rng.uniform(-0.1, 0.1, close.shape)
    signals[:, SIGNALS.index("market")] = 0.3
    opens = [datetime(2015, 1, 1, 14, 30, tzinfo=UTC) + timedelta(days=n) for n in range(SESSIONS)]
    opens_at = np.array([at.replace(tzinfo=None) for at in opens], dtype="datetime64[s]")
    known = {
        "opens_at": opens_at,
        "closes_at": opens_at + np.timedelta64(390, "m"),
        "sector": np.full(STOCKS, NO_SECTOR),
        "probability": np.full(close.shape, 0.6),
        "sector_strength": np.empty((SESSIONS, 0)),
        "close": open_,
        "dollar_volume_usd": np.full(close.shape, 1e9),
        "atr_fraction": np.full(close.shape, 0.02),
        "p_high_volatility": np.zeros(SESSIONS),
    }

    def run(signals):
        return simulate(
            panel, Known(signals=signals, **known), Policy(), Costs(), cash_usd=1e5,
            rows=range(FIRST, SESSIONS),
        )  # fmt: skip

    present = ("market", "quant", "momentum")
    return run(signals), {name: run(without_signal(signals, name)) for name in present}


@pytest.fixture(scope="module")
def planted():
    simulation, without = planted_market()
    ics = {name: SignalIc(NAN, NAN, 0) for name in SIGNALS}
    changes = worth_of_signals(simulation, without, SIGNALS)
    return SimpleNamespace(
        simulation=simulation,
        without=without,
        worths={w.signal: w for w in signal_worths(simulation, without, changes, ics, seed=0)},
        ics=ics,
    )


def test_a_signal_that_knows_the_future_is_told_from_chance(planted):
    quant = planted.worths["quant"]
    assert quant.is_distinguishable
    assert quant.high < 0.0  # without it the Sharpe ratio falls
    assert quant.low <= quant.sharpe_change <= quant.high


def test_a_signal_of_pure_noise_is_not_told_from_chance(planted):
    momentum = planted.worths["momentum"]
    assert not momentum.is_distinguishable
    assert momentum.low < 0.0 < momentum.high


def test_a_signal_that_was_never_present_has_a_worth_of_exactly_nothing(planted):
    rl = planted.worths["rl"]
    assert (rl.sharpe_change, rl.low, rl.high) == (0.0, 0.0, 0.0)
    assert math.isnan(rl.ic_mean)
    assert not rl.is_distinguishable


def test_every_signal_has_a_row_in_the_order_of_the_vote(planted):
    assert tuple(planted.worths) == SIGNALS
    for name, worth in planted.worths.items():
        runs = [planted.simulation, planted.without.get(name, planted.simulation)]
        sharpes = [sharpe_ratio(run.returns) for run in runs]
        assert worth.sharpe_change == sharpes[1] - sharpes[0]


def test_figures_for_the_file_are_numbers_even_where_nothing_was_measured(planted):
    figures = worth_figures(tuple(planted.worths.values()), planted.ics)
    assert figures["rl"] == {
        "sharpe_change_ci95": [0.0, 0.0], "ic_mean": 0.0, "ic_t": 0.0, "ic_sessions": 0,
    }  # fmt: skip
    assert figures["quant"]["sharpe_change_ci95"][1] == planted.worths["quant"].high
