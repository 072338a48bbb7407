"""Order entry: submitting, cancelling and closing.

Everything takes effect in two steps: an order sent out is `pending_new` before it is `new`, a
cancellation `pending_cancel` before `canceled`, and in between an order may fill.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from swingtrader.simulator import admission
from swingtrader.simulator.clock import eastern_day, eastern_instant
from swingtrader.simulator.errors import (
    RefusalError,
    forbidden,
    malformed,
    not_found,
    unprocessable,
)
from swingtrader.simulator.floor import Step
from swingtrader.simulator.matching import trailing_stop_price
from swingtrader.simulator.orders import (
    Order,
    OrderClass,
    OrderType,
    Role,
    Side,
    Status,
    TimeInForce,
)
from swingtrader.simulator.tickets import read_ticket
from swingtrader.simulator.wire_text import decimal_text

if TYPE_CHECKING:
    from datetime import datetime

    from swingtrader.simulator.floor import Floor
    from swingtrader.simulator.tickets import Ticket

NOTHING = Decimal(0)
SHARE_QUANTUM = Decimal("0.000000001")
GTC_LIFE = timedelta(days=90)


def submit(floor: Floor, body: Any) -> Order:
    """Take an order, as POST /orders does.

    Returns
    -------
    Order
        `pending_new`, or `accepted` where the market is closed; its legs are in the book.

    Raises
    ------
    RefusalError
        The ticket is malformed, or one of the checks of `admission` refuses it.
    """
    ticket = read_ticket(body)
    ids = floor.book.new_ids(ticket.client_order_id)
    if floor.suspend_trade:
        raise forbidden("trading is suspended for this account")
    price = floor.price(ticket.symbol)
    admission.check_asset(floor, ticket)
    admission.check_auction_window(floor, ticket.time_in_force)
    admission.check_stop(ticket.side, ticket.type, ticket.stop_price, price)
    admission.check_exits(ticket, price)
    admission.check_wash_trade(floor, ticket)
    opening = admission.check_shares(floor, ticket)

    order = _order(floor, ticket, ids)
    if order.type is OrderType.TRAILING_STOP:
        order = replace(order, hwm=price, stop_price=trailing_stop_price(order, price))
    if opening:
        reserve_price = admission.reserve_price(floor, ticket, order.stop_price)
        admission.check_money(floor, ticket, reserve_price)
        order = replace(order, opening=True, reserve_price=reserve_price)
    floor.book.add(order)
    _add_legs(floor, order, ticket)
    if order.status is Status.PENDING_NEW:
        floor.schedule(Step.ACTIVATE, order, floor.settings.order_latency)
    return order


def expires_at(floor: Floor, time_in_force: TimeInForce) -> datetime:
    """When an order that is taken now ends by itself."""
    if time_in_force is TimeInForce.GTC:
        return eastern_instant(eastern_day(floor.now) + GTC_LIFE, 16, 15)
    if time_in_force is TimeInForce.OPG:
        return floor.timetable.next_open(floor.now)
    return floor.timetable.next_close(floor.now)


def cancel(floor: Floor, order_id: str) -> Order:
    """Ask for a cancellation, as DELETE /orders/{id} does.

    Raises
    ------
    RefusalError
        404: no such order. 422: it is over, or its cancellation is already under way.
    """
    order = floor.book[order_id]
    if not order.is_open or order.status is Status.PENDING_CANCEL:
        raise unprocessable(f'order is already in "{order.status}" state')
    order = floor.book.change(order, floor.now, status=Status.PENDING_CANCEL)
    floor.schedule(Step.CANCEL, order, floor.settings.cancel_latency)
    return order


def cancel_all(floor: Floor) -> list[Order]:
    """Ask for the cancellation of everything, one order a group: the rest goes with it."""
    first_of_group = {order.group_id: order for order in reversed(floor.book.open_orders())}
    return [
        cancel(floor, order.id)
        for order in sorted(first_of_group.values(), key=lambda order: order.sequence)
        if order.status is not Status.PENDING_CANCEL
    ]


def close_position(
    floor: Floor, symbol: str, *, qty: Decimal | None = None, percentage: Decimal | None = None
) -> Order:
    """Sell what is held at market, or cover it; the client_order_id is ours.

    Parameters
    ----------
    floor : Floor
    symbol : str
    qty : Decimal, optional
        Shares; everything by default.
    percentage : Decimal, optional
        Above 0, at most 100, of the position.

    Raises
    ------
    RefusalError
        404: nothing is held. 403: other orders hold the shares. 422: malformed.
    """
    position = floor.account.position(symbol)
    if position is None:
        raise not_found("position does not exist")
    if qty is not None and percentage is not None:
        raise malformed("only one of qty and percentage may be given")
    if percentage is not None and not 0 < percentage <= 100:
        raise malformed("percentage must be above 0 and at most 100")
    held = abs(position.qty)
    if percentage is not None:
        qty = (held * percentage / 100).quantize(SHARE_QUANTUM)
    return submit(
        floor,
        {
            "symbol": symbol,
            "qty": decimal_text(held if qty is None else qty),
            "side": Side.SELL if position.qty > 0 else Side.BUY,
            "type": "market",
            "time_in_force": "day",
        },
    )


def close_all_positions(
    floor: Floor, *, cancel_orders: bool
) -> list[tuple[str, Order | RefusalError]]:
    """Close everything; with `cancel_orders` all orders end first, at once.

    Returns
    -------
    list of (symbol, order or refusal)
    """
    if cancel_orders:
        for order in floor.book.open_orders():
            floor.cancel_group(order)
    closed: list[tuple[str, Order | RefusalError]] = []
    for position in floor.account.positions():
        try:
            closed.append((position.symbol, close_position(floor, position.symbol)))
        except RefusalError as refusal:
            closed.append((position.symbol, refusal))
    return closed


def _order(floor: Floor, ticket: Ticket, ids: tuple[str, str, int]) -> Order:
    order_id, client_id, sequence = ids
    is_oco = ticket.order_class is OrderClass.OCO
    goes_out = floor.timetable.is_open(floor.now) and ticket.time_in_force is not TimeInForce.OPG
    return Order(
        id=order_id,
        client_order_id=client_id,
        sequence=sequence,
        symbol=ticket.symbol,
        side=ticket.side,
        type=ticket.type,
        time_in_force=ticket.time_in_force,
        status=Status.PENDING_NEW if goes_out else Status.ACCEPTED,
        created_at=floor.now,
        updated_at=floor.now,
        qty=ticket.qty,
        notional=ticket.notional,
        limit_price=ticket.take_profit_limit if is_oco else ticket.limit_price,
        stop_price=ticket.stop_price,
        trail_price=ticket.trail_price,
        trail_percent=ticket.trail_percent,
        extended_hours=ticket.extended_hours,
        order_class=ticket.order_class,
        role=Role.ALONE if ticket.order_class is OrderClass.SIMPLE else Role.PARENT,
        group_id=order_id,
        expires_at=expires_at(floor, ticket.time_in_force),
    )


def _add_legs(floor: Floor, parent: Order, ticket: Ticket) -> None:
    is_oco = parent.order_class is OrderClass.OCO
    if ticket.take_profit_limit is not None and not is_oco:
        _add_leg(
            floor, parent,
            type=OrderType.LIMIT, role=Role.TAKE_PROFIT, limit_price=ticket.take_profit_limit,
        )  # fmt: skip
    if ticket.stop_loss_stop is not None:
        limit = ticket.stop_loss_limit
        _add_leg(
            floor, parent,
            type=OrderType.STOP if limit is None else OrderType.STOP_LIMIT,
            role=Role.STOP_LOSS,
            side=parent.side if is_oco else parent.side.opposite,
            stop_price=ticket.stop_loss_stop, limit_price=limit, live=is_oco,
        )  # fmt: skip


def _add_leg(floor: Floor, parent: Order, **fields: Any) -> None:
    order_id, client_id, sequence = floor.book.new_ids(None)
    unlike_parent = {
        "id": order_id,
        "client_order_id": client_id,
        "sequence": sequence,
        "status": Status.HELD,
        "side": parent.side.opposite,
        "limit_price": None,
        "stop_price": None,
        "live": False,
        "opening": False,
        "reserve_price": NOTHING,
    }
    floor.book.add(replace(parent, **{**unlike_parent, **fields}))
