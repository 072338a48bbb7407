"""``swingtrader decide``: scan, vote, exits, entries, every 15 minutes.

What models and bars say is computed before the lock is taken. Inside it everything is read
again: orders, positions, money, prices. Then sells, then buys with what is really there.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from swingtrader.adapters.calendar import sessions_between
from swingtrader.commands.account_view import read_account
from swingtrader.commands.buying import buy_all
from swingtrader.commands.live_snapshot import Outlook, look
from swingtrader.commands.outlook import outlook_of
from swingtrader.commands.remembered_positions import remembered
from swingtrader.commands.risk_check import Checked, checked_positions, finish, note_daily_loss
from swingtrader.commands.run_report import decision_row, full_report, held_rows
from swingtrader.commands.selling import sell_all
from swingtrader.commands.trading_command import trade
from swingtrader.core.decision import Decision, decide, size_entries
from swingtrader.core.policy import SIGNALS
from swingtrader.core.reasons import REASON_NUMBER, REASONS, Action, Reason
from swingtrader.core.sizing import kelly_fraction
from swingtrader.core.snapshot import snapshot_to_bytes
from swingtrader.errors import BrokerUnreachable

if TYPE_CHECKING:
    from datetime import date

    from swingtrader.adapters.store import DecisionRow
    from swingtrader.commands.live_snapshot import Seen
    from swingtrader.commands.trading_command import Launch
    from swingtrader.commands.trading_run import TradingRun
    from swingtrader.config import Strategy


def run_decide(run: TradingRun, completed: date, outlook: Outlook) -> dict[str, Any]:
    """Decide and trade; the caller holds the lock.

    Raises
    ------
    BrokerUnreachable
        The account could not be read at all.
    """
    checked = checked_positions(run, completed, outlook, partial(_age_sessions, run.session))
    decision = _without_unmanaged(decide(checked.seen.snapshot, run.policy), run.unmanaged)
    _store_misses(run, checked, decision)
    sold_for_price = {order.symbol for order in checked.sells}
    checked = replace(
        checked,
        sells=(
            *checked.sells,
            *(order for order in decision.sells if order.symbol not in sold_for_price),
        ),
    )
    sell_all(run, checked.view, checked.sells, everything_else_too=checked.flattening)
    refusals = _bought(run, checked, decision, outlook)
    finish(run, checked)
    rows = _rows(checked, decision, refusals)
    _record(run, checked.seen, decision, rows)
    return full_report(run, rows, outlook.p_high_volatility)


def _without_unmanaged(decision: Decision, unmanaged: frozenset[str]) -> Decision:
    """Decision without purchases that would then be left to the person, unsold and bare."""
    theirs = [n for n in decision.candidates.tolist() if decision.symbols[n] in unmanaged]
    actions, reasons = decision.actions.copy(), decision.reasons.copy()
    actions[theirs] = Action.HOLD
    reasons[theirs] = REASON_NUMBER[Reason.UNMANAGED]
    candidates = decision.candidates[~np.isin(decision.candidates, theirs)]
    return replace(decision, actions=actions, reasons=reasons, candidates=candidates)


def _age_sessions(session: date, entry_session: date) -> int:
    return max(0, len(sessions_between(entry_session, session)) - 1)


def _store_misses(run: TradingRun, checked: Checked, decision: Decision) -> None:
    positions = [
        replace(
            position,
            misses=decision.misses.get(symbol, position.misses),
            counted_session=run.session,
        )
        for symbol, position in checked.positions.items()
    ]
    run.store.positions.update(positions, run.clock.at)


def _bought(
    run: TradingRun, checked: Checked, decision: Decision, outlook: Outlook
) -> dict[str, Reason]:
    """Buy what fits after the sells; return why each other candidate was left."""
    symbols = decision.symbols
    candidates = {symbols[n] for n in decision.candidates.tolist()}
    if not candidates:
        return {}
    if kelly_fraction(outlook.record, run.policy.sizing) <= 0:
        run.warn(
            "record.without_edge",
            "the ranker's walk-forward record shows no edge: entries take the smallest weight",
        )
    if run.failures:
        return dict.fromkeys(candidates, Reason.HALTED)
    seen = checked.seen
    if run.has_acted:
        try:
            view = read_account(run)
            positions = remembered(run, view)
            if not positions.keys() <= set(symbols):
                # Somebody bought by hand in these seconds; the next run sees it whole.
                return dict.fromkeys(candidates, Reason.HALTED)
            again = look(run, view, positions, _with_atr(outlook, seen), symbols)
        except BrokerUnreachable as error:
            run.fail("account.not_read", "after the sells the account could not be read", error)
            return dict.fromkeys(candidates, Reason.HALTED)
        note_daily_loss(run, again)
        seen = again
    account = seen.snapshot.account
    if not all(map(isfinite, (account.cash_usd, account.equity_usd, account.previous_equity_usd))):
        run.fail(
            "account.not_readable",
            "cash, buying power or equity could not be read: nothing is bought",
            BrokerUnreachable("GET /v2/account", "an amount of money is missing or malformed"),
        )
    entries = size_entries(decision, seen.snapshot, run.policy)
    refusals = {symbols[n]: reason for n, reason in entries.refusals.items()}
    return refusals | buy_all(run, entries.orders)


def _with_atr(outlook: Outlook, seen: Seen) -> Outlook:
    snapshot = seen.snapshot
    ranges = dict(zip(snapshot.symbols, snapshot.atr_fraction.tolist(), strict=True))
    return replace(outlook, atr_fractions=ranges)


def _rows(checked: Checked, decision: Decision, refusals: dict[str, Reason]) -> list[DecisionRow]:
    snapshot = checked.seen.snapshot
    sold = {order.symbol: order.reason for order in checked.sells}
    rows = []
    for n, symbol in enumerate(decision.symbols):
        action, reason = Action(int(decision.actions[n])), REASONS[int(decision.reasons[n])]
        if symbol in sold:
            action, reason = Action.SELL, sold[symbol]
        elif symbol in refusals:
            action, reason = Action.HOLD, refusals[symbol]
        rows.append(decision_row(snapshot, n, action, reason, float(decision.votes[n])))
    view = checked.view
    unseen = (view.shorts | view.unreadable) - set(decision.symbols)
    return rows + held_rows(unseen, Reason.UNMANAGED)


def _record(run: TradingRun, seen: Seen, decision: Decision, rows: list[DecisionRow]) -> None:
    """Keep the decision with all it rested on, so that it can be explained and taken again."""
    weights = dict(zip(SIGNALS, run.policy.vote.weights.tolist(), strict=True))
    run.store.decisions.record(
        run.run_id,
        run.session,
        run.clock.at,
        weights,
        rows,
        snapshot_to_bytes(seen.snapshot),
    )
    ranked = [
        (symbol, int(rank), float(seen.snapshot.probability[n]))
        for n, (symbol, rank) in enumerate(
            zip(decision.symbols, decision.scan_rank.tolist(), strict=True)
        )
        if rank > 0
    ]
    if ranked:
        run.store.scans.record(run.session, ranked)


def decide_now(launch: Launch, strategy: Strategy) -> dict[str, Any]:
    """Run ``swingtrader decide``; see `trade` for what it raises."""
    return trade(
        launch,
        strategy,
        partial(outlook_of, launch.places, strategy),
        lambda run, known: run_decide(run, *known),
    )
