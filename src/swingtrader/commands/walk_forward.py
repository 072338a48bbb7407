"""Weekly retraining of ranker and regime, and what each model says while it serves.

Each model is kept under a hash of its training rows, parameters and recipe, so a run over bars
seen before trains nothing. Two fits run side by side, one thread each: a fit's sums are then
added in one order on every machine, and its bits do not depend on the number of processors.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.adapters.calendar import session_closes, session_opens
from swingtrader.adapters.model_cache import fingerprint
from swingtrader.commands.high_volatility import HighVolatilityPath
from swingtrader.core import regime, trees
from swingtrader.core.arrays import frozen
from swingtrader.core.regime import RegimeModel, filtered_probabilities, log_likelihood
from swingtrader.core.signals import before_open, decision_signals
from swingtrader.core.simulate import Known
from swingtrader.core.trees import TreeEnsemble, probability
from swingtrader.core.walkforward import (
    MINIMUM_CROSS_SECTION,
    RANKER_MINIMUM,
    REGIME_MINIMUM,
    REGIME_WINDOW,
    rankable,
    training_rows,
)
from swingtrader.estimators import hmm, ranker
from swingtrader.estimators.ranker import MINIMUM_ROWS, RankerParameters, xgboost_version

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from swingtrader.adapters.model_cache import ModelCache
    from swingtrader.core.arrays import BoolArray, FloatArray
    from swingtrader.core.signals import MarketView
    from swingtrader.core.walkforward import Retraining

CACHED_MODELS = 20_000
"""Files kept in the cache: some two dozen backtests of seven years, about half a gigabyte."""


@dataclass(frozen=True, eq=False)
class Opinions:
    """What the models said, by the session decided in.

    Attributes
    ----------
    probability : ndarray of shape (T, N)
        Ranker's probability of the top quartile; NaN without a model or with too few factors.
    p_high_volatility : ndarray of shape (T,)
        Filtered to the session before; NaN without a model.
    trained, cached : int
        Models fitted in this run, and taken from the cache.
    paths : tuple of HighVolatilityPath
        One a retraining, in order: what its regime model said of the sessions before.
    """

    probability: FloatArray
    p_high_volatility: FloatArray
    trained: int
    cached: int
    paths: tuple[HighVolatilityPath, ...] = ()


@dataclass(frozen=True, eq=False)
class _Training:
    """The arrays all trainings share, laid out for taking rows from."""

    factors: FloatArray
    labels: FloatArray
    usable: BoolArray
    rankable: BoolArray
    regime: FloatArray
    seed: int
    cache: ModelCache


def walk_forward(
    view: MarketView,
    labels: FloatArray,
    usable: BoolArray,
    retrainings: Sequence[Retraining],
    *,
    cache: ModelCache,
    seed: int,
    progress: Callable[[int], None],
) -> Opinions:
    """Train, or fetch, the models of every retraining and let each speak for its sessions.

    Parameters
    ----------
    labels : ndarray of shape (T, N)
        Realised later than their row; only rows `training_rows` allows are ever read.
    usable : ndarray of shape (T, N), bool
    progress : callable
        Told how many retrainings are done.
    """
    training = _Training(
        factors=np.ascontiguousarray(view.factors),
        labels=labels,
        usable=usable,
        rankable=rankable(view.factors),
        regime=view.regime,
        seed=seed,
        cache=cache,
    )
    spoken = np.full(view.stocks.close.shape, np.nan)
    p_high = np.full(len(view.stocks.sessions), np.nan)
    trained = cached = 0
    paths: list[HighVolatilityPath] = []
    workers = max(1, min(2, len(os.sched_getaffinity(0))))
    with ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(_opinions_of, training, r): r for r in retrainings}
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                rows = futures[future].serves
                ranked, path, *states = future.result()
                spoken[rows.start : rows.stop] = ranked
                if len(path.filtered):
                    p_high[rows.start : rows.stop] = path.filtered[-len(rows) :]
                paths.append(path)
                trained += states.count("trained")
                cached += states.count("cached")
                progress(done)
        except BaseException:
            # Without this an interrupted run would first finish every training in the queue.
            pool.shutdown(cancel_futures=True)
            raise
    cache.prune(CACHED_MODELS)
    paths.sort(key=lambda path: path.serves.start)  # futures complete in any order
    return Opinions(frozen(spoken), frozen(p_high), trained, cached, tuple(paths))


def known_at_opens(
    view: MarketView,
    opinions: Opinions,
    sentiment: FloatArray | None = None,
    rl: FloatArray | None = None,
) -> Known:
    """Join bars, models and headlines to what each session's decision may know.

    Parameters
    ----------
    sentiment, rl : ndarray of shape (T, N), optional
        By the session decided in; None is absent.
    """
    sessions = view.stocks.sessions
    return Known(
        opens_at=session_opens(sessions),
        closes_at=session_closes(sessions),
        sector=view.sector,
        probability=opinions.probability,
        signals=decision_signals(
            view, opinions.probability, opinions.p_high_volatility, sentiment, rl
        ),
        sector_strength=before_open(view.strength),
        close=before_open(view.stocks.close),
        dollar_volume_usd=before_open(view.dollar_volume_usd),
        atr_fraction=before_open(view.atr_fraction),
        p_high_volatility=opinions.p_high_volatility,
    )


def _opinions_of(
    training: _Training, retraining: Retraining
) -> tuple[FloatArray, HighVolatilityPath, str, str]:
    ranked, ranker_state = _ranked(training, retraining)
    path, regime_state = _regime(training, retraining)
    return ranked, path, ranker_state, regime_state


def _ranked(training: _Training, retraining: Retraining) -> tuple[FloatArray, str]:
    """Probabilities for the sessions served: shape (len(serves), N)."""
    serves = retraining.serves
    spoken = np.full((len(serves), training.labels.shape[1]), np.nan)
    ensemble, state = ranker_known_at(
        retraining.known,
        training.factors,
        training.labels,
        training.usable,
        seed=training.seed,
        cache=training.cache,
    )
    if ensemble is None:
        return spoken, state
    # The decision of session t reads the factors of session t - 1.
    known = slice(serves.start - 1, serves.stop - 1)
    asked = training.rankable[known]
    spoken[asked] = probability(ensemble, training.factors[known][asked])
    return spoken, state


def ranker_known_at(
    known: int,
    factors: FloatArray,
    labels: FloatArray,
    usable: BoolArray,
    *,
    seed: int,
    cache: ModelCache,
) -> tuple[TreeEnsemble | None, str]:
    """Train, or fetch, the ranker from what was known at the close of row `known`.

    Parameters
    ----------
    factors : ndarray of shape (T, N, F)
    labels : ndarray of shape (T, N)
    usable : ndarray of shape (T, N), bool

    Returns
    -------
    ensemble : TreeEnsemble or None
        None where there are too few sessions or rows, or only one class.
    state : str
        ``trained``, ``cached`` or ``none``.
    """
    rows = training_rows(known)
    chosen = usable[rows.start : rows.stop]
    sessions = np.count_nonzero(chosen.sum(axis=1) >= MINIMUM_CROSS_SECTION)
    if sessions < RANKER_MINIMUM or np.count_nonzero(chosen) < MINIMUM_ROWS:
        return None, "none"
    x = factors[rows.start : rows.stop][chosen]
    y = labels[rows.start : rows.stop][chosen] > 0.5
    if y.all() or not y.any():
        return None, "none"
    parameters = RankerParameters()
    key = fingerprint(
        "ranker", _recipe(ranker, trees), repr(parameters), f"xgboost {xgboost_version()}",
        str(seed), x.tobytes(), y.tobytes(),
    )  # fmt: skip
    content = cache.get(key)
    if content is not None:
        return TreeEnsemble.from_bytes(content), "cached"
    ensemble = ranker.fit_ranker(x, y, seed=seed, parameters=parameters)
    cache.put(key, ensemble.to_bytes())
    return ensemble, "trained"


def _regime(training: _Training, retraining: Retraining) -> tuple[HighVolatilityPath, str]:
    """Filtered probability of high volatility up to the last session served."""
    serves = retraining.serves
    start = regime_start(retraining.known)
    features = training.regime[start : retraining.known + 1]
    if not has_regimes(features):
        return HighVolatilityPath(serves, start, np.empty(0)), "none"
    key = fingerprint(
        "regime", _recipe(hmm, regime), f"hmmlearn {version('hmmlearn')}",
        str(training.seed), features.tobytes(),
    )  # fmt: skip
    content = training.cache.get(key)
    if content is None:
        model = hmm.fit_regime(features, seed=training.seed)
        training.cache.put(key, model.to_bytes())
    else:
        model = RegimeModel.from_bytes(content)
    filtered = filtered_high_volatility(training.regime[start : serves.stop - 1], model)
    state = "trained" if content is None else "cached"
    return HighVolatilityPath(serves, start, frozen(filtered)), state


def regime_start(known: int) -> int:
    """Row of the first session that the regime model of row `known` is fitted and filtered on."""
    return max(0, known + 1 - REGIME_WINDOW)


def has_regimes(features: FloatArray) -> bool:
    """Whether a regime model can be fitted to `features` (T, 2): enough of them, and movement."""
    finite = features[np.isfinite(features).all(axis=1)]
    return len(finite) >= REGIME_MINIMUM and bool(
        (finite.std(axis=0) >= hmm.SMALLEST_DEVIATION).all()
    )


def filtered_high_volatility(features: FloatArray, model: RegimeModel) -> FloatArray:
    """Filtered probability of high volatility after each row of `features` (T, 2): shape (T,)."""
    density = log_likelihood(features, model)
    return filtered_probabilities(density, model.startprob, model.transmat)[:, -1]


@cache
def _recipe(*modules: ModuleType) -> str:
    """Digest of the code that trains and stores a model: after a change no old one is served."""
    return fingerprint(*(Path(str(module.__file__)).read_bytes() for module in modules))
