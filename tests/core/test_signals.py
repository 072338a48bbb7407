from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.core.factors import FACTORS
from swingtrader.core.market import Panel
from swingtrader.core.policy import SIGNALS
from swingtrader.core.signals import before_open, decision_signals, market_view
from swingtrader.core.universe import NO_SECTOR, Sector, Universe

NAN = np.nan
SESSIONS = 330
SYMBOLS = ("AA", "AB", "BA", "BB", "SPY", "XLA", "XLB", "ZZ")
STOCKS = ("AA", "AB", "BA", "BB", "ZZ")
UNIVERSE = Universe(
    (
        Sector("A", "XLA", "growth", ("AA", "AB")),
        Sector("B", "XLB", "defensive", ("BA", "BB")),
    )
)
ARRAYS = (
    "market", "strength", "market_signal", "factors", "atr_fraction", "dollar_volume_usd",
    "regime",
)  # fmt: skip


def random_panel(seed=11):
    """Random walks; XLB and ZZ start late, AB has a gap and BB stops early."""
    rng = np.random.default_rng(seed)
    shape = (SESSIONS, len(SYMBOLS))
    close = 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.015, shape), axis=0))
    open_ = close * np.exp(rng.normal(0.0, 0.005, shape))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0.0, 0.004, shape)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0.0, 0.004, shape)))
    volume = np.round(rng.lognormal(14.0, 0.4, shape))
    missing = np.zeros(shape, dtype=bool)
    missing[:90, SYMBOLS.index("XLB")] = True
    missing[:40, SYMBOLS.index("ZZ")] = True
    missing[200:203, SYMBOLS.index("AB")] = True
    missing[300:, SYMBOLS.index("BB")] = True
    sessions = np.datetime64(date(2019, 1, 1), "D") + np.arange(SESSIONS)
    fields = (np.where(missing, NAN, x) for x in (open_, high, low, close, volume))
    return Panel(sessions, SYMBOLS, *fields)


PANEL = random_panel()
VIEW = market_view(PANEL, UNIVERSE)


def assert_rows_equal(view, other, stop):
    for name in ARRAYS:
        np.testing.assert_array_equal(
            getattr(view, name)[:stop], getattr(other, name)[:stop], err_msg=name
        )


def test_the_panel_of_these_tests_has_something_to_say():
    for name in ARRAYS:
        assert np.isfinite(getattr(VIEW, name)[-40]).any(), name
    assert np.isfinite(VIEW.factors[-40]).all(axis=0).any()


@settings(deadline=None, derandomize=True, max_examples=15)
@given(st.integers(1, SESSIONS - 1))
def test_appending_later_sessions_changes_no_earlier_row(stop):
    assert_rows_equal(market_view(PANEL.rows(0, stop), UNIVERSE), VIEW, stop)


@settings(deadline=None, derandomize=True, max_examples=15)
@given(st.integers(1, SESSIONS - 1), st.integers(0, 2**16))
def test_changing_later_sessions_changes_no_earlier_row(stop, seed):
    rng = np.random.default_rng(seed)
    factor = rng.uniform(0.3, 3.0, (SESSIONS, len(SYMBOLS)))
    factor[rng.random(factor.shape) < 0.2] = NAN
    factor[:stop] = 1.0
    fields = (getattr(PANEL, name) * factor for name in ("open", "high", "low", "close", "volume"))
    changed = market_view(Panel(PANEL.sessions, SYMBOLS, *fields), UNIVERSE)
    assert_rows_equal(changed, VIEW, stop)
    assert not np.array_equal(changed.market, VIEW.market)


def test_context_informs_and_is_not_among_the_stocks():
    assert VIEW.stocks.symbols == STOCKS
    assert VIEW.sector.tolist() == [0, 0, 1, 1, NO_SECTOR]
    assert VIEW.kinds == ("growth", "growth", "defensive", "defensive", "neutral")
    np.testing.assert_array_equal(VIEW.market, PANEL.close[:, SYMBOLS.index("SPY")])


def test_every_array_has_its_shape():
    t, n = SESSIONS, len(STOCKS)
    assert VIEW.strength.shape == (t, 2)
    assert VIEW.market_signal.shape == (t, n)
    assert VIEW.factors.shape == (t, n, 13)
    assert VIEW.atr_fraction.shape == (t, n)
    assert VIEW.dollar_volume_usd.shape == (t, n)
    assert VIEW.regime.shape == (t, 2)


def test_the_market_signal_is_the_sectors_strength_and_absent_for_other():
    np.testing.assert_array_equal(VIEW.market_signal[:, :4], VIEW.strength[:, [0, 0, 1, 1]])
    assert np.isnan(VIEW.market_signal[:, 4]).all()
    assert np.isfinite(VIEW.market_signal[-1, :4]).all()


def test_symbols_outside_the_universe_may_be_left_untraded():
    assert market_view(PANEL, UNIVERSE, listed_only=True).stocks.symbols == STOCKS[:4]


def test_a_panel_of_context_alone_is_refused():
    with pytest.raises(ValueError, match="traded"):
        market_view(PANEL.select(["SPY", "XLA"]), UNIVERSE)


@pytest.mark.parametrize("shape", [(5,), (5, 2), (5, 2, 3)])
def test_what_is_known_at_a_close_is_used_one_session_later(shape):
    at_close = np.random.default_rng(0).normal(size=shape)
    moved = before_open(at_close)
    assert np.isnan(moved[0]).all()
    np.testing.assert_array_equal(moved[1:], at_close[:-1])


def test_moving_a_row_alters_no_argument():
    at_close = np.arange(3.0)
    before_open(at_close)
    np.testing.assert_array_equal(at_close, [0.0, 1.0, 2.0])


def signals_of(**models):
    shape = (SESSIONS, len(STOCKS))
    models = {"probability": np.full(shape, 0.75), "p_high_volatility": np.full(SESSIONS, 0.5)} | (
        models
    )
    return decision_signals(VIEW, **models)


def test_a_decision_reads_the_market_and_momentum_of_the_session_before():
    signals = signals_of()
    assert signals.shape == (SESSIONS, 6, len(STOCKS))
    momentum = np.clip(VIEW.factors[..., FACTORS.index("momentum_21")] / 3.0, -1.0, 1.0)
    for name, at_close in (("market", VIEW.market_signal), ("momentum", momentum)):
        signal = signals[:, SIGNALS.index(name)]
        assert np.isnan(signal[0]).all()
        np.testing.assert_allclose(signal[1:], at_close[:-1], rtol=0, atol=1e-7)
        assert np.isfinite(signal[200]).any()


def test_the_models_speak_for_the_session_decided_in():
    rng = np.random.default_rng(3)
    shape = (SESSIONS, len(STOCKS))
    probability, sentiment, rl = rng.random(shape), rng.uniform(-1, 1, shape), rng.random(shape)
    p_high = rng.random(SESSIONS)
    signals = signals_of(
        probability=probability, p_high_volatility=p_high, sentiment=sentiment, rl=rl
    )
    regime = np.stack([0.1 - 0.3 * p_high] * 2 + [0.4 * p_high - 0.1] * 2 + [0.0 * p_high], axis=1)
    for name, expected in (
        ("quant", 2.0 * probability - 1.0),
        ("sentiment", sentiment),
        ("rl", rl),
        ("regime", regime),
    ):
        np.testing.assert_allclose(
            signals[:, SIGNALS.index(name)], expected, rtol=0, atol=1e-12, err_msg=name
        )


def test_a_signal_that_nobody_gives_is_absent():
    nobody = np.full(SESSIONS, NAN)
    signals = signals_of(probability=np.full((SESSIONS, 5), NAN), p_high_volatility=nobody)
    for name in ("quant", "rl", "sentiment", "regime"):
        assert np.isnan(signals[:, SIGNALS.index(name)]).all(), name


def test_signals_lie_within_one():
    signals = signals_of(probability=np.random.default_rng(4).random((SESSIONS, 5)))
    assert np.nanmax(np.abs(signals)) <= 1.0
