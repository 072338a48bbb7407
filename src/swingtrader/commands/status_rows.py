"""The parts of a status as plain values: positions, orders, halts, models, the regime, the jobs.

Positions come from two sources, the store's memory or the broker's word now, and look alike.
Whatever is not known is None. Nothing here imports numpy: `status` must answer at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Any

from swingtrader.core.new_york import new_york_date
from swingtrader.core.orders import parsed_name
from swingtrader.core.protection import planned_protection
from swingtrader.core.schedule import missed, next_run, runs_due

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from swingtrader.adapters.store import Halt, ModelRow, Store, WorthRow
    from swingtrader.core.orders import BrokerOrder
    from swingtrader.core.portfolio import BrokerPosition, MarketClock, TrackedPosition

EXPOSURE_CUT = 0.3
"""That of ``swingtrader.core.regime``, which imports numpy; a test holds the two together."""

LONGEST_RUN = timedelta(hours=1)
"""Of any job. One that has not finished by then was killed."""

EXIT_LOCK_HELD = 75

NOTHING = Decimal(0)


@dataclass(frozen=True)
class Held:
    """A position as last seen, and what is remembered of it.

    Attributes
    ----------
    qty, entry_price, price, price_at
        None where not known.
    resting_qty : Decimal, shares
        Under resting stops.
    memory : TrackedPosition or None
        None for one that no run has seen yet, and for a short.
    """

    symbol: str
    qty: Decimal | None
    entry_price: Decimal | None
    price: Decimal | None
    price_at: datetime | None
    resting_qty: Decimal
    resting_stop: Decimal | None
    memory: TrackedPosition | None


def as_remembered(position: TrackedPosition) -> Held:
    """Position as the last run left it."""
    return Held(
        position.symbol,
        position.qty,
        position.entry_price,
        position.price,
        position.price_at,
        position.resting_qty,
        position.resting_stop,
        position,
    )


def as_seen(
    position: BrokerPosition,
    open_orders: Sequence[BrokerOrder],
    at: datetime,
    memory: TrackedPosition | None,
) -> Held:
    """Position as the broker states it at `at`."""
    # Asked only for what rests now, which neither the distance nor the price bears on.
    plan = planned_protection(position, open_orders, distance=0.0, last_price=None)
    return Held(
        position.symbol,
        position.qty,
        position.entry_price,
        position.current_price,
        None if position.current_price is None else at,
        plan.resting_qty,
        plan.resting_stop,
        memory,
    )


def position_row(held: Held, *, trades: bool) -> dict[str, Any]:
    """One of ``positions``.

    Parameters
    ----------
    trades : bool
        Whether orders are sent, so that a stop is to rest under what is managed. Otherwise
        ``unprotected_qty`` is 0.
    """
    memory, entry, price = held.memory, held.entry_price, held.price
    managed = memory is None or memory.managed
    gain = float(price / entry - 1) if price is not None and entry else None
    is_short = held.qty is not None and held.qty < 0
    return {
        "symbol": held.symbol,
        "qty": _number(held.qty),
        "entry_session": memory and memory.entry_session.isoformat(),
        "age_sessions": memory and memory.age_sessions,
        "entry_price": _number(entry),
        "price": _number(price),
        "price_at": held.price_at and held.price_at.isoformat(),
        "unrealized_return": -gain if gain is not None and is_short else gain,
        "stop_price": _level(entry, None if memory is None else memory.stop_ratio),
        "target_price": _level(entry, None if memory is None else memory.target_ratio),
        "resting_stop": _number(held.resting_stop),
        "resting_qty": _number(held.resting_qty),
        "unprotected_qty": _number(_unprotected_qty(held)) if trades and managed else 0.0,
        "managed": managed,
    }


def order_row(order: BrokerOrder) -> dict[str, Any]:
    """One of ``open_orders``; ``purpose`` is None for an order that is not ours."""
    name = parsed_name(order.client_order_id)
    return {
        "symbol": order.symbol,
        "side": order.side,
        "qty": _number(order.qty),
        "filled_qty": _number(order.filled_qty),
        "type": order.type,
        "limit_price": _number(order.limit_price),
        "stop_price": _number(order.stop_price),
        "status": order.status,
        "purpose": name and str(name.purpose),
        "client_order_id": order.client_order_id,
        "submitted_at": order.submitted_at and order.submitted_at.isoformat(),
    }


def halt_row(halt: Halt) -> dict[str, Any]:
    """One of ``halts``."""
    return {
        "reason": halt.reason,
        "since": halt.since.isoformat(),
        "session": halt.session and halt.session.isoformat(),
        "flatten": halt.flatten,
    }


def model_row(model: ModelRow, asof: datetime) -> dict[str, Any]:
    """One of ``models``."""
    return {
        "family": model.family,
        "version": model.version,
        "age_days": round((asof - model.trained_at) / timedelta(days=1), 1),
        "validation": dict(model.validation),
    }


def worth_row(row: WorthRow) -> dict[str, Any]:
    """One of ``signal_worth``."""
    worth = row.worth
    return {
        "signal": worth.signal,
        "sharpe_change": worth.sharpe_change,
        "low": worth.low,
        "high": worth.high,
        "ic_mean": _finite(worth.ic_mean),
        "ic_t": _finite(worth.ic_t),
        "is_distinguishable": worth.is_distinguishable,
        "first_session": row.first_session.isoformat(),
        "last_session": row.last_session.isoformat(),
        "recorded_at": row.recorded_at.isoformat(),
    }


def regime_row(store: Store, last_clock: tuple[MarketClock, date] | None) -> dict[str, Any]:
    """``regime``: the latest that is stored.

    ``stale`` says that the last session a run saw has begun without one of its own.
    """
    latest = store.regimes.latest()
    if latest is None:
        names = ("label", "p_high_volatility", "exposure_scale", "session", "recorded_at")
        return {**dict.fromkeys(names), "stale": False}
    stale = False
    if last_clock is not None:
        clock, session = last_clock
        # A session's regime is not due before its morning.
        stale = latest.session < session <= new_york_date(next(runs_due("regime", clock.at)))
    return {
        "label": latest.label,
        "p_high_volatility": latest.p_high_volatility,
        "exposure_scale": 1.0 - EXPOSURE_CUT * latest.p_high_volatility,
        "session": latest.session.isoformat(),
        "recorded_at": latest.recorded_at.isoformat(),
        "stale": stale,
    }


def job_row(
    store: Store, name: str, asof: datetime, clock: MarketClock | None, *, expects_timers: bool
) -> dict[str, Any]:
    """One of ``jobs``; ``trouble`` says in a few words what a person should look into.

    Parameters
    ----------
    clock : MarketClock or None
        The broker's, as last seen by a run.
    """
    last = store.runs.last(name)
    started_at = None if last is None else last.started_at
    row: dict[str, Any] = {
        "name": name,
        "last_run_at": started_at and started_at.isoformat(),
        "last_exit": last and last.exit_code,
        "next_run_at": next_run(name, asof).isoformat(),
        "skipped": last and last.skipped,
    }
    troubles = []
    if started_at is not None:
        troubles = _troubles(store, name, started_at, row["last_exit"], asof)
    if expects_timers and missed(name, started_at, asof, clock):
        troubles.append("has not run when it should have")
    return {**row, "trouble": " and ".join(troubles) or None}


def _troubles(
    store: Store, name: str, started_at: datetime, exit_code: int | None, asof: datetime
) -> list[str]:
    if exit_code is None:
        return ["was killed or hangs"] if asof - started_at > LONGEST_RUN else []
    if exit_code == EXIT_LOCK_HELD:
        through = store.runs.last_report(name)
        # Runs in between are not counted: one that is due and one more have come to nothing.
        waited = through and next_run(name, next_run(name, through.started_at)) <= started_at
        return ["found the lock held more than once in a row"] if waited else []
    return [f"failed with exit code {exit_code}"] if exit_code else []


def _unprotected_qty(held: Held) -> Decimal:
    """Whole shares without a stop; a fraction can have none."""
    whole = (held.qty or NOTHING).to_integral_value(ROUND_FLOOR)
    return max(whole - held.resting_qty, NOTHING)


def _level(entry_price: Decimal | None, ratio: float | None) -> float | None:
    return None if entry_price is None or ratio is None else round(float(entry_price) * ratio, 4)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(value: Decimal | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
