"""``swingtrader retrain``: new models from what is known now, weekly.

Ranker, regime and agents are trained and judged (`retraining`), and only when all are judged is
the first of them installed and promoted. So a run that fails or is killed leaves what serves as
it was. What it had trained by then is in the cache of models, where the next run finds it.

A lock of its own keeps two retrainings apart; nothing that trades ever waits for it.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

import numpy as np

from swingtrader.adapters.bars import read_bars
from swingtrader.adapters.calendar import session_after, session_closes
from swingtrader.adapters.lock import RETRAIN_LOCK_NAME, state_lock
from swingtrader.adapters.store import Store
from swingtrader.commands.data_pull import PullOptions, pull
from swingtrader.commands.model_candidate import settle
from swingtrader.commands.retraining import Retraining
from swingtrader.commands.trading_command import about_the_store, met, recorded
from swingtrader.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime
    from pathlib import Path

    from swingtrader.commands.backtest_inputs import Progress
    from swingtrader.commands.retraining import RetrainOptions
    from swingtrader.commands.trading_command import Launch
    from swingtrader.config import Strategy
    from swingtrader.environment import Places


def retrain_now(
    launch: Launch, strategy: Strategy, options: RetrainOptions, progress: Progress
) -> dict[str, Any]:
    """Pull bars, train on them, judge, promote, and tell; by the broker's clock.

    Raises
    ------
    LockHeld
        Another retraining is at work.
    DataError
        The bars must not be trained on, or are too few.
    ConfigurationError, CredentialsRefused, BrokerError
        As by their classes.
    """
    places = launch.places
    with (
        state_lock(places.state_dir, wait_seconds=0.0, name=RETRAIN_LOCK_NAME),
        Store.open(places.state_dir, now=launch.started_at) as store,
        recorded(store, launch) as report,
    ):
        report["warnings"] = about_the_store(store)
        clock, session = met(launch, store, launch.connect.broker())
        pull(
            PullOptions(places.data_dir, clock, sessions=None, news_days=0),
            strategy,
            launch.connect.data(clock.at),
            progress,
        )
        bars = read_bars(places.bars_file)
        training = Retraining(places, strategy, options, bars, session, clock.at, store, progress)
        mode = str(launch.settings.mode)
        report.update(_settled(training, launch.run_id, mode, report["warnings"]))
        return report


def retrain_on_file(  # noqa: PLR0913 - one argument an option
    places: Places,
    path: Path,
    strategy: Strategy,
    options: RetrainOptions,
    progress: Progress,
    *,
    as_of: date | None,
    now: datetime,
    run_id: str,
    mode: str,
) -> dict[str, Any]:
    """Train on a bars file, without a broker, as if it were the evening of its last session.

    Models are dated by the close of that session, so that they have their true age in simulated
    time as well.

    Parameters
    ----------
    as_of : date, optional
        Last day to know of; default: the last of the file.
    now : datetime
        Local, aware; for the store's housekeeping only.

    Raises
    ------
    LockHeld, DataError, ConfigurationError, UsageError
        As `retrain_now`; UsageError where the file begins after `as_of`.
    """
    with (
        state_lock(places.state_dir, wait_seconds=0.0, name=RETRAIN_LOCK_NAME),
        Store.open(places.state_dir, now=now) as store,
    ):
        bars = read_bars(path)
        sessions = bars.panel.sessions
        last = sessions[-1] if as_of is None else np.datetime64(as_of, "D")
        known = sessions[sessions <= last]
        if not known.size:
            raise UsageError(f"the bars of {path} begin on {sessions[0]}, after {as_of}")
        (closed_at,) = session_closes(known[-1:]).tolist()
        training = Retraining(
            places,
            strategy,
            options,
            bars,
            session_after(known[-1].item()),
            closed_at.replace(tzinfo=UTC),
            store,
            progress,
        )
        return _settled(training, run_id, mode, about_the_store(store))


def _settled(
    training: Retraining, run_id: str, mode: str, warnings: Sequence[str]
) -> dict[str, Any]:
    """Train and judge; install and promote once all of it is judged; return the report.

    Parameters
    ----------
    warnings : sequence of str
        Of what came before the training.
    """
    candidates = training.candidates()
    dry_run = training.options.dry_run
    if not dry_run:
        done = training.progress.phase("Installing", len(candidates))
        for number, candidate in enumerate(candidates, start=1):
            settle(training.places.models_dir, candidate, training.store, created_at=training.at)
            done(number)
    return {
        "run_id": run_id,
        "command": "retrain",
        "mode": mode,
        "asof": training.at.isoformat(),
        "session": training.session.isoformat(),
        "dry_run": dry_run,
        "stages": [
            {
                "family": candidate.family,
                "version": candidate.version,
                "promoted": candidate.verdict.promoted and not dry_run,
                "verdict": candidate.verdict.sentence,
                "figures": candidate.validation,
            }
            for candidate in candidates
        ],
        "skipped": None,
        "warnings": [*warnings, *training.warnings],
    }
