# ruff: noqa: D102 - the methods of the patient are named for what they do
"""A sound installation against the simulated exchange; then each part of it broken alone."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.conftest import SECTORS
from tests.trading.conftest import at, timetable

from swingtrader.adapters.alpaca_data import AlpacaData
from swingtrader.adapters.alpaca_trading import AlpacaBroker
from swingtrader.adapters.alpaca_wire import Connection
from swingtrader.adapters.bars import write_bars
from swingtrader.adapters.lock import state_lock
from swingtrader.adapters.store import STORE_NAME, Store
from swingtrader.commands.doctor import Visit, examine, report_of, require_health
from swingtrader.commands.doctor_checks import checked
from swingtrader.core.factors import FACTORS
from swingtrader.core.trees import TreeEnsemble
from swingtrader.environment import places
from swingtrader.errors import (
    BrokerError,
    ConfigurationError,
    CredentialsRefused,
    DataError,
    LockHeld,
    SwingtraderError,
)
from swingtrader.estimators.installation import install, promote
from swingtrader.reports.doctor_screen import Finding, State
from swingtrader.simulator import conditions, faults, in_process
from swingtrader.simulator.exchange import Exchange
from swingtrader.simulator.server import serve
from swingtrader.simulator.settings import ExchangeSettings

if TYPE_CHECKING:
    from collections.abc import Callable

OK, WARNING, PROBLEM = State.OK, State.WARNING, State.PROBLEM
ACCOUNT = ExchangeSettings().account_number
KEYS = ("key-that-nobody-may-read", "secret-that-nobody-may-read")
NAMES = (
    "configuration", "permissions", "disk", "store", "lock", "credentials", "broker", "account",
    "clock", "feed", "models", "data",
)  # fmt: skip
NO_OPINION = TreeEnsemble(
    *(np.zeros((1, 0)) for _ in range(3)), np.zeros((1, 1)), 0.0, len(FACTORS)
)
FIX = "swingtrader doctor --fix"


class Patient:
    """An installation and its broker, sound in every part; a test breaks what it likes."""

    def __init__(self, home, exchange):
        self.home = home
        self.exchange = exchange
        self.skew = timedelta(0)
        self.free_bytes = 50 * 10**9
        self.environment = {
            "ALPACA_API_KEY": KEYS[0],
            "ALPACA_SECRET_KEY": KEYS[1],
            "LIVE_TRADING": "true",
            "SWINGTRADER_CONFIG": str(home / "strategy.toml"),
            "SWINGTRADER_STATE_DIR": str(home / "state"),
            "SWINGTRADER_MODELS_DIR": str(home / "models"),
        }

    @property
    def state(self):
        return self.home / "state"

    @property
    def database(self):
        return self.state / STORE_NAME

    def store(self):
        return Store.open(self.state, now=self.exchange.now)

    def met(self, fault):
        """Have the exchange misbehave in this way, however often it is asked."""
        self.exchange.set_fault(replace(fault, times=999))

    def serve_ranker(self, *, days_old=1.0, version="v1"):
        install(
            self.home / "models",
            "ranker",
            version,
            {"ranker.npz": NO_OPINION.to_bytes(), "record.csv": b"exit_session,simple_return\n"},
            created_at=self.exchange.now - timedelta(days=days_old),
            library_versions={},
            validation={},
        )
        promote(self.home / "models", "ranker", version)

    def examined(self, *, fix=False):
        """Findings by name, none of which shows a key."""
        findings = examine(
            Visit(
                environment=self.environment,
                places=places(self.environment),
                started_at=self.exchange.now + self.skew,
                elapsed_seconds=lambda: 0.25,
                connect=lambda settings: Way(settings, self.exchange),
                fix=fix,
                free_bytes=lambda _: self.free_bytes,
            )
        )
        assert tuple(finding.name for finding in findings) == NAMES
        assert not any(key in str(findings) for key in KEYS)
        return {finding.name: finding for finding in findings}

    def ailing(self, *, fix=False):
        """Findings that are not ok."""
        found = self.examined(fix=fix)
        return {name: finding for name, finding in found.items() if finding.state is not OK}


@dataclass(frozen=True)
class Way:
    """The real clients on the exchange in this process, whatever host the settings name."""

    settings: object
    exchange: Exchange

    def broker(self):
        broker = AlpacaBroker(self._connection(), pause=lambda _: None)
        in_process.mount(broker.session, self.exchange)
        return broker

    def data(self, asof):
        data = AlpacaData(self._connection(), pause=lambda _: None, asof=asof)
        for session in data.sessions:
            in_process.mount(session, self.exchange)
        return data

    def _connection(self):
        keys = self.settings.api_key, self.settings.secret_key
        url = in_process.URL
        return Connection(*keys, trading_url=url, data_url=url, feed=self.settings.feed)


def universe_toml():
    known = {name: each for name, each in SECTORS.items() if name != "Elsewhere"}
    return "\n".join(
        f'[[sector]]\nname = "{name}"\netf = "{etf}"\nstocks = {json.dumps(stocks)}'
        for name, (etf, stocks) in known.items()
    )


@pytest.fixture(scope="module")
def sound(market, tmp_path_factory):
    """Files of a sound installation."""
    home = tmp_path_factory.mktemp("sound")
    (home / "universe.toml").write_text(universe_toml())
    (home / "strategy.toml").write_text('[universe]\nfile = "universe.toml"\nrestrict = true\n')
    patient = Patient(home, exchange_of(market))
    with patient.store() as store:
        store.account.bind(ACCOUNT, patient.exchange.now)
    (home / "state" / "data").mkdir()
    write_bars(market.panel.rows(0, -1), home / "state" / "data" / "bars.parquet")
    patient.serve_ranker()
    return home


def exchange_of(market, **settings):
    """The market on its last session at ten in the morning, in an account that cannot short."""
    days = market.days
    keys = {"api_key": KEYS[0], "secret_key": KEYS[1]}
    return Exchange(
        market.panel,
        timetable(days[0], days[-1] + timedelta(days=30)),
        start=at(days[-1], 10),
        settings=ExchangeSettings(**{"no_shorting": True, **keys, **settings}),
    )


@pytest.fixture
def patient(sound, market, tmp_path):
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    return Patient(tmp_path, exchange_of(market))


def test_of_a_sound_installation_every_check_says_what_it_saw(patient, market):
    found = patient.examined()
    assert {name: finding.state for name, finding in found.items()} == dict.fromkeys(NAMES, OK)
    assert all(finding.remedy is None and not finding.fixed for finding in found.values())
    size = found["store"].what.rpartition(", ")[2]
    assert {name: finding.what for name, finding in found.items()} == {
        "configuration": f"orders go to the paper account; {patient.home}/strategy.toml",
        "permissions": "state, models and data are writable, state is closed to others",
        "disk": f"50.0 GB free for {patient.home}/models",
        "store": f"{patient.database}, schema 3, {size}",
        "lock": "free, and never taken yet",
        "credentials": "keys from the environment; the broker accepts them",
        "broker": "paper-api.alpaca.markets answers: market open, closes "
        f"{market.days[-1]:%a %Y-%m-%d} 16:00 New York",
        "account": f"{ACCOUNT}, the store's; open for trading, cannot sell short",
        "clock": "0.2 s off the broker's",
        "feed": "iex has a quote of SPY, 0 s old",
        "models": "ranker v1, 1.0 days old; finbert is not installed: sentiment is absent",
        "data": f"18 symbols until {market.days[-2]}",
    }


def test_looking_changes_nothing_here_or_there(patient):
    def files():
        return {path: path.stat().st_mode for path in patient.home.rglob("*")}

    patient.examined()
    before = files()
    patient.database.chmod(0o644)
    shutil.rmtree(patient.home / "models")
    before = files()
    patient.examined()
    assert files() == before
    assert {request.method for request in patient.exchange.requests} == {"GET"}


# --- each part broken alone ----------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """What is broken, and the one finding that must come of it; `also` cannot be checked then."""

    broken: Callable[[Patient], None]
    name: str
    state: State
    what: str
    remedy: str | None
    also: tuple[str, ...] = ()


UNREAD = ("broker", "account", "clock", "feed", "credentials")


def variable(name, value):
    def broken(patient):
        patient.environment[name] = value

    return broken


def attribute(name, value):
    return lambda patient: setattr(patient, name, value)


def met(fault):
    return lambda patient: patient.met(fault)


def condition(each):
    return lambda patient: patient.exchange.set_fault(each)


def of_a_newer_program(patient):
    with closing(sqlite3.connect(patient.database)) as connection:
        connection.execute("PRAGMA user_version = 1000")


def damaged(patient):
    patient.database.write_bytes(b"no database" * 1000)


def of_another_account(patient):
    patient.database.unlink()
    with patient.store() as store:
        store.account.bind("PA9OTHER7777", patient.exchange.now)


def real_money(account):
    def broken(patient):
        patient.environment |= {"ALPACA_PAPER": "false", "LIVE_ACCOUNT": account}

    return broken


def keys_as_files(mode):
    def broken(patient):
        for name, key in zip(("alpaca-api-key", "alpaca-secret-key"), KEYS, strict=True):
            (patient.home / name).write_text(key)
            (patient.home / name).chmod(mode)
        del patient.environment["ALPACA_API_KEY"], patient.environment["ALPACA_SECRET_KEY"]
        patient.environment["CREDENTIALS_DIRECTORY"] = str(patient.home)

    return broken


def may_sell_short(patient):
    patient.exchange.configure({"no_shorting": False})


def may_sell_short_in_a_dry_run(patient):
    may_sell_short(patient)
    del patient.environment["LIVE_TRADING"]


def ranker_of_age(days):
    def broken(patient):
        shutil.rmtree(patient.home / "models")
        patient.serve_ranker(days_old=days)

    return broken


def altered_ranker(patient):
    path = patient.home / "models" / "ranker" / "v1" / "ranker.npz"
    path.write_bytes(path.read_bytes()[:-1])


def altered_finbert(patient):
    facts = {"created_at": patient.exchange.now, "library_versions": {}, "validation": {}}
    artifact = install(patient.home / "models", "finbert", "f1", {"model.onnx": b"abc"}, **facts)
    promote(patient.home / "models", "finbert", "f1")
    (artifact.directory / "model.onnx").write_bytes(b"abd")


def stale_bars(patient):
    patient.exchange.advance_to(patient.exchange.now + timedelta(days=1, hours=2))
    shutil.rmtree(patient.home / "models")
    patient.serve_ranker()


BROKEN = {
    "a strategy with an unknown key": Case(
        lambda patient: (patient.home / "strategy.toml").write_text("[vote]\nbuy_above = 0.3\n"),
        "configuration", PROBLEM,
        "orders go to the paper account; {home}/strategy.toml: unknown key in [vote]: 'buy_above'",
        "the nearest is 'buy_at'", ("data",),
    ),
    "a strategy that is missing": Case(
        variable("SWINGTRADER_CONFIG", "/nowhere/mine.toml"),
        "configuration", PROBLEM, "/nowhere/mine.toml: cannot be read", None, ("data",),
    ),
    "a switch that is neither": Case(
        variable("LIVE_TRADING", "maybe"),
        "configuration", PROBLEM, "LIVE_TRADING=maybe: must be true or false", None, UNREAD,
    ),
    "real money without an account's name": Case(
        variable("ALPACA_PAPER", "false"),
        "configuration", PROBLEM, "ALPACA_PAPER=false reaches real money: set LIVE_ACCOUNT", None,
        UNREAD,
    ),
    "an unknown feed": Case(
        variable("ALPACA_FEED", "opra"),
        "configuration", PROBLEM, "ALPACA_FEED=opra: is none of iex", None, UNREAD,
    ),
    "timers that are switched off": Case(
        variable("ENABLE_CRON", "false"),
        "configuration", WARNING,
        "orders go to the paper account; ENABLE_CRON=false: runs that timers fire do nothing",
        "leave ENABLE_CRON out to trade by timer",
    ),
    "a timers' switch that is neither": Case(
        variable("ENABLE_CRON", "maybe"),
        "configuration", PROBLEM, "ENABLE_CRON=maybe: must be true or false", None,
    ),
    "state that anybody may read": Case(
        lambda patient: patient.state.chmod(0o755),
        "permissions", WARNING, "anybody may read {home}/state", FIX,
    ),
    "a database that anybody may write to": Case(
        lambda patient: patient.database.chmod(0o666),
        "permissions", PROBLEM, "anybody may write to {home}/state/swingtrader.sqlite3", FIX,
    ),
    "a missing directory": Case(
        variable("SWINGTRADER_MODELS_DIR", "{home}/other"),
        "permissions", WARNING, "missing: {home}/other", FIX, ("models",),
    ),
    "a directory that is a file": Case(
        variable("SWINGTRADER_MODELS_DIR", "{home}/strategy.toml/models"),
        "permissions", PROBLEM, "{home}/strategy.toml is no directory", "move it out of the way",
        ("models",),
    ),
    "a full disk": Case(
        attribute("free_bytes", 199 * 10**6),
        "disk", PROBLEM, "199.0 MB free for {home}/models", "free some space: 200.0 MB",
    ),
    "a disk that fills": Case(
        attribute("free_bytes", 999 * 10**6),
        "disk", WARNING, "999.0 MB free for {home}/models", "free some space",
    ),
    "a database of a newer program": Case(
        of_a_newer_program,
        "store", PROBLEM, "swingtrader.sqlite3: is at version 1000",
        "use the program that wrote it", ("account",),
    ),
    "a damaged database": Case(
        damaged,
        "store", WARNING, "was damaged, and is now swingtrader.sqlite3.damaged-", "nothing;",
    ),
    "what a damage left": Case(
        lambda patient: (patient.state / f"{STORE_NAME}.damaged-20240101T000000Z").touch(0o640),
        "store", WARNING, "left of a damaged database: swingtrader.sqlite3.damaged-20240101T0",
        "remove it",
    ),
    "a missing key": Case(
        variable("ALPACA_SECRET_KEY", ""),
        "credentials", PROBLEM, "ALPACA_SECRET_KEY is not set", "put it into the file", UNREAD,
    ),
    "a key that cannot be one": Case(
        variable("ALPACA_API_KEY", "two words"),
        "credentials", PROBLEM, "ALPACA_API_KEY: holds a character that no key has",
        "copy it again", UNREAD,
    ),
    "a key that the broker refuses": Case(
        variable("ALPACA_SECRET_KEY", "wrong"),
        "credentials", PROBLEM, "the broker does not accept the keys",
        "check ALPACA_API_KEY and ALPACA_SECRET_KEY", ("account", "clock", "feed"),
    ),
    "key files that anybody may read": Case(
        keys_as_files(0o644),
        "credentials", WARNING, "anybody may read {home}/alpaca-api-key",
        "chmod o= {home}/alpaca-api-key {home}/alpaca-secret-key",
    ),
    "a broker that is away": Case(
        met(faults.reset("GET", "/v2/clock", accepted=False)),
        "broker", PROBLEM, "no usable answer to GET /v2/clock", "reachable from here",
        ("credentials", "account", "clock", "feed"),
    ),
    "an account that cannot be read": Case(
        met(faults.server_error("GET", "/v2/account", accepted=False)),
        "broker", PROBLEM, "no usable answer to GET /v2/account", "try again",
        ("credentials", "account"),
    ),
    "a configuration that cannot be read": Case(
        met(faults.cut_json("GET", "/v2/account/configurations")),
        "broker", PROBLEM, "no usable answer to GET /v2/account/configurations", "try again",
        ("account",),
    ),
    "the store of another account": Case(
        of_another_account,
        "account", PROBLEM,
        "account ending in ATED, and the store belongs to the one ending in 7777",
        "use the other keys",
    ),
    "real money of another account": Case(
        real_money("123456789"),
        "account", PROBLEM, "the account ending in ATED, and LIVE_ACCOUNT names another",
        "set LIVE_ACCOUNT",
    ),
    "a suspended account": Case(
        met(faults.edit("GET", "/v2/account", "trading_blocked", value=True)),
        "account", PROBLEM, "trading is suspended in it", "ask the broker why",
    ),
    "an account that may sell short": Case(
        may_sell_short, "account", PROBLEM, "it may sell short: no_shorting is not set", FIX,
    ),
    "one that may, where nothing is sent": Case(
        may_sell_short_in_a_dry_run,
        "account", WARNING, "it may sell short: no_shorting is not set", FIX,
    ),
    "a clock that is slow": Case(
        attribute("skew", timedelta(seconds=-61)),
        "clock", PROBLEM, "60.8 s off the broker's", "timedatectl set-ntp true",
    ),
    "a clock that is fast": Case(
        attribute("skew", timedelta(hours=1)),
        "clock", PROBLEM, "3,600.2 s off the broker's", "timedatectl set-ntp true",
    ),
    "a feed that the plan does not allow": Case(
        variable("ALPACA_FEED", "sip"),
        "feed", PROBLEM, "the account's data plan does not allow it",
        "ALPACA_FEED=iex needs no plan",
    ),
    "a data host that is away": Case(
        met(faults.bad_gateway("GET", "/v2/stocks/*", accepted=False)),
        "feed", PROBLEM, "no usable answer to GET /v2/stocks/snapshots", "try again",
    ),
    "a feed without the symbol": Case(
        met(faults.edit("GET", "/v2/stocks/snapshots", "SPY")),
        "feed", PROBLEM, "iex has no quote of SPY", "ALPACA_FEED=iex is live",
    ),
    "a feed that is late": Case(
        condition(conditions.StaleQuotes(timedelta(minutes=15), "SPY")),
        "feed", WARNING, "iex has a quote of SPY, 900 s old: nothing is bought on it",
        "ALPACA_FEED=iex is live",
    ),
    "a quote with one side": Case(
        condition(conditions.NoQuote("SPY", bid=False)),
        "feed", WARNING, "iex has a quote of SPY that lacks a side", "try again",
    ),
    "no ranker": Case(
        lambda patient: (patient.home / "models" / "ranker" / "serving").unlink(),
        "models", PROBLEM, "no ranker is installed: nothing will be bought",
        "train one: swingtrader retrain",
    ),
    "an altered ranker": Case(
        altered_ranker,
        "models", PROBLEM, "file that was installed (SHA-256): nothing will be bought",
        "install ranker version v1 again, or let another serve with swingtrader models promote",
    ),
    "a ranker that was not trained again": Case(
        ranker_of_age(14.1),
        "models", WARNING, "ranker v1, 14.1 days old: its retraining did not come", "train one",
    ),
    "a ranker that is too old": Case(
        ranker_of_age(21.1),
        "models", PROBLEM, "more than 21: nothing will be bought until it is trained anew",
        "train one",
    ),
    "an altered sentiment model": Case(
        altered_finbert,
        "models", PROBLEM, "model.onnx: is not the file that was installed",
        "install finbert version f1 again",
    ),
    "no bars": Case(
        lambda patient: (patient.state / "data" / "bars.parquet").unlink(),
        "data", PROBLEM, "{home}/state/data/bars.parquet: there is no cache yet",
        "run swingtrader data pull",
    ),
    "damaged bars": Case(
        lambda patient: (patient.state / "data" / "bars.parquet").write_bytes(b"PAR1"),
        "data", PROBLEM, "{home}/state/data/bars.parquet: ", "swingtrader data pull",
    ),
    "bars that are a session late": Case(
        stale_bars,
        "data", PROBLEM, "SPY has no bar of ",
        "swingtrader data pull, then swingtrader data check",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN)
def test_a_part_that_is_broken_alone_is_the_one_finding(patient, case):
    case.broken(patient)
    for name, value in patient.environment.items():
        patient.environment[name] = value.replace("{home}", str(patient.home))
    ailing = patient.ailing()
    finding = ailing[case.name]
    assert finding.state is case.state
    assert case.what.replace("{home}", str(patient.home)) in finding.what
    if case.remedy is None:
        assert finding.remedy is None
    else:
        assert case.remedy.replace("{home}", str(patient.home)) in finding.remedy
    assert not finding.fixed
    assert set(ailing) - {case.name} == set(case.also) - {case.name}
    others = [ailing[name] for name in case.also if name in UNREAD and name != case.name]
    assert {each.state for each in others} <= {WARNING}


@pytest.mark.parametrize(
    ("error", "state", "what", "remedy"),
    [
        (
            LockHeld(Path("state/db"), 10.0),
            WARNING, "state/db is held by another run (waited 10 s)", "a later run will succeed",
        ),
        (ConfigurationError("full; free some space"), PROBLEM, "full", "free some space"),
        (DataError("it is odd"), PROBLEM, "it is odd", "try again"),
        (PermissionError(13, "Not owner", "state"), PROBLEM, "state: Not owner", "try again"),
    ],
)  # fmt: skip
def test_whatever_a_check_meets_becomes_its_finding(error, state, what, remedy):
    def check():
        raise error

    found = checked("store", check, remedy="try again")
    assert found == Finding("store", state, what, remedy)


def test_without_keys_and_network_this_machine_is_judged_all_the_same(patient):
    for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY"):
        del patient.environment[name]
    found = patient.examined()
    assert found["credentials"].state is PROBLEM
    for name in ("broker", "account", "clock", "feed"):
        assert found[name] == Finding(name, WARNING, "not checked: there are no keys")
    for name in ("configuration", "permissions", "disk", "store", "lock", "models", "data"):
        assert found[name].state is OK
    assert not patient.exchange.requests


def test_everything_broken_at_once_is_still_every_check(patient):
    for case in BROKEN.values():
        if case.name not in {"broker", "credentials"}:
            case.broken(patient)
    assert len(patient.ailing()) >= 8


def test_a_lock_that_is_held_is_told_with_the_run_that_holds_it(patient):
    begun = patient.exchange.now - timedelta(minutes=2)
    with state_lock(patient.state, wait_seconds=0):
        (finding,) = patient.ailing().values()
        assert finding.state is WARNING
        assert "is held by a run that is not on record" in finding.what
        with patient.store() as store:
            store.runs.start("r0", "risk-check", "paper", begun - timedelta(minutes=1))
            store.runs.finish("r0", begun, 0, None, None, ())
            store.runs.start("r1", "decide", "paper", begun)
        (finding,) = patient.ailing().values()
        assert finding.name == "lock"
        assert finding.what.endswith("swingtrader.lock is held by decide, begun 2 min ago")
        assert "fuser" in finding.remedy
    assert patient.examined()["lock"].what == "free"


def test_a_store_that_does_not_exist_is_left_to_the_first_run(patient):
    for path in patient.state.glob(f"{STORE_NAME}*"):
        path.unlink()
    found = patient.examined()
    assert found["store"].what == f"none yet: the first run makes {patient.database}"
    assert found["account"].what.startswith(f"{ACCOUNT}, bound to no store yet")
    assert not patient.database.exists()


def test_copies_from_before_a_migration_are_weighed_and_no_cause_for_alarm(patient):
    (patient.state / f"{STORE_NAME}.before-2").write_bytes(bytes(3_400_000))
    finding = patient.examined()["store"]
    assert finding.state is OK
    assert finding.what.endswith("; 3.4 MB of older copies beside it")


def test_the_time_of_a_simulator_on_this_machine_is_not_judged(patient):
    patient.environment["ALPACA_TRADING_URL"] = "http://127.0.0.1:8000"
    patient.skew = timedelta(days=3000)
    found = patient.examined()
    assert found["clock"] == Finding("clock", OK, "not judged: a simulator keeps its own time")
    assert found["models"].state is found["data"].state is OK  # by the broker's clock


def test_while_the_market_is_closed_no_quote_is_too_old(patient):
    patient.exchange.advance_to(patient.exchange.now + timedelta(hours=10))
    found = patient.examined()
    assert found["feed"] == Finding("feed", OK, "iex has a quote of SPY; the market is closed")
    assert "market closed, opens" in found["broker"].what


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"LIVE_TRADING": ""}, "dry run, sends no order; paper account"),
        ({"LIVE_TRADING": "true"}, "orders go to the paper account"),
        (
            {"ALPACA_PAPER": "false", "LIVE_ACCOUNT": "123456789"},
            "REAL MONEY: orders go to the real account ending in 6789",
        ),
        (
            {"LIVE_TRADING": "false", "ALPACA_PAPER": "false", "LIVE_ACCOUNT": "123456789"},
            "dry run, sends no order; real account ending in 6789",
        ),
        (
            {"ALPACA_TRADING_URL": "http://localhost:1", "ENABLE_CRON": "false"},
            "orders go to the simulator on this machine",
        ),
    ],
)
def test_the_mode_is_said_in_plain_words(patient, variables, said):
    patient.environment |= variables
    assert patient.examined()["configuration"].what.startswith(f"{said}; ")


def test_without_a_file_the_default_strategy_is_named(patient):
    del patient.environment["SWINGTRADER_CONFIG"]
    assert patient.examined()["configuration"].what.endswith("; default strategy")


@pytest.mark.parametrize(
    ("mode", "from_variable", "source"),
    [
        (0o400, (), "files in {home}"),
        (0o440, ("ALPACA_API_KEY",), "the environment and {home}/alpaca-secret-key"),
    ],
)
def test_where_the_keys_come_from_is_said_and_never_what_they_are(
    patient, mode, from_variable, source
):
    keys_as_files(mode)(patient)
    patient.environment |= dict.fromkeys(from_variable, KEYS[0])
    finding = patient.examined()["credentials"]
    source = source.replace("{home}", str(patient.home))
    assert finding.what == f"keys from {source}; the broker accepts them"
    assert finding.state is OK


# --- mending -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [{}, {"LIVE_TRADING": "false"},
                                  {"ALPACA_PAPER": "false", "LIVE_ACCOUNT": ACCOUNT}])  # fmt: skip
def test_fixing_forbids_selling_short_and_reads_it_back(patient, mode):
    may_sell_short(patient)
    patient.environment |= mode
    finding = patient.examined(fix=True)["account"]
    assert finding == Finding(
        "account", OK, "shorting is forbidden from now on", remedy=None, fixed=True
    )
    assert patient.exchange.configuration()["no_shorting"] is True
    assert not any(request.changes_orders for request in patient.exchange.requests)
    again = patient.examined(fix=True)["account"]
    assert not again.fixed
    assert sum(request.method == "PATCH" for request in patient.exchange.requests) == 1


@pytest.mark.parametrize("stranger", [of_another_account, real_money("123456789"), None])
def test_what_may_be_somebody_elses_account_is_not_changed(patient, stranger):
    may_sell_short(patient)
    (stranger or of_a_newer_program)(patient)
    finding = patient.examined(fix=True)["account"]
    assert finding.state is PROBLEM
    assert "it may sell short" in finding.what
    assert not finding.fixed
    assert patient.exchange.configuration()["no_shorting"] is False


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (faults.server_error("PATCH", "/v2/account/*", accepted=False), "PATCH /v2/account/conf"),
        (faults.edit("GET", "/v2/account/configurations", "no_shorting", value=False), "not keep"),
    ],
)
def test_a_switch_that_did_not_move_is_a_problem_and_not_mended(patient, fault, why):
    may_sell_short(patient)
    patient.met(fault)
    finding = patient.examined(fix=True)["account"]
    assert finding.state is PROBLEM
    assert why in finding.what
    assert not finding.fixed


def test_fixing_closes_the_state_to_others_and_leaves_owner_and_group_alone(patient):
    copy = patient.state / f"{STORE_NAME}.before-2"
    copy.touch(0o644)
    patient.state.chmod(0o757)
    patient.database.chmod(0o666)
    finding = patient.examined(fix=True)["permissions"]
    assert (finding.state, finding.fixed, finding.remedy) == (OK, True, None)
    assert finding.what == f"closed to others: {patient.state}, {patient.database}, {copy}"
    modes = [path.stat().st_mode & 0o777 for path in (patient.state, patient.database, copy)]
    assert modes == [0o750, 0o660, 0o640]
    assert not patient.ailing()


def test_fixing_makes_missing_directories(patient):
    shutil.rmtree(patient.home / "models")
    patient.environment["SWINGTRADER_DATA_DIR"] = str(patient.home / "elsewhere" / "data")
    finding = patient.examined(fix=True)["permissions"]
    made = patient.home / "models", patient.home / "elsewhere" / "data"
    assert finding.what == f"made {made[0]}, {made[1]}"
    assert finding.fixed
    assert all(path.stat().st_mode & 0o777 == 0o750 for path in made)


def test_a_directory_that_others_use_is_not_closed(patient):
    (patient.state / "letters").touch()
    patient.state.chmod(0o1777)
    patient.database.chmod(0o644)
    finding = patient.examined(fix=True)["permissions"]
    assert (finding.state, finding.fixed) == (PROBLEM, True)
    assert finding.what == (
        f"closed to others: {patient.database}; anybody may write to {patient.state}"
    )
    assert finding.remedy.startswith("choose a state directory of its own")
    assert patient.state.stat().st_mode & 0o7777 == 0o1777


def test_fixing_a_sound_installation_changes_nothing(patient):
    assert not any(finding.fixed for finding in patient.examined(fix=True).values())
    assert {request.method for request in patient.exchange.requests} == {"GET"}


# --- what the caller gets ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problems", "kind"),
    [
        (("data", "feed", "credentials", "configuration"), ConfigurationError),
        (("models", "permissions"), ConfigurationError),
        (("disk",), ConfigurationError),
        (("store",), ConfigurationError),
        (("lock",), ConfigurationError),
        (("account", "credentials"), ConfigurationError),
        (("clock",), ConfigurationError),
        (("broker", "credentials"), CredentialsRefused),
        (("data", "broker"), BrokerError),
        (("feed", "models"), BrokerError),
        (("models",), DataError),
        (("data",), DataError),
    ],
)
def test_the_first_kind_of_problem_decides_the_error(problems, kind):
    findings = [
        Finding(name, PROBLEM if name in problems else WARNING, "something") for name in NAMES
    ]
    with pytest.raises(SwingtraderError) as caught:
        require_health(findings)
    assert type(caught.value) is kind
    count, _, named = str(caught.value).partition(": ")
    assert count == ("1 problem" if len(problems) == 1 else f"{len(problems)} problems")
    assert set(named.split(", ")) == set(problems)


def test_warnings_are_no_error():
    require_health([Finding(name, WARNING, "something") for name in NAMES])


def test_the_object_holds_every_finding_and_what_was_fixed():
    findings = (Finding("disk", OK, "x"), Finding("account", OK, "y", None, fixed=True))
    assert report_of(findings) == {
        "command": "doctor",
        "findings": [
            {"name": "disk", "state": "ok", "what": "x", "remedy": None, "fixed": False},
            {"name": "account", "state": "ok", "what": "y", "remedy": None, "fixed": True},
        ],
        "fixed": ["account"],
    }


@pytest.fixture
def served(patient, monkeypatch):
    """The patient's environment as this process's own, and the exchange over loopback."""
    with serve(patient.exchange) as server:
        for name in ("ALPACA_PAPER", "ALPACA_FEED", "LIVE_ACCOUNT", "ENABLE_CRON"):
            monkeypatch.delenv(name, raising=False)
        urls = {"ALPACA_TRADING_URL": server.url, "ALPACA_DATA_URL": server.url}
        for name, value in (patient.environment | urls).items():
            monkeypatch.setenv(name, value)
        yield patient


def test_the_command_prints_its_findings_and_exits_with_their_code(swingtrader, served):
    outcome = swingtrader("doctor")
    assert (outcome.code, outcome.err) == (0, "")
    assert "All is well." in outcome.out
    may_sell_short(served)
    outcome = swingtrader("doctor")
    assert outcome.code == 78
    assert outcome.err == "swingtrader: 1 problem: account\n"
    assert f"To do: {FIX}" in outcome.out
    outcome = swingtrader("doctor", "--fix")
    assert outcome.code == 0
    assert "Mended: account." in outcome.out


def test_the_object_is_printed_even_where_the_exit_code_is_not_0(swingtrader, served, monkeypatch):
    (served.state / "data" / "bars.parquet").unlink()
    for arguments in (("doctor", "--json"), ("--json", "doctor")):
        outcome = swingtrader(*arguments)
        assert outcome.code == 65
        (line,) = outcome.out.splitlines()
        states = {each["name"]: each["state"] for each in json.loads(line)["findings"]}
        assert states == {**dict.fromkeys(NAMES, "ok"), "data": "problem"}
    monkeypatch.setenv("ALPACA_API_KEY", "wrong")
    assert swingtrader("doctor", "--json").code == 77
