"""What every scan chose: the record of misses, and of what to train on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from swingtrader.adapters.store.cells import (
    cell,
    cells,
    columns,
    insertion,
    read,
    selection,
    session_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from swingtrader.adapters.store.database import Database


@dataclass(frozen=True)
class ScanRow:
    """One symbol of one scan; rank 1 is the highest score."""

    session: date
    symbol: str
    rank: int
    score: float


_INSERT = insertion("scans", columns(ScanRow))
_SINCE = selection("scans", columns(ScanRow), "WHERE session >= ? ORDER BY session, rank, symbol")


class Scans:
    """Scans by session."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, session: date, ranked: Sequence[tuple[str, int, float]]) -> None:
        """Keep a session's scan in place of an earlier one of the same session.

        Parameters
        ----------
        ranked : sequence of (symbol, rank, score)

        Raises
        ------
        ValueError
            A symbol comes twice, or a score is not finite.
        """
        rows = [
            cells(session=session, symbol=symbol, rank=int(rank), score=float(score))
            for symbol, rank, score in ranked
        ]
        with self._database.writing() as connection:
            connection.execute("DELETE FROM scans WHERE session = ?", (cell(session),))
            connection.executemany(_INSERT, rows)

    def since(self, session: date) -> tuple[ScanRow, ...]:
        """Scans of `session` and later, by session and rank."""
        rows = self._database.rows(_SINCE, (cell(session),))
        return tuple(ScanRow(**read(row, {"session": session_of})) for row in rows)
