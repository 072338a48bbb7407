"""What the commands need of the outside, as protocols: the broker and the market's data.

Errors of every method: `CredentialsRefused`; `BrokerUnreachable` when no answer came, or one that
cannot be read or that says the broker is unwell. Reading is retried inside, a few times and
briefly; an order is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date, datetime

    from swingtrader.core.market import Panel
    from swingtrader.core.orders import BrokerOrder, Ticket
    from swingtrader.core.portfolio import (
        BrokerAccount,
        BrokerPosition,
        Execution,
        MarketClock,
        Quote,
        ShareSplit,
    )


class Broker(Protocol):
    """One account at the broker."""

    def clock(self) -> MarketClock:
        """Read the broker's clock."""

    def account(self) -> BrokerAccount:
        """Read the account."""

    def positions(self) -> tuple[BrokerPosition, ...]:
        """Read all positions, shorts included."""

    def position(self, symbol: str) -> BrokerPosition | None:
        """Read one position; None when the broker says there is none."""

    def open_orders(self) -> tuple[BrokerOrder, ...]:
        """Read every order that may still fill, legs included, each as an order of its own."""

    def orders_since(self, at: datetime) -> tuple[BrokerOrder, ...]:
        """Read every order submitted at `at` or later, whatever became of it, legs included."""

    def has_ever_ordered(self) -> bool:
        """Whether the account has any order at all, of any age and status."""

    def order(self, order_id: str) -> BrokerOrder:
        """Read one order by the broker's id. Raises OrderRefused (NOT_FOUND) for a stranger."""

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """Read one order by ours; None when the broker says it has none."""

    def submit(
        self, ticket: Ticket, *, still_wanted: Callable[[], bool] | None = None
    ) -> BrokerOrder:
        """Send an order, once.

        Parameters
        ----------
        still_wanted : callable, optional
            Asked before an order that was not taken is sent again, as after a rate limit.

        Raises
        ------
        OrderRefused
            The broker said no: it does not have the order (but see `DUPLICATE_ID`).
        OutcomeUnknown
            It may or may not have it: time-out, broken connection, 5xx, unreadable answer.
        """

    def cancel(self, order_id: str) -> None:
        """Ask for a cancellation, which is not one yet: the order may still fill.

        Raises
        ------
        OrderRefused
            `NOT_CANCELABLE` or `NOT_FOUND`.
        OutcomeUnknown
            As for `submit`.
        """

    def activities_since(
        self, at: datetime, *, until: datetime | None = None
    ) -> tuple[Execution | ShareSplit, ...]:
        """Read fills and splits later than `at`, oldest first, all pages."""

    def shorting_forbidden(self) -> bool:
        """Whether the account's `no_shorting` is set."""

    def forbid_shorting(self) -> None:
        """Set the account's `no_shorting`."""


class MarketData(Protocol):
    """Prices and bars."""

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Read latest quotes and trades of the live feed; symbols it does not know are absent."""

    def daily_bars(self, symbols: Sequence[str], first: date, last: date) -> Panel:
        """Read completed, consolidated, split-adjusted daily bars of sessions `first` to `last`.

        A symbol without any bar is absent from the panel, and a session without any bar is not
        a row. Never holds a session that has not closed.
        """
