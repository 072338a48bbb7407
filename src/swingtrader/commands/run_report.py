"""What a run of `decide` or `risk-check` tells: the object of ``--json``, kept in the store."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from swingtrader.adapters.store import DecisionRow
from swingtrader.core.policy import SIGNALS
from swingtrader.core.reasons import Action, Reason
from swingtrader.core.regime import exposure_scale, regime_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from swingtrader.adapters.store import Store
    from swingtrader.commands.trading_run import TradingRun
    from swingtrader.core.portfolio import MarketClock
    from swingtrader.core.snapshot import Snapshot
    from swingtrader.environment import Mode

NO_REGIME: dict[str, Any] = {"label": None, "p_high_volatility": None, "exposure_scale": None}


def regime_entry(p_high_volatility: float) -> dict[str, Any]:
    """Regime as the report shows it; NaN is unknown."""
    if math.isnan(p_high_volatility):
        return NO_REGIME
    return {
        "label": str(regime_label(p_high_volatility)),
        "p_high_volatility": p_high_volatility,
        "exposure_scale": exposure_scale(p_high_volatility),
    }


def decision_row(
    snapshot: Snapshot, n: int, action: Action, reason: Reason, vote: float
) -> DecisionRow:
    """One symbol's decision with the signals it rests on."""
    return DecisionRow(
        symbol=snapshot.symbols[n],
        action=action.name.lower(),
        score=_number_or_none(vote),
        signals={
            name: _number_or_none(float(snapshot.signals[k, n])) for k, name in enumerate(SIGNALS)
        },
        reason=str(reason),
    )


def held_rows(symbols: Iterable[str], reason: Reason) -> list[DecisionRow]:
    """Rows of what is held and was not looked at."""
    return [
        DecisionRow(symbol, "hold", None, dict.fromkeys(SIGNALS), str(reason))
        for symbol in sorted(symbols)
    ]


def full_report(
    run: TradingRun, rows: Sequence[DecisionRow], p_high_volatility: float
) -> dict[str, Any]:
    """Report of a run that looked at the market.

    What came into the account meanwhile is among the rows, too: it is held.
    """
    late = run.store.positions.all().keys() - {row.symbol for row in rows}
    rows = [*rows, *held_rows(late, Reason.HELD)]
    return {
        **_head(run.run_id, run.command, run.mode, run.clock, run.session),
        "regime": regime_entry(p_high_volatility),
        "orders": [asdict(line) for line in run.lines.values()],
        "decisions": _entries(rows),
        "skipped": None,
        "warnings": list(run.warnings),
    }


def skipped_report(
    store: Store,
    run_id: str,
    command: str,
    mode: Mode,
    why: str,
    clock: MarketClock | None,
    session: date | None,
) -> dict[str, Any]:
    """Report of a run that had nothing to do: what is held stands as the store knows it."""
    latest = store.regimes.latest()
    rows = held_rows(store.positions.all(), Reason.HELD)
    return {
        **_head(run_id, command, mode, clock, session),
        "regime": NO_REGIME if latest is None else regime_entry(latest.p_high_volatility),
        "orders": [],
        "decisions": _entries(rows),
        "skipped": why,
        "warnings": [],
    }


def skipped_regime_report(skipped: Mapping[str, Any]) -> dict[str, Any]:
    """What `regime` tells of doing nothing, from what `decide` would."""
    kept = {name: skipped[name] for name in skipped if name not in {"orders", "decisions"}}
    return {**kept, "refitted": False}


def skipped_retrain_report(skipped: Mapping[str, Any]) -> dict[str, Any]:
    """What `retrain` tells of doing nothing, from what `decide` would."""
    named = ("run_id", "command", "mode", "asof", "session", "skipped", "warnings")
    return {**{name: skipped[name] for name in named}, "dry_run": False, "stages": []}


def _head(
    run_id: str, command: str, mode: Mode, clock: MarketClock | None, session: date | None
) -> Mapping[str, Any]:
    return {
        "run_id": run_id,
        "command": command,
        "mode": str(mode),
        "asof": None if clock is None else clock.at.isoformat(),
        "session": None if session is None else session.isoformat(),
        "market_open": None if clock is None else clock.is_open,
    }


def _entries(rows: Iterable[DecisionRow]) -> list[dict[str, Any]]:
    return [
        {
            "symbol": row.symbol,
            "action": row.action,
            "score": row.score,
            "signals": dict(row.signals),
            "reason": row.reason,
        }
        for row in rows
    ]


def _number_or_none(value: float) -> float | None:
    """Value for JSON: NaN, which stands for absent, becomes None."""
    return None if math.isnan(value) else float(value)
