"""The regime of each session."""

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
class RegimeRow:
    """The regime that a session is decided in.

    Attributes
    ----------
    p_high_volatility : float
        Filtered probability, from the sessions before.
    label : str
        ``low_volatility`` or ``high_volatility``.
    recorded_at : datetime
        Aware, UTC.
    """

    session: date
    p_high_volatility: float
    label: str
    recorded_at: datetime


_RECORD = insertion(
    "regimes",
    columns(RegimeRow),
    "ON CONFLICT (session) DO UPDATE SET p_high_volatility = excluded.p_high_volatility, "
    "label = excluded.label, recorded_at = excluded.recorded_at",
)
_LATEST = selection("regimes", columns(RegimeRow), "ORDER BY session DESC LIMIT 1")
_OF = selection("regimes", columns(RegimeRow), "WHERE session = ?")
_READERS: Readers = {
    "session": session_of,
    "recorded_at": instant_of,
}


class Regimes:
    """Regimes by session; a second one replaces the first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, session: date, p_high_volatility: float, label: str, at: datetime) -> None:
        """Keep the regime that `session` is decided in.

        Raises
        ------
        ValueError
            The probability is outside [0, 1], or the label is none of ours.
        """
        row = cells(
            session=session, p_high_volatility=p_high_volatility, label=label, recorded_at=at
        )
        with self._database.writing() as connection:
            connection.execute(_RECORD, row)

    def latest(self) -> RegimeRow | None:
        """Regime of the latest session; None when there is none."""
        row = self._database.row(_LATEST)
        return None if row is None else RegimeRow(**read(row, _READERS))

    def of(self, session: date) -> RegimeRow | None:
        """Regime that `session` is decided in; None when it was not recorded."""
        row = self._database.row(_OF, (cell(session),))
        return None if row is None else RegimeRow(**read(row, _READERS))
