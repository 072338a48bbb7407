"""A split over night: what becomes of the position and of the orders resting on the symbol.

The position is restated. A reverse split cancels every order. At a forward split open simple
orders are restated too, unless told otherwise; groups are not moved, so a stop that came as a
leg stays at its old price with its old quantity, above the new market.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING

from swingtrader.simulator.orders import OrderClass, Status
from swingtrader.simulator.prices import tick

if TYPE_CHECKING:
    from datetime import datetime

    from swingtrader.simulator.account import Account
    from swingtrader.simulator.activities import Journal
    from swingtrader.simulator.book import OrderBook
    from swingtrader.simulator.orders import Order
    from swingtrader.simulator.prices import Split

_PRICES = ("limit_price", "stop_price", "trail_price", "hwm")


def apply_split(
    split: Split,
    account: Account,
    book: OrderBook,
    journal: Journal,
    *,
    at: datetime,
    treatment: str,
) -> None:
    """Carry out a split at the start of its day.

    Parameters
    ----------
    split : Split
    account, book, journal
        What changes.
    at : datetime
    treatment : {"adjust", "cancel", "keep"}
        Of simple orders at a forward split.
    """
    added = account.split(split.symbol, split.ratio)
    if added:
        journal.record_split(split.symbol, split.ratio, added, at)
    for order in book.open_orders(split.symbol):
        what = _treatment(order, split.ratio, treatment)
        if what == "cancel":
            book.change(order, at, status=Status.CANCELED, canceled_at=at)
        elif what == "adjust":
            _restate(order, split.ratio, book, at)


def _treatment(order: Order, ratio: Decimal, treatment: str) -> str:
    if ratio < 1 or order.qty is None:
        return "cancel"
    if order.order_class is not OrderClass.SIMPLE:
        return "keep"
    whole = (order.qty * ratio) % 1 == 0
    return treatment if whole or order.is_fractional else "cancel"


def _restate(order: Order, ratio: Decimal, book: OrderBook, at: datetime) -> None:
    prices = {
        name: _on_tick(price / ratio)
        for name in _PRICES
        if (price := getattr(order, name)) is not None
    }
    book.change(
        order,
        at,
        qty=None if order.qty is None else order.qty * ratio,
        filled_qty=order.filled_qty * ratio,
        reserve_price=order.reserve_price / ratio,
        **prices,
    )


def _on_tick(price: Decimal) -> Decimal:
    step = tick(price)
    return (price / step).to_integral_value(ROUND_HALF_EVEN) * step
