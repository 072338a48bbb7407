"""Whose store this is: it belongs to one account of the broker, for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swingtrader.adapters.store.cells import cell
from swingtrader.errors import ConfigurationError

if TYPE_CHECKING:
    from datetime import datetime

    from swingtrader.adapters.store.database import Database


class Account:
    """The account's number."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def number(self) -> str | None:
        """Number of the account; None as long as none was bound."""
        row = self._database.row("SELECT number FROM account")
        return None if row is None else str(row["number"])

    def bind(self, number: str, at: datetime) -> bool:
        """Bind the store to an account at its first use; return whether this was it.

        Raises
        ------
        ConfigurationError
            It belongs to another account.
        """
        statement = (
            "INSERT INTO account (row, number, bound_at) VALUES (1, ?, ?) ON CONFLICT DO NOTHING"
        )
        with self._database.writing() as connection:
            is_new = connection.execute(statement, (number, cell(at))).rowcount == 1
        bound = self.number()
        if bound != number:
            raise ConfigurationError(
                f"{self._database.path}: belongs to the account ending in {_ending(bound)}, the "
                f"keys to the one ending in {_ending(number)}; use the other keys, or a state "
                "directory of its own for each account"
            )
        return is_new


def _ending(number: str | None) -> str:
    return (number or "")[-4:]
