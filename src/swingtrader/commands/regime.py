"""``swingtrader regime``: the market's regime up to the last completed session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from swingtrader.adapters.bars import read_bars
from swingtrader.adapters.calendar import session_before
from swingtrader.adapters.store import Store
from swingtrader.commands.regime_filter import update_regime
from swingtrader.commands.run_report import regime_entry
from swingtrader.commands.trading_command import (
    about_the_store,
    met,
    recorded,
)
from swingtrader.core.factors import average_true_range_fraction
from swingtrader.errors import FileDataError

if TYPE_CHECKING:
    from datetime import date, datetime

    from swingtrader.adapters.bars import Bars
    from swingtrader.commands.trading_command import Launch
    from swingtrader.config import Strategy


def read_regime_now(launch: Launch, strategy: Strategy) -> dict[str, Any]:
    """Filter forward, refit if a new week has begun, store, and tell.

    Raises
    ------
    DataError
        There are no bars.
    ConfigurationError, CredentialsRefused, BrokerError, LockHeld
        As by their classes.
    """
    with (
        Store.open(launch.places.state_dir, now=launch.started_at) as store,
        recorded(store, launch) as report,
    ):
        report["warnings"] = about_the_store(store)
        clock, session = met(launch, store, launch.connect.broker())
        path = launch.places.bars_file
        if not path.exists():
            raise FileDataError(path, "is not there; run swingtrader data pull")
        bars = read_bars(path)
        _record_ranges(store, bars, session_before(session), clock.at)
        models_dir = launch.places.models_dir
        reading = update_regime(bars, strategy, store, models_dir, session=session, at=clock.at)
        report.update(
            run_id=launch.run_id,
            command=launch.command,
            mode=str(launch.settings.mode),
            asof=clock.at.isoformat(),
            session=session.isoformat(),
            market_open=clock.is_open,
            regime=regime_entry(reading.p_high_volatility),
            refitted=reading.refitted,
            skipped=None,
            warnings=[*report.pop("warnings"), *bars.warnings, *reading.doubts],
        )
        if reading.fitted_for is None:
            report["warnings"].append("the bars are too few to fit a model: no regime is known")
        return report


def _record_ranges(store: Store, bars: Bars, completed: date, at: datetime) -> None:
    """Leave each symbol's ATR where the risk check finds it, which reads no bars."""
    row = np.searchsorted(bars.panel.sessions, np.datetime64(completed, "D"))
    if row == len(bars.panel.sessions):
        return
    fractions = average_true_range_fraction(bars.panel.rows(0, int(row) + 1))[-1]
    store.ranges.record(
        completed, dict(zip(bars.panel.symbols, fractions.tolist(), strict=True)), at
    )
