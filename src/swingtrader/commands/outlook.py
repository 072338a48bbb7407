"""What `decide` knows before it takes the lock: bars, models, headlines, signals.

Nothing here may keep exits from being looked at. What is missing or damaged is a warning, and
leaves its signal absent or blocks entries.

Headlines are asked about what is held as well, as the store knows it. Without bars they are not:
a position is not sold over headlines alone because a file is damaged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from swingtrader.adapters.bars import read_bars
from swingtrader.adapters.calendar import session_before
from swingtrader.commands.data_pull import PullOptions, pull
from swingtrader.commands.live_agents import serving_ensemble
from swingtrader.commands.live_sentiment import live_sentiment
from swingtrader.commands.live_signals import live_signals, ranker_halts, serving_ranker
from swingtrader.commands.live_snapshot import Outlook
from swingtrader.commands.news_sentiment import FAMILY as FINBERT
from swingtrader.commands.regime_filter import current_regime
from swingtrader.commands.regime_training import FAMILY as REGIME
from swingtrader.commands.served import note_served
from swingtrader.commands.trading_run import log
from swingtrader.core.sizing import TradeRecord
from swingtrader.errors import (
    BrokerError,
    ConfigurationError,
    CredentialsRefused,
    DataError,
)
from swingtrader.estimators.artifact import serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime

    from swingtrader.adapters.bars import Bars
    from swingtrader.adapters.store import Store
    from swingtrader.commands.data_pull import Feed
    from swingtrader.commands.live_signals import LiveSignals
    from swingtrader.config import Strategy
    from swingtrader.core.arrays import FloatArray
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
    ranker, said = serving_ranker(places.models_dir, asof=clock.at)
    warnings.extend(said)
    if ranker is not None:
        store.models.record(
            "ranker", ranker.version, ranker.created_at, clock.at, ranker.validation
        )
    agents, said = serving_ensemble(places.models_dir, asof=clock.at)
    warnings.extend(said)
    if agents is not None:
        note_served(store, agents.artifact, clock.at)
    halts = ranker_halts(ranker, clock.at)
    bars = _fresh_bars(places, strategy, clock, completed, data, warnings)
    if bars is None:
        return completed, Outlook(halts=halts)
    reading = current_regime(bars, strategy, places.models_dir, session=session)
    warnings.extend(reading.doubts)
    regime = serving(places.models_dir, REGIME).artifact
    if regime is not None:
        note_served(store, regime, clock.at)
    if reading.fitted_for is None:
        warnings.append("no regime is known: run swingtrader regime")
    p_high = reading.p_high_volatility
    listed = strategy.universe.tradable(bars.panel.symbols, listed_only=strategy.listed_only)
    others = tuple(store.positions.all().keys() - set(listed))
    sentiment = _sentiment(places, store, data, clock.at, (*listed, *others), warnings)
    try:
        signals = live_signals(
            bars,
            strategy,
            session=session,
            serving=ranker,
            p_high_volatility=p_high,
            sentiment=None if sentiment is None else sentiment[: len(listed)],
            ensemble=None if agents is None else agents.ensemble,
            p_high_path=reading.path,
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
        record=TradeRecord() if ranker is None else ranker.record_before(session),
        halts=halts,
        sentiment={}
        if sentiment is None
        else dict(zip(others, sentiment[len(listed) :].tolist(), strict=True)),
    )


def _sentiment(
    places: Places,
    store: Store,
    data: Feed,
    asof: datetime,
    symbols: tuple[str, ...],
    warnings: list[str],
) -> FloatArray | None:
    """Sentiment of each symbol; None where it is absent, and then the warnings say why."""
    found = serving(places.models_dir, FINBERT)
    warnings.extend(found.doubts)
    if found.artifact is None:
        warnings.append("no sentiment model serves: sentiment is absent")
        return None
    note_served(store, found.artifact, asof)
    return live_sentiment(symbols, found.artifact, store, data, asof, warnings)


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
    except (BrokerError, CredentialsRefused, ConfigurationError, DataError, OSError) as error:
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
