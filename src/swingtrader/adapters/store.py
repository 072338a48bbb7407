"""The state directory's SQLite database: what the program must still know tomorrow.

Today it holds the ledger of trials. WAL lets `status` read while a run writes; ``synchronous =
FULL`` makes a commit survive a power cut, because an intent to trade must be on the disk before
the order is sent. Instants are stored as ISO text in UTC, sessions as ISO dates.

A damaged file is moved aside with its journal, never deleted and never over an earlier one, and
an empty database takes its place; `Store.moved_aside` tells, and the caller says so. The check
on opening is ``quick_check``, which took 1 ms per megabyte when measured.
"""

from __future__ import annotations

import fcntl
import math
import os
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, fields
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from swingtrader.adapters.files import FILE_MODE, ensure_directory, sync_to_disk, unused_path
from swingtrader.adapters.migrations import migrate, refuse_newer, schema_version, transaction
from swingtrader.errors import ConfigurationError, FileDataError, LockHeld

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

STORE_NAME = "swingtrader.sqlite3"
BUSY_SECONDS = 10.0

_ENDINGS = ("", "-wal", "-shm", "-journal")
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_REMEDIES = {
    sqlite3.SQLITE_CANTOPEN: "it and its directory must be readable and writable",
    sqlite3.SQLITE_FULL: "free some space",
    sqlite3.SQLITE_IOERR: "the disk is full or failing",
    sqlite3.SQLITE_PERM: "it and its directory must be readable and writable",
    sqlite3.SQLITE_READONLY: "it and its directory must be writable",
}


@dataclass(frozen=True)
class Trial:
    """One configuration tried on one set of bars; the deflated Sharpe ratio counts them all.

    Attributes
    ----------
    fingerprint : str
        Digest of everything that decides the result: the same one is the same trial.
    recorded_at : datetime
        Aware.
    sessions : int
        Returns behind the Sharpe ratios.
    sharpe_per_session : float
        Of the return in excess of the equal-weighted universe, not annualised.
    sharpe : float
        Annual.
    total_return : float
        As a fraction.
    parameters : str
        Canonical JSON.

    Raises
    ------
    ValueError
        A figure is not finite or `recorded_at` is naive.
    """

    fingerprint: str
    recorded_at: datetime
    command: str
    config_sha256: str
    data_sha256: str
    seed: int
    first_session: date
    last_session: date
    sessions: int
    sharpe_per_session: float
    sharpe: float
    total_return: float
    n_trades: int
    parameters: str

    def __post_init__(self) -> None:
        _require_aware("recorded_at", self.recorded_at)
        for name in ("sharpe_per_session", "sharpe", "total_return"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be finite, not {getattr(self, name)}")


_TRIAL_COLUMNS = ", ".join(column.name for column in fields(Trial))


class Store:
    """An open database; a context manager that closes it.

    Errors while it is open: LockHeld when another process keeps writing for `BUSY_SECONDS`,
    ConfigurationError when the disk is full or the file has become read-only, FileDataError
    when it turns out damaged.

    Attributes
    ----------
    path : Path
    moved_aside : Path or None
        Where a damaged predecessor was put, found on this opening.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, *, moved_aside: Path | None
    ) -> None:
        self.path = path
        self.moved_aside = moved_aside
        self._connection = connection

    @classmethod
    def open(cls, state_dir: Path, *, now: datetime) -> Self:
        """Open the database of `state_dir`, made or migrated as needed.

        Parameters
        ----------
        state_dir : Path
            Created with mode 0750 if missing.
        now : datetime
            Aware. Names what is moved aside and dates the migrations.

        Raises
        ------
        ConfigurationError
            It cannot be written to, the disk is full, or a newer program has migrated it.
        LockHeld
            Another process kept writing for `BUSY_SECONDS`.
        ValueError
            `now` is naive.
        """
        _require_aware("now", now)
        ensure_directory(state_dir)
        path = state_dir / STORE_NAME
        with _stated_plainly(path), _one_opening_at_a_time(state_dir):
            moved_aside = _move_aside(path, now) if _is_damaged(path) else None
            connection = _connected(path, now)
        return cls(path, connection, moved_aside=moved_aside)

    def close(self) -> None:
        """Close the database; a second time does nothing."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def record_trial(self, trial: Trial) -> bool:
        """Add `trial` unless its fingerprint is known; return whether it was new."""
        marks = ", ".join("?" for _ in fields(Trial))
        statement = (
            f"INSERT INTO trials ({_TRIAL_COLUMNS}) VALUES ({marks}) "  # noqa: S608 - constants
            "ON CONFLICT (fingerprint) DO NOTHING"
        )
        values = [_stored(value) for value in astuple(trial)]
        with _stated_plainly(self.path), transaction(self._connection):
            return self._connection.execute(statement, values).rowcount == 1

    def trials(self, data_sha256: str | None = None) -> tuple[Trial, ...]:
        """Trials in the order they were recorded, of one set of bars if given."""
        query = f"SELECT {_TRIAL_COLUMNS} FROM trials"  # noqa: S608 - constants
        if data_sha256 is not None:
            query += " WHERE data_sha256 = ?"
        query += " ORDER BY recorded_at, fingerprint"
        arguments = () if data_sha256 is None else (data_sha256,)
        with _stated_plainly(self.path):
            rows = self._connection.execute(query, arguments).fetchall()
        return tuple(_trial(row) for row in rows)

    def trial_count(self) -> int:
        """How many different trials were ever recorded."""
        with _stated_plainly(self.path):
            (count,) = self._connection.execute("SELECT count(*) FROM trials").fetchone()
        return int(count)


def _require_aware(name: str, instant: datetime) -> None:
    if instant.utcoffset() is None:
        raise ValueError(f"{name} must be an aware datetime, not {instant.isoformat()}")


def _stored(value: object) -> object:
    if isinstance(value, datetime):
        # A fixed width makes the text sort as the instants do.
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return value.isoformat() if isinstance(value, date) else value


def _trial(row: Sequence[Any]) -> Trial:
    values = dict(zip((column.name for column in fields(Trial)), row, strict=True))
    values["recorded_at"] = datetime.fromisoformat(values["recorded_at"])
    for name in ("first_session", "last_session"):
        values[name] = date.fromisoformat(values[name])
    return Trial(**values)


def _is_damaged(path: Path) -> bool:
    if not path.exists() or path.stat().st_size == 0:
        # SQLite would delete a journal that has lost its database.
        orphan = _companion(path, "-wal")
        return orphan.exists() and orphan.stat().st_size > 0
    # A connection that may write would, on closing, fold the WAL into the file we want to keep
    # as evidence; but only such a one can undo what a crash left in a rollback journal.
    mode = "rw" if _companion(path, "-journal").exists() else "ro"
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)) as connection:
        try:
            # First: a newer program's schema may look damaged to an older SQLite.
            refuse_newer(path, connection)
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            if _code(error) not in _DAMAGED:
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


def _connected(path: Path, now: datetime) -> sqlite3.Connection:
    path.touch(mode=FILE_MODE)  # SQLite gives its companions the same mode
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        migrate(path, connection, now=now)
        connection.execute("PRAGMA foreign_keys = ON")
        _write_ahead(path, connection)
        _prove_writable(connection)
    except BaseException:
        connection.close()
        raise
    return connection


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


@contextmanager
def _stated_plainly(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system refuse into one of our errors."""
    try:
        yield
    except sqlite3.Error as error:
        _restate(path, error)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error


def _restate(path: Path, error: sqlite3.Error) -> NoReturn:
    code = _code(error)
    if code in _BUSY:
        raise LockHeld(path, BUSY_SECONDS) from error
    if code in _DAMAGED:
        raise FileDataError(path, f"is damaged ({error}); the next run sets it aside") from error
    if code in _REMEDIES:
        raise ConfigurationError(f"{path}: {error}; {_REMEDIES[code]}") from error
    raise error


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 where the error is Python's own."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
