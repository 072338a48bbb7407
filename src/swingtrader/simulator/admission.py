"""Whether the exchange takes an order, given account, market and time: one check a rule.

They come in the order in which a person would make them: is the symbol tradable, is it the time
for it, do the prices make sense, is somebody on the other side, are the shares there, is the
money there. Each raises a `RefusalError` or lets the ticket pass.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from swingtrader.simulator.clock import eastern_day, eastern_instant
from swingtrader.simulator.errors import (
    forbidden,
    insufficient_buying_power,
    insufficient_shares,
    unprocessable,
    wash_trade,
)
from swingtrader.simulator.orders import OrderClass, OrderType, Side, TimeInForce
from swingtrader.simulator.tickets import SMALLEST_ORDER_USD, too_small

if TYPE_CHECKING:
    from swingtrader.simulator.floor import Floor
    from swingtrader.simulator.orders import Order
    from swingtrader.simulator.tickets import Ticket

NOTHING = Decimal(0)
CENT = Decimal("0.01")
SHORT_SALE_MARKUP = Decimal("1.03")

_EXEMPT_FROM_WASH_TRADES = frozenset({OrderClass.BRACKET, OrderClass.OCO})


def check_asset(floor: Floor, ticket: Ticket) -> None:
    """Refuse what has never traded, what trades no more, and fractions where they are off."""
    if not floor.tape.is_listed(ticket.symbol, floor.now):
        raise unprocessable(f'asset "{ticket.symbol}" not found')
    if not floor.tape.is_active(ticket.symbol, floor.now):
        raise unprocessable(f"asset {ticket.symbol} is not active")
    if ticket.is_fractional and not floor.fractional_trading:
        raise forbidden("account is not allowed to trade fractional shares")


def check_auction_window(floor: Floor, time_in_force: TimeInForce) -> None:
    """Refuse `opg` from 9:28 to 19:00 and `cls` from 10 minutes before the close to 19:00."""
    day = eastern_day(floor.now)
    row = floor.timetable.row_of(day)
    if row is None or floor.now >= eastern_instant(day, 19):
        return
    opens, closes = floor.timetable.opens[row], floor.timetable.closes[row]
    refused_from = {
        TimeInForce.OPG: opens - timedelta(minutes=2),
        TimeInForce.CLS: closes - timedelta(minutes=10),
    }.get(time_in_force)
    if refused_from is not None and floor.now >= refused_from:
        raise unprocessable(f"{time_in_force} orders are not accepted at this time")


def check_stop(side: Side, order_type: OrderType, stop: Decimal | None, price: Decimal) -> None:
    """Refuse a stop that the market has already passed."""
    if order_type not in {OrderType.STOP, OrderType.STOP_LIMIT} or stop is None:
        return
    if side is Side.SELL and stop >= price:
        raise unprocessable("stop price must be less than current price")
    if side is Side.BUY and stop <= price:
        raise unprocessable("stop price must be greater than current price")


def check_exits(ticket: Ticket, price: Decimal) -> None:
    """Refuse legs that are not at least a cent beyond entry and market."""
    if ticket.order_class is OrderClass.SIMPLE:
        return
    is_oco = ticket.order_class is OrderClass.OCO
    exit_side = ticket.side if is_oco else ticket.side.opposite
    entry = ticket.take_profit_limit if is_oco else ticket.limit_price or ticket.stop_price
    bounds = [price] if entry is None else [price, entry]
    down = exit_side.sign  # -1 where the exits sell: the stop lies below
    stop, target = ticket.stop_loss_stop, ticket.take_profit_limit
    base = min(bounds) if down < 0 else max(bounds)
    if stop is not None and (stop - base) * down < CENT:
        relation = "<= base_price - 0.01" if down < 0 else ">= base_price + 0.01"
        raise unprocessable(f"stop_loss.stop_price must be {relation}", base_price=str(base))
    base = entry or price
    if not is_oco and target is not None and (base - target) * down < CENT:
        relation = ">= base_price + 0.01" if down < 0 else "<= base_price - 0.01"
        raise unprocessable(f"take_profit.limit_price must be {relation}", base_price=str(base))


def check_wash_trade(floor: Floor, ticket: Ticket) -> None:
    """Refuse to meet an own resting order.

    A resting market or stop order blocks the whole other side; two limits are refused only
    where they cross. Brackets, OCOs and trailing stops are exempt, on either side; an OTO is not.
    """
    if _is_exempt(ticket.order_class, ticket.type):
        return
    for order in floor.book.open_orders(ticket.symbol):
        if (
            order.side is ticket.side
            or not order.live
            or _is_exempt(order.order_class, order.type)
        ):
            continue
        if order.type is OrderType.LIMIT:
            if ticket.type is OrderType.LIMIT and not _cross(ticket, order):
                continue
            raise wash_trade(order.id, "opposite side limit order exists")
        raise wash_trade(order.id, "opposite side market/stop order exists")


def _is_exempt(order_class: OrderClass, order_type: OrderType) -> bool:
    return order_class in _EXEMPT_FROM_WASH_TRADES or order_type is OrderType.TRAILING_STOP


def _cross(ticket: Ticket, order: Order) -> bool:
    ours, theirs = ticket.limit_price or NOTHING, order.limit_price or NOTHING
    return ours >= theirs if ticket.side is Side.BUY else ours <= theirs


def check_shares(floor: Floor, ticket: Ticket) -> bool:
    """Refuse to close more than is free, or to open a short where that is not allowed.

    Returns
    -------
    bool
        Whether the order opens or enlarges a position, and so takes buying power.
    """
    held = floor.account.qty(ticket.symbol)
    if held * ticket.side.sign >= 0:
        if ticket.order_class is OrderClass.OCO:
            raise unprocessable("oco orders must be exit orders")
        if ticket.side is Side.SELL:
            _check_short(floor, ticket)
        return True
    requested = ticket.qty
    if requested is None:
        requested = (ticket.notional or NOTHING) / floor.price(ticket.symbol)
    check_free_shares(floor, ticket.symbol, ticket.side, requested)
    return False


def check_free_shares(floor: Floor, symbol: str, side: Side, requested: Decimal) -> None:
    """Refuse to close more shares than no other order holds."""
    existing = abs(floor.account.qty(symbol))
    available = max(existing - floor.book.held(symbol, side), NOTHING)
    if requested > available:
        holders = floor.book.holders(symbol, side)
        raise insufficient_shares(symbol, requested, available, existing, holders)


def _check_short(floor: Floor, ticket: Ticket) -> None:
    if floor.no_shorting or floor.multiplier == 1:
        raise forbidden("account is not allowed to short")
    if ticket.is_fractional:
        raise unprocessable("fractional orders cannot be sold short")


def reserve_price(floor: Floor, ticket: Ticket, trailing_stop: Decimal | None) -> Decimal:
    """USD a share that an opening order takes from the buying power.

    A market order is taken at the ask, or at the last trade while the market is closed.
    """
    price = floor.price(ticket.symbol)
    quote = floor.quote(ticket.symbol)
    if quote is not None and floor.timetable.is_open(floor.now):
        price = quote.ask
    asked = ticket.limit_price or ticket.stop_price or trailing_stop
    if ticket.side is Side.SELL:
        return max(asked or NOTHING, price * SHORT_SALE_MARKUP)
    return asked or price


def check_money(floor: Floor, ticket: Ticket, price: Decimal) -> None:
    """Refuse what costs more than the buying power, or less than a dollar in fractions."""
    cost = ticket.notional or (ticket.qty or NOTHING) * price
    if ticket.is_fractional and cost < SMALLEST_ORDER_USD:
        raise too_small()
    check_buying_power(floor, cost)


def check_buying_power(floor: Floor, cost: Decimal) -> None:
    """Refuse what costs more than the buying power."""
    buying_power = floor.valuation().buying_power
    if cost > buying_power:
        raise insufficient_buying_power(buying_power, cost)
