"""The fitted regime model of each week, and the regime of each session."""

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
class StoredRegimeModel:
    """Parameters of a fitted model.

    Attributes
    ----------
    week : date
        What names the week it was fitted for.
    first_session : date
        First session that it was fitted on.
    content : bytes
        The parameters, in the format of who fits them.
    fitted_at : datetime
        Aware, UTC.
    """

    week: date
    first_session: date
    content: bytes
    fitted_at: datetime


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


_SAVE_MODEL = insertion(
    "regime_models",
    columns(StoredRegimeModel),
    "ON CONFLICT (week) DO UPDATE SET first_session = excluded.first_session, "
    "content = excluded.content, fitted_at = excluded.fitted_at",
)
_MODEL = selection("regime_models", columns(StoredRegimeModel), "ORDER BY week DESC LIMIT 1")
_RECORD = insertion(
    "regimes",
    columns(RegimeRow),
    "ON CONFLICT (session) DO UPDATE SET p_high_volatility = excluded.p_high_volatility, "
    "label = excluded.label, recorded_at = excluded.recorded_at",
)
_LATEST = selection("regimes", columns(RegimeRow), "ORDER BY session DESC LIMIT 1")
_OF = selection("regimes", columns(RegimeRow), "WHERE session = ?")
_READERS: Readers = {
    "week": session_of,
    "first_session": session_of,
    "fitted_at": instant_of,
    "session": session_of,
    "recorded_at": instant_of,
}


class Regimes:
    """Regime models by week and regimes by session; a second one replaces the first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save_model(self, week: date, first_session: date, content: bytes, at: datetime) -> None:
        """Keep the model of a week."""
        row = cells(week=week, first_session=first_session, content=content, fitted_at=at)
        with self._database.writing() as connection:
            connection.execute(_SAVE_MODEL, row)

    def model(self) -> StoredRegimeModel | None:
        """Model of the latest week; None when there is none."""
        row = self._database.row(_MODEL)
        return None if row is None else StoredRegimeModel(**read(row, _READERS))

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
