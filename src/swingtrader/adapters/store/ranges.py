"""True ranges of completed sessions, so that the stops need no bars to be read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from swingtrader.adapters.store.cells import cell, cells, insertion, session_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date, datetime

    from swingtrader.adapters.store.database import Database

SESSIONS_KEPT = 30

_RECORD = insertion(
    "ranges",
    ("session", "symbol", "atr_fraction", "recorded_at"),
    "ON CONFLICT (session, symbol) DO UPDATE SET "
    "atr_fraction = excluded.atr_fraction, recorded_at = excluded.recorded_at",
)
_PRUNE = """
    DELETE FROM ranges WHERE session NOT IN (
        SELECT DISTINCT session FROM ranges ORDER BY session DESC LIMIT ?
    )
"""


class Ranges:
    """ATR(14) over the close, by completed session and symbol."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, session: date, atr_fractions: Mapping[str, float], at: datetime) -> None:
        """Keep the ranges of a completed session, beside what is known of other symbols.

        Only the last `SESSIONS_KEPT` sessions are kept.

        Parameters
        ----------
        atr_fractions : mapping of str to float
            By symbol; NaN, for no range, is left out.
        """
        rows = [
            cells(session=session, symbol=symbol, atr_fraction=float(fraction), recorded_at=at)
            for symbol, fraction in atr_fractions.items()
            if not math.isnan(fraction)
        ]
        with self._database.writing() as connection:
            connection.executemany(_RECORD, rows)
            connection.execute(_PRUNE, (SESSIONS_KEPT,))

    def of(self, session: date, symbols: Iterable[str]) -> dict[str, float]:
        """Ranges of a completed session by symbol; symbols without one are absent."""
        wanted = set(symbols)
        query = "SELECT symbol, atr_fraction FROM ranges WHERE session = ?"
        return {
            symbol: fraction
            for symbol, fraction in self._database.rows(query, (cell(session),))
            if symbol in wanted
        }

    def completed_before(self, session: date, since: datetime) -> date | None:
        """Last completed session that a run of this day already found out; None for none.

        Parameters
        ----------
        since : datetime
            Aware; the beginning of the day of `session`. What was recorded earlier may be of an
            older session.
        """
        query = "SELECT max(session) AS session FROM ranges WHERE session < ? AND recorded_at >= ?"
        row = self._database.row(query, (cell(session), cell(since)))
        return None if row is None or row["session"] is None else session_of(row["session"])
