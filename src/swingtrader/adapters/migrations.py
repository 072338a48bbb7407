"""How the state database came to have its schema: numbered functions, each applied once.

The number of the last one applied is SQLite's ``user_version``: it lies in the file's header,
changes in the same transaction as the schema, and can be read before any table is known. The
table `migrations` records the same for people, with the time.

A released function is never edited or removed; a change of mind is a further function.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

from swingtrader.adapters.m002_trading import m002_trading
from swingtrader.adapters.m003_learning import m003_learning
from swingtrader.errors import ConfigurationError
from swingtrader.files import FILE_MODE, unused_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    Migration: TypeAlias = Callable[[sqlite3.Connection], None]


def m001_trials(connection: sqlite3.Connection) -> None:
    """Every configuration that was ever backtested, for the deflated Sharpe ratio."""
    connection.execute("""
        CREATE TABLE trials (
            fingerprint TEXT PRIMARY KEY,
            recorded_at TEXT NOT NULL,
            command TEXT NOT NULL,
            config_sha256 TEXT NOT NULL,
            data_sha256 TEXT NOT NULL,
            seed INTEGER NOT NULL,
            first_session TEXT NOT NULL,
            last_session TEXT NOT NULL,
            sessions INTEGER NOT NULL,
            sharpe_per_session REAL NOT NULL,
            sharpe REAL NOT NULL,
            total_return REAL NOT NULL,
            n_trades INTEGER NOT NULL,
            parameters TEXT NOT NULL
        )
    """)
    connection.execute("CREATE INDEX trials_by_data ON trials (data_sha256)")


MIGRATIONS: tuple[Migration, ...] = (m001_trials, m002_trading, m003_learning)
"""In the order of their numbers, which start at 1."""


def schema_version(connection: sqlite3.Connection) -> int:
    """Return the number of the last migration applied; 0 for an empty database."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def refuse_newer(
    path: Path, connection: sqlite3.Connection, chain: Sequence[Migration] = MIGRATIONS
) -> None:
    """Refuse a database that a newer program has migrated.

    Raises
    ------
    ConfigurationError
        Its version is beyond the end of `chain`.
    """
    version = schema_version(connection)
    if version > len(chain):
        raise ConfigurationError(
            f"{path}: is at version {version}, this program knows versions up to {len(chain)}; "
            "use the program that wrote it"
        )


def migrate(
    path: Path,
    connection: sqlite3.Connection,
    *,
    now: datetime,
    chain: Sequence[Migration] = MIGRATIONS,
) -> Path | None:
    """Apply what `chain` has beyond the database's version, each in its own transaction.

    The functions run without foreign key enforcement, since rebuilding a table is impossible
    with it; all references are checked before each commit. They must not call `executescript`,
    which would commit halfway.

    Parameters
    ----------
    path : Path
        The file behind `connection`.
    connection : sqlite3.Connection
        In autocommit mode (``isolation_level=None``), `PRAGMA foreign_keys` off. No other
        process may be migrating; the caller sees to that.
    now : datetime
        Aware; what the records say.
    chain : sequence of callables
        Migration n at index n - 1.

    Returns
    -------
    Path or None
        The backup made beforehand; None if there was nothing to save or nothing to do.

    Raises
    ------
    ConfigurationError
        The database is newer than `chain`; nothing was written.
    sqlite3.IntegrityError
        A migration left a reference dangling; it was undone.
    """
    refuse_newer(path, connection, chain)
    version = schema_version(connection)
    backup = _backed_up(path, connection, version + 1) if 0 < version < len(chain) else None
    for number, migration in enumerate(chain[version:], start=version + 1):
        with transaction(connection):
            migration(connection)
            if connection.execute("PRAGMA foreign_key_check").fetchone():
                raise sqlite3.IntegrityError(f"migration {number} leaves a reference dangling")
            _record(connection, number, migration.__name__, now)
    return backup


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block did, or undo all of it if the block raises.

    It takes the write lock at once: a transaction that began by reading cannot wait for
    another writer, it fails.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite has already undone it when the disk is full
            connection.execute("ROLLBACK")
        raise


def _record(connection: sqlite3.Connection, number: int, name: str, now: datetime) -> None:
    connection.execute("""
        CREATE TABLE IF NOT EXISTS migrations (
            number INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            applied_at TEXT NOT NULL
        )
    """)
    connection.execute(
        "INSERT INTO migrations (number, name, applied_at) VALUES (?, ?, ?)",
        (number, name, now.astimezone(UTC).isoformat(timespec="microseconds")),
    )
    connection.execute(f"PRAGMA user_version = {number:d}")


def _backed_up(path: Path, connection: sqlite3.Connection, next_number: int) -> Path:
    """Copy the database as it is before migration `next_number`, complete or not at all."""
    backup = unused_path(path.with_name(f"{path.name}.before-{next_number}"))
    partial = path.with_name(f"{path.name}.backup-partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=FILE_MODE)
    try:
        with closing(sqlite3.connect(partial)) as copy:
            connection.backup(copy)
        partial.replace(backup)
    finally:
        partial.unlink(missing_ok=True)
    return backup
