"""Cash and positions of a simulation, changed by fills and by nothing else.

Fills are pessimistic: costs go against us, no more than a share of the session's volume is
ours, and cash never goes below zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from swingtrader.core.exits import Marks
from swingtrader.core.reasons import Reason
from swingtrader.core.result import Fill, RoundTrip

if TYPE_CHECKING:
    from datetime import date

    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.costs import Costs
    from swingtrader.core.decision import PlannedOrder
    from swingtrader.core.market import Panel
    from swingtrader.core.result import Side


@dataclass
class Holding:
    """A position as the ledger keeps it, until its quantity is zero again."""

    symbol: str
    column: int
    qty: int
    entry_price: float
    entry_row: int
    entry_session: date
    bought: int
    mark: float
    sold: int = 0
    proceeds_usd: float = 0.0
    fees_usd: float = 0.0
    marks: Marks = field(default_factory=Marks)
    misses: int = 0
    counted_session: date | None = None
    waiting_exit: Reason | None = None


class Ledger:
    """Cash and positions. Fills change it; nothing else does."""

    def __init__(self, panel: Panel, costs: Costs, cash_usd: float) -> None:
        self.panel = panel
        self.costs = costs
        self.cash_usd = cash_usd
        self.holdings: dict[str, Holding] = {}
        self.fills: list[Fill] = []
        self.trades: list[RoundTrip] = []
        self.dates: list[date] = panel.sessions.tolist()
        self.traded_usd = 0.0
        self._shares_left: dict[int, int] = {}

    def start_session(self) -> None:
        """Forget what the previous session used up."""
        self.traded_usd = 0.0
        self._shares_left.clear()

    def market_value_usd(self, price: FloatArray | None = None) -> float:
        """Value of all positions at `price` (N,), or at their last known close."""
        total = 0.0
        for holding in self.holdings.values():
            now = math.nan if price is None else float(price[holding.column])
            total += holding.qty * (holding.mark if math.isnan(now) else now)
        return total

    def buy(self, t: int, order: PlannedOrder, price: float) -> None:
        """Fill a buy at `price` plus costs; what the session's volume does not give lapses.

        The assumed slippage is charged in full even where it lies beyond the order's limit:
        capping it there would flatter.
        """
        if order.symbol in self.holdings:
            raise ValueError(f"{order.symbol} is held; its holding would be lost")
        column = self.panel.column(order.symbol)
        assert column is not None  # noqa: S101 - orders are for symbols of the panel
        paid = self.costs.buy_price(price)
        qty = min(int(order.qty), self._available(t, column), int(self.cash_usd // paid))
        if qty <= 0:
            return
        self._shares_left[column] -= qty
        self.cash_usd -= qty * paid
        self.holdings[order.symbol] = Holding(
            order.symbol, column, qty, paid, t, self.dates[t], qty, mark=price
        )
        self._book(t, order.symbol, "buy", qty, paid, 0.0, order.reason)

    def sell(self, t: int, symbol: str, price: float, reason: Reason) -> None:
        """Fill a sell at `price` less costs; the rest waits for the next session's open."""
        holding = self.holdings[symbol]
        qty = min(holding.qty, self._available(t, holding.column))
        if qty > 0:
            self._shares_left[holding.column] -= qty
            received = self.costs.sell_price(price)
            # A sale worth less than its fees cannot take more cash than there is.
            fees = min(self.costs.sell_fees_usd(qty, received), self.cash_usd + qty * received)
            self._settle(t, holding, qty, received, fees, reason)
        holding.waiting_exit = reason if holding.qty > 0 else None

    def close_delisted(self, t: int) -> tuple[str, ...]:
        """Close what stopped trading at its last close, on its first session without a bar.

        Returns the symbols closed.
        """
        gone = [h for h in self.holdings.values() if self.panel.last_bar[h.column] < t]
        for holding in gone:
            self._settle(t, holding, holding.qty, holding.mark, 0.0, Reason.DELISTED)
        return tuple(holding.symbol for holding in gone)

    def mark_to_close(self, t: int) -> None:
        """Remember each position's close; one without a bar keeps its last."""
        for holding in self.holdings.values():
            close = float(self.panel.close[t, holding.column])
            if not math.isnan(close):
                holding.mark = close

    def _available(self, t: int, column: int) -> int:
        if column not in self._shares_left:
            volume = float(self.panel.volume[t, column])
            self._shares_left[column] = self.costs.tradable_shares(volume)
        return self._shares_left[column]

    def _settle(
        self, t: int, holding: Holding, qty: int, price: float, fees: float, reason: Reason
    ) -> None:
        self.cash_usd += qty * price - fees
        holding.qty -= qty
        holding.sold += qty
        holding.proceeds_usd += qty * price
        holding.fees_usd += fees
        self._book(t, holding.symbol, "sell", qty, price, fees, reason)
        if holding.qty == 0:
            del self.holdings[holding.symbol]
            self.trades.append(self._round_trip(t, holding, reason))

    def _round_trip(self, t: int, holding: Holding, reason: Reason) -> RoundTrip:
        cost = holding.bought * holding.entry_price
        pnl = holding.proceeds_usd - holding.fees_usd - cost
        return RoundTrip(
            symbol=holding.symbol,
            entry_session=holding.entry_session,
            exit_session=self.dates[t],
            qty=holding.bought,
            entry_price=holding.entry_price,
            exit_price=holding.proceeds_usd / holding.sold,
            pnl_usd=pnl,
            simple_return=pnl / cost,
            exit_reason=str(reason),
        )

    def _book(
        self, t: int, symbol: str, side: Side, qty: int, price: float, fees: float, reason: Reason
    ) -> None:
        self.traded_usd += qty * price
        self.fills.append(Fill(self.dates[t], symbol, side, qty, price, fees, str(reason)))
