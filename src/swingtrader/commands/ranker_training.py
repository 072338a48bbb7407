"""The ranker that serves, and the record its sizing rests on.

Both are the backtest's: the model is the one its weekly retraining would serve from the same
close, and the record is the closed trades of its simulation over the history before. They are
installed together, because a Kelly fraction belongs to the model it was measured with.

A model that is trained up to the last realised label has no session left to be judged on. So a
twin is trained beside it without the last half year, and rankers are compared by their twins, on
sessions whose outcomes neither twin has seen.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import structlog

from swingtrader.adapters.bars import panel_sha256
from swingtrader.commands.live_signals import FAMILY, RECORD_FILE, TREES_FILE
from swingtrader.commands.model_candidate import Candidate, unjudged
from swingtrader.commands.ranker_record import csv_of, record_of
from swingtrader.commands.walk_forward import ranker_known_at
from swingtrader.core.challenge import ranker_verdict
from swingtrader.core.factors import FACTORS
from swingtrader.core.inference import spearman_by_session
from swingtrader.core.plausibility import reference_of
from swingtrader.core.trees import TreeEnsemble, probability
from swingtrader.core.walkforward import (
    LABEL_HORIZON,
    MINIMUM_CROSS_SECTION,
    RANKER_MINIMUM,
    rankable,
    training_rows,
)
from swingtrader.errors import DataError
from swingtrader.estimators.ranker import xgboost_version

if TYPE_CHECKING:
    from datetime import date

    from swingtrader.adapters.model_cache import ModelCache
    from swingtrader.commands.backtest_inputs import Progress
    from swingtrader.commands.training_material import Material
    from swingtrader.config import Strategy
    from swingtrader.core.arrays import BoolArray, FloatArray
    from swingtrader.core.challenge import Verdict
    from swingtrader.core.signals import MarketView
    from swingtrader.estimators.artifact import Artifact

TWIN_FILE = "held-back.npz"
REFERENCE_FILE = "reference.npz"
"""What the bars looked like, for the next retraining to compare its own with."""

HELD_BACK_SESSIONS = 126
"""Half a year of sessions with realised labels that the twin is judged on."""

_log = structlog.get_logger()


def ranker_candidate(
    material: Material,
    strategy: Strategy,
    *,
    seed: int,
    cache: ModelCache,
    champion: Artifact | None,
    progress: Progress,
) -> tuple[Candidate, TreeEnsemble]:
    """Train the ranker and its twin, simulate the record, and judge the twin.

    Parameters
    ----------
    cache : ModelCache
        Models of earlier weeks, shared with backtests.
    champion : Artifact, optional
        The serving ranker.

    Returns
    -------
    candidate : Candidate
    ensemble : TreeEnsemble
        The model itself.

    Raises
    ------
    DataError
        The history is too short to train on, or a file of the champion is damaged.
    """
    view, known = material.view, material.known
    ensemble, twin, verdict = judged_ranker(material, seed=seed, cache=cache, champion=champion)
    trades = record_of(material, strategy, seed=seed, cache=cache, progress=progress)
    rows = training_rows(known)
    chosen = material.usable[rows.start : rows.stop]
    trained_on = view.stocks.sessions[rows.start : rows.stop][chosen.any(axis=1)]
    files = {
        TREES_FILE: ensemble.to_bytes(),
        RECORD_FILE: csv_of(trades),
        REFERENCE_FILE: reference_of(material.panel).to_bytes(),
    }
    if twin is not None:
        files[TWIN_FILE] = twin.to_bytes()
    candidate = Candidate(
        family=FAMILY,
        day=material.panel.sessions[-1].item(),
        files=files,
        verdict=verdict,
        training_sessions=(trained_on[0].item(), trained_on[-1].item()),
        library_versions={
            "xgboost": xgboost_version(),
            **{name: version(name) for name in ("swingtrader", "numpy", "hmmlearn")},
        },
        data_sha256=panel_sha256(material.panel),
        seed=seed,
        figures={
            "training_sessions": float(len(trained_on)),
            "training_rows": float(np.count_nonzero(chosen)),
            "record_trades": float(len(trades)),
        },
    )
    return candidate, ensemble


def judged_ranker(
    material: Material, *, seed: int, cache: ModelCache, champion: Artifact | None
) -> tuple[TreeEnsemble, TreeEnsemble | None, Verdict]:
    """Train the ranker and its twin, and compare the twin with the champion's.

    Returns
    -------
    ensemble : TreeEnsemble
    twin : TreeEnsemble or None
        None where history is too short for one.
    verdict : Verdict

    Raises
    ------
    DataError
        The history is too short to train on, or a file of the champion is damaged.
    """
    known = material.known
    ensemble = _trained(material, known, seed, cache)
    if ensemble is None:
        raise DataError(_too_short(material.view, material.usable, known))
    twin = _trained(material, known - LABEL_HORIZON - HELD_BACK_SESSIONS, seed, cache)
    return ensemble, twin, _verdict(material, twin, champion)


def scores_at(ensemble: TreeEnsemble, factors: FloatArray) -> FloatArray:
    """Probability of every stock and session of `factors` (T, N, 13): shape (T, N).

    NaN where a factor is missing that a quarter of history gives.
    """
    scores = np.full(factors.shape[:-1], np.nan)
    asked = rankable(factors)
    if asked.any():
        scores[asked] = probability(ensemble, np.ascontiguousarray(factors)[asked])
    return scores


def _trained(material: Material, known: int, seed: int, cache: ModelCache) -> TreeEnsemble | None:
    if known < 0:
        return None
    factors = np.ascontiguousarray(material.view.factors)
    ensemble, _ = ranker_known_at(
        known, factors, material.labels, material.usable, seed=seed, cache=cache
    )
    return ensemble


def _twin(champion: Artifact) -> TreeEnsemble | None:
    """The champion's twin; None where it has none, or one that this version cannot ask."""
    if TWIN_FILE not in champion.manifest.sha256:
        return None
    try:
        twin = TreeEnsemble.from_bytes(champion.path(TWIN_FILE).read_bytes())
    except ValueError:
        twin = None
    if twin is None or twin.n_features != len(FACTORS):
        # Intact, so written by another version of the program: it cannot be compared.
        _log.warning("champion.not_comparable", family=FAMILY, version=champion.version)
        return None
    return twin


def _verdict(material: Material, twin: TreeEnsemble | None, champion: Artifact | None) -> Verdict:
    """Compare the twins on the last half year of realised labels, which neither has seen."""
    rival = None if champion is None else _twin(champion)
    if twin is None:
        return unjudged(has_champion=rival is not None)
    stop = material.known - LABEL_HORIZON + 1
    rows = slice(stop - HELD_BACK_SESSIONS, stop)
    factors, forward = material.view.factors[rows], material.forward[rows]
    scores = scores_at(twin, factors)
    if rival is None:
        return ranker_verdict(spearman_by_session(scores, forward), None, None)
    theirs = scores_at(rival, factors)
    agreement = spearman_by_session(scores, theirs)
    agreement = agreement[np.isfinite(agreement)]
    return ranker_verdict(
        spearman_by_session(scores, forward),
        spearman_by_session(theirs, forward),
        float(agreement.mean()) if agreement.size else None,
    )


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
