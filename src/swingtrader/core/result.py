"""What a simulation leaves behind: fills, round trips and the daily account."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from swingtrader.core.arrays import FloatArray, SessionArray

Side = Literal["buy", "sell"]


@dataclass(frozen=True)
class Fill:
    """One execution.

    Attributes
    ----------
    price : float, USD
        What was paid or received, half-spread and slippage included.
    costs_usd : float
        Regulatory fees on top, never negative.
    reason : str
        Code of the rule that asked for it.
    """

    session: date
    symbol: str
    side: Side
    qty: int
    price: float
    costs_usd: float
    reason: str


@dataclass(frozen=True)
class RoundTrip:
    """One position from its first buy until the quantity is zero again.

    Attributes
    ----------
    entry_price, exit_price : float, USD
        Averages over the fills, weighted by quantity.
    pnl_usd : float
        Net of slippage, spread and fees.
    simple_return : float
        `pnl_usd` over what the entry cost.
    exit_reason : str
        Reason of the last sell.
    """

    symbol: str
    entry_session: date
    exit_session: date
    qty: int
    entry_price: float
    exit_price: float
    pnl_usd: float
    simple_return: float
    exit_reason: str


@dataclass(frozen=True, eq=False)
class BacktestResult:
    """Everything a report shows of one backtest, over T sessions.

    Attributes
    ----------
    sessions : ndarray of shape (T,), datetime64[D]
    equity_usd, cash_usd : ndarray of shape (T,)
        At each session's close.
    gross_exposure : ndarray of shape (T,)
        Market value of the positions over equity, at the close.
    benchmark_usd, equal_weight_usd : ndarray of shape (T,)
        The starting cash held in the market proxy, and in the equal-weighted universe.
    p_high_volatility : ndarray of shape (T,)
        Filtered probability each session's decision used; NaN where there was none.
    rank_ic : ndarray of shape (T,)
        Spearman correlation of score and forward return; NaN where not realised.
    metrics : mapping
        The content of ``metrics.json``.
    caveats : tuple of str
        Sentences the reader must see beside the figures.
    title : str
        What was tested, for the heading.
    """

    sessions: SessionArray
    equity_usd: FloatArray
    cash_usd: FloatArray
    gross_exposure: FloatArray
    benchmark_usd: FloatArray
    equal_weight_usd: FloatArray
    p_high_volatility: FloatArray
    rank_ic: FloatArray
    fills: tuple[Fill, ...]
    trades: tuple[RoundTrip, ...]
    metrics: Mapping[str, Any]
    caveats: tuple[str, ...] = ()
    title: str = field(default="Backtest")
