"""Buying what was sized: marketable limits for the day, canceled within the run if not filled.

One at a time, and before each the halts and the time are looked at again: `halt` takes effect
without the lock. What filled is protected before the next order goes out.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from swingtrader.commands.reconciliation import is_unsettled
from swingtrader.commands.resting_stops import protect_symbol
from swingtrader.commands.submission import ended, new_intent, placed
from swingtrader.core.orders import IntentState, Purpose
from swingtrader.core.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from swingtrader.commands.trading_run import TradingRun
    from swingtrader.core.decision import PlannedOrder

MOST_DECIMALS = 4
"""Of a price below one dollar; above, exchanges quote in cents."""


def buy_all(run: TradingRun, orders: Iterable[PlannedOrder]) -> dict[str, Reason]:
    """Send the entries.

    Returns
    -------
    dict
        Why a symbol's order was not sent after all; empty for those that went out.
    """
    refusals: dict[str, Reason] = {}
    for order in orders:
        reason = _refusal_now(run, order.symbol)
        if reason is not None:
            refusals[order.symbol] = reason
            continue
        _buy(run, order)
    return refusals


def _refusal_now(run: TradingRun, symbol: str) -> Reason | None:
    refusal = run.entry_refusal()
    if refusal is not None:
        return refusal
    if run.failures:
        # With an order unknown or an answer missing, what is really there is no longer known.
        return Reason.HALTED
    if is_unsettled(run, symbol, "buy"):
        return Reason.OPEN_ORDER
    return None


def _buy(run: TradingRun, order: PlannedOrder) -> None:
    if order.limit_price is None:
        raise ValueError(f"{order.symbol}: an entry is a limit order")
    limit = Decimal(str(round(order.limit_price, MOST_DECIMALS)))
    intent = placed(
        run,
        new_intent(
            run,
            order.symbol,
            "buy",
            Purpose.ENTRY,
            Decimal(int(order.qty)),
            order.reason,
            limit_price=limit,
        ),
    )
    intent = ended(run, intent)
    if run.sends_orders and intent.state not in {IntentState.REFUSED, IntentState.ABANDONED}:
        protect_symbol(run, order.symbol)
