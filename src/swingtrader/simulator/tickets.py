"""What a client writes on an order ticket, read and checked without knowing the account.

Numbers come as strings or JSON numbers; the latter were parsed as decimals, so a float that grew
digits (3.3000000000000003) is seen with all of them and refused as a sub-penny price.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, TypeVar

from swingtrader.simulator.errors import RefusalError, forbidden, malformed, unprocessable
from swingtrader.simulator.orders import OrderClass, OrderType, Side, TimeInForce
from swingtrader.simulator.prices import tick

if TYPE_CHECKING:
    from collections.abc import Mapping
    from enum import StrEnum

    Fields = Mapping[str, Any]

ChoiceT = TypeVar("ChoiceT", bound="StrEnum")

LONGEST_CLIENT_ORDER_ID = 128
SMALLEST_ORDER_USD = Decimal(1)

_PRICES_NEEDED = {
    OrderType.MARKET: frozenset[str](),
    OrderType.LIMIT: frozenset({"limit_price"}),
    OrderType.STOP: frozenset({"stop_price"}),
    OrderType.STOP_LIMIT: frozenset({"limit_price", "stop_price"}),
    OrderType.TRAILING_STOP: frozenset[str](),
}


@dataclass(frozen=True)
class Ticket:
    """One order as asked for; prices in USD, quantities in shares."""

    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    order_class: OrderClass
    qty: Decimal | None
    notional: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    trail_price: Decimal | None
    trail_percent: Decimal | None
    take_profit_limit: Decimal | None
    stop_loss_stop: Decimal | None
    stop_loss_limit: Decimal | None
    extended_hours: bool
    client_order_id: str | None

    @property
    def is_fractional(self) -> bool:
        """Whether it is for dollars or for a part of a share."""
        return self.qty is None or self.qty != self.qty.to_integral_value()


def read_ticket(body: Any) -> Ticket:
    """Read the body of POST /orders.

    Raises
    ------
    RefusalError
        422: a field is missing, malformed or contradicts another.
    """
    if not isinstance(body, dict):
        raise malformed("request body must be an object")
    order_type = choice(body, "type", OrderType)
    order_class = choice(body, "order_class", OrderClass, OrderClass.SIMPLE)
    profit, loss = _part(body, "take_profit"), _part(body, "stop_loss")
    ticket = Ticket(
        symbol=required_text(body, "symbol"),
        side=choice(body, "side", Side),
        type=order_type,
        time_in_force=choice(body, "time_in_force", TimeInForce),
        order_class=order_class,
        qty=positive(body, "qty", 9),
        notional=positive(body, "notional", 2),
        limit_price=priced(body, "limit_price"),
        stop_price=priced(body, "stop_price"),
        trail_price=priced(body, "trail_price"),
        trail_percent=positive(body, "trail_percent", 9),
        take_profit_limit=priced(profit, "limit_price"),
        stop_loss_stop=priced(loss, "stop_price"),
        stop_loss_limit=priced(loss, "limit_price"),
        extended_hours=_flag(body, "extended_hours"),
        client_order_id=client_order_id(body),
    )
    _check_quantity(ticket)
    _check_prices(ticket)
    _check_class(ticket)
    _check_fraction(ticket)
    if ticket.extended_hours and ticket.type is not OrderType.LIMIT:
        raise unprocessable("extended hours order must be DAY or GTC limit orders")
    return ticket


def choice(
    body: Fields, name: str, kind: type[ChoiceT], default: ChoiceT | None = None
) -> ChoiceT:
    """One of an enumeration's values; an empty one counts as missing."""
    value = body.get(name)
    if value in (None, ""):
        if default is None:
            raise malformed(f"{name} is required")
        return default
    try:
        return kind(value)
    except ValueError as error:
        raise malformed(f"invalid {name}: {value}") from error


def required_text(body: Fields, name: str) -> str:
    """Text that must be there."""
    value = body.get(name)
    if value in (None, ""):
        raise malformed(f"{name} is required")
    if not isinstance(value, str):
        raise malformed(f"{name} must be a string")
    return value


def number(body: Fields, name: str) -> Decimal | None:
    """A finite number, given as a number or as text; None where it is missing."""
    value = body.get(name)
    if value in (None, ""):
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise malformed(f"{name} must be a number")
    try:
        parsed = Decimal(value)
    except InvalidOperation as error:
        raise malformed(f"invalid {name}: {value}") from error
    if not parsed.is_finite():
        raise malformed(f"invalid {name}: {value}")
    return parsed


def positive(body: Fields, name: str, decimals: int) -> Decimal | None:
    """A number above 0 with at most so many decimals."""
    value = number(body, name)
    if value is None:
        return None
    if value <= 0:
        raise unprocessable(f"{name} must be > 0")
    if value != round(value, decimals):
        raise unprocessable(f"{name} must be limited to {decimals} decimal places")
    return value


def priced(body: Fields, name: str) -> Decimal | None:
    """A price above 0 on the tick: 2 decimals, 4 below one dollar."""
    value = number(body, name)
    if value is None:
        return None
    if value <= 0:
        raise unprocessable(f"{name} must be > 0")
    if value % tick(value):
        raise unprocessable(
            f"invalid {name} {value}. sub-penny increment does not fulfill minimum pricing "
            "criteria"
        )
    return value


def client_order_id(body: Fields) -> str | None:
    """Read the client's own name for the order, None where it leaves that to the broker."""
    value = body.get("client_order_id")
    if value in (None, ""):
        return None
    if not isinstance(value, str):
        raise malformed("client_order_id must be a string")
    if len(value) > LONGEST_CLIENT_ORDER_ID:
        raise malformed(
            f"client_order_id must be no more than {LONGEST_CLIENT_ORDER_ID} characters"
        )
    return value


def _part(body: Fields, name: str) -> Fields:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise malformed(f"{name} must be an object")
    return value


def _flag(body: Fields, name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise malformed(f"{name} must be a boolean")
    return bool(value)


def _check_quantity(ticket: Ticket) -> None:
    if (ticket.qty is None) == (ticket.notional is None):
        raise malformed("exactly one of qty and notional is required")
    if ticket.notional is not None and ticket.notional < SMALLEST_ORDER_USD:
        raise too_small()


def _check_prices(ticket: Ticket) -> None:
    given = {
        name
        for name in ("limit_price", "stop_price", "trail_price", "trail_percent")
        if getattr(ticket, name) is not None
    }
    if ticket.type is OrderType.TRAILING_STOP:
        if len(given) != 1 or not given <= {"trail_price", "trail_percent"}:
            raise unprocessable(
                "trailing stop orders require exactly one of trail_price and trail_percent"
            )
        return
    needed = _PRICES_NEEDED[ticket.type]
    if ticket.order_class is OrderClass.OCO:
        needed = frozenset[str]()  # its limit is the take-profit's
        given.discard("limit_price")
    for name in sorted(needed - given):
        raise unprocessable(f"{ticket.type} orders require a {name.replace('_', ' ')}")
    for name in sorted(given - needed):
        raise unprocessable(f"{ticket.type} orders must not have {name}")


def _check_class(ticket: Ticket) -> None:
    profit = ticket.take_profit_limit is not None
    loss = ticket.stop_loss_stop is not None
    if ticket.stop_loss_limit is not None and not loss:
        raise unprocessable("stop_loss.stop_price is required")
    if ticket.order_class is OrderClass.SIMPLE:
        if profit or loss:
            raise unprocessable("simple orders must not have take_profit or stop_loss")
        return
    if ticket.order_class is OrderClass.OTO:
        if profit == loss:
            raise unprocessable("oto orders require either take_profit or stop_loss")
    elif not (profit and loss):
        raise unprocessable(f"{ticket.order_class} orders require take_profit and stop_loss")
    _check_group(ticket)


def _check_group(ticket: Ticket) -> None:
    if ticket.time_in_force not in {TimeInForce.DAY, TimeInForce.GTC}:
        raise unprocessable("complex orders must have time_in_force day or gtc")
    if ticket.extended_hours:
        raise unprocessable("complex orders are not supported in extended hours")
    if ticket.type is OrderType.TRAILING_STOP:
        raise unprocessable("trailing stop orders must be simple orders")
    if ticket.order_class is OrderClass.OCO and ticket.type is not OrderType.LIMIT:
        raise unprocessable("oco orders must be limit orders")


def _check_fraction(ticket: Ticket) -> None:
    if not ticket.is_fractional:
        return
    if ticket.time_in_force is not TimeInForce.DAY:
        raise unprocessable("fractional orders must be DAY orders")
    if ticket.order_class is not OrderClass.SIMPLE:
        raise unprocessable("fractional orders must be simple orders")
    if ticket.type is OrderType.TRAILING_STOP:
        raise unprocessable("fractional orders must not be trailing stop orders")
    if ticket.notional is not None and ticket.type is not OrderType.MARKET:
        raise unprocessable("notional orders must be market orders")


def too_small() -> RefusalError:
    """Refuse an order under one dollar."""
    return forbidden(f"cost basis must be >= minimal amount of order {SMALLEST_ORDER_USD}")
