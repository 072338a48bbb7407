"""A backtest as one HTML page that needs nothing but itself.

Choices: what a reader could hold against the result comes before the charts (both benchmarks,
the interval, what the DSR means, the caveats); every figure is taken from the metrics and only
series are computed here; the page loads nothing and runs no script, and says so to the browser
in its content security policy; the same result gives the same bytes, so no clock is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np

from swingtrader.core.performance import (
    drawdowns,
    monthly_returns,
    rolling_sharpe,
    session_returns,
)
from swingtrader.reports import charts
from swingtrader.reports.signal_table import SignalRow, signal_rows
from swingtrader.reports.wording import (
    EVIDENCE_DSR,
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
    starting_cash_usd,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from swingtrader.core.arrays import FloatArray, SessionArray
    from swingtrader.core.result import BacktestResult

ROLLING_SESSIONS = 126
"""Half a year: the window of the rolling Sharpe ratio."""

LISTED_TRADES = 2_000
"""Of more round trips the page lists the last so many."""

DEFINITIONS: Mapping[str, str] = {
    "sessions": "Exchange sessions from the first to the last, both included.",
    "n_trades": "Round trips: from the first buy until the quantity is zero again.",
    "total_return": "Gain over the starting cash, net of costs, as a fraction.",
    "cagr": "The total return as a constant yearly rate, a year being 252 sessions.",
    "volatility_annual": "Standard deviation of the daily returns times the root of 252.",
    "sharpe": "Mean over standard deviation of the daily returns, times the root of 252; no "
    "risk-free rate is taken off.",
    "sharpe_ci95": "95% interval of the Sharpe ratio by the stationary bootstrap.",
    "psr": "Probabilistic Sharpe ratio: probability that the true Sharpe ratio of the returns "
    "in excess of the equal-weighted universe is above 0.",
    "dsr": "Deflated Sharpe ratio: the same probability against the luckiest of all trials "
    "without skill instead of 0.",
    "trials": "Backtests recorded in the store, this one included.",
    "max_drawdown": "Deepest fall from the highest equity so far, as a negative fraction.",
    "turnover_annual": "Half of what was bought and sold over the equity, a year: 1 replaces "
    "the whole account once.",
    "hit_rate": "Share of round trips that gained.",
    "payoff": "Mean gain over mean loss of the round trips; 1000 stands for no loss at all.",
    "exposure_mean": "Mean of the positions' value over equity at the close.",
    "rank_ic_mean": "Mean Spearman correlation of the score with the 21-session forward return.",
    "rank_ic_t": "Its t-statistic with Newey-West errors, lag 42 sessions.",
    "costs_usd": "Fees on top of the prices paid; spread and slippage are in the prices.",
    "benchmark": "The starting cash held in the market proxy.",
    "equal_weight": "The starting cash held in the equal-weighted universe.",
    "leave_one_out": "Change of the Sharpe ratio and of the total return when the signal is "
    "left out; negative means that it helped.",
    "signal_worth": "95% interval of that change of the Sharpe ratio, by a bootstrap that draws "
    "the same sessions of both runs; mean Spearman correlation of the signal with the 21-session "
    "forward return, its t (lag 42) and the sessions behind it.",
    "absent_signals": "Signals that never had a view.",
    "indistinguishable_signals": "Signals that had one, but whose interval holds 0.",
    "rl_mode": "Where the reinforcement-learning signal comes from.",
    "rl": "Ensembles trained, share of the sessions on which they had a view, and the mean net "
    "Sharpe ratio of each agent on what was held back from its training.",
    "alpha_annual": "Daily return that the benchmark does not explain, times 252.",
    "alpha_t": "Its t-statistic with Newey-West errors.",
    "beta": "Slope of the daily returns on the benchmark's.",
    "beta_t": "Its t-statistic with Newey-West errors.",
    "data_sha256": "Fingerprint of the bars and news that were read.",
    "config_sha256": "Fingerprint of the strategy settings.",
    "seed": "What every random draw started from.",
    "versions": "Libraries that computed this.",
}
"""One line for each entry of the metrics."""


@dataclass(frozen=True)
class Card:
    """One figure of the summary, and lines it must be read beside."""

    label: str
    value: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A chart with its heading and explanation; without an `svg` the text says why.

    `signals` is a table below it.
    """

    heading: str
    text: str
    svg: str = ""
    signals: tuple[SignalRow, ...] = ()


@dataclass(frozen=True)
class Year:
    """One row of the monthly table: twelve months, then the year of all three."""

    year: int
    months: tuple[float, ...]
    total: float
    benchmark: float
    equal_weight: float


def render_report(result: BacktestResult) -> str:
    """Return the whole page for `result`, which has at least one session.

    The same result gives the same text. Everything that comes from data is escaped.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("swingtrader", "reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        counted=counted, dollars=dollars, number=number, percent=percent, shade=shade, exact=exact
    )
    return environment.get_template("report.html.jinja").render(
        result=result,
        metrics=result.metrics,
        benchmark_name=_short_benchmark_name(result),
        verdict=dsr_sentence(result.metrics),
        evidence_dsr=EVIDENCE_DSR,
        starting_cash_usd=starting_cash_usd(result),
        cards=_cards(result),
        sections=_sections(result),
        years=_years(result),
        trades=result.trades[-LISTED_TRADES:],
        definitions=DEFINITIONS,
    )


def shade(fraction: float) -> str:
    """CSS class of a return: its sign and one of four strengths, none for NaN and 0."""
    if not fraction or np.isnan(fraction):
        return ""
    strength = 1 + int(np.searchsorted([0.01, 0.03, 0.06], abs(fraction)))
    return f"{'gain' if fraction > 0 else 'loss'}-{strength}"


def exact(value: object) -> str:
    """Write a metric as it stands in ``metrics.json``, floats to eight digits."""
    if isinstance(value, float):
        return f"{value:.8g}"
    if isinstance(value, list | tuple):
        return ", ".join(exact(item) for item in value) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {exact(item)}" for key, item in value.items()) or "none"
    return str(value)


def _short_benchmark_name(result: BacktestResult) -> str:
    """Benchmark's name, cut to what fits beside a chart."""
    return str(result.metrics["benchmark"]["name"])[:14]


def _cards(result: BacktestResult) -> list[Card]:
    metrics = result.metrics
    name = _short_benchmark_name(result)
    benchmark, equal_weight = metrics["benchmark"], metrics["equal_weight"]
    low, high = metrics["sharpe_ci95"]
    hit_rate, payoff = hit_and_payoff(metrics)
    ranked = rank_ic_measured(result)

    def beside(measure: str, show: Callable[[float], str]) -> tuple[str, str]:
        return (
            f"{name} {show(benchmark[measure])}",
            f"Equal weight {show(equal_weight[measure])}",
        )

    return [
        Card(
            "Net return",
            percent(metrics["total_return"], signed=True),
            beside("total_return", lambda fraction: percent(fraction, signed=True)),
        ),
        Card(
            "Sharpe ratio",
            number(metrics["sharpe"]),
            (
                f"95% interval {number(low)} to {number(high)}",
                " · ".join(beside("sharpe", number)),
            ),
        ),
        Card(
            "PSR",
            probability(metrics["psr"]),
            ("chance of skill over the equal-weighted universe, had this been the only try",),
        ),
        Card(
            "DSR",
            probability(metrics["dsr"]),
            (
                f"the same, counting {counted(metrics['trials'], 'trial')}",
                f"evidence begins at {EVIDENCE_DSR}",
            ),
        ),
        Card("Max drawdown", percent(metrics["max_drawdown"]), beside("max_drawdown", percent)),
        Card(
            "Rank IC",
            number(metrics["rank_ic_mean"], 3, signed=True) if ranked else "not measured",
            (f"t = {number(metrics['rank_ic_t'])}", "below 2 it may well be nothing")
            if ranked
            else ("no forward return was realised",),
        ),
        Card(
            "Turnover and fees",
            f"{number(metrics['turnover_annual'], 1)}\N{MULTIPLICATION SIGN} a year",
            (
                f"{dollars(metrics['costs_usd'])} of fees",
                "spread and slippage are in the prices",
            ),
        ),
        Card(
            "Round trips",
            f"{metrics['n_trades']:,}",
            (f"hit rate {hit_rate}", f"payoff {payoff}"),
        ),
    ]


def _sections(result: BacktestResult) -> list[Section]:
    name = _short_benchmark_name(result)
    metrics = result.metrics
    equity = equity_curve(result, result.equity_usd)
    benchmark = equity_curve(result, result.benchmark_usd)
    return [
        Section(
            "Equity",
            "Net of costs, at each close. Both benchmarks start with the same cash. Measured "
            f"against {name}: beta {number(metrics['beta'])} (t {number(metrics['beta_t'], 1)}), "
            f"alpha {percent(metrics['alpha_annual'], signed=True)} a year "
            f"(t {number(metrics['alpha_t'], 1)}).",
            charts.equity_chart(
                result.sessions,
                {
                    "Strategy": result.equity_usd,
                    name: result.benchmark_usd,
                    "Equal weight": result.equal_weight_usd,
                },
            ),
        ),
        Section(
            "Drawdown",
            "Distance below the highest equity so far.",
            charts.drawdown_chart(
                result.sessions,
                {"Strategy": drawdowns(equity)[1:], name: drawdowns(benchmark)[1:]},
            ),
        ),
        _rolling_section(result, session_returns(equity)),
        Section(
            "Exposure",
            "Share of the equity that was invested, and below it the filtered probability of "
            "high volatility that each decision saw.",
            charts.exposure_chart(
                result.sessions, result.gross_exposure, result.p_high_volatility
            ),
        ),
        _worth_section(result.metrics),
        _rank_ic_section(result),
        _trade_section(result),
    ]


def _rolling_section(result: BacktestResult, returns: FloatArray) -> Section:
    heading = "Rolling Sharpe ratio"
    rolling = rolling_sharpe(returns, ROLLING_SESSIONS)
    if not np.isfinite(rolling).any():
        return Section(
            heading,
            f"Needs {ROLLING_SESSIONS} sessions; this run has {len(returns)}.",
        )
    return Section(
        heading,
        f"Of the last {ROLLING_SESSIONS} sessions, annualised.",
        charts.rolling_sharpe_chart(result.sessions, rolling),
    )


def _worth_section(metrics: Mapping[str, Any]) -> Section:
    absent = metrics["absent_signals"]
    missing = f" Never present: {', '.join(absent)}." if absent else ""
    worth = signal_worth(metrics)
    if not worth:
        return Section("Signal worth", f"No signal was left out.{missing}")
    chance = chance_sentence(metrics)
    return Section(
        "Signal worth",
        "The run with each signal minus the run without it: a bar to the right helped, one to "
        f"the left did harm.{missing}{f' {chance}.' if chance else ''}",
        charts.signal_worth_chart(worth, absent),
        signal_rows(metrics),
    )


def _rank_ic_section(result: BacktestResult) -> Section:
    heading = "Rank IC by month"
    if not rank_ic_measured(result):
        return Section(heading, "Not measured: no 21-session forward return was realised.")
    months, ic = rank_ic_by_month(result.sessions, result.rank_ic)
    return Section(
        heading,
        "How well the scores ordered the symbols: 1 perfectly, 0 not at all. The dotted line is "
        "the mean of all sessions.",
        charts.rank_ic_chart(months, ic, result.metrics["rank_ic_mean"]),
    )


def _trade_section(result: BacktestResult) -> Section:
    heading = "Trade returns"
    if not result.trades:
        return Section(heading, "No trade was made.")
    returns = np.array([trade.simple_return for trade in result.trades])
    return Section(
        heading,
        f"Of {counted(len(returns), 'round trip')}, net of costs: {np.sum(returns > 0):,} gained, "
        f"{np.sum(returns <= 0):,} did not. Best {percent(returns.max(), signed=True)}, "
        f"worst {percent(returns.min(), signed=True)}.",
        charts.trade_return_chart(returns),
    )


def rank_ic_by_month(
    sessions: SessionArray, rank_ic: FloatArray
) -> tuple[SessionArray, FloatArray]:
    """Mean rank IC of each calendar month.

    Parameters
    ----------
    sessions : ndarray of shape (T,), datetime64[D]
    rank_ic : ndarray of shape (T,)
        NaN where not realised; left out of the means.

    Returns
    -------
    months : ndarray of shape (M,), datetime64[M]
        Months with a session, in order.
    ic : ndarray of shape (M,)
        NaN for a month without a realised value.
    """
    months, month_of = np.unique(sessions.astype("datetime64[M]"), return_inverse=True)
    known = np.isfinite(rank_ic)
    counts = np.bincount(month_of[known], minlength=len(months))
    sums = np.bincount(month_of[known], weights=rank_ic[known], minlength=len(months))
    means = np.full(len(months), np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return months, means


def _years(result: BacktestResult) -> list[Year]:
    years, strategy = monthly_returns(result.sessions, equity_curve(result, result.equity_usd))
    _, benchmark = monthly_returns(result.sessions, equity_curve(result, result.benchmark_usd))
    _, equal = monthly_returns(result.sessions, equity_curve(result, result.equal_weight_usd))
    return [
        Year(int(year), tuple(months.tolist()), *(_compounded(m) for m in (months, bench, even)))
        for year, months, bench, even in zip(years, strategy, benchmark, equal, strict=True)
    ]


def _compounded(months: FloatArray) -> float:
    return float(np.nanprod(1.0 + months) - 1.0)
