"""A day on a simulated exchange, typed at the command line: every command once as JSON, once not.

What the trading commands decide is specified in tests/trading; here it is what they say.
"""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from tests.cli.conftest import SESSIONS, STOCKS

from swingtrader.adapters.store import STORE_NAME

RUN_KEYS = {
    "run_id", "command", "mode", "asof", "session", "market_open", "regime", "orders",
    "decisions", "skipped", "warnings",
}  # fmt: skip
REGIME_RUN_KEYS = RUN_KEYS - {"orders", "decisions"} | {"refitted"}
REGIME_KEYS = {"label", "p_high_volatility", "exposure_scale"}
ORDER_KEYS = {
    "symbol", "side", "qty", "type", "limit_price", "purpose", "reason", "client_order_id",
    "status",
}  # fmt: skip
DECISION_KEYS = {"symbol", "action", "score", "signals", "reason"}
SIGNALS = {"market", "quant", "rl", "sentiment", "momentum", "regime"}
STATUS_KEYS = {
    "mode", "account", "market", "regime", "positions", "open_orders", "jobs", "models", "halts",
    "warnings",
}  # fmt: skip
POSITION_KEYS = {
    "symbol", "qty", "entry_session", "age_sessions", "entry_price", "price",
    "unrealized_return", "stop_price", "target_price", "resting_stop",
}  # fmt: skip


@pytest.fixture
def session(day):
    return day.exchange.timetable.days[SESSIONS].isoformat()


# --- the trading commands ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "command", "mode"),
    [
        ("dry", "decide", "dry_run"),
        ("decide", "decide", "paper"),
        ("risk-check", "risk-check", "paper"),
        ("halted", "decide", "paper"),
    ],
)
def test_a_run_prints_one_object_with_every_key_of_the_contract(day, session, name, command, mode):
    said = day.json(name)
    assert set(said) == RUN_KEYS
    assert (said["command"], said["mode"], said["session"]) == (command, mode, session)
    assert (said["market_open"], said["skipped"]) == (True, None)
    assert set(said["regime"]) == REGIME_KEYS
    assert said["decisions"]
    for order in said["orders"]:
        assert set(order) == ORDER_KEYS
        assert isinstance(order["qty"], float)
    for decision in said["decisions"]:
        assert set(decision) == DECISION_KEYS
        assert set(decision["signals"]) == SIGNALS
        assert decision["action"] in {"buy", "sell", "hold"}


def test_a_dry_run_shows_its_plan_and_sends_nothing(day):
    plan = day.json("dry")["orders"]
    assert {order["purpose"] for order in plan} == {"entry"}
    assert {order["status"] for order in plan} == {"planned"}
    assert day.said["changes of a dry run"] == 0


def test_what_was_planned_dry_is_what_paper_then_buys_with_a_stop_under_each(day):
    planned, done = day.json("dry")["orders"], day.json("decide")["orders"]
    entries = [order for order in done if order["purpose"] == "entry"]
    assert [(o["symbol"], o["qty"]) for o in entries] == [(o["symbol"], o["qty"]) for o in planned]
    assert {order["status"] for order in entries} == {"filled"}
    stops = [order for order in done if order["purpose"] == "protection"]
    assert {(o["symbol"], o["qty"]) for o in stops} == {(o["symbol"], o["qty"]) for o in entries}
    assert len({order["client_order_id"] for order in done}) == len(done)


def test_every_symbol_held_is_among_the_decisions(day):
    held = {position["symbol"] for position in day.json("status")["positions"]}
    assert held
    for name in ("risk-check", "halted"):
        assert held <= {decision["symbol"] for decision in day.json(name)["decisions"]}


def test_a_run_says_mode_regime_orders_and_what_was_left_alone(day, session):
    lines = day.text("decide in words").splitlines()
    assert lines[0] == f"decide · session of {session} · paper"
    assert lines[1].startswith("Regime: ")
    assert lines[2] == "No orders."
    assert lines[3] == f"Looked at {len(STOCKS)} symbols."
    assert lines[4].startswith("Left alone: held ")
    assert "risk-check · session" in day.text("risk-check in words")


@pytest.mark.parametrize("command", ["decide", "risk-check"])
def test_a_closed_market_is_exit_0_with_skipped_and_every_key(day, session, command):
    said = day.json(f"{command} after the close")
    assert set(said) == RUN_KEYS
    assert (said["skipped"], said["market_open"]) == ("market_closed", False)
    assert said["session"] > session
    assert (said["orders"], said["decisions"]) == ([], [])


def test_regime_is_read_and_then_read_again_without_a_fit(day, session):
    said = day.json("regime")
    assert set(said) == REGIME_RUN_KEYS
    assert (said["refitted"], said["session"], said["skipped"]) == (True, session, None)
    assert said["regime"]["label"] in {"low_volatility", "high_volatility"}
    assert said["regime"] == day.json("decide")["regime"]
    words = day.text("regime in words")
    assert f"For the session of {session}." in words
    assert "fitted anew" not in words


def test_regime_on_too_few_bars_and_a_damaged_store_says_both(
    day, swingtrader, tmp_path, monkeypatch
):
    for name, value in day.environment.items():
        monkeypatch.setenv(name, value)
    elsewhere = (*day.options[:2], "--state-dir", tmp_path)
    assert swingtrader(*elsewhere, "data", "pull", "--sessions", 60, "--news-days", 0).code == 0
    (tmp_path / STORE_NAME).write_bytes(b"no database" * 1000)
    said = json.loads(swingtrader(*elsewhere, "regime", "--json").out)
    assert set(said) == REGIME_RUN_KEYS
    assert set(said["regime"].values()) == {None}
    damaged, too_few = said["warnings"]
    assert "the state database was damaged" in damaged
    assert "too few" in too_few


# --- data --------------------------------------------------------------------------------------


def test_data_pull_fills_the_cache_once(day):
    first = day.json("data pull")
    assert first["command"] == "data pull"
    assert first["bars_added"] == SESSIONS * first["symbols"]
    assert first["headlines_added"] == 1
    assert first["warnings"] == []
    assert day.text("data pull again").startswith("0 bars of 13 symbols and 0 headlines added")


def test_data_check_finds_the_cache_fit_to_trade_on(day):
    said = day.json("data check")
    assert (said["tradeable"], said["reasons"], said["findings"]) == (True, [], [])
    assert "may be traded on" in day.text("data check in words")


# --- the commands that only look ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["status", "live"])
def test_status_has_every_key_of_the_contract(day, session, name):
    said = day.json(name)
    assert set(said) >= STATUS_KEYS
    assert said["market"].keys() == {"is_open", "asof", "next_open", "next_close"}
    assert said["account"] == day.exchange.settings.account_number
    assert said["positions"]
    for position in said["positions"]:
        assert set(position) >= POSITION_KEYS
        assert (position["entry_session"], position["age_sessions"]) == (session, 0)
        assert position["resting_stop"] < position["stop_price"] < position["target_price"]
    assert len(said["open_orders"]) == len(said["positions"])
    assert {job["name"]: job["last_exit"] for job in said["jobs"]} == {
        "risk-check": 0, "decide": 0, "regime": 0, "retrain": None,
    }  # fmt: skip
    served = {model["family"]: model["version"] for model in said["models"]}
    assert served == {"ranker": "v1", "regime": served["regime"]}


def test_asking_the_broker_shows_what_the_store_remembers(day):
    remembered, asked = day.json("status"), day.json("live")
    for name in ("positions", "open_orders"):
        assert [row["symbol"] for row in asked[name]] == [
            row["symbol"] for row in remembered[name]
        ]


@pytest.mark.parametrize("name", ["status in words", "live in words"])
def test_status_in_words_names_every_position_and_job(day, name):
    words = day.text(name)
    for position in day.json("status")["positions"]:
        assert position["symbol"] in words
    for job in ("risk-check", "decide", "regime", "retrain"):
        assert job in words


def test_status_check_exits_1_and_says_why_on_stderr(day):
    for name in ("check", "check in words"):
        outcome = day.said[name]
        assert outcome.code == 1
        assert "halted: [bold]off to sea; halted: by hand" in outcome.err
    assert set(json.loads(day.said["check"].out)) >= STATUS_KEYS
    assert "[bold]off to sea" in day.said["check in words"].out


def test_why_explains_the_last_decision_in_any_case_of_letters(day):
    said = day.json("why")
    assert (said["symbol"], said["command"], said["session"]) == (
        "AAPL", "decide", day.json("decide")["session"],
    )  # fmt: skip
    assert set(said["signals"]) == set(said["weights"]) == SIGNALS
    assert said["explanation"]
    words = day.text("why in words")
    assert words.startswith("AAPL")
    assert said["explanation"] in " ".join(words.split())


# --- halt and resume ---------------------------------------------------------------------------


def test_halt_and_resume_tell_what_holds_now(day):
    said = day.json("halt")
    assert [halt["reason"] for halt in said["halts"]] == ["[bold]off to sea"]
    assert said["halts"][0]["flatten"] is False
    assert "[bold]off to sea; by hand" in day.text("halt in words")
    assert day.json("resume") == {"command": "resume", "halts": [], "lifted": 2}
    assert day.text("resume in words") == "Nothing was halted.\n"
    assert day.text("resume at last") == "Entries are allowed again.\n"


def test_halt_flatten_sells_everything_at_once_and_takes_the_stops_away(day):
    said = day.json("flatten")
    sold = said["risk_check"]["orders"]
    held = {position["symbol"]: position["qty"] for position in day.json("status")["positions"]}
    assert {order["symbol"]: order["qty"] for order in sold} == held
    assert {(order["reason"], order["status"]) for order in sold} == {("flatten", "filled")}
    assert all(day.exchange.held_qty(symbol) == Decimal(0) for symbol in held)
    assert not any(order.is_open for order in day.exchange.all_orders)
    assert "No orders." in day.text("flatten in words")


def test_halt_flatten_after_the_close_holds_and_says_that_nothing_is_sold_yet(day):
    words = day.text("flatten after the close")
    assert "Entries are halted: by hand." in words
    assert "Skipped: the market is closed." in words


# --- secrets -----------------------------------------------------------------------------------


def test_no_command_ever_says_a_key(day):
    for outcome in day.said.values():
        if not isinstance(outcome, int):
            assert "simulated-key" not in outcome.out + outcome.err
            assert "simulated-secret" not in outcome.out + outcome.err
