"""A run of `decide` or `risk-check` on a terminal: what was done, what was left, and why.

Plain text in at most 100 columns. What comes from outside is shown as text, never as markup.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import Console

MODES = {
    "dry_run": "DRY RUN, nothing is sent",
    "paper": "paper",
    "live": "LIVE, real money",
}
SKIPS = {
    "market_closed": "the market is closed",
    "timers_off": "ENABLE_CRON=false: timers do nothing",
}


def print_run(report: Mapping[str, Any], console: Console) -> None:
    """Print one report."""
    console.print(Text(_headline(report)))
    if report["skipped"] is not None:
        console.print(Text(f"Skipped: {SKIPS.get(report['skipped'], report['skipped'])}."))
    else:
        console.print(Text(_regime(report["regime"])))
        _print_orders(report["orders"], console)
        console.print(Text(_looked_at(report["decisions"])))
    for warning in report["warnings"]:
        console.print(Text(f"Warning: {warning}"))


def regime_line(report: Mapping[str, Any]) -> str:
    """One line on the regime."""
    fitted = "; the model was fitted anew" if report.get("refitted") else ""
    return f"{_regime(report['regime'])} For the session of {report['session']}{fitted}."


def halt_lines(told: Mapping[str, Any]) -> str:
    """What `halt` says."""
    reasons = ", ".join(halt["reason"] for halt in told["halts"])
    return f"Entries are halted ({reasons}). Exits and protection go on; end it with: resume"


def resume_line(told: Mapping[str, Any]) -> str:
    """What `resume` says."""
    left = ", ".join(halt["reason"] for halt in told["halts"])
    if left:
        return f"No entries until the session ends: {left}."
    return "Entries are allowed again." if told["lifted"] else "Nothing was halted."


def _headline(report: Mapping[str, Any]) -> str:
    mode = MODES.get(report["mode"], report["mode"])
    session = report["session"] or "no session"
    return f"{report['command']}  {session}  ({mode})"


def _regime(regime: Mapping[str, Any]) -> str:
    if regime["label"] is None:
        return "Regime: unknown."
    return (
        f"Regime: {regime['label'].replace('_', ' ')}, "
        f"high volatility {regime['p_high_volatility']:.0%} likely, "
        f"entries at {regime['exposure_scale']:.0%} of their size."
    )


def _print_orders(orders: Iterable[Mapping[str, Any]], console: Console) -> None:
    rows = list(orders)
    if not rows:
        console.print(Text("No orders."))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("Order", "Symbol", "Shares", "Type", "Limit", "Reason", "Status"):
        right = heading in {"Shares", "Limit"}
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    for row in rows:
        price = "" if row["limit_price"] is None else f"{row['limit_price']:,.2f}"
        what = row["purpose"] if row["purpose"] == "protection" else row["side"]
        cells = (
            what, row["symbol"], f"{row['qty']:g}", row["type"], price, row["reason"],
            row["status"],
        )  # fmt: skip
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)


def _looked_at(decisions: Iterable[Mapping[str, Any]]) -> str:
    rows = list(decisions)
    left = Counter(row["reason"] for row in rows if row["action"] == "hold")
    parts = ", ".join(f"{reason} {count}" for reason, count in left.most_common())
    return f"Looked at {len(rows)} symbols. Left alone: {parts or 'none'}."
