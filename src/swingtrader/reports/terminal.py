"""A backtest on one terminal screen.

Choices: at most 100 columns, and 80 are enough; every character has a plain stand-in for a
terminal that does not speak UTF-8; bold and dim set headings apart, colour says nothing. What
comes from data is shown as text: never as markup, never as a control sequence.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from swingtrader.core.performance import drawdowns
from swingtrader.reports.screen_text import MINUS, WIDEST
from swingtrader.reports.wording import (
    chance_sentence,
    counted,
    dollars,
    dsr_sentence,
    equity_curve,
    hit_and_payoff,
    number,
    percent,
    probability,
    rank_ic_measured,
    signal_worth,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console, RenderableType

    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.result import BacktestResult

SIDE_BY_SIDE = 96
"""Columns from which the figures stand beside the benchmarks rather than below them."""

_BLOCKS = " ▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = " .:#"
_TIMES = "\N{MULTIPLICATION SIGN}"
_ASCII = str.maketrans({MINUS: "-", _TIMES: "x", "·": "-", "▏": "|"})


def sparkline(values: FloatArray, width: int, height: int, blocks: str = _BLOCKS) -> list[str]:
    """Columns that rise from the lowest value to the highest.

    Parameters
    ----------
    values : ndarray of shape (T,), at least one, finite
        Where several share a column the lowest shows, so that no fall is hidden.
    width, height : int
        Characters.
    blocks : str
        Characters from empty to full.

    Returns
    -------
    list of str
        `height` lines of `width` characters, the top one first. Equal values give a flat line
        at the bottom.
    """
    starts = np.arange(width) * len(values) // width
    ends = np.maximum(np.append(starts[1:], len(values)), starts + 1)
    lowest = np.array([values[a:b].min() for a, b in zip(starts, ends, strict=True)])
    span = float(values.max() - values.min()) or 1.0
    steps = len(blocks) - 1
    levels = 1 + np.rint((lowest - values.min()) / span * (height * steps - 1)).astype(int)
    return [
        "".join(blocks[level] for level in np.clip(levels - row * steps, 0, steps))
        for row in reversed(range(height))
    ]


def print_summary(result: BacktestResult, console: Console) -> None:
    """Print the figures, the benchmarks, two sparklines, the caveats and what to think of it.

    Parameters
    ----------
    result : BacktestResult
        At least one session.
    console : Console
        Its width and encoding decide the shape; no more than 100 columns are used.
    """
    width = min(console.width, WIDEST)
    encoding = console.encoding
    parts: list[RenderableType] = [*_heading(result, encoding), ""]
    comparison = _comparison(result.metrics, encoding)
    if width >= SIDE_BY_SIDE:
        left_width = 57
        body = Table.grid(padding=(0, 3), pad_edge=False)
        body.add_column(width=left_width)
        body.add_column()
        curves = _curves(result, left_width, encoding, equity_lines=5)
        body.add_row(Group(comparison, "", curves), _figures_table(result, 1, encoding))
        parts.append(body)
    else:
        figures = _figures_table(result, 2 if width >= 78 else 1, encoding)
        curves = _curves(result, width, encoding, equity_lines=3)
        parts += [curves, "", comparison, "", figures]  # 24 lines end with the figures
    parts += ["", *(_text(line, encoding) for line in _signal_lines(result.metrics))]
    parts += ["", _text(dsr_sentence(result.metrics), encoding, "bold")]
    parts += _caveats(result.caveats, encoding)
    console.print(Group(*parts), width=width, highlight=False)


def _text(content: str, encoding: str, style: str = "") -> Text:
    """`content` as literal text: what cannot be printed is replaced, never obeyed."""
    shown = "".join(c if c.isprintable() else " " for c in content)
    if not _speaks_unicode(encoding):
        shown = shown.translate(_ASCII).encode(encoding, "replace").decode(encoding)
    return Text(shown, style=style)


def _speaks_unicode(encoding: str) -> bool:
    return encoding.lower().startswith("utf")


def _heading(result: BacktestResult, encoding: str) -> list[RenderableType]:
    metrics = result.metrics
    span = (
        f"{result.sessions[0]} to {result.sessions[-1]}"
        f" · {counted(metrics['sessions'], 'session')}"
        f" · {counted(metrics['n_trades'], 'round trip')} · net of costs"
    )
    return [_text(result.title, encoding, "bold"), _text(span, encoding, "dim")]


def _comparison(metrics: Mapping[str, Any], encoding: str) -> Table:
    """Strategy, benchmark and equal-weighted universe beside each other."""
    three = (metrics, metrics["benchmark"], metrics["equal_weight"])
    table = Table.grid(padding=(0, 2), pad_edge=False)
    table.add_column(width=14)
    for _ in three:
        table.add_column(justify="right", min_width=10, overflow="fold")
    names = ("Strategy", str(metrics["benchmark"]["name"])[:14], "Equal weight")
    table.add_row("", *(_text(name, encoding, "bold") for name in names))
    for label, texts in (
        ("Total return", [percent(m["total_return"], signed=True) for m in three]),
        ("Sharpe ratio", [number(m["sharpe"]) for m in three]),
        ("Max drawdown", [percent(m["max_drawdown"]) for m in three]),
    ):
        table.add_row(label, *(_text(text, encoding) for text in texts))
    return table


def _figures_table(result: BacktestResult, columns: int, encoding: str) -> Table:
    """Label and value pairs, filled down the columns."""
    pairs = _figures(result)
    rows = math.ceil(len(pairs) / columns)
    table = Table.grid(padding=(0, 2), pad_edge=False)
    for _ in range(columns):
        table.add_column(min_width=20, overflow="fold")
        table.add_column(justify="right", min_width=15, overflow="fold")
    for row in range(rows):
        table.add_row(*(_text(cell, encoding) for pair in pairs[row::rows] for cell in pair))
    return table


def _curves(result: BacktestResult, width: int, encoding: str, *, equity_lines: int) -> Table:
    """Equity and drawdown as sparklines, their ends named at the left."""
    blocks = _BLOCKS if _speaks_unicode(encoding) else _ASCII_BLOCKS
    equity = equity_curve(result, result.equity_usd)
    table = Table.grid()
    table.add_column(width=10, justify="right", overflow="fold")
    table.add_column(overflow="crop", no_wrap=True)
    for name, values, show, height in (
        ("Equity", equity, dollars, equity_lines),
        ("Drawdown", drawdowns(equity), percent, 3),
    ):
        gutter = [show(float(values.max())), *[""] * (height - 2), show(float(values.min()))]
        gutter[height // 2] = name
        lines = sparkline(values, max(width - 12, 8), height, blocks)
        if table.row_count:
            table.add_row()
        for label, line in zip(gutter, lines, strict=True):
            table.add_row(_text(label, encoding, "dim"), _text(f" ▏{line}", encoding))
    return table


def _caveats(caveats: Sequence[str], encoding: str) -> list[RenderableType]:
    if not caveats:
        return []
    table = Table.grid(padding=(0, 1), pad_edge=False)
    for caveat in caveats:
        table.add_row("-", _text(caveat, encoding))
    return ["", _text("Caveats", encoding, "bold"), table]


def _signal_lines(metrics: Mapping[str, Any]) -> list[str]:
    chance = chance_sentence(metrics)
    ics = ", ".join(
        f"{signal} {number(figures['ic_mean'], 3, signed=True)} ({number(figures['ic_t'], 1)})"
        for signal, figures in metrics["signal_worth"].items()
        if figures["ic_sessions"]
    )
    return [
        _worth_sentence(metrics),
        *([chance] if chance else []),
        f"Rank IC of each signal (t): {ics or 'not measured'}",
    ]


def _worth_sentence(metrics: Mapping[str, Any]) -> str:
    absent: Sequence[str] = metrics["absent_signals"]
    present = ", ".join(
        f"{signal} {number(worth[0], signed=True)}"
        for signal, worth in signal_worth(metrics).items()
        if signal not in absent
    )
    missing = f"; never present: {', '.join(absent)}" if absent else ""
    return f"Signal worth in Sharpe (above 0: it helped): {present or 'none'}{missing}"


def _figures(result: BacktestResult) -> list[tuple[str, str]]:
    metrics = result.metrics
    low, high = metrics["sharpe_ci95"]
    hit_rate, payoff = hit_and_payoff(metrics)
    ic, ic_t = metrics["rank_ic_mean"], metrics["rank_ic_t"]
    return [
        ("Final equity", dollars(float(result.equity_usd[-1]))),
        ("Sharpe, 95% interval", f"{number(low)} to {number(high)}"),
        ("PSR", probability(metrics["psr"])),
        (
            f"DSR of {counted(metrics['trials'], 'trial')}",
            probability(metrics["dsr"]),
        ),
        ("CAGR", percent(metrics["cagr"], signed=True)),
        ("Volatility a year", percent(metrics["volatility_annual"])),
        ("Mean exposure", percent(metrics["exposure_mean"])),
        ("Turnover a year", f"{number(metrics['turnover_annual'], 1)}{_TIMES}"),
        ("Fees", dollars(metrics["costs_usd"])),
        ("Hit rate", hit_rate),
        ("Payoff", payoff),
        (
            "Rank IC (t)",
            f"{number(ic, 3, signed=True)} ({number(ic_t, 1)})"
            if rank_ic_measured(result)
            else "not measured",
        ),
        (
            "Alpha a year (t)",
            f"{percent(metrics['alpha_annual'], signed=True)} ({number(metrics['alpha_t'], 1)})",
        ),
        ("Beta (t)", f"{number(metrics['beta'])} ({number(metrics['beta_t'], 1)})"),
    ]
