"""The last decision on a symbol, on a terminal: what each signal said, the vote, the rule.

At most 100 columns, without colour; everything from outside is text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table

from swingtrader.reports.screen_text import (
    DOT,
    UNKNOWN,
    WIDEST,
    instant,
    literal,
    new_york_time,
    number,
    percent,
    shares,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console, RenderableType


def print_why(
    report: Mapping[str, Any],
    console: Console,
    *,
    thresholds: tuple[float, float] | None = None,
) -> None:
    """Print a `why_report`.

    Parameters
    ----------
    report : mapping
        The object of ``why --json``.
    console : Console
    thresholds : (buy_at, sell_at), optional
        Of the vote, as the configuration has them now; the decision itself does not keep them.
    """
    encoding = console.encoding
    at = instant(report["asof"])
    when = UNKNOWN if at is None else f"{new_york_time(at)} New York"
    lines: list[RenderableType] = [
        literal(f"{report['symbol']} {DOT} {report['action']}", encoding, "bold"),
        literal(f"by {report['command']} {DOT} {when} {DOT} run {report['run_id']}", encoding),
        "",
        _signals(report, encoding),
        "",
        literal(_vote(report["score"], thresholds), encoding),
        literal(f"{report['reason']}: {report['explanation']}", encoding),
    ]
    if report["held"] is not None:
        lines.append(literal(_held(report["held"]), encoding))
    console.print(Group(*lines), width=min(console.width, WIDEST), highlight=False)


def _signals(report: Mapping[str, Any], encoding: str) -> Table:
    table = Table.grid(padding=(0, 3), pad_edge=False)
    table.add_column(overflow="fold")
    for _ in range(3):
        table.add_column(justify="right", overflow="fold")
    headings = ("Signal", "Weight", "Value", "Contribution")
    table.add_row(*(literal(heading, encoding, "dim") for heading in headings))
    for name, value in report["signals"].items():
        cells = (
            name,
            number(report["weights"][name]),
            "absent" if value is None else number(value, 3, signed=True),
            "" if value is None else number(report["contributions"][name], 3, signed=True),
        )
        table.add_row(*(literal(cell, encoding) for cell in cells))
    return table


def _vote(score: float | None, thresholds: tuple[float, float] | None) -> str:
    if score is None:
        return "No vote was taken."
    vote = f"Vote {number(score, 3, signed=True)}"
    if thresholds is None:
        return vote
    buy_at, sell_at = (number(threshold, 3, signed=True) for threshold in thresholds)
    return f"{vote}; bought from {buy_at} up, sold from {sell_at} down"


def _held(position: Mapping[str, Any]) -> str:
    sessions = (
        "1 session" if position["age_sessions"] == 1 else f"{position['age_sessions']} sessions"
    )
    return (
        f"Held: {shares(position['qty'])} shares since {position['entry_session']} ({sessions}), "
        f"bought at {number(position['entry_price'])}, last seen at {number(position['price'])} "
        f"({percent(position['unrealized_return'], signed=True)})"
    )
