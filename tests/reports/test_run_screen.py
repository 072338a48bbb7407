"""What `decide`, `risk-check`, `regime`, `halt` and `resume` say."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from swingtrader.reports.run_screen import print_halt, print_regime, print_resume, print_run

SIGNALS = dict.fromkeys(("market", "quant", "rl", "sentiment", "momentum", "regime"))
HOSTILE = "[red]x[/red] [link=a]:warning: \x1b[31mred\x07\r\n[/]"
SHOWN = "[red]x[/red] [link=a]:warning: [31mred [/]"
LONG = (
    "ranker 20261030-5ad3e1c2 is 24 days old, more than 21: nothing will be bought until it is "
    "trained anew"
)


def order(symbol, side="buy", purpose="entry", **changes):
    return {
        "symbol": symbol, "side": side, "qty": 12.0, "type": "limit", "limit_price": 231.5,
        "purpose": purpose, "reason": "entry_vote", "client_order_id": f"st-{symbol}",
        "status": "filled",
    } | changes  # fmt: skip


def left(*reasons, action="hold"):
    return [
        {
            "symbol": f"S{n}",
            "action": action,
            "score": None,
            "signals": SIGNALS,
            "reason": reason,
        }
        for n, reason in enumerate(reasons)
    ]


REPORT = {
    "run_id": "3f2a9c",
    "command": "decide",
    "mode": "paper",
    "asof": "2026-11-23T15:00:31+00:00",
    "session": "2026-11-23",
    "market_open": True,
    "regime": {"label": "low_volatility", "p_high_volatility": 0.123, "exposure_scale": 0.963},
    "orders": [
        order(
            "AAPL",
            "sell",
            "exit",
            type="market",
            limit_price=None,
            reason="trailing_stop",
            qty=2.5,
        ),
        order("SIRI", qty=1_234_567.0, limit_price=0.8523, status="partially_filled"),
        order(
            "SIRI",
            "sell",
            "protection",
            type="stop",
            limit_price=None,
            reason="resident_stop",
            status="new",
        ),
    ],
    "decisions": [
        *left("trailing_stop", action="sell"),
        *left(*["sector_not_in_scan"] * 40, *["vote_too_low"] * 9, "held", "spread_too_wide"),
        *left(*["too_few_signals"] * 3, "exited_this_session"),
    ],
    "skipped": None,
    "warnings": [LONG],
}
SKIPPED = REPORT | {"orders": [], "decisions": left("held"), "warnings": []}

AT_80 = """\
decide · session of 2026-11-23 · paper
Regime: low volatility (12% likely to be high), entries at 96% of their size.
Order       Symbol     Shares  Type     Limit  Reason         Status
sell        AAPL          2.5  market          trailing_stop  filled
buy         SIRI    1,234,567  limit   0.8523  entry_vote     partially_filled
protection  SIRI           12  stop            resident_stop  new
Looked at 56 symbols.
Left alone: sector_not_in_scan 40, vote_too_low 9, too_few_signals 3, held 1,
  spread_too_wide 1, exited_this_session 1
Warning: ranker 20261030-5ad3e1c2 is 24 days old, more than 21: nothing will be
  bought until it is trained anew
"""
AT_100 = """\
decide · session of 2026-11-23 · paper
Regime: low volatility (12% likely to be high), entries at 96% of their size.
Order       Symbol     Shares  Type     Limit  Reason         Status
sell        AAPL          2.5  market          trailing_stop  filled
buy         SIRI    1,234,567  limit   0.8523  entry_vote     partially_filled
protection  SIRI           12  stop            resident_stop  new
Looked at 56 symbols.
Left alone: sector_not_in_scan 40, vote_too_low 9, too_few_signals 3, held 1, spread_too_wide 1,
  exited_this_session 1
Warning: ranker 20261030-5ad3e1c2 is 24 days old, more than 21: nothing will be bought until it is
  trained anew
"""


def screen(show, report, width=80, encoding="utf-8", *, terminal=True):
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, newline="") as file:
        console = Console(
            file=file, width=width, force_terminal=terminal, color_system=None, highlight=False
        )
        show(report, console)
        file.flush()
        text = raw.getvalue().decode(encoding)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


@pytest.mark.parametrize(("width", "expected"), [(80, AT_80), (100, AT_100), (200, AT_100)])
def test_a_run_reads_like_this_on_a_terminal(width, expected):
    assert screen(print_run, REPORT, width) == expected


def test_away_from_a_terminal_one_fact_is_one_line(capsys):
    text = screen(print_run, REPORT, 80, terminal=False)
    assert f"Warning: {LONG}\n" in text
    assert len(text.splitlines()) == len(AT_80.splitlines()) - 2
    print_run(REPORT, Console(highlight=False))
    assert f"Warning: {LONG}\n" in capsys.readouterr().out


def test_a_terminal_without_unicode_gets_plain_characters():
    assert screen(print_run, REPORT, encoding="ascii") == AT_80.replace("·", "-")


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("dry_run", "dry run: not one order is sent"),
        ("paper", "paper"),
        ("live", "LIVE: real money"),
    ],
)
def test_the_first_line_says_what_becomes_of_the_orders(mode, said):
    first = screen(print_run, REPORT | {"mode": mode}).splitlines()[0]
    assert first == f"decide · session of 2026-11-23 · {said}"


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("market_closed", "Skipped: the market is closed."),
        ("timers_off", "Skipped: ENABLE_CRON=false: timers do nothing."),
        ("something_new", "Skipped: something_new."),
    ],
)
def test_a_skipped_run_says_why_and_nothing_of_orders(why, said):
    lines = screen(print_run, SKIPPED | {"skipped": why, "session": None}).splitlines()
    assert lines == ["decide · paper", said]


def test_what_there_is_none_of_is_said():
    report = REPORT | {
        "orders": [],
        "decisions": [],
        "warnings": [],
        "regime": dict.fromkeys(("label", "p_high_volatility", "exposure_scale")),
    }
    assert screen(print_run, report).splitlines()[1:] == [
        "Regime: unknown.",
        "No orders.",
        "Looked at 0 symbols.",
    ]


def test_regime_reads_like_this():
    report = {
        name: REPORT[name]
        for name in ("run_id", "command", "mode", "asof", "session", "market_open", "regime")
    } | {"refitted": True, "skipped": None, "warnings": ["odd"]}
    assert screen(print_regime, report).splitlines() == [
        "For the session of 2026-11-23. The model was fitted anew.",
        "Regime: low volatility (12% likely to be high), entries at 96% of their size.",
        "Warning: odd",
    ]
    assert "fitted" not in screen(print_regime, report | {"refitted": False})
    skipped = screen(print_regime, report | {"skipped": "timers_off", "warnings": []})
    assert skipped == "Skipped: ENABLE_CRON=false: timers do nothing.\n"


def halts(*reasons, lifted=0):
    return {"halts": [{"reason": reason} for reason in reasons], "lifted": lifted}


def test_halt_says_every_reason_and_how_to_end_it():
    assert screen(print_halt, halts("holiday", "daily_loss")).splitlines() == [
        "Entries are halted: holiday; the session's loss has reached its limit.",
        "Exits and protection go on. To end it: swingtrader resume",
    ]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (halts(), "Nothing was halted."),
        (halts(lifted=2), "Entries are allowed again."),
        (
            halts("store_rebuilt", lifted=1),
            (
                "No entries until the session ends: the state was lost and is rebuilt from "
                "the broker."
            ),
        ),
    ],
)
def test_resume_says_what_is_still_in_force(told, said):
    assert " ".join(screen(print_resume, told).split()) == said


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_hostile_text_is_text(terminal, encoding):
    report = REPORT | {
        "orders": [order(HOSTILE, status=HOSTILE, reason=HOSTILE, type=HOSTILE)],
        "decisions": left(HOSTILE),
        "warnings": [HOSTILE],
    }
    text = screen(print_run, report, 300, encoding, terminal=terminal)
    text += screen(print_halt, halts(HOSTILE), 300, encoding, terminal=terminal)
    assert not set(text) & {"\x1b", "\x07", "\r"}
    assert " ".join(text.split()).count(SHOWN) >= 3
    assert text.isascii() or encoding == "utf-8"


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.text(max_size=30), st.text(max_size=120))
def test_no_text_from_outside_breaks_the_screen(name, sentence):
    report = REPORT | {
        "orders": [order(name, status=name)],
        "decisions": left(name),
        "warnings": [sentence],
    }
    for width in (80, 100):
        lines = screen(print_run, report, width).splitlines()
        assert max(len(line) for line in lines) <= width
        assert all(letter.isprintable() for line in lines for letter in line)
