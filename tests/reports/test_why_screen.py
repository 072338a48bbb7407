from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from swingtrader.reports.why_screen import print_why

MINUS = "\N{MINUS SIGN}"
NAMES = ("market", "quant", "rl", "sentiment", "momentum", "regime")
HOSTILE = "[red]x[/red] [link=a]:warning: \x1b[31mred\x07\r\n[/]"
REPORT = {
    "symbol": "AAPL",
    "run_id": "3f2a9c",
    "command": "decide",
    "session": "2026-11-23",
    "asof": "2026-11-23T15:00:31+00:00",
    "action": "hold",
    "score": 0.2059,
    "reason": "held",
    "signals": dict(zip(NAMES, (0.31, 0.2, None, None, -0.1, 0.09), strict=True)),
    "weights": dict(zip(NAMES, (0.2, 0.3, 0.15, 0.1, 0.15, 0.1), strict=True)),
    "contributions": dict(zip(NAMES, (0.0827, 0.08, None, None, -0.02, 0.012), strict=True)),
    "held": {
        "symbol": "AAPL",
        "qty": 10.0,
        "entry_session": "2026-11-12",
        "age_sessions": 7,
        "entry_price": 231.2,
        "price": 240.11,
        "unrealized_return": 0.03854,
    },
    "explanation": "It is held, and no rule asks for its sale.",
}
GOLDEN = f"""\
AAPL · hold
by decide · Mon 2026-11-23 10:00 New York · run 3f2a9c

Signal      Weight    Value   Contribution
market        0.20   +0.310         +0.083
quant         0.30   +0.200         +0.080
rl            0.15   absent
sentiment     0.10   absent
momentum      0.15   {MINUS}0.100         {MINUS}0.020
regime        0.10   +0.090         +0.012

Vote +0.206; bought from +0.200 up, sold from {MINUS}0.150 down
held: It is held, and no rule asks for its sale.
Held: 10 shares since 2026-11-12 (7 sessions), bought at 231.20, last seen at 240.11 (+3.9%)
"""


def screen(report, width=100, encoding="utf-8", thresholds=(0.2, -0.15), **options) -> str:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, newline="") as file:
        print_why(report, Console(file=file, width=width, **options), thresholds=thresholds)
        file.flush()
        return raw.getvalue().decode(encoding)


def trimmed(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def test_screen_reads_like_this():
    assert trimmed(screen(REPORT)) == GOLDEN


@pytest.mark.parametrize("width", [40, 80, 100, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_screen_keeps_to_the_terminal_and_to_100_columns(width, encoding):
    lines = screen(REPORT, width, encoding).splitlines()
    assert max(cell_len(line) for line in lines) <= min(width, 100)


def test_a_terminal_without_unicode_gets_plain_characters():
    text = screen(REPORT, encoding="ascii")
    assert trimmed(text) == GOLDEN.replace(MINUS, "-").replace("·", "-")


def test_without_thresholds_the_vote_stands_alone():
    assert "\nVote +0.206\n" in trimmed(screen(REPORT, thresholds=None))


def test_a_sale_for_its_price_alone_took_no_vote():
    nothing = dict.fromkeys(NAMES)
    sale = {**REPORT, "score": None, "held": None, "reason": "stop_loss",
            "signals": nothing, "weights": nothing, "contributions": nothing}  # fmt: skip
    text = trimmed(screen(sale))
    assert "market         n/a   absent\n" in text
    assert "\nNo vote was taken.\nstop_loss: " in text
    assert "Held" not in text


def test_one_session_is_one_session():
    held = {**REPORT["held"], "age_sessions": 1, "price": None, "unrealized_return": None}
    text = screen({**REPORT, "held": held})
    assert "(1 session), bought at 231.20, last seen at n/a (n/a)" in text


def test_a_pipe_gets_no_control_sequences_and_a_terminal_no_colour():
    assert "\x1b" not in screen(REPORT)
    styled = screen(REPORT, force_terminal=True, color_system="truecolor")
    for code in ("\x1b[1m", "\x1b[2m", "\x1b[0m"):  # bold, dim, reset
        styled = styled.replace(code, "")
    assert styled == screen(REPORT)


def test_text_from_outside_is_neither_markup_nor_a_control_sequence():
    names = ("symbol", "action", "reason", "command", "run_id", "explanation")
    report = {**REPORT, **dict.fromkeys(names, HOSTILE)}
    text = screen(report, force_terminal=True, color_system=None)
    assert "\x1b[31m" not in text
    assert "\x07" not in text
    words = " ".join(text.split())
    assert words.count("[red]x[/red] [link=a]:warning: [31mred [/]") == len(names)
