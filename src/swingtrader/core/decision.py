"""From a snapshot to orders and reasons: the one decision that backtest and live share.

Three pure steps, in the order a run takes them:

1. `check_risk` looks at the price of everything held (every five minutes);
2. `decide` scans, votes and finds the other exits (every fifteen);
3. `size_entries` turns the BUYs into orders that fit what is really there, on a snapshot taken
   after the sells were filled.

Nothing here raises for a refused trade: a refusal is a reason code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.exits import (
    Marks,
    counted_misses,
    decide_exit,
    exit_distances,
    exit_levels,
    price_exit,
    raised_marks,
)
from swingtrader.core.limits import entry_budget, entry_refusal, session_refusal
from swingtrader.core.policy import SIGNALS
from swingtrader.core.reasons import REASON_NUMBER, Action, Reason
from swingtrader.core.regime import exposure_scale
from swingtrader.core.scan import scan
from swingtrader.core.sizing import entry_weight, kelly_fraction, limit_price, whole_shares
from swingtrader.core.vote import weighted_vote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swingtrader.core.arrays import FloatArray, IntArray
    from swingtrader.core.policy import Policy
    from swingtrader.core.result import Side
    from swingtrader.core.snapshot import Position, Snapshot

_QUANT = SIGNALS.index("quant")


@dataclass(frozen=True)
class PlannedOrder:
    """An order to place.

    Attributes
    ----------
    limit_price : float, optional, USD
        None for a market order, as all sells are.
    reason : Reason
        The rule that asks for it.
    vote : float
        NaN when no signal was present.
    """

    symbol: str
    side: Side
    qty: float
    limit_price: float | None
    reason: Reason
    vote: float = math.nan


@dataclass(frozen=True)
class RiskCheck:
    """Sells for their price, and the marks every position now has."""

    sells: tuple[PlannedOrder, ...]
    marks: Mapping[str, Marks]


@dataclass(frozen=True, eq=False)
class Decision:
    """What was decided about each of the N symbols.

    Attributes
    ----------
    symbols : tuple of str, length N
    votes : ndarray of shape (N,)
        NaN where no signal is present.
    actions : ndarray of shape (N,), int8
        Of `Action`.
    reasons : ndarray of shape (N,), int8
        Positions in `REASONS`. A BUY is `entry_vote` until `size_entries` says otherwise.
    scan_rank : ndarray of shape (N,), int
        1 for the highest probability in the scan, 0 outside it.
    sells : tuple of PlannedOrder
    candidates : ndarray of int
        Columns of the BUYs, best vote first.
    misses : mapping
        Consecutive sessions outside the scan, of every held symbol, this session included. A
        session without a ranker, or without a completed bar of the symbol, leaves its count as it
        was: a hole in the data is no opinion. So does a position that is not managed.
    """

    symbols: tuple[str, ...]
    votes: FloatArray
    actions: IntArray
    reasons: IntArray
    scan_rank: IntArray
    sells: tuple[PlannedOrder, ...]
    candidates: IntArray
    misses: Mapping[str, int]


@dataclass(frozen=True)
class Entries:
    """BUY orders that fit, and why each other candidate did not."""

    orders: tuple[PlannedOrder, ...]
    refusals: Mapping[int, Reason]


def price_ratio(position: Position, snapshot: Snapshot) -> float:
    """Confirmed price over average entry price.

    NaN when no price is confirmed, and when the entry price is not positive, as a broker may
    state it for shares that came from a spin-off: such a position has no price to sell for.
    """
    if not position.entry_price > 0:
        return math.nan
    return float(snapshot.price[snapshot.columns[position.symbol]]) / position.entry_price


def check_risk(snapshot: Snapshot, policy: Policy) -> RiskCheck:
    """Sells that stop, trailing stop or target ask for, and raised marks.

    A position that is not managed keeps its marks, as one without a confirmed price does.
    """
    sells: list[PlannedOrder] = []
    marks: dict[str, Marks] = {}
    for position in snapshot.positions:
        ratio = price_ratio(position, snapshot)
        if math.isnan(ratio) or not position.managed:
            marks[position.symbol] = position.marks
            continue
        atr = float(snapshot.atr_fraction[snapshot.columns[position.symbol]])
        distances = exit_distances(atr, policy.exits)
        raised = raised_marks(position.marks, ratio, distances)
        marks[position.symbol] = raised
        reason = price_exit(ratio, exit_levels(raised, distances))
        if reason is not None:
            sells.append(_sell(position, Reason(reason)))
    return RiskCheck(tuple(sells), marks)


def decide(snapshot: Snapshot, policy: Policy) -> Decision:
    """Scan, vote and exits.

    A BUY needs a place in the scan, a vote of at least `buy_at`, the quant signal and enough
    present weight. A held symbol is never bought again; an exit needs none of this. A position
    that is not managed is never sold, and its misses stay as they are.
    """
    votes, present_weight = weighted_vote(snapshot.signals, policy.vote.weights)
    scanned = scan(
        probability=snapshot.probability,
        close=snapshot.close,
        dollar_volume_usd=snapshot.dollar_volume_usd,
        sector=snapshot.sector,
        sector_strength=snapshot.sector_strength,
        rules=policy.scan,
    )
    reasons = scanned.reasons.copy()
    voters = scanned.rank > 0
    enough = present_weight >= policy.vote.minimum_present_weight
    enough &= ~np.isnan(snapshot.signals[_QUANT])
    reasons[voters & ~enough] = REASON_NUMBER[Reason.TOO_FEW_SIGNALS]
    low = voters & enough & ~(votes >= policy.vote.buy_at)
    reasons[low] = REASON_NUMBER[Reason.VOTE_TOO_LOW]
    buys = voters & enough & (votes >= policy.vote.buy_at)
    reasons[buys] = REASON_NUMBER[Reason.ENTRY_VOTE]

    actions = buys.astype(np.int8)
    sells: list[PlannedOrder] = []
    misses: dict[str, int] = {}
    for position in snapshot.positions:
        n = snapshot.columns[position.symbol]
        misses[position.symbol] = position.misses
        if not position.managed:
            actions[n] = Action.HOLD
            reasons[n] = REASON_NUMBER[Reason.UNMANAGED]
            continue
        if scanned.made and not math.isnan(snapshot.close[n]):
            misses[position.symbol] = counted_misses(
                position.misses,
                position.counted_session,
                snapshot.session,
                missed=scanned.rank[n] == 0,
            )
        reason = decide_exit(
            price_ratio=price_ratio(position, snapshot),
            atr_fraction=float(snapshot.atr_fraction[n]),
            vote=float(votes[n]),
            sell_at=policy.vote.sell_at,
            misses=misses[position.symbol],
            age_sessions=position.age_sessions,
            rules=policy.exits,
        )
        actions[n] = Action.HOLD if reason is None else Action.SELL
        reasons[n] = REASON_NUMBER[Reason.HELD if reason is None else Reason(reason)]
        if reason is not None:
            sells.append(_sell(position, Reason(reason), float(votes[n])))
    columns = np.flatnonzero(actions == Action.BUY)
    best_first = columns[np.argsort(-votes[columns], kind="stable")]
    return Decision(
        snapshot.symbols, votes, actions, reasons, scanned.rank, tuple(sells), best_first, misses
    )


def size_entries(decision: Decision, snapshot: Snapshot, policy: Policy) -> Entries:
    """Size the candidates, best vote first, against what `snapshot` shows to be there.

    Parameters
    ----------
    snapshot : Snapshot
        Taken after the sells of the same run were filled: its cash, positions and day's
        activity are those that remain. Its symbols are the decision's, in the same order.

    Raises
    ------
    ValueError
        They are not: a candidate's column would name another stock.
    """
    if snapshot.symbols != decision.symbols:
        raise ValueError("the snapshot has other symbols than the decision")
    candidates = [int(n) for n in decision.candidates]
    blocked = session_refusal(snapshot, policy.limits)
    if blocked is not None:
        return Entries((), dict.fromkeys(candidates, blocked))
    kelly = kelly_fraction(snapshot.record, policy.sizing)
    scale = exposure_scale(snapshot.p_high_volatility)
    budget = entry_budget(snapshot)
    orders: list[PlannedOrder] = []
    refusals: dict[int, Reason] = {}
    for n in candidates:
        reason = entry_refusal(n, snapshot, budget, policy.limits)
        if reason is not None:
            refusals[n] = reason
            continue
        vote = float(decision.votes[n])
        limit = limit_price(float(snapshot.ask[n]), policy.sizing)
        weight = entry_weight(kelly, vote, policy.vote.buy_at, scale, policy.sizing)
        room_usd, binding = budget.room_usd(n, weight, snapshot, policy.limits)
        qty = whole_shares(room_usd, limit)
        if qty == 0:
            refusals[n] = binding
            continue
        budget = budget.after(n, qty * limit, snapshot)
        orders.append(
            PlannedOrder(snapshot.symbols[n], "buy", qty, limit, Reason.ENTRY_VOTE, vote)
        )
    return Entries(tuple(orders), refusals)


def _sell(position: Position, reason: Reason, vote: float = math.nan) -> PlannedOrder:
    return PlannedOrder(position.symbol, "sell", position.qty, None, reason, vote)
