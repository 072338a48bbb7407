"""What the doctor found, as values and on a terminal: one line a check, and what to do.

Kept in the order of the checks, which never changes, so that a person knows where to look. What
comes from outside is shown as text, never as markup, and no colour says anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from swingtrader.reports.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console


class State(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """Worth knowing, or not known; trading goes on."""
    PROBLEM = "problem"
    """Something does not work until somebody acts."""


@dataclass(frozen=True)
class Finding:
    """What one check came to.

    Attributes
    ----------
    name : str
        Of the check.
    what : str
        What was found, without a full stop.
    remedy : str or None
        What to do.
    fixed : bool
        Whether this visit mended something.
    """

    name: str
    state: State
    what: str
    remedy: str | None = None
    fixed: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return one entry of the findings that ``--json`` prints."""
        return {
            "name": self.name,
            "state": str(self.state),
            "what": self.what,
            "remedy": self.remedy,
            "fixed": self.fixed,
        }


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """Print the findings and how many are bad.

    Parameters
    ----------
    findings : sequence of Finding
        In the order in which they are shown.
    console : Console
        Its width and encoding decide the shape; no more than 100 columns are used.
    """
    from rich.table import Table  # noqa: PLC0415 - the values are read where nothing is shown

    from swingtrader.reports.screen_text import WIDEST, literal  # noqa: PLC0415 - as above

    encoding = console.encoding
    table = Table.grid(padding=(0, 2), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        style = "" if finding.state is State.OK else "bold"
        cells = (str(finding.state), finding.name, finding.what)
        table.add_row(*(literal(cell, encoding, style) for cell in cells))
        if finding.remedy is not None:
            table.add_row("", "", literal(f"To do: {finding.remedy}", encoding))
    width = min(console.width, WIDEST)
    console.print(table, width=width, highlight=False)
    console.print()
    console.print(literal(_summary(findings), encoding), width=width, highlight=False)


def _summary(findings: Sequence[Finding]) -> str:
    states = [finding.state for finding in findings]
    problems, warnings = states.count(State.PROBLEM), states.count(State.WARNING)
    found = [
        counted(count, noun)
        for count, noun in ((problems, "problem"), (warnings, "warning"))
        if count
    ]
    mended = [finding.name for finding in findings if finding.fixed]
    sentences = [" and ".join(found) or "All is well"]
    if mended:
        sentences.append(f"Mended: {', '.join(mended)}")
    return " ".join(f"{sentence}." for sentence in sentences)
