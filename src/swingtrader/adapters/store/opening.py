"""How the database is opened: made, migrated, or moved aside where it is damaged.

WAL lets `status` read while a run writes; ``synchronous = FULL`` makes a commit survive a power
cut, because an intent to trade must be on the disk before the order is sent.

A damaged file is moved aside with its journal, never deleted and never over an earlier one, and
an empty database takes its place. The check is ``quick_check``, which took 1 ms per megabyte
when measured; a command that only looks can do without, and without the proof that it may write.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

from swingtrader.adapters.migrations import migrate, refuse_newer, schema_version, transaction
from swingtrader.adapters.store.cells import require_aware
from swingtrader.adapters.store.database import (
    BUSY_SECONDS,
    DAMAGED,
    result_code,
    stated_plainly,
)
from swingtrader.errors import ConfigurationError
from swingtrader.files import FILE_MODE, ensure_directory, sync_to_disk, unused_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

STORE_NAME = "swingtrader.sqlite3"

OLDEST_SQLITE = (3, 37)
"""The first with STRICT tables."""

_ENDINGS = ("", "-wal", "-shm", "-journal")


@dataclass(frozen=True)
class Opened:
    """A database ready for use, and what was found and done on the way.

    Attributes
    ----------
    moved_aside : Path or None
        Where a damaged predecessor was put.
    backup : Path or None
        Copy made before the database was migrated.
    created : bool
        Whether there was nothing in its place.
    """

    path: Path
    connection: sqlite3.Connection
    moved_aside: Path | None
    backup: Path | None
    created: bool


def opened(state_dir: Path, *, now: datetime, checked: bool) -> Opened:
    """Open the database of `state_dir`; parameters and errors are those of `Store.open`."""
    require_aware("now", now)
    refuse_old_sqlite()
    ensure_directory(state_dir)
    path = state_dir / STORE_NAME
    with stated_plainly(path), _one_opening_at_a_time(state_dir):
        unusable = _has_lost_its_file(path) or (checked and _is_damaged(path))
        moved_aside = _move_aside(path, now) if unusable else None
        path.touch(mode=FILE_MODE)  # SQLite gives its companions the same mode
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            # First: a newer program's schema may look damaged to an older SQLite.
            refuse_newer(path, connection)
            connection.execute("PRAGMA synchronous = FULL")
            created = schema_version(connection) == 0
            backup = migrate(path, connection, now=now)
            connection.execute("PRAGMA foreign_keys = ON")
            _write_ahead(path, connection)
            if checked:
                _prove_writable(connection)
        except BaseException:
            connection.close()
            raise
    connection.row_factory = sqlite3.Row
    return Opened(path, connection, moved_aside, backup, created)


def refuse_old_sqlite(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> None:
    """Raise ConfigurationError where Python was built with a SQLite that lacks STRICT tables."""
    if version < OLDEST_SQLITE:
        raise ConfigurationError(
            f"this Python has SQLite {'.'.join(map(str, version))}, and the store needs "
            f"{'.'.join(map(str, OLDEST_SQLITE))}; use a Python with a newer one"
        )


def _has_lost_its_file(path: Path) -> bool:
    """Whether only a journal is left, which SQLite would delete."""
    if path.exists() and path.stat().st_size > 0:
        return False
    orphan = _companion(path, "-wal")
    return orphan.exists() and orphan.stat().st_size > 0


def _is_damaged(path: Path) -> bool:
    if not path.exists() or path.stat().st_size == 0:
        return False
    # A connection that may write would, on closing, fold the WAL into the file we want to keep
    # as evidence; but only such a one can undo what a crash left in a rollback journal.
    mode = "rw" if _companion(path, "-journal").exists() else "ro"
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)) as connection:
        try:
            refuse_newer(path, connection)  # here, too, before the schema is read
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            if result_code(error) not in DAMAGED:
                raise
            return True
    return bool(verdict != "ok")


def _move_aside(path: Path, now: datetime) -> Path:
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = unused_path(path.with_name(f"{path.name}.damaged-{stamp}"), _ENDINGS)
    moved = [
        _companion(path, ending).rename(_companion(aside, ending))
        for ending in _ENDINGS
        if _companion(path, ending).exists()
    ]
    sync_to_disk(path.parent)
    return moved[0]


def _companion(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _write_ahead(path: Path, connection: sqlite3.Connection) -> None:
    (journal,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if journal != "wal":
        raise ConfigurationError(
            f"{path}: its file system cannot share memory between processes; use a local disk"
        )


def _prove_writable(connection: sqlite3.Connection) -> None:
    """Commit something now, rather than find out after hours of work that we may not.

    An empty transaction would not do: on a read-only database SQLite lets it begin.
    """
    with transaction(connection):
        connection.execute(f"PRAGMA user_version = {schema_version(connection):d}")


@contextmanager
def _one_opening_at_a_time(state_dir: Path) -> Iterator[None]:
    """Keep two processes from both moving aside, or both migrating.

    The kernel's lock on the directory itself needs no file of its own. It is no substitute for
    `state_lock`, which callers may hold already.
    """
    descriptor = os.open(state_dir, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
