"""Replacing an order: a successor with a new id waits until it can take the old one's place.

The answer 200 is no guarantee: until then the old order may fill, and the successor with it comes
to nothing. A successor's quantity is the total wanted, of which the predecessor's fills are
taken off. Exits of a group keep their quantity, which is the position's.
"""

from __future__ import annotations

from dataclasses import replace as with_fields
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from swingtrader.simulator import admission
from swingtrader.simulator.errors import malformed, unprocessable
from swingtrader.simulator.floor import Step
from swingtrader.simulator.matching import trailing_stop_price
from swingtrader.simulator.order_entry import expires_at
from swingtrader.simulator.orders import OrderType, Role, Status, TimeInForce
from swingtrader.simulator.tickets import choice, client_order_id, positive, priced

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swingtrader.simulator.floor import Floor
    from swingtrader.simulator.orders import Order

REPLACEABLE = frozenset({Status.NEW, Status.PARTIALLY_FILLED, Status.HELD})

_FIELDS_OF = {
    OrderType.MARKET: frozenset[str](),
    OrderType.LIMIT: frozenset({"limit_price"}),
    OrderType.STOP: frozenset({"stop_price"}),
    OrderType.STOP_LIMIT: frozenset({"limit_price", "stop_price"}),
    OrderType.TRAILING_STOP: frozenset({"trail"}),
}


def replace(floor: Floor, order_id: str, body: Any) -> Order:
    """Ask for a replacement, as PATCH /orders/{id} does.

    Returns
    -------
    Order
        The successor, `pending_new`.

    Raises
    ------
    RefusalError
        404: no such order. 422: it cannot be replaced in its state, or not so. 403: shares or
        buying power do not suffice for the larger quantity.
    """
    old = floor.book[order_id]
    _check_replaceable(old)
    if not isinstance(body, dict) or not body:
        raise malformed("at least one field to replace is required")
    changes = _changes(old, body)
    order_ids = floor.book.new_ids(client_order_id(body))
    price = floor.price(old.symbol)
    if "time_in_force" in changes:
        changes["expires_at"] = expires_at(floor, changes["time_in_force"])
    successor = with_fields(
        old,
        **changes,
        id=order_ids[0],
        client_order_id=order_ids[1],
        sequence=order_ids[2],
        status=Status.PENDING_NEW,
        live=False,
        created_at=floor.now,
        updated_at=floor.now,
        replaces=old.id,
        filled_qty=Decimal(0),
        filled_value=Decimal(0),
        filled_at=None,
    )
    if successor.type is OrderType.TRAILING_STOP and successor.hwm is not None:
        stop = trailing_stop_price(successor, successor.hwm)
        successor = with_fields(successor, stop_price=stop)
    if "stop_price" in changes:
        admission.check_stop(old.side, old.type, successor.stop_price, price)
    successor = _with_means(floor, old, successor)
    floor.book.add(successor)
    floor.book.change(old, floor.now, status=Status.PENDING_REPLACE)
    floor.schedule(Step.REPLACE, successor, floor.settings.replace_latency)
    return successor


def _check_replaceable(old: Order) -> None:
    if not old.is_open:
        raise unprocessable(f'order is already in "{old.status}" state')
    if old.status not in REPLACEABLE or not old.live:
        raise unprocessable(f"cannot replace order in {old.status} status")
    if old.notional is not None:
        raise unprocessable("cannot replace notional orders")


def _changes(old: Order, body: Mapping[str, Any]) -> dict[str, Any]:
    prices = {name for name in ("limit_price", "stop_price", "trail") if body.get(name)}
    for name in sorted(prices - _FIELDS_OF[old.type]):
        raise unprocessable(f"{old.type} orders must not have {name}")
    changes: dict[str, Any] = {name: priced(body, name) for name in prices - {"trail"}}
    if "trail" in prices:
        by_price = old.trail_price is not None
        field = "trail_price" if by_price else "trail_percent"
        changes[field] = priced(body, "trail") if by_price else positive(body, "trail", 9)
    qty = positive(body, "qty", 0)
    if qty is not None:
        if qty <= old.filled_qty:
            raise unprocessable("qty must be above what is filled already")
        if old.role in {Role.TAKE_PROFIT, Role.STOP_LOSS} and qty != old.qty:
            raise unprocessable("qty of a leg cannot be replaced")
        changes["qty"] = qty
    if body.get("time_in_force"):
        changes["time_in_force"] = choice(body, "time_in_force", TimeInForce)
    return changes


def _with_means(floor: Floor, old: Order, successor: Order) -> Order:
    """Check that shares or money suffice, and reserve at the new price."""
    total, before = successor.qty or Decimal(0), old.qty or Decimal(0)
    if not old.opening:
        if total > before:
            admission.check_free_shares(floor, old.symbol, old.side, total - before)
        return successor
    asked = successor.limit_price or successor.stop_price or old.reserve_price
    admission.check_buying_power(floor, (total - old.filled_qty) * asked - old.reserved)
    return with_fields(successor, reserve_price=asked)
