"""How every run that may trade begins and ends: record, clock, account, lock.

The order matters. The run is on record before the broker is asked anything, so that one which
dies is seen; the broker's clock says whether there is anything to do; the account is checked
before the store is changed; signals are computed before the lock is taken.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from swingtrader.adapters.lock import state_lock
from swingtrader.adapters.store import Store
from swingtrader.commands.account_binding import bind_account
from swingtrader.commands.run_report import skipped_report
from swingtrader.commands.trading_run import TradingRun, log
from swingtrader.core.new_york import session_at
from swingtrader.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date, datetime

    from swingtrader.commands.data_pull import Feed
    from swingtrader.config import Strategy
    from swingtrader.core.portfolio import MarketClock
    from swingtrader.environment import BrokerSettings, Places
    from swingtrader.ports import Broker

LOCK_WAIT_SECONDS = 20.0

LARGEST_SKEW = timedelta(seconds=60)

MARKET_CLOSED = "market_closed"
TIMERS_OFF = "timers_off"


class Connect(Protocol):
    """Opens the way to the broker."""

    def broker(self) -> Broker:
        """Account and orders."""

    def data(self, asof: datetime) -> Feed:
        """Prices and bars, as of the run's one instant."""


@dataclass(frozen=True)
class Launch:
    """What the command line hands to a run.

    Attributes
    ----------
    started_at : datetime
        Local, aware. Dates the record of a run that never reached the broker, and is compared
        with the broker's clock; nothing else.
    pause : callable
        Waits so many seconds.
    elapsed_seconds : callable
        Seconds that have passed, from any beginning.
    exit_code_of : callable
        The contract's exit code of an error.
    lock_wait_seconds : float
        For another run to end; a later one of our own will do what this one could not.
    """

    command: str
    run_id: str
    started_at: datetime
    places: Places
    settings: BrokerSettings
    connect: Connect
    pause: Callable[[float], None]
    elapsed_seconds: Callable[[], float]
    exit_code_of: Callable[[BaseException], int]
    lock_wait_seconds: float = LOCK_WAIT_SECONDS


@contextmanager
def recorded(store: Store, launch: Launch) -> Iterator[dict[str, Any]]:
    """Keep a record of the run around the block, whatever becomes of it.

    Yields
    ------
    dict
        To be filled with the report; what it holds at the end is stored.
    """
    structlog.contextvars.bind_contextvars(run_id=launch.run_id, command=launch.command)
    store.runs.start(launch.run_id, launch.command, str(launch.settings.mode), launch.started_at)
    report: dict[str, Any] = {}
    exit_code = 0
    try:
        yield report
    except BaseException as error:
        exit_code = launch.exit_code_of(error)
        raise
    finally:
        store.runs.finish(
            launch.run_id,
            launch.started_at,
            exit_code,
            report if "orders" in report else None,
            report.get("skipped"),
            report.get("warnings", ()),
        )
        structlog.contextvars.unbind_contextvars("run_id", "command")


def broker_clock(launch: Launch, broker: Broker) -> MarketClock:
    """Read the broker's clock, the run's one `now`.

    Raises
    ------
    ConfigurationError
        This machine's clock is more than a minute off: timers would fire at the wrong time.
    """
    clock = broker.clock()
    skew = abs(launch.started_at - clock.at)
    if not launch.settings.is_rehearsal and skew > LARGEST_SKEW:
        raise ConfigurationError(
            f"this machine's clock is {skew.total_seconds():.0f} s off the broker's; nothing is "
            "traded until it is set (timedatectl set-ntp true)"
        )
    return clock


def met(launch: Launch, store: Store, broker: Broker) -> tuple[MarketClock, date]:
    """Read the run's one `now` and its session, note both, and see that the account is ours.

    Raises
    ------
    ConfigurationError, CredentialsRefused, BrokerError
        As by their classes.
    """
    clock = broker_clock(launch, broker)
    session = session_at(clock)
    store.runs.saw_clock(launch.run_id, clock, session)
    bind_account(store, broker, launch.settings, clock, session)
    return clock, session


def trade(
    launch: Launch,
    strategy: Strategy,
    prepare: Callable[[Store, MarketClock, date, Feed, list[str]], Any],
    act: Callable[[TradingRun, Any], dict[str, Any]],
) -> dict[str, Any]:
    """Run one trading command and return its report.

    Parameters
    ----------
    prepare : callable
        Computes what needs no lock: store, clock, session, data and the run's warnings to its
        outcome.
    act : callable
        Trades, in the lock, with that outcome.

    Raises
    ------
    ConfigurationError, CredentialsRefused, BrokerError, LockHeld
        As by their classes. When orders or positions could not be made sure of, everything else
        was still done and the report is stored.
    """
    with (
        Store.open(launch.places.state_dir, now=launch.started_at) as store,
        recorded(store, launch) as report,
    ):
        warnings = about_the_store(store)
        broker = launch.connect.broker()
        began = launch.elapsed_seconds()
        clock, session = met(launch, store, broker)
        if not clock.is_open:
            log.info("run.skipped", why=MARKET_CLOSED, next_open=clock.next_open.isoformat())
            mode = launch.settings.mode
            report.update(
                skipped_report(
                    store, launch.run_id, launch.command, mode, MARKET_CLOSED, clock, session
                ),
                warnings=warnings,
            )
            return report
        data = launch.connect.data(clock.at)
        prepared = prepare(store, clock, session, data, warnings)
        with state_lock(launch.places.state_dir, wait_seconds=launch.lock_wait_seconds):
            run = TradingRun(
                command=launch.command,
                run_id=launch.run_id,
                mode=launch.settings.mode,
                clock=clock,
                session=session,
                broker=broker,
                data=data,
                store=store,
                policy=strategy.policy,
                unmanaged=frozenset(strategy.unmanaged),
                pause=launch.pause,
                elapsed_seconds=lambda: launch.elapsed_seconds() - began,
                warnings=warnings,
            )
            try:
                report.update(act(run, prepared))
            finally:
                report["warnings"] = run.warnings
        if run.failures:
            raise run.failures[0]
        return report


def about_the_store(store: Store) -> list[str]:
    """Warn of a database that was found damaged when it was opened."""
    if store.moved_aside is None:
        return []
    log.error("store.damaged", moved_aside=str(store.moved_aside))
    name = store.moved_aside.name
    return [f"the state database was damaged and is now {name}; it is rebuilt from the broker"]
