"""What is installed as a table, and a model's validation in a few words.

Of what a manifest has to say only the figures that judge are put into words; ``--json`` has them
all. What comes from files is shown as text, never as markup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swingtrader.reports.screen_text import UNKNOWN, WIDEST, literal, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console, RenderableType

_WORDS = (
    (("rank_ic", "rank IC", 3, True), ("rank_ic_t", "t", 1, True)),
    (("log_likelihood", "log likelihood", 2, True),),
    (("net_sharpe", "net Sharpe", 2, True),),
    (("excess_t", "no weight: t over holding", 1, True),),  # agents that were not compared
    (("agreement", "agreement", 3, False),),
)
"""Figures that judge: key, what to call it, decimals, whether a plus is shown.

They come in groups; the first group of which a model has any figure says enough.
"""

_HEADINGS = ("Model", "Version", "State", "Age", "Trained on", "Validation", "MB", "Files")
_RIGHT = frozenset({"Age", "MB"})


def validation_words(validation: Mapping[str, float]) -> str:
    """Say in a few words what a model was judged by, such as ``rank IC +0.049, t +2.1``."""
    for group in _WORDS:
        told = [
            f"{name} {number(validation[key], digits, signed=signed)}"
            for key, name, digits, signed in group
            if key in validation
        ]
        if told:
            return ", ".join(told)
    return UNKNOWN


def print_models(report: Mapping[str, Any], console: Console) -> None:
    """Print the object of ``models list --json``.

    Parameters
    ----------
    report : mapping
    console : Console
        Its width and encoding decide the shape; no more than 100 columns are used.
    """
    from rich.console import Group  # noqa: PLC0415 - words are wanted where nothing is shown
    from rich.table import Table  # noqa: PLC0415 - as above

    encoding = console.encoding
    parts: list[RenderableType] = []
    if report["models"]:
        table = Table.grid(padding=(0, 1), pad_edge=False)
        for heading in _HEADINGS:
            table.add_column(
                justify="right" if heading in _RIGHT else "left",
                overflow="fold",
                no_wrap=heading == "Version",  # to be copied into a command line
            )
        table.add_row(*(literal(heading, encoding, "dim") for heading in _HEADINGS))
        for row in report["models"]:
            table.add_row(*(literal(cell, encoding) for cell in _cells(row)))
        parts.append(table)
    else:
        parts.append(literal(f"No model is installed in {report['path']}.", encoding))
    # What is wrong with a version that should serve stands among the warnings.
    damaged = [
        f"{row['family']} {row['version']}: {row['damage']}"
        for row in report["models"]
        if row["damage"] is not None and row["state"] != "promoted"
    ]
    parts += [literal(f"- {line}", encoding) for line in (*report["warnings"], *damaged)]
    console.print(Group(*parts), width=min(console.width, WIDEST), highlight=False)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    age, trained_on = row["age_days"], row["training_sessions"]
    return (
        row["family"],
        row["version"],
        row["state"],
        UNKNOWN if age is None else f"{number(age, 1)} days",
        (row["source"] or UNKNOWN) if trained_on is None else " to ".join(trained_on),
        validation_words(row["validation"]),
        number(row["size_mb"], 1),
        "intact" if row["damage"] is None else "damaged",
    )
