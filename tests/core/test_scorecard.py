from __future__ import annotations

import json
import math
from datetime import date

import numpy as np
import pytest

from swingtrader.core.performance import sharpe_ratio
from swingtrader.core.policy import SIGNALS
from swingtrader.core.result import Fill, RoundTrip
from swingtrader.core.scorecard import (
    benchmark_figures,
    buy_and_hold,
    excess_returns,
    scorecard,
    worth_of_signals,
)
from swingtrader.core.simulate import Simulation
from swingtrader.core.sizing import TradeRecord

NAN = math.nan
CASH = 100_000.0
DAY = date(2020, 1, 6)
FIGURES = {
    "sessions", "n_trades", "total_return", "cagr", "volatility_annual", "sharpe",
    "sharpe_ci95", "psr", "dsr", "trials", "max_drawdown", "turnover_annual", "hit_rate",
    "payoff", "exposure_mean", "rank_ic_mean", "rank_ic_t", "costs_usd", "benchmark",
    "equal_weight", "leave_one_out",
}  # fmt: skip


def simulated(equity, trades=(), fills=(), exposure=0.5, traded=0.0):
    """Outcome with the equity curve, (L,), given."""
    equity = np.asarray(equity, dtype=float)
    n = len(equity)
    return Simulation(
        rows=range(1, n + 1),
        initial_cash_usd=CASH,
        equity_usd=equity,
        cash_usd=equity / 2.0,
        gross_exposure=np.full(n, exposure),
        traded_usd=np.full(n, traded),
        votes=np.zeros((n, 1)),
        actions=np.zeros((n, 1), dtype=np.int8),
        reasons=np.zeros((n, 1), dtype=np.int8),
        fills=tuple(fills),
        trades=tuple(trades),
        record=TradeRecord(),
    )


def round_trip(pnl_usd):
    return RoundTrip("AAA", DAY, DAY, 10, 100.0, 100.0, pnl_usd, pnl_usd / 1000.0, "target")


def walk(seed, sessions=300, drift=0.0005):
    steps = np.random.default_rng(seed).normal(drift, 0.01, sessions)
    return CASH * np.exp(np.cumsum(steps))


def judged(simulation, **changes):
    n = len(simulation.equity_usd)
    values = {
        "benchmark_usd": np.full(n, CASH),
        "equal_weight_usd": np.full(n, CASH),
        "rank_ic": np.full(n, NAN),
        "trial_sharpes": np.array([0.01]),
        "leave_one_out": worth_of_signals(simulation, {}, SIGNALS),
        "seed": 1,
    }
    return scorecard(simulation, **(values | changes))


@pytest.mark.parametrize(
    ("index", "rows", "expected", "why"),
    [
        ([10, 11, 12, 9], range(1, 4), [1.1, 1.2, 0.9], "from the close before"),
        ([99, 10, 11, 12], range(2, 4), [1.1, 1.2], "the past does not matter"),
        ([10, 11, 12, 99], range(1, 3), [1.1, 1.2], "nor does the future"),
        ([10, NAN, 12, NAN], range(1, 4), [1.0, 1.2, 1.2], "a gap keeps the last value"),
        ([NAN, NAN, 10, 12], range(1, 4), [1.0, 1.0, 1.2], "idle before the first value"),
        ([NAN, 10, NAN, 5], range(1, 4), [1.0, 1.0, 0.5], "late start, then a gap"),
        ([NAN, NAN, NAN], range(1, 3), [1.0, 1.0], "nothing to hold"),
        ([10, 10], range(1, 2), [1.0], "one session"),
    ],
)
def test_an_index_is_held_from_the_close_before_the_first_session(index, rows, expected, why):
    held = buy_and_hold(np.array(index, dtype=float), rows, CASH)
    np.testing.assert_allclose(held, CASH * np.array(expected), rtol=1e-12, atol=0, err_msg=why)


def test_a_loss_on_the_first_day_counts():
    figures = benchmark_figures(np.array([90_000.0, 99_000.0]), CASH)
    np.testing.assert_allclose(figures["max_drawdown"], -0.1, rtol=1e-12, atol=0)
    np.testing.assert_allclose(figures["total_return"], -0.01, rtol=1e-9, atol=0)
    expected = sharpe_ratio(np.array([-0.1, 0.1]))
    np.testing.assert_allclose(figures["sharpe"], expected, rtol=0, atol=1e-9)


def test_excess_returns_are_over_the_equal_weighted_universe():
    excess = excess_returns(simulated([101_000.0, 99_990.0]), np.array([102_000.0, 102_000.0]))
    np.testing.assert_allclose(excess, [-0.01, -0.01], rtol=0, atol=1e-12)


def test_leaving_out_a_signal_that_helped_is_a_negative_change():
    steady = CASH * 1.001 ** np.arange(1, 101) * (1.0 + 1e-4 * (np.arange(100) % 2))
    falling = 2.0 * CASH - steady
    worth = worth_of_signals(
        simulated(steady), {"quant": simulated(falling), "rl": simulated(steady)}, SIGNALS
    )
    assert set(worth) == set(SIGNALS)
    assert worth["quant"]["sharpe_change"] < 0
    expected = (falling[-1] - steady[-1]) / CASH
    np.testing.assert_allclose(worth["quant"]["return_change"], expected, rtol=1e-12, atol=0)
    assert worth["rl"] == {"sharpe_change": 0.0, "return_change": 0.0}
    assert worth["market"] == {"sharpe_change": 0.0, "return_change": 0.0}
    harmful = worth_of_signals(simulated(falling), {"quant": simulated(steady)}, ("quant",))
    assert harmful["quant"]["return_change"] == -worth["quant"]["return_change"]
    assert harmful["quant"]["sharpe_change"] == -worth["quant"]["sharpe_change"]


def numbers_in(figures):
    for value in figures.values() if isinstance(figures, dict) else figures:
        if isinstance(value, dict | list):
            yield from numbers_in(value)
        else:
            yield value


FLAT = np.full(60, CASH)


@pytest.mark.parametrize(
    ("simulation", "changes"),
    [
        (simulated(FLAT, exposure=0.0), {}),
        (simulated([CASH], exposure=0.0), {}),
        (simulated([99_000.0], [round_trip(-5.0)]), {}),
        (simulated([101_000.0], [round_trip(5.0)]), {"rank_ic": np.array([0.1])}),
        (simulated([101_000.0, 99_000.0]), {}),
        (simulated(walk(1)), {}),
        (simulated(walk(1), [round_trip(5.0)] * 3), {"benchmark_usd": walk(2)}),
        (simulated(walk(1), [round_trip(-5.0)] * 3), {"equal_weight_usd": walk(1)}),
        (simulated(walk(1), [round_trip(0.0)]), {"benchmark_usd": walk(1)}),
        (simulated(FLAT), {"benchmark_usd": walk(2, 60), "equal_weight_usd": walk(3, 60)}),
        (simulated(1e-6 * walk(1)), {"trial_sharpes": np.zeros(500)}),
        (simulated(walk(1)), {"rank_ic": np.where(np.arange(300) < 21, 0.05, NAN)}),
    ],
)
def test_every_figure_is_a_finite_number(simulation, changes):
    figures = judged(simulation, **changes)
    assert set(figures) >= FIGURES
    for value in numbers_in(figures):
        assert isinstance(value, int | float)
        assert math.isfinite(value)
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert 0.0 <= figures["psr"] <= 1.0
    assert 0.0 <= figures["dsr"] <= 1.0
    assert figures["sharpe_ci95"] == sorted(figures["sharpe_ci95"])


def test_figures_agree_with_longhand():
    equity = [101_000.0, 99_000.0, 103_000.0]
    fills = [
        Fill(DAY, "AAA", side, 10, 100.0, usd, "x") for side, usd in (("buy", 0.0), ("sell", 1.5))
    ]
    trades = [round_trip(30.0), round_trip(10.0), round_trip(-5.0), round_trip(0.0)]
    figures = judged(
        simulated(equity, trades, fills, exposure=0.25, traded=1000.0),
        rank_ic=np.array([0.1, 0.3, NAN]),
        trial_sharpes=np.array([0.1, 0.2]),
    )
    expected = {
        "sessions": 3,
        "n_trades": 4,
        "total_return": 0.03,
        "max_drawdown": 99.0 / 101.0 - 1.0,
        "turnover_annual": 252 * np.mean([500 / 100_000, 500 / 101_000, 500 / 99_000]),
        "hit_rate": 0.5,
        "payoff": 4.0,
        "exposure_mean": 0.25,
        "rank_ic_mean": 0.2,
        "costs_usd": 1.5,
        "trials": 2,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(figures[name], value, rtol=1e-9, atol=0, err_msg=name)


def test_a_rising_market_is_no_skill():
    market = walk(5, drift=0.003)
    lucky = judged(simulated(market), equal_weight_usd=market)
    assert lucky["sharpe"] > 2.0
    assert lucky["psr"] == lucky["dsr"] == 0.5
    skilled = judged(simulated(market), equal_weight_usd=np.full(300, CASH))
    assert skilled["psr"] == skilled["dsr"] > 0.99


def test_the_more_was_tried_the_less_a_result_is_worth():
    simulation = simulated(walk(5, drift=0.001))
    worth = [judged(simulation, trial_sharpes=np.full(n, 0.05))["dsr"] for n in (1, 5, 100)]
    assert worth[0] > worth[1] > worth[2]
    assert worth[0] == judged(simulation)["psr"]


def test_benchmarks_are_judged_by_the_same_rules():
    benchmark, equal_weight = walk(6), walk(7)
    figures = judged(simulated(benchmark), benchmark_usd=benchmark, equal_weight_usd=equal_weight)
    for name in ("total_return", "sharpe", "max_drawdown"):
        assert figures["benchmark"][name] == figures[name]
        assert figures["equal_weight"][name] != figures[name]
    np.testing.assert_allclose(figures["beta"], 1.0, rtol=1e-9, atol=0)
    np.testing.assert_allclose(figures["alpha_annual"], 0.0, rtol=0, atol=1e-9)


def test_the_same_seed_gives_the_same_figures():
    simulation = simulated(walk(8))
    assert judged(simulation) == judged(simulation)
    assert judged(simulation)["sharpe_ci95"] != judged(simulation, seed=2)["sharpe_ci95"]
