"""What each signal was worth in the last backtest that measured it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swingtrader.adapters.store.cells import (
    cells,
    columns,
    insertion,
    instant_of,
    read,
    selection,
    session_of,
)
from swingtrader.core.worth import SignalWorth

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from swingtrader.adapters.store.cells import Readers
    from swingtrader.adapters.store.database import Database


@dataclass(frozen=True)
class WorthRow:
    """The worth of one signal, and where it was measured.

    Attributes
    ----------
    first_session, last_session : date
        Of the backtest.
    recorded_at : datetime
        Aware, UTC.
    """

    worth: SignalWorth
    first_session: date
    last_session: date
    recorded_at: datetime


_FIGURES = columns(SignalWorth)
_COLUMNS = (*_FIGURES, "first_session", "last_session", "recorded_at")
_INSERT = insertion("worth", _COLUMNS)
_ALL = selection("worth", _COLUMNS, "ORDER BY number")
_READERS: Readers = {
    "first_session": session_of,
    "last_session": session_of,
    "recorded_at": instant_of,
}


class Worth:
    """Signals of the last backtest."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def replace(
        self, rows: Sequence[SignalWorth], period: tuple[date, date], at: datetime
    ) -> None:
        """Keep what a backtest measured in place of all that was known.

        Parameters
        ----------
        rows : sequence of SignalWorth
            One a signal, in the order they are to be read in.
        period : pair of dates
            First and last session of the backtest.
        at : datetime
            Aware.

        Raises
        ------
        ValueError
            A signal comes twice, or `at` is naive.
        """
        first_session, last_session = period
        written = [
            cells(
                **{name: _unless_nan(getattr(worth, name)) for name in _FIGURES},
                first_session=first_session,
                last_session=last_session,
                recorded_at=at,
            )
            for worth in rows
        ]
        with self._database.writing() as connection:
            connection.execute("DELETE FROM worth")
            connection.executemany(_INSERT, written)

    def latest(self) -> tuple[WorthRow, ...]:
        """Signals of the last backtest that measured them; empty when none has."""
        return tuple(_row(read(row, _READERS)) for row in self._database.rows(_ALL))


def _unless_nan(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


def _row(values: dict[str, object]) -> WorthRow:
    figures = {name: values.pop(name) for name in _FIGURES}
    nan = {name: math.nan for name, value in figures.items() if value is None}
    return WorthRow(SignalWorth(**{**figures, **nan}), **values)  # type: ignore[arg-type] # by name
