"""The trading agents of a live run: which ensemble serves, and whether it may speak.

Old agents are silent rather than wrong: without them the other signals decide, so a damaged,
outdated or future ensemble blocks nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.agents import ROLLED_SESSIONS, Ensemble, rolled_action
from swingtrader.errors import DataError, FileDataError
from swingtrader.estimators.artifact import serving

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.signals import MarketView
    from swingtrader.estimators.artifact import Artifact

FAMILY = "rl"
ENSEMBLE_FILE = "ensemble.npz"

MAXIMUM_AGE = timedelta(days=100)
"""A quarter and a week: agents are trained once a quarter at least."""

FUTURE_TOLERANCE = timedelta(days=1)
"""A model created later than this after the decision was trained on what is not known yet."""


@dataclass(frozen=True, eq=False)
class ServingEnsemble:
    """The ensemble in use.

    Attributes
    ----------
    ensemble : Ensemble or None
        None where it may not speak: too old, or from the future.
    """

    ensemble: Ensemble | None
    artifact: Artifact


def serving_ensemble(
    models_dir: Path, *, asof: datetime
) -> tuple[ServingEnsemble | None, tuple[str, ...]]:
    """Read the serving ensemble, with a sentence for whatever silences it.

    A store without one is no error and no doubt: training may have found no agent worth hearing.
    For the same reason nothing is said of an ensemble in which no agent has any weight.

    Parameters
    ----------
    asof : datetime
        Of the decision, aware.
    """
    try:
        found = serving(models_dir, FAMILY)
        if found.artifact is None:
            return None, found.doubts
        ensemble = _ensemble(found.artifact)
    except DataError as error:
        return None, (f"{error}: the trading agents are not heard",)
    manifest = found.artifact.manifest
    age = asof - manifest.created_at
    if age > MAXIMUM_AGE:
        why = f"are {age / timedelta(days=1):.0f} days old, more than {MAXIMUM_AGE.days}"
    elif age < -FUTURE_TOLERANCE:
        why = f"were created on {manifest.created_at.astimezone(UTC):%Y-%m-%d}, later than now"
    else:
        return ServingEnsemble(ensemble, found.artifact), found.doubts
    said = f"the trading agents {manifest.version} {why}: they are not heard"
    return ServingEnsemble(None, found.artifact), (*found.doubts, said)


def agents_signal(
    ensemble: Ensemble | None, view: MarketView, p_high_path: FloatArray | None
) -> FloatArray | None:
    """Hear the agents after the last completed session of `view`, the last but one of its rows.

    Parameters
    ----------
    p_high_path : ndarray of shape (P,), optional
        Filtered probability after each completed session, oldest first, by the model that serves;
        earlier ones count as unknown.

    Returns
    -------
    ndarray of shape (N,), or None
        As from `rolled_action`; None without an ensemble or a completed session.
    """
    last = len(view.factors) - 1
    completed = slice(max(0, last - ROLLED_SESSIONS), last)
    factors = view.factors[completed]
    if ensemble is None or not len(factors):
        return None
    p_high = np.full(len(factors), np.nan)
    if p_high_path is not None and len(p_high_path):
        known = p_high_path[-len(factors) :]
        p_high[-len(known) :] = known
    return rolled_action(ensemble, factors, p_high, view.atr_fraction[completed])


def _ensemble(artifact: Artifact) -> Ensemble:
    path = artifact.path(ENSEMBLE_FILE)
    try:
        return Ensemble.from_bytes(path.read_bytes())
    except (OSError, ValueError) as error:
        raise FileDataError(path, f"{error}; train the agents anew") from error
