"""What a command may load: a light one must answer at once, and a run's memory is bounded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import timedelta

import numpy as np
import pytest

from swingtrader.commands.live_agents import ENSEMBLE_FILE, FAMILY
from swingtrader.core.agents import OBSERVATIONS, Agent, Ensemble
from swingtrader.estimators.installation import install, promote

HEAVY = {
    "alpaca", "exchange_calendars", "hmmlearn", "matplotlib", "numpy", "onnxruntime", "pandas",
    "pyarrow", "scipy", "sklearn", "structlog", "torch", "transformers", "xgboost",
}  # fmt: skip
"""Not pydantic: typer 0.29 converts the values of options with it, though not for `status`."""

MODELS = {"gymnasium", "hmmlearn", "stable_baselines3", "torch", "transformers", "xgboost"}


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
    assert sorted(names & (HEAVY | {"pydantic"})) == []


def test_status_of_an_empty_store_loads_as_little(tmp_path, imported):
    code, _, names = imported("--state-dir", tmp_path / "state", "status")
    assert code == 0
    assert sorted(names & (HEAVY | {"pydantic"})) == []


@pytest.mark.parametrize(
    "arguments", [("halt", "--json"), ("resume", "--json"), ("why", "AAPL", "--json")]
)
def test_what_needs_no_network_loads_no_client_and_no_models(day, imported, arguments):
    code, _, names = imported(*day.options, *arguments)
    assert code == 0
    assert sorted(names & (HEAVY - {"numpy", "structlog"})) == []


@pytest.fixture
def every_model(next_morning, install_finbert, tmp_path):
    """Return a model store with a ranker, a sentiment model and trading agents."""
    _, theirs = next_morning.options[-2:]
    shutil.copytree(theirs, tmp_path / "models")
    install_finbert(tmp_path / "models")
    layer = (np.zeros((OBSERVATIONS, 1)), np.full(1, 0.25))
    keeps_still = Agent("still", (layer,), "tanh", squashed=False)
    install(
        tmp_path / "models", FAMILY, "v1",
        {ENSEMBLE_FILE: Ensemble((keeps_still,), (1.0,)).to_bytes()},
        created_at=next_morning.exchange.now - timedelta(days=1), library_versions={},
        validation={},
    )  # fmt: skip
    promote(tmp_path / "models", FAMILY, "v1")
    return tmp_path / "models"


@pytest.mark.parametrize(
    ("command", "needed", "forbidden"),
    [
        # Not pyarrow: pandas loads it, and the broker's client loads pandas.
        ("risk-check", set(), MODELS | {"onnxruntime", "tokenizers"}),
        # With headlines that no run has scored before.
        ("decide", {"onnxruntime", "tokenizers"}, MODELS),
    ],
)
def test_a_run_loads_no_model_library(
    next_morning, every_model, imported, command, needed, forbidden
):
    desk = next_morning
    code, said, names = imported(
        *desk.options, "--models-dir", every_model, command, "--json", LIVE_TRADING="true",
        **desk.environment,
    )  # fmt: skip
    assert code == 0
    decided = {row["symbol"]: row["signals"] for row in json.loads(said)["decisions"]}
    assert decided["MSFT"]["rl"] == (0.25 if command == "decide" else None)
    assert {"swingtrader", "alpaca", *needed} <= names
    assert sorted(names & forbidden) == []
