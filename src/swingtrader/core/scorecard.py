"""One backtest in figures: the content of ``metrics.json``, but for fingerprints and versions.

Conventions: simple returns per session; a year has 252; no risk-free rate; everything net of
costs. PSR and DSR judge the return in excess of the equal-weighted universe, because a rising
market is no skill.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from swingtrader.core import inference, performance
from swingtrader.core.arrays import SESSIONS_PER_YEAR, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.simulate import Simulation

MARKET_REGRESSION_LAG = 21
"""Newey-West lag of alpha and beta: positions last weeks, so returns depend on each other."""


def buy_and_hold(index: FloatArray, rows: range, cash_usd: float) -> FloatArray:
    """Value of `cash_usd` held in an index from the close before `rows`.

    Parameters
    ----------
    index : ndarray of shape (T,)
        A session without a value keeps the last one; before the first, the money is idle.

    Returns
    -------
    ndarray of shape (L,), USD
    """
    levels = index[rows.start - 1 : rows.stop]
    known = np.maximum.accumulate(np.where(np.isnan(levels), -1, np.arange(len(levels))))
    first = levels[~np.isnan(levels)]
    if not len(first):
        return frozen(np.full(len(rows), cash_usd))
    held = np.where(known >= 0, levels[np.maximum(known, 0)], first[0])
    return frozen(cash_usd * held[1:] / held[0])


def with_start(equity: FloatArray, cash_usd: float) -> FloatArray:
    """Equity curve that begins with the initial cash, so that a first-day loss counts."""
    return np.concatenate([[cash_usd], equity])


def excess_returns(simulation: Simulation, equal_weight_usd: FloatArray) -> FloatArray:
    """Return of each session over the equal-weighted universe's: shape (L,)."""
    curve = with_start(equal_weight_usd, simulation.initial_cash_usd)
    excess: FloatArray = simulation.returns - performance.session_returns(curve)
    return excess


def benchmark_figures(equity_usd: FloatArray, cash_usd: float) -> dict[str, float]:
    """Return, Sharpe ratio and drawdown of a curve the strategy is held against."""
    curve = with_start(equity_usd, cash_usd)
    return {
        "total_return": performance.total_return(curve),
        "sharpe": performance.sharpe_ratio(performance.session_returns(curve)),
        "max_drawdown": performance.max_drawdown(curve),
    }


def worth_of_signals(
    simulation: Simulation, without: Mapping[str, Simulation], signals: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """Change in Sharpe ratio and return when a signal is left out; 0 for one never present.

    Without the signal minus with it: a negative change says that the signal helped.
    """

    def figures(outcome: Simulation) -> tuple[float, float]:
        curve = with_start(outcome.equity_usd, outcome.initial_cash_usd)
        return performance.sharpe_ratio(outcome.returns), performance.total_return(curve)

    sharpe, total = figures(simulation)
    worth: dict[str, dict[str, float]] = {}
    for name in signals:
        other_sharpe, other_total = figures(without.get(name, simulation))
        worth[name] = {
            "sharpe_change": other_sharpe - sharpe,
            "return_change": other_total - total,
        }
    return worth


def scorecard(
    simulation: Simulation,
    *,
    benchmark_usd: FloatArray,
    equal_weight_usd: FloatArray,
    rank_ic: FloatArray,
    trial_sharpes: FloatArray,
    leave_one_out: Mapping[str, Mapping[str, float]],
    seed: int,
) -> dict[str, Any]:
    """Every figure of a backtest; all are finite numbers.

    Parameters
    ----------
    benchmark_usd, equal_weight_usd : ndarray of shape (L,)
    rank_ic : ndarray of shape (L,)
        NaN where not realised.
    trial_sharpes : ndarray of shape (trials,)
        Sharpe ratio per session, in excess of the equal-weighted universe, of every trial on
        record, this one included.
    leave_one_out : mapping
        From `worth_of_signals`.
    """
    cash = simulation.initial_cash_usd
    curve = with_start(simulation.equity_usd, cash)
    returns = simulation.returns
    excess = excess_returns(simulation, equal_weight_usd)
    pnl = np.array([trade.pnl_usd for trade in simulation.trades])
    ic = inference.information_coefficient(rank_ic)
    market = performance.session_returns(with_start(benchmark_usd, cash))
    regression = inference.linear_regression_hac(returns, market, MARKET_REGRESSION_LAG)
    return {
        "sessions": len(returns),
        "n_trades": len(simulation.trades),
        "total_return": performance.total_return(curve),
        "cagr": performance.cagr(curve),
        "volatility_annual": performance.volatility_annual(returns),
        "sharpe": performance.sharpe_ratio(returns),
        "sharpe_ci95": list(inference.sharpe_interval(returns, seed=seed)),
        "psr": inference.probabilistic_sharpe_of(excess),
        "dsr": inference.deflated_sharpe_of(excess, trial_sharpes),
        "trials": len(trial_sharpes),
        "max_drawdown": performance.max_drawdown(curve),
        "turnover_annual": performance.turnover_annual(simulation.traded_usd, curve),
        "hit_rate": performance.hit_rate(pnl),
        "payoff": performance.payoff(pnl),
        "exposure_mean": float(simulation.gross_exposure.mean()),
        "rank_ic_mean": ic.value,
        "rank_ic_t": ic.t,
        "alpha_annual": regression.alpha.value * SESSIONS_PER_YEAR,
        "alpha_t": regression.alpha.t,
        "beta": regression.beta.value,
        "beta_t": regression.beta.t,
        "costs_usd": float(sum(fill.costs_usd for fill in simulation.fills)),
        "benchmark": benchmark_figures(benchmark_usd, cash),
        "equal_weight": benchmark_figures(equal_weight_usd, cash),
        "leave_one_out": {name: dict(changes) for name, changes in leave_one_out.items()},
    }
