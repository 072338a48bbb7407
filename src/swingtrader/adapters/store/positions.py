"""What is remembered of each position beside what the broker tells."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from swingtrader.adapters.store.cells import (
    cells,
    columns,
    insertion,
    instant_of,
    read,
    selection,
    session_of,
    values_of,
)
from swingtrader.adapters.store.sightings import note_sighting, seen_at
from swingtrader.core.exits import Marks
from swingtrader.core.portfolio import TrackedPosition

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from datetime import datetime

    from swingtrader.adapters.store.cells import Readers
    from swingtrader.adapters.store.database import Database

_MARKS = columns(Marks)
_COLUMNS = (*(name for name in columns(TrackedPosition) if name != "marks"), *_MARKS)
_INSERT = insertion("positions", _COLUMNS)
_UPDATE = _INSERT.replace("INSERT", "INSERT OR REPLACE", 1)
_SELECT = selection("positions", _COLUMNS, "ORDER BY symbol")
_READERS: Readers = {
    "qty": Decimal,
    "entry_price": Decimal,
    "entry_session": session_of,
    "counted_session": session_of,
    "managed": bool,
    "price": Decimal,
    "price_at": instant_of,
    "print_price": Decimal,
    "print_at": instant_of,
    "resting_qty": Decimal,
    "resting_stop": Decimal,
}


class Positions:
    """Positions by symbol, as of the last run that looked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, TrackedPosition]:
        """Every position by symbol, in alphabetical order."""
        return {row["symbol"]: _position(row) for row in self._database.rows(_SELECT)}

    def replace(self, positions: Iterable[TrackedPosition], at: datetime) -> None:
        """Remember these positions and no others, seen at `at`.

        Raises
        ------
        ValueError
            Two have the same symbol.
        """
        rows = [_row(position) for position in positions]
        with self._database.writing() as connection:
            connection.execute("DELETE FROM positions")
            connection.executemany(_INSERT, rows)
            note_sighting(connection, "positions", at)

    def update(self, positions: Iterable[TrackedPosition], at: datetime) -> None:
        """Remember these positions as they now are, and leave the others as they were."""
        rows = [_row(position) for position in positions]
        with self._database.writing() as connection:
            connection.executemany(_UPDATE, rows)
            note_sighting(connection, "positions", at)

    def seen_at(self) -> datetime | None:
        """When they were last replaced; None for never."""
        return seen_at(self._database, "positions")


def _row(position: TrackedPosition) -> dict[str, Any]:
    values = values_of(position)
    return cells(**values_of(values.pop("marks")), **values)


def _position(row: sqlite3.Row) -> TrackedPosition:
    values = read(row, _READERS)
    marks = Marks(**{name: values.pop(name) for name in _MARKS})
    return TrackedPosition(**values, marks=marks)
