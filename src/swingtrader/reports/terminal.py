"""A backtest on one terminal screen, and the words and figures that the page shares with it.

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

from swingtrader.core.performance import PAYOFF_CAP, drawdowns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console, RenderableType

    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.result import BacktestResult

WIDEST = 100
SIDE_BY_SIDE = 96
"""Columns from which the figures stand beside the benchmarks rather than below them."""

EVIDENCE_DSR = 0.95
"""Deflated Sharpe ratio from which one may speak of evidence (Bailey & Lopez de Prado 2014)."""

UNKNOWN = "n/a"

_BLOCKS = " ▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = " .:#"
_MINUS = "\N{MINUS SIGN}"
_TIMES = "\N{MULTIPLICATION SIGN}"
_ASCII = str.maketrans({_MINUS: "-", _TIMES: "x", "·": "-", "▏": "|"})


def percent(fraction: float, digits: int = 1, *, signed: bool = False) -> str:
    """`fraction` as a percentage with a true minus; `UNKNOWN` unless finite."""
    return number(100 * fraction, digits, signed=signed) + ("%" if math.isfinite(fraction) else "")


def number(value: float, digits: int = 2, *, signed: bool = False) -> str:
    """`value` with thousands separators and a true minus; `UNKNOWN` unless finite."""
    if not math.isfinite(value):
        return UNKNOWN
    rounded = round(value, digits) + 0.0  # no "-0.0"
    return f"{rounded:{'+' if signed and rounded else ''},.{digits}f}".replace("-", _MINUS)


def counted(count: int, noun: str) -> str:
    """`count` and `noun`, the noun with an s unless the count is 1."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def dollars(value: float, digits: int = 0, *, signed: bool = False) -> str:
    """`value` in US dollars, the sign before the currency; `UNKNOWN` unless finite."""
    text = number(value, digits, signed=signed)
    if text == UNKNOWN:
        return text
    amount = text.lstrip(f"+{_MINUS}")
    return f"{text.removesuffix(amount)}${amount}"


def starting_cash_usd(result: BacktestResult) -> float:
    """Return what the account began with; the equity at the closes does not say it."""
    return float(result.equity_usd[-1] / (1.0 + result.metrics["total_return"]))


def equity_curve(result: BacktestResult, closes: FloatArray) -> FloatArray:
    """Put the starting cash before `closes` (T,), as measures of a curve (T + 1,) want it."""
    return np.insert(closes, 0, starting_cash_usd(result))


def probability(value: float) -> str:
    """`value` to two digits, rounded down: 0.949 must not look like the 0.95 it misses."""
    return f"{math.floor(100 * value + 1e-9) / 100:.2f}" if math.isfinite(value) else UNKNOWN


def dsr_sentence(metrics: Mapping[str, Any]) -> str:
    """Say in one plain sentence what the deflated Sharpe ratio means for this run."""
    dsr, trials = float(metrics["dsr"]), int(metrics["trials"])
    if metrics["n_trades"] == 0:
        return "No trade was made, so there is no skill to judge."
    if not math.isfinite(dsr):
        return "The DSR could not be measured, so nothing speaks for skill."
    luck = (
        "a single try without any skill"
        if trials == 1
        else f"the luckiest of {trials:,} tries without any skill"
    )
    if dsr >= EVIDENCE_DSR:
        return (
            f"A DSR of {probability(dsr)} is evidence of skill: {luck} would seldom do as well "
            "against the equal-weighted universe, though the caveats still hold."
        )
    return (
        f"A DSR of {probability(dsr)} is no evidence of skill: {luck} could well do the same "
        f"against the equal-weighted universe (evidence begins at {EVIDENCE_DSR})."
    )


def signal_worth(metrics: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Sharpe ratio and total return with each signal minus without it: positive, it helped.

    The sign is the opposite of ``leave_one_out``'s. Signals that never had a view come last,
    the others by falling worth.
    """
    absent = metrics["absent_signals"]
    worth = {
        signal: (0.0 - change["sharpe_change"], 0.0 - change["return_change"])
        for signal, change in metrics["leave_one_out"].items()
    }
    ordered = sorted(worth, key=lambda signal: (signal in absent, -worth[signal][0], signal))
    return {signal: worth[signal] for signal in ordered}


def rank_ic_measured(result: BacktestResult) -> bool:
    """Whether any session's forward return was realised and ranked."""
    return bool(np.isfinite(result.rank_ic).any())


def hit_and_payoff(metrics: Mapping[str, Any]) -> tuple[str, str]:
    """Hit rate and payoff in words where there was no trade, or never a loss."""
    if metrics["n_trades"] == 0:
        return "no trades", "no trades"
    payoff = metrics["payoff"]
    return (
        percent(metrics["hit_rate"]),
        "no losses" if payoff >= PAYOFF_CAP else number(payoff),
    )


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
    parts += ["", _text(_worth_sentence(result.metrics), encoding)]
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
