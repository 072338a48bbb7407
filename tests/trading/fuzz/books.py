"""The account's own books, kept beside the exchange from its fills: what nobody can talk away."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from swingtrader.core.orders import Purpose, parsed_name
from swingtrader.simulator.clock import day_start, eastern_day

NOTHING = Decimal(0)
SHARE_QUANTUM = Decimal("0.000000001")


class BrokenError(AssertionError):
    """Something that must always hold does not."""


def require(holds, *what):
    """Raise BrokenError unless it holds."""
    if not holds:
        raise BrokenError(": ".join(str(part) for part in what))


def purpose_of(order_or_fill):
    """What an order of ours is for; None for anybody else's."""
    name = parsed_name(order_or_fill.client_order_id)
    return None if name is None else name.purpose


class Books:
    """Quantities, entry sessions and cash, walked along the fills.

    Attributes
    ----------
    entered : dict
        Session on which the quantity of a held symbol last left zero.
    bought : Counter
        Buy fills by symbol, ours and by hand.
    delivered : set of str
        Held symbols of which some shares came from elsewhere.
    """

    def __init__(self, exchange, splits):
        self.exchange = exchange
        self.qty = Counter()
        self.entered = {}
        self.bought = Counter()
        self.delivered = set()
        self.split = set()
        self._cash = exchange.cash
        self._seen = 0
        self._splits = sorted(splits, key=lambda split: split.session)

    def deliver(self, symbol, qty, price):
        """Put shares from elsewhere into the account."""
        self.catch_up()
        self.exchange.deliver(symbol, qty, price)
        self.qty[symbol] += qty
        self.delivered.add(symbol)
        self.entered.setdefault(symbol, None)

    def catch_up(self):
        """Walk along what has happened since the last time, looking at every fill."""
        fills = self.exchange.fills
        for fill in fills[self._seen :]:
            self._split_until(fill.at)
            self._book(fill)
        self._seen = len(fills)
        self._split_until(self.exchange.now)
        for symbol, qty in self.qty.items():
            held = self.exchange.held_qty(symbol)
            require(qty == held, "the books do not agree with the exchange", symbol, qty, held)

    def _book(self, fill):
        ours = purpose_of(fill) is not None
        sign = 1 if fill.side == "buy" else -1
        before = self.qty[fill.symbol]
        after = before + sign * fill.qty
        self.qty[fill.symbol] = after
        self._cash -= sign * fill.qty * fill.price
        if ours:
            require(after >= 0, "sold more than was held", fill)
            require(sign < 0 or self._cash >= 0, "bought beyond the cash", self._cash, fill)
        if sign > 0:
            self.bought[fill.symbol] += 1
            if before <= 0 < after:
                self.entered[fill.symbol] = eastern_day(fill.at)
        if after == 0:
            self.entered.pop(fill.symbol, None)
            self.delivered.discard(fill.symbol)

    def _split_until(self, at):
        while self._splits and day_start(self._splits[0].session) <= at:
            split = self._splits.pop(0)
            held = self.qty[split.symbol]
            self.qty[split.symbol] = (held * split.ratio).quantize(SHARE_QUANTUM)
            if held:
                self.split.add(split.symbol)

    def actions_on(self, day):
        """Ids of the orders that count against the session's limit, as the exchange has them."""
        filled = {fill.order_id for fill in self.exchange.fills if eastern_day(fill.at) == day}
        ours = {
            order.id
            for order in self.exchange.all_orders
            if eastern_day(order.created_at) == day
            and purpose_of(order) in {Purpose.ENTRY, Purpose.EXIT}
        }
        return filled | ours

    def touched(self, symbol, day):
        """Whether a symbol was traded on a day, or an entry for it was taken."""
        return any(
            fill.symbol == symbol and eastern_day(fill.at) == day for fill in self.exchange.fills
        ) or any(
            order.symbol == symbol
            and eastern_day(order.created_at) == day
            and purpose_of(order) is Purpose.ENTRY
            for order in self.exchange.all_orders
        )
