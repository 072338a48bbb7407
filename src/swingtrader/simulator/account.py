"""Cash and positions of the one account, exact to the last decimal.

There are no fees, interest or dividends. Buying power follows one rule for cash and margin
accounts: what equity leaves after a margin of 1/multiplier on every position, times the
multiplier, less what open orders reserve. At a multiplier of 1 that is cash less reservations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    PriceOf = Callable[[str], Decimal]

NOTHING = Decimal(0)
MAINTENANCE_RATE = Decimal("0.3")
RATIO_QUANTUM = Decimal("0.000000001")


@dataclass(frozen=True)
class Position:
    """Shares of one symbol: negative when short; average entry price in USD."""

    symbol: str
    qty: Decimal
    avg_entry_price: Decimal

    @property
    def cost_basis(self) -> Decimal:
        """USD paid for what is held, negative when short."""
        return self.qty * self.avg_entry_price


@dataclass(frozen=True)
class Valuation:
    """The account at given prices, USD."""

    cash: Decimal
    long_market_value: Decimal
    short_market_value: Decimal
    multiplier: int
    reserved: Decimal

    @property
    def equity(self) -> Decimal:
        """Cash and positions; shorts count against it."""
        return self.cash + self.long_market_value + self.short_market_value

    @property
    def exposure(self) -> Decimal:
        """Gross value of all positions."""
        return self.long_market_value - self.short_market_value

    @property
    def initial_margin(self) -> Decimal:
        """Part of the positions that must be covered by equity."""
        return self.exposure / self.multiplier

    @property
    def maintenance_margin(self) -> Decimal:
        """Equity that must remain."""
        return self.exposure * MAINTENANCE_RATE

    @property
    def buying_power(self) -> Decimal:
        """What new positions may cost; leveraged."""
        free = max(self.equity - self.initial_margin, NOTHING)
        return max(free * self.multiplier - self.reserved, NOTHING)

    @property
    def non_marginable_buying_power(self) -> Decimal:
        """What may be bought without borrowing."""
        return max(self.cash - self.reserved, NOTHING)


class Account:
    """Cash and positions."""

    def __init__(self, cash: Decimal) -> None:
        self.cash = cash
        self._positions: dict[str, Position] = {}

    def position(self, symbol: str) -> Position | None:
        """Return what is held of a symbol, None if nothing."""
        return self._positions.get(symbol)

    def qty(self, symbol: str) -> Decimal:
        """Shares held, negative when short."""
        held = self._positions.get(symbol)
        return held.qty if held else NOTHING

    def positions(self) -> list[Position]:
        """Everything held, by symbol."""
        return [self._positions[symbol] for symbol in sorted(self._positions)]

    def valuation(self, price_of: PriceOf, multiplier: int, reserved: Decimal) -> Valuation:
        """Return the account at given prices."""
        values = [each.qty * price_of(each.symbol) for each in self._positions.values()]
        return Valuation(
            self.cash, _sum(v for v in values if v > 0), _sum(v for v in values if v < 0),
            multiplier, reserved,
        )  # fmt: skip

    def trade(self, symbol: str, qty: Decimal, price: Decimal) -> None:
        """Book a fill: `qty` shares, negative for a sale, at `price` USD."""
        self.cash -= qty * price
        held = self._positions.get(symbol, Position(symbol, NOTHING, NOTHING))
        after = held.qty + qty
        if not after:
            del self._positions[symbol]
            return
        average = held.avg_entry_price
        if held.qty * after <= 0:
            average = price
        elif abs(after) > abs(held.qty):
            average = (held.cost_basis + qty * price) / after
        self._positions[symbol] = Position(symbol, after, average)

    def split(self, symbol: str, ratio: Decimal) -> Decimal:
        """Restate quantity and entry price; returns the shares added, negative if taken."""
        held = self._positions.get(symbol)
        if held is None:
            return NOTHING
        qty = (held.qty * ratio).quantize(RATIO_QUANTUM).normalize()
        self._positions[symbol] = replace(held, qty=qty, avg_entry_price=held.cost_basis / qty)
        return qty - held.qty

    def give(self, symbol: str, qty: Decimal, price: Decimal) -> None:
        """Deliver shares from elsewhere, without cash and without a fill."""
        self.trade(symbol, qty, price)
        self.cash += qty * price


def _sum(values: Iterable[Decimal]) -> Decimal:
    return sum(values, NOTHING)
