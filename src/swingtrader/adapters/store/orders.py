"""What was open at the broker when a run last looked, ours or anybody's."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from swingtrader.adapters.store.cells import (
    cells,
    columns,
    insertion,
    instant_of,
    read,
    selection,
    values_of,
)
from swingtrader.adapters.store.sightings import note_sighting, seen_at
from swingtrader.core.orders import BrokerOrder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from swingtrader.adapters.store.cells import Readers
    from swingtrader.adapters.store.database import Database

_INSERT = insertion("open_orders", columns(BrokerOrder))
_SELECT = selection("open_orders", columns(BrokerOrder), "ORDER BY number")
_READERS: Readers = {
    "qty": Decimal,
    "filled_qty": Decimal,
    "filled_avg_price": Decimal,
    "limit_price": Decimal,
    "stop_price": Decimal,
    "submitted_at": instant_of,
}


class OpenOrders:
    """Open orders, as of the last run that looked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> tuple[BrokerOrder, ...]:
        """Every order, in the order given."""
        rows = self._database.rows(_SELECT)
        return tuple(BrokerOrder(**read(row, _READERS)) for row in rows)

    def replace(self, orders: Iterable[BrokerOrder], at: datetime) -> None:
        """Remember these orders and no others, seen at `at`.

        Raises
        ------
        ValueError
            Two have the same id.
        """
        rows = [cells(**values_of(order)) for order in orders]
        with self._database.writing() as connection:
            connection.execute("DELETE FROM open_orders")
            connection.executemany(_INSERT, rows)
            note_sighting(connection, "open_orders", at)

    def seen_at(self) -> datetime | None:
        """When they were last replaced; None for never."""
        return seen_at(self._database, "open_orders")
