"""Weekly models: when they are trained, when they are fetched, for which sessions they speak."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from swingtrader.adapters.model_cache import ModelCache
from swingtrader.commands.walk_forward import walk_forward
from swingtrader.config import default_universe
from swingtrader.core.signals import market_view
from swingtrader.core.walkforward import (
    forward_returns,
    top_quartile,
    usable_rows,
    weekly_retrainings,
)

WEEKS = 2


@pytest.fixture(scope="session")
def view(market):
    return market_view(market.panel, default_universe())


@pytest.fixture(scope="session")
def served(view):
    """Sessions of the last weeks: what the models are to speak for."""
    every = weekly_retrainings(view.stocks.sessions, range(1, len(view.stocks.sessions)))
    return range(every[-WEEKS].serves.start, every[-1].serves.stop)


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def opinions(view, served, shared):
    """Return a caller of `walk_forward` over the last weeks; anything may be changed."""

    def call(*, rows=served, view=view, cache=None, seed=0, progress=lambda _: None):
        labels = top_quartile(forward_returns(view.stocks.close))
        return walk_forward(
            view,
            labels,
            usable_rows(view.factors, labels),
            weekly_retrainings(view.stocks.sessions, rows),
            cache=ModelCache(shared) if cache is None else cache,
            seed=seed,
            progress=progress,
        )

    return call


def same(one, two):
    """Whether two sets of opinions are equal to the last bit."""
    return np.array_equal(one.probability, two.probability, equal_nan=True) and np.array_equal(
        one.p_high_volatility, two.p_high_volatility, equal_nan=True
    )


def test_models_speak_for_the_sessions_asked_for_and_no_other(opinions, view, served):
    said = opinions()
    inside = np.isin(np.arange(len(view.stocks.sessions)), served)
    assert np.isfinite(said.probability[inside]).all()
    assert np.isfinite(said.p_high_volatility[inside]).all()
    assert np.isnan(said.probability[~inside]).all()
    assert np.isnan(said.p_high_volatility[~inside]).all()
    for values in (said.probability[inside], said.p_high_volatility[inside]):
        assert ((values >= 0) & (values <= 1)).all()


def test_each_week_trains_one_ranker_and_one_regime_and_later_runs_none(opinions, tmp_path):
    first = opinions(cache=ModelCache(tmp_path))
    assert (first.trained, first.cached) == (2 * WEEKS, 0)
    second = opinions(cache=ModelCache(tmp_path))
    assert (second.trained, second.cached) == (0, 2 * WEEKS)
    assert same(first, second)


def test_a_damaged_model_is_trained_anew_to_the_same_bits(opinions, tmp_path):
    first = opinions(cache=ModelCache(tmp_path))
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    cache = ModelCache(tmp_path)
    second = opinions(cache=cache)
    assert cache.damaged == second.trained == 2 * WEEKS
    assert same(first, second)


def test_bits_do_not_depend_on_the_number_of_processors(opinions, tmp_path):
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        alone = opinions(cache=ModelCache(tmp_path))
    finally:
        os.sched_setaffinity(0, allowed)
    assert alone.trained == 2 * WEEKS
    assert same(alone, opinions())


def test_the_seed_belongs_to_the_model(opinions):
    opinions()
    assert opinions(seed=1).trained == 2 * WEEKS


def test_a_week_asked_for_alone_hears_the_same_as_among_others(opinions, served):
    every = opinions()
    last = range(served.stop - 5, served.stop)
    alone = opinions(rows=last)
    rows = slice(last.start, last.stop)
    assert np.array_equal(alone.probability[rows], every.probability[rows])
    assert np.array_equal(alone.p_high_volatility[rows], every.p_high_volatility[rows])


def test_what_happens_in_a_session_is_not_known_when_it_is_decided(opinions, view, served):
    day = served.start + 7
    changed = opinions(
        view=replace(view, factors=_negated(view.factors, day), regime=_negated(view.regime, day))
    )
    before, after = slice(0, day + 1), slice(day + 1, None)
    honest = opinions()
    for name in ("probability", "p_high_volatility"):
        old, new = getattr(honest, name), getattr(changed, name)
        assert np.array_equal(old[before], new[before], equal_nan=True)
        assert not np.array_equal(old[after], new[after], equal_nan=True)


def _negated(values, first):
    changed = values.copy()
    changed[first:] *= -1
    return changed


def test_without_a_year_of_labelled_sessions_nobody_speaks(opinions):
    said = opinions(rows=range(200, 210))
    assert (said.trained, said.cached) == (0, 0)
    assert np.isnan(said.probability).all()
    assert np.isnan(said.p_high_volatility).all()


def test_a_stock_with_a_missing_factor_is_not_ranked(opinions, view, served):
    factors = view.factors.copy()
    factors[served.start + 2, 0, 0] = np.nan
    said = opinions(view=replace(view, factors=factors))
    unknown = np.argwhere(np.isnan(said.probability[served.start : served.stop]))
    assert unknown.tolist() == [[3, 0]]  # the session after


def test_progress_counts_every_week_once(opinions):
    told = []
    opinions(progress=told.append)
    assert told == list(range(1, WEEKS + 1))


def test_an_interrupt_cancels_the_weeks_not_yet_begun(opinions, view, tmp_path):
    def interrupted(_):
        raise KeyboardInterrupt

    count = len(view.stocks.sessions)
    with pytest.raises(KeyboardInterrupt):
        opinions(rows=range(count - 60, count), cache=ModelCache(tmp_path), progress=interrupted)
    # Two were at work, two may have begun meanwhile; a dozen were asked for.
    assert len(list(tmp_path.iterdir())) <= 2 * 5


def test_a_market_without_movement_or_without_differences_has_no_model(opinions, view):
    still = replace(view, regime=np.zeros(view.regime.shape))
    assert np.isnan(opinions(view=still).p_high_volatility).all()

    one = view.stocks.close[:, :1]
    same = replace(view.stocks, close=np.broadcast_to(one, view.stocks.close.shape))
    assert np.isnan(opinions(view=replace(view, stocks=same)).probability).all()
