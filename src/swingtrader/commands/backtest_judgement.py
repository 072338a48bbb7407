"""What a finished simulation is worth: benchmarks, trials on record, figures and caveats."""

from __future__ import annotations

import json
import math
import platform
from contextlib import contextmanager
from datetime import date
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.adapters.lock import state_lock
from swingtrader.adapters.model_cache import fingerprint
from swingtrader.adapters.store import Store, Trial
from swingtrader.commands.backtest_caveats import caveats
from swingtrader.core.inference import spearman_by_session
from swingtrader.core.performance import sharpe_per_session, sharpe_ratio
from swingtrader.core.policy import SIGNALS
from swingtrader.core.result import BacktestResult
from swingtrader.core.scorecard import buy_and_hold, excess_returns, scorecard, worth_of_signals
from swingtrader.core.sectors import equal_weighted_index
from swingtrader.core.signals import before_open
from swingtrader.core.walkforward import LABEL_HORIZON
from swingtrader.estimators.ranker import xgboost_version
from swingtrader.files import file_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from swingtrader.commands.backtest_inputs import BacktestOptions, Gathered
    from swingtrader.commands.walk_forward import Opinions
    from swingtrader.config import Strategy
    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.simulate import Simulation

LOCK_WAIT_SECONDS = 10.0


def judged(
    options: BacktestOptions,
    strategy: Strategy,
    gathered: Gathered,
    opinions: Opinions,
    simulation: Simulation,
    without: Mapping[str, Simulation],
    *,
    warn: Callable[..., None],
) -> BacktestResult:
    """Record the trial and work out every figure of the report.

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
    # The score of session t was given on the factors of t - 1, where its return begins. Returns
    # that end after the last session traded are left out: the files say nothing of that time.
    outcome = before_open(gathered.forward)[rows.start : rows.stop].copy()
    outcome[max(0, len(rows) - LABEL_HORIZON + 1) :] = np.nan
    rank_ic = spearman_by_session(opinions.probability[rows.start : rows.stop], outcome)
    prints = _fingerprints(options, strategy, gathered)
    parameters: dict[str, str | float] = {
        "first_session": str(sessions[0]),
        "last_session": str(sessions[-1]),
        "initial_cash_usd": cash,
        **prints,
    }
    excess = excess_returns(simulation, equal_weight_usd)
    trial_sharpes = _trial_sharpes(options, parameters, simulation, excess, warn)
    metrics = scorecard(
        simulation,
        benchmark_usd=benchmark_usd,
        equal_weight_usd=equal_weight_usd,
        rank_ic=rank_ic,
        trial_sharpes=trial_sharpes,
        leave_one_out=worth_of_signals(simulation, without, SIGNALS),
        seed=options.seed,
    )
    proxy = strategy.universe.market
    has_proxy = gathered.bars.panel.column(proxy) is not None
    metrics["benchmark"]["name"] = proxy if has_proxy else "equal weight"
    metrics["absent_signals"] = [name for name in SIGNALS if name not in without]
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
        p_high_volatility=opinions.p_high_volatility[rows.start : rows.stop],
        rank_ic=rank_ic,
        fills=simulation.fills,
        trades=simulation.trades,
        metrics=metrics,
        caveats=tuple(caveats(strategy, gathered, simulation, rank_ic, metrics["absent_signals"])),
        title=f"Backtest of {options.bars.name}",
    )


def ready_store(options: BacktestOptions, *, warn: Callable[..., None]) -> None:
    """Open the store once, so that what keeps the trial off record is said before the work.

    Raises
    ------
    ConfigurationError
        It cannot be written to, or belongs to a newer version of the program.
    LockHeld
        Another run holds it.
    """
    with _store(options, warn):
        pass


@contextmanager
def _store(options: BacktestOptions, warn: Callable[..., None]) -> Iterator[Store]:
    with (
        state_lock(options.state_dir, wait_seconds=LOCK_WAIT_SECONDS),
        Store.open(options.state_dir, now=options.now) as store,
    ):
        if store.moved_aside is not None:
            warn("store.damaged", moved_to=str(store.moved_aside), why="trials count anew")
        yield store


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


def _trial_sharpes(
    options: BacktestOptions,
    parameters: Mapping[str, str | float],
    simulation: Simulation,
    excess: FloatArray,
    warn: Callable[..., None],
) -> FloatArray:
    """Put this run on record, and return the Sharpe ratios of all runs there: shape (trials,).

    Per session, each scaled by the root of its length over this run's: what a run of this
    length would show at the same significance.

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
    with _store(options, warn) as store:
        store.trials.record(trial)
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
