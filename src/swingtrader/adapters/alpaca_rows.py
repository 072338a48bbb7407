"""Rows of the account's JSON as values of the core.

Choices. Only the fields that we use are read, each for itself: a null in one stops what needs
it and nothing else. A row that lacks what identifies it makes the whole answer unusable, since
nobody can say what else is wrong with it. `asked` is the request that the row answers, for that
error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from swingtrader.adapters.alpaca_fields import (
    day,
    decimal,
    flag,
    instant,
    positive,
    required,
    text,
)
from swingtrader.core.orders import BrokerOrder
from swingtrader.core.portfolio import (
    BrokerAccount,
    BrokerPosition,
    Execution,
    MarketClock,
    ShareSplit,
)
from swingtrader.errors import BrokerUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    Row = Mapping[str, Any]

_SUSPENSIONS = ("trading_blocked", "account_blocked", "trade_suspended_by_user")


def clock_of(row: Row, asked: str) -> MarketClock:
    """Read the clock, of which everything is needed."""
    return MarketClock(
        required(instant(row, "timestamp"), asked, "timestamp of the clock"),
        required(flag(row, "is_open"), asked, "is_open of the clock"),
        required(instant(row, "next_open"), asked, "next_open of the clock"),
        required(instant(row, "next_close"), asked, "next_close of the clock"),
    )


def account_of(row: Row, asked: str) -> BrokerAccount:
    """Read the account; of its money what is there."""
    return BrokerAccount(
        number=required(text(row, "account_number"), asked, "account_number of the account"),
        cash=decimal(row, "cash"),
        equity=decimal(row, "equity"),
        last_equity=decimal(row, "last_equity"),
        non_marginable_buying_power=decimal(row, "non_marginable_buying_power"),
        blocked=any(flag(row, name) for name in _SUSPENSIONS),
    )


def is_stock(row: Row) -> bool:
    """Whether a position is in a stock; one whose class is not stated is taken for one."""
    return text(row, "asset_class") in {None, "us_equity"}


def position_of(row: Row, asked: str) -> BrokerPosition:
    """Read a position. One called short is negative, however its quantity is written."""
    qty, available = decimal(row, "qty"), decimal(row, "qty_available")
    if text(row, "side") == "short":
        qty, available = _negative(qty), _negative(available)
    return BrokerPosition(
        symbol=required(text(row, "symbol"), asked, "symbol of a position"),
        qty=qty,
        qty_available=available,
        entry_price=positive(row, "avg_entry_price"),
        current_price=positive(row, "current_price"),
    )


def _negative(value: Decimal | None) -> Decimal | None:
    return None if value is None else -abs(value)


def order_of(row: Row, asked: str) -> BrokerOrder:
    """Read an order.

    A filled order whose `filled_qty` is not stated has got all that it asked for; for any other
    nothing is taken as filled that the broker does not say.
    """
    status, qty = text(row, "status") or "", decimal(row, "qty")
    filled = decimal(row, "filled_qty")
    if filled is None:
        filled = qty if status == "filled" and qty is not None else Decimal(0)
    return BrokerOrder(
        id=required(text(row, "id"), asked, "id of an order"),
        client_order_id=text(row, "client_order_id") or "",
        symbol=required(text(row, "symbol"), asked, "symbol of an order"),
        side=required(text(row, "side"), asked, "side of an order"),
        type=text(row, "type") or text(row, "order_type") or "",
        status=status,
        qty=qty,
        filled_qty=filled,
        filled_avg_price=positive(row, "filled_avg_price"),
        limit_price=positive(row, "limit_price"),
        stop_price=positive(row, "stop_price"),
        submitted_at=instant(row, "submitted_at") or instant(row, "created_at"),
    )


def legs_of(row: Row, asked: str) -> Iterator[BrokerOrder]:
    """Read the legs that an order carries, each as an order of its own."""
    legs = row.get("legs")
    if legs is None:
        return
    if not (isinstance(legs, list) and all(isinstance(leg, Mapping) for leg in legs)):
        raise BrokerUnreachable(asked, "legs of an order are malformed")
    for leg in legs:
        yield order_of(leg, asked)


def order_named(row: Any, client_order_id: str, asked: str) -> BrokerOrder:
    """Read the order of that name; a row that leaves its name out is believed to bear it."""
    if not isinstance(row, Mapping):
        raise BrokerUnreachable(asked, "what came is no JSON object")
    order = order_of(row, asked)
    if order.client_order_id not in {client_order_id, ""}:
        raise BrokerUnreachable(asked, "the answer is about another order")
    return replace(order, client_order_id=client_order_id)


def activity_of(row: Row, number: str, asked: str) -> Execution | ShareSplit | None:
    """Read a fill or a split; None for anything else, and for a split that was taken back."""
    kind = required(text(row, "activity_type"), asked, "activity_type of an activity")
    if kind == "FILL":
        return Execution(
            id=number,
            at=required(instant(row, "transaction_time"), asked, "transaction_time of a fill"),
            symbol=required(text(row, "symbol"), asked, "symbol of a fill"),
            side=required(text(row, "side"), asked, "side of a fill"),
            qty=required(positive(row, "qty"), asked, "qty of a fill"),
            price=required(positive(row, "price"), asked, "price of a fill"),
            order_id=text(row, "order_id") or "",
        )
    if kind == "SPLIT" and text(row, "status") != "canceled":
        return ShareSplit(
            id=number,
            day=required(day(row, "date"), asked, "date of a split"),
            symbol=required(text(row, "symbol"), asked, "symbol of a split"),
            added=required(decimal(row, "qty"), asked, "qty of a split"),
        )
    return None
