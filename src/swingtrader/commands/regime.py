"""``swingtrader regime``: the market's regime up to the last completed session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swingtrader.adapters.bars import read_bars
from swingtrader.adapters.store import Store
from swingtrader.commands.account_binding import bind_account
from swingtrader.commands.regime_filter import update_regime
from swingtrader.commands.run_report import regime_entry
from swingtrader.commands.trading_command import broker_clock, recorded, session_at
from swingtrader.errors import FileDataError

if TYPE_CHECKING:
    from swingtrader.commands.trading_command import Launch
    from swingtrader.config import Strategy


def read_regime_now(launch: Launch, strategy: Strategy) -> dict[str, Any]:
    """Filter forward, refit if a new week has begun, store, and tell.

    Raises
    ------
    DataError
        There are no bars, or too few.
    ConfigurationError, CredentialsRefused, BrokerError, LockHeld
        As by their classes.
    """
    with (
        Store.open(launch.places.state_dir, now=launch.started_at) as store,
        recorded(store, launch) as report,
    ):
        broker = launch.connect.broker()
        clock = broker_clock(launch, broker)
        session = session_at(clock)
        store.runs.saw_clock(launch.run_id, clock, session)
        bind_account(store, broker, launch.settings, clock, session)
        path = launch.places.bars_file
        if not path.exists():
            raise FileDataError(path, "is not there; run swingtrader data pull")
        bars = read_bars(path)
        reading = update_regime(bars, strategy, store, session=session, at=clock.at)
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
            warnings=list(bars.warnings),
        )
        return report
