"""What was decided on every symbol, with what it was decided on: the memory behind `why`.

Decisions live as long as their run does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swingtrader.adapters.store.cells import cells, insertion, instant_of, session_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from swingtrader.adapters.store.database import Database

SNAPSHOT_SESSIONS_KEPT = 30

SIGNAL_COLUMNS = ("market", "quant", "rl", "sentiment", "momentum", "regime")
"""Those of ``swingtrader.core.policy``, which imports numpy, and `status` must not."""


@dataclass(frozen=True)
class DecisionRow:
    """What was decided on one symbol.

    Attributes
    ----------
    action : str
        ``buy``, ``sell`` or ``hold``.
    score : float or None
        The vote; None when nobody voted.
    signals : mapping
        By name; None, or no entry, for an absent one.
    reason : str
        Code of the rule that decided.
    """

    symbol: str
    action: str
    score: float | None
    signals: Mapping[str, float | None]
    reason: str


@dataclass(frozen=True)
class LastDecision:
    """The last decision on a symbol, and the run that took it.

    Attributes
    ----------
    row : DecisionRow
        All six signals, None for an absent one.
    weights : dict
        Of the signals, by name.
    """

    row: DecisionRow
    run_id: str
    command: str
    session: date
    asof: datetime
    weights: dict[str, float]


_INSERT_RUN = insertion("decision_runs", ("run_id", "session", "asof", "weights"))
_INSERT = insertion("decisions", ("run", "symbol", "action", "score", *SIGNAL_COLUMNS, "reason"))
_INSERT_SNAPSHOT = insertion("snapshots", ("run", "session", "content"))
_PRUNE_SNAPSHOTS = """
    DELETE FROM snapshots WHERE session NOT IN (
        SELECT DISTINCT session FROM snapshots ORDER BY session DESC LIMIT ?
    )
"""
_LAST_OF = """
    SELECT * FROM decisions
    JOIN decision_runs ON decision_runs.number = decisions.run
    JOIN runs USING (run_id)
    WHERE symbol = ? ORDER BY decisions.run DESC LIMIT 1
"""
_SNAPSHOT = """
    SELECT content FROM snapshots JOIN decision_runs ON decision_runs.number = snapshots.run
    WHERE run_id = ?
"""


class Decisions:
    """Decisions of every run that took any."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self,
        run_id: str,
        session: date,
        asof: datetime,
        weights: Mapping[str, float],
        rows: Sequence[DecisionRow],
        snapshot: bytes | None,
    ) -> None:
        """Keep what a run decided, and what it knew.

        Parameters
        ----------
        weights : mapping
            Of the signals, by name.
        snapshot : bytes or None
            What was known, as ``core.archive`` writes it. Only those of the last
            `SNAPSHOT_SESSIONS_KEPT` sessions are kept.

        Raises
        ------
        ValueError
            The run was not started or has decided before; a symbol comes twice; an action or
            the name of a signal is none of ours; a number is not finite.
        """
        header = cells(
            run_id=run_id,
            session=session,
            asof=asof,
            weights=json.dumps(dict(weights), allow_nan=False),
        )
        decided = [_row(row) for row in rows]
        with self._database.writing() as connection:
            run = connection.execute(_INSERT_RUN, header).lastrowid
            connection.executemany(_INSERT, [{**row, "run": run} for row in decided])
            if snapshot is not None:
                content = cells(run=run, session=session, content=snapshot)
                connection.execute(_INSERT_SNAPSHOT, content)
                connection.execute(_PRUNE_SNAPSHOTS, (SNAPSHOT_SESSIONS_KEPT,))

    def last_of(self, symbol: str) -> LastDecision | None:
        """Last decision on a symbol; None when none is on record."""
        row = self._database.row(_LAST_OF, (symbol,))
        return None if row is None else _last_decision(row)

    def snapshot(self, run_id: str) -> bytes | None:
        """What a run knew when it decided; None when it is not, or no longer, on record."""
        row = self._database.row(_SNAPSHOT, (run_id,))
        return None if row is None else bytes(row["content"])


def _row(row: DecisionRow) -> dict[str, Any]:
    strangers = sorted(set(row.signals) - set(SIGNAL_COLUMNS))
    if strangers:
        raise ValueError(f"{row.symbol}: {', '.join(strangers)}: no such signal")
    return cells(
        symbol=row.symbol,
        action=row.action,
        score=row.score,
        reason=row.reason,
        **{name: row.signals.get(name) for name in SIGNAL_COLUMNS},
    )


def _last_decision(row: sqlite3.Row) -> LastDecision:
    return LastDecision(
        row=DecisionRow(
            symbol=row["symbol"],
            action=row["action"],
            score=row["score"],
            signals={name: row[name] for name in SIGNAL_COLUMNS},
            reason=row["reason"],
        ),
        run_id=row["run_id"],
        command=row["command"],
        session=session_of(row["session"]),
        asof=instant_of(row["asof"]),
        weights=json.loads(row["weights"]),
    )
