"""One account at a simulated exchange, served on loopback, and a day of the command line on it.

The market ends with the last session that is completed by the real clock, which `data check`
goes by, and the exchange stands in the session after it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from swingtrader.adapters.calendar import session_closes, session_opens, sessions_between
from swingtrader.commands.data_check import last_completed_session
from swingtrader.commands.live_signals import FAMILY, RECORD_FILE, TREES_FILE
from swingtrader.core.trees import TreeEnsemble
from swingtrader.estimators.installation import install, promote
from swingtrader.simulator.articles import Article
from swingtrader.simulator.clock import Timetable
from swingtrader.simulator.exchange import Exchange
from swingtrader.simulator.server import serve
from swingtrader.simulator.settings import ExchangeSettings
from swingtrader.simulator.synthetic import SyntheticMarket, simulate_market

SECTORS = {
    "Technology": ("XLK", ("AAPL", "MSFT", "CRM")),
    "Financials": ("XLF", ("JPM", "BAC", "GS")),
    "Healthcare": ("XLV", ("LLY", "UNH", "ABBV")),
}
STOCKS = tuple(stock for _, stocks in SECTORS.values() for stock in stocks)
SESSIONS = 380  # 252 of them can train a ranker, which `data check` asks for
LIKES_EVERYTHING = TreeEnsemble(*(np.zeros((1, 0)) for _ in range(3)), np.zeros((1, 1)), 2.0, 13)

KEYS = {"ALPACA_API_KEY": "simulated-key", "ALPACA_SECRET_KEY": "simulated-secret"}


@dataclass(frozen=True)
class Desk:
    """Where the program lives, the exchange it speaks to, and what each command line did."""

    exchange: Exchange
    environment: dict
    options: tuple
    said: dict = field(default_factory=dict)

    def json(self, name):
        """Return the one object that a command printed, and nothing beside it."""
        outcome = self.said[name]
        assert outcome.code == 0, outcome.err
        (line,) = outcome.out.splitlines()
        return json.loads(line)

    def text(self, name):
        """Return what a command said to a person."""
        outcome = self.said[name]
        assert outcome.code == 0, outcome.err
        return outcome.out

    def changes(self):
        """Requests so far that could change an order."""
        return sum(each.changes_orders for each in self.exchange.requests)


@pytest.fixture(scope="session")
def desk(tmp_path_factory):
    """A desk before its first command: an empty account, and a ranker that likes everything."""
    home = tmp_path_factory.mktemp("desk")
    now = datetime.now(UTC)
    completed = last_completed_session(now)
    ahead = sessions_between(completed, completed + timedelta(days=14))
    past = sessions_between(completed - timedelta(days=2 * SESSIONS), completed)[-SESSIONS:]
    sessions = np.concatenate([past, ahead[1:3]])
    panel = simulate_market(SyntheticMarket(sessions, SECTORS, seed=3, late_listings=0))
    calendar = np.concatenate([past, ahead[1:]])
    timetable = Timetable(calendar, session_opens(calendar), session_closes(calendar))
    start = timetable.opens[SESSIONS] + timedelta(minutes=30)
    exchange = Exchange(
        panel,
        timetable,
        start=start,
        cash=Decimal(100_000),
        news=[Article(start - timedelta(hours=5), ("AAPL",), "Apple beats")],
        settings=replace(ExchangeSettings(no_shorting=True), requests_a_minute=None),
    )
    _install_ranker(home / "models", start - timedelta(days=1))
    sectors = "".join(
        f'[[sector]]\nname = "{name}"\netf = "{etf}"\nkind = "neutral"\nstocks = {list(stocks)}\n'
        for name, (etf, stocks) in SECTORS.items()
    )
    (home / "universe.toml").write_text(sectors)
    (home / "mine.toml").write_text('[universe]\nfile = "universe.toml"\n')
    options = (
        "--config", home / "mine.toml", "--state-dir", home / "state",
        "--models-dir", home / "models",
    )  # fmt: skip
    with serve(exchange) as server:
        environment = {
            **KEYS,
            "ALPACA_TRADING_URL": server.url,
            "ALPACA_DATA_URL": server.url,
        }
        yield Desk(exchange, environment, options)


def _install_ranker(models_dir, created_at):
    files = {TREES_FILE: LIKES_EVERYTHING.to_bytes(), RECORD_FILE: b"exit_session,simple_return\n"}
    install(
        models_dir, FAMILY, "v1", files, created_at=created_at, library_versions={}, validation={}
    )
    promote(models_dir, FAMILY, "v1")


@pytest.fixture(scope="session")
def day(desk, swingtrader):
    """Run every command at least once, in an order that a day could have."""

    def say(name, *arguments, **variables):
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in {**desk.environment, **variables}.items():
                patch.setenv(variable, value)
            desk.said[name] = swingtrader(*desk.options, *arguments)

    paper = {"LIVE_TRADING": "true"}
    say("data pull", "data", "pull", "--sessions", SESSIONS, "--json")
    say("data pull again", "data", "pull", "--sessions", SESSIONS)
    say("data check", "data", "check", "--json")
    say("data check in words", "data", "check")
    say("regime", "regime", "--json")
    say("regime in words", "regime")
    say("dry", "decide", "--json")
    desk.said["changes of a dry run"] = desk.changes()
    say("decide", "--json", "decide", **paper)
    say("decide in words", "decide", **paper)
    say("risk-check", "risk-check", "--json", **paper)
    say("risk-check in words", "risk-check", **paper)
    for name, flags in (("status", ()), ("live", ("--live",))):
        say(name, "status", *flags, "--json", **paper)
        say(f"{name} in words", "status", *flags, **paper)
    say("why", "why", "AAPL", "--json")
    say("why in words", "why", "aapl")
    say("halt", "halt", "--reason", "[bold]off\nto sea", "--json")
    say("halt in words", "halt")
    say("halted", "decide", "--json", **paper)
    say("check", "status", "--check", "--json", **paper)
    say("check in words", "status", "--check", **paper)
    say("resume", "resume", "--json")
    say("resume in words", "resume")
    say("flatten", "halt", "--flatten", "--json", **paper)
    say("flatten in words", "halt", "--flatten", **paper)
    say("resume at last", "resume")
    desk.exchange.advance_to(desk.exchange.timetable.closes[SESSIONS] + timedelta(minutes=1))
    for name in ("decide", "risk-check"):
        say(f"{name} after the close", name, "--json", **paper)
    say("flatten after the close", "halt", "--flatten", **paper)
    return desk


@pytest.fixture(scope="session")
def next_morning(day):
    """Return the same desk in the next session, with a stock bought by hand that has no stop."""
    exchange = day.exchange
    exchange.advance_to(exchange.timetable.opens[SESSIONS + 1] + timedelta(minutes=30))
    bought = {"symbol": "MSFT", "side": "buy", "qty": "10", "type": "market"}
    exchange.submit_order(bought | {"time_in_force": "day"})
    exchange.advance_to(exchange.now + timedelta(seconds=2))
    return day


@pytest.fixture
def program():
    """Return the text of a program that runs a command line and tells what it imported."""
    return (
        "import os, sys\nfrom swingtrader.cli import run\ncode = run(sys.argv[1:])\n"
        "print('imported:', *sorted({name.partition('.')[0] for name in sys.modules}), "
        "file=sys.stderr)\nsys.exit(code)"
    )


@pytest.fixture
def clean_environment():
    """Return this process's environment, for a child to have with additions."""
    return dict(os.environ)
