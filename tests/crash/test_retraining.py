"""Retraining as it runs: against a broker, killed half-way, two at a time, and then a decision."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime

import pytest

from swingtrader.adapters.bars import write_bars
from swingtrader.adapters.calendar import session_closes, session_opens, sessions_between
from swingtrader.adapters.store import Store
from swingtrader.commands.retraining import FAMILIES
from swingtrader.core.policy import SIGNALS
from swingtrader.estimators.artifact import serving
from swingtrader.simulator.clock import Timetable
from swingtrader.simulator.exchange import Exchange
from swingtrader.simulator.server import serve
from swingtrader.simulator.settings import ExchangeSettings
from swingtrader.simulator.synthetic import SyntheticMarket, simulate_market

pytestmark = pytest.mark.slow

SECTORS = {
    "Technology": ("XLK", ("AAPL", "MSFT", "CRM", "ORCL")),
    "Financials": ("XLF", ("JPM", "BAC", "GS", "MA")),
    "Healthcare": ("XLV", ("LLY", "UNH", "ABBV")),
}
SESSIONS = sessions_between(date(2015, 1, 2), date(2017, 6, 30))[:492]
QUICK = ("--timesteps", "1000", "--agent-seeds", "1")
OPENED = datetime.combine(SESSIONS[-1].item(), datetime.min.time(), UTC).replace(hour=15)
"""Half past nine has passed in New York on the last session."""


@pytest.fixture(scope="module")
def panel():
    return simulate_market(
        SyntheticMarket(SESSIONS, SECTORS, seed=5, persistence=0.8, late_listings=0)
    )


@pytest.fixture(scope="module")
def desk(panel, tmp_path_factory):
    """An exchange on a session's morning, and the program's home."""
    calendar = sessions_between(SESSIONS[0].item(), date(2018, 1, 31))
    exchange = Exchange(
        panel,
        Timetable(calendar, session_opens(calendar), session_closes(calendar)),
        start=OPENED,
        settings=ExchangeSettings(requests_a_minute=None, no_shorting=True),
    )
    home = tmp_path_factory.mktemp("desk")
    universe = "".join(
        f'[[sector]]\nname = "{name}"\netf = "{etf}"\nkind = "neutral"\nstocks = {list(stocks)}\n'
        for name, (etf, stocks) in SECTORS.items()
    )
    (home / "universe.toml").write_text(universe)
    (home / "mine.toml").write_text('[universe]\nfile = "universe.toml"\n')
    with serve(exchange) as server:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "ALPACA_API_KEY": exchange.settings.api_key,
            "ALPACA_SECRET_KEY": exchange.settings.secret_key,
            "ALPACA_TRADING_URL": server.url,
            "ALPACA_DATA_URL": server.url,
            "SWINGTRADER_CONFIG": str(home / "mine.toml"),
            "SWINGTRADER_STATE_DIR": str(home / "state"),
            "SWINGTRADER_MODELS_DIR": str(home / "models"),
        }
        yield home, environment


def ran(environment, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "swingtrader", "--json", *arguments],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def pointers(models):
    return {
        family: (models / family / "serving").read_text()
        for family in FAMILIES
        if (models / family / "serving").exists()
    }


@pytest.fixture(scope="module")
def retrained(desk):
    return ran(desk[1], "retrain", *QUICK)


def test_retrain_pulls_trains_and_lets_serve_and_decide_then_buys_by_it(desk, retrained):
    home, environment = desk
    assert [stage["family"] for stage in retrained["stages"]] == list(FAMILIES)
    assert all(stage["promoted"] for stage in retrained["stages"])
    assert retrained["asof"].startswith(OPENED.isoformat()[:13])
    with Store.open(home / "state", now=datetime.now(UTC)) as store:
        assert store.runs.last("retrain").exit_code == 0
    plan = ran(environment, "decide")
    assert plan["skipped"] is None
    ranked = [row for row in plan["decisions"] if row["signals"]["quant"] is not None]
    assert len(ranked) == 11
    assert set(ranked[0]["signals"]) == set(SIGNALS)
    assert plan["regime"]["label"] is not None
    shown = {model["family"]: model for model in ran(environment, "status")["models"]}
    for stage in retrained["stages"]:
        assert shown[stage["family"]]["version"] == stage["version"]


@pytest.mark.parametrize(
    "sign",
    ["phase='Training models'", "phase='Trading the record'", "phase='Training agents'",
     "phase=Installing", "model.promoted family=ranker"],
)  # fmt: skip
def test_a_killed_retraining_leaves_what_serves_and_the_next_one_goes_on(
    desk, panel, tmp_path, sign
):
    """A week later by a file, with an empty cache; killed when it says so."""
    _, environment = desk
    environment = environment | {
        "SWINGTRADER_STATE_DIR": str(tmp_path / "state"),
        "SWINGTRADER_MODELS_DIR": str(tmp_path / "models"),
    }
    bars = tmp_path / "bars.parquet"
    write_bars(panel, bars)
    first = ("retrain", "--bars", str(bars), "--as-of", str(SESSIONS[-7]), *QUICK)
    ran(environment, *first)
    before = pointers(tmp_path / "models")
    with subprocess.Popen(
        [sys.executable, "-m", "swingtrader", "retrain", "--bars", str(bars), *QUICK],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        for line in process.stderr:
            if sign in line:
                process.kill()
                break
        else:
            pytest.fail(f"never said {sign}")
    now = pointers(tmp_path / "models")
    for family in FAMILIES:
        found = serving(tmp_path / "models", family)
        assert (found.artifact.intact().version, found.doubts) == (now[family].split()[0], ())
        # Promotion is a family's own: killed between two, each is either old or new.
        assert now[family].split()[-1] == before[family].split()[-1]
    if "model.promoted" not in sign and "Installing" not in sign:
        assert now == before
    report = ran(environment, "retrain", "--bars", str(bars), *QUICK)
    for stage in report["stages"]:
        version = serving(tmp_path / "models", stage["family"]).artifact.version
        assert (version == stage["version"]) == stage["promoted"]


def test_of_two_at_once_the_second_is_exit_75(desk, panel, tmp_path):
    _, environment = desk
    environment = environment | {"SWINGTRADER_STATE_DIR": str(tmp_path / "state")}
    bars = tmp_path / "bars.parquet"
    write_bars(panel, bars)
    command = [sys.executable, "-m", "swingtrader", "retrain", "--bars", str(bars), *QUICK]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr:
            if "phase" in line:
                break
        second = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        process.kill()
    assert second.returncode == 75
    assert second.stdout == ""
    assert "retrain.lock" in second.stderr
