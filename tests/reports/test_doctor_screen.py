from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from swingtrader.reports.doctor_screen import Finding, State, print_findings

OK, WARNING, PROBLEM = State.OK, State.WARNING, State.PROBLEM

SOUND = (
    Finding("configuration", OK, "dry run, sends no order; paper account; default strategy"),
    Finding("disk", OK, "48.2 GB free for state"),
    Finding("lock", OK, "free"),
)
MIXED = (
    Finding("configuration", OK, "orders go to the paper account; /etc/swingtrader/mine.toml"),
    Finding("permissions", OK, "made state/data; closed to others: state", fixed=True),
    Finding("disk", WARNING, "912.4 MB free for state", "free some space before a run misses it"),
    Finding(
        "store", PROBLEM,
        "/var/lib/swingtrader/swingtrader.sqlite3: is at version 9, this program knows versions "
        "up to 2",
        "use the program that wrote it",
    ),
    Finding("credentials", OK, "keys from files in /run/credentials; the broker accepts them"),
    Finding("account", OK, "shorting is forbidden from now on", fixed=True),
    Finding("feed", WARNING, "not checked: the broker did not say its time"),
    Finding("data", PROBLEM, "SPY has no bar of 2026-11-20", "swingtrader data pull"),
)  # fmt: skip

GOLDEN_SOUND = """\
ok  configuration  dry run, sends no order; paper account; default strategy
ok  disk           48.2 GB free for state
ok  lock           free

All is well.
"""

GOLDEN_80 = """\
ok       configuration  orders go to the paper account;
                        /etc/swingtrader/mine.toml
ok       permissions    made state/data; closed to others: state
warning  disk           912.4 MB free for state
                        To do: free some space before a run misses it
problem  store          /var/lib/swingtrader/swingtrader.sqlite3: is at version
                        9, this program knows versions up to 2
                        To do: use the program that wrote it
ok       credentials    keys from files in /run/credentials; the broker accepts
                        them
ok       account        shorting is forbidden from now on
warning  feed           not checked: the broker did not say its time
problem  data           SPY has no bar of 2026-11-20
                        To do: swingtrader data pull

2 problems and 2 warnings. Mended: permissions, account.
"""

GOLDEN_100 = """\
ok       configuration  orders go to the paper account; /etc/swingtrader/mine.toml
ok       permissions    made state/data; closed to others: state
warning  disk           912.4 MB free for state
                        To do: free some space before a run misses it
problem  store          /var/lib/swingtrader/swingtrader.sqlite3: is at version 9, this program
                        knows versions up to 2
                        To do: use the program that wrote it
ok       credentials    keys from files in /run/credentials; the broker accepts them
ok       account        shorting is forbidden from now on
warning  feed           not checked: the broker did not say its time
problem  data           SPY has no bar of 2026-11-20
                        To do: swingtrader data pull

2 problems and 2 warnings. Mended: permissions, account.
"""


def screen(findings, width=80, encoding="utf-8", **options):
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, newline="") as file:
        print_findings(findings, Console(file=file, width=width, **options))
        file.flush()
        return raw.getvalue().decode(encoding)


def trimmed(text):
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


@pytest.mark.parametrize(
    ("findings", "width", "golden"),
    [
        (SOUND, 80, GOLDEN_SOUND),
        (MIXED, 80, GOLDEN_80),
        (MIXED, 100, GOLDEN_100),
        (MIXED, 200, GOLDEN_100),
    ],
)
def test_the_screen_reads_like_this(findings, width, golden):
    assert trimmed(screen(findings, width)) == golden


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ((OK,), "All is well."),
        ((OK, WARNING), "1 warning."),
        ((PROBLEM,), "1 problem."),
        ((PROBLEM, PROBLEM, WARNING), "2 problems and 1 warning."),
    ],
)
def test_the_last_line_counts_what_is_bad(states, said):
    assert screen([Finding("x", state, "y") for state in states]).splitlines()[-1] == said


@pytest.mark.parametrize("width", [40, 60, 80, 99, 100, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_screen_keeps_to_the_terminal_and_to_100_columns(width, encoding):
    lines = screen(MIXED, width, encoding).splitlines()
    assert max(cell_len(line) for line in lines) <= min(width, 100)


def test_on_a_terminal_no_colour_says_anything():
    text = screen(MIXED, force_terminal=True, color_system="truecolor")
    for sequence in text.split("\x1b[")[1:]:
        assert sequence.partition("m")[0] in {"0", "1"}


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.text(min_size=1, max_size=40))
def test_words_from_outside_are_shown_as_text_and_never_obeyed(words):
    for encoding in ("utf-8", "ascii"):
        text = screen([Finding("data", PROBLEM, f"[bold]{words}", f"[/]{words}")], 100, encoding)
        assert "[bold]" in text
        assert "[/]" in text
        assert all(letter.isprintable() or letter == "\n" for letter in text)


def test_a_path_too_long_for_the_column_is_folded_and_whole():
    path = "/" + "x" * 150
    text = screen([Finding("store", OK, path)])
    assert "".join(text.splitlines()[0:-2]).replace(" ", "").endswith(path)


def test_one_entry_of_the_object():
    assert MIXED[2].as_json() == {
        "name": "disk",
        "state": "warning",
        "what": "912.4 MB free for state",
        "remedy": "free some space before a run misses it",
        "fixed": False,
    }
