"""The charts of the report, each a function from arrays to an SVG element for inlining.

All time axes have the same left and right edge, so that charts set under each other line up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from swingtrader.reports.svg import GAIN, INK, LINES, LOSS, MUTED, chart
from swingtrader.reports.wording import dollars, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from swingtrader.core.arrays import FloatArray, SessionArray

_UNSIMPLIFIED_POINTS = 5_000
_WIDE_RANGE = 3.0
_DOTTED = (0, (2, 2))
_HISTOGRAM_BARS = 40
_HISTOGRAM_STEPS = (0.0005, 0.001, 0.002, 0.0025, 0.005, 0.01, 0.02, 0.025, 0.05, 0.1, 0.25)


def _short_ticks() -> FuncFormatter:
    """Tick labels without trailing zeros, a true minus for negative ones."""
    return FuncFormatter(lambda value, _: f"{value:.3g}".replace("-", "\N{MINUS SIGN}"))


@chart("Equity of the strategy and of both benchmarks", 3.6)
def equity_chart(figure: Figure, sessions: SessionArray, curves: Mapping[str, FloatArray]) -> None:
    """Equity at each close; logarithmic where the largest is over three times the smallest.

    Parameters
    ----------
    sessions : ndarray of shape (T,), datetime64[D]
    curves : mapping of name to ndarray of shape (T,), USD
        Finite and positive; at most three: the strategy first, then what it is compared with.
    """
    values = np.stack(list(curves.values()))
    wide = bool(values.max() > _WIDE_RANGE * values.min())
    axes = _time_axes(figure, sessions, f"Equity (USD{', log scale' * wide})")
    if wide:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    _curves(axes, sessions, curves)
    _end_labels(axes, [(c[-1], f"{name}\n{dollars(c[-1])}") for name, c in curves.items()])


@chart("Drawdown of the strategy and of the benchmark", 2.4)
def drawdown_chart(
    figure: Figure, sessions: SessionArray, curves: Mapping[str, FloatArray]
) -> None:
    """Loss from the highest equity so far.

    Parameters
    ----------
    sessions : ndarray of shape (T,), datetime64[D]
    curves : mapping of name to ndarray of shape (T,)
        Fractions, never positive; the strategy first.
    """
    axes = _time_axes(figure, sessions, "Below the peak (%)")
    percents = {name: 100 * curve for name, curve in curves.items()}
    strategy = next(iter(percents.values()))
    axes.fill_between(_days(sessions), strategy, 0, color=LINES[0][0], alpha=0.2, linewidth=0)
    _curves(axes, sessions, percents)
    deepest = min(float(curve.min()) for curve in percents.values())
    axes.set_ylim(min(1.22 * deepest, -1.0), 0)
    axes.yaxis.set_major_formatter(_short_ticks())
    ends = [(c[-1], f"{name}\n{number(c[-1], 1, signed=True)}%") for name, c in percents.items()]
    _end_labels(axes, ends)
    worst = int(strategy.argmin())
    if strategy[worst] < 0:
        place = worst / len(strategy)
        axes.annotate(
            f"{number(strategy[worst], 1, signed=True)}% on {sessions[worst]}",
            (_days(sessions[worst]), strategy[worst]),
            xytext=(0, -4),
            textcoords="offset points",
            ha="left" if place < 0.1 else "right" if place > 0.9 else "center",
            va="top",
            color=LINES[0][0],
        )


@chart("Rolling Sharpe ratio", 2.2)
def rolling_sharpe_chart(figure: Figure, sessions: SessionArray, sharpe: FloatArray) -> None:
    """Sharpe ratio of a moving window.

    Parameters
    ----------
    sessions : ndarray of shape (T,), datetime64[D]
    sharpe : ndarray of shape (T,)
        Annualised; NaN where the window is not full or nothing varied in it.
    """
    axes = _time_axes(figure, sessions, "Sharpe ratio (annualised)")
    axes.axhline(0, color=MUTED)
    _curves(axes, sessions, {"Strategy": sharpe})
    if np.isfinite(sharpe[-1]):
        _end_labels(axes, [(float(sharpe[-1]), f"last\n{number(sharpe[-1], signed=True)}")])


@chart("Gross exposure and probability of high volatility", 3.2)
def exposure_chart(
    figure: Figure,
    sessions: SessionArray,
    gross_exposure: FloatArray,
    p_high_volatility: FloatArray,
) -> None:
    """Share of the equity that was invested, above the regime each decision saw.

    Parameters
    ----------
    sessions : ndarray of shape (T,), datetime64[D]
    gross_exposure : ndarray of shape (T,), fraction of equity
    p_high_volatility : ndarray of shape (T,)
        Filtered probability in [0, 1]; NaN where there was none, which leaves a gap.
    """
    upper, lower = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": (1.8, 1), "hspace": 0.14}
    )
    _time_axis(lower, sessions)
    upper.tick_params(axis="x", bottom=False, labelbottom=False)
    days = _days(sessions)
    for axes, label, values, colour in (
        (upper, "Invested (%)", 100 * gross_exposure, LINES[0][0]),
        (lower, "P(high vol.) (%)", 100 * p_high_volatility, LINES[1][0]),
    ):
        axes.fill_between(days, values, 0, color=colour, alpha=0.3, linewidth=0)
        axes.plot(days, values, color=colour, linewidth=0.8, marker=_marker(sessions))
        axes.set_ylabel(label)
    upper.set_ylim(0, max(100.0, 105 * float(gross_exposure.max())))
    lower.set_ylim(0, 100)
    mean = float(100 * gross_exposure.mean())
    _mean_line(upper, mean, f"mean\n{mean:.1f}%")
    if not np.isfinite(p_high_volatility).any():
        lower.text(0.5, 0.5, "no regime was known", transform=lower.transAxes, ha="center")


@chart("Worth of each signal by leaving it out", 2.3)
def signal_worth_chart(
    figure: Figure, worth: Mapping[str, tuple[float, float]], absent: Sequence[str]
) -> None:
    """Draw what each signal added: the strategy with it minus without, positive if it helped.

    Parameters
    ----------
    worth : mapping of signal to (Sharpe ratio, total return as a fraction)
        With the signal minus without it; drawn from top to bottom in this order.
    absent : sequence of str
        Signals that never had a view; they get a word in place of a bar.
    """
    names = list(worth)
    left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.08})
    figure.subplots_adjust(left=0.13, right=0.985, bottom=0.21)
    for axes, column, scale, digits, unit in (
        (left, 0, 1, 2, ""),
        (right, 1, 100, 1, "%"),
    ):
        axes.grid(visible=False)
        axes.grid(visible=True, axis="x")
        axes.axvline(0, color=MUTED)
        values = [scale * worth[name][column] for name in names]
        for row, (name, value) in enumerate(zip(names, values, strict=True)):
            missing = name in absent
            if not missing:
                axes.barh(row, value, height=0.62, color=GAIN if value >= 0 else LOSS)
            backwards = value < 0 and not missing
            axes.annotate(
                "never present" if missing else f"{number(value, digits, signed=True)}{unit}",
                (0 if missing else value, row),
                xytext=(-4 if backwards else 4, 0),
                textcoords="offset points",
                ha="right" if backwards else "left",
                va="center",
                color=MUTED if missing else INK,
            )
        low, high = min([0.0, *values]), max([0.0, *values])
        room = 0.22 * (high - low or 1.0)  # for the figures at the ends of the bars
        axes.set_xlim(low - (room if low < 0 else room / 5), high + room)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(_short_ticks())
    left.set_yticks(range(len(names)), names)
    left.set_ylim(len(names) - 0.5, -0.5)
    left.set_xlabel("Sharpe ratio, with minus without")
    right.set_xlabel("Total return, with minus without (percentage points)")


@chart("Rank information coefficient by month", 2.2)
def rank_ic_chart(figure: Figure, months: SessionArray, ic: FloatArray, mean: float) -> None:
    """Rank IC of each month as bars, with the mean of the whole run.

    Parameters
    ----------
    months : ndarray of shape (M,), datetime64[M]
    ic : ndarray of shape (M,)
        NaN for a month without a realised forward return.
    mean : float
    """
    axes = _time_axes(figure, np.append(months, months[-1] + 1), "Rank IC (Spearman)")
    axes.bar(_days(months) + 15, ic, width=24, color=_sign_colours(ic))
    axes.axhline(0, color=MUTED)
    _mean_line(axes, mean, f"mean\n{number(mean, 3, signed=True)}")


@chart("Distribution of the trades' returns", 2.6)
def trade_return_chart(figure: Figure, returns: FloatArray) -> None:
    """Histogram of the round trips' net returns; no bar holds both gains and losses.

    Parameters
    ----------
    returns : ndarray of shape (number of trades,), at least one
        Fractions, net of costs.
    """
    axes = figure.subplots()
    figure.subplots_adjust(bottom=0.18, right=0.985)
    edges = _histogram_edges(returns)
    counts, _ = np.histogram(np.clip(returns, edges[0], edges[-1]), edges)
    starts, step = 100 * edges[:-1], 100 * (edges[1] - edges[0])
    axes.bar(starts, counts, width=0.94 * step, align="edge", color=_sign_colours(starts))
    axes.axvline(0, color=MUTED)
    median = float(100 * np.median(returns))
    axes.axvline(median, color=INK, linestyle=_DOTTED)
    axes.set_ylim(0, 1.2 * counts.max())
    backwards = median < 0 and median > 0.8 * starts[0]  # away from 0 and from the edge
    axes.annotate(
        f"median {number(median, signed=True)}%",
        (median, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-5 if backwards else 5, -3),
        textcoords="offset points",
        ha="right" if backwards else "left",
        va="top",
    )
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(_short_ticks())
    axes.set_xlabel(f"Return of a round trip, net (%), in steps of {step:.3g}")
    axes.set_ylabel("Trades")


def _histogram_edges(returns: FloatArray) -> FloatArray:
    """Edges at multiples of a round step, 0 among them, so that signs never share a bar."""
    low, high = min(float(returns.min()), 0.0), max(float(returns.max()), 0.0)
    step = next(
        (step for step in _HISTOGRAM_STEPS if (high - low) / step <= _HISTOGRAM_BARS - 2),
        (high - low) / (_HISTOGRAM_BARS - 2),
    )
    first, last = int(np.floor(low / step)), int(np.floor(high / step)) + 1
    return np.arange(first, last + 1) * step


def _sign_colours(values: FloatArray) -> list[str]:
    return [LOSS if value < 0 else GAIN for value in values]


def _mean_line(axes: Axes, mean: float, text: str) -> None:
    axes.axhline(mean, color=INK, linestyle=_DOTTED)
    _end_labels(axes, [(mean, text)])


def _days(sessions: SessionArray) -> FloatArray:
    """Sessions in matplotlib's unit for dates, days since 1970."""
    return sessions.astype("datetime64[D]").astype(np.float64)


def _marker(sessions: SessionArray) -> str:
    """Return a dot where there is no second point to draw a line to."""
    return "o" if len(sessions) == 1 else ""


def _time_axes(figure: Figure, sessions: SessionArray, label: str) -> Axes:
    axes = figure.subplots()
    _time_axis(axes, sessions)
    axes.set_ylabel(label)
    return axes


def _time_axis(axes: Axes, sessions: SessionArray) -> None:
    mpl.rcParams["path.simplify"] = len(sessions) > _UNSIMPLIFIED_POINTS
    first, last = _days(sessions)[[0, -1]]
    margin = 0.0 if last > first else 3.0
    axes.set_xlim(first - margin, last + margin)
    axes.xaxis_date()


def _curves(axes: Axes, sessions: SessionArray, curves: Mapping[str, FloatArray]) -> None:
    days = _days(sessions)
    for order, (curve, (colour, dashes)) in enumerate(zip(curves.values(), LINES, strict=False)):
        axes.plot(
            days,
            curve,
            color=colour,
            linestyle=dashes,
            linewidth=1.5 if order == 0 else 1.1,
            zorder=4 - order,  # the strategy is drawn over what it is compared with
            marker=_marker(sessions),
        )


def _end_labels(axes: Axes, labels: Sequence[tuple[float, str]]) -> None:
    """Name each curve at its right end, pushed apart where the ends are close."""
    gap = 23.0 / axes.bbox.height  # two lines of text, in points
    to_axes = axes.transData + axes.transAxes.inverted()
    ends = sorted(
        (float(to_axes.transform((axes.get_xlim()[1], value))[1]), order, text)
        for order, (value, text) in enumerate(labels)
    )
    heights = [height for height, _, _ in ends]
    for n in range(1, len(heights)):
        heights[n] = max(heights[n], heights[n - 1] + gap)
    overshoot = max(0.0, heights[-1] - (1 - gap / 2.5))
    heights = [height - overshoot for height in heights]
    for n in range(len(heights) - 2, -1, -1):
        heights[n] = min(heights[n], heights[n + 1] - gap)
    for height, (_, order, text) in zip(heights, ends, strict=True):
        axes.text(
            1.012,
            height,
            text,
            transform=axes.transAxes,
            va="center",
            color=LINES[order][0] if len(labels) > 1 else INK,
            linespacing=1.15,
        )
