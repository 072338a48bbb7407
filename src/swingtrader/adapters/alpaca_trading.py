"""The account at Alpaca: clock, money, positions, orders, history.

Choices. Lists are followed to their end: the default page is 50 orders, and what lies on the
second page may be the stop.

A held leg (a bracket's stop while its target is working) is not among the open orders that Alpaca
lists, and asking for nested ones lists nothing once the entry is filled (users' reports; a held
leg being held is Alpaca's). So where an order is open that is not ours, and may belong to a group,
every order of its symbol is read, too. Ours are simple orders and cost no second question.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import quote

from swingtrader.adapters.alpaca_fields import flag, required, text, written
from swingtrader.adapters.alpaca_rows import (
    account_of,
    activity_of,
    clock_of,
    is_stock,
    legs_of,
    order_named,
    order_of,
    position_of,
)
from swingtrader.adapters.alpaca_wire import Connection, trading_wire
from swingtrader.core.orders import OrderType, RefusalKind, parsed_name
from swingtrader.errors import BrokerUnreachable, OrderRefused, OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from requests import Session

    from swingtrader.core.orders import BrokerOrder, Ticket
    from swingtrader.core.portfolio import (
        BrokerAccount,
        BrokerPosition,
        Execution,
        MarketClock,
        ShareSplit,
    )

    Query = Mapping[str, str]

ORDERS_PAGE = 500
ACTIVITIES_PAGE = 100
LONGEST_CLIENT_ORDER_ID = 128

CENT = Decimal("0.01")
SUB_DOLLAR_TICK = Decimal("0.0001")
"""Steps of a price from one dollar on, and below it (Regulation NMS, rule 612)."""

SHARE_QUANTUM = Decimal("0.000000001")

LIVE = frozenset(
    {
        "accepted",
        "pending_new",
        "new",
        "partially_filled",
        "held",
        "pending_cancel",
        "pending_replace",
    }
)
"""Statuses that count among old orders; a `done_for_day` of last month is no open order."""

_PRICES = {
    OrderType.MARKET: (False, False),
    OrderType.LIMIT: (True, False),
    OrderType.STOP: (False, True),
}


class AlpacaBroker:
    """`ports.Broker` over the real client.

    Parameters
    ----------
    connection : Connection
    pause : callable
        Waits so many seconds, between tries.
    """

    def __init__(self, connection: Connection, *, pause: Callable[[float], None]) -> None:
        self._wire = trading_wire(connection, pause)

    @property
    def session(self) -> Session:
        """Carries the requests; an exchange in the same process is mounted on it."""
        return self._wire.session

    def clock(self) -> MarketClock:
        """Read the broker's clock."""
        row, asked = self._wire.row("/clock"), self._wire.asked("GET", "/clock")
        return clock_of(row, asked)

    def account(self) -> BrokerAccount:
        """Read the account."""
        row, asked = self._wire.row("/account"), self._wire.asked("GET", "/account")
        return account_of(row, asked)

    def positions(self) -> tuple[BrokerPosition, ...]:
        """Read all positions in stocks, shorts included.

        Options and crypto are the person's own: stops and sessions mean nothing to them.
        """
        asked = self._wire.asked("GET", "/positions")
        rows = self._wire.rows("/positions")
        return tuple(position_of(row, asked) for row in rows if is_stock(row))

    def position(self, symbol: str) -> BrokerPosition | None:
        """Read one position; None when the broker says there is none."""
        path = f"/positions/{_segment(symbol)}"
        row, asked = self._wire.find(path), self._wire.asked("GET", path)
        if row is None:
            return None
        position = position_of(row, asked)
        if position.symbol != symbol:
            raise BrokerUnreachable(asked, "the answer is about another symbol")
        return position

    def open_orders(self) -> tuple[BrokerOrder, ...]:
        """Read every order that may still fill, legs included, each as an order of its own."""
        listed = self._orders({"status": "open", "nested": "false"})
        orders = {order.id: order for order in listed if order.is_open}
        strangers = {
            order.symbol for order in orders.values() if parsed_name(order.client_order_id) is None
        }
        if strangers:
            symbols = ",".join(sorted(strangers))
            whole = self._orders({"status": "all", "nested": "true", "symbols": symbols})
            orders |= {
                order.id: order for order in whole if order.id in orders or order.status in LIVE
            }
        return tuple(order for order in orders.values() if order.is_open)

    def orders_since(self, at: datetime) -> tuple[BrokerOrder, ...]:
        """Read every order submitted at `at` or later, whatever became of it, legs included."""
        return tuple(
            order
            for order in self._orders({"status": "all", "nested": "true"}, since=at)
            if order.submitted_at is None or order.submitted_at >= at
        )

    def has_ever_ordered(self) -> bool:
        """Whether the account has any order at all, of any age and status."""
        return bool(self._wire.rows("/orders", {"status": "all", "limit": 1}))

    def order(self, order_id: str) -> BrokerOrder:
        """Read one order by the broker's id. Raises OrderRefused (NOT_FOUND) for a stranger."""
        path = f"/orders/{_segment(order_id)}"
        row, asked = self._wire.find(path), self._wire.asked("GET", path)
        if row is None:
            raise OrderRefused(RefusalKind.NOT_FOUND, f"no order {order_id}")
        order = order_of(row, asked)
        if order.id != order_id:
            raise BrokerUnreachable(asked, "the answer is about another order")
        return order

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """Read one order by ours; None when the broker says it has none."""
        path = "/orders:by_client_order_id"
        row = self._wire.find(path, {"client_order_id": client_order_id})
        if row is None:
            return None
        return order_named(row, client_order_id, self._wire.asked("GET", path))

    def submit(
        self, ticket: Ticket, *, still_wanted: Callable[[], bool] | None = None
    ) -> BrokerOrder:
        """Send an order, once; see `ports.Broker`.

        Raises
        ------
        ValueError
            The ticket is one that no broker could take: our bug.
        """
        row = self._wire.send("POST", "/orders", _body(ticket), still_wanted=still_wanted)
        asked = self._wire.asked("POST", "/orders")
        try:
            return order_named(row, ticket.client_order_id, asked)
        except BrokerUnreachable as unusable:
            raise OutcomeUnknown(asked, unusable.what) from None

    def cancel(self, order_id: str) -> None:
        """Ask for a cancellation, which is not one yet: the order may still fill."""
        self._wire.send("DELETE", f"/orders/{_segment(order_id)}")

    def activities_since(
        self, at: datetime, *, until: datetime | None = None
    ) -> tuple[Execution | ShareSplit, ...]:
        """Read fills and splits later than `at`, oldest first, all pages."""
        path = "/account/activities"
        asked = self._wire.asked("GET", path)
        query: dict[str, str | int] = {
            "activity_types": "FILL,SPLIT",
            "direction": "asc",
            "page_size": ACTIVITIES_PAGE,
            "after": written(at),
        }
        if until is not None:
            query["until"] = written(until)
        found: dict[str, Execution | ShareSplit | None] = {}
        while True:
            rows = self._wire.rows(path, query)
            before = len(found)
            for row in rows:
                number = required(text(row, "id"), asked, "id of an activity")
                found[number] = activity_of(row, number, asked)
                query["page_token"] = number
            if len(rows) < ACTIVITIES_PAGE:
                break
            if len(found) == before:
                raise BrokerUnreachable(asked, "its pages do not go on")
        known = (found[number] for number in sorted(found))
        return tuple(activity for activity in known if activity is not None)

    def shorting_forbidden(self) -> bool:
        """Whether the account's `no_shorting` is set."""
        path = "/account/configurations"
        row, asked = self._wire.row(path), self._wire.asked("GET", path)
        return required(flag(row, "no_shorting"), asked, "no_shorting of the configuration")

    def forbid_shorting(self) -> None:
        """Set the account's `no_shorting`."""
        path = "/account/configurations"
        row = self._wire.change(path, {"no_shorting": True})
        if flag(row, "no_shorting") is not True:
            raise BrokerUnreachable(self._wire.asked("PATCH", path), "no_shorting was not set")

    def _orders(self, query: Query, *, since: datetime | None = None) -> tuple[BrokerOrder, ...]:
        """All pages of a list of orders, newest first, with every leg beside its parent.

        The next page begins below the last order of this one, not below its instant: many orders
        may share that. `since` bounds the first question only, and the rest by what comes, as an
        id may not go together with a time.
        """
        asked = self._wire.asked("GET", "/orders")
        wanted = {**query, "limit": ORDERS_PAGE, "direction": "desc"}
        # Exclusive at the broker, whose instants are finer than ours.
        bound = {} if since is None else {"after": written(since - timedelta(seconds=1))}
        found: dict[str, BrokerOrder] = {}
        while True:
            rows = self._wire.rows("/orders", wanted | bound)
            before = len(found)
            last = None
            for row in rows:
                last = order_of(row, asked)
                found |= {order.id: order for order in (last, *legs_of(row, asked))}
            too_old = since and last and last.submitted_at and last.submitted_at < since
            if last is None or len(rows) < ORDERS_PAGE or too_old:
                return tuple(found.values())
            if len(found) == before:
                raise BrokerUnreachable(asked, "its pages do not go on")
            bound = {"before_order_id": last.id}


def _body(ticket: Ticket) -> dict[str, str | bool]:
    prices = {"limit_price": ticket.limit_price, "stop_price": ticket.stop_price}
    if tuple(price is not None for price in prices.values()) != _PRICES[ticket.type]:
        raise ValueError(f"a {ticket.type} order with these prices makes no sense: {ticket}")
    if not 0 < len(ticket.client_order_id) <= LONGEST_CLIENT_ORDER_ID:
        raise ValueError(f"a client order id has 1 to {LONGEST_CLIENT_ORDER_ID} characters")
    return {
        "symbol": ticket.symbol,
        "side": ticket.side,
        "type": str(ticket.type),
        "qty": _plain(ticket.qty, SHARE_QUANTUM),
        "time_in_force": "gtc" if ticket.good_till_canceled else "day",
        "extended_hours": False,
        "client_order_id": ticket.client_order_id,
        **{
            name: _plain(price, SUB_DOLLAR_TICK if price.is_finite() and price < 1 else CENT)
            for name, price in prices.items()
            if price is not None
        },
    }


def _plain(value: Decimal, step: Decimal) -> str:
    """All digits and no exponent; ValueError for what is not a positive multiple of `step`."""
    if not value.is_finite() or value <= 0 or value % step:
        raise ValueError(f"{value} is not a positive multiple of {step}")
    return f"{value.normalize():f}"


def _segment(name: str) -> str:
    """Write a name as one part of a path; an empty one would ask for all there are."""
    if not name:
        raise ValueError("a symbol or order id must not be empty")
    return quote(name, safe="")
