"""The account's journal: fills, and splits of what was held.

An id begins with the instant to the millisecond and sorts like time; a page token is the last id
of the page before, whatever happened since.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid5

from swingtrader.simulator.clock import eastern_day
from swingtrader.simulator.errors import malformed
from swingtrader.simulator.wire_text import decimal_text, instant_text

if TYPE_CHECKING:
    from collections.abc import Collection
    from decimal import Decimal

    from swingtrader.simulator.orders import Order


@dataclass(frozen=True)
class Fill:
    """One execution: what FILL activities and the tests' books are made of."""

    at: datetime
    order_id: str
    client_order_id: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal


class Journal:
    """Everything that changed cash or positions, in order."""

    def __init__(self, seed: int) -> None:
        self._namespace = uuid5(NAMESPACE_OID, f"activities {seed}")
        self._entries: list[tuple[datetime, dict[str, Any]]] = []
        self.fills: list[Fill] = []

    def record_fill(self, order: Order, qty: Decimal, price: Decimal, at: datetime) -> None:
        """Enter a fill; `order` is as the fill left it."""
        self.fills.append(
            Fill(at, order.id, order.client_order_id, order.symbol, order.side, qty, price)
        )
        done = order.qty is None or not order.remaining
        self._enter(
            at,
            "FILL",
            transaction_time=instant_text(at),
            type="fill" if done else "partial_fill",
            price=decimal_text(price),
            qty=decimal_text(qty),
            side=str(order.side),
            symbol=order.symbol,
            leaves_qty=decimal_text(order.remaining),
            order_id=order.id,
            cum_qty=decimal_text(order.filled_qty),
            order_status="filled" if done else "partially_filled",
        )

    def record_split(self, symbol: str, ratio: Decimal, added: Decimal, at: datetime) -> None:
        """Enter a split of a held symbol."""
        self._enter(
            at,
            "SPLIT",
            date=eastern_day(at).isoformat(),
            net_amount="0",
            symbol=symbol,
            qty=decimal_text(added),
            description=f"{decimal_text(ratio)} for 1",
            status="executed",
        )

    def _enter(self, at: datetime, kind: str, **fields: Any) -> None:
        stamp = f"{at.astimezone(UTC):%Y%m%d%H%M%S}{at.microsecond // 1000:03d}"
        number = len(self._entries)
        # The number leads the second half, so that ids of one millisecond sort as they came.
        unique = f"{number:08x}{str(uuid5(self._namespace, str(number)))[8:]}"
        self._entries.append((at, {"id": f"{stamp}::{unique}", "activity_type": kind, **fields}))

    def page(
        self,
        kinds: Collection[str] | None = None,
        *,
        after: datetime | None = None,
        until: datetime | None = None,
        descending: bool = True,
        page_size: int = 100,
        page_token: str | None = None,
    ) -> list[dict[str, Any]]:
        """Up to `page_size` entries; `after` and `until` are exclusive.

        Raises
        ------
        RefusalError
            422: page size outside 1 to 100.
        """
        if not 1 <= page_size <= 100:
            raise malformed("page_size must be between 1 and 100")
        entries = [
            entry
            for at, entry in self._entries
            if (kinds is None or entry["activity_type"] in kinds)
            and (after is None or at > after)
            and (until is None or at < until)
        ]
        if descending:
            entries.reverse()
        if page_token is not None:
            entries = [
                entry
                for entry in entries
                if (entry["id"] < page_token if descending else entry["id"] > page_token)
            ]
        return entries[:page_size]
