"""How values lie in columns: decimals, instants and sessions as text.

A decimal keeps its digits and exponent. An instant is ISO text in UTC of one width, so that it
sorts as time does; a session is an ISO date. NaN has no place: SQLite would make it NULL.
"""

from __future__ import annotations

import math
from dataclasses import fields
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Mapping

    from _typeshed import DataclassInstance

    Readers: TypeAlias = Mapping[str, Callable[[Any], object]]

session_of = date.fromisoformat
"""Read a session."""
instant_of = datetime.fromisoformat
"""Read an instant: aware, UTC."""


def require_aware(name: str, instant: datetime) -> None:
    """Raise ValueError for a naive instant."""
    if instant.utcoffset() is None:
        raise ValueError(f"{name} must be an aware datetime, not {instant.isoformat()}")


def cell(value: object) -> Any:
    """`value` as SQLite keeps it.

    Raises
    ------
    ValueError
        A number is not finite, or an instant is naive.
    """
    if isinstance(value, datetime):
        require_aware("an instant", value)
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal | float) and not math.isfinite(value):
        raise ValueError(f"a number must be finite, not {value}")
    return str(value) if isinstance(value, Decimal) else value


def cells(**values: object) -> dict[str, Any]:
    """`cell` of each value, by name."""
    return {name: cell(value) for name, value in values.items()}


def values_of(record: DataclassInstance) -> dict[str, Any]:
    """Fields of a dataclass by name, not looking into them."""
    return {column.name: getattr(record, column.name) for column in fields(record)}


def read(row: sqlite3.Row, readers: Readers) -> dict[str, Any]:
    """Cells of a row by column name, each through its reader where it has one; NULL is None."""
    return {
        name: readers[name](row[name]) if name in readers and row[name] is not None else row[name]
        for name in row.keys()  # noqa: SIM118 - iterating over a Row yields its cells
    }


def columns(record: type[DataclassInstance]) -> tuple[str, ...]:
    """Columns of a table that has those of a dataclass."""
    return tuple(column.name for column in fields(record))


def selection(table: str, names: Collection[str], rest: str) -> str:
    """Build a SELECT from names that are constants of this program."""
    return f"SELECT {', '.join(names)} FROM {table} {rest}"  # noqa: S608 - constants


def insertion(table: str, names: Collection[str], rest: str = "") -> str:
    """Build an INSERT of named parameters from names that are constants of this program."""
    marks = ", ".join(f":{name}" for name in names)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks}) {rest}"  # noqa: S608 - see above
