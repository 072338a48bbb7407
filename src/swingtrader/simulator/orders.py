"""What an order is: a frozen value; its life is a sequence of such values in the book.

A group is an entry with its exit legs (bracket, OTO) or two exits of which one cancels the other
(OCO, whose limit order is the parent). All members share `group_id`, the parent's first id.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class Side(StrEnum):
    """Direction of an order."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """Change of the position by one share."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    """How an order finds its price."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TRAILING_STOP = "trailing_stop"


class TimeInForce(StrEnum):
    """How long an order lives."""

    DAY = "day"
    GTC = "gtc"
    OPG = "opg"
    CLS = "cls"
    IOC = "ioc"
    FOK = "fok"


class OrderClass(StrEnum):
    """Alone or in a group."""

    SIMPLE = "simple"
    BRACKET = "bracket"
    OCO = "oco"
    OTO = "oto"


class Status(StrEnum):
    """Where an order is in its life."""

    ACCEPTED = "accepted"
    PENDING_NEW = "pending_new"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    HELD = "held"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    REPLACED = "replaced"


TERMINAL = frozenset(
    {Status.FILLED, Status.CANCELED, Status.EXPIRED, Status.REJECTED, Status.REPLACED}
)
LISTED_AS_OPEN = frozenset(Status) - TERMINAL - {Status.HELD}
"""`status=open` does not show a held leg, not even a bracket's live stop."""

MATCHABLE = frozenset(
    {
        Status.NEW,
        Status.PARTIALLY_FILLED,
        Status.HELD,
        Status.PENDING_CANCEL,
        Status.PENDING_REPLACE,
    }
)


class Role(StrEnum):
    """Part that an order plays in its group."""

    ALONE = "alone"
    PARENT = "parent"
    TAKE_PROFIT = "take_profit"
    STOP_LOSS = "stop_loss"


@dataclass(frozen=True)
class Order:
    """One order at one moment.

    Attributes
    ----------
    sequence : int
        Order of arrival.
    qty, notional : Decimal or None
        Shares, or USD; exactly one of them.
    trail_price, trail_percent, hwm : Decimal or None
        Of a trailing stop; `hwm` is the best price seen since it became live.
    role, group_id
        See `Role`; `group_id` is the parent's id, for a simple order its own.
    live : bool
        Whether it works in the market: not a leg before its entry is filled, nor an order
        that waits to replace another.
    triggered : bool
        Whether a stop has been reached.
    reserve_price : Decimal
        USD a share that an opening order takes from the buying power; 0 for any other.
    filled_value : Decimal
        USD paid or received so far.
    """

    id: str
    client_order_id: str
    sequence: int
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    status: Status
    created_at: datetime
    updated_at: datetime
    qty: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    hwm: Decimal | None = None
    extended_hours: bool = False
    order_class: OrderClass = OrderClass.SIMPLE
    role: Role = Role.ALONE
    group_id: str = ""
    live: bool = True
    triggered: bool = False
    opening: bool = False
    reserve_price: Decimal = Decimal(0)
    filled_qty: Decimal = Decimal(0)
    filled_value: Decimal = Decimal(0)
    expires_at: datetime | None = None
    filled_at: datetime | None = None
    expired_at: datetime | None = None
    canceled_at: datetime | None = None
    failed_at: datetime | None = None
    replaced_at: datetime | None = None
    replaced_by: str | None = None
    replaces: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether anything can still become of it."""
        return self.status not in TERMINAL

    @property
    def is_matchable(self) -> bool:
        """Whether the market can fill it now."""
        return self.live and self.status in MATCHABLE

    @property
    def waits_to_replace(self) -> bool:
        """Whether it is a replacement that has not yet taken its predecessor's place."""
        return self.replaces is not None and self.status is Status.PENDING_NEW

    @property
    def remaining(self) -> Decimal:
        """Shares still wanted; 0 for a notional order, which fills at once or not."""
        return Decimal(0) if self.qty is None else self.qty - self.filled_qty

    @property
    def filled_avg_price(self) -> Decimal | None:
        """USD a share, None before the first fill."""
        if not self.filled_qty:
            return None
        return (self.filled_value / self.filled_qty).quantize(Decimal("0.000001"))

    @property
    def is_fractional(self) -> bool:
        """Whether it is for dollars or for a part of a share."""
        return self.qty is None or self.qty != self.qty.to_integral_value()

    @property
    def reserved(self) -> Decimal:
        """Buying power that it takes while open, USD."""
        if not (self.is_open and self.live and self.opening):
            return Decimal(0)
        return self.notional or self.remaining * self.reserve_price
