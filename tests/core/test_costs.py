from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.core.costs import Costs

FREE = Costs(half_spread_bps=0.0, slippage_bps=0.0)
GRID_USD = 1e-4

prices = st.floats(0.01, 50_000.0)
bps = st.floats(0.0, 4000.0)


@pytest.mark.parametrize(
    ("costs", "price", "bought_at", "sold_at"),
    [
        (Costs(), 100.0, 100.05, 99.95),  # 2 + 3 bps by default
        (FREE, 100.0, 100.0, 100.0),
        (FREE, 10.12345, 10.1235, 10.1234),  # off the grid: against us both ways
        (Costs(), 12.34, 12.3462, 12.3338),  # 12.34617 and 12.33383
        (Costs(half_spread_bps=4000.0, slippage_bps=4000.0), 10.0, 18.0, 2.0),
        (Costs(), 0.00005, 0.0001, 0.0),
    ],
)
def test_half_spread_and_slippage_go_against_us(costs, price, bought_at, sold_at):
    assert costs.buy_price(price) == pytest.approx(bought_at, rel=1e-12)
    assert costs.sell_price(price) == pytest.approx(sold_at, rel=1e-12)


@settings(deadline=None, derandomize=True)
@given(prices, bps, bps)
def test_rounding_goes_against_us_by_less_than_a_hundredth_of_a_cent(price, spread, slippage):
    costs = Costs(half_spread_bps=spread, slippage_bps=slippage)
    rate = (Fraction(spread) + Fraction(slippage)) / 10_000
    paid, received = Fraction(price) * (1 + rate), Fraction(price) * (1 - rate)
    # 1e-9 USD is the tolerance for prices that floats cannot hold on the grid.
    assert -1e-9 <= costs.buy_price(price) - paid < GRID_USD
    assert -1e-9 <= received - Fraction(costs.sell_price(price)) < GRID_USD
    for booked in (costs.buy_price(price), costs.sell_price(price)):
        assert booked / GRID_USD == pytest.approx(round(booked / GRID_USD), rel=1e-12)


@settings(deadline=None, derandomize=True)
@given(prices, bps, bps)
def test_buying_and_selling_at_one_price_never_gains(price, spread, slippage):
    costs = Costs(half_spread_bps=spread, slippage_bps=slippage)
    assert costs.buy_price(price) >= costs.sell_price(price) >= 0


@pytest.mark.parametrize(
    ("qty", "price", "fees_usd"),
    [
        (100, 50.0, 0.16),  # 13.9 and 1.66 cents, each up to the next
        (1, 10.0, 0.02),  # never less than a cent each
        (100_000, 10.0, 36.10),  # 27.80 and the cap of 8.30 rather than 16.60
        (0, 10.0, 0.0),
    ],
)
def test_fees_of_a_sale(qty, price, fees_usd):
    assert Costs().sell_fees_usd(qty, price) == pytest.approx(fees_usd, abs=1e-9)


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 10**6), st.floats(0.0001, 5000.0))
def test_fees_are_whole_cents_not_below_the_exact_sum(qty, price):
    fees = Costs().sell_fees_usd(qty, price)
    exact = qty * price * 27.80e-6 + min(qty * 0.000166, 8.30)
    assert exact - 1e-9 <= fees < exact + 0.02
    assert fees * 100 == pytest.approx(round(fees * 100), rel=1e-9)


@pytest.mark.parametrize(
    ("volume", "shares"),
    [
        (1000.0, 25),
        (40.0, 1),
        (39.0, 0),
        (1_000_003.0, 25_000),
        (0.0, 0),
        (math.nan, 0),
    ],
)
def test_at_most_two_and_a_half_percent_of_the_volume_is_ours(volume, shares):
    assert Costs().tradable_shares(volume) == shares


@pytest.mark.parametrize("value", [-1.0, math.nan, 5000.0, math.inf])
@pytest.mark.parametrize("name", ["half_spread_bps", "slippage_bps"])
def test_cost_per_fill_out_of_range_is_refused(name, value):
    with pytest.raises(ValueError, match=name):
        Costs(**{name: value})


@pytest.mark.parametrize("value", [-0.01, math.nan, math.inf])
@pytest.mark.parametrize("name", ["sec_fee_rate", "taf_per_share_usd", "taf_cap_usd"])
def test_fee_that_would_pay_us_is_refused(name, value):
    with pytest.raises(ValueError, match=name):
        Costs(**{name: value})


@pytest.mark.parametrize("value", [0.0, -0.1, 1.01, math.nan])
def test_participation_is_a_share_of_the_volume(value):
    with pytest.raises(ValueError, match="participation"):
        Costs(participation=value)
