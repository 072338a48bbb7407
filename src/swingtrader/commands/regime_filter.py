"""The market's regime, live: filtered forward every day, fitted anew once a week.

The figures are the backtest's, bit by bit. It fits before the first session of every calendar
week, on what was known then, and filters from the first session of that fit. So does a run here,
on whichever day of the week it comes first: a fit that Monday missed uses Monday's knowledge.

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
from swingtrader.commands.walk_forward import (
    filtered_high_volatility,
    has_regimes,
    regime_start,
)
from swingtrader.core.regime import RegimeModel, exposure_scale, regime_features, regime_label
from swingtrader.core.sectors import market_index

if TYPE_CHECKING:
    from datetime import datetime

    from swingtrader.adapters.bars import Bars
    from swingtrader.adapters.store import Store, StoredRegimeModel
    from swingtrader.config import Strategy
    from swingtrader.core.arrays import FloatArray
    from swingtrader.core.regime import RegimeLabel


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
    """

    session: date
    p_high_volatility: float
    label: RegimeLabel
    exposure_scale: float
    refitted: bool
    fitted_for: date | None


@dataclass(frozen=True, eq=False)
class _History:
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
    """
    history = _history(bars, strategy, session)
    stored = store.regimes.model()
    model = None if stored is None else _model(stored, history)
    if stored is not None and model is not None and stored.week >= history.week:
        reading = _reading(history, stored.week, stored.first_session, model)
    else:
        reading = _refitted(history, store, at, seed)
    if reading.fitted_for is not None:
        store.regimes.record(session, reading.p_high_volatility, reading.label, at)
    return reading


def current_regime(
    bars: Bars, strategy: Strategy, store: Store, *, session: date
) -> RegimeReading | None:
    """Filter to the session before `session` with the stored model, whatever week it is for.

    Fits and writes nothing, and returns None where no stored model can be used.

    Raises
    ------
    ValueError
        `session` is no session of the exchange.
    """
    stored = store.regimes.model()
    if stored is None:
        return None
    history = _history(bars, strategy, session)
    model = _model(stored, history)
    if model is None:
        return None
    return _reading(history, stored.week, stored.first_session, model)


def _history(bars: Bars, strategy: Strategy, session: date) -> _History:
    panel = panel_before(bars.panel, session)
    universe = strategy.universe
    symbols = universe.tradable(panel.symbols, listed_only=strategy.listed_only)
    market = market_index(panel, universe, panel.select(symbols))
    sessions: list[date] = panel.sessions.tolist()
    # Bars end where the file does, and the rest of the panel was appended.
    covered = int(np.searchsorted(panel.sessions, bars.panel.sessions[-1], side="right"))
    first_unknown = sessions[min(covered, len(sessions) - 1)]
    week = first_unknown - timedelta(days=first_unknown.weekday())
    return _History(
        session=session,
        sessions=sessions[:-1],
        features=regime_features(market)[:-1],
        week=week,
        known=int(np.searchsorted(panel.sessions, np.datetime64(week, "D"))) - 1,
    )


def _model(stored: StoredRegimeModel, history: _History) -> RegimeModel | None:
    """Return the stored model where it can still be used."""
    if stored.first_session not in history.sessions:
        return None
    try:
        return RegimeModel.from_bytes(stored.content)
    except ValueError:
        return None  # damaged, or of another version of the program: to be fitted anew


def _refitted(history: _History, store: Store, at: datetime, seed: int) -> RegimeReading:
    start = regime_start(history.known)
    features = history.features[start : history.known + 1]
    if not has_regimes(features):
        return RegimeReading(
            session=history.session,
            p_high_volatility=math.nan,
            label=regime_label(math.nan),
            exposure_scale=exposure_scale(math.nan),
            refitted=False,
            fitted_for=None,
        )
    from swingtrader.estimators.hmm import fit_regime  # noqa: PLC0415 - one run a week fits

    model = fit_regime(features, seed=seed)
    first_session = history.sessions[start]
    store.regimes.save_model(history.week, first_session, model.to_bytes(), at)
    return _reading(history, history.week, first_session, model, refitted=True)


def _reading(
    history: _History,
    fitted_for: date,
    first_session: date,
    model: RegimeModel,
    *,
    refitted: bool = False,
) -> RegimeReading:
    start = history.sessions.index(first_session)
    p_high = float(filtered_high_volatility(history.features[start:], model)[-1])
    return RegimeReading(
        session=history.session,
        p_high_volatility=p_high,
        label=regime_label(p_high),
        exposure_scale=exposure_scale(p_high),
        refitted=refitted,
        fitted_for=fitted_for,
    )
