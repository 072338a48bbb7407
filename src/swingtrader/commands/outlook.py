"""What `decide` knows before it takes the lock: bars, models, signals.

Nothing here may keep exits from being looked at. What is missing or damaged is a warning, and
leaves its signal absent or blocks entries.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.adapters.bars import read_bars
from swingtrader.adapters.calendar import session_before
from swingtrader.commands.data_pull import PullOptions, pull
from swingtrader.commands.live_signals import live_signals, ranker_halts, serving_ranker
from swingtrader.commands.live_snapshot import Outlook
from swingtrader.commands.regime_filter import current_regime
from swingtrader.commands.trading_run import log
from swingtrader.core.sizing import TradeRecord
from swingtrader.errors import BrokerError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from swingtrader.adapters.bars import Bars
    from swingtrader.adapters.store import Store
    from swingtrader.commands.data_pull import Feed
    from swingtrader.commands.live_signals import LiveSignals
    from swingtrader.config import Strategy
    from swingtrader.core.portfolio import MarketClock
    from swingtrader.environment import Places


class NoProgress:
    """Where a run that nobody watches tells how far it is."""

    def phase(self, name: str, total: int = 1) -> Callable[[int], None]:
        """Begin a phase, silently."""
        log.debug("phase.begun", name=name, total=total)
        return lambda _done: None

    def warn(self, event: str, **facts: object) -> None:
        """Log what the person should know."""
        log.warning(event, **facts)


def outlook_of(
    places: Places,
    strategy: Strategy,
    store: Store,
    clock: MarketClock,
    session: date,
    data: Feed,
    warnings: list[str],
) -> tuple[date, Outlook]:
    """Everything `decide` may know of the past, and the last completed session."""
    completed = session_before(session)
    serving, said = serving_ranker(places.models_dir, asof=clock.at)
    warnings.extend(said)
    if serving is not None:
        store.models.record("ranker", serving.version, serving.created_at, clock.at)
    halts = ranker_halts(serving, clock.at)
    bars = _fresh_bars(places, strategy, clock, completed, data, warnings)
    if bars is None:
        return completed, Outlook(halts=halts)
    reading = current_regime(bars, strategy, store, session=session)
    if reading is None:
        warnings.append("no regime is known: run swingtrader regime")
    p_high = math.nan if reading is None else reading.p_high_volatility
    try:
        signals = live_signals(
            bars, strategy, session=session, serving=serving, p_high_volatility=p_high
        )
    except ValueError as error:
        warnings.append(f"{places.bars_file}: {error}; nothing will be bought")
        return completed, Outlook(p_high_volatility=p_high, halts=halts)
    ranges = _ranges(signals)
    if signals.complete:
        store.ranges.record(completed, ranges, clock.at)
    return completed, Outlook(
        signals=signals,
        atr_fractions=ranges if signals.complete else {},
        p_high_volatility=p_high,
        record=TradeRecord() if serving is None else serving.record_before(session),
        halts=halts,
    )


def _ranges(signals: LiveSignals) -> dict[str, float]:
    known = np.flatnonzero(np.isfinite(signals.atr_fraction)).tolist()
    return {signals.symbols[n]: float(signals.atr_fraction[n]) for n in known}


def _fresh_bars(
    places: Places,
    strategy: Strategy,
    clock: MarketClock,
    completed: date,
    data: Feed,
    warnings: list[str],
) -> Bars | None:
    """Bars of the cache, brought up to date first where they end too early."""
    bars = _read(places, warnings)
    if bars is not None and bars.panel.sessions[-1].item() >= completed:
        return bars
    log.info("bars.behind", completed=completed.isoformat())
    options = PullOptions(
        data_dir=places.data_dir, clock=clock, sessions=None, news_days=0, symbols=()
    )
    try:
        pull(options, strategy, data, NoProgress())
    except (BrokerError, DataError) as error:
        warnings.append(f"bars could not be brought up to date ({error}): nothing will be bought")
        return bars
    return _read(places, warnings)


def _read(places: Places, warnings: list[str]) -> Bars | None:
    if not places.bars_file.exists():
        return None
    try:
        return read_bars(places.bars_file)
    except DataError as error:
        sentence = f"{error}; run swingtrader data pull"
        if sentence not in warnings:
            warnings.append(sentence)
        return None
