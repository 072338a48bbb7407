"""The simulated exchange: one account at Alpaca's, in a process, at a simulated instant.

No threads, no clock of its own, no input or output. Every method acts at `now`, which moves only
by `advance_to`. Answers are what goes over the wire as JSON; refusals are `RefusalError`. Each
method counts as a request, upon which what was asked for earlier takes effect (`Latency`).
Served over HTTP by `server`, or to a client in the same process by `in_process`.

What it does not simulate: trading outside the regular session (extended hours are accepted and
wait), dividends, fees, interest, margin calls, options, crypto.
"""

from __future__ import annotations

from decimal import Decimal
from threading import RLock
from typing import TYPE_CHECKING, Any

from swingtrader.simulator import order_entry, rendering, replacement
from swingtrader.simulator.articles import NewsArchive
from swingtrader.simulator.book import OrderFilter
from swingtrader.simulator.errors import RefusalError, malformed, not_found
from swingtrader.simulator.faults import Fault, FaultPlan
from swingtrader.simulator.floor import Floor
from swingtrader.simulator.market_data import MarketData
from swingtrader.simulator.orders import Role
from swingtrader.simulator.prices import PriceTape
from swingtrader.simulator.rate_limit import RateLimit
from swingtrader.simulator.settings import ExchangeSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from swingtrader.core.market import Panel
    from swingtrader.simulator.activities import Fill
    from swingtrader.simulator.articles import Article, NewsQuery
    from swingtrader.simulator.clock import Timetable
    from swingtrader.simulator.conditions import Condition
    from swingtrader.simulator.market_data import BarsQuery
    from swingtrader.simulator.orders import Order
    from swingtrader.simulator.prices import Split
    from swingtrader.simulator.request_log import RequestRecord

Json = dict[str, Any]


class Exchange:
    """One account on one market.

    Parameters
    ----------
    panel : Panel
        Split-adjusted daily bars.
    timetable : Timetable
        Every session the exchange knows: those of the panel, and some after them.
    start : datetime
        Aware; the first simulated instant.
    cash : Decimal
        USD in the account.
    splits : sequence of Split
        Those that the account lives through; the panel's prices are adjusted for them.
    news : sequence of Article
    settings : ExchangeSettings

    Raises
    ------
    ValueError
        `start` is naive, or a session of the panel or of a split is not in the timetable.
    """

    def __init__(
        self,
        panel: Panel,
        timetable: Timetable,
        *,
        start: datetime,
        cash: Decimal = Decimal(100_000),
        splits: Sequence[Split] = (),
        news: Sequence[Article] = (),
        settings: ExchangeSettings | None = None,
    ) -> None:
        if start.tzinfo is None:
            raise ValueError("a simulated instant must carry its time zone")
        self.settings = settings or ExchangeSettings()
        self.timetable = timetable
        self._tape = PriceTape(
            panel,
            self.timetable,
            splits,
            seed=self.settings.seed,
            half_spread_bps=self.settings.half_spread_bps,
        )
        self._floor = Floor(self._tape, splits, self.settings, cash=cash, now=start)
        self._data = MarketData(self._tape, self.settings, self._floor.conditions)
        self._news = NewsArchive(news)
        self._assets = {rendering.asset_id(symbol): symbol for symbol in panel.symbols}
        self.faults = FaultPlan()
        self.rate = RateLimit(self.settings.requests_a_minute)
        self.requests: list[RequestRecord] = []
        self.lock = RLock()
        """Held over each request, so that overlapping clients see one state after another."""

    # The rehearsal's side ----------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The simulated instant, UTC."""
        return self._floor.now

    @property
    def cash(self) -> Decimal:
        """USD."""
        return self._floor.account.cash

    @property
    def fills(self) -> tuple[Fill, ...]:
        """Every execution so far."""
        return tuple(self._floor.journal.fills)

    @property
    def all_orders(self) -> tuple[Order, ...]:
        """Every order so far, legs included, by arrival."""
        return tuple(self._floor.book)

    def held_qty(self, symbol: str) -> Decimal:
        """Shares held, negative when short."""
        return self._floor.account.qty(symbol)

    def equity(self) -> Decimal:
        """Cash and positions at the last prices, USD."""
        return self._floor.valuation().equity

    def price(self, symbol: str) -> Decimal:
        """Last price of a symbol; 0 for one that has not traded."""
        return self._floor.price(symbol)

    def advance_to(self, at: datetime) -> None:
        """Move the clock through everything that happens until `at`.

        Raises
        ------
        ValueError
            `at` is naive, or before now.
        """
        with self.lock:
            self._floor.advance_to(at)

    def set_fault(self, fault: Fault | Condition) -> None:
        """Put a fault of the wire or a condition of the market in force."""
        with self.lock:
            if isinstance(fault, Fault):
                self.faults.add(fault)
            else:
                self._floor.conditions.add(fault)

    def clear_faults(self) -> None:
        """Lift every fault and condition."""
        with self.lock:
            self.faults.clear()
            self._floor.conditions.clear()

    def deliver(self, symbol: str, qty: Decimal, price: Decimal) -> None:
        """Put shares from elsewhere into the account, without cash and without a fill."""
        with self.lock:
            self._floor.account.give(symbol, qty, price)

    # Account -----------------------------------------------------------------------------------

    def account(self) -> Json:
        """GET /account."""
        self._floor.begin_request()
        return rendering.account_json(self._floor)

    def configuration(self) -> Json:
        """GET /account/configurations."""
        self._floor.begin_request()
        return rendering.configuration_json(self._floor)

    def configure(self, body: Any) -> Json:
        """PATCH /account/configurations."""
        self._floor.begin_request()
        if not isinstance(body, dict):
            raise malformed("request body must be an object")
        for name in ("no_shorting", "suspend_trade", "fractional_trading"):
            if name in body:
                if not isinstance(body[name], bool):
                    raise malformed(f"{name} must be a boolean")
                setattr(self._floor, name, body[name])
        if (multiplier := body.get("max_margin_multiplier")) is not None:
            if str(multiplier) not in {"1", "2", "4"}:
                raise malformed("max_margin_multiplier must be 1, 2 or 4")
            self._floor.multiplier = int(multiplier)
        return rendering.configuration_json(self._floor)

    def activities(self, kinds: frozenset[str] | None = None, **query: Any) -> list[Json]:
        """GET /account/activities; see `Journal.page`."""
        self._floor.begin_request()
        return self._floor.journal.page(kinds, **query)

    def portfolio_history(self) -> Json:
        """GET /account/portfolio/history, by sessions."""
        self._floor.begin_request()
        return rendering.history_json(self._floor)

    # Clock and assets --------------------------------------------------------------------------

    def clock(self) -> Json:
        """GET /clock."""
        self._floor.begin_request()
        return rendering.clock_json(self.timetable, self.now)

    def calendar(self, start: date | None = None, end: date | None = None) -> list[Json]:
        """GET /calendar."""
        self._floor.begin_request()
        return rendering.calendar_json(self.timetable, start, end)

    def assets(self, status: str | None = None) -> list[Json]:
        """GET /assets: everything that has traded by now."""
        self._floor.begin_request()
        listed = (s for s in self._tape.symbols if self._tape.is_listed(s, self.now))
        shown = [rendering.asset_json(self._floor, symbol) for symbol in listed]
        return [asset for asset in shown if status in {None, asset["status"]}]

    def asset(self, symbol_or_id: str) -> Json:
        """GET /assets/{symbol or id}."""
        self._floor.begin_request()
        symbol = self._assets.get(symbol_or_id, symbol_or_id)
        if not self._tape.is_listed(symbol, self.now):
            raise not_found(f"asset not found for {symbol_or_id}")
        return rendering.asset_json(self._floor, symbol)

    # Orders ------------------------------------------------------------------------------------

    def submit_order(self, body: Any) -> Json:
        """POST /orders."""
        self._floor.begin_request()
        return self._shown(order_entry.submit(self._floor, body), nested=True)

    def orders(self, wanted: OrderFilter | None = None) -> list[Json]:
        """GET /orders."""
        self._floor.begin_request()
        wanted = wanted or OrderFilter()
        found = self._floor.book.query(wanted)
        return [self._shown(order, nested=wanted.nested) for order in found]

    def order(self, order_id: str, *, nested: bool = False) -> Json:
        """GET /orders/{id}."""
        self._floor.begin_request()
        return self._shown(self._floor.book[order_id], nested=nested)

    def order_by_client_id(self, client_order_id: str) -> Json:
        """GET /orders:by_client_order_id."""
        self._floor.begin_request()
        return self._shown(self._floor.book.by_client_id(client_order_id), nested=False)

    def replace_order(self, order_id: str, body: Any) -> Json:
        """PATCH /orders/{id}."""
        self._floor.begin_request()
        return self._shown(replacement.replace(self._floor, order_id, body), nested=False)

    def cancel_order(self, order_id: str) -> None:
        """DELETE /orders/{id}."""
        self._floor.begin_request()
        order_entry.cancel(self._floor, order_id)

    def cancel_orders(self) -> list[Json]:
        """DELETE /orders."""
        self._floor.begin_request()
        canceled = order_entry.cancel_all(self._floor)
        return [
            {"id": order.id, "status": 200, "body": rendering.order_json(order)}
            for order in canceled
        ]

    def _shown(self, order: Order, *, nested: bool) -> Json:
        order = self._floor.book[order.id]
        legs = self._floor.book.legs(order) if nested and order.role is Role.PARENT else None
        return rendering.order_json(order, legs)

    # Positions ---------------------------------------------------------------------------------

    def positions(self) -> list[Json]:
        """GET /positions."""
        self._floor.begin_request()
        return [rendering.position_json(self._floor, p) for p in self._floor.account.positions()]

    def position(self, symbol_or_id: str) -> Json:
        """GET /positions/{symbol or id}."""
        self._floor.begin_request()
        symbol = self._assets.get(symbol_or_id, symbol_or_id)
        position = self._floor.account.position(symbol)
        if position is None:
            raise not_found("position does not exist")
        return rendering.position_json(self._floor, position)

    def close_position(
        self, symbol_or_id: str, qty: Decimal | None = None, percentage: Decimal | None = None
    ) -> Json:
        """DELETE /positions/{symbol or id}."""
        self._floor.begin_request()
        symbol = self._assets.get(symbol_or_id, symbol_or_id)
        order = order_entry.close_position(self._floor, symbol, qty=qty, percentage=percentage)
        return rendering.order_json(order)

    def close_positions(self, *, cancel_orders: bool = False) -> list[Json]:
        """DELETE /positions."""
        self._floor.begin_request()
        closed = order_entry.close_all_positions(self._floor, cancel_orders=cancel_orders)
        return [
            {"symbol": symbol, "status": result.status, "body": result.body}
            if isinstance(result, RefusalError)
            else {"symbol": symbol, "status": 200, "body": rendering.order_json(result)}
            for symbol, result in closed
        ]

    # Market data -------------------------------------------------------------------------------

    def bars(self, query: BarsQuery) -> Json:
        """GET /stocks/bars."""
        self._floor.begin_request()
        return self._data.bars(query, self.now)

    def latest(self, what: str, symbols: tuple[str, ...], feed: str | None = None) -> Json:
        """GET /stocks/{trades, quotes, bars}/latest."""
        self._floor.begin_request()
        return self._data.latest(what, symbols, feed, self.now)

    def snapshots(self, symbols: tuple[str, ...], feed: str | None = None) -> Json:
        """GET /stocks/snapshots."""
        self._floor.begin_request()
        return self._data.snapshots(symbols, feed, self.now)

    def news(self, query: NewsQuery) -> Json:
        """GET /news."""
        self._floor.begin_request()
        return self._news.page(query, self.now)
