"""What must hold after a command: store, report and resting stops against the exchange's books."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

from tests.trading.fuzz.books import purpose_of, require

from swingtrader.core.orders import IntentState, Purpose, parsed_name
from swingtrader.simulator.clock import eastern_day

NOTHING = Decimal(0)
CODES = frozenset({0, 69, 75})
"""Done; broker away; lock held."""

_STOPS = frozenset({"stop", "stop_limit", "trailing_stop"})


class Audit:
    """Compares what the program believes with what is so."""

    def __init__(self, program, books, schedule):
        self.program = program
        self.exchange = program.exchange
        self.books = books
        self.schedule = schedule
        self._marks = {}

    def after(self, step, ran, life):
        """Look at everything once a command has ended, or was killed (`ran` is None)."""
        self.books.catch_up()
        require(len(self._names()) == len(set(self._names())), "an id was used twice")
        if ran is None:
            return
        require(ran.code in CODES, "unexpected end", ran.code, ran.error)
        met = {record.fault for record in life.records} - {None}
        self._of_one_mind(ran, met, life)
        plain = "edit" not in met and not life.interfered
        about_account = {r.fault for r in life.records if not r.path.startswith("/v2/stocks")}
        answered = ran.code == 0 or (
            ran.code == 69 and about_account == {None} and not self.schedule.cancels_slowly
        )
        if plain and ran.code == 0 and self.program.sends_orders and not ran.report["skipped"]:
            self._leaves_nothing_at_work()
        if step.command == "risk-check" and plain and answered:
            self._is_protected(ran, life)

    def forget(self):
        """Begin anew: the store was lost."""
        self._marks = {}

    def at_rest(self):
        """Look whether nothing is left open once all is well."""
        with self.program.store() as store:
            stored = store.positions.all()
            unsettled = store.intents.unsettled()
            remembered = {order.id for order in store.orders.all()}
        held = {s: self.exchange.held_qty(s) for s in self.program.symbols}
        require(
            {s: p.qty for s, p in stored.items()} == {s: q for s, q in held.items() if q > 0},
            "the store holds other positions",
            stored,
            held,
        )
        today = eastern_day(self.exchange.now)
        open_orders = {order.id: order for order in self.exchange.all_orders if order.is_open}
        names = {order.client_order_id for order in self.exchange.all_orders}
        for intent in unsettled:
            if intent.state is IntentState.WORKING:
                require(intent.broker_order_id in open_orders, "an intent is not settled", intent)
            else:
                # A purchase that never arrived is looked for until its session ends.
                late = intent.side == "buy" and intent.session == today
                require(late and intent.client_order_id not in names, "left unknown", intent)
        if self.program.sends_orders:
            self._leaves_nothing_at_work()
        require(remembered == set(open_orders), "other orders are remembered", open_orders)

    def is_flat(self):
        """Look whether all is sold, but beside a stranger's purchase: that is a wash trade."""
        bought = {o.symbol for o in self.exchange.all_orders if o.is_open and o.side == "buy"}
        left = [
            symbol
            for symbol in set(self.program.symbols) - bought - set(self.schedule.unmanaged)
            if self.exchange.held_qty(symbol) > 0
        ]
        require(not left or not self.program.sends_orders, "not everything is sold", left)

    def _leaves_nothing_at_work(self):
        left = [
            order
            for order in self.exchange.all_orders
            if order.is_open and purpose_of(order) in {Purpose.ENTRY, Purpose.EXIT}
        ]
        require(not left, "an entry or exit is left open", left)

    def _names(self):
        return [o.client_order_id for o in self.exchange.all_orders if purpose_of(o)]

    def _of_one_mind(self, ran, met, life):
        if ran.code != 0 or ran.report["skipped"] or "edit" in met or life.interfered:
            return
        looked_at = max(r.at for r in life.records if r.path.startswith("/v2/positions"))
        late = {fill.symbol for fill in self.exchange.fills if fill.at >= looked_at}
        shown = {row["symbol"] for row in ran.report["decisions"]}
        with self.program.store() as store:
            stored = store.positions.all()
        for symbol in self.program.symbols:
            qty = self.exchange.held_qty(symbol)
            if qty <= 0 or symbol in late:
                continue
            require(symbol in stored, "a position is forgotten", symbol, qty)
            position = stored[symbol]
            require(symbol in shown, "a position is not reported", symbol)
            require(position.qty == qty, "another quantity is remembered", position, qty)
            if symbol not in self.books.delivered:
                entered = self.books.entered[symbol]
                require(position.entry_session == entered, "another entry", position, entered)
            self._marks_do_not_fall(position)
        self._marks = {symbol: m for symbol, m in self._marks.items() if symbol in stored}

    def _marks_do_not_fall(self, position):
        symbol, marks = position.symbol, position.marks
        key = (position.entry_session, self.books.bought[symbol], symbol in self.books.split)
        before, last = self._marks.get(symbol, (None, None))
        if before == key and symbol not in self.books.delivered:
            fell = marks.high_water < last.high_water or marks.trailing_stop < last.trailing_stop
            require(not fell, "marks have fallen", symbol, last, marks)
        self._marks[symbol] = (key, marks)

    def _is_protected(self, ran, life):
        if ran.report["skipped"] or not self.program.sends_orders:
            return
        # Beside a stranger's open purchase the broker takes no stop: a wash trade. One that it
        # takes and then rejects is for the next run.
        refused = {
            order.symbol
            for order in self.exchange.all_orders
            if (order.is_open and order.side == "buy" and purpose_of(order) is None)
            or (order.status == "rejected" and order.created_at >= life.began_at)
        }
        # What somebody bought after this run had looked is for the next one.
        looked_at = max(r.at for r in life.records if r.path.startswith("/v2/positions"))
        refused |= {
            fill.symbol
            for fill in self.exchange.fills
            if fill.side == "buy"
            and fill.at >= looked_at
            and parsed_name(fill.client_order_id) is None
        }
        for symbol in self.program.symbols:
            qty = self.exchange.held_qty(symbol)
            if qty <= 0 or symbol in self.schedule.unmanaged or symbol in refused:
                continue
            stops, others = NOTHING, NOTHING
            for order in self.exchange.all_orders:
                if order.symbol != symbol or order.side != "sell" or not order.is_open:
                    continue
                if order.type in _STOPS and order.status != "pending_cancel":
                    stops += order.remaining
                elif (
                    parsed_name(order.client_order_id) is None or order.status == "pending_cancel"
                ):
                    others += order.remaining
            wanted = (qty - others).to_integral_value(ROUND_FLOOR)
            require(stops >= wanted, "a position without a stop", symbol, qty, stops, others)
