"""``swingtrader risk-check``: stop, target and trailing stop on everything held, every 5 minutes.

All of it inside the lock, and without a model or a file of bars: what it needs of the past lies
in the store. Every run ends by seeing to it that a stop rests under each position.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from swingtrader.commands.account_view import read_account
from swingtrader.commands.average_ranges import average_ranges, completed_session
from swingtrader.commands.live_snapshot import Outlook, look, marked
from swingtrader.commands.reconciliation import reconciled
from swingtrader.commands.remembered_positions import remembered
from swingtrader.commands.resting_stops import protect, withdraw_orphans
from swingtrader.commands.run_report import decision_row, full_report, held_rows
from swingtrader.commands.selling import sell_all
from swingtrader.commands.trading_command import trade
from swingtrader.core.decision import PlannedOrder, check_risk
from swingtrader.core.limits import lost_too_much
from swingtrader.core.reasons import Action, Reason
from swingtrader.errors import BrokerUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

    from swingtrader.commands.account_view import AccountView
    from swingtrader.commands.live_snapshot import Seen
    from swingtrader.commands.trading_command import Launch
    from swingtrader.commands.trading_run import TradingRun
    from swingtrader.config import Strategy
    from swingtrader.core.portfolio import TrackedPosition


@dataclass(frozen=True)
class Checked:
    """A risk check, before anything is sold.

    Attributes
    ----------
    sells : tuple of PlannedOrder
        At most one a symbol.
    flattening : bool
        A `halt --flatten` asks for all of them.
    """

    view: AccountView
    positions: Mapping[str, TrackedPosition]
    seen: Seen
    sells: tuple[PlannedOrder, ...]
    flattening: bool


def run_risk_check(run: TradingRun, completed: date) -> dict[str, Any]:
    """Check everything held; the caller holds the lock.

    Parameters
    ----------
    completed : date
        The last completed session.

    Raises
    ------
    BrokerUnreachable
        The account could not be read at all.
    """
    checked = checked_positions(run, completed)
    sell_all(run, checked.view, checked.sells, everything_else_too=checked.flattening)
    finish(run, checked)
    snapshot = checked.seen.snapshot
    sold = {order.symbol: order.reason for order in checked.sells}
    rows = [
        decision_row(
            snapshot,
            snapshot.columns[symbol],
            Action.SELL if symbol in sold else Action.HOLD,
            sold.get(symbol, Reason.HELD if position.managed else Reason.UNMANAGED),
            math.nan,
        )
        for symbol, position in checked.positions.items()
    ]
    rows += held_rows(checked.view.shorts | checked.view.unreadable, Reason.UNMANAGED)
    sales = [row for row in rows if row.symbol in sold]
    if sales:
        run.store.decisions.record(run.run_id, run.session, run.clock.at, {}, sales, None)
    latest = run.store.regimes.latest()
    return full_report(run, rows, math.nan if latest is None else latest.p_high_volatility)


def checked_positions(
    run: TradingRun,
    completed: date,
    outlook: Outlook | None = None,
    age_sessions: Callable[[date], int] | None = None,
) -> Checked:
    """Reconcile, look at prices, raise the marks, and find what is to be sold for its price.

    Parameters
    ----------
    outlook : Outlook, optional
        What `decide` computed beforehand; a risk check has none.
    age_sessions : callable, optional
        Sessions since an entry session. A risk check, which loads no calendar, leaves the ages
        that `decide` has counted.
    """
    view = reconciled(run)
    positions = remembered(run, view)
    if age_sessions is not None:
        positions = {
            symbol: replace(position, age_sessions=age_sessions(position.entry_session))
            for symbol, position in positions.items()
        }
    outlook = outlook or Outlook()
    known = dict(outlook.atr_fractions or {})
    held_without = [symbol for symbol in positions if symbol not in known]
    ranges = known | average_ranges(run, held_without, completed)
    outlook = replace(outlook, atr_fractions=ranges)
    seen = look(run, view, positions, outlook)
    note_daily_loss(run, seen)
    checked = check_risk(seen.snapshot, run.policy)
    positions = marked(positions, seen, checked, run)
    # Before anything is sold: a mark that was seen must not be forgotten over a broken sale.
    run.store.positions.update(positions.values(), run.clock.at)
    flattening = any(halt.flatten for halt in run.store.halts.active(run.session))
    sells = _everything(seen) if flattening else checked.sells
    return Checked(view, positions, seen, tuple(sells), flattening)


def note_daily_loss(run: TradingRun, seen: Seen) -> None:
    """Close the session to entries after too large a loss, and keep it closed."""
    account = seen.snapshot.account
    known = math.isfinite(account.equity_usd) and math.isfinite(account.previous_equity_usd)
    if known and lost_too_much(account, run.policy.limits):
        run.store.halts.add(str(Reason.DAILY_LOSS), run.clock.at, session=run.session)
        run.warn(
            "entries.halted",
            f"the session's loss has reached {run.policy.limits.daily_loss:.1%}: nothing more "
            "is bought today",
        )


def finish(run: TradingRun, checked: Checked) -> None:
    """See to it that a stop rests under every position, and remember how the account now is."""
    view = checked.view
    try:
        if run.has_acted:
            view = read_account(run)
            remembered(run, view)
        run.has_acted = False
        if run.sends_orders:
            withdraw_orphans(run, view.positions, view.open_orders)
        sold = {order.symbol for order in checked.sells}
        protect(
            run,
            view.positions,
            view.open_orders,
            checked.seen.prices,
            leave=() if run.sends_orders else sold,
        )
        if run.has_acted:
            remembered(run, read_account(run))
    except BrokerUnreachable as error:
        run.fail(
            "account.not_read",
            "the account could not be read at the end of the run: whether a stop rests under "
            "every position is for the next run to see",
            error,
        )


def _everything(seen: Seen) -> list[PlannedOrder]:
    return [
        PlannedOrder(position.symbol, "sell", position.qty, None, Reason.FLATTEN)
        for position in seen.snapshot.positions
        if position.managed
    ]


def check_risk_now(launch: Launch, strategy: Strategy) -> dict[str, Any]:
    """Run ``swingtrader risk-check``; see `trade` for what it raises."""
    return trade(
        launch,
        strategy,
        lambda store, _clock, session, _data, _warnings: completed_session(store, session),
        run_risk_check,
    )
