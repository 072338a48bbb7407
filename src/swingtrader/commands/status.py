"""``swingtrader status``: how things stand, from the store alone, or asked of the broker first.

Gathered without a lock, a model or numpy: it must answer at once, also while a run is under way.
It writes nothing, and does not even bind the account: that a run which trades finds the store
unbound is what tells it that the store was lost.

What needs a person is kept apart from what is merely worth a line: ``status --check`` runs
unattended, and one that always complains is soon ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swingtrader.commands.status_rows import (
    as_remembered,
    as_seen,
    halt_row,
    job_row,
    model_row,
    order_row,
    position_row,
    regime_row,
    worth_row,
)
from swingtrader.core.new_york import session_at
from swingtrader.core.orders import IntentState
from swingtrader.core.schedule import JOBS
from swingtrader.environment import Mode
from swingtrader.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import datetime

    from swingtrader.adapters.store import Store
    from swingtrader.commands.status_rows import Held
    from swingtrader.core.orders import BrokerOrder
    from swingtrader.core.portfolio import BrokerAccount, BrokerPosition, MarketClock

SOLD_SHORT = "is sold short"
BLOCKED = "trading is suspended in this account"
DAMAGED = "the state database was damaged"
UNSETTLED = "is unknown, and no run since has settled it"

_ALARMS = (SOLD_SHORT, BLOCKED, DAMAGED, UNSETTLED)
"""What marks a warning as in need of a person; the first and the third may come from a run."""

RANKER = "ranker"
MAXIMUM_AGE_DAYS = 21.0
"""Both those of ``live_signals``, which imports numpy; a test holds them together."""

_TRADING_COMMANDS = ("decide", "risk-check")


@dataclass(frozen=True)
class LiveView:
    """What the broker says now.

    Orders are to be read before positions: a stop that fills in between then has no position
    behind it, where the other way round a position would seem unprotected that is already sold.
    """

    clock: MarketClock
    account: BrokerAccount
    positions: tuple[BrokerPosition, ...]
    open_orders: tuple[BrokerOrder, ...]


def status_report(
    store: Store,
    *,
    mode: str,
    asof: datetime,
    live: LiveView | None = None,
    expects_timers: bool = True,
) -> dict[str, Any]:
    """Gather the object of ``status --json``.

    Parameters
    ----------
    store : Store
    mode : str
        As the environment says.
    asof : datetime
        Local, aware: what ages are counted to, and what the timers' times are compared with.
    live : LiveView, optional
        The broker's word, which then stands for market, account, positions and open orders.
    expects_timers : bool
        Whether timers are to fire the jobs; if not, a run that did not come is no news.

    Returns
    -------
    dict
        Every key, always; None is unknown. Instants are ISO text in UTC, sessions ISO dates.

    Raises
    ------
    ConfigurationError
        The broker's account is not the store's.
    """
    number = store.account.number()
    if live is not None:
        _refuse_stranger(number, live.account.number)
        number = live.account.number
    last_clock = store.runs.last_clock()
    seen_clock = None if last_clock is None else last_clock[0]
    clock = seen_clock if live is None else live.clock
    orders = store.orders.all() if live is None else live.open_orders
    orders_at = store.orders.seen_at() if live is None else live.clock.at
    last = store.runs.last_report(*_TRADING_COMMANDS)
    modes = {mode, mode if last is None else last.mode}
    report: dict[str, Any] = {
        "mode": mode,
        "account": number,
        "market": {
            "is_open": clock and clock.is_open,
            "asof": clock and clock.at.isoformat(),
            "next_open": clock and clock.next_open.isoformat(),
            "next_close": clock and clock.next_close.isoformat(),
        },
        "regime": regime_row(store, last_clock),
        "positions": [
            position_row(held, trades=modes != {Mode.DRY_RUN}) for held in _held(store, live)
        ],
        "open_orders": [order_row(order) for order in orders],
        "open_orders_at": orders_at and orders_at.isoformat(),
        "jobs": [
            job_row(store, name, asof, seen_clock, expects_timers=expects_timers) for name in JOBS
        ],
        "models": [model_row(model, asof) for model in store.models.all()],
        "signal_worth": [worth_row(row) for row in store.worth.latest()],
        "halts": [
            halt_row(halt)
            for halt in store.halts.active(None if live is None else session_at(live.clock))
        ],
    }
    stored = tuple(_stored_warnings(store))
    warnings = [
        *stored,
        *_about_the_mode(report, None if last is None else (last.command, last.mode)),
        *_about_the_regime(report["regime"], seen_clock),
        *_about_the_ranker(report["models"], stored),
        *_about_unsettled(store, seen_clock),
        *_about_the_broker(live),
        *_troubles(report),
        *_unprotected(report),
    ]
    if store.moved_aside is not None:
        warnings.append(f"{DAMAGED} and is now {store.moved_aside.name}")
    return {**report, "warnings": list(dict.fromkeys(warnings))}


def needs_person(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Why somebody should look, from a `status_report`; empty when nobody needs to.

    Any halt; a job that failed, hangs or did not come; a position without its stop where orders
    are sent; a short; an order whose outcome no run could find out; trading suspended by the
    broker; a damaged database.
    """
    return (
        *(f"halted: {halt['reason']}" for halt in report["halts"]),
        *_troubles(report),
        *_unprotected(report),
        *(line for line in report["warnings"] if any(alarm in line for alarm in _ALARMS)),
    )


def _refuse_stranger(stored: str | None, number: str) -> None:
    if stored is not None and stored != number:
        raise ConfigurationError(
            f"the store belongs to the account ending in {stored[-4:]}, the keys to the one "
            f"ending in {number[-4:]}; use the other keys, or a state directory of its own for "
            "each account"
        )


def _held(store: Store, live: LiveView | None) -> list[Held]:
    stored = store.positions.all()
    if live is None:
        return [as_remembered(position) for position in stored.values()]
    return [
        as_seen(position, live.open_orders, live.clock.at, stored.get(position.symbol))
        for position in sorted(live.positions, key=lambda each: each.symbol)
    ]


def _stored_warnings(store: Store) -> Iterator[str]:
    """Warnings of the last run of each command of a session that did anything.

    One under way has none yet, and one that met a closed market tells nothing of the day.
    """
    for command in ("regime", *_TRADING_COMMANDS):
        run = store.runs.last(command)
        if run is not None and (run.finished_at is None or run.skipped is not None):
            run = store.runs.last_report(command)
        if run is not None:
            yield from run.warnings


def _about_the_mode(report: Mapping[str, Any], last: tuple[str, str] | None) -> Iterator[str]:
    mode, count = report["mode"], len(report["positions"])
    if last is not None and last[1] != mode:
        yield f"the last {last[0]} ran in mode {last[1]}, and this environment says {mode}"
    elif mode == Mode.DRY_RUN and count:
        held = "1 position" if count == 1 else f"{count} positions"
        yield f"{held} held in a dry run: nothing is sold, and no stop placed"


def _about_the_regime(regime: Mapping[str, Any], clock: MarketClock | None) -> Iterator[str]:
    if regime["session"] is None and clock is not None:
        yield "no regime is stored: exposure is kept low until swingtrader regime has run"
    elif regime["stale"]:
        yield f"the regime is that of {regime['session']}; swingtrader regime has not run since"


def _about_the_ranker(
    models: Iterable[Mapping[str, Any]], stored: Collection[str]
) -> Iterator[str]:
    """Whether it is too old to buy by, unless the last `decide` has said so."""
    for model in models:
        named = f"{RANKER} {model['version']} is "
        too_old = model["family"] == RANKER and model["age_days"] > MAXIMUM_AGE_DAYS
        if too_old and not any(line.startswith(named) for line in stored):
            yield (
                f"{named}{model['age_days']:.1f} days old, more than {MAXIMUM_AGE_DAYS:g}: "
                "nothing will be bought until it is trained anew"
            )


def _about_unsettled(store: Store, clock: MarketClock | None) -> Iterator[str]:
    """Orders that a later run has not settled; of the one that is sending, nothing is said."""
    for intent in store.intents.unsettled():
        later_run = clock is not None and clock.at > intent.written_at
        if intent.state is IntentState.UNKNOWN and later_run:
            order = f"{intent.side} order of {intent.qty.normalize():f} shares"
            yield f"{intent.symbol}: whether the broker has the {order} {UNSETTLED}"


def _about_the_broker(live: LiveView | None) -> Iterator[str]:
    if live is None:
        return
    if live.account.blocked:
        yield f"{BLOCKED}; ask the broker why"
    for position in live.positions:
        if position.qty is not None and position.qty < 0:
            yield (
                f"{position.symbol} {SOLD_SHORT}: this program does not trade it; close it by hand"
            )


def _troubles(report: Mapping[str, Any]) -> Iterator[str]:
    for job in report["jobs"]:
        if job["trouble"] is not None:
            yield f"{job['name']} {job['trouble']}"


def _unprotected(report: Mapping[str, Any]) -> Iterator[str]:
    for position in report["positions"]:
        bare, held = position["unprotected_qty"], position["qty"]
        if bare:
            yield f"{position['symbol']}: {bare:.9g} of {held:.9g} shares have no resting stop"
