"""What must hold at the moment an order is sent, looked at between program and exchange."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from tests.trading.fuzz.books import require

from swingtrader.core.orders import IntentState, OrderType, Purpose, parsed_name
from swingtrader.simulator.clock import eastern_day
from swingtrader.simulator.conditions import NoQuote, StaleQuotes

MINUTES_BEFORE_CLOSE = 15
MOST_ORDERS = 20
MOST_POSITIONS = 10


class Witness:
    """Looks at every order that the program sends.

    Attributes
    ----------
    conditions : list
        Of the market, as in force now.
    lost_on : date or None
        Session in which the store was last lost, on an account with a history.
    """

    def __init__(self, program, books, schedule):
        self.program = program
        self.exchange = program.exchange
        self.books = books
        self.schedule = schedule
        self.conditions = []
        self.lost_on = None

    def sees(self, request, life):
        """Look at one request before it goes out."""
        if request.method != "POST" or urlsplit(request.url).path != "/v2/orders":
            return
        require(self.program.sends_orders, "a dry run sends an order", request.body)
        body = json.loads(request.body)
        name = parsed_name(body["client_order_id"])
        require(name is not None, "an order without a name of ours", body)
        require(
            (name.symbol, name.side) == (body["symbol"], body["side"]),
            "the order's name says something else",
            body,
        )
        day = eastern_day(self.exchange.now)
        require(name.session == day, "an order is sent in another session than its own", body)
        self._has_been_written(body)
        known = {order.client_order_id for order in self.exchange.all_orders}
        if name.client_order_id in known:
            return  # a retry that the exchange refuses
        if name.purpose is Purpose.ENTRY:
            late = self.was_written_before(name, life)
            require(not late, "a BUY that an earlier run has left unknown is sent again", body)
            self._may_be_bought(name.symbol, day)
            self._are_protected(life.entered, name.symbol)
            life.entered[name.symbol] = False
        else:
            self._was_counted(name, life)
            self._is_not_sold_already(name)
        if name.purpose is Purpose.EXIT:
            require(not life.entered, "a SELL is sent after a BUY", body)
        if name.purpose is Purpose.PROTECTION and name.symbol in life.entered:
            life.entered[name.symbol] = True

    def _has_been_written(self, body):
        with self.program.store() as store:
            intent = store.intents.get(body["client_order_id"])
            others = store.intents.unsettled()
        require(intent is not None, "an order is sent that was not written down", body)
        unknown = [
            other
            for other in others
            if other.state is IntentState.UNKNOWN
            and (other.symbol, other.side) == (intent.symbol, intent.side)
            and other.client_order_id != intent.client_order_id
        ]
        require(not unknown, "an order is sent beside one that is unknown", body, unknown)
        sent = float(body["qty"])
        less = sent <= float(intent.qty) if intent.side == "sell" else sent == float(intent.qty)
        same = (intent.symbol, intent.side, str(intent.type)) == (
            body["symbol"], body["side"], body["type"],
        )  # fmt: skip
        require(less and same, "an order is sent that differs from its intent", body, intent)

    def _may_be_bought(self, symbol, day):
        exchange, table = self.exchange, self.exchange.timetable
        require(table.is_open(exchange.now), "a BUY in a closed market", symbol)
        left = (table.next_close(exchange.now) - exchange.now).total_seconds() / 60
        require(left >= MINUTES_BEFORE_CLOSE, "a BUY close to the close", symbol, left)
        require(exchange.held_qty(symbol) == 0, "a BUY of what is held", symbol)
        theirs = symbol in self.schedule.unmanaged
        require(not theirs, "a BUY of what is left to the person", symbol)
        require(not self.books.touched(symbol, day), "a BUY of what was traded today", symbol)
        require(
            not any(o.symbol == symbol and o.is_open for o in exchange.all_orders),
            "a BUY beside an open order",
            symbol,
        )
        require(len(self.books.actions_on(day)) < MOST_ORDERS, "too many orders", symbol)
        held = [s for s in self.program.symbols if exchange.held_qty(s) > 0]
        require(len(held) < MOST_POSITIONS, "too many positions", symbol)
        with self.program.store() as store:
            halts = store.halts.active(day)
        require(not halts, "a BUY while halted", symbol, halts)
        require(self.lost_on != day, "a BUY in the session the store was lost in", symbol)
        for condition in self.conditions:
            if isinstance(condition, (NoQuote, StaleQuotes)) and condition.symbol in {"*", symbol}:
                sided = not isinstance(condition, NoQuote) or condition.bid or condition.ask
                require(not sided, "a BUY without a fresh quote", symbol, condition)
        waiting = [
            order
            for order in exchange.all_orders
            if parsed_name(order.client_order_id)
            and "-exit-" in order.client_order_id
            and order.is_open
            and order.status != "pending_cancel"
        ]
        require(not waiting, "a BUY before the SELLs are over", symbol, waiting)

    def _are_protected(self, entered, symbol):
        """Whether a stop was sent for what this run has bought before this symbol."""
        bare = [
            each
            for each, has_stop in entered.items()
            if not has_stop and each != symbol and self.exchange.held_qty(each) >= 1
        ]
        require(not bare, "a further BUY before what was bought has a stop", bare)

    def _was_counted(self, name, life):
        """Whether the run has read the position since it began, and not read that it is gone."""
        one, every = f"/v2/positions/{name.symbol}", "/v2/positions"
        enough = {one} if name.purpose is Purpose.EXIT else {one, every}
        if self.was_written_before(name, life):
            enough = {one, every}
        read = [
            record
            for record in life.records
            if record.method == "GET" and record.path in enough and record.accepted
        ]
        require(read, "a SELL without a look at the position", name)
        require(read[-1].status != 404, "a SELL of what was seen to be gone", name)

    def was_written_before(self, name, life):
        """Whether an order is one that an earlier run has left behind."""
        with self.program.store() as store:
            intent = store.intents.get(name.client_order_id)
        return intent is not None and intent.run_id != life.run_id

    def _is_not_sold_already(self, name):
        twins = [
            order
            for order in self.exchange.all_orders
            if order.symbol == name.symbol
            and order.side == "sell"
            and order.is_open
            and order.type == OrderType.MARKET
            and parsed_name(order.client_order_id)
            and order.status != "pending_cancel"
        ]
        require(not twins, "a SELL beside another of ours that is still at work", name, twins)
