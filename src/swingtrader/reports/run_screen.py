"""A run of `decide` or `risk-check` on a terminal: what was done, what was left, and why.

On a terminal in at most 100 columns, what is too long continued under its own beginning.
Elsewhere, as in the journal, one fact is one line however long, so that `grep` finds it whole.
What comes from outside is shown as text, never as markup.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.table import Table

from swingtrader.reports.reason_sentences import halt_sentence
from swingtrader.reports.screen_text import DOT, WIDEST, literal, number, percent, shares

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import Console

MODES = {
    "dry_run": "dry run: not one order is sent",
    "paper": "paper",
    "live": "LIVE: real money",
}
SKIPS = {
    "market_closed": "the market is closed",
    "timers_off": "ENABLE_CRON=false: timers do nothing",
}

INDENT = "  "
TOGETHER = "\N{NO-BREAK SPACE}"
"""Shown as a space at which no line ends."""

UNBOUNDED = 10_000
"""Columns of a line that is not for a terminal."""


def print_run(report: Mapping[str, Any], console: Console) -> None:
    """Print the object of ``--json``.

    Parameters
    ----------
    report : mapping
    console : Console
        Its width counts only where it is a terminal.
    """
    say(_headline(report), console)
    if report["skipped"] is None:
        say(_regime(report["regime"]), console)
        _print_orders(report["orders"], console)
        for line in _looked_at(report["decisions"]):
            say(line, console)
    else:
        say(f"Skipped: {skip_sentence(report['skipped'])}.", console)
    for warning in report["warnings"]:
        say(f"Warning: {warning}", console)


def print_regime(report: Mapping[str, Any], console: Console) -> None:
    """Print the object of ``regime --json``."""
    if report["skipped"] is not None:
        say(f"Skipped: {skip_sentence(report['skipped'])}.", console)
    else:
        fitted = " The model was fitted anew." if report["refitted"] else ""
        say(f"For the session of {report['session']}.{fitted}", console)
        say(_regime(report["regime"]), console)
    for warning in report["warnings"]:
        say(f"Warning: {warning}", console)


def print_halt(told: Mapping[str, Any], console: Console) -> None:
    """Print what `halt` did."""
    say(f"Entries are halted: {_reasons(told)}.", console)
    say("Exits and protection go on. To end it: swingtrader resume", console)


def print_resume(told: Mapping[str, Any], console: Console) -> None:
    """Print what `resume` did."""
    if told["halts"]:
        say(f"No entries until the session ends: {_reasons(told)}.", console)
    else:
        say("Entries are allowed again." if told["lifted"] else "Nothing was halted.", console)


def skip_sentence(why: str) -> str:
    """Why a run had nothing to do; a code of another version is shown as it is."""
    return SKIPS.get(why, why)


def say(line: str, console: Console) -> None:
    """Print one fact: wrapped on a terminal, one line elsewhere."""
    for part in textwrap.wrap(
        line, _width(console), subsequent_indent=INDENT, break_on_hyphens=False
    ):
        console.print(literal(part, console.encoding), soft_wrap=True)


def _width(console: Console) -> int:
    return min(console.width, WIDEST) if console.is_terminal else UNBOUNDED


def _headline(report: Mapping[str, Any]) -> str:
    session = "" if report["session"] is None else f" {DOT} session of {report['session']}"
    return f"{report['command']}{session} {DOT} {MODES.get(report['mode'], report['mode'])}"


def _regime(regime: Mapping[str, Any]) -> str:
    if regime["label"] is None:
        return "Regime: unknown."
    return (
        f"Regime: {regime['label'].replace('_', ' ')} "
        f"({percent(regime['p_high_volatility'], 0)} likely to be high), "
        f"entries at {percent(regime['exposure_scale'], 0)} of their size."
    )


def _print_orders(orders: Iterable[Mapping[str, Any]], console: Console) -> None:
    rows = list(orders)
    if not rows:
        say("No orders.", console)
        return
    table = Table.grid(padding=(0, 2), pad_edge=False)
    headings = ("Order", "Symbol", "Shares", "Type", "Limit", "Reason", "Status")
    for heading in headings:
        right = heading in {"Shares", "Limit"}
        table.add_column(justify="right" if right else "left", overflow="fold")
    table.add_row(*(literal(heading, console.encoding, "dim") for heading in headings))
    for row in rows:
        cells = (
            row["purpose"] if row["purpose"] == "protection" else row["side"],
            row["symbol"],
            shares(row["qty"]),
            row["type"],
            _price(row["limit_price"]),
            row["reason"],
            row["status"],
        )
        table.add_row(*(literal(cell, console.encoding) for cell in cells))
    console.print(table, width=_width(console), crop=False)


def _price(limit_price: float | None) -> str:
    if limit_price is None:
        return ""
    return number(limit_price, 2 if limit_price >= 1 else 4)  # as exchanges quote


def _looked_at(decisions: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    rows = list(decisions)
    left = Counter(row["reason"] for row in rows if row["action"] == "hold")
    yield f"Looked at {len(rows)} {'symbol' if len(rows) == 1 else 'symbols'}."
    if left:
        yield "Left alone: " + ", ".join(
            f"{reason}{TOGETHER}{n}" for reason, n in left.most_common()
        )


def _reasons(told: Mapping[str, Any]) -> str:
    return "; ".join(halt_sentence(halt["reason"]) for halt in told["halts"])
