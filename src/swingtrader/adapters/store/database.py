"""The open connection, as every subject of the store uses it.

There is one way to write, `Database.writing`, and through it one place that commits,
``migrations.transaction``. What SQLite refuses becomes one of our errors here and on opening.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from swingtrader.adapters.migrations import transaction
from swingtrader.errors import ConfigurationError, FileDataError, LockHeld

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

BUSY_SECONDS = 10.0
"""How long another process that writes is waited for."""

DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_REMEDIES = {
    sqlite3.SQLITE_CANTOPEN: "it and its directory must be readable and writable",
    sqlite3.SQLITE_FULL: "free some space",
    sqlite3.SQLITE_IOERR: "the disk is full or failing",
    sqlite3.SQLITE_PERM: "it and its directory must be readable and writable",
    sqlite3.SQLITE_READONLY: "it and its directory must be writable",
}


class Database:
    """A connection that speaks plainly.

    Parameters
    ----------
    path : Path
        The file, for messages.
    connection : sqlite3.Connection
        In autocommit mode, with `sqlite3.Row` as its row factory.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Commit what the block does, or nothing of it.

        Within another such block it joins in, and commits with it.

        Raises
        ------
        LockHeld
            Another process kept writing for `BUSY_SECONDS`.
        ConfigurationError
            The disk is full, or the file has become read-only.
        FileDataError
            It turned out damaged.
        ValueError
            What was to be written breaks a rule of the schema.
        """
        if self._connection.in_transaction:
            yield self._connection
            return
        with stated_plainly(self.path):
            try:
                with transaction(self._connection):
                    yield self._connection
            except sqlite3.IntegrityError as error:
                raise ValueError(f"{self.path}: {error}") from error

    def rows(
        self, query: str, arguments: Sequence[Any] | Mapping[str, Any] = ()
    ) -> list[sqlite3.Row]:
        """All rows of a query, or one of the errors of `writing`."""
        with stated_plainly(self.path):
            return self._connection.execute(query, arguments).fetchall()

    def row(
        self, query: str, arguments: Sequence[Any] | Mapping[str, Any] = ()
    ) -> sqlite3.Row | None:
        """First row of a query; None when there is none."""
        return next(iter(self.rows(query, arguments)), None)


@contextmanager
def stated_plainly(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system refuse into one of our errors."""
    try:
        yield
    except sqlite3.Error as error:
        _restate(path, error)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error


def result_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 where the error is Python's own."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _restate(path: Path, error: sqlite3.Error) -> NoReturn:
    code = result_code(error)
    if code in _BUSY:
        raise LockHeld(path, BUSY_SECONDS) from error
    if code in DAMAGED:
        raise FileDataError(path, f"is damaged ({error}); the next run sets it aside") from error
    if code in _REMEDIES:
        raise ConfigurationError(f"{path}: {error}; {_REMEDIES[code]}") from error
    raise error
