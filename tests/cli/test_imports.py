"""What a command may load: a light one must answer at once, and a run's memory is bounded."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "alpaca", "exchange_calendars", "hmmlearn", "matplotlib", "numpy", "onnxruntime", "pandas",
    "pyarrow", "scipy", "sklearn", "structlog", "torch", "transformers", "xgboost",
}  # fmt: skip
"""Not pydantic: typer 0.29 converts the values of options with it."""

MODELS = {"hmmlearn", "torch", "transformers", "xgboost"}


@pytest.fixture
def imported(program, clean_environment):
    """Return a runner of one command line in a process of its own: exit code, stdout, imports."""

    def run(*arguments, **variables):
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, arguments)],
            capture_output=True,
            text=True,
            env=clean_environment | variables,
            check=False,
            timeout=60,
        )
        last = done.stderr.splitlines()[-1]
        assert last.startswith("imported: "), done.stderr
        return done.returncode, done.stdout, set(last.split())

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        [],
        ["backtest", "--help"],
        ["decide", "--help"],
        ["data", "pull", "--help"],
        ["status", "--bogus"],
    ],
)
def test_help_and_mistakes_import_nothing_heavy(imported, arguments):
    _, _, names = imported(*arguments)
    assert "swingtrader" in names
    assert sorted(names & (HEAVY | {"rich"})) == []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_does_not_even_load_what_converts_options(imported, arguments):
    assert "pydantic" not in imported(*arguments)[2]


@pytest.mark.parametrize("flags", [(), ("--json",), ("--check",)])
def test_status_loads_neither_arrays_nor_models(day, imported, flags):
    code, said, names = imported(*day.options, "status", *flags)
    assert code in {0, 1}
    assert "ranker" in said
    assert sorted(names & HEAVY) == []


def test_status_of_an_empty_store_loads_as_little(tmp_path, imported):
    code, _, names = imported("--state-dir", tmp_path / "state", "status")
    assert code == 0
    assert sorted(names & HEAVY) == []


@pytest.mark.parametrize(
    "arguments", [("halt", "--json"), ("resume", "--json"), ("why", "AAPL", "--json")]
)
def test_what_needs_no_network_loads_no_client_and_no_models(day, imported, arguments):
    code, _, names = imported(*day.options, *arguments)
    assert code == 0
    assert sorted(names & (HEAVY - {"numpy", "structlog"})) == []


@pytest.mark.parametrize(
    ("command", "forbidden"),
    [
        # Not pyarrow: pandas loads it, and the broker's client loads pandas.
        ("risk-check", MODELS | {"onnxruntime"}),
        ("decide", MODELS),
    ],
)
def test_a_run_loads_no_model_library(next_morning, imported, command, forbidden):
    desk = next_morning
    code, said, names = imported(
        *desk.options, command, "--json", LIVE_TRADING="true", **desk.environment
    )
    assert code == 0
    assert "MSFT" in {row["symbol"] for row in json.loads(said)["decisions"]}
    assert {"swingtrader", "alpaca"} <= names
    assert sorted(names & forbidden) == []
