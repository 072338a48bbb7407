"""Orders we mean to send, each on the disk before it is sent.

Only the broker's word settles one. They are never pruned.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from swingtrader.adapters.store.cells import (
    cell,
    cells,
    columns,
    insertion,
    instant_of,
    read,
    selection,
    session_of,
    values_of,
)
from swingtrader.core.orders import Intent, IntentState, OrderType, Purpose, parsed_name

if TYPE_CHECKING:
    from datetime import date, datetime

    from swingtrader.adapters.store.cells import Readers
    from swingtrader.adapters.store.database import Database

_INSERT = insertion("intents", columns(Intent))
_SETTLE = """
    UPDATE intents SET
        state = :state,
        settled_at = :settled_at,
        broker_order_id = coalesce(:broker_order_id, broker_order_id),
        status = coalesce(:status, status),
        filled_qty = coalesce(:filled_qty, filled_qty),
        filled_avg_price = coalesce(:filled_avg_price, filled_avg_price)
    WHERE client_order_id = :client_order_id
"""
_READERS: Readers = {
    "session": session_of,
    "purpose": Purpose,
    "qty": Decimal,
    "type": OrderType,
    "written_at": instant_of,
    "limit_price": Decimal,
    "stop_price": Decimal,
    "state": IntentState,
    "filled_qty": Decimal,
    "filled_avg_price": Decimal,
}


class Intents:
    """Intents by client order id, in the order they were written."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, intent: Intent) -> None:
        """Put an intent on the disk.

        Raises
        ------
        ValueError
            There is one of this client order id already.
        """
        row = cells(**values_of(intent))
        with self._database.writing() as connection:
            connection.execute(_INSERT, row)

    def settle(
        self,
        client_order_id: str,
        *,
        state: IntentState,
        at: datetime,
        broker_order_id: str | None = None,
        status: str | None = None,
        filled_qty: Decimal | None = None,
        filled_avg_price: Decimal | None = None,
    ) -> None:
        """Note what is known of an intent by now; what is None stays as it was.

        Raises
        ------
        ValueError
            There is no intent of this client order id.
        """
        row = cells(
            client_order_id=client_order_id,
            state=state,
            settled_at=at,
            broker_order_id=broker_order_id,
            status=status,
            filled_qty=filled_qty,
            filled_avg_price=filled_avg_price,
        )
        with self._database.writing() as connection:
            if connection.execute(_SETTLE, row).rowcount != 1:
                raise ValueError(f"no intent {client_order_id} was written")

    def unsettled(self) -> tuple[Intent, ...]:
        """Intents that the broker may have or that may still change there."""
        return self._all("state IN ('unknown', 'working')")

    def of_session(self, session: date) -> tuple[Intent, ...]:
        """Intents of one session, settled or not."""
        return self._all("session = ?", cell(session))

    def get(self, client_order_id: str) -> Intent | None:
        """One intent; None when there is none of this id."""
        return next(iter(self._all("client_order_id = ?", client_order_id)), None)

    def highest_sequence(self, session: date) -> int:
        """Highest sequence in the ids of one session; 0 for none."""
        names = (parsed_name(intent.client_order_id) for intent in self.of_session(session))
        return max((name.sequence for name in names if name is not None), default=0)

    def _all(self, condition: str, *arguments: str) -> tuple[Intent, ...]:
        query = selection("intents", columns(Intent), f"WHERE {condition} ORDER BY number")
        rows = self._database.rows(query, arguments)
        return tuple(Intent(**read(row, _READERS)) for row in rows)
