"""Help, switches and keys: what the environment may say, and what becomes of it when it is wrong.

Every broker here is a port at which nobody listens, so a command that reached for it would say 69.
"""

from __future__ import annotations

import json

import pytest
import typer.main

from swingtrader.adapters.store import STORE_NAME
from swingtrader.cli import app

NOWHERE = {
    "ALPACA_API_KEY": "a-key",
    "ALPACA_SECRET_KEY": "a-secret",
    "ALPACA_TRADING_URL": "http://127.0.0.1:9",
    "ALPACA_DATA_URL": "http://127.0.0.1:9",
}
BY_TIMER = {"INVOCATION_ID": "5f0c", "ENABLE_CRON": "false"}
FIRED = ("decide", "risk-check", "regime")
REACHES = (
    ("decide",), ("risk-check",), ("regime",), ("status", "--live"), ("data", "pull"),
    ("halt", "--flatten"),
)  # fmt: skip
RUN_KEYS = {
    "run_id", "command", "mode", "asof", "session", "market_open", "regime", "skipped", "warnings",
}  # fmt: skip
KEYS = {
    "decide": RUN_KEYS | {"orders", "decisions"},
    "risk-check": RUN_KEYS | {"orders", "decisions"},
    "regime": RUN_KEYS | {"refitted"},
}


def commands(command=None, path=()):
    """Every command of the tree, as its words and what click knows of it."""
    command = command or typer.main.get_command(app)
    for name, below in getattr(command, "commands", {}).items():
        if hasattr(below, "commands"):
            yield from commands(below, (*path, name))
        else:
            yield (*path, name), below


@pytest.fixture
def tell(swingtrader, monkeypatch, tmp_path):
    """Return a caller of the command line in an empty directory, with these variables."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments, **variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return swingtrader(*arguments)

    return call


# --- help --------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [words for words, _ in commands()], ids=" ".join)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_of_every_command_describes_it_and_each_option(tell, words, flag):
    outcome = tell(*words, flag)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"Usage: swingtrader {' '.join(words)} [OPTIONS]")
    command = dict(commands())[words]
    assert command.help.splitlines()[0] in " ".join(outcome.out.split())
    for parameter in command.params:
        if parameter.param_type_name == "option":
            lines = [line.split() for line in outcome.out.splitlines()]
            assert any(line[:1] == parameter.opts[:1] for line in lines), parameter.opts
            assert parameter.help


def test_every_command_understands_json_itself():
    for words, command in commands():
        options = [option for parameter in command.params for option in parameter.opts]
        assert "--json" in options, words


# --- keys --------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", REACHES, ids=" ".join)
@pytest.mark.parametrize("missing", ["ALPACA_API_KEY", "ALPACA_SECRET_KEY"])
def test_a_missing_key_is_named_and_exits_78(tell, words, missing):
    given = {name: value for name, value in NOWHERE.items() if name != missing}
    line = tell(*words, **given).refusal(78)
    assert line.startswith(f"swingtrader: {missing} is not set")
    assert "a-key" not in line


def test_halt_flatten_halts_even_if_the_sale_cannot_begin(tell):
    tell("halt", "--flatten", "--reason", "storm").refusal(78)
    halts = json.loads(tell("status", "--json").out)["halts"]
    assert [halt["reason"] for halt in halts] == ["storm"]


# --- switches ----------------------------------------------------------------------------------


@pytest.mark.parametrize("words", REACHES, ids=" ".join)
@pytest.mark.parametrize("name", ["LIVE_TRADING", "ALPACA_PAPER"])
def test_a_switch_that_is_neither_true_nor_false_exits_78(tell, words, name):
    line = tell(*words, **NOWHERE, **{name: "perhaps"}).refusal(78)
    assert line == f"swingtrader: {name}=perhaps: must be true or false"


@pytest.mark.parametrize("command", FIRED)
def test_enable_cron_that_is_neither_exits_78_too(tell, command):
    line = tell(command, **NOWHERE, ENABLE_CRON="perhaps").refusal(78)
    assert line.startswith("swingtrader: ENABLE_CRON=perhaps: must be")


def test_status_refuses_a_switch_that_it_cannot_read(tell):
    tell("status", LIVE_TRADING="perhaps").refusal(78)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"ALPACA_PAPER": "false"}, "set LIVE_ACCOUNT"),
        ({"ALPACA_FEED": "tape"}, "ALPACA_FEED=tape: is none of iex"),
        ({"ALPACA_TRADING_URL": "http://example.com"}, "use https"),
        ({"ALPACA_DATA_URL": "nowhere"}, "ALPACA_DATA_URL: must look like"),
        ({"ALPACA_API_KEY": "two words"}, "ALPACA_API_KEY: holds a character"),
        ({"SWINGTRADER_CONFIG": "none.toml"}, "none.toml"),
    ],
)
@pytest.mark.parametrize("command", FIRED)
def test_a_setting_that_cannot_be_right_exits_78(tell, command, variables, said):
    line = tell(command, **NOWHERE | variables).refusal(78)
    assert said in line


@pytest.mark.parametrize("words", [*REACHES[:3], REACHES[4]], ids=" ".join)
def test_a_broker_that_is_away_exits_69_with_nothing_on_stdout(tell, words):
    outcome = tell(*words, "--json", **NOWHERE)
    assert (outcome.code, outcome.out) == (69, "")
    assert outcome.err.splitlines()[-1].startswith("swingtrader: the broker gave no usable answer")


# --- ENABLE_CRON -------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("command", FIRED)
def test_a_timer_switched_off_does_nothing_and_says_so_with_every_key(tell, command, before):
    words = ("--json", command) if before else (command, "--json")
    outcome = tell(*words, **NOWHERE, **BY_TIMER, LIVE_TRADING="true")
    assert outcome.code == 0
    assert outcome.err == f"swingtrader: ENABLE_CRON=false: {command} does nothing\n"
    said = json.loads(outcome.out)
    assert set(said) == KEYS[command]
    assert (said["command"], said["mode"], said["skipped"]) == (command, "paper", "timers_off")
    assert (said["asof"], said["session"], said["market_open"]) == (None, None, None)
    assert said["regime"] == dict.fromkeys(("label", "p_high_volatility", "exposure_scale"))


@pytest.mark.parametrize("command", FIRED)
def test_a_timer_switched_off_needs_no_key(tell, command):
    outcome = tell(command, **BY_TIMER)
    assert outcome.code == 0
    assert outcome.out.splitlines()[-1] == "Skipped: ENABLE_CRON=false: timers do nothing."


@pytest.mark.parametrize("variables", [{"ENABLE_CRON": "false"}, {"INVOCATION_ID": "5f0c"}])
def test_a_person_is_not_stopped_by_the_switch_nor_a_timer_without_it(tell, variables):
    tell("decide", **variables).refusal(78)  # it goes on until it needs a key


# --- a damaged store ---------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("halt",), ("resume",)], ids=" ".join)
def test_whoever_finds_the_store_damaged_says_so(tell, tmp_path, words):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / STORE_NAME).write_bytes(b"no database" * 1000)
    outcome = tell(*words, "--json")
    assert outcome.code == 0
    json.loads(outcome.out)
    assert outcome.err.startswith("swingtrader: the state database was damaged and is now ")
    assert tell(*words).err == ""
