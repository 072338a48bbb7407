"""What a reader must know before believing a backtest's figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from swingtrader.core.arrays import SESSIONS_PER_YEAR
from swingtrader.core.inference import IC_LAG_SESSIONS
from swingtrader.core.sizing import kelly_fraction

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from swingtrader.commands.backtest_inputs import Gathered
    from swingtrader.commands.walk_forward_agents import Heard
    from swingtrader.config import Strategy
    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.simulate import Simulation

SESSIONS_FOR_RANK_IC_T = 12 * IC_LAG_SESSIONS
"""With fewer lags in the sample the Newey-West error is badly underestimated."""

SURVIVORSHIP = (
    "Survivorship: the universe was chosen knowing which companies still exist, so every figure "
    "here flatters. Compare versions of the program by them; expect no such return."
)


def caveats(
    strategy: Strategy,
    gathered: Gathered,
    simulation: Simulation,
    heard: Heard,
    rank_ic: FloatArray,
    metrics: Mapping[str, Any],
) -> Iterator[str]:
    """Sentences a reader needs before the figures, the gravest first.

    Parameters
    ----------
    rank_ic : ndarray of shape (L,)
        NaN where not realised.
    metrics : mapping
        The content of ``metrics.json``.
    """
    yield SURVIVORSHIP
    costs = strategy.costs
    if costs.half_spread_bps + costs.slippage_bps > 0:
        yield (
            f"Assumed of every fill: {costs.half_spread_bps:g} bps of half-spread and "
            f"{costs.slippage_bps:g} bps of slippage against us, and at most "
            f"{costs.participation:.1%} of the session's volume."
        )
    else:
        yield "No spread and no slippage were assumed: every figure is before these costs."
    yield (
        "Dividends and interest are left out. The benchmarks, fully invested, would have earned "
        "more of the first, idle cash some of the second."
    )
    yield (
        "Split-adjusted prices carry later splits into the past: the price floor may bar what "
        "then cost more, or admit what then cost less."
    )
    if len(simulation.equity_usd) < SESSIONS_PER_YEAR:
        yield (
            f"{len(simulation.equity_usd)} sessions are less than a year: annual figures, "
            "intervals and probabilities mean little over so few."
        )
    if gathered.intraday is None:
        yield (
            "Fills inside a session are deduced from daily bars along the worse path; a stop "
            "fills at its level, which a five-minute check in a falling market will not reach, "
            "and a low under a trailing stop that the same bar raised counts as before its high."
        )
    exposure = float(simulation.gross_exposure.mean())
    if exposure < 0.5:
        yield (
            f"PSR and DSR compare an account that held {exposure:.0%} in stocks with a universe "
            "that is fully invested: they fall when the market rises and would praise cash when "
            "it falls. Alpha and the rank IC allow for the exposure."
        )
    if absent := metrics["absent_signals"]:
        yield f"Absent throughout: {', '.join(absent)}. The other signals took over the weight."
    yield from _of_agents(heard, metrics)
    proxy = gathered.bars.panel.column(strategy.universe.market)
    traded = slice(gathered.rows.start - 1, gathered.rows.stop)
    if proxy is None:
        yield (
            f"{strategy.universe.market} is not in the file: the equal-weighted universe stands "
            "in for the market."
        )
    elif np.isnan(gathered.bars.panel.close[traded, proxy]).any():
        yield (
            f"{strategy.universe.market} lacks bars in the period: as a benchmark it stands "
            "still there, and regime and market signals are absent around it."
        )
    if kelly_fraction(simulation.record, strategy.policy.sizing) <= 0:
        yield (
            "The record of closed trades shows no edge: its Kelly fraction is zero or less, and "
            "every position has the smallest size."
        )
    yield from _of_rank_ic(rank_ic, metrics)
    yield from gathered.bars.warnings


def _of_agents(heard: Heard, metrics: Mapping[str, Any]) -> Iterator[str]:
    if metrics["rl_mode"] == "off":
        return
    if metrics["rl_mode"] == "frozen":
        yield (
            "The agents were trained once, before the first session: live ones are trained anew, "
            "and fall silent when they are too old."
        )
    if heard.silences:
        yield f"Without a view of the agents {heard.silence}."


def _of_rank_ic(rank_ic: FloatArray, metrics: Mapping[str, Any]) -> Iterator[str]:
    measured = int(np.count_nonzero(np.isfinite(rank_ic)))
    if 0 < measured < SESSIONS_FOR_RANK_IC_T:
        yield (
            f"The rank IC rests on {measured} sessions whose 21-session returns overlap: over so "
            f"few, its t comes out too large. It means something from about "
            f"{SESSIONS_FOR_RANK_IC_T} on."
        )
        return
    few = {name: worth["ic_sessions"] for name, worth in metrics["signal_worth"].items()}
    few = {name: count for name, count in few.items() if 0 < count < SESSIONS_FOR_RANK_IC_T}
    if few:
        named = ", ".join(f"{name} ({count})" for name, count in few.items())
        yield f"Rank ICs of too few sessions for their t to mean much: {named}."
