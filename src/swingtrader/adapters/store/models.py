"""Which version of each model family was in use when a run last said so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from swingtrader.adapters.store.cells import cells, columns, insertion, instant_of, read, selection

if TYPE_CHECKING:
    from datetime import datetime

    from swingtrader.adapters.store.cells import Readers
    from swingtrader.adapters.store.database import Database


@dataclass(frozen=True)
class ModelRow:
    """A model in use.

    Attributes
    ----------
    trained_at, recorded_at : datetime
        Aware, UTC.
    """

    family: str
    version: str
    trained_at: datetime
    recorded_at: datetime


_RECORD = insertion(
    "models",
    columns(ModelRow),
    "ON CONFLICT (family) DO UPDATE SET version = excluded.version, "
    "trained_at = excluded.trained_at, recorded_at = excluded.recorded_at",
)
_ALL = selection("models", columns(ModelRow), "ORDER BY family")
_READERS: Readers = {"trained_at": instant_of, "recorded_at": instant_of}


class Models:
    """Models in use, one a family."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, family: str, version: str, trained_at: datetime, at: datetime) -> None:
        """Note that this version is in use now, in place of any other of its family."""
        row = cells(family=family, version=version, trained_at=trained_at, recorded_at=at)
        with self._database.writing() as connection:
            connection.execute(_RECORD, row)

    def all(self) -> tuple[ModelRow, ...]:
        """Models in use, by family in alphabetical order."""
        return tuple(ModelRow(**read(row, _READERS)) for row in self._database.rows(_ALL))
