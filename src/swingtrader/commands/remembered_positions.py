"""What is remembered of each position, kept in step with what the broker holds.

The broker wins every difference. What it does not tell (entry session, high-water mark, misses)
is carried over, or rebuilt from the account's fills where the store has lost it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from swingtrader.commands.account_view import FIRST_LOOK
from swingtrader.commands.trading_run import log
from swingtrader.core.new_york import new_york_date
from swingtrader.core.protection import planned_protection
from swingtrader.core.tracking import entry_session_of, tracked_positions
from swingtrader.errors import BrokerUnreachable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from swingtrader.commands.account_view import AccountView
    from swingtrader.commands.trading_run import TradingRun
    from swingtrader.core.portfolio import (
        BrokerPosition,
        Execution,
        ShareSplit,
        TrackedPosition,
    )

LONGEST_LOOK = timedelta(days=1100)
"""How far back fills are asked for before a position's age is given up as unknown."""


def remembered(run: TradingRun, view: AccountView) -> dict[str, TrackedPosition]:
    """Bring the store's positions, fills and open orders in step with the broker, at once.

    Returns
    -------
    dict
        Every readable long position by symbol, unmanaged ones included.
    """
    stored = run.store.positions.all()
    tracking = tracked_positions(
        stored,
        view.positions,
        view.activities,
        session=run.session,
        session_of=new_york_date,
        entry_sessions=_entry_sessions(run, view, stored),
        unmanaged=run.unmanaged,
    )
    for change in tracking.changes:
        log.info(
            f"position.{change.what}",
            symbol=change.symbol,
            old_qty=str(change.old_qty),
            new_qty=str(change.new_qty),
        )
        if change.what == "unexplained":
            run.warn(
                "position.marks_reset",
                f"{change.symbol}: its shares changed from {change.old_qty} to {change.new_qty} "
                "without a fill or a split; its high-water mark starts anew",
                symbol=change.symbol,
            )
    for symbol in sorted(view.shorts):
        run.warn(
            "position.short",
            f"{symbol} is sold short: this program does not trade it; close it by hand",
            symbol=symbol,
        )
    for symbol in sorted(view.unreadable):
        run.warn(
            "position.unreadable",
            f"{symbol}: the broker states no quantity; nothing is done about it in this run",
            symbol=symbol,
        )
    for symbol, position in tracking.positions.items():
        if position.managed and not position.entry_price:
            run.warn(
                "position.without_entry_price",
                f"{symbol}: the broker states no entry price: it is not sold for its price",
                symbol=symbol,
            )
    if view.account.blocked:
        run.warn(
            "account.blocked",
            "trading is suspended at the broker: nothing is bought, and sales may be refused",
        )
    positions = {
        symbol: _with_resting_stop(run, view, position)
        for symbol, position in tracking.positions.items()
    }
    remembered_too = (*positions.values(), *tracking.kept.values())
    run.store.observe(remembered_too, view.open_orders, view.activities, run.clock.at)
    return positions


def _with_resting_stop(
    run: TradingRun, view: AccountView, position: TrackedPosition
) -> TrackedPosition:
    broker = next(p for p in view.positions if p.symbol == position.symbol)
    plan = planned_protection(
        broker,
        view.open_orders_of(position.symbol),
        distance=run.policy.exits.resident_stop,
        last_price=broker.current_price,
    )
    return replace(position, resting_qty=plan.resting_qty, resting_stop=plan.resting_stop)


def _entry_sessions(
    run: TradingRun, view: AccountView, stored: Mapping[str, TrackedPosition]
) -> dict[str, date]:
    """Entry sessions of the positions that the store does not know."""
    found: dict[str, date] = {}
    strangers = [
        p for p in view.positions if p.qty is not None and p.qty > 0 and p.symbol not in stored
    ]
    wanting = [p for p in strangers if not _found(found, p, view.activities)]
    for look in (FIRST_LOOK, LONGEST_LOOK):
        if not wanting:
            break
        try:
            history = run.broker.activities_since(run.clock.at - look)
        except BrokerUnreachable as error:
            run.fail("fills.not_read", "the account's older fills could not be read", error)
            break
        wanting = [p for p in wanting if not _found(found, p, history)]
    for position in wanting:
        run.warn(
            "position.age_unknown",
            f"{position.symbol}: no fill explains its shares; it counts as entered this session",
            symbol=position.symbol,
        )
        found[position.symbol] = run.session
    return found


def _found(
    found: dict[str, date],
    position: BrokerPosition,
    activities: tuple[Execution | ShareSplit, ...],
) -> bool:
    if position.qty is None:
        return False
    session = entry_session_of(position.symbol, position.qty, activities, new_york_date)
    if session is not None:
        found[position.symbol] = session
    return session is not None
