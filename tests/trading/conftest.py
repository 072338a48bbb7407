# ruff: noqa: D102 - the methods of the test world are named for what they do
"""A simulated account that the real commands trade, through the real client, in this process.

`World.run` runs one command as a timer would, whole: store, lock, clock, reconciliation, orders.
Only the forecast is made by hand (`Forecast`), so that a test says what the program wants.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase

import numpy as np
import pytest

from swingtrader.adapters.alpaca_data import AlpacaData
from swingtrader.adapters.alpaca_trading import AlpacaBroker
from swingtrader.adapters.alpaca_wire import Connection
from swingtrader.adapters.calendar import (
    session_before,
    session_closes,
    session_opens,
    sessions_between,
)
from swingtrader.adapters.store import Store
from swingtrader.cli.app import exit_code_of
from swingtrader.commands.decide import run_decide
from swingtrader.commands.live_signals import LiveSignals
from swingtrader.commands.live_snapshot import Outlook
from swingtrader.commands.risk_check import run_risk_check
from swingtrader.commands.trading_command import Launch, trade
from swingtrader.config import load_strategy
from swingtrader.core.market import Panel
from swingtrader.core.policy import SIGNALS
from swingtrader.environment import BrokerSettings, Mode, Places
from swingtrader.errors import SwingtraderError
from swingtrader.simulator import faults, in_process
from swingtrader.simulator.clock import EASTERN, Timetable
from swingtrader.simulator.exchange import Exchange
from swingtrader.simulator.settings import ExchangeSettings

ACCOUNT = ExchangeSettings().account_number
FIRST_DAY, LAST_DAY = date(2023, 10, 2), date(2024, 1, 31)
MONDAY = date(2023, 11, 20)
"""The week of Thanksgiving: the 23rd is a holiday, the 24th a half-day."""


def at(day, hour, minute=0, second=0):
    """Instant of a wall time in New York."""
    there = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=EASTERN)
    return there.astimezone(UTC)


def timetable(first=FIRST_DAY, last=LAST_DAY):
    sessions = sessions_between(first, last)
    return Timetable(sessions, session_opens(sessions), session_closes(sessions))


def market(bars, first=FIRST_DAY, last=LAST_DAY):
    """Panel over the calendar from {symbol: price, or function of (row, day) to a bar or None}."""
    sessions = sessions_between(first, last)
    symbols = tuple(sorted(bars))
    table = np.full((len(sessions), len(symbols), 5), np.nan)
    for n, symbol in enumerate(symbols):
        for t, day in enumerate(sessions.tolist()):
            given = bars[symbol]
            bar = given(t, day) if callable(given) else (given, given, given, given, 2e6)
            if bar is not None:
                table[t, n] = bar
    return Panel(sessions, symbols, *np.moveaxis(table, -1, 0))


def flat_from(*steps):
    """Bars that never move within a day, at the last (day, price) that has come; none before."""

    def bar(_row, day):
        prices = [price for first, price in steps if first <= day]
        return (*[prices[-1]] * 4, 2e6) if prices else None

    return bar


QUIET = {"AAA": 100.0, "BBB": 50.0, "CCC": 20.0, "DDD": 200.0}
"""Four stocks whose price never moves."""


@dataclass(frozen=True)
class Forecast:
    """What the models say of each symbol: its vote; a symbol that is left out is not ranked."""

    votes: dict = field(default_factory=dict)
    p_high_volatility: float = math.nan
    halts: tuple = ()
    atr_fraction: float = math.nan

    def outlook(self, symbols, session, close, *, volume_usd=1e9):
        n = len(symbols)
        votes = np.array([self.votes.get(symbol, math.nan) for symbol in symbols])
        signals = np.full((len(SIGNALS), n), math.nan)
        signals[SIGNALS.index("quant")] = votes
        signals[SIGNALS.index("market")] = votes
        signals[SIGNALS.index("momentum")] = votes
        atr = np.full(n, self.atr_fraction)
        return Outlook(
            signals=LiveSignals(
                session=session,
                symbols=tuple(symbols),
                sector=np.full(n, -1),
                probability=np.where(np.isnan(votes), math.nan, 0.7),
                signals=signals,
                sector_strength=np.zeros(0),
                close=np.array([close(symbol) for symbol in symbols]),
                dollar_volume_usd=np.full(n, volume_usd),
                atr_fraction=atr,
                bars_session=None,
                complete=True,
            ),
            atr_fractions={}
            if math.isnan(self.atr_fraction)
            else dict.fromkeys(symbols, self.atr_fraction),
            p_high_volatility=self.p_high_volatility,
            halts=self.halts,
        )


@dataclass(frozen=True)
class Ran:
    """What one run of a command came to."""

    code: int
    report: dict
    error: SwingtraderError | None

    @property
    def orders(self):
        """(purpose, symbol, qty, status) of each order of the run."""
        return [
            (order["purpose"], order["symbol"], order["qty"], order["status"])
            for order in self.report["orders"]
        ]

    def reason(self, symbol):
        """Why a symbol was bought, sold or left."""
        (row,) = [row for row in self.report["decisions"] if row["symbol"] == symbol]
        return row["reason"]


class _Watched(list):
    """The exchange's log of requests, which tells of each one as it is answered."""

    def __init__(self, records, told):
        super().__init__(records)
        self._told = told

    def append(self, record):
        super().append(record)
        self._told(record)


class World:
    """An account, the store beside it, and the commands.

    Parameters
    ----------
    exchange : Exchange
    home : Path
        Of the state directory.
    symbols : iterable of str
        What the forecast speaks of.
    """

    def __init__(self, exchange, home, symbols, *, mode=Mode.PAPER, strategy=None):
        self.exchange = exchange
        self.symbols = tuple(sorted(symbols))
        self.places = Places(None, home / "state", home / "models", home / "state" / "data")
        self.mode = mode
        self.live_account = None
        self.strategy = strategy or load_strategy(None)
        self.pauses = []
        self.elapsed = 0.0
        self._runs = 0
        self._keys = ("simulated-key", "simulated-secret")

    # The market's side ---------------------------------------------------------------------

    def move_to(self, day, hour, minute=0, second=0):
        self.exchange.advance_to(at(day, hour, minute, second))

    def wait(self, **delta):
        self.exchange.advance_to(self.exchange.now + timedelta(**delta))

    def by_hand(self, symbol, side, qty, **fields):
        """An order placed in the broker's own app."""
        body = {
            "symbol": symbol, "side": side, "qty": str(qty), "type": "market",
            "time_in_force": "day", **fields,
        }  # fmt: skip
        return self.exchange.submit_order(body)

    def holding(self, symbol, qty, **fields):
        """Have bought by hand, and see it filled."""
        self.by_hand(symbol, "buy", qty, **fields)
        self.wait(seconds=2)

    def prints(self, symbol, price, *, nth=1):
        """Show one trade at a price at which nobody traded, in one answer."""
        self.exchange.set_fault(
            faults.edit("GET", "/v2/stocks/snapshots", f"{symbol}.latestTrade.p", price, nth=nth)
        )

    def when(self, method, path, act):
        """Let something happen just after the first such request has been answered."""
        due = [act]

        def told(record):
            if due and record.method == method and fnmatchcase(record.path, path):
                due.pop()()

        self.exchange.requests = _Watched(self.exchange.requests, told)

    # The program's side --------------------------------------------------------------------

    def connection(self):
        return Connection(*self._keys, trading_url=in_process.URL, data_url=in_process.URL)

    def broker(self):
        broker = AlpacaBroker(self.connection(), pause=self.pauses.append)
        mounted(broker.session, self.exchange)
        return broker

    def data(self, asof):
        data = AlpacaData(self.connection(), pause=self.pauses.append, asof=asof)
        for session in data.sessions:
            mounted(session, self.exchange)
        return data

    def settings(self):
        return BrokerSettings(
            *self._keys,
            trading_url="http://127.0.0.1:1",
            data_url="http://127.0.0.1:1",
            feed="iex",
            mode=self.mode,
            paper=self.live_account is None,
            live_account=self.live_account,
        )

    def launch(self, command):
        self._runs += 1
        return Launch(
            command=command,
            run_id=f"run-{self._runs}",
            started_at=self.exchange.now,
            places=self.places,
            settings=self.settings(),
            connect=self,
            pause=self.pauses.append,
            elapsed_seconds=lambda: self.elapsed,
            exit_code_of=exit_code_of,
        )

    def run(self, command, forecast=None):
        """Run `decide` or `risk-check` once, now."""
        launch = self.launch(command)
        try:
            if command == "decide":
                report = trade(
                    launch,
                    self.strategy,
                    self._prepared(forecast or Forecast()),
                    lambda run, known: run_decide(run, *known),
                )
            else:
                report = trade(
                    launch,
                    self.strategy,
                    lambda _store, _clock, session, *_: session_before(session),
                    run_risk_check,
                )
        except SwingtraderError as error:
            return Ran(exit_code_of(error), self.last_report(launch.run_id), error)
        return Ran(0, report, None)

    def decide(self, forecast=None, **votes):
        """Run `decide` with these votes."""
        return self.run("decide", forecast or Forecast(votes))

    def risk_check(self):
        return self.run("risk-check")

    def _prepared(self, forecast):
        def prepare(_store, _clock, session, _data, _warnings):
            symbols = self.symbols
            close = {s: float(self.exchange.price(s)) or math.nan for s in symbols}
            return session_before(session), forecast.outlook(symbols, session, close.get)

        return prepare

    def last_report(self, run_id):
        with self.store() as store:
            last = store.runs.last_report("decide", "risk-check")
        return last.report if last is not None and last.run_id == run_id else {}

    def store(self):
        return Store.open(self.places.state_dir, now=self.exchange.now)

    # What is true --------------------------------------------------------------------------

    def held(self, symbol):
        return self.exchange.held_qty(symbol)

    def resting(self, symbol):
        """Shares under stops that rest at the broker."""
        return sum(
            (
                order.remaining
                for order in self.exchange.all_orders
                if order.symbol == symbol
                and order.side == "sell"
                and order.stop_price is not None
                and order.is_open
            ),
            Decimal(0),
        )

    def stops(self, symbol):
        """(shares, stop price) of the stops that rest at the broker."""
        return [
            (order.remaining, order.stop_price)
            for order in self.exchange.all_orders
            if order.symbol == symbol
            and order.side == "sell"
            and order.stop_price is not None
            and order.is_open
        ]

    def tracked(self, symbol):
        """What the store remembers of a position."""
        with self.store() as store:
            return store.positions.all()[symbol]

    def order_requests(self):
        """Every request so far that could change an order."""
        return [each for each in self.exchange.requests if each.changes_orders]

    def sent(self, symbol=None):
        """Orders that the program got accepted: (side, purpose, qty, status)."""
        return [
            (str(order.side), order.client_order_id.split("-")[-2], order.qty, str(order.status))
            for order in self.exchange.all_orders
            if order.client_order_id.startswith("st-") and symbol in {None, order.symbol}
        ]


def mounted(session, exchange):
    in_process.mount(session, exchange)


@pytest.fixture
def world(tmp_path):
    """Four quiet stocks on a Monday at ten in the morning, in paper mode."""
    return world_on(tmp_path)


def world_on(home, bars=None, *, start=None, cash=100_000, mode=Mode.PAPER, **settings):
    """World over these bars; `settings` are the exchange's, and `splits`."""
    splits = settings.pop("splits", ())
    exchange = Exchange(
        market(QUIET if bars is None else bars),
        timetable(),
        start=start or at(MONDAY, 10),
        cash=Decimal(cash),
        splits=splits,
        settings=replace(ExchangeSettings(no_shorting=True, requests_a_minute=None), **settings),
    )
    return World(exchange, home, QUIET if bars is None else bars, mode=mode)
