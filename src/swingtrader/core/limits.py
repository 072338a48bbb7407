"""What no entry may exceed, each refusal by its reason code.

Limits refuse entries only. No function here is asked about an exit, and none may be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from swingtrader.core.reasons import Reason
from swingtrader.core.universe import NO_SECTOR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swingtrader.core.policy import Limits
    from swingtrader.core.snapshot import Account, Snapshot


@dataclass(frozen=True)
class EntryBudget:
    """Room that the account has left while entries are planned, in USD.

    Attributes
    ----------
    exposure_by_sector : mapping
        Market value by sector index; symbols without a sector are in none.
    orders : int
        Entries and exits of the session so far.
    """

    cash_usd: float
    gross_usd: float
    exposure_by_sector: Mapping[int, float]
    positions: int
    orders: int

    def room_usd(
        self, n: int, weight: float, snapshot: Snapshot, limits: Limits
    ) -> tuple[float, Reason]:
        """Dollars that symbol `n` may take, and the reason to give if that buys no share.

        NaN, which buys none, where one of the amounts is unknown.
        """
        equity = snapshot.account.equity_usd
        sector = int(snapshot.sector[n])
        rooms = [
            (min(weight, limits.symbol) * equity, Reason.LESS_THAN_ONE_SHARE),
            (limits.gross * equity - self.gross_usd, Reason.GROSS_LIMIT),
            (limits.dollar_volume * float(snapshot.dollar_volume_usd[n]), Reason.VOLUME_LIMIT),
            (self.cash_usd, Reason.NO_CASH),
        ]
        if sector != NO_SECTOR:
            held = self.exposure_by_sector.get(sector, 0.0)
            rooms.append((limits.sector * equity - held, Reason.SECTOR_LIMIT))
        # An unknown amount is no room: min() alone would pass over a NaN.
        return min(rooms, key=lambda room: -math.inf if math.isnan(room[0]) else room[0])

    def after(self, n: int, cost_usd: float, snapshot: Snapshot) -> EntryBudget:
        """Return the room left once symbol `n` was bought for at most `cost_usd`."""
        sector = int(snapshot.sector[n])
        exposure = dict(self.exposure_by_sector)
        if sector != NO_SECTOR:
            exposure[sector] = exposure.get(sector, 0.0) + cost_usd
        return replace(
            self,
            cash_usd=self.cash_usd - cost_usd,
            gross_usd=self.gross_usd + cost_usd,
            exposure_by_sector=exposure,
            positions=self.positions + 1,
            orders=self.orders + 1,
        )


def entry_budget(snapshot: Snapshot) -> EntryBudget:
    """Room before the first entry. A position without a price counts at its entry price."""
    gross = 0.0
    exposure: dict[int, float] = {}
    for position in snapshot.positions:
        n = snapshot.columns[position.symbol]
        price = float(snapshot.price[n])
        value = position.qty * (position.entry_price if math.isnan(price) else price)
        gross += value
        sector = int(snapshot.sector[n])
        if sector != NO_SECTOR:
            exposure[sector] = exposure.get(sector, 0.0) + value
    return EntryBudget(
        cash_usd=snapshot.account.cash_usd,
        gross_usd=gross,
        exposure_by_sector=exposure,
        positions=len(snapshot.positions),
        orders=snapshot.day.entries + snapshot.day.exits,
    )


def lost_too_much(account: Account, limits: Limits) -> bool:
    """Whether the session's loss has reached its limit; an unknown (NaN) equity counts as lost."""
    return not account.equity_usd > (1.0 - limits.daily_loss) * account.previous_equity_usd


def session_refusal(snapshot: Snapshot, limits: Limits) -> Reason | None:
    """Why nothing at all may be bought now, or None."""
    if snapshot.halts:
        lost = snapshot.halts == (Reason.DAILY_LOSS,)
        return Reason.DAILY_LOSS if lost else Reason.HALTED
    if lost_too_much(snapshot.account, limits):
        return Reason.DAILY_LOSS
    if not snapshot.minutes_to_close > limits.minutes_before_close:
        return Reason.NEAR_CLOSE
    return None


def entry_refusal(  # noqa: PLR0911 - one return a limit
    n: int, snapshot: Snapshot, budget: EntryBudget, limits: Limits
) -> Reason | None:
    """Why symbol `n` may not be bought now whatever its size, or None."""
    symbol = snapshot.symbols[n]
    day = snapshot.day
    if symbol in snapshot.held:
        return Reason.HELD
    if symbol in day.exited:
        return Reason.EXITED_THIS_SESSION
    if symbol in day.bought:
        return Reason.BOUGHT_THIS_SESSION
    if symbol in day.open_orders:
        return Reason.OPEN_ORDER
    if budget.positions >= limits.positions:
        return Reason.POSITION_LIMIT
    if budget.orders >= limits.orders_per_session:
        return Reason.ORDER_LIMIT
    bid, ask = float(snapshot.bid[n]), float(snapshot.ask[n])
    if not (bid > 0 and ask > 0):
        return Reason.NO_QUOTE
    if not snapshot.quote_age_seconds[n] <= limits.quote_age_seconds:
        return Reason.STALE_QUOTE
    if not 0 <= (ask - bid) / ((ask + bid) / 2.0) * 10_000.0 <= limits.spread_bps:
        return Reason.SPREAD_TOO_WIDE
    return None
