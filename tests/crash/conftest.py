# ruff: noqa: D102 - the methods are named for what they do
"""A small market, an exchange on it that is served over loopback, and real runs against it.

The market is written by hand so that the real `decide`, with a real (if tiny) ranker, sells two
holdings and buys two others on `TODAY`. A moment of that world, exchange and state directory
together, can be `Kept` and brought back as often as a test wants to end it differently.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from functools import partial
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np
import pytest

from swingtrader.adapters.bars import write_bars
from swingtrader.adapters.calendar import (
    session_before,
    session_closes,
    session_opens,
    sessions_between,
)
from swingtrader.adapters.store import Store
from swingtrader.commands.live_signals import FAMILY, RECORD_COLUMNS, RECORD_FILE, TREES_FILE
from swingtrader.core.factors import FACTORS
from swingtrader.core.market import Panel
from swingtrader.core.trees import TreeEnsemble
from swingtrader.estimators.installation import install, promote
from swingtrader.simulator.clock import EASTERN, Timetable, eastern_day
from swingtrader.simulator.exchange import Exchange
from swingtrader.simulator.server import serve
from swingtrader.simulator.settings import ExchangeSettings

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_DAY, LAST_DAY = date(2022, 9, 1), date(2024, 1, 31)
TODAY = date(2023, 11, 21)
"""A Tuesday; the 23rd is Thanksgiving, the 24th a half-day."""
YESTERDAY = session_before(TODAY)

RISING, FALLING = ("AAPL", "MSFT", "CRM", "ORCL"), ("JPM", "BAC", "GS", "MA")
DROPPED = "GS"
"""Opens 4 % lower today: below every stop of ours, and above the one at the broker."""

ENTERED = dict.fromkeys((*RISING, *FALLING), TODAY) | dict.fromkeys(
    ("AAPL", "JPM", DROPPED), YESTERDAY
)
"""When each stock that is ever held was bought."""

KEYS = ("key-that-nobody-may-read", "secret-that-nobody-may-read")
ACCOUNT = ExchangeSettings().account_number

STRATEGY = """
[vote]
buy_at = 0.05
[limits]
positions = 3
"""
"""Room for two entries, once two of three holdings are sold."""

ROOT = Path(__file__).parents[2]


def at(day, hour, minute=0):
    """Instant of a wall time in New York."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=EASTERN).astimezone(UTC)


def hand_written_market():
    """Eight stocks that rise or fall steadily, with a little noise so that factors vary."""
    sessions = sessions_between(FIRST_DAY, LAST_DAY)
    rng = np.random.default_rng(5)
    days = np.arange(len(sessions))
    bars = {}
    for n, symbol in enumerate((*RISING, *FALLING, "SPY")):
        drift = 0.0015 if symbol in RISING else -0.0008 if symbol in FALLING else 0.0003
        close = (60 + 20 * n) * np.exp(drift * days + 0.004 * rng.standard_normal(len(days)))
        opening = close * (1 + 0.002 * rng.standard_normal(len(days)))
        if symbol == DROPPED:
            today = days[sessions == np.datetime64(TODAY)].item()
            close[today:] *= 0.96
            opening[today:] *= 0.96
        high, low = np.maximum(opening, close) * 1.003, np.minimum(opening, close) * 0.997
        volume = np.full(len(days), 3e6)
        bars[symbol] = np.stack([opening, high, low, close]).round(2), volume
    symbols = tuple(sorted(bars))
    prices = np.stack([bars[symbol][0] for symbol in symbols], axis=-1)
    volume = np.stack([bars[symbol][1] for symbol in symbols], axis=-1)
    return Panel(sessions, symbols, *prices, volume)


def exchange_on(bars, **settings):
    """An untouched account, yesterday at ten."""
    sessions = sessions_between(FIRST_DAY, LAST_DAY)
    return Exchange(
        bars,
        Timetable(sessions, session_opens(sessions), session_closes(sessions)),
        start=at(YESTERDAY, 10),
        settings=replace(
            ExchangeSettings(
                api_key=KEYS[0], secret_key=KEYS[1], no_shorting=True, requests_a_minute=None
            ),
            **settings,
        ),
    )


def tiny_ranker():
    """One question: whether the 21-session momentum is above the universe's mean."""
    return TreeEnsemble(
        feature=np.array([[FACTORS.index("momentum_21")]]),
        threshold=np.array([[0.0]]),
        default_left=np.array([[True]]),
        leaf=np.array([[-3.0, 3.0]]),
        base_margin=0.0,
        n_features=len(FACTORS),
    )


@dataclass(frozen=True)
class Ended:
    """How a process ended, and what it said."""

    code: int
    """Negative for the signal that ended it."""
    out: str
    err: str

    @property
    def report(self):
        return json.loads(self.out)


class Forks:
    """The process that has everything loaded, and forks children; see ``children.py``."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.children"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.communicate()

    def asked(self, **request):
        """Hand over a request and return the number that comes back."""
        self._process.stdin.write(json.dumps(request, default=str) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@dataclass(frozen=True)
class Run:
    """A process that is running the command line."""

    pid: int
    wait: Callable[[], int]
    out: Path
    err: Path

    def ended(self):
        """Wait for its end."""
        return Ended(self.wait(), self.out.read_text(), self.err.read_text())


class Stage:
    """One exchange, served; one state directory; and the command line run against both.

    Parameters
    ----------
    exchange : Exchange
    home : Path
        Holds the directories `state` and `models` and the file `strategy.toml`.
    """

    def __init__(self, exchange, home, forks):
        self.exchange = exchange
        self.home = home
        self._forks = forks
        self._server = serve(exchange)
        self._runs = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.close()

    # The market's side ---------------------------------------------------------------------

    def by_hand(self, symbol, side, qty, **fields):
        body = {
            "symbol": symbol, "side": side, "qty": str(qty), "type": "market",
            "time_in_force": "day", **fields,
        }  # fmt: skip
        return self.exchange.submit_order(body)

    def move_to(self, day, hour, minute=0):
        self.exchange.advance_to(at(day, hour, minute))

    def wait(self, **delta):
        self.exchange.advance_to(self.exchange.now + timedelta(**delta))

    # The program's side --------------------------------------------------------------------

    @property
    def state(self):
        return self.home / "state"

    def environment(self, **changes):
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "OPENBLAS_NUM_THREADS": "1",
            "ALPACA_API_KEY": self.exchange.settings.api_key,
            "ALPACA_SECRET_KEY": self.exchange.settings.secret_key,
            "ALPACA_TRADING_URL": self._server.url,
            "ALPACA_DATA_URL": self._server.url,
            "SWINGTRADER_CONFIG": str(self.home / "strategy.toml"),
            "SWINGTRADER_STATE_DIR": str(self.state),
            "SWINGTRADER_MODELS_DIR": str(self.home / "models"),
            "LIVE_TRADING": "true",
        }
        return {k: v for k, v in (environment | changes).items() if v is not None}

    def begin(self, *arguments, steps=None, kill=None, lock_wait_seconds=None, **environment):
        """Start a forked child that runs the command line.

        Parameters
        ----------
        steps : Path, optional
            Gets a line for each commit and each request, before it is done.
        kill : (int, str), optional
            Before or after which of them the child is to die.
        """
        out, err = self._outputs()
        pid = self._forks.asked(
            arguments=["--json", *arguments],
            environment=self.environment(**environment),
            out=out,
            err=err,
            steps=steps,
            kill=kill,
            lock_wait_seconds=lock_wait_seconds,
        )
        return Run(pid, partial(self._forks.asked, wait=pid), out, err)

    def run(self, *arguments, **options):
        """Run the command line in a forked child, to its end."""
        return self.begin(*arguments, **options).ended()

    def begin_afresh(self, *arguments, **environment):
        """Start ``python -m swingtrader``, a process that shares nothing with this one."""
        out, err = self._outputs()
        with out.open("w") as to_out, err.open("w") as to_err:
            process = subprocess.Popen(
                [sys.executable, "-m", "swingtrader", "--json", *arguments],
                env=self.environment(**environment),
                stdout=to_out,
                stderr=to_err,
            )
        return Run(process.pid, partial(process.wait, 60), out, err)

    def _outputs(self):
        self._runs += 1
        return self.home / f"out-{self._runs}", self.home / f"err-{self._runs}"

    def store(self):
        return Store.open(self.state, now=self.exchange.now)

    # What is true --------------------------------------------------------------------------

    @property
    def held(self):
        """Shares by symbol at the broker, zeros left out."""
        symbols = {order.symbol for order in self.exchange.all_orders}
        held = {symbol: self.exchange.held_qty(symbol) for symbol in sorted(symbols)}
        return {symbol: qty for symbol, qty in held.items() if qty}

    @property
    def today(self):
        """New York's day."""
        return eastern_day(self.exchange.now)

    def resting(self, symbol):
        """Shares of a symbol under stops that rest at the broker."""
        return sum(
            (
                order.remaining
                for order in self.exchange.all_orders
                if (order.symbol, order.side) == (symbol, "sell")
                and order.stop_price is not None
                and order.is_open
            ),
            Decimal(0),
        )

    def filled(self, side, day=TODAY):
        """Shares by symbol that orders of ours bought or sold in a session."""
        mark = f"st-{day:%Y%m%d}-"
        filled = {}
        for order in self.exchange.all_orders:
            if order.side == side and order.client_order_id.startswith(mark) and order.filled_qty:
                filled[order.symbol] = [*filled.get(order.symbol, []), order.filled_qty]
        return filled

    @property
    def order_requests(self):
        """Requests so far that ask for a change of orders."""
        return [request for request in self.exchange.requests if request.changes_orders]


def disagreements(stage):
    """List what is wrong between store and broker, or with either, after a clean run."""
    with stage.store() as store:
        remembered = store.positions.all()
        unsettled = store.intents.unsettled()
        days = (TODAY, YESTERDAY)
        known = {i.client_order_id: i for day in days for i in store.intents.of_session(day)}
    held = {symbol: position.qty for symbol, position in remembered.items()}
    return [
        *([] if held == stage.held else [f"remembered {held}, held {stage.held}"]),
        *(f"{symbol} was sold short" for symbol in _ever_short(stage.exchange.fills)),
        *_of_positions(stage, remembered),
        *_of_orders(stage, known),
        *_of_unsettled(stage, unsettled),
    ]


def _ever_short(fills):
    held = {}
    for fill in fills:
        held[fill.symbol] = held.get(fill.symbol, 0) + fill.qty * (1 if fill.side == "buy" else -1)
        if held[fill.symbol] < 0:
            yield fill.symbol


def _of_positions(stage, remembered):
    """Say where a whole share is without its stop, or what is remembered is not so."""
    for symbol, qty in stage.held.items():
        resting = stage.resting(symbol)
        if resting != qty.to_integral_value(ROUND_FLOOR):
            yield f"{symbol}: held {qty}, under stops {resting}"
        if symbol in remembered:
            position = remembered[symbol]
            if position.resting_qty != resting:
                yield f"{symbol}: under stops {resting}, remembered {position.resting_qty}"
            if position.entry_session != ENTERED[symbol]:
                yield f"{symbol}: entered {ENTERED[symbol]}, remembered {position.entry_session}"


def _of_orders(stage, known):
    """Say where there are two orders for one wish, or one is not on record as it is."""
    names = [order.client_order_id for order in stage.exchange.all_orders]
    if len(names) != len(set(names)):
        yield f"an id was given twice: {names}"
    for symbol, bought in stage.filled("buy").items():
        if len(bought) != 1:
            yield f"{symbol} was bought {len(bought)} times"
    for order in stage.exchange.all_orders:
        if not _is_ours(order):
            continue
        if order.is_open and "protection" not in order.client_order_id:
            yield f"{order.client_order_id} outlived its run"
        intent = known.get(order.client_order_id)
        if intent is None:
            yield f"{order.client_order_id} is not on record"
            continue
        on_record = (intent.broker_order_id, intent.filled_qty, intent.state == "working")
        if on_record != (order.id, order.filled_qty, order.is_open):
            yield f"{order.client_order_id} is {order.status}, on record as {on_record}"


def _of_unsettled(stage, unsettled):
    """Say what is unknown without need: all but an entry that never arrived, today's."""
    names = {order.client_order_id for order in stage.exchange.all_orders}
    for intent in unsettled:
        waits = intent.side == "buy" and intent.session == stage.today
        if intent.state == "unknown" and (not waits or intent.client_order_id in names):
            yield f"{intent.client_order_id} is still unknown"


def _is_ours(order):
    return order.client_order_id.startswith("st-")


@dataclass(frozen=True)
class Kept:
    """A moment of a world: to be brought back with `stage`, as often as wanted."""

    exchange: Exchange
    home: Path

    @classmethod
    def of(cls, stage, home):
        """Keep the world of a stage as it now is, its files in `home`."""
        shutil.copytree(stage.home, home)
        return cls(copied(stage.exchange), home)

    def stage(self, home, forks):
        """Bring it back, the files in `home`."""
        shutil.copytree(self.home, home)
        return Stage(copied(self.exchange), home, forks)


def copied(exchange):
    """Copy an exchange with all it holds but the log of requests."""
    same = copy.deepcopy(exchange, {id(exchange.lock): RLock()})
    same.requests.clear()
    return same


@pytest.fixture(scope="session")
def forks():
    with Forks() as forks:
        yield forks


@pytest.fixture(scope="session")
def more_forks():
    """Another such process, for whoever does two things at a time."""
    with Forks() as forks:
        yield forks


@pytest.fixture
def stage(eve, forks, tmp_path):
    """Today at ten."""
    with eve.stage(tmp_path / "home", forks) as stage:
        stage.move_to(TODAY, 10)
        yield stage


@pytest.fixture(scope="session")
def bars():
    return hand_written_market()


@pytest.fixture(scope="session")
def eve_with(bars, forks, tmp_path_factory):
    """Return a maker of yesterday after the close, with these settings of the exchange.

    Three stocks are held since then and protected, and a ranker is serving.
    """

    def made(**settings):
        home = tmp_path_factory.mktemp("eve")
        (home / "strategy.toml").write_text(STRATEGY)
        install(
            home / "models",
            FAMILY,
            "tiny",
            {
                TREES_FILE: tiny_ranker().to_bytes(),
                RECORD_FILE: (",".join(RECORD_COLUMNS) + "\n").encode(),
            },
            created_at=at(YESTERDAY, 9),
            library_versions={},
            validation={},
        )
        promote(home / "models", FAMILY, "tiny")
        known = int(np.searchsorted(bars.sessions, np.datetime64(TODAY)))
        with Stage(exchange_on(bars, **settings), home, forks) as stage:
            (stage.state / "data").mkdir(parents=True)
            write_bars(bars.rows(0, known), stage.state / "data" / "bars.parquet")
            # Before the market opens the store is new and the account untouched.
            assert stage.run("risk-check").code == 0
            for symbol, qty in (("AAPL", 20), ("JPM", 30), (DROPPED, 25)):
                stage.by_hand(symbol, "buy", qty)
            stage.wait(minutes=5)
            assert stage.run("regime").code == 0
            assert stage.run("risk-check").code == 0
            stage.move_to(YESTERDAY, 17)
            return Kept.of(stage, tmp_path_factory.mktemp("kept") / "eve")

    return made


@pytest.fixture(scope="session")
def eve(eve_with):
    return eve_with()
