"""Before anything new: what became of the orders that earlier runs left behind.

Three things, in this order. Intents that never got an answer are looked up; a sale that the
broker does not have is sent again under its id, in its own session only, because while it is
unknown nothing else may be sent on its symbol and side. A purchase is not: a run that may send
it again comes too late to judge it, and a missed trade is forgiven. Entries and exits still open
are taken back, since neither outlives the run that sent it; a stop whose cancellation is under
way is seen out, so that this run can put another in its place. Then the account is read anew.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from swingtrader.commands.account_view import read_account
from swingtrader.commands.submission import ended, sent, settled, taken_note_of, withdrawn
from swingtrader.commands.trading_run import log
from swingtrader.core.orders import IntentState, Purpose, parsed_name
from swingtrader.errors import BrokerUnreachable

if TYPE_CHECKING:
    from swingtrader.commands.account_view import AccountView
    from swingtrader.commands.trading_run import TradingRun
    from swingtrader.core.orders import BrokerOrder, Intent


def reconciled(run: TradingRun) -> AccountView:
    """Settle what earlier runs left open, and return the account as it then is.

    A dry run settles what can be settled by asking, and sends and cancels nothing.

    Raises
    ------
    BrokerUnreachable
        The account could not be read. A single order that could not be looked up is noted as a
        failure of the run, and its symbol and side stay blocked.
    """
    view = read_account(run)
    run.continue_sequence(view.orders_today)
    changed = _intents_settled(run, view)
    if run.sends_orders:
        leftovers = [order for order in view.open_orders if _must_not_stay(order)]
        for order in leftovers:
            log.warning(
                "order.found_open",
                symbol=order.symbol,
                client_order_id=order.client_order_id,
                status=order.status,
            )
            withdrawn(run, order)
        changed = changed or bool(leftovers)
    return read_account(run) if changed else view


def is_unsettled(run: TradingRun, symbol: str, side: str) -> bool:
    """Whether an unknown order keeps everything else off a symbol and side."""
    return any(
        intent.state is IntentState.UNKNOWN and (intent.symbol, intent.side) == (symbol, side)
        for intent in run.store.intents.unsettled()
    )


def _must_not_stay(order: BrokerOrder) -> bool:
    """Whether it is an entry or exit of ours, or a stop that a killed run began to cancel."""
    name = parsed_name(order.client_order_id)
    return name is not None and (
        name.purpose is not Purpose.PROTECTION or order.status == "pending_cancel"
    )


def _intents_settled(run: TradingRun, view: AccountView) -> bool:
    """Settle intents by what the broker has; return whether the account must be read anew."""
    listed = {order.client_order_id: order for order in (*view.orders_today, *view.open_orders)}
    changed = False
    for intent in run.store.intents.unsettled():
        order = listed.get(intent.client_order_id)
        if order is None:
            try:
                order = run.broker.order_by_client_id(intent.client_order_id)
            except BrokerUnreachable as error:
                run.fail(
                    "order.not_looked_up",
                    f"{intent.symbol}: the {intent.side} order of {intent.session} could not be "
                    "looked up; nothing is sent on that side until it is",
                    error,
                    client_order_id=intent.client_order_id,
                )
                continue
        if order is not None:
            settled(run, intent, order)
        else:
            changed |= _settled_without_order(run, view, intent)
    for order in listed.values():
        if run.store.intents.get(order.client_order_id) is None:
            taken_note_of(run, order)
    return changed


def _settled_without_order(run: TradingRun, view: AccountView, intent: Intent) -> bool:
    """Deal with an intent that the broker says it does not have.

    Returns
    -------
    bool
        Whether the account must be read anew: the order was sent, or its shares are gone.
    """
    if intent.state is IntentState.WORKING or intent.session != run.session:
        run.store.intents.settle(
            intent.client_order_id, state=IntentState.ABANDONED, at=run.clock.at
        )
        log.warning(
            "order.abandoned",
            symbol=intent.symbol,
            side=intent.side,
            client_order_id=intent.client_order_id,
        )
        return False
    if intent.side == "buy" or not run.sends_orders:
        return False
    held = _shares_held(run, view, intent.symbol)
    if held is not None and held < intent.qty:
        # A sale of more than there is would be refused or, worse, open a short. Its id is spent
        # on what is there; on nothing at all it is given up: a late arrival finds no shares.
        if held <= 0:
            run.store.intents.settle(
                intent.client_order_id, state=IntentState.ABANDONED, at=run.clock.at
            )
            return True
        intent = replace(intent, qty=held)
    log.info("order.sent_again", symbol=intent.symbol, client_order_id=intent.client_order_id)
    intent = sent(run, intent, again=True)
    if intent.purpose is Purpose.EXIT:
        ended(run, intent)
    return intent.state is not IntentState.UNKNOWN


def _shares_held(run: TradingRun, view: AccountView, symbol: str) -> Decimal | None:
    """Shares that a sale may count on, read now; None when that is unknown."""
    try:
        position = run.broker.position(symbol)
    except BrokerUnreachable:
        position = next((p for p in view.positions if p.symbol == symbol), None)
        return None if position is None else position.qty_available
    if position is None:
        return Decimal(0)
    return position.qty_available if position.qty_available is not None else position.qty
