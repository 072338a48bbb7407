"""Where things live, which account, whether to trade: what the variables may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from swingtrader.environment import (
    DATA_URL,
    LIVE_URL,
    PAPER_URL,
    Mode,
    broker_settings,
    places,
    timers_are_off,
    trading_mode,
)
from swingtrader.errors import ConfigurationError

KEYS = {"ALPACA_API_KEY": "PKTESTKEY", "ALPACA_SECRET_KEY": "sEcReTtEsT"}


def test_without_variables_everything_lies_in_the_working_directory():
    found = places({})
    assert (found.config, found.state_dir, found.models_dir) == (
        None,
        Path("state"),
        Path("models"),
    )
    assert found.bars_file == Path("state/data/bars.parquet")


def test_variables_come_before_defaults_and_options_before_variables():
    variables = {
        f"SWINGTRADER_{name}": f"/from/{name}"
        for name in ("CONFIG", "STATE_DIR", "MODELS_DIR", "DATA_DIR")
    }
    found = places(variables, state_dir=Path("/given"))
    assert found.config == Path("/from/CONFIG")
    assert found.state_dir == Path("/given")
    assert found.models_dir == Path("/from/MODELS_DIR")
    assert found.bars_file == Path("/from/DATA_DIR/bars.parquet")


def test_data_lie_in_the_state_directory_unless_said_otherwise():
    found = places({"SWINGTRADER_STATE_DIR": "/srv/state"})
    assert found.bars_file == Path("/srv/state/data/bars.parquet")


def test_an_empty_variable_counts_as_none():
    names = ("CONFIG", "STATE_DIR", "MODELS_DIR", "DATA_DIR")
    assert places({f"SWINGTRADER_{name}": "" for name in names}) == places({})


def test_nothing_is_sent_unless_trading_is_switched_on():
    assert trading_mode({}) is Mode.DRY_RUN
    assert broker_settings(KEYS).mode is Mode.DRY_RUN
    assert broker_settings(KEYS).trading_url == PAPER_URL
    assert broker_settings(KEYS).data_url == DATA_URL


@pytest.mark.parametrize(
    ("variables", "mode"),
    [
        ({"LIVE_TRADING": "false"}, Mode.DRY_RUN),
        ({"LIVE_TRADING": ""}, Mode.DRY_RUN),
        ({"ALPACA_PAPER": "false", "LIVE_ACCOUNT": "123"}, Mode.DRY_RUN),
        ({"LIVE_TRADING": "true"}, Mode.PAPER),
        ({"LIVE_TRADING": " TRUE ", "ALPACA_PAPER": "true"}, Mode.PAPER),
        ({"LIVE_TRADING": "true", "ALPACA_PAPER": "false", "LIVE_ACCOUNT": "123"}, Mode.LIVE),
    ],
)
def test_the_two_switches_make_three_modes(variables, mode):
    assert broker_settings(KEYS | variables).mode is mode


def test_real_money_needs_the_accounts_name():
    with pytest.raises(ConfigurationError, match="set LIVE_ACCOUNT"):
        broker_settings(KEYS | {"ALPACA_PAPER": "false"})
    settings = broker_settings(KEYS | {"ALPACA_PAPER": "false", "LIVE_ACCOUNT": " 123 "})
    assert (settings.trading_url, settings.live_account) == (LIVE_URL, "123")


@pytest.mark.parametrize("name", ["LIVE_TRADING", "ALPACA_PAPER", "ENABLE_CRON"])
def test_a_switch_that_is_neither_true_nor_false_is_refused(name):
    variables = KEYS | {name: "maybe", "INVOCATION_ID": "1"}
    ask = timers_are_off if name == "ENABLE_CRON" else broker_settings
    with pytest.raises(ConfigurationError, match=f"{name}=maybe: must be true or false"):
        ask(variables)


@pytest.mark.parametrize("name", sorted(KEYS))
def test_a_missing_key_is_named_with_the_remedy(name):
    with pytest.raises(ConfigurationError, match=f"{name} is not set: .*alpaca-.*-key"):
        broker_settings({other: key for other, key in KEYS.items() if other != name})


def test_keys_may_come_as_files_with_white_space_around(tmp_path):
    (tmp_path / "alpaca-api-key").write_text(" from-file\n")
    (tmp_path / "alpaca-secret-key").write_text("secret-from-file\r\n\n")
    settings = broker_settings({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert (settings.api_key, settings.secret_key) == ("from-file", "secret-from-file")


def test_a_variable_comes_before_a_file(tmp_path):
    (tmp_path / "alpaca-api-key").write_text("from-file")
    settings = broker_settings(KEYS | {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert settings.api_key == KEYS["ALPACA_API_KEY"]


@pytest.mark.parametrize("content", [b"two words", b"caf\xc3\xa9", b"\xff\xfe", b"a\nb"])
def test_a_key_that_cannot_be_one_is_refused_without_showing_it(tmp_path, content):
    (tmp_path / "alpaca-api-key").write_bytes(content)
    (tmp_path / "alpaca-secret-key").write_bytes(b"fine")
    with pytest.raises(ConfigurationError, match=r"copy .* again") as caught:
        broker_settings({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    shown = str(caught.value)
    assert content.decode("latin-1") not in shown
    assert caught.value.__cause__ is None


def test_keys_appear_in_no_repr():
    shown = repr(broker_settings(KEYS))
    assert not any(key in shown for key in KEYS.values())


def test_a_slash_at_the_end_of_a_url_does_no_harm():
    settings = broker_settings(KEYS | {"ALPACA_TRADING_URL": "http://127.0.0.1:8000/"})
    assert settings.trading_url == "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://api.alpaca.markets", "unencrypted"),
        ("ftp://api.alpaca.markets", "must look like"),
        ("api.alpaca.markets", "must look like"),
        ("https://", "must look like"),
        ("https://user:word@host", "must look like"),
        ("https://host?key=1", "must look like"),
        ("http://[", "must look like"),
    ],
)
def test_a_url_that_keys_must_not_be_sent_to_is_refused(url, said):
    with pytest.raises(ConfigurationError, match=f"ALPACA_DATA_URL: .*{said}"):
        broker_settings(KEYS | {"ALPACA_DATA_URL": url})


@pytest.mark.parametrize(
    ("url", "rehearsal"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://localhost:1", True),
        ("http://[::1]:8000", True),
        ("https://paper-api.alpaca.markets", False),
        ("https://127.0.0.1.example.org", False),
    ],
)
def test_only_a_simulator_on_this_machine_is_a_rehearsal(url, rehearsal):
    assert broker_settings(KEYS | {"ALPACA_TRADING_URL": url}).is_rehearsal is rehearsal


def test_an_unknown_feed_is_refused():
    assert broker_settings(KEYS | {"ALPACA_FEED": "SIP"}).feed == "sip"
    with pytest.raises(ConfigurationError, match="ALPACA_FEED=opra: is none of iex"):
        broker_settings(KEYS | {"ALPACA_FEED": "opra"})


@pytest.mark.parametrize(
    ("variables", "off"),
    [
        ({}, False),
        ({"ENABLE_CRON": "false"}, False),
        ({"INVOCATION_ID": "1"}, False),
        ({"ENABLE_CRON": "true", "INVOCATION_ID": "1"}, False),
        ({"ENABLE_CRON": "false", "INVOCATION_ID": "1"}, True),
    ],
)
def test_the_timers_switch_stops_what_a_timer_fired_and_not_a_person(variables, off):
    assert timers_are_off(variables) is off
