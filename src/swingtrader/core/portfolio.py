"""The account as the broker states it, and what we remember of each position beside it.

Money and quantities are `Decimal`, as they cross the wire and lie in the store. None stands for
what the broker did not state, or not readably: it stops the action that needs it and no other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from swingtrader.core.exits import Marks

if TYPE_CHECKING:
    from datetime import date, datetime


@dataclass(frozen=True)
class MarketClock:
    """The broker's clock: the one `now` of a run. Instants are aware, UTC."""

    at: datetime
    is_open: bool
    next_open: datetime
    next_close: datetime


@dataclass(frozen=True)
class BrokerAccount:
    """The account's money, in USD.

    Attributes
    ----------
    number : str
    last_equity : Decimal or None
        At the previous session's close.
    blocked : bool
        The broker, or the person, has suspended trading.
    """

    number: str
    cash: Decimal | None
    equity: Decimal | None
    last_equity: Decimal | None
    non_marginable_buying_power: Decimal | None
    blocked: bool = False


@dataclass(frozen=True)
class BrokerPosition:
    """One position.

    Attributes
    ----------
    qty : Decimal or None, shares
        Negative for a short.
    qty_available : Decimal or None
        Shares that no order holds.
    entry_price : Decimal or None, USD
        Average.
    current_price : Decimal or None, USD
    """

    symbol: str
    qty: Decimal | None
    qty_available: Decimal | None
    entry_price: Decimal | None
    current_price: Decimal | None = None


@dataclass(frozen=True)
class Execution:
    """A FILL activity. `id` begins with the instant and sorts like time."""

    id: str
    at: datetime
    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    order_id: str


@dataclass(frozen=True)
class ShareSplit:
    """A SPLIT activity: `added` shares (negative: taken) came to a position by a split."""

    id: str
    day: date
    symbol: str
    added: Decimal


@dataclass(frozen=True)
class Quote:
    """Latest quote and trade of a symbol.

    Attributes
    ----------
    bid, ask, trade : Decimal or None, USD
        None where there is none; the broker's 0 means none.
    quote_at, trade_at : datetime or None
        Aware, UTC.
    """

    symbol: str
    bid: Decimal | None
    ask: Decimal | None
    quote_at: datetime | None
    trade: Decimal | None
    trade_at: datetime | None


@dataclass(frozen=True)
class TrackedPosition:
    """A position as the store remembers it: what the broker does not tell.

    Attributes
    ----------
    qty : Decimal, shares
        As last seen at the broker.
    entry_price : Decimal or None, USD
        The broker's average, as last seen.
    entry_session : date
        Session on which the quantity last left zero.
    marks : Marks
        Ratios to the entry price.
    misses, counted_session
        Consecutive sessions outside the scan, and the session last counted in.
    age_sessions : int
        As of the last run.
    managed : bool
        False where the configuration leaves it to the person.
    price, price_at
        Last confirmed price, USD, and when.
    print_price, print_at
        Last trade that nothing confirmed, USD, and when it took place.
    stop_ratio, target_ratio : float or None
        Levels of the last risk check over the entry price; the stop is the higher of stop and
        trailing stop.
    resting_qty : Decimal, shares
        Under resting stops, as last seen.
    resting_stop : Decimal or None, USD
        The lowest price among them.
    """

    symbol: str
    qty: Decimal
    entry_price: Decimal | None
    entry_session: date
    marks: Marks = field(default_factory=Marks)
    misses: int = 0
    counted_session: date | None = None
    age_sessions: int = 0
    managed: bool = True
    price: Decimal | None = None
    price_at: datetime | None = None
    print_price: Decimal | None = None
    print_at: datetime | None = None
    stop_ratio: float | None = None
    target_ratio: float | None = None
    resting_qty: Decimal = Decimal(0)
    resting_stop: Decimal | None = None
