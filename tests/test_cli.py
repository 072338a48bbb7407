"""The command line as a person and a script meet it: help, options, one line a refusal."""

from __future__ import annotations

import io
import json
import re
import shutil
import sqlite3
import subprocess
import sys

import pytest
import typer.main
from rich.console import Console

from swingtrader import __version__
from swingtrader.adapters.store import STORE_NAME
from swingtrader.cli import app, run
from swingtrader.cli.app import EXIT_CODES
from swingtrader.errors import DataError, SwingtraderError
from swingtrader.log import set_up_log
from swingtrader.reports.progress import RunProgress

HOLD_THE_LOCK = """
import sys
from pathlib import Path
from swingtrader.adapters.lock import state_lock
with state_lock(Path(sys.argv[1]), wait_seconds=0):
    print("held", flush=True)
    sys.stdin.read()
"""


# --- help and version -------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_every_command_with_what_it_does(swingtrader, flag):
    outcome = swingtrader(flag)
    assert (outcome.code, outcome.err) == (0, "")
    shown = [line.split(maxsplit=1) for line in outcome.out.partition("Commands:")[2].splitlines()]
    for name, command in typer.main.get_command(app).commands.items():
        assert [name, command.help.splitlines()[0][:40]] in [
            [words[0], words[1][:40]] for words in shown if words
        ]


def test_help_of_a_command_names_every_option_with_a_description(swingtrader):
    outcome = swingtrader("backtest", "--help")
    assert (outcome.code, outcome.err) == (0, "")
    for option in (
        "--bars", "--news", "--intraday", "--universe", "--start", "--end", "--cash", "--out",
        "--rl", "--half-spread-bps", "--slippage-bps", "--seed", "--json",
    ):  # fmt: skip
        (line,) = [line for line in outcome.out.splitlines() if line.startswith(f"  {option} ")]
        described = line[len("  --half-spread-bps FLOAT         ") :]
        assert described.strip(), line


def test_without_a_command_the_help_appears_as_a_mistake_of_usage(swingtrader):
    for arguments in ((), ("--json",)):
        outcome = swingtrader(*arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err == swingtrader("--help").out


@pytest.mark.parametrize("arguments", [("--version",), ("--version", "backtest")])
def test_version_is_said_and_nothing_else_done(swingtrader, arguments):
    outcome = swingtrader(*arguments)
    assert (outcome.code, outcome.out, outcome.err) == (0, f"swingtrader {__version__}\n", "")


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_the_module_is_the_command(argument):
    done = subprocess.run(
        [sys.executable, "-m", "swingtrader", argument], capture_output=True, text=True, check=True
    )
    assert "swingtrader" in done.stdout
    assert done.stderr == ""


# --- refusals: an exit code, one line on stderr, nothing on stdout ------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--bogus",), "No such option: --bogus"),
        (("bogus",), "No such command 'bogus'"),
        (("--json", "bogus"), "No such command 'bogus'"),
        (("backtest", "--bogus"), "No such option: --bogus"),
        (("backtest", "bars.parquet"), "unexpected extra argument"),
        (("backtest", "--bars"), "'--bars' requires an argument"),
        (("backtest", "--cash", "much"), "'--cash': .*number"),
        (("backtest", "--cash", "0"), "--cash must be a positive number of dollars, not 0"),
        (("backtest", "--cash", "-1"), "--cash must be a positive"),
        (("backtest", "--cash", "nan"), "--cash must be a positive"),
        (("backtest", "--cash", "inf"), "--cash must be a positive"),
        (("backtest", "--seed", "1.5"), "'--seed': .*integer"),
        (("backtest", "--seed", "-1"), "'--seed': .*0"),
        (("backtest", "--seed", str(2**32)), "'--seed': .*4294967295"),
        (("backtest", "--slippage-bps", "x"), "'--slippage-bps': .*number"),
        (("backtest", "--slippage-bps", "-1"), "slippage_bps must be at least 0"),
        (("backtest", "--half-spread-bps", "nan"), "half_spread_bps must be at least 0"),
        (("backtest", "--start", "31.12.2019"), "'--start': '31.12.2019' is no date"),
        (("backtest", "--end", "2019-02-29"), "'--end': '2019-02-29' is no date"),
        (("backtest", "--start", "2016-07-01", "--end", "2016-06-30"), "lies after --end"),
        (("backtest", "--rl", "sometimes"), "'--rl': .*'off', 'frozen', 'walk-forward'"),
    ],
)
def test_a_mistake_of_usage_exits_2(swingtrader, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    line = swingtrader(*arguments).refusal(2)
    assert re.search(said, line), line
    assert not list(tmp_path.iterdir())


def test_a_broken_configuration_exits_78(backtest, tmp_path):
    (tmp_path / "mine.toml").write_text("[vote]\nbuy_above = 0.3\n")
    (tmp_path / "twice.toml").write_text('[[sector]]\nname = "A"\nstocks = ["X", "X"]\n')
    mine = ("--config", tmp_path / "mine.toml")
    assert "'buy_at'" in backtest(before=mine).outcome.refusal(78)
    twice = backtest("--universe", tmp_path / "twice.toml")
    assert "stock X is listed twice" in twice.outcome.refusal(78)
    assert "cannot be read" in backtest("--universe", tmp_path / "none").outcome.refusal(78)
    assert not twice.out.exists()
    assert not twice.state_dir.exists()


@pytest.mark.parametrize("where", ["out", "state"])
def test_a_directory_that_cannot_be_written_exits_78_before_any_work(backtest, tmp_path, where):
    # Below a regular file, where even root cannot write.
    (tmp_path / "file").write_text("precious")
    for path in ("file", "file/below"):
        line = backtest("--bars", tmp_path / "none", **{where: path}).outcome.refusal(78)
        assert str(tmp_path / path) in line
    assert (tmp_path / "file").read_text() == "precious"


def test_a_model_store_that_cannot_be_written_exits_78(backtest, tmp_path):
    (tmp_path / "file").write_text("precious")
    run = backtest("--start", "2016-08-18", models=tmp_path / "file")
    assert run.outcome.code == 78
    assert str(tmp_path / "file") in run.outcome.err.splitlines()[-1]
    assert not run.out.exists()


def test_a_database_of_a_newer_program_exits_78_and_stays(backtest, tmp_path):
    (tmp_path / "state").mkdir()
    path = tmp_path / "state" / STORE_NAME
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 1000")
    connection.close()
    content = path.read_bytes()
    assert "version 1000" in backtest().outcome.refusal(78)
    assert path.read_bytes() == content


def test_a_lock_that_another_process_holds_exits_75(backtest, tmp_path, monkeypatch):
    # The wait itself is tested with the lock; ten seconds of it are nothing to learn from.
    monkeypatch.setattr("swingtrader.commands.backtest_store.LOCK_WAIT_SECONDS", 0.05)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK, str(tmp_path / "state")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        run = backtest()
        holder.kill()
    assert "held by another run" in run.outcome.refusal(75)
    assert not run.out.exists()


def test_a_message_of_several_lines_is_said_in_one(backtest, tmp_path):
    line = backtest("--bars", tmp_path / "one\ntwo").outcome.refusal(65)
    assert f"{tmp_path}/one two" in line


def test_a_bug_exits_70_and_keeps_its_traceback(backtest, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("unforeseen")

    monkeypatch.setattr("swingtrader.commands.backtest.run_backtest", broken)
    outcome = backtest().outcome
    assert (outcome.code, outcome.out) == (70, "")
    assert outcome.err.startswith("Traceback")
    assert "ZeroDivisionError: unforeseen" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("swingtrader: this is a bug")


def test_every_kind_of_error_has_an_exit_code():
    assert {kind.__name__: code for kind, code in EXIT_CODES.items()} == {
        "UsageError": 2,
        "DataError": 65,
        "BrokerError": 69,
        "HubUnreachable": 69,
        "LockHeld": 75,
        "CredentialsRefused": 77,
        "ConfigurationError": 78,
    }
    assert set(SwingtraderError.__subclasses__()) == set(EXIT_CODES)
    assert DataError.__subclasses__()  # they are found through their parent: see the 65s


# --- --json ------------------------------------------------------------------------------------


def test_json_is_one_object_on_stdout_before_and_after_the_command(backtest, finished):
    before = backtest(before=("--json",))
    assert before.outcome.code == 0
    (line,) = before.outcome.out.splitlines()
    said = json.loads(line)
    assert said.pop("command") == "backtest"
    assert said.pop("out") == str(before.out)
    assert said == before.metrics
    (line,) = finished.outcome.out.splitlines()
    assert {**json.loads(line), "out": None} == {**said, "command": "backtest", "out": None}


# --- where things live -------------------------------------------------------------------------


def test_options_come_before_variables(swingtrader, tmp_path, monkeypatch):
    for name in ("given", "variable"):
        (tmp_path / f"{name}.toml").write_text(f"[{name}]\n")
        monkeypatch.setenv("SWINGTRADER_CONFIG", str(tmp_path / "variable.toml"))
    assert "section: 'variable'" in swingtrader("backtest").refusal(78)
    given = swingtrader("--config", tmp_path / "given.toml", "backtest")
    assert "section: 'given'" in given.refusal(78)


def test_state_is_kept_where_option_variable_or_default_says(swingtrader, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def missing(*options):
        return swingtrader(*options, "backtest").refusal(65)

    assert "state/data/bars.parquet: cannot be read" in missing()
    monkeypatch.setenv("SWINGTRADER_STATE_DIR", "by-variable")
    assert "by-variable/data/bars.parquet" in missing()
    assert "by-option/data/bars.parquet" in missing("--state-dir", "by-option")
    monkeypatch.setenv("SWINGTRADER_DATA_DIR", "by-data")
    assert "swingtrader: by-data/bars.parquet" in missing("--state-dir", "by-option")
    for directory in ("state", "by-variable", "by-option"):
        assert (tmp_path / directory / STORE_NAME).exists()
    assert not (tmp_path / "by-data").exists()


def test_bars_are_taken_from_the_local_cache_when_none_are_named(
    swingtrader, market, finished, models_dir, tmp_path, monkeypatch
):
    (tmp_path / "data").mkdir()
    shutil.copy(market.path, tmp_path / "data" / "bars.parquet")
    monkeypatch.setenv("SWINGTRADER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("SWINGTRADER_MODELS_DIR", str(models_dir))
    monkeypatch.setenv("SWINGTRADER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    outcome = swingtrader("backtest")
    assert outcome.code == 0
    report = tmp_path / "backtest-report"
    assert str(report) in outcome.out
    assert (report / "fills.csv").read_bytes() == (finished.out / "fills.csv").read_bytes()


def test_a_cost_on_the_command_line_comes_before_the_configured_one(backtest, tmp_path, finished):
    (tmp_path / "mine.toml").write_text("[costs]\nhalf_spread_bps = 10.0\nslippage_bps = 3.0\n")
    configured = ("--config", tmp_path / "mine.toml")
    cheap = backtest("--half-spread-bps", 2, before=configured, out="cheap")
    assert cheap.metrics["config_sha256"] == finished.metrics["config_sha256"]
    assert (cheap.out / "fills.csv").read_bytes() == (finished.out / "fills.csv").read_bytes()
    dear = backtest(before=configured, out="dear", state="other")
    assert dear.metrics["config_sha256"] != finished.metrics["config_sha256"]
    first_cheap, first_dear = cheap.rows("fills.csv")[0], dear.rows("fills.csv")[0]
    assert first_dear["symbol"] == first_cheap["symbol"]
    ratio = float(first_dear["price"]) / float(first_cheap["price"])
    assert ratio == pytest.approx(1.0013 / 1.0005, abs=1e-5)


# --- what is said on the way -------------------------------------------------------------------


def test_a_run_says_its_long_phases_on_stderr(finished):
    phases = [line for line in finished.outcome.err.splitlines() if "phase.started" in line]
    for name, line in zip(("Training", "Trading", "Leaving"), phases, strict=True):
        assert name in line
    assert finished.outcome.warnings == []


def test_a_person_gets_a_summary_and_the_way_to_the_files(backtest):
    run = backtest()
    assert run.outcome.code == 0
    for words in ("Sharpe ratio", "Max drawdown", "Survivorship", "report.html", str(run.out)):
        assert words in run.outcome.out.replace("\n", "")


def test_a_warning_on_a_terminal_is_not_wiped_by_the_progress_display(capsys):
    terminal = io.StringIO()
    set_up_log()
    with RunProgress(Console(file=terminal, force_terminal=True)) as progress:
        progress.phase("Reading bars")(1)
        progress.warn("bars.doubted", why="odd")
    # The display moves it above the bars; straight on stderr, the next redraw would wipe it.
    assert "bars.doubted" in terminal.getvalue()
    assert capsys.readouterr().err == ""


def test_an_interrupt_is_no_bug(backtest, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("swingtrader.commands.backtest.run_backtest", interrupted)
    assert "interrupted" in backtest().outcome.refusal(130)


def test_the_exit_code_of_a_command_that_says_nothing_is_0():
    assert run(["--version"]) == 0
