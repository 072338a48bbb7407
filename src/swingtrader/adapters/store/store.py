"""The open store: its subjects side by side over one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swingtrader.adapters.store.account import Account
from swingtrader.adapters.store.database import Database
from swingtrader.adapters.store.decisions import Decisions
from swingtrader.adapters.store.fills import Fills
from swingtrader.adapters.store.halts import Halts
from swingtrader.adapters.store.intents import Intents
from swingtrader.adapters.store.models import Models
from swingtrader.adapters.store.opening import Opened, opened
from swingtrader.adapters.store.orders import OpenOrders
from swingtrader.adapters.store.positions import Positions
from swingtrader.adapters.store.ranges import Ranges
from swingtrader.adapters.store.regimes import Regimes
from swingtrader.adapters.store.runs import Runs
from swingtrader.adapters.store.scans import Scans
from swingtrader.adapters.store.sentiment import Sentiment
from swingtrader.adapters.store.trials import Trials
from swingtrader.adapters.store.worth import Worth

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from swingtrader.core.orders import BrokerOrder
    from swingtrader.core.portfolio import Execution, ShareSplit, TrackedPosition


class Store:
    """An open database; a context manager that closes it.

    What is written is one transaction, committed when the method returns. Errors while it is
    open: LockHeld when another process keeps writing for ten seconds, ConfigurationError when
    the disk is full or the file has become read-only, FileDataError when it turns out damaged,
    ValueError when what is to be written makes no sense.

    Attributes
    ----------
    path : Path
    moved_aside : Path or None
        Where a damaged predecessor was put, found on this opening.
    backup : Path or None
        Copy made on this opening, before the database was migrated.
    created : bool
        Whether this opening found nothing. Another command may have been here first: what tells
        that a store knows nothing of its account is that `account.bind` finds it unbound.
    """

    def __init__(self, opened: Opened) -> None:
        self.path = opened.path
        self.moved_aside = opened.moved_aside
        self.backup = opened.backup
        self.created = opened.created
        self._connection = opened.connection
        self._database = Database(opened.path, opened.connection)
        self.account = Account(self._database)
        self.decisions = Decisions(self._database)
        self.fills = Fills(self._database)
        self.halts = Halts(self._database)
        self.intents = Intents(self._database)
        self.models = Models(self._database)
        self.orders = OpenOrders(self._database)
        self.positions = Positions(self._database)
        self.ranges = Ranges(self._database)
        self.regimes = Regimes(self._database)
        self.runs = Runs(self._database)
        self.scans = Scans(self._database)
        self.sentiment = Sentiment(self._database)
        self.trials = Trials(self._database)
        self.worth = Worth(self._database)

    @classmethod
    def open(cls, state_dir: Path, *, now: datetime, checked: bool = True) -> Self:
        """Open the database of `state_dir`, made or migrated as needed.

        Parameters
        ----------
        state_dir : Path
            Created with mode 0750 if missing.
        now : datetime
            Aware. Names what is moved aside and dates the migrations.
        checked : bool
            Whether to look for damage and to prove that it can be written to, which takes some
            20 ms. A command that only reads may go without: damage is then found when it is
            met, and left for a checked opening to set aside.

        Raises
        ------
        ConfigurationError
            It cannot be written to, the disk is full, or a newer program has migrated it.
        LockHeld
            Another process kept writing for ten seconds.
        FileDataError
            It is damaged, and `checked` is false.
        ValueError
            `now` is naive.
        """
        return cls(opened(state_dir, now=now, checked=checked))

    def observe(
        self,
        positions: Iterable[TrackedPosition],
        open_orders: Iterable[BrokerOrder],
        activities: Iterable[Execution | ShareSplit],
        at: datetime,
    ) -> None:
        """Remember at once what the broker was seen to hold, and the fills that led there.

        In one transaction: a position that has taken a fill into account, and a fill that is
        still unknown, would count it twice.
        """
        with self._database.writing():
            self.positions.replace(positions, at)
            self.orders.replace(open_orders, at)
            self.fills.add(activities)

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
