"""The object that `--json` prints for `decide` and `risk-check` (DESIGN §9, contract)."""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from decimal import Decimal

import pytest
from tests.trading.conftest import FIRST_DAY, MONDAY, QUIET, Forecast, at, flat_from, world_on

from swingtrader.environment import Mode
from swingtrader.simulator import faults

TUESDAY, WEDNESDAY, THANKSGIVING, HALF_DAY, SATURDAY = (
    date(2023, 11, day) for day in (21, 22, 23, 24, 25)
)
KEYS = (
    "run_id", "command", "mode", "asof", "session", "market_open", "regime", "orders",
    "decisions", "skipped", "warnings",
)  # fmt: skip
ORDER_KEYS = (
    "symbol", "side", "qty", "type", "limit_price", "purpose", "reason", "client_order_id",
    "status",
)  # fmt: skip
SIGNALS = {"market", "quant", "rl", "sentiment", "momentum", "regime"}
COMMANDS = ("decide", "risk-check")
FORECAST = Forecast({"AAA": 0.5, "BBB": -0.5}, p_high_volatility=0.25)


def assert_keeps_the_contract(report, command, mode):
    """Every promise of the contract that holds whatever the run did."""
    assert tuple(report) == KEYS
    json.dumps(report, allow_nan=False)
    assert (report["command"], report["mode"]) == (command, mode)
    assert datetime.fromisoformat(report["asof"]).tzinfo is not None
    assert date.fromisoformat(report["session"]).isoformat() == report["session"]
    assert isinstance(report["market_open"], bool)
    assert set(report["regime"]) == {"label", "p_high_volatility", "exposure_scale"}
    assert isinstance(report["warnings"], list)
    for order in report["orders"]:
        assert tuple(order) == ORDER_KEYS
        assert isinstance(order["qty"], (int, float))
        assert order["qty"] > 0
        assert (order["limit_price"] is None) is (order["type"] != "limit")
        assert order["client_order_id"].startswith("st-")
    for row in report["decisions"]:
        assert set(row) == {"symbol", "action", "score", "signals", "reason"}
        assert row["action"] in {"buy", "sell", "hold"}
        assert set(row["signals"]) == SIGNALS
        for number in (row["score"], *row["signals"].values()):
            assert number is None or math.isfinite(number)
    symbols = [row["symbol"] for row in report["decisions"]]
    assert len(symbols) == len(set(symbols))


def symbols_of(report):
    return {row["symbol"] for row in report["decisions"]}


@pytest.fixture(params=[Mode.PAPER, Mode.DRY_RUN], ids=str)
def account(request, tmp_path):
    """Two positions bought by hand on Monday, in either mode; AAA falls on Tuesday."""
    falls = QUIET | {"AAA": flat_from((FIRST_DAY, 100.0), (TUESDAY, 97.0))}
    world = world_on(tmp_path, falls, mode=request.param)
    world.risk_check()
    world.holding("BBB", 10)
    world.holding("CCC", "2.5")
    world.risk_check()
    return world


@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_that_trades_tells_everything(account, command):
    account.holding("AAA", 3)
    account.move_to(TUESDAY, 10)

    ran = account.run(command, FORECAST)

    assert ran.code == 0
    assert_keeps_the_contract(ran.report, command, str(account.mode))
    assert (ran.report["skipped"], ran.report["market_open"]) == (None, True)
    assert ran.report["session"] == TUESDAY.isoformat()
    assert symbols_of(ran.report) >= {"AAA", "BBB", "CCC"}
    assert ran.report["orders"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("day", "hour", "minute", "session"),
    [
        (TUESDAY, 9, 29, TUESDAY),
        (TUESDAY, 16, 0, WEDNESDAY),
        (THANKSGIVING, 11, 0, HALF_DAY),
        (HALF_DAY, 13, 0, date(2023, 11, 27)),
        (SATURDAY, 11, 0, date(2023, 11, 27)),
    ],
)
def test_a_closed_market_is_skipped_with_all_keys(account, command, day, hour, minute, session):
    account.move_to(day, hour, minute)
    sent = len(account.order_requests())

    ran = account.run(command, FORECAST)

    assert ran.code == 0
    assert_keeps_the_contract(ran.report, command, str(account.mode))
    assert (ran.report["skipped"], ran.report["market_open"]) == ("market_closed", False)
    assert ran.report["session"] == session.isoformat()
    assert symbols_of(ran.report) == {"BBB", "CCC"}
    assert len(account.order_requests()) == sent


def test_the_regime_is_told_where_it_is_known_and_null_where_it_is_not(world):
    known = world.decide(FORECAST).report["regime"]
    unknown = world.decide(AAA=0.1).report["regime"]

    assert (known["label"], known["p_high_volatility"]) == ("low_volatility", 0.25)
    assert known["exposure_scale"] == pytest.approx(1 - 0.3 * 0.25)
    assert set(unknown.values()) == {None}


def test_signals_that_are_absent_are_null_and_those_present_are_numbers(world):
    (row,) = [r for r in world.decide(AAA=0.5).report["decisions"] if r["symbol"] == "AAA"]

    assert row["signals"] == {
        "market": 0.5, "quant": 0.5, "rl": None, "sentiment": None, "momentum": 0.5,
        "regime": None,
    }  # fmt: skip
    assert row["score"] == pytest.approx(0.5)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_position_that_is_short_or_cannot_be_read_is_among_the_decisions(tmp_path, command):
    world = world_on(tmp_path, no_shorting=False)
    world.symbols = ("BBB", "CCC")
    world.by_hand("DDD", "sell", 5)
    world.holding("AAA", 5)
    world.exchange.set_fault(faults.edit("GET", "/v2/positions", "0.qty", None, times=99))

    ran = world.run(command)

    assert_keeps_the_contract(ran.report, command, "paper")
    assert {"AAA", "DDD"} <= symbols_of(ran.report)
    assert {r["action"] for r in ran.report["decisions"]} == {"hold"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_symbol_that_nobody_forecasts_is_among_the_decisions_when_held(tmp_path, command):
    world = world_on(tmp_path)
    world.symbols = ("AAA", "BBB")
    world.exchange.deliver("DDD", Decimal(5), Decimal(200))

    assert "DDD" in symbols_of(world.run(command).report)


def test_a_run_without_anything_to_say_still_prints_everything(world):
    ran = world.risk_check()

    assert_keeps_the_contract(ran.report, "risk-check", "paper")
    assert (ran.report["orders"], ran.report["decisions"], ran.report["warnings"]) == ([], [], [])
    assert ran.report["asof"] == at(MONDAY, 10).isoformat()


def test_the_report_of_a_run_that_failed_is_kept(world):
    world.exchange.set_fault(faults.silence("POST", "/v2/orders", accepted=False, times=99))

    ran = world.decide(AAA=0.5)

    assert ran.code == 69
    assert_keeps_the_contract(ran.report, "decide", "paper")
    with world.store() as store:
        last = store.runs.last("decide")
    assert (last.exit_code, last.report) == (69, ran.report)
