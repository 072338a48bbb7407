"""Words and figures that the page and the terminal screen share.

A figure that is not finite reads as unknown, a minus is a true minus, and a probability is
rounded down, so that none looks like the threshold it misses.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from swingtrader.core.performance import PAYOFF_CAP
from swingtrader.reports import screen_text
from swingtrader.reports.screen_text import MINUS, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.result import BacktestResult

EVIDENCE_DSR = 0.95
"""Deflated Sharpe ratio from which one may speak of evidence (Bailey & Lopez de Prado 2014)."""

EVIDENCE_ALPHA_T = 2.0
"""And t of alpha: DSR alone praises cash in a falling market (``docs/noise-study.md``)."""

EVIDENCE_SESSIONS = 252
"""And sessions: over less than a year any of these figures can be luck."""


def percent(fraction: float, digits: int = 1, *, signed: bool = False) -> str:
    """`fraction` as a percentage with a true minus; `UNKNOWN` unless finite."""
    return screen_text.percent(_finite(fraction), digits, signed=signed)


def number(value: float, digits: int = 2, *, signed: bool = False) -> str:
    """`value` with thousands separators and a true minus; `UNKNOWN` unless finite."""
    return screen_text.number(_finite(value), digits, signed=signed)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def counted(count: int, noun: str) -> str:
    """`count` and `noun`, the noun with an s unless the count is 1."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def dollars(value: float, digits: int = 0, *, signed: bool = False) -> str:
    """`value` in US dollars, the sign before the currency; `UNKNOWN` unless finite."""
    text = number(value, digits, signed=signed)
    if text == UNKNOWN:
        return text
    amount = text.lstrip(f"+{MINUS}")
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
    if dsr >= EVIDENCE_DSR and (
        metrics["alpha_t"] < EVIDENCE_ALPHA_T or metrics["sessions"] < EVIDENCE_SESSIONS
    ):
        return (
            f"A DSR of {probability(dsr)} is no evidence of skill here: the account may have done "
            "better than the fully invested universe by holding cash, for its alpha has a t of "
            f"{number(metrics['alpha_t'], 1)} over {counted(metrics['sessions'], 'session')} "
            f"(evidence needs {EVIDENCE_ALPHA_T:g} over {EVIDENCE_SESSIONS} as well)."
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


def chance_sentence(metrics: Mapping[str, Any]) -> str:
    """Name the signals whose worth cannot be told from zero; empty where there is none."""
    names = metrics["indistinguishable_signals"]
    return (
        f"{', '.join(names)}: no worth that can be told from chance (95% interval)"
        if names
        else ""
    )


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
