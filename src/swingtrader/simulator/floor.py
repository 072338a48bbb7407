"""Where time passes: the floor carries orders, account and prices from one instant to the next.

Between two instants it stops at every event: the start of a session's day (splits), the opening,
each minute while an order works, the closing, and whatever was asked for and is now due. A stop
changes state in one fixed order: what is due, then splits, then matching by arrival, then expiry.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from swingtrader.simulator.account import Account
from swingtrader.simulator.activities import Journal
from swingtrader.simulator.book import OrderBook
from swingtrader.simulator.clock import day_start
from swingtrader.simulator.conditions import Conditions
from swingtrader.simulator.matching import Market, execution_price, execution_qty, watched
from swingtrader.simulator.orders import Order, OrderClass, Role, Status, TimeInForce
from swingtrader.simulator.splits import apply_split

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from swingtrader.simulator.account import Valuation
    from swingtrader.simulator.prices import PriceTape, Quote, Split
    from swingtrader.simulator.settings import ExchangeSettings, Latency

NOTHING = Decimal(0)


class Step(StrEnum):
    """What was asked for and takes effect later."""

    ACTIVATE = "activate"
    CANCEL = "cancel"
    REPLACE = "replace"


@dataclass(frozen=True)
class _Due:
    step: Step
    order_id: str
    at: datetime | None
    request: int | None


class Floor:
    """State of the exchange at one simulated instant.

    Parameters
    ----------
    tape : PriceTape
    splits : sequence of Split
    settings : ExchangeSettings
    cash : Decimal
        USD in the account at the start.
    now : datetime
        Aware; where the simulated clock starts.
    """

    def __init__(
        self,
        tape: PriceTape,
        splits: Sequence[Split],
        settings: ExchangeSettings,
        *,
        cash: Decimal,
        now: datetime,
    ) -> None:
        self.tape = tape
        self.timetable = tape.timetable
        self.settings = settings
        self.multiplier = settings.multiplier
        self.no_shorting = settings.no_shorting
        self.suspend_trade = False
        self.fractional_trading = True
        self.account = Account(cash)
        self.book = OrderBook(settings.seed)
        self.journal = Journal(settings.seed)
        self.conditions = Conditions()
        self.now = now.astimezone(UTC)
        self.started_at = self.now
        self.equity_at_start = cash
        self.equity_by_session: dict[date, Decimal] = {}
        self._splits = tuple(splits)
        self._requests = 0
        self._due: list[_Due] = []
        self._taken: dict[tuple[str, datetime], Decimal] = {}

    # Time ------------------------------------------------------------------------------------

    def begin_request(self) -> None:
        """Count a request, which is when what was waiting for it takes effect."""
        self._requests += 1
        self.settle()

    def advance_to(self, at: datetime) -> None:
        """Move the clock to `at` through everything that happens until then.

        Raises
        ------
        ValueError
            `at` is naive, or before now.
        """
        if at.tzinfo is None:
            raise ValueError("a simulated instant must carry its time zone")
        if at < self.now:
            raise ValueError(f"time does not run backwards, from {self.now} to {at}")
        while (event := self._next_event()) is not None and event <= at:
            self.now = event
            self._pass(event)
        self.now = at.astimezone(UTC)
        self.settle()

    def schedule(self, step: Step, order: Order, latency: Latency) -> None:
        """Let something take effect later."""
        at = None if latency.delay is None else self.now + latency.delay
        request = None if latency.polls is None else self._requests + latency.polls
        self._due.append(_Due(step, order.id, at, request))

    def settle(self) -> None:
        """Carry out what is due by now."""
        while due := next((each for each in self._due if self._is_due(each)), None):
            self._due.remove(due)
            order = self.book[due.order_id]
            if due.step is Step.ACTIVATE:
                self._activate(order)
            elif due.step is Step.CANCEL:
                self._cancel_now(order)
            else:
                self._replace_now(order)

    def _is_due(self, due: _Due) -> bool:
        by_time = due.at is not None and due.at <= self.now
        return by_time or (due.request is not None and due.request <= self._requests)

    def _next_event(self) -> datetime | None:
        working = any(order.is_matchable for order in self.book.open_orders())
        event = self.timetable.next_event(self.now, every_minute=working)
        instants = [due.at for due in self._due if due.at is not None and due.at > self.now]
        return min([*instants, *([] if event is None else [event])], default=None)

    def _pass(self, event: datetime) -> None:
        row = self.timetable.begun(event)
        day = self.timetable.days[row] if row >= 0 else None
        if day is not None and event == day_start(day):
            for split in self._splits:
                if split.session == day:
                    apply_split(
                        split,
                        self.account,
                        self.book,
                        self.journal,
                        at=event,
                        treatment=self.settings.split_treatment,
                    )
        self.settle()
        if row >= 0 and self.timetable.opens[row] <= event <= self.timetable.closes[row]:
            self._trade_minute(is_opening=event == self.timetable.opens[row])
        self._expire()
        if row >= 0 and event == self.timetable.closes[row]:
            self.equity_by_session[self.timetable.days[row]] = self.valuation().equity

    # Prices ----------------------------------------------------------------------------------

    def valuation(self) -> Valuation:
        """Return the account at the last prices."""
        return self.account.valuation(self.price, self.multiplier, self.book.reserved())

    def price(self, symbol: str) -> Decimal:
        """Last price of a symbol that has traded; 0 for one that has not."""
        return self.tape.price(symbol, self.now) or NOTHING

    def quote(self, symbol: str) -> Quote | None:
        """Return the true quote, whatever stale ones are being served."""
        return self.tape.quote(symbol, self.now)

    def _market(self, symbol: str, *, is_opening: bool) -> Market | None:
        if not self.tape.trades_now(symbol, self.now):
            return None
        quote, price = self.quote(symbol), self.price(symbol)
        if quote is None:
            return None
        row = self.timetable.started(self.now)
        no_bid, no_ask = self.conditions.absent_sides(symbol)
        return Market(
            price,
            NOTHING if no_bid else quote.bid,
            NOTHING if no_ask else quote.ask,
            is_opening=is_opening,
            is_closing=self.now == self.timetable.closes[row],
        )

    # Orders ----------------------------------------------------------------------------------

    def _activate(self, order: Order) -> None:
        if order.status not in {Status.ACCEPTED, Status.PENDING_NEW}:
            return
        if self.conditions.rejects(order):
            self._reject(order)
            return
        order = self.book.change(order, self.now, status=Status.NEW)
        if self.timetable.is_open(self.now):
            self._meet(order, arrived=True, is_opening=False)

    def _trade_minute(self, *, is_opening: bool) -> None:
        if is_opening:
            for order in self.book.open_orders():
                if order.status is Status.ACCEPTED:
                    self._activate(order)
        working = [order.id for order in self.book.open_orders() if order.is_matchable]
        for order_id in working:
            self._meet(self.book[order_id], arrived=False, is_opening=is_opening)

    def _meet(self, order: Order, *, arrived: bool, is_opening: bool) -> None:
        market = self._market(order.symbol, is_opening=is_opening)
        if not order.is_matchable or market is None or not _in_its_auction(order, market):
            return
        seen = watched(order, market)
        if seen != order:
            order = self.book.change(
                order, self.now, hwm=seen.hwm, stop_price=seen.stop_price, triggered=seen.triggered
            )
            if order.triggered and order.role is Role.STOP_LOSS:
                # Only now does a group's stop go to the exchange, in place of the take-profit.
                order = self._send_held_stop(order)
        price = execution_price(order, market, arrived=arrived)
        if price is not None:
            self._fill_at(order, price)
        order = self.book[order.id]
        if order.time_in_force in {TimeInForce.IOC, TimeInForce.FOK} and order.is_open:
            self._end_group(order, Status.CANCELED)

    def _fill_at(self, order: Order, price: Decimal) -> None:
        if not order.opening and not self._closable(order):
            # Its shares were sold while it waited as a leg: an exit never opens a position.
            self._reject(order)
            return
        qty = execution_qty(order, price, self._most(order))
        if order.time_in_force is TimeInForce.FOK and qty < order.remaining:
            return
        if qty <= 0:
            return
        beyond_reserve = (
            qty * (price - order.reserve_price) if order.opening and order.qty else NOTHING
        )
        if beyond_reserve > self.valuation().buying_power:
            # A queued market order whose price has run away: refused although it was accepted.
            self._reject(order)
            return
        if self.settings.volume_share is not None:
            minute = (order.symbol, self._minute())
            self._taken[minute] = self._taken.get(minute, NOTHING) + qty
        self.account.trade(order.symbol, order.side.sign * qty, price)
        self._book_fill(order, qty, price)

    def _most(self, order: Order) -> Decimal | None:
        limits = [] if (most := self.conditions.most(order)) is None else [most]
        if not order.opening:
            limits.append(self._closable(order))
        if self.settings.volume_share is not None:
            volume = self.tape.minute_volume(order.symbol, self.now)
            offered = volume * self.settings.volume_share
            limits.append(offered - self._taken.get((order.symbol, self._minute()), NOTHING))
        return min(limits, default=None)

    def _closable(self, order: Order) -> Decimal:
        """Shares of the position that an order on its side can close."""
        return max(-self.account.qty(order.symbol) * order.side.sign, NOTHING)

    def _minute(self) -> datetime:
        return self.now.replace(second=0, microsecond=0)

    def _book_fill(self, order: Order, qty: Decimal, price: Decimal) -> None:
        filled = order.filled_qty + qty
        done = order.qty is None or filled == order.qty
        waiting = order.status in {Status.PENDING_CANCEL, Status.PENDING_REPLACE}
        partial = order.status if waiting else Status.PARTIALLY_FILLED
        order = self.book.change(
            order,
            self.now,
            filled_qty=filled,
            filled_value=order.filled_value + qty * price,
            status=Status.FILLED if done else partial,
            filled_at=self.now,
        )
        self.journal.record_fill(order, qty, price, self.now)
        siblings = [each for each in self.book.group(order) if each.id != order.id]
        if done:
            # A replacement comes too late for an order that is filled.
            for each in [each for each in siblings if each.waits_to_replace]:
                self._end(each, Status.REJECTED)
                siblings.remove(each)
        if order.role is Role.PARENT and order.order_class is not OrderClass.OCO:
            if done:
                self._send_legs(siblings)
            return
        for sibling in siblings:
            if done:
                self._end(sibling, Status.CANCELED)
            elif sibling.live and sibling.qty is not None:
                # What one exit sold, the other must not sell again.
                self.book.change(sibling, self.now, qty=sibling.qty - qty)

    def _send_legs(self, legs: Sequence[Order]) -> None:
        for leg in legs:
            waits = leg.role is Role.STOP_LOSS and len(legs) > 1
            status = Status.HELD if waits else Status.NEW
            self.book.change(leg, self.now, live=True, status=status)

    def _send_held_stop(self, stop: Order) -> Order:
        for sibling in self.book.group(stop):
            if sibling.id != stop.id:
                self._end(sibling, Status.CANCELED)
        status = Status.NEW if stop.status is Status.HELD else stop.status
        return self.book.change(stop, self.now, status=status)

    def cancel_group(self, order: Order) -> None:
        """End an order and its group now, without the two steps."""
        self._end_group(order, Status.CANCELED)

    def _cancel_now(self, order: Order) -> None:
        if order.is_open:
            self._end_group(order, Status.CANCELED)

    def _reject(self, order: Order) -> None:
        if order.filled_qty:
            self._end_group(order, Status.CANCELED)
            return
        for each in self.book.group(order):
            self._end(each, Status.REJECTED if each.id == order.id else Status.CANCELED)

    def _end_group(self, order: Order, status: Status) -> None:
        for each in self.book.group(order):
            self._end(each, status if each.id == order.id else Status.CANCELED)

    def _end(self, order: Order, status: Status) -> None:
        stamp = {
            Status.CANCELED: "canceled_at",
            Status.EXPIRED: "expired_at",
            Status.REJECTED: "failed_at",
        }[status]
        self.book.change(order, self.now, status=status, **{stamp: self.now})

    def _replace_now(self, successor: Order) -> None:
        """Let a replacement take its predecessor's place, unless that is over by now."""
        if not successor.is_open or successor.replaces is None:
            return
        old = self.book[successor.replaces]
        if old.status is not Status.PENDING_REPLACE:
            self._end(successor, Status.REJECTED)
            return
        self.book.change(
            old, self.now, status=Status.REPLACED, replaced_at=self.now, replaced_by=successor.id
        )
        total = successor.qty or NOTHING
        if total <= old.filled_qty:
            self._end_group(successor, Status.CANCELED)
            return
        status = Status.HELD if self._waits(old) else Status.NEW
        successor = self.book.change(
            successor, self.now, status=status, live=old.live, qty=total - old.filled_qty
        )
        if successor.role is Role.PARENT and successor.order_class is not OrderClass.OCO:
            for leg in self.book.legs(successor):
                self.book.change(leg, self.now, qty=total)
        if self.timetable.is_open(self.now):
            self._meet(successor, arrived=True, is_opening=False)

    def _waits(self, stop: Order) -> bool:
        """Whether a group's other exit is at the exchange, and so this stop is not."""
        return stop.role is Role.STOP_LOSS and any(
            each.role is Role.TAKE_PROFIT or each.order_class is OrderClass.OCO
            for each in self.book.group(stop)
            if stop.id not in {each.id, each.replaces}
        )

    def _expire(self) -> None:
        for order in self.book.open_orders():
            if order.expires_at is None or order.expires_at > self.now or not order.is_open:
                continue
            canceled = order.time_in_force is TimeInForce.GTC or not order.live
            self._end(order, Status.CANCELED if canceled else Status.EXPIRED)


def _in_its_auction(order: Order, market: Market) -> bool:
    if order.time_in_force is TimeInForce.OPG:
        return market.is_opening
    return order.time_in_force is not TimeInForce.CLS or market.is_closing
