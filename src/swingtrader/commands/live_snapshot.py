"""The snapshot of a live run: what `decide` and `check_risk` of the core are given.

The backtest fills the same snapshot from bars. Here prices are what the feed shows now, money
and positions what the broker says, and everything about past sessions what was computed before
the lock was taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.confirmation import confirmed_price
from swingtrader.core.exits import exit_distances, exit_levels
from swingtrader.core.new_york import new_york_date
from swingtrader.core.policy import SIGNALS
from swingtrader.core.portfolio import Quote
from swingtrader.core.sizing import TradeRecord
from swingtrader.core.snapshot import Account, Position, Snapshot
from swingtrader.core.universe import NO_SECTOR
from swingtrader.errors import BrokerError, CredentialsRefused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from swingtrader.commands.account_view import AccountView
    from swingtrader.commands.live_signals import LiveSignals
    from swingtrader.commands.trading_run import TradingRun
    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.confirmation import Confirmation
    from swingtrader.core.decision import RiskCheck
    from swingtrader.core.portfolio import TrackedPosition

HOLDINGS_UNREADABLE = "holdings_unreadable"
"""Reason against entries: a position of unknown size could be of any, so no limit is kept."""

ACCOUNT_BLOCKED = "account_blocked"
"""Reason against entries while the broker, or the person there, has suspended trading."""


@dataclass(frozen=True)
class Outlook:
    """What was known before the lock was taken, and holds for the whole session.

    Attributes
    ----------
    signals : LiveSignals or None
        None for a risk check, and where there are no bars.
    atr_fractions : mapping
        Of the last completed session; a symbol without one is absent.
    p_high_volatility : float
        NaN for unknown.
    halts : tuple of str
        Reasons against entries that do not lie in the store.
    sentiment : mapping
        Of held symbols that `signals` does not speak of.
    """

    signals: LiveSignals | None = None
    atr_fractions: Mapping[str, float] | None = None
    p_high_volatility: float = math.nan
    record: TradeRecord = field(default_factory=TradeRecord)
    halts: tuple[str, ...] = ()
    sentiment: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """A snapshot, and how the price of each held symbol was confirmed."""

    snapshot: Snapshot
    confirmations: Mapping[str, Confirmation]

    @property
    def prices(self) -> dict[str, Decimal]:
        """Confirmed prices of held symbols, USD."""
        return {s: c.price for s, c in self.confirmations.items() if c.price is not None}


def look(
    run: TradingRun,
    view: AccountView,
    positions: Mapping[str, TrackedPosition],
    outlook: Outlook,
    symbols: tuple[str, ...] | None = None,
) -> Seen:
    """Read the quotes and put the snapshot together.

    Parameters
    ----------
    symbols : tuple of str, optional
        Of an earlier look in the same run, to be looked at again in the same order; what has
        been sold meanwhile stays among them.
    """
    signals = outlook.signals
    listed = () if signals is None else signals.symbols
    if symbols is None:
        symbols = (*listed, *sorted(positions.keys() - set(listed)))
    quotes = _quotes(run, view, positions, symbols)
    confirmations = {
        symbol: confirmed_price(
            quotes[symbol],
            run.now,
            previous_print=position.print_price,
            previous_print_at=position.print_at,
            previous_price=position.price,
            quote_age_seconds=run.policy.limits.quote_age_seconds,
            spread_bps=run.policy.limits.spread_bps,
        )
        for symbol, position in positions.items()
    }
    extra = len(symbols) - len(listed)
    atr = outlook.atr_fractions or {}
    halts = tuple(halt.reason for halt in run.store.halts.active(run.session))
    snapshot = Snapshot(
        asof=run.clock.at,
        session=run.session,
        minutes_to_close=run.minutes_to_close,
        symbols=symbols,
        sector=np.concatenate(
            [_of(signals, "sector", np.zeros(0, dtype=np.int64)), np.full(extra, NO_SECTOR)]
        ),
        probability=_extended(signals, "probability", extra),
        signals=np.concatenate(
            [
                _of(signals, "signals", np.zeros((len(SIGNALS), 0))),
                _sentiment_alone(outlook, symbols[len(listed) :]),
            ],
            axis=1,
        ),
        sector_strength=_of(signals, "sector_strength", np.zeros(0)),
        close=_extended(signals, "close", extra),
        dollar_volume_usd=_extended(signals, "dollar_volume_usd", extra),
        atr_fraction=np.array([atr.get(symbol, math.nan) for symbol in symbols]),
        price=_array([_price(confirmations, symbol) for symbol in symbols]),
        bid=_array([quotes[symbol].bid for symbol in symbols]),
        ask=_array([quotes[symbol].ask for symbol in symbols]),
        quote_age_seconds=np.array([_age_seconds(run, quotes[symbol]) for symbol in symbols]),
        p_high_volatility=outlook.p_high_volatility,
        account=_account(view),
        positions=tuple(_position(positions[symbol]) for symbol in sorted(positions)),
        day=view.day(run),
        record=outlook.record,
        halts=(*halts, *outlook.halts, *_doubts(view)),
    )
    return Seen(snapshot, confirmations)


def _doubts(view: AccountView) -> list[str]:
    """Reasons against entries that the account itself shows."""
    reasons = [ACCOUNT_BLOCKED] if view.account.blocked else []
    return [*reasons, HOLDINGS_UNREADABLE] if view.unreadable else reasons


def marked(
    positions: Mapping[str, TrackedPosition], seen: Seen, checked: RiskCheck, run: TradingRun
) -> dict[str, TrackedPosition]:
    """Positions with the prices, marks and levels of this look."""
    updated: dict[str, TrackedPosition] = {}
    for symbol, position in positions.items():
        confirmation = seen.confirmations[symbol]
        atr = float(seen.snapshot.atr_fraction[seen.snapshot.columns[symbol]])
        marks = checked.marks.get(symbol, position.marks)
        levels = exit_levels(marks, exit_distances(atr, run.policy.exits))
        confirmed = confirmation.price is not None
        updated[symbol] = replace(
            position,
            marks=marks,
            price=confirmation.price if confirmed else position.price,
            price_at=run.clock.at if confirmed else position.price_at,
            print_price=confirmation.print_price,
            print_at=confirmation.print_at,
            stop_ratio=levels.floor,
            target_ratio=levels.target,
        )
    return updated


def _quotes(
    run: TradingRun,
    view: AccountView,
    positions: Mapping[str, TrackedPosition],
    symbols: Sequence[str],
) -> dict[str, Quote]:
    """Quotes of all symbols; the broker's own price of a held one stands in as a mere print.

    The broker's comes without a time: until it changes it is one print, however often read. A
    trade of an earlier session is none: after a split it would be the price of other shares.
    """
    known: dict[str, Quote] = {}
    if symbols:
        try:
            known = dict(run.data.quotes(symbols))
        except (BrokerError, CredentialsRefused) as error:
            run.fail("quotes.not_read", "quotes could not be read: nothing will be bought", error)
    current = {p.symbol: p.current_price for p in view.positions}
    for symbol in symbols:
        if symbol not in known:
            price, before = current.get(symbol), positions.get(symbol)
            at = None if price is None else run.clock.at
            if before is not None and price == before.print_price:
                at = before.print_at
            known[symbol] = Quote(symbol, None, None, None, price, at)
    return {
        symbol: quote
        if quote.trade_at is not None and new_york_date(quote.trade_at) >= run.session
        else replace(quote, trade=None, trade_at=None)
        for symbol, quote in known.items()
    }


def _of(signals: LiveSignals | None, name: str, nothing: np.ndarray) -> np.ndarray:
    return nothing if signals is None else np.asarray(getattr(signals, name))


def _sentiment_alone(outlook: Outlook, symbols: Sequence[str]) -> FloatArray:
    """Signals of symbols without bars, of which headlines alone can tell."""
    signals = np.full((len(SIGNALS), len(symbols)), np.nan)
    signals[SIGNALS.index("sentiment")] = [outlook.sentiment.get(s, math.nan) for s in symbols]
    return signals


def _extended(signals: LiveSignals | None, name: str, extra: int) -> FloatArray:
    return np.concatenate([_of(signals, name, np.zeros(0)), np.full(extra, np.nan)])


def _array(values: Sequence[Decimal | None]) -> FloatArray:
    return np.array([math.nan if v is None else float(v) for v in values], dtype=np.float64)


def _price(confirmations: Mapping[str, Confirmation], symbol: str) -> Decimal | None:
    confirmation = confirmations.get(symbol)
    return None if confirmation is None else confirmation.price


def _age_seconds(run: TradingRun, quote: Quote) -> float:
    if quote.quote_at is None:
        return math.nan
    return max(0.0, (run.now - quote.quote_at).total_seconds())


def _account(view: AccountView) -> Account:
    """Money for the core: an amount that the broker did not state is NaN, which buys nothing."""
    account = view.account
    cash, equity, before = _array([view.spendable_cash, account.equity, account.last_equity])
    return Account(float(cash), float(equity), float(before))


def _position(position: TrackedPosition) -> Position:
    return Position(
        symbol=position.symbol,
        qty=float(position.qty),
        entry_price=0.0 if position.entry_price is None else float(position.entry_price),
        entry_session=position.entry_session,
        age_sessions=position.age_sessions,
        marks=position.marks,
        misses=position.misses,
        counted_session=position.counted_session,
        managed=position.managed,
    )
