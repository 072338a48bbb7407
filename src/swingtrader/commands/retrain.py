"""``swingtrader retrain``: new models from what is known now, weekly.

Ranker, regime and agents are trained and judged (`retraining`), and only when all are judged is
the first of them installed and promoted. So a run that fails or is killed leaves what serves as
it was. What it had trained by then is in the cache of models, where the next run finds it.

A lock of its own keeps two retrainings apart; nothing that trades ever waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

import numpy as np

from swingtrader.adapters.bars import read_bars
from swingtrader.adapters.calendar import session_after, session_closes
from swingtrader.adapters.lock import RETRAIN_LOCK_NAME, state_lock
from swingtrader.adapters.store import Store
from swingtrader.commands.account_binding import bind_account
from swingtrader.commands.data_pull import PullOptions, pull
from swingtrader.commands.model_candidate import settle
from swingtrader.commands.retraining import Retraining
from swingtrader.commands.trading_command import about_the_store, broker_clock, recorded
from swingtrader.core.new_york import session_at
from swingtrader.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime
    from pathlib import Path

    from swingtrader.adapters.bars import Bars
    from swingtrader.commands.backtest_inputs import Progress
    from swingtrader.commands.model_candidate import Candidate
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
        broker = launch.connect.broker()
        clock = broker_clock(launch, broker)
        session = session_at(clock)
        store.runs.saw_clock(launch.run_id, clock, session)
        bind_account(store, broker, launch.settings, clock, session)
        pull(
            PullOptions(places.data_dir, clock, sessions=None, news_days=0),
            strategy,
            launch.connect.data(clock.at),
            progress,
        )
        outcome = _retrained(
            places, strategy, options, read_bars(places.bars_file),
            session=session, at=clock.at, store=store, progress=progress,
        )  # fmt: skip
        report.update(
            _report(launch.run_id, str(launch.settings.mode), outcome, options),
            warnings=[*report["warnings"], *outcome.warnings],
        )
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
        outcome = _retrained(
            places, strategy, options, bars,
            session=session_after(known[-1].item()), at=closed_at.replace(tzinfo=UTC),
            store=store, progress=progress,
        )  # fmt: skip
        told = [*about_the_store(store), *outcome.warnings]
        return {**_report(run_id, mode, outcome, options), "warnings": told}


@dataclass(frozen=True)
class _Outcome:
    session: date
    at: datetime
    candidates: Sequence[Candidate]
    warnings: Sequence[str]


def _retrained(
    places: Places,
    strategy: Strategy,
    options: RetrainOptions,
    bars: Bars,
    *,
    session: date,
    at: datetime,
    store: Store,
    progress: Progress,
) -> _Outcome:
    """Train what is asked for; install and promote once all of it is judged."""
    training = Retraining(places, strategy, options, bars, session, at, store, progress)
    candidates = training.candidates()
    if not options.dry_run:
        done = progress.phase("Installing", len(candidates))
        for number, candidate in enumerate(candidates, start=1):
            settle(places.models_dir, candidate, store, created_at=at)
            done(number)
    return _Outcome(session, at, candidates, training.warnings)


def _report(run_id: str, mode: str, outcome: _Outcome, options: RetrainOptions) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "command": "retrain",
        "mode": mode,
        "asof": outcome.at.isoformat(),
        "session": outcome.session.isoformat(),
        "dry_run": options.dry_run,
        "stages": [
            {
                "family": candidate.family,
                "version": candidate.version,
                "promoted": candidate.verdict.promoted and not options.dry_run,
                "verdict": candidate.verdict.sentence,
                "figures": candidate.validation,
            }
            for candidate in outcome.candidates
        ],
        "skipped": None,
    }
