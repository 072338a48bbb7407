"""One row a signal: what it was worth, how sure that is, and how well it ranked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swingtrader.reports.wording import number, signal_worth

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class SignalRow:
    """Texts of one signal; worth and interval are with the signal minus without it."""

    signal: str
    worth: str
    interval: str
    verdict: str
    rank_ic: str
    rank_ic_t: str
    sessions: str


def signal_rows(metrics: Mapping[str, Any]) -> tuple[SignalRow, ...]:
    """Rows in the order of the worth chart."""
    return tuple(_row(metrics, name) for name in signal_worth(metrics))


def _row(metrics: Mapping[str, Any], name: str) -> SignalRow:
    figures = metrics["signal_worth"][name]
    low, high = figures["sharpe_change_ci95"]
    ranked = figures["ic_sessions"] > 0
    present = name not in metrics["absent_signals"]
    verdict = "helped" if high < 0 else "did harm"
    if name in metrics["indistinguishable_signals"]:
        verdict = "not to be told from chance"
    return SignalRow(
        signal=name,
        worth=number(signal_worth(metrics)[name][0], signed=True) if present else "",
        interval=f"{number(0.0 - high, signed=True)} to {number(0.0 - low, signed=True)}"
        if present
        else "",
        verdict=verdict if present else "never present",
        rank_ic=number(figures["ic_mean"], 3, signed=True) if ranked else NOT_MEASURED,
        rank_ic_t=number(figures["ic_t"], 1) if ranked else "",
        sessions=f"{figures['ic_sessions']:,}",
    )
