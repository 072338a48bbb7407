from __future__ import annotations

import io
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from swingtrader.reports.data_tables import (
    KINDS,
    DataCheck,
    Finding,
    SymbolFindings,
    print_data_check,
)

SPLIT = Finding("split", "looks unadjusted for a 10:1 split on 2024-06-10")
STALE = Finding("stale", "last bar is 7 sessions old")
IDLE = Finding("zero_volume", "5 sessions without volume, last on 2016-01-25")


def row(symbol, *findings):
    return SymbolFindings(symbol, date(2019, 1, 2), date(2024, 6, 28), 1381, findings)


def checked(*rows, reasons=(), remarks=()):
    path = Path("state/data/bars.parquet")
    return DataCheck(path, date(2024, 6, 28), len(rows), rows, tuple(reasons), tuple(remarks))


def shown(check, width=100, encoding="utf-8", **options):
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, newline="") as file:
        print_data_check(check, Console(file=file, width=width, **options))
        file.flush()
        return raw.getvalue().decode(encoding)


MIXED = checked(
    row("AAPL"),
    row("NVDA", IDLE, SPLIT),
    row("ROKU", STALE),
    row("XLRE", IDLE),
    reasons=["1 symbol with a suspected unadjusted split: NVDA"],
    remarks=["3 rows with a one-day move over 40%: NVDA 2024-06-10 -90.0%, …"],
)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_report_keeps_to_the_terminal_and_to_100_columns(width, encoding):
    lines = shown(MIXED, width, encoding).splitlines()
    assert max(cell_len(line) for line in lines) <= min(width, 100)


def test_a_file_gets_plain_text():
    assert "\x1b" not in shown(MIXED)
    assert "\x1b" in shown(MIXED, force_terminal=True)


def test_the_worst_comes_first_with_what_to_do_and_the_sound_not_at_all():
    text = shown(MIXED)
    places = [text.index(what) for what in (SPLIT.what, STALE.what, IDLE.what)]
    assert places == sorted(places)
    assert "AAPL" not in text
    for kind in ("split", "stale", "zero_volume"):
        assert "To do: " + KINDS[kind][1] in text
    assert KINDS["gaps"][0] not in text
    assert "4 symbols until 2024-06-28, 1 without findings." in text


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_to_do_in_one_line(kind):
    heading, remedy = KINDS[kind]
    text = shown(checked(row("AAPL", Finding(kind, "is odd"))))
    assert text.startswith(f"{heading}\n  AAPL  is odd\nTo do: {remedy}\n")
    assert len(remedy) < 90


def test_symbols_with_one_and_the_same_finding_share_a_line():
    text = shown(checked(*(row(f"S{n:02}", STALE) for n in range(70))))
    assert "S00, S01, S02, S03, S04, S05, S06, S07 and 62 more  last bar is 7" in text
    assert "S08" not in text


def test_the_verdict_comes_last():
    assert shown(checked(row("AAPL"))).endswith("The data may be traded on.\n")
    last = shown(MIXED).splitlines()[-2:]
    assert last == [
        "The data must not be traded on:",
        "- 1 symbol with a suspected unadjusted split: NVDA",
    ]


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.text(min_size=1, max_size=30))
def test_what_a_file_holds_is_shown_as_text_and_never_obeyed(symbol):
    for encoding in ("utf-8", "ascii"):
        text = shown(checked(row(f"[bold]{symbol}", STALE)), encoding=encoding)
        assert "[bold]" in text
        assert all(c.isprintable() or c == "\n" for c in text)


def test_json_names_every_finding_with_its_symbol():
    told = MIXED.as_json()
    assert [(each["symbol"], each["kind"]) for each in told["findings"]] == [
        ("NVDA", "split"),
        ("ROKU", "stale"),
        ("NVDA", "zero_volume"),
        ("XLRE", "zero_volume"),
    ]
    assert told["tradeable"] is False
    assert told["session"] == "2024-06-28"
