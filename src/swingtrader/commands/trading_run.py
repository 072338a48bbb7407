"""One run that may trade: what it works with, what it has sent, and what it must say.

The only mutable thing that the steps of a run share. Everything here lives for one process;
what must outlive it is in the store before it matters.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog

from swingtrader.core.day import next_sequence
from swingtrader.core.orders import IntentState, OrderName
from swingtrader.core.reasons import Reason
from swingtrader.environment import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import date, datetime

    from swingtrader.adapters.store import Store
    from swingtrader.core.orders import BrokerOrder, Intent, Purpose
    from swingtrader.core.policy import Policy
    from swingtrader.core.portfolio import MarketClock
    from swingtrader.core.result import Side
    from swingtrader.errors import BrokerError, CredentialsRefused
    from swingtrader.ports import Broker, MarketData

log = structlog.get_logger()

PLANNED = "planned"
"""Status of an order that a dry run would have sent."""


@dataclass(frozen=True)
class OrderLine:
    """One order of this run, as the report shows it."""

    symbol: str
    side: Side
    qty: float
    type: str
    limit_price: float | None
    purpose: str
    reason: str
    client_order_id: str
    status: str


@dataclass
class TradingRun:
    """What the steps of a run share.

    Attributes
    ----------
    clock : MarketClock
        The broker's, read once.
    session : date
        The one that is open.
    unmanaged : frozenset of str
        Symbols that the configuration leaves to the person.
    pause : callable
        Waits so many seconds.
    elapsed_seconds : callable
        Since the clock was read.
    lines : dict
        Orders of this run by client order id.
    warnings : list of str
        Sentences for the person, in the order they arose.
    failures : list of BrokerError or CredentialsRefused
        What the broker did not answer. The run does all else, then fails with the first.
    has_acted : bool
        Whether an order was sent, a cancellation asked for, or a position found gone: what was
        read before is out of date.
    """

    command: str
    run_id: str
    mode: Mode
    clock: MarketClock
    session: date
    broker: Broker
    data: MarketData
    store: Store
    policy: Policy
    unmanaged: frozenset[str]
    pause: Callable[[float], None]
    elapsed_seconds: Callable[[], float]
    lines: dict[str, OrderLine] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    failures: list[BrokerError | CredentialsRefused] = field(default_factory=list)
    has_acted: bool = False
    _sequence: int = 0

    @property
    def sends_orders(self) -> bool:
        """Whether orders go out at all."""
        return self.mode is not Mode.DRY_RUN

    @property
    def now(self) -> datetime:
        """The instant, by the broker's clock and the time since it was read."""
        return self.clock.at + timedelta(seconds=self.elapsed_seconds())

    @property
    def minutes_to_close(self) -> float:
        """Minutes left in the session, by the broker's clock and the time since it was read."""
        return (self.clock.next_close - self.now).total_seconds() / 60.0

    def entry_refusal(self) -> Reason | None:
        """Why nothing may be bought at this instant; read before every sending of a purchase."""
        if self.store.halts.active(self.session):
            return Reason.HALTED
        if self.minutes_to_close <= self.policy.limits.minutes_before_close:
            return Reason.NEAR_CLOSE
        return None

    def warn(self, event: str, sentence: str, **facts: Any) -> None:
        """Log an event and keep its sentence for the report, once."""
        log.warning(event, **facts)
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def fail(
        self, event: str, sentence: str, error: BrokerError | CredentialsRefused, **facts: Any
    ) -> None:
        """Note that the broker did not answer; the run goes on with everything else."""
        self.warn(event, sentence, why=str(error), **facts)
        self.failures.append(error)

    def continue_sequence(self, orders_today: Iterable[BrokerOrder]) -> None:
        """Have the next order id follow the highest that broker or store know of this session."""
        stored = max(self._sequence, self.store.intents.highest_sequence(self.session))
        self._sequence = next_sequence(self.session, orders_today, stored) - 1

    def name(self, symbol: str, side: Side, purpose: Purpose) -> str:
        """Client order id of a new order; no two are alike."""
        self._sequence += 1
        order_name = OrderName(self.session, symbol, side, purpose, self._sequence)
        return order_name.client_order_id

    def show(self, intent: Intent) -> None:
        """Put an order, as it stands, into the report."""
        self.lines[intent.client_order_id] = OrderLine(
            symbol=intent.symbol,
            side=intent.side,
            qty=float(intent.qty),
            type=str(intent.type),
            limit_price=None if intent.limit_price is None else float(intent.limit_price),
            purpose=str(intent.purpose),
            reason=str(intent.reason),
            client_order_id=intent.client_order_id,
            status=_status(intent),
        )

    def show_planned(self, intent: Intent) -> None:
        """Put an order into the report that this run does not send."""
        self.show(replace(intent, status=PLANNED, state=IntentState.DONE))


def _status(intent: Intent) -> str:
    if intent.state in {IntentState.WORKING, IntentState.DONE}:
        return intent.status or str(intent.state)
    return str(intent.state)
