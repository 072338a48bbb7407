"""Selling a position: its stop is taken away, its shares are counted, then they are sold.

Never the other way round: a resting stop holds the shares, and a sale of shares that are not
there opens a short. The position is read anew before each sale, inside the lock. Whatever does
not go through leaves the position to the protection that ends every run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swingtrader.commands.reconciliation import is_unsettled
from swingtrader.commands.submission import ended, new_intent, placed, withdrawn
from swingtrader.core.orders import IntentState, Purpose, parsed_name
from swingtrader.errors import BrokerUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from swingtrader.commands.account_view import AccountView
    from swingtrader.commands.trading_run import TradingRun
    from swingtrader.core.decision import PlannedOrder
    from swingtrader.core.orders import BrokerOrder, Intent
    from swingtrader.core.reasons import Reason


def sell_all(
    run: TradingRun,
    view: AccountView,
    sells: Iterable[PlannedOrder],
    *,
    everything_else_too: bool = False,
) -> None:
    """Sell whole positions, one after the other.

    Parameters
    ----------
    sells : iterable of PlannedOrder
        Symbols and reasons; the quantity is the broker's at the time.
    everything_else_too : bool
        Also take back sell orders that were placed by hand, as for `halt --flatten`.
    """
    for sell in sells:
        try:
            _sell(run, view, sell.symbol, sell.reason, strangers=everything_else_too)
        except BrokerUnreachable as error:
            run.fail(
                "position.not_sold",
                f"{sell.symbol}: could not be sold ({sell.reason}): the broker does not answer",
                error,
                symbol=sell.symbol,
            )


def _sell(
    run: TradingRun, view: AccountView, symbol: str, reason: Reason, *, strangers: bool
) -> None:
    if is_unsettled(run, symbol, "sell"):
        run.warn(
            "position.sale_blocked",
            f"{symbol}: not sold ({reason}) while the outcome of an earlier sale is unknown",
            symbol=symbol,
        )
        return
    if run.sends_orders:
        for order in view.open_orders_of(symbol):
            if order.side != "sell" or not (strangers or _is_ours(order)):
                continue
            if withdrawn(run, order) is None:
                return
    qty = _sellable(run, symbol, reason)
    if qty is None:
        return
    intent = placed(run, new_intent(run, symbol, "sell", Purpose.EXIT, qty, reason))
    whole = qty.to_integral_value(rounding="ROUND_FLOOR")
    if intent.state is IntentState.REFUSED and 0 < whole < qty:
        # Some assets are not traded in fractions: then at least the whole shares go.
        intent = placed(run, new_intent(run, symbol, "sell", Purpose.EXIT, whole, reason))
    _finish(run, intent)


def _is_ours(order: BrokerOrder) -> bool:
    return parsed_name(order.client_order_id) is not None


def _sellable(run: TradingRun, symbol: str, reason: Reason) -> Decimal | None:
    """Shares to sell, read from the broker now; None when there are none, which is said."""
    position = run.broker.position(symbol)
    if position is None or position.qty is None or position.qty <= 0:
        run.warn(
            "position.gone",
            f"{symbol}: was no longer held when it was to be sold ({reason})",
            symbol=symbol,
        )
        # What was read before is out of date: a stop placed by it would open a short.
        run.has_acted = True
        return None
    if not run.sends_orders or position.qty_available is None:
        return position.qty
    qty = min(position.qty, position.qty_available)
    if qty <= 0:
        run.warn(
            "position.shares_held",
            f"{symbol}: not sold ({reason}): another order, placed by hand, holds its shares",
            symbol=symbol,
        )
        return None
    return qty


def _finish(run: TradingRun, intent: Intent) -> None:
    intent = ended(run, intent)
    if run.sends_orders and intent.filled_qty < intent.qty and intent.status != "unknown":
        run.warn(
            "position.not_all_sold",
            f"{intent.symbol}: {intent.filled_qty.normalize():f} of {intent.qty.normalize():f} "
            f"shares were sold ({intent.reason}); the next run looks again",
            symbol=intent.symbol,
            state=str(intent.state),
        )
