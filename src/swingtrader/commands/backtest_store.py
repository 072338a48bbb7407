"""The store as a backtest uses it: opened under the state lock for a moment at a time.

A backtest runs for minutes and must not keep the timers' commands waiting, so each look and
each record opens the store anew.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swingtrader.adapters.lock import state_lock
from swingtrader.adapters.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from datetime import datetime

    from swingtrader.commands.backtest_inputs import BacktestOptions

LOCK_WAIT_SECONDS = 10.0


def ready_store(options: BacktestOptions, *, warn: Callable[..., None]) -> None:
    """Open the store once, so that what keeps the trial off record is said before the work.

    Raises
    ------
    ConfigurationError
        It cannot be written to, or belongs to a newer version of the program.
    LockHeld
        Another run holds it.
    """
    with locked_store(options, warn=warn):
        pass


@contextmanager
def locked_store(options: BacktestOptions, *, warn: Callable[..., None]) -> Iterator[Store]:
    """Open the store for the length of the block, which should be a moment.

    Raises
    ------
    ConfigurationError, LockHeld
        As for `ready_store`.
    """
    with (
        state_lock(options.state_dir, wait_seconds=LOCK_WAIT_SECONDS),
        Store.open(options.state_dir, now=options.now) as store,
    ):
        if store.moved_aside is not None:
            warn("store.damaged", moved_to=str(store.moved_aside), why="trials count anew")
        yield store


@dataclass(frozen=True)
class LockedScores:
    """Scores of headlines in the store, which is open only while it is asked."""

    options: BacktestOptions
    warn: Callable[..., None]

    def scores(self, model: str, headlines: Collection[str]) -> dict[str, float]:
        """Scores on record, by the headline's digest."""
        with locked_store(self.options, warn=self.warn) as store:
            return store.sentiment.scores(model, headlines)

    def record(self, model: str, scores: Mapping[str, float], at: datetime) -> None:
        """Keep scores by the headline's digest."""
        with locked_store(self.options, warn=self.warn) as store:
            store.sentiment.record(model, scores, at)
