"""A retraining on a terminal: what was trained, whether it serves, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swingtrader.reports.run_screen import say, skip_sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console


def print_retrain(report: Mapping[str, Any], console: Console) -> None:
    """Print the object of ``--json``."""
    if report["skipped"] is not None:
        say(f"Skipped: {skip_sentence(report['skipped'])}.", console)
        return
    say(f"Trained for the session of {report['session']}.", console)
    for stage in report["stages"]:
        say(f"{stage['family']} {stage['version']} {_outcome(stage, report)}", console)
        figures = ", ".join(f"{name} {value:.4g}" for name, value in stage["figures"].items())
        if figures:
            say(f"  {figures}", console)
    for warning in report["warnings"]:
        say(f"Warning: {warning}", console)


def _outcome(stage: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    if report["dry_run"]:
        return f"was only tried: {stage['verdict']}"
    serves = "serves now" if stage["promoted"] else "does not serve"
    return f"{serves}: {stage['verdict']}"
