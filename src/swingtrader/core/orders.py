"""Orders as values: what we ask for, what the broker says it has, and the names that join them.

A `client_order_id` is derived from session, symbol, side, purpose and a sequence of the session,
so that a retry is the same order and a stranger's order is told from ours. Only the broker's
word settles an intent; until then its outcome is unknown, whatever was or was not answered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swingtrader.core.result import Side

PREFIX = "st"
"""What our client order ids begin with."""


class Purpose(StrEnum):
    """What an order of ours is for."""

    ENTRY = "entry"
    EXIT = "exit"
    PROTECTION = "protection"
    """The stop that rests at the broker under a position."""


class OrderType(StrEnum):
    """Kinds of order we send."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"


class IntentState(StrEnum):
    """How far an intent has come.

    `UNKNOWN` is written before the order is sent, and holds until the broker has said whether it
    has it: a run killed at any point in between leaves just this.
    """

    UNKNOWN = "unknown"
    WORKING = "working"
    """The broker has it, and it may still change."""
    DONE = "done"
    """The broker has it, and it is filled, canceled, expired, rejected or replaced."""
    REFUSED = "refused"
    """The broker did not take it."""
    ABANDONED = "abandoned"
    """It never arrived, and will not be sent again."""


class RefusalKind(StrEnum):
    """Why the broker did not take an order, by the body of its answer."""

    DUPLICATE_ID = "duplicate_id"
    """It has, or had, an order of this client id."""
    SHARES_HELD = "shares_held"
    """Other orders hold the shares, or there are fewer than asked for."""
    NO_CASH = "no_cash"
    WASH_TRADE = "wash_trade"
    NO_SHORTING = "no_shorting"
    PRICE = "price"
    """A price it cannot work with: sub-penny, or a stop on the wrong side of the market."""
    NOT_CANCELABLE = "not_cancelable"
    """The order is already filled, canceled or on its way there."""
    NOT_FOUND = "not_found"
    RATE_LIMITED = "rate_limited"
    OTHER = "other"


TERMINAL = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})
"""Statuses after which an order changes no more; any other, known or not, may still fill."""


@dataclass(frozen=True)
class Ticket:
    """An order to submit.

    Attributes
    ----------
    qty : Decimal, shares
        Positive.
    good_till_canceled : bool
        Else for the day.
    limit_price, stop_price : Decimal, optional, USD
        On the exchange's grid.
    """

    client_order_id: str
    symbol: str
    side: Side
    qty: Decimal
    type: OrderType
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    good_till_canceled: bool = False


@dataclass(frozen=True)
class BrokerOrder:
    """An order as the broker states it, ours or anybody's.

    Attributes
    ----------
    id : str
        The broker's.
    side, type, status : str
        As stated; a word that we do not know is kept.
    qty : Decimal or None, shares
        None for an order by dollars, and where it was not stated.
    filled_qty : Decimal
    filled_avg_price, limit_price, stop_price : Decimal or None, USD
    submitted_at : datetime or None
        Aware, UTC.
    """

    id: str
    client_order_id: str
    symbol: str
    side: str
    type: str
    status: str
    qty: Decimal | None
    filled_qty: Decimal = Decimal(0)
    filled_avg_price: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    submitted_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether it may still fill. An unknown status may."""
        return self.status not in TERMINAL

    @property
    def remaining(self) -> Decimal | None:
        """Shares that may still fill; None where the quantity is not stated."""
        return None if self.qty is None else self.qty - self.filled_qty


@dataclass(frozen=True)
class Intent:
    """An order we mean to send, written down before it is sent.

    Attributes
    ----------
    session : date
        The only one in which it may be sent.
    reason : str
        Code of the rule that asked for it.
    written_at : datetime
        Aware, by the broker's clock.
    status : str or None
        The broker's, once it is known to have the order.
    """

    client_order_id: str
    session: date
    symbol: str
    side: Side
    purpose: Purpose
    qty: Decimal
    type: OrderType
    reason: str
    run_id: str
    written_at: datetime
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    state: IntentState = IntentState.UNKNOWN
    broker_order_id: str | None = None
    status: str | None = None
    filled_qty: Decimal = Decimal(0)
    filled_avg_price: Decimal | None = None

    @property
    def ticket(self) -> Ticket:
        """The order to submit; the same every time."""
        return Ticket(
            self.client_order_id,
            self.symbol,
            self.side,
            self.qty,
            self.type,
            self.limit_price,
            self.stop_price,
            good_till_canceled=self.purpose is Purpose.PROTECTION,
        )


@dataclass(frozen=True)
class OrderName:
    """What a client order id of ours says."""

    session: date
    symbol: str
    side: Side
    purpose: Purpose
    sequence: int

    @property
    def client_order_id(self) -> str:
        """Such as ``st-20261123-AAPL-sell-exit-7``."""
        return (
            f"{PREFIX}-{self.session:%Y%m%d}-{self.symbol}-{self.side}-{self.purpose}"
            f"-{self.sequence}"
        )


_NAME = re.compile(
    PREFIX + r"-(?P<session>\d{8})-(?P<symbol>[^\s]+)-(?P<side>buy|sell)"
    r"-(?P<purpose>entry|exit|protection)-(?P<sequence>[1-9]\d{0,8})"
)


def parsed_name(client_order_id: str) -> OrderName | None:
    """Read a client order id; None for one that is not ours."""
    match = _NAME.fullmatch(client_order_id)
    if match is None:
        return None
    text = match["session"]
    try:
        session = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
    side: Side = "buy" if match["side"] == "buy" else "sell"
    return OrderName(
        session, match["symbol"], side, Purpose(match["purpose"]), int(match["sequence"])
    )
