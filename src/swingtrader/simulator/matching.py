"""When an order meets the market, and at what price: pure functions of order and market.

The market is one trade a minute with a bid and an ask around it. What crosses that spread on
arrival, or at the opening, fills at the bid or ask; a limit that the market comes to later fills
at its limit. A stop that the last trade has reached becomes a market order and fills at the bid
or ask of that minute: after a gap far from the stop, never at it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

from swingtrader.simulator.orders import OrderType, Side
from swingtrader.simulator.prices import tick

if TYPE_CHECKING:
    from swingtrader.simulator.orders import Order

SHARE_QUANTUM = Decimal("0.000000001")

_STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})


@dataclass(frozen=True)
class Market:
    """One symbol at one instant: last trade, bid and ask in USD."""

    price: Decimal
    bid: Decimal
    ask: Decimal
    is_opening: bool = False
    is_closing: bool = False


def watched(order: Order, market: Market) -> Order:
    """The order after it has seen this trade: high-water mark, trailed stop, trigger."""
    if order.type not in _STOPS or order.triggered:
        return order
    if order.type is OrderType.TRAILING_STOP:
        order = _trailed(order, market.price)
    stop = order.stop_price
    reached = stop is not None and (
        market.price <= stop if order.side is Side.SELL else market.price >= stop
    )
    return replace(order, triggered=True) if reached else order


def _trailed(order: Order, price: Decimal) -> Order:
    seen = [price] if order.hwm is None else [order.hwm, price]
    best = max(seen) if order.side is Side.SELL else min(seen)
    return replace(order, hwm=best, stop_price=trailing_stop_price(order, best))


def trailing_stop_price(order: Order, best: Decimal) -> Decimal:
    """Stop of a trailing order whose best price so far is `best`, on the tick."""
    distance = order.trail_price or best * (order.trail_percent or Decimal(0)) / 100
    step = tick(best)
    return ((best + order.side.sign * distance) / step).quantize(Decimal(1)) * step


def execution_price(order: Order, market: Market, *, arrived: bool) -> Decimal | None:
    """USD a share at which the order fills now, None if it does not.

    Parameters
    ----------
    order : Order
        As `watched` returned it.
    market : Market
    arrived : bool
        Whether it meets this market as a newcomer and so takes the bid or ask, even where
        that is better than its limit.
    """
    if order.type in _STOPS and not order.triggered:
        return None
    touch = market.ask if order.side is Side.BUY else market.bid
    if not touch:
        return None
    if order.limit_price is None:
        return touch
    crosses = touch <= order.limit_price if order.side is Side.BUY else touch >= order.limit_price
    if not crosses:
        return None
    return touch if arrived or market.is_opening else order.limit_price


def execution_qty(order: Order, price: Decimal, most: Decimal | None) -> Decimal:
    """Shares that fill, given at most `most` on offer; whole ones unless a fraction was asked."""
    if order.qty is None:
        notional = order.notional or Decimal(0)
        return (notional / price).quantize(SHARE_QUANTUM, ROUND_FLOOR)
    if most is None or order.remaining <= most:
        return order.remaining
    return max(most, Decimal(0)).to_integral_value(ROUND_FLOOR)
