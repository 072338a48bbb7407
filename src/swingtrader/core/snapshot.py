"""What was known when a decision was made, as one value.

A snapshot holds what was known at `asof`, nothing later: signals of completed sessions, quotes
of the moment, the account and its positions. Live trading and the backtest fill it, `decide`
reads it, and every live one is stored, so that any decision can be taken again later.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from swingtrader.core.archive import archived, unarchived
from swingtrader.core.arrays import frozen
from swingtrader.core.exits import Marks
from swingtrader.core.policy import SIGNALS
from swingtrader.core.sizing import TradeRecord

if TYPE_CHECKING:
    from swingtrader.core.arrays import FloatArray, IntArray

VERSION = 2
"""Of the bytes `snapshot_to_bytes` writes; raised when their meaning changes."""


@dataclass(frozen=True)
class Position:
    """A long position.

    Attributes
    ----------
    qty : float, shares
        Whole, unless somebody bought a fraction by hand.
    entry_price : float, USD
        The broker's average.
    entry_session : date
        Session on which the quantity last left zero.
    age_sessions : int
        Sessions since then; 0 on the entry session.
    misses : int
        Consecutive sessions outside the scan, as last counted.
    counted_session : date, optional
        Session in which `misses` was last counted.
    managed : bool
        False where the configuration leaves it to the person: it counts towards every limit
        and is never sold.
    """

    symbol: str
    qty: float
    entry_price: float
    entry_session: date
    age_sessions: int
    marks: Marks = field(default_factory=Marks)
    misses: int = 0
    counted_session: date | None = None
    managed: bool = True


@dataclass(frozen=True)
class DayActivity:
    """What already happened this session: counts of orders, and the symbols they touched."""

    entries: int = 0
    exits: int = 0
    bought: frozenset[str] = frozenset()
    exited: frozenset[str] = frozenset()
    open_orders: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Account:
    """Money, in USD.

    Attributes
    ----------
    cash_usd : float
        What may be spent: the lesser of unreserved cash and non-marginable buying power.
    previous_equity_usd : float
        Equity at the previous session's close.
    """

    cash_usd: float
    equity_usd: float
    previous_equity_usd: float


_ARRAYS = (
    "sector", "probability", "signals", "sector_strength", "close", "dollar_volume_usd",
    "atr_fraction", "price", "bid", "ask", "quote_age_seconds",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything a decision may depend on, for N symbols and S sectors.

    Attributes
    ----------
    asof : datetime
        Aware, UTC.
    session : date
        The session decided in; signals are those of the session before.
    minutes_to_close : float
    symbols : tuple of str, length N
        Tradable symbols and everything held.
    sector : ndarray of shape (N,)
        Index into `sector_strength`; -1 for a symbol without a sector.
    probability : ndarray of shape (N,)
        Ranker's, which the scan reads; NaN where it has no view. It stands beside the quant
        signal, so that leaving the signal out of the vote leaves the scan as it was.
    signals : ndarray of shape (6, N)
        In the order of `SIGNALS`, each in [-1, 1] or NaN for absent.
    sector_strength : ndarray of shape (S,)
        NaN where unknown.
    close, dollar_volume_usd, atr_fraction : ndarray of shape (N,)
        Of the last completed session: close in USD (NaN when that bar is missing), mean
        dollar volume of 20 sessions, ATR(14) over close (NaN where there is none).
    price : ndarray of shape (N,), USD
        Last price that a second source confirms; NaN when none does, and then nothing is sold
        for its price.
    bid, ask : ndarray of shape (N,), USD
        NaN for none.
    quote_age_seconds : ndarray of shape (N,)
    p_high_volatility : float
        Filtered; NaN for unknown.
    positions : tuple of Position
        Each of a symbol in `symbols`.
    record : TradeRecord
        Walk-forward trades of the serving model that closed before `session`.
    halts : tuple of str
        Reasons for which no entry is allowed.

    Raises
    ------
    ValueError
        Shapes disagree, `asof` is naive, or a position's symbol is not among the symbols.
    """

    asof: datetime
    session: date
    minutes_to_close: float
    symbols: tuple[str, ...]
    sector: IntArray
    probability: FloatArray
    signals: FloatArray
    sector_strength: FloatArray
    close: FloatArray
    dollar_volume_usd: FloatArray
    atr_fraction: FloatArray
    price: FloatArray
    bid: FloatArray
    ask: FloatArray
    quote_age_seconds: FloatArray
    p_high_volatility: float
    account: Account
    positions: tuple[Position, ...]
    day: DayActivity
    record: TradeRecord
    halts: tuple[str, ...] = ()
    columns: dict[str, int] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.asof.tzinfo is None:
            raise ValueError("asof must be an aware instant")
        n = len(self.symbols)
        for name in _ARRAYS:
            array = getattr(self, name)
            expected = {"signals": (len(SIGNALS), n), "sector_strength": array.shape[:1]}
            if array.shape != expected.get(name, (n,)):
                raise ValueError(f"{name} has shape {array.shape}, not one value a symbol")
            object.__setattr__(self, name, frozen(array))
        if not self.columns:
            # A backtest passes the same index every session instead of building it anew.
            object.__setattr__(self, "columns", {s: i for i, s in enumerate(self.symbols)})
        if len(self.columns) != n:
            raise ValueError("a symbol occurs twice")
        if n and not -1 <= self.sector.min() <= self.sector.max() < len(self.sector_strength):
            raise ValueError("sector names one that has no strength")
        unknown = [p.symbol for p in self.positions if p.symbol not in self.columns]
        if unknown:
            raise ValueError(f"positions in symbols the snapshot does not have: {unknown}")
        if len(self.held) != len(self.positions):
            raise ValueError("a symbol has two positions")

    @cached_property
    def held(self) -> dict[str, Position]:
        """Positions by symbol."""
        return {position.symbol: position for position in self.positions}


def snapshot_to_bytes(snapshot: Snapshot) -> bytes:
    """Write a snapshot as a compressed ``.npz``: arrays and one JSON header.

    The same snapshot gives the same bytes. `snapshot_from_bytes` reads it back exactly.
    """
    header = {
        "asof": snapshot.asof.astimezone(UTC).isoformat(),
        "session": snapshot.session.isoformat(),
        "minutes_to_close": snapshot.minutes_to_close,
        "symbols": snapshot.symbols,
        "p_high_volatility": snapshot.p_high_volatility,
        "account": asdict(snapshot.account),
        "positions": [asdict(position) for position in snapshot.positions],
        "day": {
            name: sorted(value) if isinstance(value, frozenset) else value
            for name, value in asdict(snapshot.day).items()
        },
        "record": asdict(snapshot.record),
        "halts": snapshot.halts,
    }
    text = json.dumps(header, sort_keys=True, default=date.isoformat)
    header_bytes = np.frombuffer(text.encode(), dtype=np.uint8)
    arrays = {name: getattr(snapshot, name) for name in _ARRAYS}
    return archived(VERSION, {"header": header_bytes, **arrays}, compressed=True)


def snapshot_from_bytes(content: bytes) -> Snapshot:
    """Read what `snapshot_to_bytes` wrote.

    Raises
    ------
    ValueError
        Not a snapshot, damaged, or written in another version of the format.
    """
    arrays: dict[str, Any] = dict(unarchived("snapshot", VERSION, ("header", *_ARRAYS), content))
    header: dict[str, Any] = json.loads(arrays.pop("header").tobytes())
    positions = tuple(
        Position(
            **{
                **row,
                "marks": Marks(**row["marks"]),
                "entry_session": date.fromisoformat(row["entry_session"]),
                "counted_session": _optional_date(row["counted_session"]),
            }
        )
        for row in header["positions"]
    )
    day = header["day"]
    return Snapshot(
        asof=datetime.fromisoformat(header["asof"]),
        session=date.fromisoformat(header["session"]),
        minutes_to_close=header["minutes_to_close"],
        symbols=tuple(header["symbols"]),
        p_high_volatility=header["p_high_volatility"],
        account=Account(**header["account"]),
        positions=positions,
        day=DayActivity(
            day["entries"],
            day["exits"],
            frozenset(day["bought"]),
            frozenset(day["exited"]),
            frozenset(day["open_orders"]),
        ),
        record=TradeRecord(**header["record"]),
        halts=tuple(header["halts"]),
        **arrays,
    )


def _optional_date(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
