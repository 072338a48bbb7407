"""What can go wrong, split by who must act on it.

Errors carry the values they speak of and build their message from them. Which exit code each
becomes is decided in one place, ``swingtrader.cli``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from swingtrader.core.orders import RefusalKind


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


class BrokerError(SwingtraderError):
    """The broker is away or refuses: nobody must act at once, a later run may succeed."""


class BrokerUnreachable(BrokerError):  # noqa: N818 - a state of affairs, not a mistake
    """No answer, or none that can be read, to something that changes nothing.

    Parameters
    ----------
    asked : str
        Method and path, without host, query or key.
    what : str
        What came instead of an answer.
    """

    def __init__(self, asked: str, what: str) -> None:
        self.asked = asked
        self.what = what
        super().__init__(asked, what)

    def __str__(self) -> str:
        return f"the broker gave no usable answer to {self.asked}: {self.what}"


class OutcomeUnknown(BrokerUnreachable):
    """No usable answer to something that may have taken effect all the same."""


class OrderRefused(BrokerError):  # noqa: N818 - an answer, not a mistake
    """The broker said no.

    Parameters
    ----------
    kind : RefusalKind
    message : str
        The broker's, shortened.
    """

    def __init__(self, kind: RefusalKind, message: str) -> None:
        self.kind = kind
        self.message = message
        super().__init__(kind, message)

    def __str__(self) -> str:
        return f"the broker refused ({self.kind}): {self.message}"


class HubUnreachable(SwingtraderError):  # noqa: N818 - a state of affairs, not a mistake
    """No usable answer from the hub of models: nobody must act, a later try may succeed.

    Parameters
    ----------
    name : str
        The model asked for.
    what : str
        Kind of failure; the library's own words name hosts and run over lines.
    """

    def __init__(self, name: str, what: str) -> None:
        self.name = name
        self.what = what
        super().__init__(name, what)

    def __str__(self) -> str:
        return (
            f"the hub gave no usable answer about {self.name} ({self.what}); try again later, or "
            "fetch it elsewhere and use --from"
        )


class CredentialsRefused(SwingtraderError):  # noqa: N818 - an answer, not a mistake
    """The broker does not accept the keys: the operator must change them."""
