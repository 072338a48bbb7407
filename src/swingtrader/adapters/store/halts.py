"""Why no entries are made until a person resumes, or until a session is over.

A halt is written without the state lock and read again before every purchase, so that it takes
effect at once. Lifted ones stay on record.
"""

from __future__ import annotations

from dataclasses import dataclass
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
)

if TYPE_CHECKING:
    from datetime import date, datetime

    from swingtrader.adapters.store.cells import Readers
    from swingtrader.adapters.store.database import Database


@dataclass(frozen=True)
class Halt:
    """One reason for no entries.

    Attributes
    ----------
    since : datetime
        Aware, UTC.
    session : date or None
        The only one it holds in; None until it is lifted.
    flatten : bool
        Whether every position is to be closed as well.
    """

    reason: str
    since: datetime
    session: date | None = None
    flatten: bool = False


_INSERT = insertion(
    "halts",
    columns(Halt),
    "ON CONFLICT (reason, coalesce(session, '')) WHERE lifted_at IS NULL "
    "DO UPDATE SET flatten = max(flatten, excluded.flatten)",
)
_LAST_SESSION = """
    SELECT session FROM runs WHERE asof IS NOT NULL ORDER BY started_at DESC, number DESC LIMIT 1
"""
_ACTIVE = selection(
    "halts",
    columns(Halt),
    "WHERE lifted_at IS NULL AND (session IS NULL OR "
    f"session = coalesce(?, ({_LAST_SESSION}))) ORDER BY since, number",
)
# One of a session is not a person's to lift: it ends with its session.
_LIFT = "UPDATE halts SET lifted_at = ? WHERE lifted_at IS NULL AND session IS NULL"
_READERS: Readers = {"since": instant_of, "session": session_of, "flatten": bool}


class Halts:
    """Halts, active and lifted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, reason: str, since: datetime, *, session: date | None = None, flatten: bool = False
    ) -> None:
        """Halt; one that is active already stays as it is, but may be made to flatten.

        Parameters
        ----------
        session : date, optional
            Hold in this session only.
        """
        row = cells(reason=reason, since=since, session=session, flatten=flatten)
        with self._database.writing() as connection:
            connection.execute(_INSERT, row)

    def active(self, session: date | None) -> tuple[Halt, ...]:
        """Halts that hold in a session, oldest first.

        Parameters
        ----------
        session : date or None
            None stands for the one that the latest run to ask the broker was in.
        """
        rows = self._database.rows(_ACTIVE, (cell(session),))
        return tuple(Halt(**read(row, _READERS)) for row in rows)

    def lift_all(self, at: datetime) -> int:
        """Lift every halt but those of one session, which end with it; return how many."""
        with self._database.writing() as connection:
            return connection.execute(_LIFT, (cell(at),)).rowcount
