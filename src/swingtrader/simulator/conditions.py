"""What goes wrong in the market itself, on request: it lasts until it is lifted."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

    from swingtrader.simulator.orders import Order


@dataclass(frozen=True)
class StaleQuotes:
    """Quotes and trades are served as they were `age` ago."""

    age: timedelta
    symbol: str = "*"


@dataclass(frozen=True)
class NoQuote:
    """A side of the quote is 0: nobody is there."""

    symbol: str = "*"
    bid: bool = True
    ask: bool = True


@dataclass(frozen=True)
class PartialFills:
    """Orders get this part of what they want, in whole shares, and then no more."""

    fraction: Decimal
    symbol: str = "*"
    side: str = "*"


@dataclass(frozen=True)
class RejectedOrders:
    """Orders `nth` to `nth + times - 1` that match are accepted, then rejected."""

    symbol: str = "*"
    side: str = "*"
    nth: int = 1
    times: int = 1


Condition = StaleQuotes | NoQuote | PartialFills | RejectedOrders


class Conditions:
    """The market conditions in force."""

    def __init__(self) -> None:
        self._conditions: list[Condition] = []
        self._met: dict[int, int] = {}

    def add(self, condition: Condition) -> None:
        """Put a condition in force."""
        self._conditions.append(condition)

    def clear(self) -> None:
        """Lift every condition; orders go on from where they are."""
        self._conditions.clear()
        self._met.clear()

    def age(self, symbol: str) -> timedelta | None:
        """How old served quotes of a symbol are, None for fresh ones."""
        for each in self._conditions:
            if isinstance(each, StaleQuotes) and fnmatchcase(symbol, each.symbol):
                return each.age
        return None

    def absent_sides(self, symbol: str) -> tuple[bool, bool]:
        """Whether bid and ask are absent."""
        found = [
            each
            for each in self._conditions
            if isinstance(each, NoQuote) and fnmatchcase(symbol, each.symbol)
        ]
        return any(each.bid for each in found), any(each.ask for each in found)

    def most(self, order: Order) -> Decimal | None:
        """Shares the order may still get, None without limit."""
        for each in self._conditions:
            if isinstance(each, PartialFills) and _meets(each, order) and order.qty is not None:
                total = (order.qty * each.fraction).to_integral_value(ROUND_FLOOR)
                return max(total - order.filled_qty, Decimal(0))
        return None

    def rejects(self, order: Order) -> bool:
        """Whether a new order is to be rejected; to be asked once for each."""
        rejected = False
        for place, each in enumerate(self._conditions):
            if isinstance(each, RejectedOrders) and _meets(each, order):
                self._met[place] = self._met.get(place, 0) + 1
                rejected |= each.nth <= self._met[place] < each.nth + each.times
        return rejected


def _meets(condition: PartialFills | RejectedOrders, order: Order) -> bool:
    return fnmatchcase(order.symbol, condition.symbol) and fnmatchcase(order.side, condition.side)
