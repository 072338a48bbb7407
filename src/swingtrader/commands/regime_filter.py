"""The market's regime, live: filtered forward every day, fitted anew once a week.

The figures are the backtest's, bit by bit. It fits before the first session of every calendar
week, on what was known then, and filters from the first session of that fit. So does a run here,
on whichever day of the week it comes first: a fit that Monday missed uses Monday's knowledge.

A new model serves where it is not worse than the one before (`regime_training`); a week whose
model was refused goes on with the model before, and is not fitted again by later runs.

A week counts by the first session that the bars do not cover. Where bars are late, no model is
fitted for a week of whose eve nothing is known yet, and the filter carries its prediction on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.commands.live_signals import panel_before
from swingtrader.commands.model_candidate import settle
from swingtrader.commands.regime_training import FAMILY, regime_candidate, serving_regime
from swingtrader.commands.walk_forward import filtered_high_volatility
from swingtrader.core.arrays import frozen
from swingtrader.core.regime import exposure_scale, regime_features, regime_label
from swingtrader.core.sectors import market_index
from swingtrader.estimators.installation import installed

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from swingtrader.adapters.bars import Bars
    from swingtrader.adapters.store import Store
    from swingtrader.commands.regime_training import ServingRegime
    from swingtrader.config import Strategy
    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.regime import RegimeLabel, RegimeModel


@dataclass(frozen=True)
class RegimeReading:
    """The regime that the decisions of `session` go by.

    Attributes
    ----------
    p_high_volatility : float
        Filtered to the session before; NaN where no model can be fitted.
    label : str
    exposure_scale : float
    refitted : bool
        Whether this run fitted the model.
    fitted_for : date or None
        Monday of the week whose model this is; None without one.
    path : ndarray of shape (P,)
        Filtered probability after each completed session since the model's first, oldest first;
        the last is `p_high_volatility`. Empty without a model.
    doubts : tuple of str
        What is wrong with the model that should serve.
    """

    session: date
    p_high_volatility: float
    label: RegimeLabel
    exposure_scale: float
    refitted: bool
    fitted_for: date | None
    path: FloatArray
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class RegimeHistory:
    """The regime's features before the session decided in.

    Attributes
    ----------
    sessions : list of date, length T
        Up to the session before.
    features : ndarray of shape (T, 2)
    week : date
        Monday of the week to have a model for.
    known : int
        Row of the last session before that week; -1 for none.
    """

    session: date
    sessions: list[date]
    features: FloatArray
    week: date
    known: int


def update_regime(
    bars: Bars,
    strategy: Strategy,
    store: Store,
    models_dir: Path,
    *,
    session: date,
    at: datetime,
    seed: int = 0,
) -> RegimeReading:
    """Filter to the session before `session`, fit first where the week has no model, and record.

    An unknown regime is not recorded: the last one that was known stays the latest.

    Parameters
    ----------
    session : date
        The next session to be decided in; no bar of it or later is read.
    at : datetime
        Of this run, aware.

    Raises
    ------
    ValueError
        `session` is no session of the exchange.
    ConfigurationError
        The model store cannot be written to.
    """
    history = regime_history(bars, strategy, session)
    champion, doubts = serving_regime(models_dir)
    refitted = False
    if champion is not None and champion.first_session not in history.sessions:
        champion = None  # it cannot be filtered from its beginning any more
    if champion is None or (
        champion.week < history.week and not _has_been_fitted(models_dir, history.week)
    ):
        candidate = regime_candidate(
            history.features, history.sessions, known=history.known, week=history.week,
            seed=seed, champion=champion,
        )  # fmt: skip
        if candidate is not None:
            settle(models_dir, candidate, store, created_at=at)
            refitted = candidate.verdict.promoted
            champion, doubts = serving_regime(models_dir)
    reading = _reading(history, champion, doubts, refitted=refitted)
    if reading.fitted_for is not None:
        store.regimes.record(session, reading.p_high_volatility, reading.label, at)
    return reading


def current_regime(
    bars: Bars, strategy: Strategy, models_dir: Path, *, session: date
) -> RegimeReading:
    """Filter to the session before `session` with the serving model, whatever week it is for.

    Fits and writes nothing; the reading is unknown where no model can be used.

    Raises
    ------
    ValueError
        `session` is no session of the exchange.
    """
    history = regime_history(bars, strategy, session)
    return _reading(history, *serving_regime(models_dir))


def regime_history(bars: Bars, strategy: Strategy, session: date) -> RegimeHistory:
    """What the bars say of the market before `session`, and the week to have a model for.

    Raises
    ------
    ValueError
        `session` is no session of the exchange.
    """
    panel = panel_before(bars.panel, session)
    universe = strategy.universe
    symbols = universe.tradable(panel.symbols, listed_only=strategy.listed_only)
    market = market_index(panel, universe, panel.select(symbols))
    sessions: list[date] = panel.sessions.tolist()
    # Bars end where the file does, and the rest of the panel was appended.
    covered = int(np.searchsorted(panel.sessions, bars.panel.sessions[-1], side="right"))
    first_unknown = sessions[min(covered, len(sessions) - 1)]
    week = first_unknown - timedelta(days=first_unknown.weekday())
    return RegimeHistory(
        session=session,
        sessions=sessions[:-1],
        features=regime_features(market)[:-1],
        week=week,
        known=int(np.searchsorted(panel.sessions, np.datetime64(week, "D"))) - 1,
    )


def filtered_path(history: RegimeHistory, first_session: date, model: RegimeModel) -> FloatArray:
    """Filtered probability of high volatility after each session from a model's first one on.

    Returns
    -------
    ndarray of shape (P,)
        Oldest first; the last is of the last completed session. Empty where the bars do not
        reach back to `first_session`.
    """
    if first_session not in history.sessions:
        return frozen(np.zeros(0))
    start = history.sessions.index(first_session)
    return frozen(filtered_high_volatility(history.features[start:], model))


def _has_been_fitted(models_dir: Path, week: date) -> bool:
    """Whether the model of a week is there, and was refused or taken back by hand."""
    name = f"{week:%Y%m%d}-"
    return any(one.manifest.version.startswith(name) for one in installed(models_dir, FAMILY))


def _reading(
    history: RegimeHistory,
    serving: ServingRegime | None,
    doubts: tuple[str, ...],
    *,
    refitted: bool = False,
) -> RegimeReading:
    path: FloatArray = np.zeros(0)
    if serving is not None:
        path = filtered_path(history, serving.first_session, serving.model)
    if serving is not None and not path.size:
        gone = f"the bars do not reach back to {serving.first_session}, where the regime model "
        doubts = (*doubts, f"{gone}begins: run swingtrader data pull")
        serving = None
    p_high = float(path[-1]) if path.size else math.nan
    return RegimeReading(
        session=history.session,
        p_high_volatility=p_high,
        label=regime_label(p_high),
        exposure_scale=exposure_scale(p_high),
        refitted=refitted,
        fitted_for=None if serving is None else serving.week,
        path=path,
        doubts=doubts,
    )
