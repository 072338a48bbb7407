"""The ranker that serves, and the record its sizing rests on.

Both are the backtest's: the model is the one its weekly retraining would serve from the same
close, and the record is the closed trades of its simulation over the history before. They are
installed together, because a Kelly fraction belongs to the model it was measured with.
"""

from __future__ import annotations

import csv
import io
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.adapters.bars import panel_sha256
from swingtrader.adapters.model_cache import ModelCache, fingerprint
from swingtrader.commands.live_signals import FAMILY, RECORD_COLUMNS, RECORD_FILE, TREES_FILE
from swingtrader.commands.walk_forward import known_at_opens, ranker_known_at, walk_forward
from swingtrader.core.signals import market_view
from swingtrader.core.simulate import simulate
from swingtrader.core.walkforward import (
    LABEL_HORIZON,
    MINIMUM_CROSS_SECTION,
    RANKER_MINIMUM,
    first_decision,
    forward_returns,
    top_quartile,
    training_rows,
    usable_rows,
    weekly_retrainings,
)
from swingtrader.errors import DataError
from swingtrader.estimators.installation import install
from swingtrader.estimators.ranker import xgboost_version

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime
    from pathlib import Path

    from swingtrader.commands.backtest_inputs import Progress
    from swingtrader.config import Strategy
    from swingtrader.core.arrays import BoolArray, FloatArray
    from swingtrader.core.market import Panel
    from swingtrader.core.result import RoundTrip
    from swingtrader.core.signals import MarketView
    from swingtrader.estimators.artifact import Artifact

RECORD_CASH_USD = 100_000.0
"""Cash the record's simulation begins with: the backtest's default."""


def ranker_version(panel: Panel, strategy: Strategy, *, known: int, seed: int) -> str:
    """Name of the version: last session seen, and a digest of bars, strategy and seed."""
    seen = panel.rows(0, known + 1)
    digest = fingerprint("ranker", panel_sha256(seen), strategy.sha256(), str(seed))
    return f"{seen.sessions[-1].item():%Y%m%d}-{digest[:8]}"


def train_ranker(
    panel: Panel,
    strategy: Strategy,
    *,
    known: int,
    seed: int,
    now: datetime,
    models_dir: Path,
    progress: Progress,
    cache: ModelCache | None = None,
) -> Artifact:
    """Train the ranker of row `known`, simulate its record, and install both.

    Parameters
    ----------
    panel : Panel
        Stocks and context. Rows after `known` are not read.
    known : int
        Row of the last completed session.
    now : datetime
        The artefact's date of creation, aware.
    models_dir : Path
        The model store.
    cache : ModelCache, optional
        Models of earlier weeks; by default the one that backtests with this store use.

    Returns
    -------
    Artifact
        Installed under `ranker_version`, not yet serving.

    Raises
    ------
    DataError
        The history is too short, or nothing in it may be traded.
    ConfigurationError
        The version is installed already, or the store cannot be written to.
    """
    seen = panel.rows(0, known + 1)
    done = progress.phase("Computing factors")
    try:
        view = market_view(seen, strategy.universe, listed_only=strategy.listed_only)
    except ValueError as error:
        raise DataError(f"{error}; add stocks or change the universe") from error
    labels = top_quartile(forward_returns(view.stocks.close))
    usable = usable_rows(view.factors, labels)
    done(1)
    if cache is None:
        cache = ModelCache(models_dir / "walk-forward")
    ensemble, _ = ranker_known_at(
        known, np.ascontiguousarray(view.factors), labels, usable, seed=seed, cache=cache
    )
    if ensemble is None:
        raise DataError(_too_short(view, usable, known))
    trades = _record(view, labels, usable, strategy, seed=seed, cache=cache, progress=progress)
    rows = training_rows(known)
    chosen = usable[rows.start : rows.stop]
    trained_on = view.stocks.sessions[rows.start : rows.stop][chosen.any(axis=1)]
    return install(
        models_dir,
        FAMILY,
        ranker_version(panel, strategy, known=known, seed=seed),
        {TREES_FILE: ensemble.to_bytes(), RECORD_FILE: _csv(trades)},
        created_at=now,
        library_versions={
            "xgboost": xgboost_version(),
            **{name: version(name) for name in ("swingtrader", "numpy", "hmmlearn")},
        },
        validation={
            "training_sessions": float(len(trained_on)),
            "training_rows": float(np.count_nonzero(chosen)),
            "record_trades": float(len(trades)),
        },
        training_sessions=(trained_on[0].item(), trained_on[-1].item()),
        data_sha256=panel_sha256(seen),
        seed=seed,
    )


def _record(
    view: MarketView,
    labels: FloatArray,
    usable: BoolArray,
    strategy: Strategy,
    *,
    seed: int,
    cache: ModelCache,
    progress: Progress,
) -> tuple[RoundTrip, ...]:
    """Closed trades of a backtest from the first session with a model to the last one seen."""
    first = first_decision(usable)
    if first is None:
        return ()
    rows = range(first, len(usable))
    retrainings = weekly_retrainings(view.stocks.sessions, rows)
    opinions = walk_forward(
        view,
        labels,
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


def _csv(trades: Iterable[RoundTrip]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(RECORD_COLUMNS)
    writer.writerows((trade.exit_session, trade.simple_return) for trade in trades)
    return text.getvalue().encode()


def _too_short(view: MarketView, usable: BoolArray, known: int) -> str:
    rows = training_rows(known)
    sessions = np.count_nonzero(
        usable[rows.start : rows.stop].sum(axis=1) >= MINIMUM_CROSS_SECTION
    )
    last: date = view.stocks.sessions[known].item()
    return (
        f"the {known + 1} sessions of bars to {last} are too few to train a ranker: "
        f"{sessions} of them can train it, and it needs {RANKER_MINIMUM} on which "
        f"{MINIMUM_CROSS_SECTION} stocks have a quarter of history behind them and a known "
        f"{LABEL_HORIZON}-session outcome (about 340 sessions in all)"
    )
