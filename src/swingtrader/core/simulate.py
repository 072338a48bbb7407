"""The simulated ledger: the live decisions, session by session, filled by pessimistic rules.

One session of daily bars is played as one run of the risk check and one of `decide` at the
open, and the rest of the bar as risk checks along the worst path (`core.bar_path`). With
intraday bars the timers' own schedule is replayed: a risk check at every bar, `decide` at every
third. The price seen at a mark is the price filled at, plus half-spread and slippage against us.

Decisions read `Known`, whose row t holds what was known before the open of session t. The
panel's own row t is read only to fill orders, to quote, and to mark positions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.bar_path import bar_exit
from swingtrader.core.costs import BPS
from swingtrader.core.decision import Decision, check_risk, decide, size_entries
from swingtrader.core.exits import exit_distances
from swingtrader.core.ledger import Ledger
from swingtrader.core.limits import lost_too_much
from swingtrader.core.reasons import REASON_NUMBER, Action, Reason
from swingtrader.core.sizing import TradeRecord
from swingtrader.core.snapshot import Account, DayActivity, Position, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from swingtrader.core.arrays import BoolArray, FloatArray, IntArray
    from swingtrader.core.costs import Costs
    from swingtrader.core.decision import PlannedOrder
    from swingtrader.core.market import Panel
    from swingtrader.core.policy import Policy
    from swingtrader.core.result import Fill, RoundTrip

DECIDE_EVERY_MINUTES = 15


@dataclass(frozen=True, eq=False)
class Known:
    """What the decision of each session may know. Row t was complete before session t opened.

    Attributes
    ----------
    opens_at, closes_at : ndarray of shape (T,), datetime64[s], UTC
    sector : ndarray of shape (N,)
    probability : ndarray of shape (T, N)
    signals : ndarray of shape (T, 6, N)
    sector_strength : ndarray of shape (T, S)
    close, dollar_volume_usd, atr_fraction : ndarray of shape (T, N)
        Of session t - 1.
    p_high_volatility : ndarray of shape (T,)
    """

    opens_at: np.ndarray
    closes_at: np.ndarray
    sector: IntArray
    probability: FloatArray
    signals: FloatArray
    sector_strength: FloatArray
    close: FloatArray
    dollar_volume_usd: FloatArray
    atr_fraction: FloatArray
    p_high_volatility: FloatArray


@dataclass(frozen=True, eq=False)
class IntradaySession:
    """Bars of one session: `minutes` after the open (M,), `price` at each bar's open (M, N)."""

    minutes: IntArray
    price: FloatArray


@dataclass(frozen=True, eq=False)
class Simulation:
    """Outcome over the L simulated sessions.

    Attributes
    ----------
    rows : range
        Rows of the panel that were simulated.
    equity_usd, cash_usd, gross_exposure, traded_usd : ndarray of shape (L,)
        At the close; `traded_usd` is the dollar sum of the session's buys and sells.
    votes : ndarray of shape (L, N)
    actions, reasons : ndarray of shape (L, N), int8
    """

    rows: range
    initial_cash_usd: float
    equity_usd: FloatArray
    cash_usd: FloatArray
    gross_exposure: FloatArray
    traded_usd: FloatArray
    votes: FloatArray
    actions: IntArray
    reasons: IntArray
    fills: tuple[Fill, ...]
    trades: tuple[RoundTrip, ...]
    record: TradeRecord

    @property
    def returns(self) -> FloatArray:
        """Simple return of every session, the first against the initial cash: shape (L,)."""
        before = np.concatenate([[self.initial_cash_usd], self.equity_usd[:-1]])
        returns: FloatArray = self.equity_usd / before - 1.0
        return returns


class _Day:
    """One session in progress: what happened so far, and the snapshots taken from it."""

    def __init__(self, run: _Run, t: int) -> None:
        self.run = run
        self.t = t
        self.session = run.ledger.dates[t]
        self.opened_at = run.known.opens_at[t]
        self.length_minutes = float(
            (run.known.closes_at[t] - self.opened_at) / np.timedelta64(1, "m")
        )
        self.activity = DayActivity()
        self.lost_too_much = False

    def snapshot(self, price: FloatArray, minute: int) -> Snapshot:
        """Take what is known at `minute` after the open, with quotes around `price` (N,)."""
        run, t = self.run, self.t
        half = run.costs.half_spread_bps / BPS
        halts = (str(Reason.DAILY_LOSS),) if self.lost_too_much else ()
        account = self._account(price)
        at = (self.opened_at + np.timedelta64(minute, "m")).item()
        return Snapshot(
            asof=datetime.combine(at.date(), at.time(), tzinfo=UTC),
            session=self.session,
            minutes_to_close=self.length_minutes - minute,
            symbols=run.panel.symbols,
            sector=run.known.sector,
            probability=run.known.probability[t],
            signals=run.known.signals[t],
            sector_strength=run.known.sector_strength[t],
            close=run.known.close[t],
            dollar_volume_usd=run.known.dollar_volume_usd[t],
            atr_fraction=run.known.atr_fraction[t],
            price=price,
            bid=price * (1.0 - half),
            ask=price * (1.0 + half),
            quote_age_seconds=run.fresh,
            p_high_volatility=float(run.known.p_high_volatility[t]),
            account=account,
            positions=tuple(self._positions()),
            day=self.activity,
            record=run.record,
            halts=halts,
            columns=run.columns,
        )

    def _account(self, price: FloatArray) -> Account:
        run = self.run
        equity = run.ledger.cash_usd + run.ledger.market_value_usd(price)
        account = Account(run.ledger.cash_usd, equity, run.equity_usd)
        # Once lost, the session stays closed to entries even if prices recover, as live.
        self.lost_too_much = self.lost_too_much or lost_too_much(account, run.policy.limits)
        return account

    def _positions(self) -> Iterator[Position]:
        for holding in self.run.ledger.holdings.values():
            yield Position(
                holding.symbol,
                float(holding.qty),
                holding.entry_price,
                holding.entry_session,
                self.t - holding.entry_row,
                holding.marks,
                holding.misses,
                holding.counted_session,
            )

    def sell(self, symbol: str, price: float, reason: Reason) -> None:
        """Sell all of a position, unless an order of this session already works on it."""
        if symbol in self.activity.open_orders or math.isnan(price):
            return
        ledger = self.run.ledger
        ledger.sell(self.t, symbol, price, reason)
        self.activity = replace(
            self.activity,
            exits=self.activity.exits + 1,
            exited=self.activity.exited | {symbol},
            open_orders=self.activity.open_orders | ({symbol} & ledger.holdings.keys()),
        )

    def check_risk(self, price: FloatArray, minute: int) -> None:
        """Run the five-minute job."""
        checked = check_risk(self.snapshot(price, minute), self.run.policy)
        for symbol, marks in checked.marks.items():
            self.run.ledger.holdings[symbol].marks = marks
        for order in checked.sells:
            self.sell_unasked(order.symbol, self._quote(order, price), order.reason)

    def sell_unasked(self, symbol: str, price: float, reason: Reason) -> None:
        """Sell for another reason than a decision, and remember it as the session's action."""
        self.sell(symbol, price, reason)
        if not math.isnan(price):
            self.run.remember_sale(self.t, self.run.columns[symbol], reason)

    def decide(self, price: FloatArray, minute: int) -> None:
        """Run the fifteen-minute job: sells first, then buys with what is there."""
        policy = self.run.policy
        decision = decide(self.snapshot(price, minute), policy)
        for symbol, misses in decision.misses.items():
            holding = self.run.ledger.holdings[symbol]
            holding.misses, holding.counted_session = misses, self.session
        for order in decision.sells:
            self.sell(order.symbol, self._quote(order, price), order.reason)
        columns = [self.run.columns[order.symbol] for order in decision.sells]
        refusals = {n: Reason.NO_QUOTE for n in columns if math.isnan(price[n])}
        if len(decision.candidates):
            entries = size_entries(decision, self.snapshot(price, minute), policy)
            refusals |= entries.refusals
            for order in entries.orders:
                self._buy(order, self._quote(order, price))
        self.run.remember(self.t, decision, refusals)

    def _quote(self, order: PlannedOrder, price: FloatArray) -> float:
        return float(price[self.run.columns[order.symbol]])

    def _buy(self, order: PlannedOrder, quote: float) -> None:
        # An entry that found no volume still was an order: it counts, and is not tried again.
        self.run.ledger.buy(self.t, order, quote)
        self.activity = replace(
            self.activity,
            entries=self.activity.entries + 1,
            bought=self.activity.bought | {order.symbol},
        )

    def walk_bar(self, columns: BoolArray) -> None:
        """Risk checks between the open and the close of the daily bars of `columns` (N,)."""
        run, t = self.run, self.t
        for holding in list(run.ledger.holdings.values()):
            n = holding.column
            if not columns[n] or holding.symbol in self.activity.open_orders:
                continue
            entry = holding.entry_price
            atr = float(run.known.atr_fraction[t, n])
            holding.marks, sale = bar_exit(
                holding.marks,
                exit_distances(atr, run.policy.exits),
                open_ratio=float(run.panel.open[t, n]) / entry,
                high_ratio=float(run.panel.high[t, n]) / entry,
                low_ratio=float(run.panel.low[t, n]) / entry,
                close_ratio=float(run.panel.close[t, n]) / entry,
            )
            if sale is not None:
                self.sell_unasked(holding.symbol, sale.price_ratio * entry, Reason(sale.reason))


class _Run:
    """Everything one simulation carries from session to session."""

    def __init__(
        self,
        panel: Panel,
        known: Known,
        policy: Policy,
        costs: Costs,
        cash_usd: float,
        rows: range,
    ) -> None:
        self.panel = panel
        self.known = known
        self.policy = policy
        self.costs = costs
        self.rows = rows
        self.traded: BoolArray = panel.traded
        self.columns = {symbol: n for n, symbol in enumerate(panel.symbols)}
        self.fresh = np.zeros(len(panel.symbols))
        self.ledger = Ledger(panel, costs, cash_usd)
        self.record = TradeRecord()
        self.equity_usd = cash_usd
        self._recorded = 0
        shape = (len(rows), len(panel.symbols))
        self.votes = np.full(shape, np.nan)
        self.actions = np.zeros(shape, dtype=np.int8)
        self.reasons = np.full(shape, REASON_NUMBER[Reason.NO_BAR], dtype=np.int8)

    def learn_closed_trades(self) -> None:
        """Add the trades that closed before this session to the record."""
        for trade in self.ledger.trades[self._recorded :]:
            self.record = self.record.with_trade(trade.simple_return)
        self._recorded = len(self.ledger.trades)

    def remember(self, t: int, decision: Decision, refusals: Mapping[int, Reason]) -> None:
        """Keep a decision; where an earlier run of the session acted, keep that instead."""
        row = t - self.rows.start
        actions, reasons = decision.actions.copy(), decision.reasons.copy()
        for n, reason in refusals.items():
            actions[n] = Action.HOLD
            reasons[n] = REASON_NUMBER[reason]
        idle = self.actions[row] == Action.HOLD
        np.copyto(self.votes[row], decision.votes)
        np.copyto(self.reasons[row], reasons, where=idle)
        np.copyto(self.actions[row], actions, where=idle)

    def remember_sale(self, t: int, n: int, reason: Reason) -> None:
        """Keep a sale that no run of `decide` asked for."""
        row = t - self.rows.start
        if self.actions[row, n] == Action.HOLD:
            self.actions[row, n] = Action.SELL
            self.reasons[row, n] = REASON_NUMBER[reason]


def simulate(
    panel: Panel,
    known: Known,
    policy: Policy,
    costs: Costs,
    *,
    cash_usd: float,
    rows: range,
    intraday: Callable[[int], IntradaySession | None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Simulation:
    """Trade `rows` of the panel.

    Parameters
    ----------
    panel : Panel
        Tradable symbols only.
    known : Known
        Rows aligned with the panel's.
    cash_usd : float
        Cash before the first session.
    rows : range
        Sessions to trade, as rows of the panel.
    intraday : callable, optional
        Gives the intraday bars of a row; a row without any is played from its daily bar.
    progress : callable, optional
        Told the number of sessions done, after each.
    """
    run = _Run(panel, known, policy, costs, cash_usd, rows)
    ledger = run.ledger
    equity, cash, exposure, traded = (np.zeros(len(rows)) for _ in range(4))
    for done, t in enumerate(rows):
        ledger.start_session()
        run.learn_closed_trades()
        day = _Day(run, t)
        for symbol in ledger.close_delisted(t):
            run.remember_sale(t, run.columns[symbol], Reason.DELISTED)
        _finish_waiting_exits(day)
        bars = None if intraday is None else intraday(t)
        if bars is None:
            _play_daily_bar(day)
        else:
            _play_intraday_bars(day, bars)
        ledger.mark_to_close(t)
        value = ledger.market_value_usd()
        run.equity_usd = ledger.cash_usd + value
        equity[done], cash[done], traded[done] = run.equity_usd, ledger.cash_usd, ledger.traded_usd
        exposure[done] = value / run.equity_usd if run.equity_usd > 0 else 0.0
        if progress is not None:
            progress(done + 1)
    run.learn_closed_trades()
    return Simulation(
        rows=rows,
        initial_cash_usd=cash_usd,
        equity_usd=equity,
        cash_usd=cash,
        gross_exposure=exposure,
        traded_usd=traded,
        votes=run.votes,
        actions=run.actions,
        reasons=run.reasons,
        fills=tuple(ledger.fills),
        trades=tuple(ledger.trades),
        record=run.record,
    )


def _finish_waiting_exits(day: _Day) -> None:
    """Sell at the open what an earlier session's volume did not take."""
    for holding in list(day.run.ledger.holdings.values()):
        if holding.waiting_exit is not None:
            price = float(day.run.panel.open[day.t, holding.column])
            day.sell_unasked(holding.symbol, price, holding.waiting_exit)


def _play_daily_bar(day: _Day) -> None:
    price = day.run.panel.open[day.t]
    if day.run.ledger.holdings:
        day.check_risk(price, 0)
    day.decide(price, 0)
    day.walk_bar(day.run.traded[day.t])


def _play_intraday_bars(day: _Day, bars: IntradaySession) -> None:
    """Replay the timers; a symbol without intraday bars is played from its daily bar."""
    daily_only = day.run.traded[day.t] & np.isnan(bars.price).all(axis=0)
    prices = bars.price.copy()
    prices[0, daily_only] = day.run.panel.open[day.t, daily_only]
    for minute, price in zip(bars.minutes.tolist(), prices, strict=True):
        if day.run.ledger.holdings:
            day.check_risk(price, minute)
        if minute % DECIDE_EVERY_MINUTES == 0:
            day.decide(price, minute)
    day.walk_bar(daily_only)
