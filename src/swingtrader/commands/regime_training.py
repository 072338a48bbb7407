"""The regime model that serves: fitted, judged against the one before it, and installed.

A model is fitted for a calendar week, on what was known before its first session, exactly as the
backtest fits it. A twin is fitted beside it without the last sessions. Models are compared by
their twins, on sessions that neither twin has seen, and the model of a new week serves only where
its twin foretells them no worse than the serving model's twin does, beyond noise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.adapters.model_cache import fingerprint
from swingtrader.commands.model_candidate import Candidate, unjudged
from swingtrader.commands.walk_forward import has_regimes, regime_start
from swingtrader.core.challenge import regime_verdict
from swingtrader.core.regime import RegimeModel, predictive_log_likelihood
from swingtrader.errors import DataError, FileDataError
from swingtrader.estimators.artifact import serving

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.challenge import Verdict
    from swingtrader.estimators.artifact import Artifact

FAMILY = "regime"
MODEL_FILE = "regime.npz"
TWIN_FILE = "held-back.npz"
WINDOW_FILE = "window.json"

HELD_BACK_SESSIONS = 63
"""A quarter: the last sessions with features, which the twin is not fitted to."""


@dataclass(frozen=True, eq=False)
class ServingRegime:
    """The regime model in use.

    Attributes
    ----------
    week : date
        Monday of the week it was fitted for.
    first_session : date
        First session it was fitted on, from which it filters.
    twin : RegimeModel or None
        Fitted without the held-back sessions; None where history was too short for one.
    """

    week: date
    first_session: date
    model: RegimeModel
    twin: RegimeModel | None
    artifact: Artifact


def serving_regime(models_dir: Path) -> tuple[ServingRegime | None, tuple[str, ...]]:
    """Read the serving regime model, with a sentence for whatever is wrong with it.

    A store without one, or with a damaged one, is no error: the regime is then unknown.
    """
    try:
        found = serving(models_dir, FAMILY)
        if found.artifact is None:
            return None, found.doubts
        return _regime(found.artifact), found.doubts
    except DataError as error:
        return None, (f"{error}: the regime is unknown",)


def regime_candidate(
    features: FloatArray,
    sessions: Sequence[date],
    *,
    known: int,
    week: date,
    seed: int,
    champion: ServingRegime | None,
) -> Candidate | None:
    """Fit the model of a week and judge it; None where there is too little to fit one to.

    Parameters
    ----------
    features : ndarray of shape (T, 2)
        As from `regime_features`; rows after `known` are not read.
    sessions : sequence of date, length T
    known : int
        Row of the last session before `week`.
    week : date
        Monday.
    """
    from swingtrader.estimators.hmm import fit_regime  # noqa: PLC0415 - one run a week fits

    start = regime_start(known)
    window = features[start : known + 1]
    if not has_regimes(window):
        return None
    model = fit_regime(window, seed=seed)
    shortened = window[: _held_back_from(window)]
    twin = fit_regime(shortened, seed=seed) if has_regimes(shortened) else None
    files = {
        MODEL_FILE: model.to_bytes(),
        WINDOW_FILE: json.dumps(
            {"week": week.isoformat(), "first_session": sessions[start].isoformat()}
        ).encode(),
    }
    if twin is not None:
        files[TWIN_FILE] = twin.to_bytes()
    return Candidate(
        family=FAMILY,
        day=week,
        files=files,
        verdict=_verdict(features[: known + 1], sessions, start, twin, champion),
        training_sessions=(sessions[start], sessions[known]),
        library_versions={name: version(name) for name in ("swingtrader", "numpy", "hmmlearn")},
        data_sha256=fingerprint(window.tobytes()),
        seed=seed,
    )


def _held_back_from(features: FloatArray) -> int:
    """Row of the first held-back session: with a missing bar a month of sessions says nothing."""
    told = np.flatnonzero(np.isfinite(features).all(axis=1))
    return int(told[-HELD_BACK_SESSIONS]) if len(told) >= HELD_BACK_SESSIONS else 0


def _verdict(
    features: FloatArray,
    sessions: Sequence[date],
    start: int,
    twin: RegimeModel | None,
    champion: ServingRegime | None,
) -> Verdict:
    held_back = slice(start + _held_back_from(features[start:]) - len(features), None)
    rival = None
    if champion is not None and champion.twin is not None and champion.first_session in sessions:
        began = sessions.index(champion.first_session)
        rival = predictive_log_likelihood(features[began:], champion.twin)[held_back]
    if twin is None:
        return unjudged(has_champion=rival is not None)
    return regime_verdict(predictive_log_likelihood(features[start:], twin)[held_back], rival)


def _regime(artifact: Artifact) -> ServingRegime:
    path = artifact.directory / WINDOW_FILE
    try:
        window = json.loads(artifact.path(WINDOW_FILE).read_bytes())
        week, first = (date.fromisoformat(window[name]) for name in ("week", "first_session"))
        path = artifact.directory / MODEL_FILE
        model = RegimeModel.from_bytes(artifact.path(MODEL_FILE).read_bytes())
        path = artifact.directory / TWIN_FILE
        has_twin = TWIN_FILE in artifact.manifest.sha256
        twin = RegimeModel.from_bytes(artifact.path(TWIN_FILE).read_bytes()) if has_twin else None
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise FileDataError(path, f"{error}; run swingtrader retrain --only regime") from error
    return ServingRegime(week, first, model, twin, artifact)
