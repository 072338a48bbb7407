"""The quality of the cached bars as a value, and as a table of at most 100 columns.

Only symbols with findings are shown, the worst first. Bold sets headings apart and colour says
nothing, so a file gets the same text. What comes from data is shown as text, never as markup.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swingtrader.reports.screen_text import WIDEST, literal
from swingtrader.reports.wording import counted

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from rich.console import Console, RenderableType

SHOWN = 8
"""Symbols named beside one finding; ``--json`` names all."""

KINDS = {
    "split": (
        "Suspected unadjusted splits",
        "move the file away and pull anew; if it stays, take the symbol out of the universe.",
    ),
    "missing": (
        "Missing",
        "pull; if it stays, the feed does not know the symbol: mend the universe.",
    ),
    "stale": (
        "Stale",
        "pull; if it stays, the symbol has stopped trading: take it out of the universe.",
    ),
    "gaps": (
        "Gaps",
        "move the file away and pull anew, unless trading was suspended then.",
    ),
    "old_split": (
        "Suspected unadjusted splits, long ago",
        "nothing for trading; a backtest over that day is wrong.",
    ),
    "short": (
        "Short histories",
        "nothing; such a stock is ranked by what the others taught.",
    ),
    "zero_volume": (
        "Sessions without volume",
        "nothing; what trades too little is not bought.",
    ),
}
"""Heading and what a person should do, by kind of finding, the worst first."""


@dataclass(frozen=True)
class Finding:
    """Something odd about one symbol; `kind` is one of `KINDS`."""

    kind: str
    what: str


@dataclass(frozen=True)
class SymbolFindings:
    """What is to say of one symbol.

    Attributes
    ----------
    first, last : date or None
        Sessions of its first and last bar.
    bars : int
    findings : tuple of Finding
        Empty where all is well.
    """

    symbol: str
    first: date | None
    last: date | None
    bars: int
    findings: tuple[Finding, ...]

    def has(self, kind: str) -> bool:
        """Whether there is a finding of this kind."""
        return any(finding.kind == kind for finding in self.findings)


@dataclass(frozen=True)
class DataCheck:
    """Whether the cache may be traded on.

    Attributes
    ----------
    path : Path
        The bars file.
    session : date
        The last completed session, which every symbol should have.
    symbols : int
        How many were looked at.
    rows : tuple of SymbolFindings
        One each, in their order.
    reasons : tuple of str
        Why it must not be traded on; empty where it may.
    remarks : tuple of str
        What is odd about the file as a whole.
    """

    path: Path
    session: date
    symbols: int
    rows: tuple[SymbolFindings, ...]
    reasons: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    @property
    def tradeable(self) -> bool:
        """Whether there is no reason against it."""
        return not self.reasons

    @property
    def findings(self) -> tuple[tuple[SymbolFindings, Finding], ...]:
        """Every finding with its symbol, the worst kind first."""
        found = [(row, finding) for row in self.rows for finding in row.findings]
        order = list(KINDS)
        return tuple(sorted(found, key=lambda each: order.index(each[1].kind)))

    def as_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        return {
            "command": "data check",
            "path": str(self.path),
            "session": self.session.isoformat(),
            "symbols": self.symbols,
            "tradeable": self.tradeable,
            "reasons": list(self.reasons),
            "findings": [
                {
                    "symbol": row.symbol,
                    "kind": finding.kind,
                    "what": finding.what,
                    "first": None if row.first is None else row.first.isoformat(),
                    "last": None if row.last is None else row.last.isoformat(),
                }
                for row, finding in self.findings
            ],
            "warnings": list(self.remarks),
        }


def print_data_check(checked: DataCheck, console: Console) -> None:
    """Print the findings, the remarks and the verdict.

    Parameters
    ----------
    checked : DataCheck
    console : Console
        Its width and encoding decide the shape; no more than 100 columns are used.
    """
    from rich.console import Group  # noqa: PLC0415 - the values are read where nothing is shown
    from rich.table import Table  # noqa: PLC0415 - as above

    encoding = console.encoding
    parts: list[RenderableType] = []
    for kind, (heading, remedy) in KINDS.items():
        symbols: dict[str, list[str]] = {}
        for row, finding in checked.findings:
            if finding.kind == kind:
                symbols.setdefault(finding.what, []).append(row.symbol)
        if symbols:
            table = Table.grid(padding=(0, 2), pad_edge=False)
            for what, named in symbols.items():
                table.add_row("", literal(_listed(named), encoding), literal(what, encoding))
            parts += [
                literal(heading, encoding, "bold"),
                table,
                literal(f"To do: {remedy}", encoding),
                "",
            ]
    for remark in checked.remarks:
        parts += [literal(f"Of the file: {remark}", encoding), ""]
    well = sum(not row.findings for row in checked.rows)
    state = (
        f"{counted(checked.symbols, 'symbol')} until {checked.session}, {well} without findings"
    )
    parts.append(literal(f"{state}.", encoding))
    if checked.tradeable:
        parts.append(literal("The data may be traded on.", encoding, "bold"))
    else:
        parts.append(literal("The data must not be traded on:", encoding, "bold"))
        parts += [literal(f"- {reason}", encoding) for reason in checked.reasons]
    console.print(Group(*parts), width=min(console.width, WIDEST), highlight=False)


def _listed(symbols: list[str]) -> str:
    more = len(symbols) - SHOWN
    return ", ".join(symbols[:SHOWN]) + (f" and {more} more" if more > 0 else "")
