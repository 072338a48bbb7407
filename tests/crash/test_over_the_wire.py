"""What a run refuses, skips and survives, seen from outside the process."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from types import SimpleNamespace

import pytest
from tests.crash.conftest import (
    ACCOUNT,
    DROPPED,
    KEYS,
    STRATEGY,
    TODAY,
    YESTERDAY,
    Stage,
    at,
    disagreements,
    exchange_on,
)

from swingtrader.adapters.store import STORE_NAME
from swingtrader.commands.trading_command import broker_clock
from swingtrader.core.portfolio import MarketClock
from swingtrader.core.schedule import next_run
from swingtrader.environment import broker_settings
from swingtrader.errors import ConfigurationError
from swingtrader.simulator.faults import reset

COMMANDS = ("decide", "risk-check")
KEYS_OF_A_REPORT = {
    "run_id", "command", "mode", "asof", "session", "market_open", "regime", "orders",
    "decisions", "skipped", "warnings",
}  # fmt: skip
HALF_DAY = date(2023, 11, 24)


# --- keys -------------------------------------------------------------------------------------


def files_that_hold(home, *secrets):
    return [
        path
        for path in home.rglob("*")
        if path.is_file() and any(secret.encode() in path.read_bytes() for secret in secrets)
    ]


WRONG = {"ALPACA_API_KEY": "wrong-key-0123456789", "ALPACA_SECRET_KEY": "wrong-secret-0123456789"}


@pytest.mark.parametrize("command", COMMANDS)
def test_keys_that_the_broker_refuses_are_exit_77_and_stand_nowhere(stage, command):
    ended = stage.run(command, **WRONG)
    assert (ended.code, ended.out) == (77, "")
    assert "does not accept the keys" in ended.err
    assert files_that_hold(stage.home, *WRONG.values()) == []
    assert stage.order_requests == []
    with stage.store() as store:
        assert store.runs.last(command).exit_code == 77


def test_a_secret_alone_that_is_wrong_is_refused_too(stage):
    secret = WRONG["ALPACA_SECRET_KEY"]
    ended = stage.run("risk-check", ALPACA_SECRET_KEY=secret)
    assert (ended.code, ended.out) == (77, "")
    assert files_that_hold(stage.home, *KEYS, secret) == []


def test_right_keys_stand_in_no_file_either_nor_in_the_journal_of_a_killed_run(stage, tmp_path):
    steps = tmp_path / "steps"
    assert stage.run("decide", steps=steps, kill=(60, "after")).code == -9
    assert (stage.state / f"{STORE_NAME}-wal").stat().st_size > 0
    assert stage.run("risk-check", LIVE_TRADING="false").code == 0
    stage.exchange.set_fault(reset("GET", "/v2/account", accepted=False))  # warned of
    assert stage.run("decide", ALPACA_DATA_URL="http://127.0.0.1:9").code == 69
    assert files_that_hold(stage.home, *KEYS) == []


# --- account ----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("named", "code"),
    [(None, 78), ("PA3ANOTHER", 78), (ACCOUNT, 0)],
    ids=["none", "wrong", "right"],
)
def test_real_money_is_traded_only_in_the_account_that_is_named(stage, command, named, code):
    ended = stage.run(command, ALPACA_PAPER="false", LIVE_ACCOUNT=named)
    assert ended.code == code, ended.err
    if code:
        assert ended.out == ""
        assert "LIVE_ACCOUNT" in ended.err
        assert stage.order_requests == []
    else:
        assert ended.report["mode"] == "live"
        assert DROPPED in stage.filled("sell")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_store_of_another_account_is_refused_and_stays_as_it_was(
    eve, bars, forks, tmp_path, command
):
    eve.stage(tmp_path / "home", forks).__exit__()  # for its files
    other = exchange_on(bars, account_number="PA3ANOTHER")
    other.advance_to(at(TODAY, 10))
    with Stage(other, tmp_path / "home", forks) as stage:
        with stage.store() as store:
            before = store.positions.all()
        ended = stage.run(command)
        assert (ended.code, ended.out) == (78, "")
        assert ACCOUNT[-4:] in ended.err
        assert "PA3ANOTHER"[-4:] in ended.err
        assert stage.order_requests == []
        with stage.store() as store:
            assert store.account.number() == ACCOUNT
            assert store.positions.all() == before


# --- hours ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("day", "hour", "minute", "session"),
    [
        (TODAY, 9, 29, TODAY),
        (TODAY, 16, 0, date(2023, 11, 22)),
        (date(2023, 11, 23), 11, 0, HALF_DAY),
        (HALF_DAY, 13, 0, date(2023, 11, 27)),
        (HALF_DAY, 14, 30, date(2023, 11, 27)),
        (date(2023, 11, 25), 11, 0, date(2023, 11, 27)),
    ],
    ids=["early", "close", "Thanksgiving", "half-day's close", "half-day's afternoon", "Saturday"],
)
def test_a_closed_market_is_skipped_with_every_key_of_the_report(
    eve, forks, tmp_path, command, day, hour, minute, session
):
    with eve.stage(tmp_path / "home", forks) as stage:
        stage.move_to(day, hour, minute)
        ended = stage.run(command)
        assert ended.code == 0, ended.err
        report = ended.report
        assert report.keys() == KEYS_OF_A_REPORT
        assert (report["skipped"], report["market_open"]) == ("market_closed", False)
        assert (report["session"], report["orders"]) == (session.isoformat(), [])
        assert datetime.fromisoformat(report["asof"]) == at(day, hour, minute)
        held = {row["symbol"]: row["action"] for row in report["decisions"]}
        assert held == dict.fromkeys(("AAPL", "JPM", DROPPED), "hold")
        assert set(report["regime"]) == {"label", "p_high_volatility", "exposure_scale"}
        assert stage.order_requests == []


def test_a_half_day_is_traded_until_one_o_clock(eve, forks, tmp_path):
    with eve.stage(tmp_path / "home", forks) as stage:
        stage.move_to(HALF_DAY, 12, 59)
        ended = stage.run("risk-check")
        assert (ended.code, ended.report["skipped"]) == (0, None)
        assert DROPPED in stage.filled("sell", HALF_DAY)


# --- dry run ----------------------------------------------------------------------------------


def fired_on(day):
    """Every instant of a day at which a timer fires, with its job, in order."""
    for job in ("regime", *COMMANDS):
        moment = next_run(job, at(day, 0, 1))
        while moment < at(day + timedelta(days=1), 0):
            yield moment, job
            moment = next_run(job, moment)


@pytest.mark.slow
def test_a_dry_run_plans_all_day_and_asks_for_no_change_of_any_order(eve, forks, tmp_path):
    with eve.stage(tmp_path / "home", forks) as stage:
        (stage.home / "strategy.toml").write_text(STRATEGY.replace("positions = 3", ""))
        planned = set()
        # After one o'clock every run is the same.
        over = at(HALF_DAY, 13, 6)
        fired = list(takewhile(lambda each: each[0] < over, sorted(fired_on(HALF_DAY))))
        assert len(fired) == 1 + 44 + 15
        for moment, job in fired:
            stage.exchange.advance_to(moment)
            ended = stage.run(job, LIVE_TRADING="false")
            assert ended.code == 0, (moment, job, ended.err)
            if job != "regime":
                assert ended.report["mode"] == "dry_run"
                planned |= {
                    (order["symbol"], order["side"], order["status"])
                    for order in ended.report["orders"]
                }
        assert (DROPPED, "sell", "planned") in planned
        assert "buy" in {side for _, side, _ in planned}
        assert {status for _, _, status in planned} == {"planned"}
        assert stage.order_requests == []
        with stage.store() as store:
            assert store.intents.of_session(HALF_DAY) == ()
            assert store.positions.all().keys() == {"AAPL", "JPM", DROPPED}


# --- a damaged database -----------------------------------------------------------------------


def damaged(path):
    content = bytearray(path.read_bytes())
    content[4096:-4096] = b"\xa5" * (len(content) - 8192)
    path.write_bytes(content)


@pytest.mark.parametrize("first", COMMANDS)
def test_a_damaged_database_is_set_aside_and_rebuilt_and_buys_from_the_next_session_on(
    stage, first
):
    damaged(stage.state / STORE_NAME)
    before = (stage.state / STORE_NAME).read_bytes()
    ended = stage.run(first)
    assert ended.code == 0, ended.err
    (aside,) = stage.state.glob(f"{STORE_NAME}.damaged-*Z")
    assert aside.read_bytes() == before
    assert any(aside.name in warning for warning in ended.report["warnings"])
    # Rebuilt from the broker, with the sessions in which the shares were bought.
    assert disagreements_but_for_yesterday(stage) == []
    # Exits went on; entries did not, in this session.
    assert DROPPED in stage.filled("sell")
    stage.wait(minutes=15)
    again = stage.run("decide")
    reasons = {row["symbol"]: row["reason"] for row in again.report["decisions"]}
    assert {reasons[symbol] for symbol in ("MSFT", "CRM", "ORCL")} == {"halted"}
    assert stage.filled("buy") == {}
    assert not any(aside.name in warning for warning in again.report["warnings"])
    # The bars of today are fetched, and the next session buys.
    tomorrow = date(2023, 11, 22)
    stage.move_to(tomorrow, 10)
    ended = stage.run("decide")
    assert ended.code == 0, ended.err
    assert len(stage.filled("buy", tomorrow)) == 2


def disagreements_but_for_yesterday(stage):
    """As `disagreements`; orders of an earlier session that are over need not be known again."""
    return [
        each
        for each in disagreements(stage)
        if not re.fullmatch(rf"st-{YESTERDAY:%Y%m%d}-\S+ is not on record", each)
    ]


# --- the two clocks ---------------------------------------------------------------------------


def launched(started_at, url):
    """As much of a launch as the clock needs."""
    environment = {"ALPACA_API_KEY": "k", "ALPACA_SECRET_KEY": "s", "ALPACA_TRADING_URL": url}
    return SimpleNamespace(started_at=started_at, settings=broker_settings(environment))


class ClockBroker:
    """A broker that knows the time."""

    def __init__(self, now):
        self._now = now

    def clock(self):
        """Say so."""
        return MarketClock(self._now, True, self._now, self._now)


NOON = datetime(2023, 11, 21, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "url", "refused"),
    [
        (0, "https://paper-api.alpaca.markets", False),
        (60, "https://paper-api.alpaca.markets", False),
        (-60, "https://api.alpaca.markets", False),
        (61, "https://paper-api.alpaca.markets", True),
        (-61, "https://api.alpaca.markets", True),
        (86_400, "https://broker.example", True),
        (86_400 * 365, "http://127.0.0.1:8000", False),
        (86_400 * 365, "http://localhost:8000", False),
    ],
)
def test_a_clock_more_than_a_minute_off_forbids_trading_except_in_a_rehearsal(
    seconds, url, refused
):
    launch = launched(NOON + timedelta(seconds=seconds), url)
    if not refused:
        assert broker_clock(launch, ClockBroker(NOON)).at == NOON
        return
    with pytest.raises(ConfigurationError, match=rf"{abs(seconds)} s off.*timedatectl"):
        broker_clock(launch, ClockBroker(NOON))
