from __future__ import annotations

import numpy as np
import pytest

from swingtrader.core.returns import simple_returns
from swingtrader.core.sectors import (
    by_stock,
    equal_weighted_index,
    market_index,
    mean_of_present,
    sector_momentum,
    sector_strength,
)
from swingtrader.core.universe import NO_SECTOR, Sector, Universe

NAN = np.nan
SESSIONS = 140
UNIVERSE = Universe(
    (
        Sector("Funded", "XLA", "growth", ("AA", "AB")),
        Sector("Fundless", None, "neutral", ("BA", "BB")),
        Sector("Empty", None, "neutral", ("CA",)),
    )
)


def walk(seed, drift=0.0, first=0):
    """Closes of a seeded random walk, NaN before row `first`."""
    steps = np.random.default_rng(seed).normal(drift, 0.002, SESSIONS)
    return np.where(np.arange(SESSIONS) < first, NAN, 100.0 * np.exp(np.cumsum(steps)))


def closes(**changes):
    """A market of quiet walks, of which some symbols may be replaced, or removed by None."""
    given = {"SPY": walk(1), "XLA": walk(2), "AA": walk(3), "AB": walk(4), "BA": walk(5)}
    given |= {"BB": walk(6), "ZZ": walk(7)} | changes
    return {symbol: close for symbol, close in given.items() if close is not None}


@pytest.fixture
def measured(make_panel):
    """Return a measure of sectors, (T, S), for a market of closes."""

    def measure(measure_of, given):
        panel = make_panel(given)
        stocks = panel.select(UNIVERSE.tradable(panel.symbols))
        return measure_of(panel, UNIVERSE, stocks, market_index(panel, UNIVERSE, stocks))

    return measure


def grown(close, t, sessions):
    return close[t] / close[t - sessions] - 1.0


def longhand_strength(t, sector, market):
    """Of a sector that is the average of `sector` closes, from the definition."""
    excesses = [
        np.mean([grown(close, t, w) for close in sector]) - grown(market, t, w)
        for w in (20, 60, 126)
    ]
    return np.clip(5.0 * sum(excesses) / 3.0, -1.0, 1.0)


@pytest.mark.parametrize("t", [126, 127, 133, 139])
def test_strength_is_five_times_the_mean_excess_over_three_windows(measured, t):
    given = closes()
    strength = measured(sector_strength, given)
    funded = longhand_strength(t, [given["XLA"]], given["SPY"])
    fundless = longhand_strength(t, [given["BA"], given["BB"]], given["SPY"])
    assert 0.0 < abs(funded) < 1.0
    np.testing.assert_allclose(strength[t, :2], [funded, fundless], rtol=0, atol=1e-12)


def test_strength_needs_the_longest_window(measured):
    strength = measured(sector_strength, closes())
    assert np.isnan(strength[:126]).all()
    assert np.isfinite(strength[126:, :2]).all()


def test_a_sector_without_fund_and_members_is_unknown(measured):
    assert np.isnan(measured(sector_strength, closes())[:, 2]).all()
    assert np.isnan(measured(sector_momentum, closes())[:, 2]).all()


def test_a_fund_too_young_for_the_longest_window_gives_way_to_the_basket(measured):
    given = closes(XLA=walk(2, first=5))
    strength = measured(sector_strength, given)
    basket = longhand_strength(130, [given["AA"], given["AB"]], given["SPY"])
    fund = longhand_strength(131, [given["XLA"]], given["SPY"])
    np.testing.assert_allclose(strength[[130, 131], 0], [basket, fund], rtol=0, atol=1e-12)


def test_a_member_too_young_for_a_window_is_left_out_of_it(measured):
    given = closes(XLA=None, AB=walk(4, first=100))
    t = 135
    old, young, market = given["AA"], given["AB"], given["SPY"]
    sector = [
        (grown(old, t, 20) + grown(young, t, 20)) / 2.0,
        grown(old, t, 60),
        grown(old, t, 126),
    ]
    excess = np.mean(sector) - np.mean([grown(market, t, w) for w in (20, 60, 126)])
    strength = measured(sector_strength, given)
    np.testing.assert_allclose(strength[t, 0], 5.0 * excess, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("drift", "expected"), [(0.01, 1.0), (-0.01, -1.0)])
def test_strength_is_clipped_to_one(measured, drift, expected):
    assert measured(sector_strength, closes(XLA=walk(2, drift)))[-1, 0] == expected


def test_without_a_proxy_the_market_is_the_equal_weighted_universe(make_panel, measured):
    given = closes(SPY=None)
    panel = make_panel(given)
    stocks = panel.select(UNIVERSE.tradable(panel.symbols))
    average = [1.0]
    for t in range(1, SESSIONS):
        returns = [grown(given[s], t, 1) for s in ("AA", "AB", "BA", "BB", "ZZ")]
        average.append(average[-1] * (1.0 + np.mean(returns)))
    market = market_index(panel, UNIVERSE, stocks)
    np.testing.assert_allclose(market, average, rtol=1e-12, atol=0)
    expected = longhand_strength(139, [given["XLA"]], np.array(average))
    strength = measured(sector_strength, given)
    np.testing.assert_allclose(strength[139, 0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sessions_ago", [0, 20, 60, 126])
def test_nothing_is_known_where_the_market_has_no_bar_at_either_end(measured, sessions_ago):
    spy = walk(1)
    spy[139 - sessions_ago] = NAN
    strength = measured(sector_strength, closes(SPY=spy))
    assert np.isnan(strength[139]).all()
    assert np.isfinite(strength[138, :2]).all()


@pytest.mark.parametrize("t", [21, 60, 139])
def test_sector_momentum_is_the_excess_over_21_sessions(measured, t):
    given = closes(XLA=walk(2, first=10))
    momentum = measured(sector_momentum, given)
    basket = (grown(given["AA"], t, 21) + grown(given["AB"], t, 21)) / 2.0
    funded = basket if t < 31 else grown(given["XLA"], t, 21)
    expected = funded - grown(given["SPY"], t, 21)
    np.testing.assert_allclose(momentum[t, 0], expected, rtol=0, atol=1e-12)
    assert np.isnan(momentum[:21]).all()


def test_every_stock_has_its_sectors_value_and_none_without_a_sector():
    by_sector = np.array([[0.1, 0.2], [NAN, 0.4]])
    values = by_stock(by_sector, np.array([1, NO_SECTOR, 0, 1]))
    expected = [[0.2, NAN, 0.1, 0.2], [0.4, NAN, NAN, 0.4]]
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize(
    ("sessions", "expected"),
    [
        (1, [NAN, 0.5, NAN, NAN, 1.0]),
        (2, [NAN, NAN, NAN, 1.0, NAN]),
        (4, [NAN, NAN, NAN, NAN, 5.0]),
        (9, [NAN, NAN, NAN, NAN, NAN]),
    ],
)
def test_returns_are_missing_where_either_end_is(sessions, expected):
    price = np.array([1.0, 1.5, NAN, 3.0, 6.0])
    np.testing.assert_array_equal(simple_returns(price, sessions), expected)


def test_row_means_count_only_what_is_present():
    values = np.array([[1.0, NAN, 3.0], [NAN, NAN, NAN], [4.0, NAN, NAN]])
    np.testing.assert_array_equal(mean_of_present(values), [2.0, NAN, 4.0])


def test_the_equal_weighted_index_loses_no_return_in_a_gap():
    close = np.array([[10.0, NAN], [10.0, 10.0], [NAN, NAN], [5.0, 10.0], [5.0, 15.0]])
    # Halved over the gap as a holder's account is; then half of them gains a half.
    np.testing.assert_allclose(
        equal_weighted_index(close), [1.0, 1.0, 1.0, 0.75, 0.75 * 1.25], rtol=1e-12, atol=0
    )
