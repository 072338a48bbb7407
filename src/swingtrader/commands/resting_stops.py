"""The stop that rests at the broker under every position, so that a dead machine leaves none bare.

A simple GTC stop of its own, placed once shares are there (ADR 10). The plan is made from what
the broker lists, never from what we remember having sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swingtrader.commands.reconciliation import is_unsettled
from swingtrader.commands.submission import new_intent, placed, withdrawn
from swingtrader.commands.trading_run import log
from swingtrader.core.orders import IntentState, Purpose
from swingtrader.core.protection import is_ours, planned_protection
from swingtrader.errors import BrokerUnreachable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from decimal import Decimal

    from swingtrader.commands.trading_run import TradingRun
    from swingtrader.core.orders import BrokerOrder
    from swingtrader.core.portfolio import BrokerPosition
    from swingtrader.core.protection import ProtectionPlan

RESIDENT_STOP = "resident_stop"
"""Reason of a protective order."""


def protect(
    run: TradingRun,
    positions: Sequence[BrokerPosition],
    open_orders: Sequence[BrokerOrder],
    prices: Mapping[str, Decimal],
    *,
    leave: Collection[str] = (),
) -> None:
    """Put a stop under every managed long position that lacks one, or has a wrong one.

    Parameters
    ----------
    prices : mapping
        Last confirmed prices, USD; the broker's own stands in for a missing one.
    leave : collection of str
        Symbols to pass over: in a dry run, those that the plan sells.
    """
    for position in positions:
        if position.symbol in run.unmanaged or position.symbol in leave:
            continue
        of_symbol = [order for order in open_orders if order.symbol == position.symbol]
        try:
            _protect_one(run, position, of_symbol, prices.get(position.symbol))
        except BrokerUnreachable as error:
            _not_sure(run, position.symbol, error)


def withdraw_orphans(
    run: TradingRun, positions: Sequence[BrokerPosition], open_orders: Sequence[BrokerOrder]
) -> None:
    """Cancel our stops on symbols that are no longer held: filled, they would open a short."""
    held = {position.symbol for position in positions}
    for order in open_orders:
        if is_ours(order) and order.symbol not in held:
            log.warning("protection.orphaned", symbol=order.symbol, order_id=order.id)
            withdrawn(run, order)


def protect_symbol(run: TradingRun, symbol: str) -> None:
    """Protect one position now, as after a fill."""
    try:
        open_orders = run.broker.open_orders()
        position = run.broker.position(symbol)
    except BrokerUnreachable as error:
        _not_sure(run, symbol, error)
        return
    if position is not None and position.qty is None:
        what = f"how much of {symbol} is held is missing or malformed"
        _not_sure(run, symbol, BrokerUnreachable("GET /v2/positions", what))
    elif position is not None:
        protect(run, [position], open_orders, {})


def _not_sure(run: TradingRun, symbol: str, error: BrokerUnreachable) -> None:
    run.fail(
        "protection.not_checked",
        f"{symbol}: whether a stop rests under it could not be made sure",
        error,
        symbol=symbol,
    )


def _protect_one(
    run: TradingRun,
    position: BrokerPosition,
    open_orders: list[BrokerOrder],
    price: Decimal | None,
) -> None:
    symbol = position.symbol
    # The market may have fallen since a price was confirmed, and takes no stop above itself.
    known = [each for each in (price, position.current_price) if each is not None]
    plan = planned_protection(
        position,
        open_orders,
        distance=run.policy.exits.resident_stop,
        last_price=min(known, default=None),
    )
    if plan.unprotected_qty > 0:
        run.warn(
            "position.unprotected",
            f"{symbol}: {plan.unprotected_qty.normalize():f} of its shares can have no resting "
            "stop (a fraction, or held by another order)",
            symbol=symbol,
            qty=str(plan.unprotected_qty),
        )
    if plan.satisfied:
        return
    if is_unsettled(run, symbol, "sell"):
        run.warn(
            "protection.blocked",
            f"{symbol}: no stop can be placed while the outcome of an earlier sale is unknown",
            symbol=symbol,
        )
        return
    if run.sends_orders and plan.cancel:
        if not all(withdrawn(run, order) is not None for order in plan.cancel):
            return
        # One of them may have filled on the way out.
        position_now = run.broker.position(symbol)
        if position_now is None or position_now.qty != position.qty:
            protect_symbol(run, symbol)
            return
    _place(run, symbol, plan)


def _place(run: TradingRun, symbol: str, plan: ProtectionPlan) -> None:
    if plan.place_qty <= 0 or plan.stop_price is None:
        return
    intent = new_intent(
        run,
        symbol,
        "sell",
        Purpose.PROTECTION,
        plan.place_qty,
        RESIDENT_STOP,
        stop_price=plan.stop_price,
    )
    if placed(run, intent).state is IntentState.REFUSED:
        run.warn(
            "protection.refused",
            f"{symbol}: has no resting stop; the next run tries again",
            symbol=symbol,
        )
