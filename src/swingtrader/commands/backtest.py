"""``swingtrader backtest``: the whole pipeline over a file of daily bars.

Gathers bars, models and signals, lets `core.simulate` take the live decisions session by
session, and judges the outcome. The files appear as a whole or not at all.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.adapters.model_cache import ModelCache
from swingtrader.commands.backtest_files import write_files
from swingtrader.commands.backtest_inputs import gathered_inputs
from swingtrader.commands.backtest_judgement import judged
from swingtrader.commands.backtest_store import ready_store
from swingtrader.commands.walk_forward import known_at_opens, walk_forward
from swingtrader.commands.walk_forward_agents import (
    Heard,
    agent_trainings,
    agents_trainer,
    hear_agents,
)
from swingtrader.core.arrays import frozen
from swingtrader.core.policy import SIGNALS
from swingtrader.core.simulate import IntradaySession, simulate
from swingtrader.core.vote import without_signal
from swingtrader.core.walkforward import weekly_retrainings
from swingtrader.errors import UsageError
from swingtrader.files import OutputDirectory

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from swingtrader.adapters.intraday import IntradayBars
    from swingtrader.commands.backtest_inputs import BacktestOptions, Gathered, Progress
    from swingtrader.commands.walk_forward import Opinions
    from swingtrader.config import Strategy
    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.result import BacktestResult
    from swingtrader.core.signals import MarketView
    from swingtrader.core.simulate import Known, Simulation


def run_backtest(
    options: BacktestOptions, strategy: Strategy, progress: Progress
) -> BacktestResult:
    """Run one backtest and write its files.

    Raises
    ------
    UsageError
        The dates are in the wrong order, or the cash is not positive.
    DataError
        A file cannot be used, or its history is too short.
    ConfigurationError
        A directory cannot be written to.
    LockHeld
        Another run is writing to the store.
    """
    _check_usage(options)
    ready_store(options, warn=progress.warn)
    with OutputDirectory(options.out) as directory:
        gathered = gathered_inputs(options, strategy, progress)
        cache = ModelCache(options.models_dir / "walk-forward")
        opinions = _opinions(options, gathered, cache, progress)
        heard = _heard(options, strategy, gathered, opinions, cache, progress)
        known = known_at_opens(gathered.view, opinions, gathered.sentiment, heard.signal)
        simulation, without = _simulations(options, strategy, gathered, known, progress)
        done = progress.phase("Judging and writing the report")
        result = judged(
            options, strategy, gathered, known, heard, simulation, without, warn=progress.warn
        )
        write_files(directory, result, simulation, gathered.view, known.signals)
        done(1)
    return result


def _check_usage(options: BacktestOptions) -> None:
    if options.start and options.end and options.start > options.end:
        raise UsageError(f"--start {options.start} lies after --end {options.end}")
    if not (math.isfinite(options.cash_usd) and options.cash_usd > 0):
        raise UsageError(f"--cash must be a positive number of dollars, not {options.cash_usd:g}")


def _opinions(
    options: BacktestOptions, gathered: Gathered, cache: ModelCache, progress: Progress
) -> Opinions:
    retrainings = weekly_retrainings(gathered.view.stocks.sessions, gathered.rows)
    opinions = walk_forward(
        gathered.view,
        gathered.labels,
        gathered.usable,
        retrainings,
        cache=cache,
        seed=options.seed,
        progress=progress.phase("Training models", len(retrainings)),
    )
    if cache.damaged:
        progress.warn("models.damaged", files=cache.damaged, why="they were trained anew")
    return opinions


def _heard(
    options: BacktestOptions,
    strategy: Strategy,
    gathered: Gathered,
    opinions: Opinions,
    cache: ModelCache,
    progress: Progress,
) -> Heard:
    """Train agents and let them speak, if they are asked for."""
    trainings = agent_trainings(gathered.view.stocks.sessions, gathered.rows, options.rl)
    if not trainings:
        return Heard(frozen(np.full(gathered.view.stocks.close.shape, np.nan)), (), ())
    train = agents_trainer(
        gathered.view,
        strategy.costs,
        seed=options.seed,
        timesteps=options.rl_timesteps,
        cache=cache,
    )
    heard = hear_agents(gathered.view, opinions, trainings, train, progress)
    if heard.silences:
        progress.warn("agents.absent", why=f"no view {heard.silence}")
    return heard


def _simulations(
    options: BacktestOptions,
    strategy: Strategy,
    gathered: Gathered,
    known: Known,
    progress: Progress,
) -> tuple[Simulation, dict[str, Simulation]]:
    """Simulate with all signals, then with each present one left out."""
    intraday = None
    if gathered.intraday is not None:
        intraday = _intraday_prices(gathered.intraday, gathered.view)

    def run(knowing: Known, told: Callable[[int], None] | None = None) -> Simulation:
        return simulate(
            gathered.view.stocks,
            knowing,
            strategy.policy,
            strategy.costs,
            cash_usd=options.cash_usd,
            rows=gathered.rows,
            intraday=intraday,
            progress=told,
        )

    simulation = run(known, progress.phase("Trading", len(gathered.rows)))
    present = present_signals(known.signals, gathered.rows)
    done = progress.phase("Leaving each signal out", len(present))
    without: dict[str, Simulation] = {}
    for number, name in enumerate(present, start=1):
        signals = frozen(without_signal(known.signals, name))
        without[name] = run(replace(known, signals=signals))
        done(number)
    return simulation, without


def present_signals(signals: FloatArray, rows: range) -> tuple[str, ...]:
    """Names of the signals, (T, 6, N), that any symbol had in `rows`."""
    served = signals[rows.start : rows.stop]
    return tuple(name for k, name in enumerate(SIGNALS) if np.isfinite(served[:, k]).any())


def _intraday_prices(
    bars: IntradayBars, view: MarketView
) -> Callable[[int], IntradaySession | None]:
    stocks = view.stocks
    days: list[date] = stocks.sessions.tolist()

    def session(row: int) -> IntradaySession | None:
        day = bars.session(days[row])
        if not len(day.minutes):
            return None
        price = np.full((len(day.minutes), len(stocks.symbols)), np.nan)
        for k, symbol in enumerate(day.symbols):
            column = stocks.column(symbol)
            if column is not None:
                price[:, column] = day.open[:, k]
        return IntradaySession(day.minutes, frozen(price))

    return session
