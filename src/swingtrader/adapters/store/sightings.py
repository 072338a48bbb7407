"""When something that is replaced as a whole was last looked at, even if nothing was there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from swingtrader.adapters.store.cells import cell, instant_of

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime

    from swingtrader.adapters.store.database import Database

Subject: TypeAlias = Literal["positions", "open_orders"]


def note_sighting(connection: sqlite3.Connection, subject: Subject, at: datetime) -> None:
    """Note that `subject` is as it was at `at`, within the caller's transaction."""
    connection.execute(
        "INSERT INTO sightings (subject, seen_at) VALUES (?, ?) "
        "ON CONFLICT (subject) DO UPDATE SET seen_at = excluded.seen_at",
        (subject, cell(at)),
    )


def seen_at(database: Database, subject: Subject) -> datetime | None:
    """When `subject` was last replaced; None for never."""
    row = database.row("SELECT seen_at FROM sightings WHERE subject = ?", (subject,))
    return None if row is None else instant_of(row["seen_at"])
