"""Sending an order exactly once, waiting for it, and taking it back.

The intent is in the store, committed, before anything is sent. An answer that does not come, or
cannot be read, leaves it unknown: it is looked up under its client order id and only then sent
again, under the same id, so that the broker can have it once at most. Only what the broker says
it has is believed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from swingtrader.commands.trading_run import log
from swingtrader.core.orders import (
    BrokerOrder,
    Intent,
    IntentState,
    OrderType,
    RefusalKind,
    parsed_name,
)
from swingtrader.errors import BrokerUnreachable, OrderRefused, OutcomeUnknown

if TYPE_CHECKING:
    from decimal import Decimal

    from swingtrader.commands.trading_run import TradingRun
    from swingtrader.core.orders import Purpose
    from swingtrader.core.result import Side

SENDS = 3
"""Times an order is sent under its one id before it is left to a later run."""

AMBIGUOUS = frozenset({RefusalKind.DUPLICATE_ID, RefusalKind.OTHER})
"""Refusals after which the broker may have the order all the same: those that say so, and those
whose words could not be read."""

WAITS_SECONDS = (0.2, 0.3, 0.5, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0)
"""Pauses between looks at an order that is to fill or to be canceled: ten seconds in all."""

CANCEL_AGAIN_AFTER = 3
"""Looks after which a cancellation that shows no effect is asked for once more."""

RECOVERED = "recovered"
"""Reason of an order of ours that the store had lost."""


def new_intent(
    run: TradingRun,
    symbol: str,
    side: Side,
    purpose: Purpose,
    qty: Decimal,
    reason: str,
    *,
    limit_price: Decimal | None = None,
    stop_price: Decimal | None = None,
) -> Intent:
    """An order with an id of its own; nothing is written or sent yet."""
    order_type = OrderType.MARKET
    if limit_price is not None:
        order_type = OrderType.LIMIT
    elif stop_price is not None:
        order_type = OrderType.STOP
    return Intent(
        client_order_id=run.name(symbol, side, purpose),
        session=run.session,
        symbol=symbol,
        side=side,
        purpose=purpose,
        qty=qty,
        type=order_type,
        reason=reason,
        run_id=run.run_id,
        written_at=run.clock.at,
        limit_price=limit_price,
        stop_price=stop_price,
    )


def placed(run: TradingRun, intent: Intent) -> Intent:
    """Write a new intent down, send it, and return it as far as it came.

    In a dry run it is only shown.
    """
    if not run.sends_orders:
        run.show_planned(intent)
        return replace(intent, state=IntentState.ABANDONED)
    run.store.intents.write(intent)
    return sent(run, intent)


def sent(run: TradingRun, intent: Intent, *, again: bool = False) -> Intent:
    """Send a written intent; its state is `UNKNOWN` when the broker's word could not be had.

    Parameters
    ----------
    again : bool
        An earlier run may have sent it. Then, as after an attempt without an answer, a refusal
        may be about this attempt only, while the earlier one is at work: it is looked up.
    """
    run.has_acted = True
    for attempt in range(SENDS):
        if attempt:
            run.pause(1.0)
            if intent.side == "buy" and run.entry_refusal() is not None:
                break
        order, refusal = _submitted(run, intent)
        is_first = not again and not attempt
        is_plain = refusal is not None and refusal.kind not in AMBIGUOUS
        if order is None and not (is_first and is_plain):
            try:
                order = run.broker.order_by_client_id(intent.client_order_id)
            except BrokerUnreachable:
                continue
        if order is not None:
            return settled(run, intent, order)
        if refusal is not None and refusal.kind is not RefusalKind.DUPLICATE_ID:
            return _refused(run, intent, refusal)
    run.fail(
        "order.not_settled",
        f"{intent.symbol}: whether the broker has the {intent.side} order of {intent.qty} shares "
        "is unknown; the next run asks again",
        OutcomeUnknown("POST /v2/orders", f"order {intent.client_order_id} is not settled"),
        symbol=intent.symbol,
        client_order_id=intent.client_order_id,
    )
    run.show(intent)
    return intent


def _submitted(run: TradingRun, intent: Intent) -> tuple[BrokerOrder | None, OrderRefused | None]:
    """Send once: the broker's order, or its refusal, or neither where no answer was had."""

    def still_wanted() -> bool:
        return intent.side != "buy" or run.entry_refusal() is None

    try:
        order = run.broker.submit(intent.ticket, still_wanted=still_wanted)
    except OrderRefused as refusal:
        return None, refusal
    except OutcomeUnknown as error:
        log.warning(
            "order.left_unknown",
            symbol=intent.symbol,
            client_order_id=intent.client_order_id,
            why=error.what,
        )
        return None, None
    log.info(
        "order.submitted",
        symbol=intent.symbol,
        side=intent.side,
        qty=str(intent.qty),
        purpose=str(intent.purpose),
        reason=intent.reason,
        client_order_id=intent.client_order_id,
    )
    return order, None


def _refused(run: TradingRun, intent: Intent, refusal: OrderRefused) -> Intent:
    run.store.intents.settle(
        intent.client_order_id, state=IntentState.REFUSED, at=run.clock.at, status=refusal.kind
    )
    sentence = (
        f"{intent.symbol}: the broker refused to {intent.side} {intent.qty} shares "
        f"({refusal.kind}: {refusal.message})"
    )
    facts = {
        "symbol": intent.symbol,
        "side": intent.side,
        "kind": str(refusal.kind),
        "client_order_id": intent.client_order_id,
    }
    if refusal.kind is RefusalKind.RATE_LIMITED:
        # Nothing is wrong with the order: the broker was not to be had for it.
        run.fail("order.refused", sentence, refusal, **facts)
    else:
        run.warn("order.refused", sentence, **facts)
    intent = replace(intent, state=IntentState.REFUSED, status=str(refusal.kind))
    run.show(intent)
    return intent


def settled(run: TradingRun, intent: Intent, order: BrokerOrder) -> Intent:
    """Store what the broker says of one of our orders, and return the intent so."""
    intent = replace(
        intent,
        state=IntentState.WORKING if order.is_open else IntentState.DONE,
        broker_order_id=order.id,
        status=order.status,
        filled_qty=order.filled_qty,
        filled_avg_price=order.filled_avg_price,
    )
    run.store.intents.settle(
        intent.client_order_id,
        state=intent.state,
        at=run.clock.at,
        broker_order_id=order.id,
        status=order.status,
        filled_qty=order.filled_qty,
        filled_avg_price=order.filled_avg_price,
    )
    if intent.run_id == run.run_id:
        run.show(intent)
    return intent


def taken_note_of(run: TradingRun, order: BrokerOrder) -> Intent | None:
    """Store what became of an order, if it is ours; one the store had lost is written anew."""
    name = parsed_name(order.client_order_id)
    if name is None:
        return None
    intent = run.store.intents.get(order.client_order_id)
    if intent is None:
        intent = Intent(
            client_order_id=order.client_order_id,
            session=name.session,
            symbol=name.symbol,
            side=name.side,
            purpose=name.purpose,
            qty=order.filled_qty if order.qty is None else order.qty,
            type=_known_type(order),
            reason=RECOVERED,
            run_id=run.run_id,
            written_at=order.submitted_at or run.clock.at,
            limit_price=order.limit_price,
            stop_price=order.stop_price,
        )
        run.store.intents.write(intent)
        log.info("order.recovered", symbol=order.symbol, client_order_id=order.client_order_id)
    return settled(run, intent, order)


def _known_type(order: BrokerOrder) -> OrderType:
    return OrderType(order.type) if order.type in set(OrderType) else OrderType.MARKET


def awaited(run: TradingRun, intent: Intent) -> Intent:
    """Wait, within bounds, until an order is over; return the intent as it then stands."""
    if intent.state is not IntentState.WORKING or intent.broker_order_id is None:
        return intent
    for wait in WAITS_SECONDS:
        order = _looked_at(run, intent.broker_order_id)
        if order is not None:
            intent = settled(run, intent, order)
            if not order.is_open:
                break
        run.pause(wait)
    return intent


def ended(run: TradingRun, intent: Intent) -> Intent:
    """Wait for an order, and take back what has not filled by then.

    Returns
    -------
    Intent
        Still `WORKING` only if the broker has not confirmed the cancellation.
    """
    intent = awaited(run, intent)
    if intent.state is not IntentState.WORKING or intent.broker_order_id is None:
        return intent
    # Not read once more: an order that cannot be looked at must be taken back all the same.
    order = withdrawn(run, _as_sent(intent, intent.broker_order_id))
    return intent if order is None else settled(run, intent, order)


def _as_sent(intent: Intent, broker_order_id: str) -> BrokerOrder:
    return BrokerOrder(
        id=broker_order_id,
        client_order_id=intent.client_order_id,
        symbol=intent.symbol,
        side=intent.side,
        type=str(intent.type),
        status=intent.status or "",
        qty=intent.qty,
        filled_qty=intent.filled_qty,
    )


def withdrawn(run: TradingRun, order: BrokerOrder) -> BrokerOrder | None:
    """Cancel an order and wait until the broker says that it is over.

    Returns
    -------
    BrokerOrder or None
        As it ended: canceled, or filled meanwhile. None if it did not end within the wait: its
        shares or money are still held, and it may still fill.
    """
    run.has_acted = True
    _ask_to_cancel(run, order)
    for look, wait in enumerate(WAITS_SECONDS, start=1):
        seen = _looked_at(run, order.id)
        if seen is not None:
            if not seen.is_open:
                taken_note_of(run, seen)
                log.info("order.ended", symbol=seen.symbol, order_id=seen.id, status=seen.status)
                return seen
            if look % CANCEL_AGAIN_AFTER == 0 and seen.status != "pending_cancel":
                _ask_to_cancel(run, order)
        run.pause(wait)
    run.fail(
        "order.not_canceled",
        f"{order.symbol}: the broker has not confirmed the end of its {order.side} order; "
        "nothing else is sent for it in this run",
        BrokerUnreachable("DELETE /v2/orders", f"order {order.id} has not ended"),
        symbol=order.symbol,
        order_id=order.id,
    )
    return None


def _ask_to_cancel(run: TradingRun, order: BrokerOrder) -> None:
    try:
        run.broker.cancel(order.id)
    except (OrderRefused, OutcomeUnknown) as error:
        # What became of the order is read next, whatever was answered here.
        log.info("order.cancel_unanswered", symbol=order.symbol, why=str(error))


def _looked_at(run: TradingRun, order_id: str) -> BrokerOrder | None:
    try:
        return run.broker.order(order_id)
    except (BrokerUnreachable, OrderRefused) as error:
        log.info("order.not_seen", order_id=order_id, why=str(error))
        return None
