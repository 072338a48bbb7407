"""What can go wrong, split by who must act on it.

Errors carry the values they speak of and build their message from them. Which exit code each
becomes is decided in one place, ``swingtrader.cli``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class SwingtraderError(Exception):
    """Anything the program refuses to go on with, said in one line."""


class UsageError(SwingtraderError):
    """The command line does not make sense: the person who typed it must change it."""


class ConfigurationError(SwingtraderError):
    """A setting, file mode or directory is wrong: the operator must change it."""


class DataError(SwingtraderError):
    """A source is missing, damaged or too short: the supplier must mend it."""


class FileDataError(DataError):
    """A data file cannot be used.

    Parameters
    ----------
    path : Path
        The file.
    what : str
        What is wrong with it and what to do, without a full stop.
    symbol, date : str, optional
        Where in the file.
    """

    def __init__(
        self, path: Path, what: str, *, symbol: str | None = None, date: str | None = None
    ) -> None:
        self.path = path
        self.what = what
        self.symbol = symbol
        self.date = date
        super().__init__(path, what, symbol, date)

    def __str__(self) -> str:
        where = " ".join(part for part in (self.symbol, self.date) if part)
        return f"{self.path}: {where}: {self.what}" if where else f"{self.path}: {self.what}"


class LockHeld(SwingtraderError):  # noqa: N818 - a state of affairs, not a mistake
    """Another run holds the state's lock: nobody must act, a later run succeeds."""

    def __init__(self, path: Path, waited_seconds: float) -> None:
        self.path = path
        self.waited_seconds = waited_seconds
        super().__init__(path, waited_seconds)

    def __str__(self) -> str:
        return (
            f"{self.path} is held by another run (waited {self.waited_seconds:g} s); "
            "a later run will succeed"
        )
