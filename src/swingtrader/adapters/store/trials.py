"""The ledger of backtests, for the deflated Sharpe ratio."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swingtrader.adapters.store.cells import (
    cells,
    columns,
    insertion,
    instant_of,
    read,
    require_aware,
    selection,
    session_of,
    values_of,
)

if TYPE_CHECKING:
    from datetime import date, datetime

    from swingtrader.adapters.store.cells import Readers
    from swingtrader.adapters.store.database import Database


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
        require_aware("recorded_at", self.recorded_at)
        for name in ("sharpe_per_session", "sharpe", "total_return"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be finite, not {getattr(self, name)}")


_INSERT = insertion("trials", columns(Trial), "ON CONFLICT (fingerprint) DO NOTHING")
_SELECT = selection(
    "trials",
    columns(Trial),
    "WHERE data_sha256 = coalesce(:data_sha256, data_sha256) ORDER BY recorded_at, fingerprint",
)
_READERS: Readers = {
    "recorded_at": instant_of,
    "first_session": session_of,
    "last_session": session_of,
}


class Trials:
    """Every configuration ever tried."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, trial: Trial) -> bool:
        """Add `trial` unless its fingerprint is known; return whether it was new."""
        row = cells(**values_of(trial))
        with self._database.writing() as connection:
            return connection.execute(_INSERT, row).rowcount == 1

    def all(self, data_sha256: str | None = None) -> tuple[Trial, ...]:
        """Trials in the order they were recorded, of one set of bars if given."""
        rows = self._database.rows(_SELECT, {"data_sha256": data_sha256})
        return tuple(Trial(**read(row, _READERS)) for row in rows)
