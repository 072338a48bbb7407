"""Every command has a manual page, and the pages say what the commands are."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import pytest
import typer.main

from swingtrader import commands, environment
from swingtrader.adapters.store import DecisionRow, Store
from swingtrader.cli import app
from swingtrader.cli.app import EXIT_CODES
from swingtrader.commands.run_report import (
    skipped_regime_report,
    skipped_report,
    skipped_retrain_report,
)
from swingtrader.commands.trading_run import OrderLine

PAGES = Path(__file__).parents[1] / "docs" / "commands"
COMMANDS = Path(commands.__file__).parent
NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)
SECTIONS = (
    "Synopsis", "Description", "Options", "Files", "Environment", "Exit status", "Examples",
)  # fmt: skip
CONTRACT_CODES = {0, 1, 2, 65, 69, 70, 75, 77, 78, 130}
CONTRACT_VARIABLES = {
    "ALPACA_API_KEY", "ALPACA_SECRET_KEY", "CREDENTIALS_DIRECTORY", "ALPACA_PAPER", "LIVE_TRADING",
    "LIVE_ACCOUNT", "ALPACA_TRADING_URL", "ALPACA_DATA_URL", "ALPACA_FEED", "ENABLE_CRON",
    "SWINGTRADER_CONFIG", "SWINGTRADER_STATE_DIR", "SWINGTRADER_MODELS_DIR",
    "SWINGTRADER_DATA_DIR",
}  # fmt: skip
PREFIXES = ("ALPACA_", "LIVE_", "SWINGTRADER_", "ENABLE_", "CREDENTIALS_", "INVOCATION_")
STARTS = ("swingtrader ", "systemctl ", "journalctl ")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
VARIABLE = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b")

ROOT = typer.main.get_command(app)
NAMES = sorted(ROOT.commands)
GLOBAL_OPTIONS = {option for parameter in ROOT.params for option in parameter.opts}


def page(name):
    return (PAGES / f"{name}.md").read_text("utf-8")


def section(name, title):
    """Text of one section of a page, its subsections included."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", page(name), re.DOTALL | re.MULTILINE)
    assert found, f"{name}.md has no section {title}"
    return found[1]


def described(name):
    """What the first column of the tables of the section Options names: options and arguments."""
    rows = re.findall(r"^\| (`.*?) \|", section(name, "Options"), re.MULTILINE)
    return {word.split()[0] for row in rows for word in re.findall(r"`([^`]+)`", row)}


def parameters(name):
    """Options and arguments of a command and of its subcommands."""
    command = ROOT.commands[name]
    return [
        parameter
        for each in (command, *getattr(command, "commands", {}).values())
        for parameter in each.params
    ]


def spellings(name):
    return {
        word
        for parameter in parameters(name)
        for word in (
            parameter.opts
            if parameter.param_type_name == "option"
            else [(parameter.metavar or parameter.name).upper()]
        )
    }


def block(name, title):
    """Indented lines of a section."""
    return [line for line in section(name, title).splitlines() if line.startswith("    ")]


def codes(name):
    """Exit codes that a page explains, in its order."""
    rows = re.findall(r"^\| (\d+) \|", section(name, "Exit status"), re.MULTILINE)
    return [int(code) for code in rows]


def commands_of(line):
    """Words of each command of a shell line, without what is redirected."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    parts = groupby(words, key=lambda word: set(word) <= set("|&;"))
    for separates, part in parts:
        if not separates:
            plain = list(part)
            cut = next((n for n, word in enumerate(plain) if set(word) <= set("<>")), len(plain))
            yield plain[:cut]


def parsed(words):
    """Let click read a command line, down to the last subcommand, and call nothing."""
    command, arguments = ROOT, words
    while True:
        context = command.make_context(command.name, arguments)
        below = getattr(command, "commands", None)
        if below is None:
            assert not context.args
            return command
        # What is left over begins with the subcommand.
        arguments = [*context._protected_args, *context.args]  # noqa: SLF001 - no other way
        assert arguments, f"{' '.join(words)} names no command"
        command = below[arguments[0]]
        arguments = arguments[1:]


# --- the pages, all together -------------------------------------------------------------------


def test_every_command_has_a_page_and_every_page_a_command():
    found = {path.stem for path in PAGES.glob("*.md")} - {"README"}
    assert found == set(NAMES)


def test_the_index_links_every_page_and_nothing_else():
    index = page("README")
    linked = re.findall(r"\[([\w-]+)\]\(([\w-]+)\.md\)", index)
    assert all(text == target for text, target in linked)
    assert {target for _, target in linked} == set(NAMES)


def test_the_index_describes_every_option_before_the_command():
    rows = re.findall(r"^\| (`-.*?) \|", page("README"), re.MULTILINE)
    named = {option for row in rows for option in OPTION.findall(row)}
    assert named == GLOBAL_OPTIONS | {"--help"}


def test_the_index_explains_every_exit_code_of_the_contract():
    assert set(codes("README")) == CONTRACT_CODES
    assert set(EXIT_CODES.values()) <= CONTRACT_CODES


def test_every_variable_of_the_contract_is_on_some_page():
    everywhere = "".join(section(name, "Environment") for name in NAMES)
    assert set(VARIABLE.findall(everywhere)) >= CONTRACT_VARIABLES


def test_every_variable_that_the_program_reads_is_explained_under_decide():
    source = Path(environment.__file__).read_text("utf-8")
    read = {name for name in re.findall(r'"([A-Z_]+)"', source) if name.startswith(PREFIXES)}
    assert read >= CONTRACT_VARIABLES
    assert set(VARIABLE.findall(section("decide", "Environment"))) >= read


def test_links_between_pages_lead_somewhere():
    for path in PAGES.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text("utf-8")):
            assert (PAGES / target).exists(), f"{path.name}: {target}"
    for name in NAMES:
        for other in re.findall(r"`swingtrader ([a-z][\w-]*)", page(name)):
            assert other in NAMES, f"{name}.md speaks of swingtrader {other}"


# --- each page ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_its_sections_in_order(name):
    text = page(name)
    assert text.startswith(f"# swingtrader {name}\n")
    assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == SECTIONS
    for title in SECTIONS:
        assert section(name, title).strip()


@pytest.mark.parametrize("name", NAMES)
def test_a_page_describes_every_option_and_no_other(name):
    assert described(name) == spellings(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_synopsis_names_every_option_and_only_those(name):
    synopsis = "\n".join(block(name, "Synopsis"))
    assert synopsis.lstrip().startswith("swingtrader ")
    words = set(re.findall(r"[\w-]+", synopsis))
    assert words >= spellings(name)
    assert set(OPTION.findall(synopsis)) <= spellings(name) | GLOBAL_OPTIONS
    for below in getattr(ROOT.commands[name], "commands", {}):
        assert f"{name} {below}" in synopsis


@pytest.mark.parametrize("name", NAMES)
def test_options_named_anywhere_on_a_page_exist(name):
    known = {option for each in NAMES for option in spellings(each)} | GLOBAL_OPTIONS
    own = section(name, "Description") + section(name, "Options") + section(name, "Exit status")
    assert set(OPTION.findall(own)) <= known


@pytest.mark.parametrize("name", NAMES)
def test_exit_codes_are_of_the_contract_and_each_is_explained_once(name):
    listed = codes(name)
    assert len(listed) == len(set(listed))
    assert {0, 2, 70} <= set(listed) <= CONTRACT_CODES


@pytest.mark.parametrize("name", NAMES)
def test_a_variable_named_on_a_page_is_one_that_the_program_reads(name):
    source = Path(environment.__file__).read_text("utf-8")
    named = {word for word in VARIABLE.findall(page(name)) if word.startswith(PREFIXES)}
    for variable in named:
        assert variable in source, f"{name}.md: {variable}"
    assert {word for word in named if not word.startswith("INVOCATION_")} <= CONTRACT_VARIABLES


@pytest.mark.parametrize("name", NAMES)
def test_every_example_is_a_command_that_the_program_understands(name):
    examples = [line.strip() for line in block(name, "Examples")]
    assert examples
    called = set()
    for line in examples:
        assert line.startswith(STARTS), line
        for words in commands_of(line):
            if words[0] == "swingtrader":
                called.add(parsed(words[1:]))
    own = ROOT.commands[name]
    assert called >= set(getattr(own, "commands", {name: own}).values())


# --- what the trading commands tell -------------------------------------------------------------


def test_every_warning_of_a_run_is_explained_under_decide_and_no_other():
    # Those of a pull are on its own page.
    sources = [
        path.read_text("utf-8") for path in COMMANDS.glob("*.py") if path.stem != "data_pull"
    ]
    warned = {
        event
        for source in sources
        for event in re.findall(r'run\.(?:warn|fail)\(\s*"([a-z_.]+)"', source)
    }
    listed = re.findall(r"`([a-z]+\.[a-z_]+)`", section("decide", "Description"))
    assert set(listed) == warned | {"store.damaged"}
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize(
    ("name", "report"),
    [
        ("decide", skipped_report),
        ("regime", skipped_regime_report),
        ("retrain", skipped_retrain_report),
    ],
)
def test_every_key_of_the_report_is_explained(name, report, tmp_path):
    with Store.open(tmp_path, now=NOW) as store:
        said = skipped_report(store, "run", name, "paper", "timers_off", None, None)
    if report is not skipped_report:
        said = report(said)
    options = section(name, "Options")
    for key in (*said, *said.get("regime", ())):
        assert f"`{key}`" in options


def test_every_warning_of_a_pull_is_explained_under_data():
    source = (COMMANDS / "data_pull.py").read_text("utf-8")
    warned = set(re.findall(r'\.warn\(\s*"([a-z_.]+)"', source))
    assert set(re.findall(r"^\| `([a-z]+\.[a-z_]+)`", page("data"), re.MULTILINE)) == warned


@pytest.mark.parametrize("entry", [OrderLine, DecisionRow])
def test_every_key_of_an_order_and_of_a_decision_is_explained(entry):
    options = section("decide", "Options")
    for field in fields(entry):
        assert f"`{field.name}`" in options


# --- the check itself --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "swingtrader decide --bogus",
        "swingtrader decyde",
        "swingtrader --state-dir",
        "swingtrader why",
        "swingtrader data",
        "swingtrader data pull --sessions few",
        "swingtrader halt now",
        "swingtrader status && swingtrader resume --all",
    ],
)
def test_an_example_that_does_not_parse_is_found(line):
    *_, last = commands_of(line)
    with pytest.raises((typer.exceptions.TyperException, KeyError)):
        parsed(last[1:])


def test_a_shell_line_is_taken_apart_as_a_shell_does():
    line = "swingtrader status --check >/dev/null || echo \"a | b\" | swingtrader why 'A;B'"
    assert list(commands_of(line)) == [
        ["swingtrader", "status", "--check"],
        ["echo", "a | b"],
        ["swingtrader", "why", "A;B"],
    ]
