"""The record that a ranker's sizing rests on: closed trades of a backtest up to its own day.

The backtest is the default one, without agents and headlines: these have signals of their own,
and the record belongs to the ranker.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from swingtrader.commands.live_signals import RECORD_COLUMNS
from swingtrader.commands.walk_forward import known_at_opens, walk_forward
from swingtrader.core.simulate import simulate
from swingtrader.core.walkforward import first_decision, weekly_retrainings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from swingtrader.adapters.model_cache import ModelCache
    from swingtrader.commands.backtest_inputs import Progress
    from swingtrader.commands.training_material import Material
    from swingtrader.config import Strategy
    from swingtrader.core.result import RoundTrip

RECORD_CASH_USD = 100_000.0
"""Cash the record's simulation begins with: the backtest's default."""


def record_of(
    material: Material,
    strategy: Strategy,
    *,
    seed: int,
    cache: ModelCache,
    progress: Progress,
) -> tuple[RoundTrip, ...]:
    """Closed trades of a backtest from the first session with a model to the last one seen."""
    view, usable = material.view, material.usable
    first = first_decision(usable)
    if first is None:
        return ()
    rows = range(first, len(usable))
    retrainings = weekly_retrainings(view.stocks.sessions, rows)
    opinions = walk_forward(
        view,
        material.labels,
        usable,
        retrainings,
        cache=cache,
        seed=seed,
        progress=progress.phase("Training models", len(retrainings)),
    )
    return simulate(
        view.stocks,
        known_at_opens(view, opinions),
        strategy.policy,
        strategy.costs,
        cash_usd=RECORD_CASH_USD,
        rows=rows,
        progress=progress.phase("Trading the record", len(rows)),
    ).trades


def csv_of(trades: Iterable[RoundTrip]) -> bytes:
    """The record as the artefact keeps it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(RECORD_COLUMNS)
    writer.writerows((trade.exit_session, trade.simple_return) for trade in trades)
    return text.getvalue().encode()
