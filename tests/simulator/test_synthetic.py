"""The synthetic market has the shape it promises, and predicts nothing it was not told to.

Bounds are wide beside the sampling error over ten years of 64 stocks and narrow beside the
effect they test; each says which.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.simulator.synthetic import (
    FIRST_PRICE_USD,
    MINIMUM_PRICE_USD,
    SyntheticMarket,
    high_volatility_sessions,
    simulate_market,
)

BARS = Path(__file__).parents[3] / "shared" / "data" / "bars.parquet"
FUNDS = (
    *("SPY", "QQQ", "^VIX", "SMH", "ARKK"),
    *("XLK", "XLF", "XLV", "XLY", "XLC", "XLI", "XLE", "XLP", "XLB", "XLU", "XLRE"),
)
MONTH = 21  # sessions


def layout(sectors, stocks):
    return {
        f"sector {s}": (f"ETF{s:02}", tuple(f"S{s:02}{n:02}" for n in range(stocks)))
        for s in range(sectors)
    }


def weekdays(count):
    return np.busday_offset("2010-01-04", np.arange(count))


def ten_years(**parameters):
    return SyntheticMarket(weekdays(2520), layout(8, 8), **parameters)


def stocks_of(panel, parameters):
    return panel.select(parameters.stocks)


def simple_returns(close):
    return close[1:] / close[:-1] - 1


def lag_correlation(values, lag):
    """Correlation of each column with itself `lag` rows later."""
    return np.array([np.corrcoef(x[lag:], x[:-lag])[0, 1] for x in values.T])


def standardised_kurtosis(returns):
    """Median over columns of the excess kurtosis; NaN are skipped."""
    z = (returns - np.nanmean(returns, axis=0)) / np.nanstd(returns, axis=0)
    return float(np.median(np.nanmean(z**4, axis=0) - 3))


def pairwise_correlation(returns):
    """Correlation matrix over the sessions both have, NaN on the diagonal."""
    matrix = np.ma.corrcoef(np.ma.masked_invalid(returns), rowvar=False).filled(np.nan)
    np.fill_diagonal(matrix, np.nan)
    return matrix


def rank_correlation(a, b):
    """Spearman correlation of each row of `a` with the same row of `b`."""
    a, b = (np.argsort(np.argsort(x, axis=1), axis=1).astype(float) for x in (a, b))
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    return (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))


def t_statistic(values):
    return np.mean(values) / np.std(values, ddof=1) * np.sqrt(len(values))


def predictions(seed, **parameters):
    """What the past of each month said of the next: rank correlations, and an excess return.

    Months do not overlap, so a plain t statistic is fair.
    """
    market = ten_years(seed=seed, late_listings=0, **parameters)
    close = stocks_of(simulate_market(market), market).close
    daily = simple_returns(close)
    now = np.arange(63, len(close) - MONTH, MONTH)
    after = close[now + MONTH] / close[now] - 1
    before = close[now] / close[now - MONTH] - 1
    volatility = np.array([daily[t - 63 : t].std(axis=0) for t in now])
    riskiest = volatility > np.quantile(volatility, 0.75, axis=1, keepdims=True)
    excess = np.mean(after, axis=1, where=riskiest) - after.mean(axis=1)
    return rank_correlation(before, after), rank_correlation(volatility, after), excess


@pytest.fixture(scope="module")
def market():
    return ten_years(seed=1, late_listings=0)


@pytest.fixture(scope="module")
def panel(market):
    return simulate_market(market)


@pytest.fixture(scope="module")
def stocks(panel, market):
    return stocks_of(panel, market)


@pytest.fixture(scope="module")
def returns(stocks):
    return simple_returns(stocks.close)


@pytest.fixture(scope="module")
def own_returns():
    """Of stocks that share next to nothing, so that a mean over 64 of them is a sharp one."""
    own = ten_years(
        late_listings=0,
        market_volatility_low=0.02,
        market_volatility_high=0.02,
        sector_volatility=0,
    )
    return simple_returns(stocks_of(simulate_market(own), own).close)


@pytest.fixture(scope="module")
def noise():
    """Momentum's and volatility's correlations and volatility's excess return, 16 seeds."""
    return [np.concatenate(x) for x in zip(*map(predictions, range(16)), strict=True)]


def test_same_seed_gives_the_same_bars_and_another_seed_does_not():
    market = SyntheticMarket(weekdays(60), layout(2, 3), seed=4)
    first, again = simulate_market(market), simulate_market(market)
    other = simulate_market(replace(market, seed=5))
    for field in fields(first)[2:]:
        np.testing.assert_array_equal(getattr(first, field.name), getattr(again, field.name))
        assert not np.array_equal(
            getattr(first, field.name), getattr(other, field.name), equal_nan=True
        )


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(10, 300),
    sectors=st.integers(1, 4),
    size=st.integers(1, 4),
    moved=st.tuples(st.integers(0, 8), st.integers(0, 8)),
    volatility=st.floats(0, 1.5),
    freedom=st.floats(2.1, 30),
    persistence=st.floats(0, 1),
)
def test_bars_are_consistent_whatever_the_parameters(
    seed, count, sectors, size, moved, volatility, freedom, persistence
):
    late = min(moved[0], sectors * size)
    market = SyntheticMarket(
        weekdays(count),
        layout(sectors, size),
        seed=seed,
        idiosyncratic_volatility=volatility,
        degrees_of_freedom=freedom,
        persistence=persistence,
        late_listings=late,
        delistings=min(moved[1], sectors * size - late),
    )
    panel = simulate_market(market)
    there = panel.traded
    assert panel.symbols == tuple(sorted(market.symbols))
    for field in fields(panel)[2:]:
        np.testing.assert_array_equal(~np.isnan(getattr(panel, field.name)), there)
    prices = [x[there] for x in (panel.low, panel.open, panel.close, panel.high)]
    assert np.all(prices[0] >= MINIMUM_PRICE_USD)
    assert np.all(prices[0] <= np.minimum(prices[1], prices[2]))
    assert np.all(prices[3] >= np.maximum(prices[1], prices[2]))
    for price in prices:
        np.testing.assert_array_equal(price, np.round(price, 2))
    assert np.all(panel.volume[there] >= 1)
    np.testing.assert_array_equal(panel.volume[there], np.round(panel.volume[there]))
    for etf, members in market.sectors.values():
        np.testing.assert_array_equal(
            there[:, panel.column(etf)], panel.select(members).traded.any(axis=1)
        )


def test_first_prices_lie_in_the_range_promised(panel):
    cheapest, dearest = FIRST_PRICE_USD
    assert np.all((panel.open[0] >= cheapest - 0.01) & (panel.open[0] <= dearest + 0.01))


def test_prices_that_fall_far_are_restated_above_the_minimum():
    wild = SyntheticMarket(weekdays(2520), layout(1, 4), idiosyncratic_volatility=1.0)
    low = stocks_of(simulate_market(wild), wild).low
    assert np.nanmin(low) == MINIMUM_PRICE_USD


def test_returns_have_fat_tails(returns):
    # A normal sample of this size has an excess kurtosis of 0 within 0.01.
    z = (returns - returns.mean(axis=0)) / returns.std(axis=0)
    assert np.mean(z**4) - 3 > 1


@pytest.mark.parametrize("lag", range(1, 11))
def test_volatility_clusters(own_returns, lag):
    # 0.01 with constant variance, all of it the leverage effect's.
    assert lag_correlation(own_returns**2, lag).mean() > 0.04


def test_volatility_rises_as_prices_fall(own_returns):
    # 0 within 0.02 if volatility were steady in per cent.
    now = np.arange(126, len(own_returns) - MONTH, MONTH)
    before = np.array([own_returns[t - 126 : t].sum(axis=0) for t in now])
    after = np.array([own_returns[t : t + MONTH].std(axis=0) for t in now])
    pairs = zip(before.T, after.T, strict=True)
    assert np.mean([np.corrcoef(b, a)[0, 1] for b, a in pairs]) < -0.1


def test_returns_do_not_follow_one_another(returns):
    # One stock's standard error is 0.02, and the market factor keeps the mean from averaging
    # it away; heavy tails make it 0.03.
    assert abs(lag_correlation(returns, 1).mean()) < 0.06


def test_stocks_move_together_and_more_so_within_a_sector(returns):
    correlation = pairwise_correlation(returns)
    home = np.arange(64) // 8
    same = home[:, None] == home
    assert 0.15 < np.nanmean(correlation[~same]) < 0.5
    assert np.nanmean(correlation[same]) > np.nanmean(correlation[~same]) + 0.05


def test_stocks_follow_the_market_with_a_beta_near_one(panel, returns):
    spy = simple_returns(panel.close[:, panel.column("SPY")])
    correlation = [np.corrcoef(spy, x)[0, 1] for x in returns.T]
    beta = returns.T @ (spy - spy.mean()) / (spy.var() * len(spy))
    assert min(correlation) > 0.05
    assert 0.4 < np.median(correlation) < 0.8
    # 64 betas of spread 0.3 have a mean known within 0.04.
    assert beta.mean() == pytest.approx(1, abs=0.15)


def test_the_market_has_a_calm_and_a_stormy_regime(panel, market):
    spy = simple_returns(panel.close[:, panel.column("SPY")])
    high = high_volatility_sessions(market)[1:]
    ratio = spy[high].std() / spy[~high].std()
    # 2.2 is asked for; clustering within a regime makes a decade's figure vary by a fifth.
    assert 1.6 < ratio < 3


def test_regimes_last_as_long_as_asked():
    market = SyntheticMarket(weekdays(50_000), layout(1, 2))
    high = high_volatility_sessions(market)
    entered = np.sum(high[1:] & ~high[:-1])
    left = np.sum(~high[1:] & high[:-1])
    # Some 190 spells of each, exponential: 7 per cent standard error.
    assert high.sum() / left == pytest.approx(60, rel=0.25)
    assert (~high).sum() / entered == pytest.approx(200, rel=0.25)


def test_nights_carry_their_share_of_the_variance(stocks):
    night = np.log(stocks.open[1:] / stocks.close[:-1]).var(axis=0)
    day = np.log(stocks.close / stocks.open).var(axis=0)
    assert np.median(night / (night + day)) == pytest.approx(0.3, abs=0.03)


def test_ranges_agree_with_the_move_from_open_to_close(panel):
    # Parkinson (1980): E log(high/low)^2 = 4 log(2) variance. Cents widen it a little, and the
    # low drawn independently of the high narrows it by less than that.
    parkinson = np.mean(np.log(panel.high / panel.low) ** 2, axis=0) / (4 * np.log(2))
    measured = np.mean(np.log(panel.close / panel.open) ** 2, axis=0)
    assert np.median(parkinson / measured) == pytest.approx(1, abs=0.1)
    etf = panel.column("ETF00")
    assert parkinson[etf] / measured[etf] == pytest.approx(1, abs=0.1)


def test_ranges_are_wide_on_the_days_that_move(stocks):
    width = np.log(stocks.high / stocks.low)
    move = np.abs(np.log(stocks.close / stocks.open))
    assert np.median([np.corrcoef(w, m)[0, 1] for w, m in zip(width.T, move.T, strict=True)]) > 0.5


def test_volume_persists_and_goes_with_the_size_of_the_move(stocks, returns):
    volume = np.log(stocks.volume[1:])
    moved = [np.corrcoef(v, np.abs(r))[0, 1] for v, r in zip(volume.T, returns.T, strict=True)]
    assert np.median(moved) > 0.25
    assert np.median(lag_correlation(volume, 1)) > 0.5


def test_nearly_all_stocks_are_liquid(stocks):
    typical = np.median(stocks.close * stocks.volume, axis=0)
    assert np.mean(typical > 20e6) > 0.95


def test_a_sector_fund_is_the_equal_weighted_basket_of_its_stocks(panel, market):
    etf, members = market.sectors["sector 3"]
    column, basket = panel.column(etf), panel.select(members)
    for before, after in (
        (panel.open, panel.close),
        (panel.close[:-1], panel.open[1:]),
    ):
        pick = [panel.column(s) for s in members]
        expected = np.mean(after[:, pick] / before[:, pick] - 1, axis=1)
        actual = after[:, column] / before[:, column] - 1
        # Half a cent either way on the cheapest price in either.
        atol = 0.02 / min(basket.low.min(), panel.low[:, column].min())
        np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


def test_by_default_two_stocks_list_late_and_none_leaves():
    panel = simulate_market(ten_years())
    late = [first for first in panel.first_bar if first > 0]
    assert len(late) == 2
    assert all(252 < first <= 1260 for first in late)
    assert set(panel.last_bar) == {2519}


def test_a_delisted_stock_never_returns():
    market = ten_years(late_listings=3, delistings=5)
    panel = simulate_market(market)
    gone = [n for n, last in enumerate(panel.last_bar) if last < 2519]
    assert len(gone) == 5
    assert sum(first > 0 for first in panel.first_bar) == 3
    for n, (first, last) in enumerate(zip(panel.first_bar, panel.last_bar, strict=True)):
        rows = np.arange(2520)
        np.testing.assert_array_equal(panel.traded[:, n], (rows >= first) & (rows <= last))


def test_without_persistence_the_past_month_says_nothing_of_the_next(noise):
    assert abs(t_statistic(noise[0])) < 3


def test_without_persistence_volatility_predicts_neither_rank_nor_return(noise):
    # Shocks symmetric in logs, so that volatility earns a mean, put these at 3.3 and 3.8.
    _, volatility_ranks, excess = noise
    assert abs(t_statistic(volatility_ranks)) < 3
    assert abs(t_statistic(excess)) < 3


def test_planted_persistence_shows_in_the_ranks_of_returns():
    momentum, _, _ = predictions(0, persistence=0.3)
    assert t_statistic(momentum) > 4


def test_planted_persistence_has_the_size_and_half_life_asked_for():
    noise = ten_years(late_listings=0, persistence_half_life_sessions=63)
    planted = replace(noise, persistence=0.3)
    twins = [np.log(stocks_of(simulate_market(m), m).close) for m in (planted, noise)]
    drift = np.diff((twins[0] - twins[1])[::MONTH], axis=0) * 252 / MONTH
    # 64 stocks over 2520 / 91 independent spells each: 3 per cent; averaging over a month of
    # a half-life of three takes 4 per cent off, the spread over sessions the rest.
    assert drift.std(axis=1).mean() == pytest.approx(0.3, rel=0.12)
    # A mean over months decays a little less between neighbours than its end points do.
    assert lag_correlation(drift, 3).mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"seed": -1}, "seed"),
        ({"persistence": -0.1}, "persistence"),
        ({"sector_volatility": float("nan")}, "sector_volatility"),
        ({"market_volatility_low": 0.0}, "market that moves"),
        ({"degrees_of_freedom": 2.0}, "degrees of freedom"),
        ({"shock_weight": 0.1, "memory": 0.9}, "shock_weight"),
        ({"overnight_share": 1.0}, "overnight_share"),
        ({"high_duration_sessions": 0.5}, "regimes"),
        ({"persistence_half_life_sessions": 0.0}, "half-life"),
        ({"late_listings": 4, "delistings": 3}, "listings"),
        ({"market_symbol": "ETF00"}, "symbol once"),
        ({"sectors": {}}, "stock in every sector"),
        ({"sectors": {"empty": ("XLK", ())}}, "stock in every sector"),
        ({"sessions": weekdays(9)}, "10 sessions"),
    ],
)
def test_impossible_parameters_are_refused_by_name(wrong, named):
    with pytest.raises(ValueError, match=named):
        SyntheticMarket(**{"sessions": weekdays(20), "sectors": layout(2, 3), **wrong})


def real_market():
    """Log returns of 66 real stocks, (T, N), their overnight share, and SPY's log returns."""
    if not BARS.exists():
        pytest.skip(f"{BARS.name} with real bars is absent")
    table = pq.read_table(BARS, columns=["symbol", "date", "open", "close"])
    names, column = np.unique(table["symbol"].to_numpy().astype(str), return_inverse=True)
    dates, row = np.unique(table["date"].to_numpy(), return_inverse=True)
    bars = np.full((2, len(dates), len(names)), np.nan)
    bars[0, row, column] = np.log(table["open"].to_numpy())
    bars[1, row, column] = np.log(table["close"].to_numpy())
    opening, close = bars[:, :, ~np.isin(names, FUNDS)]
    night, day = np.nanvar(opening[1:] - close[:-1]), np.nanvar(close - opening)
    return np.diff(close, axis=0), night / (night + day), np.diff(bars[1, :, names == "SPY"][0])


def test_moments_are_those_of_real_stocks_within_a_factor_of_two(panel, stocks):
    real, real_share, real_spy = real_market()
    ours = np.diff(np.log(stocks.close), axis=0)
    spy = np.diff(np.log(panel.close[:, panel.column("SPY")]))
    night = np.log(stocks.open[1:] / stocks.close[:-1]).var()
    day = np.log(stocks.close / stocks.open).var()
    compared = {
        "kurtosis": (standardised_kurtosis(ours), standardised_kurtosis(real)),
        "volatility": (np.median(ours.std(axis=0)), np.median(np.nanstd(real, axis=0))),
        "market volatility": (spy.std(), real_spy.std()),
        "correlation": [np.nanmean(pairwise_correlation(x)) for x in (ours, real)],
        "overnight share": (night / (night + day), real_share),
    }
    ratios = {name: float(a / b) for name, (a, b) in compared.items()}
    assert all(0.5 < ratio < 2 for ratio in ratios.values()), ratios
