"""The agents that want to serve: trained on what has ranked high of late, and compared.

An ensemble that has not earned its weight is promoted like any other, with no weight: then the
signal is absent, which is what the latest sessions say of it. One that has earned it must not be
worse than the serving one on the quarter that neither has seen.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import structlog

from swingtrader.adapters.bars import panel_sha256
from swingtrader.commands.live_agents import ENSEMBLE_FILE, FAMILY
from swingtrader.commands.live_signals import serving_ranker
from swingtrader.commands.model_candidate import Candidate
from swingtrader.commands.ranker_training import scores_at
from swingtrader.commands.rl_training import (
    SCAN_SESSIONS,
    cost_fraction_of,
    ensemble_returns,
    top_symbols,
    train_rl,
)
from swingtrader.core.agents import Ensemble
from swingtrader.core.challenge import Verdict, ensemble_verdict
from swingtrader.estimators.agents import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from swingtrader.adapters.model_cache import ModelCache
    from swingtrader.adapters.store import Store
    from swingtrader.commands.backtest_inputs import Progress
    from swingtrader.commands.rl_training import RlTraining
    from swingtrader.commands.training_material import Material
    from swingtrader.config import Strategy
    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.trees import TreeEnsemble
    from swingtrader.estimators.artifact import Artifact

_log = structlog.get_logger()


def rl_candidate(  # noqa: PLR0913 - what a training is given
    material: Material,
    p_high_volatility: FloatArray,
    symbols: tuple[str, ...],
    strategy: Strategy,
    *,
    champion: Artifact | None,
    seed: int,
    timesteps: int,
    agent_seeds: int,
    cache: ModelCache,
    progress: Progress,
) -> Candidate:
    """Train the agents on `symbols` and judge them.

    Parameters
    ----------
    p_high_volatility : ndarray of shape (T,)
        Filtered up to each row's close; NaN where unknown.
    symbols : tuple of str
        From `chosen_symbols`.
    champion : Artifact, optional
        The serving ensemble.
    seed : int
        The first of `agent_seeds` consecutive ones.

    Raises
    ------
    DataError
        The history is too short, or a file of the champion is damaged.
    """
    cost_fraction = cost_fraction_of(strategy.costs)
    training = train_rl(
        material.view,
        p_high_volatility,
        symbols,
        known=material.known,
        cost_fraction=cost_fraction,
        cache=cache,
        progress=progress.phase("Training agents", len(ALGORITHMS) * agent_seeds),
        seeds=range(seed, seed + agent_seeds),
        timesteps=timesteps,
    )

    def earned(ensemble: Ensemble) -> FloatArray:
        return ensemble_returns(
            ensemble,
            material.view,
            p_high_volatility,
            symbols,
            training.rows.validation,
            cost_fraction=cost_fraction,
        )

    theirs = None if champion is None else _ensemble(champion)
    rival = None if theirs is None else earned(theirs)
    return Candidate(
        family=FAMILY,
        day=material.panel.sessions[-1].item(),
        files={ENSEMBLE_FILE: training.ensemble.to_bytes()},
        verdict=_verdict(training, earned, rival),
        training_sessions=training.training_sessions,
        library_versions={
            name: version(name) for name in ("swingtrader", "numpy", "stable-baselines3", "torch")
        },
        data_sha256=panel_sha256(material.panel),
        seed=seed,
        figures=training.figures,
    )


def chosen_symbols(
    material: Material,
    store: Store,
    ranker: TreeEnsemble | None,
    models_dir: Path,
    asof: datetime,
) -> tuple[tuple[str, ...], str | None]:
    """Symbols that ranked highest over the last month of stored scans, or by the ranker today.

    Parameters
    ----------
    ranker : TreeEnsemble, optional
        Just trained; else the serving one is asked.

    Returns
    -------
    symbols : tuple of str
    said : str or None
        A sentence where there were too few scans.

    Raises
    ------
    DataError
        Neither scans nor a ranker name any symbol.
    """
    view, known = material.view, material.known
    if ranker is None:
        serving, _ = serving_ranker(models_dir, asof=asof)
        ranker = None if serving is None else serving.ensemble
    probability = np.full(len(view.stocks.symbols), np.nan)
    if ranker is not None:
        probability = scores_at(ranker, view.factors[-1:])[0]
    month = view.stocks.sessions[max(0, known + 1 - SCAN_SESSIONS)].item()
    symbols, chosen_by = top_symbols(
        store.scans.since(month), view, known=known, probability=probability
    )
    if chosen_by == "scans":
        return symbols, None
    return symbols, "too few scans are stored: agents learn from what the ranker ranks high today"


def _verdict(
    training: RlTraining, earned: Callable[[Ensemble], FloatArray], rival: FloatArray | None
) -> Verdict:
    if training.why_absent is not None:
        return Verdict(promoted=True, sentence=f"no weight: {training.why_absent}", figures={})
    return ensemble_verdict(earned(training.ensemble), rival)


def _ensemble(champion: Artifact) -> Ensemble | None:
    """The champion's ensemble; None where this version of the program cannot ask it."""
    try:
        return Ensemble.from_bytes(champion.path(ENSEMBLE_FILE).read_bytes())
    except ValueError:
        _log.warning("champion.not_comparable", family=FAMILY, version=champion.version)
        return None
