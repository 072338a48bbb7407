"""What the broker says of the account, read in one go, inside the lock.

Orders are read before positions. A stop that fills in between is then seen open with no position
behind it, and nothing is done; the other way round a position would seem unprotected that is
already sold.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from swingtrader.core.day import day_activity, spendable_cash
from swingtrader.core.new_york import new_york_date, start_of
from swingtrader.core.orders import IntentState
from swingtrader.core.portfolio import Execution

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from decimal import Decimal

    from swingtrader.commands.trading_run import TradingRun
    from swingtrader.core.orders import BrokerOrder
    from swingtrader.core.portfolio import BrokerAccount, BrokerPosition, ShareSplit
    from swingtrader.core.snapshot import DayActivity

OVERLAP = timedelta(days=3)
"""How far before the latest activity we know the next look begins: a split carries no time of
day, and an entry may be booked late. Those already known are recognised by their ids."""

FIRST_LOOK = timedelta(days=120)
"""How far back an empty store first looks for the fills behind the account's positions."""


@dataclass(frozen=True)
class AccountView:
    """The account at one moment.

    Attributes
    ----------
    orders_today : tuple of BrokerOrder
        Submitted this session, whatever became of them.
    activities : tuple
        Fills and splits that the store does not know yet, oldest first.
    executions_today : tuple of Execution
        All of this session, known or not.
    """

    account: BrokerAccount
    positions: tuple[BrokerPosition, ...]
    open_orders: tuple[BrokerOrder, ...]
    orders_today: tuple[BrokerOrder, ...]
    activities: tuple[Execution | ShareSplit, ...]
    executions_today: tuple[Execution, ...]

    @property
    def shorts(self) -> frozenset[str]:
        """Symbols sold short: nothing is ever done about them but to say so."""
        return frozenset(p.symbol for p in self.positions if p.qty is not None and p.qty < 0)

    @property
    def unreadable(self) -> frozenset[str]:
        """Symbols whose quantity the broker did not state."""
        return frozenset(p.symbol for p in self.positions if p.qty is None)

    @property
    def spendable_cash(self) -> Decimal | None:
        """USD that entries may take together."""
        return spendable_cash(self.account, self.open_orders)

    def open_orders_of(self, symbol: str) -> tuple[BrokerOrder, ...]:
        """Open orders on a symbol."""
        return tuple(order for order in self.open_orders if order.symbol == symbol)

    def day(self, run: TradingRun) -> DayActivity:
        """What happened this session so far, unsettled intents included."""
        unsettled = [
            intent
            for intent in run.store.intents.unsettled()
            if intent.state is IntentState.UNKNOWN and intent.session == run.session
        ]
        return day_activity(
            self.orders_today,
            self.executions_today,
            self.open_orders,
            unsettled,
            shorts=self.shorts | self.unreadable,
        )


def read_account(run: TradingRun) -> AccountView:
    """Read everything the run must know of the account.

    Raises
    ------
    BrokerUnreachable
        One of the answers did not come: without it nothing may be concluded.
    """
    open_orders = run.broker.open_orders()
    orders_today = run.broker.orders_since(start_of(run.session))
    positions = run.broker.positions()
    account = run.broker.account()
    latest = run.store.fills.latest_at()
    since = run.clock.at - FIRST_LOOK if latest is None else latest - OVERLAP
    recent = run.broker.activities_since(min(since, start_of(run.session)))
    return AccountView(
        account=account,
        positions=positions,
        open_orders=open_orders,
        orders_today=orders_today,
        activities=run.store.fills.unknown(recent),
        executions_today=executions_of(recent, run.session),
    )


def executions_of(
    activities: Sequence[Execution | ShareSplit], session: date
) -> tuple[Execution, ...]:
    """Fills of one session."""
    return tuple(
        activity
        for activity in activities
        if isinstance(activity, Execution) and new_york_date(activity.at) == session
    )
