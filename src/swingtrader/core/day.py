"""What already happened this session, from the broker's orders and executions and our intents.

The broker knows it even after the store was lost. An order that the broker may have, but does not
list, counts as if it did: the limits of a day must hold in the worst case.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from swingtrader.core.orders import IntentState, Purpose, parsed_name
from swingtrader.core.protection import is_resting_stop
from swingtrader.core.snapshot import DayActivity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import date

    from swingtrader.core.orders import BrokerOrder, Intent
    from swingtrader.core.portfolio import BrokerAccount, Execution

NOTHING = Decimal(0)

_ACTIONS = frozenset({Purpose.ENTRY, Purpose.EXIT})


def day_activity(
    orders_today: Sequence[BrokerOrder],
    executions_today: Sequence[Execution],
    open_orders: Sequence[BrokerOrder],
    intents_unsettled: Sequence[Intent],
    *,
    shorts: Collection[str] = (),
) -> DayActivity:
    """Count the session's orders, and name the symbols that they touched.

    An order counts once, however many parts it filled in. Ours for entry or exit count even if
    nothing came of them; anybody else's, and a resting stop, once they have filled something.

    Parameters
    ----------
    orders_today : sequence of BrokerOrder
        Submitted this session, whatever became of them.
    executions_today : sequence of Execution
        Of this session: they tell of orders of earlier sessions, too.
    open_orders : sequence of BrokerOrder
        Of any session. A stop that rests under a position is no reason not to act on the symbol.
    intents_unsettled : sequence of Intent
        The broker may or may not have these; those it lists are not counted again.
    shorts : collection of str
        Symbols held short: nothing is to be done about them.
    """
    counted = [each for each in orders_today if each.filled_qty > 0 or _purpose(each) in _ACTIONS]
    buys = [each for each in counted if each.side == "buy"]
    sells = [each for each in counted if each.side != "buy"]
    bought = [each for each in executions_today if each.side == "buy"]
    sold = [each for each in executions_today if each.side != "buy"]
    busy = [each for each in open_orders if each.is_open and not is_resting_stop(each)]

    names = {each.client_order_id for each in (*orders_today, *open_orders)}
    ids = {each.order_id for each in executions_today}
    unlisted = [
        each
        for each in intents_unsettled
        if each.client_order_id not in names and each.broker_order_id not in ids
    ]
    unlisted_entries = [each for each in unlisted if each.purpose is Purpose.ENTRY]
    unlisted_exits = [each for each in unlisted if each.purpose is Purpose.EXIT]
    unknown = [each for each in intents_unsettled if each.state is IntentState.UNKNOWN]
    entries = {each.id for each in buys} | {each.order_id for each in bought}
    exits = {each.id for each in sells} | {each.order_id for each in sold}
    return DayActivity(
        entries=len(entries) + len(unlisted_entries),
        exits=len(exits) + len(unlisted_exits),
        bought=_symbols(buys, bought, unlisted_entries),
        exited=_symbols([each for each in sells if each.filled_qty > 0], sold),
        open_orders=_symbols(busy, unknown) | frozenset(shorts),
    )


def next_sequence(session: date, orders_today: Iterable[BrokerOrder], highest_stored: int) -> int:
    """Sequence of the session's next client order id.

    It continues after the highest that the broker or the store has: an id stays used for ever,
    and the store may have been lost.

    Parameters
    ----------
    highest_stored : int
        0 for none.
    """
    names = (parsed_name(each.client_order_id) for each in orders_today)
    used = (name.sequence for name in names if name is not None and name.session == session)
    return max(highest_stored, *used, 0) + 1


def spendable_cash(account: BrokerAccount, open_orders: Iterable[BrokerOrder]) -> Decimal | None:
    """Cash that is there and that no open order may still take, USD; None for unknown.

    Never the leveraged buying power. A buy without a limit, or of unstated size, may take
    anything, so it leaves nothing.
    """
    cash, unborrowed = account.cash, account.non_marginable_buying_power
    if cash is None or unborrowed is None:
        return None
    for order in open_orders:
        if order.side != "buy" or not order.is_open:
            continue
        if order.limit_price is None or order.remaining is None:
            return NOTHING
        cash -= order.limit_price * order.remaining
    return max(min(cash, unborrowed), NOTHING)


def _purpose(order: BrokerOrder) -> Purpose | None:
    name = parsed_name(order.client_order_id)
    return None if name is None else name.purpose


def _symbols(*several: Iterable[BrokerOrder | Execution | Intent]) -> frozenset[str]:
    return frozenset(each.symbol for group in several for each in group)
