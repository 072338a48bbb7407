"""What ran, when, how it ended and what it said: the memory behind `status`.

`started_at` is the order of runs. A run killed halfway has no `finished_at`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from swingtrader.adapters.store.cells import (
    cell,
    cells,
    columns,
    instant_of,
    read,
    selection,
    session_of,
)
from swingtrader.core.portfolio import MarketClock

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from swingtrader.adapters.store.cells import Readers
    from swingtrader.adapters.store.database import Database

KEPT = timedelta(days=90)
"""How long runs are kept, with their decisions; the last one of each command for good."""


@dataclass(frozen=True)
class RunRecord:
    """One run of a command.

    Attributes
    ----------
    started_at : datetime
        By this machine's clock or the broker's, as the command chose.
    asof, session, market_open, next_open, next_close
        The broker's clock and its session; None where the run did not come to ask.
    finished_at, exit_code
        None for a run that is under way or was killed.
    skipped : str or None
        Why it had nothing to do.
    report : dict or None
        What ``--json`` showed.
    """

    run_id: str
    command: str
    mode: str
    started_at: datetime
    asof: datetime | None
    session: date | None
    market_open: bool | None
    next_open: datetime | None
    next_close: datetime | None
    finished_at: datetime | None
    exit_code: int | None
    skipped: str | None
    report: dict[str, Any] | None
    warnings: tuple[str, ...]


_LATEST = "ORDER BY started_at DESC, number DESC LIMIT 1"
_LAST_CLOCK = f"""
    SELECT asof AS at, market_open AS is_open, next_open, next_close, session
    FROM runs WHERE asof IS NOT NULL {_LATEST}
"""  # noqa: S608 - a constant
_READERS: Readers = {
    "started_at": instant_of,
    "asof": instant_of,
    "at": instant_of,
    "session": session_of,
    "market_open": bool,
    "is_open": bool,
    "next_open": instant_of,
    "next_close": instant_of,
    "finished_at": instant_of,
    "report": json.loads,
    "warnings": lambda text: tuple(json.loads(text)),
}
_SAW_CLOCK = """
    UPDATE runs SET asof = :asof, session = :session, market_open = :market_open,
    next_open = :next_open, next_close = :next_close WHERE run_id = :run_id
"""
_FINISH = """
    UPDATE runs SET finished_at = :finished_at, exit_code = :exit_code, skipped = :skipped,
    report = :report, warnings = :warnings WHERE run_id = :run_id
"""
_PRUNE = """
    DELETE FROM runs WHERE started_at < ? AND EXISTS (
        SELECT 1 FROM runs AS later WHERE later.command = runs.command
        AND (later.started_at, later.number) > (runs.started_at, runs.number)
    )
"""


class Runs:
    """Runs of every command."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(self, run_id: str, command: str, mode: str, started_at: datetime) -> None:
        """Note that a run has begun.

        Raises
        ------
        ValueError
            There is one of this id, or `mode` is none of ours.
        """
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO runs (run_id, command, mode, started_at) VALUES (?, ?, ?, ?)",
                (run_id, command, mode, cell(started_at)),
            )

    def saw_clock(self, run_id: str, clock: MarketClock, session: date) -> None:
        """Note what the broker's clock said, and the session it meant.

        Raises
        ------
        ValueError
            No run of this id was started.
        """
        row = cells(
            run_id=run_id,
            asof=clock.at,
            session=session,
            market_open=clock.is_open,
            next_open=clock.next_open,
            next_close=clock.next_close,
        )
        with self._database.writing() as connection:
            _update_one(connection, _SAW_CLOCK, row)

    def finish(
        self,
        run_id: str,
        finished_at: datetime,
        exit_code: int,
        report: Mapping[str, Any] | None,
        skipped: str | None,
        warnings: Sequence[str],
    ) -> None:
        """Note how a run ended, and forget runs older than `KEPT`, but the last of a command.

        Raises
        ------
        ValueError
            No run of this id was started, or `report` holds NaN or infinity.
        """
        row = cells(
            run_id=run_id,
            finished_at=finished_at,
            exit_code=exit_code,
            report=None if report is None else json.dumps(dict(report), allow_nan=False),
            skipped=skipped,
            warnings=json.dumps(list(warnings)),
        )
        with self._database.writing() as connection:
            _update_one(connection, _FINISH, row)
            connection.execute(_PRUNE, (cell(finished_at - KEPT),))

    def last(self, command: str) -> RunRecord | None:
        """Latest run of a command, whatever became of it."""
        return self._one("command = ?", (command,))

    def last_report(self, *commands: str) -> RunRecord | None:
        """Latest run of these commands that finished with a report, and was not skipped."""
        marks = ", ".join("?" for _ in commands)
        condition = f"command IN ({marks}) AND report IS NOT NULL AND skipped IS NULL"
        return self._one(condition, commands)

    def last_clock(self) -> tuple[MarketClock, date] | None:
        """What the latest run that asked was told of the market, and its session."""
        row = self._database.row(_LAST_CLOCK)
        if row is None:
            return None
        clock = read(row, _READERS)
        session: date = clock.pop("session")
        return MarketClock(**clock), session

    def _one(self, condition: str, arguments: Sequence[str]) -> RunRecord | None:
        query = selection("runs", columns(RunRecord), f"WHERE {condition} {_LATEST}")
        row = self._database.row(query, arguments)
        return None if row is None else RunRecord(**read(row, _READERS))


def _update_one(connection: sqlite3.Connection, statement: str, row: Mapping[str, Any]) -> None:
    if connection.execute(statement, row).rowcount != 1:
        raise ValueError(f"no run {row['run_id']} was started")
