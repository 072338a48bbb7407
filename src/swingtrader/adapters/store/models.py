"""Which version of each model family was in use when a run last said so."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from swingtrader.adapters.store.cells import cells, columns, insertion, instant_of, read, selection

if TYPE_CHECKING:
    from collections.abc import Mapping
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
    validation : mapping of figure to value
        What the version was judged by; empty where nobody has said.
    """

    family: str
    version: str
    trained_at: datetime
    recorded_at: datetime
    validation: Mapping[str, float] = field(default_factory=dict)


# In the update, a bare name is the row that is there.
_RECORD = insertion(
    "models",
    columns(ModelRow),
    "ON CONFLICT (family) DO UPDATE SET validation = CASE "
    "WHEN :judged OR version <> excluded.version THEN excluded.validation ELSE validation END, "
    "version = excluded.version, trained_at = excluded.trained_at, "
    "recorded_at = excluded.recorded_at",
)
_ALL = selection("models", columns(ModelRow), "ORDER BY family")
_READERS: Readers = {
    "trained_at": instant_of,
    "recorded_at": instant_of,
    "validation": json.loads,
}


class Models:
    """Models in use, one a family."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self,
        family: str,
        version: str,
        trained_at: datetime,
        at: datetime,
        validation: Mapping[str, float] | None = None,
    ) -> None:
        """Note that this version is in use now, in place of any other of its family.

        Parameters
        ----------
        validation : mapping of figure to value, optional
            What the version was judged by. Without it, what is known of the same version stays.

        Raises
        ------
        ValueError
            A figure is not finite, or an instant is naive.
        """
        row = cells(
            family=family,
            version=version,
            trained_at=trained_at,
            recorded_at=at,
            validation=json.dumps(dict(validation or {}), allow_nan=False),
            judged=validation is not None,
        )
        with self._database.writing() as connection:
            connection.execute(_RECORD, row)

    def all(self) -> tuple[ModelRow, ...]:
        """Models in use, by family in alphabetical order."""
        return tuple(ModelRow(**read(row, _READERS)) for row in self._database.rows(_ALL))
