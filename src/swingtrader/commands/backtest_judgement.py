"""What a finished simulation is worth: benchmarks, trials on record, figures and caveats."""

from __future__ import annotations

import json
import math
import platform
from datetime import date
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from swingtrader.adapters.model_cache import fingerprint
from swingtrader.adapters.store import Trial
from swingtrader.commands.backtest_caveats import caveats
from swingtrader.commands.backtest_store import locked_store
from swingtrader.core.inference import spearman_by_session
from swingtrader.core.performance import sharpe_per_session, sharpe_ratio
from swingtrader.core.policy import SIGNALS
from swingtrader.core.result import BacktestResult
from swingtrader.core.scorecard import buy_and_hold, excess_returns, scorecard, worth_of_signals
from swingtrader.core.sectors import equal_weighted_index
from swingtrader.core.signal_worth import (
    returns_from_open,
    signal_ic,
    signal_worths,
    worth_figures,
)
from swingtrader.core.signals import before_open
from swingtrader.core.walkforward import LABEL_HORIZON
from swingtrader.estimators.ranker import xgboost_version
from swingtrader.files import file_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from swingtrader.commands.backtest_inputs import BacktestOptions, Gathered
    from swingtrader.commands.walk_forward_agents import Heard
    from swingtrader.config import Strategy
    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.signal_worth import SignalIc
    from swingtrader.core.simulate import Known, Simulation
    from swingtrader.core.worth import SignalWorth

HEARS_THE_NIGHT = "sentiment"
"""The one signal that knows what came out after the close before."""


def judged(
    options: BacktestOptions,
    strategy: Strategy,
    gathered: Gathered,
    known: Known,
    heard: Heard,
    simulation: Simulation,
    without: Mapping[str, Simulation],
    *,
    warn: Callable[..., None],
) -> BacktestResult:
    """Record the trial and what its signals were worth, and work out every figure of the report.

    Parameters
    ----------
    without : mapping
        A simulation for each present signal, with that signal left out.
    warn : callable
        Takes an event and its facts.
    """
    view, rows = gathered.view, gathered.rows
    sessions = view.stocks.sessions[rows.start : rows.stop]
    cash = options.cash_usd
    benchmark_usd = buy_and_hold(view.market, rows, cash)
    equal_weight_usd = buy_and_hold(equal_weighted_index(view.stocks.close), rows, cash)
    # The score of session t was given on the factors of t - 1, where its return begins.
    outcome = _realised(before_open(gathered.forward), rows)
    rank_ic = spearman_by_session(known.probability[rows.start : rows.stop], outcome)
    prints = _fingerprints(options, strategy, gathered)
    parameters: dict[str, str | float] = {
        "first_session": str(sessions[0]),
        "last_session": str(sessions[-1]),
        "initial_cash_usd": cash,
        **prints,
    }
    if options.rl != "off":
        parameters["rl_mode"] = options.rl
    excess = excess_returns(simulation, equal_weight_usd)
    from_open = _realised(returns_from_open(view.stocks.open, view.stocks.close), rows)
    ics = {
        name: signal_ic(
            known.signals[rows.start : rows.stop, k],
            from_open if name == HEARS_THE_NIGHT else outcome,
        )
        for k, name in enumerate(SIGNALS)
    }
    leave_one_out = worth_of_signals(simulation, without, SIGNALS)
    worths = signal_worths(simulation, without, leave_one_out, ics, seed=options.seed)
    trial_sharpes = _recorded(options, parameters, simulation, excess, worths, warn)
    metrics = scorecard(
        simulation,
        benchmark_usd=benchmark_usd,
        equal_weight_usd=equal_weight_usd,
        rank_ic=rank_ic,
        trial_sharpes=trial_sharpes,
        leave_one_out=leave_one_out,
        seed=options.seed,
    )
    proxy = strategy.universe.market
    has_proxy = gathered.bars.panel.column(proxy) is not None
    metrics["benchmark"]["name"] = proxy if has_proxy else "equal weight"
    metrics |= _of_signals(worths, ics, without)
    metrics["rl_mode"] = options.rl
    metrics["rl"] = heard.figures(rows)
    metrics["assumed"] = {
        "half_spread_bps": strategy.costs.half_spread_bps,
        "slippage_bps": strategy.costs.slippage_bps,
        "participation": strategy.costs.participation,
    }
    metrics |= {**parameters, "seed": options.seed, "versions": _versions()}
    return BacktestResult(
        sessions=sessions,
        equity_usd=simulation.equity_usd,
        cash_usd=simulation.cash_usd,
        gross_exposure=simulation.gross_exposure,
        benchmark_usd=benchmark_usd,
        equal_weight_usd=equal_weight_usd,
        p_high_volatility=known.p_high_volatility[rows.start : rows.stop],
        rank_ic=rank_ic,
        fills=simulation.fills,
        trades=simulation.trades,
        metrics=metrics,
        caveats=tuple(caveats(strategy, gathered, simulation, heard, rank_ic, metrics)),
        title=f"Backtest of {options.bars.name}",
    )


def _realised(forward: FloatArray, rows: range) -> FloatArray:
    """Returns of the sessions traded, NaN where they end after the last of them: shape (L, N).

    The files say nothing of the time after the last session.
    """
    outcome = forward[rows.start : rows.stop].copy()
    outcome[max(0, len(rows) - LABEL_HORIZON + 1) :] = np.nan
    return outcome


def _of_signals(
    worths: Sequence[SignalWorth], ics: Mapping[str, SignalIc], without: Mapping[str, Simulation]
) -> dict[str, Any]:
    """What each signal was worth, and which are absent or not to be told from chance."""
    return {
        "signal_worth": worth_figures(worths, ics),
        "absent_signals": [name for name in SIGNALS if name not in without],
        "indistinguishable_signals": [
            worth.signal
            for worth in worths
            if worth.signal in without and not worth.is_distinguishable
        ],
    }


def _fingerprints(
    options: BacktestOptions, strategy: Strategy, gathered: Gathered
) -> dict[str, str]:
    """Digest of everything read; a file that was not given has none."""
    prints = {"data_sha256": gathered.bars.sha256, "config_sha256": strategy.sha256()}
    if options.news is not None:
        prints["news_sha256"] = file_sha256(options.news)
    if gathered.intraday is not None:
        prints["intraday_sha256"] = gathered.intraday.sha256
    return prints


def _recorded(
    options: BacktestOptions,
    parameters: Mapping[str, str | float],
    simulation: Simulation,
    excess: FloatArray,
    worths: Sequence[SignalWorth],
    warn: Callable[..., None],
) -> FloatArray:
    """Put this run and its signals' worth on record; return the Sharpe ratios of all runs there.

    Shape (trials,), per session, each scaled by the root of its length over this run's: what a
    run of this length would show at the same significance.

    A run repeated with the same bars, strategy, dates, cash, seed and outcome is the same
    trial. The outcome counts because a changed program is a variant tried as well.
    """
    text = json.dumps(parameters, sort_keys=True)
    sharpe = float(sharpe_per_session(excess))
    trial = Trial(
        fingerprint=fingerprint("backtest", text, str(options.seed), repr(sharpe)),
        recorded_at=options.now,
        command="backtest",
        config_sha256=str(parameters["config_sha256"]),
        data_sha256=str(parameters["data_sha256"]),
        seed=options.seed,
        first_session=date.fromisoformat(str(parameters["first_session"])),
        last_session=date.fromisoformat(str(parameters["last_session"])),
        sessions=len(excess),
        sharpe_per_session=sharpe,
        sharpe=sharpe_ratio(simulation.returns),
        total_return=float(simulation.equity_usd[-1] / simulation.initial_cash_usd - 1.0),
        n_trades=len(simulation.trades),
        parameters=text,
    )
    with locked_store(options, warn=warn) as store:
        store.trials.record(trial)
        store.worth.replace(worths, (trial.first_session, trial.last_session), options.now)
        trials = store.trials.all()
    # A short run's Sharpe ratio is wide by chance alone, so each is brought to this run's length.
    return np.array(
        [
            recorded.sharpe_per_session
            * math.sqrt(max(recorded.sessions - 1, 1) / max(len(excess) - 1, 1))
            for recorded in trials
        ]
    )


def _versions() -> dict[str, str]:
    """Versions of what a result's bits depend on."""
    return {
        "python": platform.python_version(),
        "xgboost": xgboost_version(),
        **{name: version(name) for name in ("swingtrader", "numpy", "hmmlearn")},
    }
