"""Every order there ever was, in order of arrival, and what the open ones hold.

A client_order_id is never free again, whatever became of its order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid5

from swingtrader.simulator.errors import malformed, not_found
from swingtrader.simulator.orders import LISTED_AS_OPEN, Order, Role, Side

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

NOTHING = Decimal(0)


@dataclass(frozen=True)
class OrderFilter:
    """Query of GET /orders."""

    status: str = "open"
    limit: int = 50
    after: datetime | None = None
    until: datetime | None = None
    descending: bool = True
    nested: bool = False
    side: Side | None = None
    symbols: frozenset[str] = frozenset()
    before_order_id: str | None = None
    after_order_id: str | None = None


class OrderBook:
    """All orders of the account.

    Parameters
    ----------
    seed : int
        Of the identifiers: equal requests in equal order get equal ids.
    """

    def __init__(self, seed: int) -> None:
        self._namespace = uuid5(NAMESPACE_OID, f"orders {seed}")
        self._orders: dict[str, Order] = {}
        self._by_client_id: dict[str, str] = {}
        self._open: dict[str, None] = {}

    def __iter__(self) -> Iterator[Order]:
        return iter(list(self._orders.values()))

    def __getitem__(self, order_id: str) -> Order:
        try:
            return self._orders[order_id]
        except KeyError as error:
            raise not_found(f"order not found for {order_id}") from error

    def by_client_id(self, client_id: str) -> Order:
        """Return the one order of that name.

        Raises
        ------
        RefusalError
            404: there never was one.
        """
        if client_id not in self._by_client_id:
            raise not_found(f"order not found for {client_id}")
        return self._orders[self._by_client_id[client_id]]

    def new_ids(self, client_id: str | None) -> tuple[str, str, int]:
        """Identifier, client identifier and sequence number of the next order.

        Raises
        ------
        RefusalError
            422: the client has used that name before.
        """
        if client_id in self._by_client_id:
            raise malformed("client_order_id must be unique")
        sequence = len(self._orders) + 1
        broker_made = str(uuid5(self._namespace, f"client {sequence}"))
        return str(uuid5(self._namespace, f"{sequence}")), client_id or broker_made, sequence

    def add(self, order: Order) -> None:
        """Enter an order with fresh ids."""
        self._by_client_id[order.client_order_id] = order.id
        self._put(order)

    def change(self, order: Order, at: datetime, **fields: Any) -> Order:
        """Set fields of an order of the book, and when that was."""
        changed = replace(order, updated_at=at, **fields)
        self._put(changed)
        return changed

    def _put(self, order: Order) -> None:
        self._orders[order.id] = order
        if order.is_open:
            self._open[order.id] = None
        else:
            self._open.pop(order.id, None)

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Orders that are not over, by arrival; held legs among them."""
        orders = [self._orders[order_id] for order_id in self._open]
        if symbol is not None:
            orders = [order for order in orders if order.symbol == symbol]
        return sorted(orders, key=lambda order: order.sequence)

    def group(self, order: Order) -> list[Order]:
        """Open orders of the same group, `order` included."""
        return [each for each in self.open_orders() if each.group_id == order.group_id]

    def legs(self, parent: Order) -> list[Order]:
        """Every leg of a parent, in order of arrival; replaced ones left out."""
        if parent.role is not Role.PARENT:
            return []
        return [
            order
            for order in self._orders.values()
            if order.group_id == parent.group_id
            and order.role in {Role.TAKE_PROFIT, Role.STOP_LOSS}
            and order.replaced_by is None
        ]

    def held(self, symbol: str, side: Side) -> Decimal:
        """Shares that live closing orders of a side keep from others; a group holds once."""
        groups: dict[str, Decimal] = {}
        for order in self._closing(symbol, side):
            groups[order.group_id] = max(groups.get(order.group_id, NOTHING), order.remaining)
        return sum(groups.values(), NOTHING)

    def holders(self, symbol: str, side: Side) -> list[str]:
        """Ids of the orders that hold shares."""
        return [order.id for order in self._closing(symbol, side)]

    def reserved(self) -> Decimal:
        """Buying power that all open orders take, USD."""
        return sum((order.reserved for order in self.open_orders()), NOTHING)

    def _closing(self, symbol: str, side: Side) -> list[Order]:
        return [
            order
            for order in self.open_orders(symbol)
            if order.side is side and order.live and not order.opening
        ]

    def query(self, wanted: OrderFilter) -> list[Order]:
        """Orders as GET /orders lists them; with `nested`, parents stand for their legs."""
        orders = [
            order
            for order in self._orders.values()
            if _matches(order, wanted)
            and not (wanted.nested and order.role in {Role.TAKE_PROFIT, Role.STOP_LOSS})
        ]
        if wanted.before_order_id is not None:
            before = self[wanted.before_order_id].sequence
            orders = [order for order in orders if order.sequence < before]
        if wanted.after_order_id is not None:
            after = self[wanted.after_order_id].sequence
            orders = [order for order in orders if order.sequence > after]
        orders.sort(key=lambda order: order.sequence, reverse=wanted.descending)
        return orders[: wanted.limit]


def _matches(order: Order, wanted: OrderFilter) -> bool:
    of_status: Mapping[str, bool] = {
        "open": order.status in LISTED_AS_OPEN,
        "closed": not order.is_open,
        "all": True,
    }
    return (
        of_status[wanted.status]
        and (wanted.after is None or order.created_at > wanted.after)
        and (wanted.until is None or order.created_at < wanted.until)
        and (wanted.side is None or order.side is wanted.side)
        and (not wanted.symbols or order.symbol in wanted.symbols)
    )
