"""The stop that rests at the broker under a position, so that a dead machine leaves it guarded.

It is a simple stop of its own, good till canceled, placed once the entry is filled: not a leg,
which would end with a part-filled entry and be left behind by a split. It covers whole shares,
for fractions cannot rest over night. Stops that somebody placed by hand count, and are theirs.

Ours is renewed when it covers the wrong number of shares, when there are two, or when it is far
from where the entry price puts it, in either direction: it fires on a single print, so one that
came too close (after somebody averaged down) would sell before the stops that wait for a
confirmed price. Of a position under water it stays as it is, whatever the price does: there the
market chose the distance, and following it down would be no stop at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

from swingtrader.core.orders import Purpose, parsed_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swingtrader.core.orders import BrokerOrder
    from swingtrader.core.portfolio import BrokerPosition

NOTHING = Decimal(0)

TOLERANCE = Decimal("0.02")
"""Fraction by which our stop may lie off its price before it is renewed."""

_STOPS = frozenset({"stop", "stop_limit", "trailing_stop"})


@dataclass(frozen=True)
class ProtectionPlan:
    """What to do so that a position is guarded.

    Attributes
    ----------
    cancel : tuple of BrokerOrder
        Stops of ours to cancel first, never anybody else's.
    place_qty : Decimal, shares
        Whole; 0 for none.
    stop_price : Decimal or None, USD
        Of the stop to place; None when none is.
    resting_qty : Decimal, shares
        Under stops that rest now, before the plan is carried out.
    resting_stop : Decimal or None, USD
        The lowest price among these.
    unprotected_qty : Decimal, shares
        Without a stop after the plan: fractions, shares held by somebody's other orders or by a
        stop on its way out, and everything while no price is known.
    """

    symbol: str
    cancel: tuple[BrokerOrder, ...] = ()
    place_qty: Decimal = NOTHING
    stop_price: Decimal | None = None
    resting_qty: Decimal = NOTHING
    resting_stop: Decimal | None = None
    unprotected_qty: Decimal = NOTHING

    @property
    def satisfied(self) -> bool:
        """Whether there is nothing to do. It does not say that every share is guarded."""
        return not self.cancel and not self.place_qty


def is_resting_stop(order: BrokerOrder) -> bool:
    """Whether an order, ours or anybody's, is a stop that still stands under a long position.

    One on its way out does not count, though it still holds its shares.
    """
    return (
        order.side == "sell"
        and order.type in _STOPS
        and order.is_open
        and order.status != "pending_cancel"
    )


def is_ours(order: BrokerOrder) -> bool:
    """Whether an order bears the name we give to protection."""
    name = parsed_name(order.client_order_id)
    return name is not None and name.purpose is Purpose.PROTECTION


def planned_protection(
    position: BrokerPosition,
    open_orders: Sequence[BrokerOrder],
    *,
    distance: float,
    last_price: Decimal | None,
) -> ProtectionPlan:
    """Stops to cancel and to place under one position.

    Never more than the whole shares that no order of somebody else holds, going by the orders
    and by `qty_available`, whichever leaves less. Carried out and planned again, it asks for
    nothing more.

    Parameters
    ----------
    position : BrokerPosition
        A short, or one of unknown quantity, needs and gets nothing.
    open_orders : sequence of BrokerOrder
        All that may still fill; those of other symbols are passed over.
    distance : float
        Of the stop below the entry price, a fraction.
    last_price : Decimal or None, USD
        Where the entry price puts the stop above it, or is unknown, the stop lies `distance`
        below it. Without either price nothing is placed and nothing canceled.
    """
    if position.qty is None or position.qty <= 0:
        return ProtectionPlan(position.symbol)
    orders = [each for each in open_orders if each.symbol == position.symbol and each.is_open]
    ours = [each for each in orders if is_resting_stop(each) and is_ours(each)]
    others = _holds_of_others(position.qty, position.qty_available, orders)
    whole = _floor(position.qty)
    room = min(whole - others.guarded, position.qty - others.guarded - others.blocked)
    # No two orders hold the same share: what rests under our stops is ours to place again.
    own = min(whole - others.stops, _remaining(ours))
    target = _floor(max(room, own, NOTHING))
    wanted = _wanted_prices(position.entry_price, last_price, ours, distance)

    kept, place, stop_price = ours, NOTHING, None
    if wanted is not None:
        kept = [each for each in ours if _fits(each, target, wanted)][:1]
        if target and not kept:
            place, stop_price = target, wanted.to_place
    prices = [each.stop_price for each in ours] + list(others.prices)
    return ProtectionPlan(
        position.symbol,
        tuple(each for each in ours if each not in kept),
        place,
        stop_price,
        resting_qty=others.guarded + _remaining(ours),
        resting_stop=min((price for price in prices if price is not None), default=None),
        unprotected_qty=max(position.qty - others.guarded - _remaining(kept) - place, NOTHING),
    )


@dataclass(frozen=True)
class _HoldsOfOthers:
    """Shares that orders other than our stops hold.

    `stops` are under plain stops placed by hand; `guarded` under those and the legs that guard;
    `blocked` under anything else; `prices` are those of the stops.
    """

    stops: Decimal
    guarded: Decimal
    blocked: Decimal
    prices: tuple[Decimal | None, ...]


def _holds_of_others(
    qty: Decimal, qty_available: Decimal | None, orders: Sequence[BrokerOrder]
) -> _HoldsOfOthers:
    ours = _remaining([each for each in orders if is_resting_stop(each) and is_ours(each)])
    by_hand = [each for each in orders if is_resting_stop(each) and not is_ours(each)]
    plain = [each for each in by_hand if each.status != "held"]
    legs = [each for each in by_hand if each.status == "held"]
    stops = _remaining(plain)
    limits = [each for each in orders if each.side == "sell" and not is_resting_stop(each)]
    # A group whose limit order is held as well waits for its entry: it guards nothing.
    waiting = _remaining([each for each in limits if each.status == "held"])
    guarding = max(_remaining(legs) - waiting, NOTHING)
    # A group holds once: what its limit order holds is what its held stop guards.
    blocked = _remaining([each for each in limits if each.status != "held"]) - guarding
    if qty_available is not None:
        # A leg that waits for its entry holds nothing, and guards nothing.
        held = qty - max(qty_available, NOTHING) - ours
        guarding = max(min(guarding, held - stops), NOTHING)
        blocked = max(blocked, held - stops - guarding)
    counted = by_hand if guarding else plain
    return _HoldsOfOthers(
        stops,
        stops + guarding,
        max(blocked, NOTHING),
        tuple(each.stop_price for each in counted),
    )


@dataclass(frozen=True)
class _WantedPrices:
    """Price of a stop to place; and where one that rests should be, None for anywhere."""

    to_place: Decimal
    to_rest: Decimal | None


def _wanted_prices(
    entry_price: Decimal | None,
    last_price: Decimal | None,
    ours: Sequence[BrokerOrder],
    distance: float,
) -> _WantedPrices | None:
    by_entry = _below(entry_price, distance)
    by_last = _below(last_price, distance)
    resting = [each.stop_price for each in ours if each.stop_price is not None]
    if last_price is None or by_last is None:
        # What rests is below the market; a stop above it might be refused, after ours is gone.
        return None if by_entry is None else _WantedPrices(min([by_entry, *resting]), None)
    if by_entry is not None and by_entry < last_price:
        return _WantedPrices(by_entry, by_entry)
    # Under water, or of unknown entry: what replaces a stop is no lower than it was.
    return _WantedPrices(max([by_last, *(each for each in resting if each < last_price)]), None)


def _below(price: Decimal | None, distance: float) -> Decimal | None:
    """The price at `distance` below, on the exchange's grid; None where that is no price."""
    if price is None or price <= 0:
        return None
    exact = price * (1 - Decimal(str(distance)))
    grid = Decimal("0.01") if exact >= 1 else Decimal("0.0001")
    return exact.quantize(grid, ROUND_FLOOR) or None


def _fits(order: BrokerOrder, target: Decimal, wanted: _WantedPrices) -> bool:
    """Whether a stop of ours may stay. What the broker does not state is no reason to end it."""
    if order.remaining is not None and order.remaining != target:
        return False
    if wanted.to_rest is None or order.stop_price is None:
        return True
    return abs(order.stop_price - wanted.to_rest) <= TOLERANCE * wanted.to_rest


def _remaining(orders: Sequence[BrokerOrder]) -> Decimal:
    """Shares that orders may still sell; one of unstated size counts for none."""
    return sum((each.remaining or NOTHING for each in orders), NOTHING)


def _floor(qty: Decimal) -> Decimal:
    return qty.to_integral_value(ROUND_FLOOR)
