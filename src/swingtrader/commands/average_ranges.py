"""ATR of held symbols for the risk check, which reads no file of bars.

Whoever reads the bars first in a session stores every symbol's value; what is then missing is
asked of the feed, some hundred bars a symbol, once a session.
"""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import TYPE_CHECKING

from swingtrader.core.new_york import start_of
from swingtrader.errors import BrokerError, CredentialsRefused

if TYPE_CHECKING:
    from collections.abc import Collection

    from swingtrader.adapters.store import Store
    from swingtrader.commands.trading_run import TradingRun

HISTORY = timedelta(days=220)
"""Some 150 sessions: what Wilder's average still weighs of the ones before is below 1e-4."""


def completed_session(store: Store, session: date) -> date:
    """Session before `session`: as a run of this day found it, or from the calendar.

    The calendar takes a quarter of a second to load, which a risk check can spare.
    """
    known = store.ranges.completed_before(session, start_of(session))
    if known is not None:
        return known
    from swingtrader.adapters.calendar import session_before  # noqa: PLC0415 - pulls pandas

    return session_before(session)


def average_ranges(run: TradingRun, symbols: Collection[str], completed: date) -> dict[str, float]:
    """ATR(14) over the close of session `completed`; a symbol without a bar of it is absent."""
    known = run.store.ranges.of(completed, symbols)
    missing = sorted(set(symbols) - known.keys())
    if not missing:
        return known
    try:
        panel = run.data.daily_bars(missing, completed - HISTORY, completed)
    except (BrokerError, CredentialsRefused) as error:
        run.fail(
            "bars.not_read",
            f"{', '.join(missing)}: without fresh bars the fixed stops apply",
            error,
        )
        return known
    from swingtrader.core.factors import average_true_range_fraction  # noqa: PLC0415 - seldom

    fresh: dict[str, float] = {}
    if len(panel.sessions) and panel.sessions[-1].item() == completed:
        last = average_true_range_fraction(panel)[-1]
        fresh = {
            symbol: float(last[n])
            for n, symbol in enumerate(panel.symbols)
            if math.isfinite(last[n])
        }
    run.store.ranges.record(completed, fresh, run.clock.at)
    return known | fresh
