"""Executions and splits of the account, ours or by hand. They are never pruned.

A split carries a day and no time. It takes effect before the market opens, so it sorts before
the executions of its day, which is New York's: an evening's execution lies in UTC's next day.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from swingtrader.adapters.store.cells import cells, insertion, instant_of, read, session_of
from swingtrader.core.new_york import new_york_date
from swingtrader.core.portfolio import Execution, ShareSplit

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from datetime import datetime

    from swingtrader.adapters.store.cells import Readers
    from swingtrader.adapters.store.database import Database

_COLUMNS = ("id", "symbol", "day", "qty", "at", "side", "price", "order_id")
_INSERT = insertion("fills", _COLUMNS, "ON CONFLICT (id) DO NOTHING")
# NULL sorts first: a split has no instant.
_OF_SYMBOL = "SELECT * FROM fills WHERE symbol = ? ORDER BY day, at, id"
_READERS: Readers = {"day": session_of, "qty": Decimal, "at": instant_of, "price": Decimal}


class Fills:
    """Fills by the broker's activity id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, activities: Iterable[Execution | ShareSplit]) -> int:
        """Add those whose id is not known; return how many were new."""
        rows = [_row(activity) for activity in activities]
        with self._database.writing() as connection:
            return connection.executemany(_INSERT, rows).rowcount

    def unknown(
        self, activities: Iterable[Execution | ShareSplit]
    ) -> tuple[Execution | ShareSplit, ...]:
        """Those of `activities` whose id is not known, in the order given."""
        query = "SELECT 1 FROM fills WHERE id = ?"
        return tuple(
            activity
            for activity in activities
            if self._database.row(query, (activity.id,)) is None
        )

    def all_of(self, symbol: str) -> tuple[Execution | ShareSplit, ...]:
        """Everything that happened to a symbol, oldest first."""
        return tuple(_activity(row) for row in self._database.rows(_OF_SYMBOL, (symbol,)))

    def latest_at(self) -> datetime | None:
        """Instant of the latest execution; None for none. Splits do not count."""
        row = self._database.row("SELECT max(at) AS at FROM fills")
        return None if row is None or row["at"] is None else instant_of(row["at"])


def _row(activity: Execution | ShareSplit) -> dict[str, Any]:
    if isinstance(activity, ShareSplit):
        return cells(
            id=activity.id,
            symbol=activity.symbol,
            day=activity.day,
            qty=activity.added,
            at=None,
            side=None,
            price=None,
            order_id=None,
        )
    return cells(
        id=activity.id,
        symbol=activity.symbol,
        day=new_york_date(activity.at),
        qty=activity.qty,
        at=activity.at,
        side=activity.side,
        price=activity.price,
        order_id=activity.order_id,
    )


def _activity(row: sqlite3.Row) -> Execution | ShareSplit:
    values = read(row, _READERS)
    if values["at"] is None:
        return ShareSplit(values["id"], values["day"], values["symbol"], values["qty"])
    del values["day"]
    return Execution(**values)
