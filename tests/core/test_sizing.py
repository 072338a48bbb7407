from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.core.policy import SizingRules
from swingtrader.core.sizing import (
    TradeRecord,
    entry_weight,
    kelly_fraction,
    limit_price,
    whole_shares,
)

RULES = SizingRules()
PRIOR_KELLY = 0.26875  # 0.55 - 0.45 / 1.6

returns = st.lists(st.integers(-9000, 9000).map(lambda bps: bps / 10_000), max_size=60)


def record_of(simple_returns):
    record = TradeRecord()
    for simple_return in simple_returns:
        record = record.with_trade(simple_return)
    return record


def test_without_trades_the_kelly_fraction_is_the_priors():
    assert kelly_fraction(TradeRecord(), RULES) == pytest.approx(PRIOR_KELLY, rel=1e-12)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        # 30 wins of 2 %, 20 losses of 1 %: p = (30 + 27.5) / 100, b = (50 * 2 + 50 * 1.6) / 100.
        (TradeRecord(30, 20, 0.60, -0.20), 0.575 - 0.425 / 1.8),
        # 40 wins of 1 %, 110 losses of 2 %: p = 67.5 / 200, b = (150 * 0.5 + 80) / 200.
        (TradeRecord(40, 110, 0.40, -2.20), 0.3375 - 0.6625 / 0.775),
        # Only wins, or only losses: the win rate moves, the payoff is the prior's.
        (TradeRecord(10, 0, 0.30, 0.0), 37.5 / 60 - (22.5 / 60) / 1.6),
        (TradeRecord(0, 10, 0.0, -0.30), 27.5 / 60 - (32.5 / 60) / 1.6),
        (TradeRecord(0, 10, 0.0, 0.0), 27.5 / 60 - (32.5 / 60) / 1.6),
        # Ten wins of 5 % and a single tiny loss: a payoff of its own of no more than the bound.
        (
            TradeRecord(10, 1, 0.50, -0.0001),
            37.5 / 61 - (23.5 / 61) / ((11 * RULES.maximum_payoff + 80) / 61),
        ),
    ],
)
def test_kelly_fraction_by_hand(record, expected):
    assert kelly_fraction(record, RULES) == pytest.approx(expected, rel=1e-12)


def test_prior_is_worth_fifty_trades():
    fifty_losses = TradeRecord(0, 50, 0.0, -0.5)
    assert kelly_fraction(fifty_losses, RULES) == pytest.approx(
        0.55 / 2 - (1 - 0.55 / 2) / 1.6, rel=1e-12
    )


def test_long_record_outweighs_the_prior():
    record = TradeRecord(600_000, 400_000, 12_000.0, -4_000.0)  # p = 0.6, b = 2
    assert kelly_fraction(record, RULES) == pytest.approx(0.4, abs=1e-4)


@pytest.mark.parametrize(
    ("simple_return", "expected"),
    [
        (0.03, TradeRecord(3, 1, 0.125, -0.25)),
        (0.5, TradeRecord(3, 1, 0.595, -0.25)),
        (-0.5, TradeRecord(2, 2, 0.095, -0.75)),
        (0.0, TradeRecord(2, 2, 0.095, -0.25)),
    ],
)
def test_a_trade_is_added_to_its_side_of_the_record(simple_return, expected):
    assert TradeRecord(2, 1, 0.095, -0.25).with_trade(simple_return) == expected


def test_a_record_is_replaced_and_never_changed():
    record = TradeRecord()
    with pytest.raises(FrozenInstanceError):
        record.wins = 1
    assert record.with_trade(0.01) is not record


def test_break_even_trade_is_no_win():
    assert TradeRecord().with_trade(0.0) == TradeRecord(0, 1, 0.0, 0.0)


@settings(deadline=None, derandomize=True)
@given(returns)
def test_record_adds_up_whatever_the_order(simple_returns):
    forward, backward = record_of(simple_returns), record_of(reversed(simple_returns))
    assert forward.trades == len(simple_returns)
    assert (forward.wins, forward.losses) == (backward.wins, backward.losses)
    assert kelly_fraction(forward, RULES) == pytest.approx(
        kelly_fraction(backward, RULES), rel=1e-9
    )


@settings(deadline=None, derandomize=True)
@given(returns)
def test_kelly_fraction_is_finite_and_below_the_win_rate(simple_returns):
    record = record_of(simple_returns)
    kelly = kelly_fraction(record, RULES)
    assert math.isfinite(kelly)
    assert kelly < (record.wins + 27.5) / (record.trades + 50)


@pytest.mark.parametrize(
    ("kelly", "vote", "exposure_scale", "weight"),
    [
        (0.40, 0.50, 1.0, 0.10),  # a quarter of Kelly at full conviction
        (0.40, 0.20, 1.0, 0.05),  # half of it at the threshold
        (0.40, 0.10, 1.0, 0.05),  # and below it, were it ever asked
        (0.40, 0.35, 1.0, 0.075),  # and half-way between
        (0.40, 0.90, 1.0, 0.10),  # no more than full
        (0.40, 0.50, 0.7, 0.07),  # high volatility
        (0.80, 0.50, 1.0, 0.15),  # the ceiling
        (0.04, 0.50, 1.0, 0.02),  # the floor
        (0.00, 0.50, 1.0, 0.02),
        (-2.0, 0.50, 1.0, 0.02),  # no edge on record keeps the floor
        (-2.0, 0.20, 0.7, 0.007),  # which conviction and regime still scale
    ],
)
def test_entry_weight_by_hand(kelly, vote, exposure_scale, weight):
    assert entry_weight(kelly, vote, 0.20, exposure_scale, RULES) == pytest.approx(
        weight, rel=1e-12
    )


@settings(deadline=None, derandomize=True)
@given(st.floats(-5, 1), st.floats(0.2, 1), st.floats(0.7, 1))
def test_entry_weight_stays_within_its_bounds(kelly, vote, exposure_scale):
    weight = entry_weight(kelly, vote, 0.20, exposure_scale, RULES)
    assert 0.02 * 0.5 * 0.7 - 1e-15 <= weight <= 0.15


@settings(deadline=None, derandomize=True)
@given(
    st.tuples(st.floats(-5, 1), st.floats(-5, 1)).map(sorted),
    st.tuples(st.floats(0.2, 1), st.floats(0.2, 1)).map(sorted),
)
def test_better_record_and_stronger_vote_never_shrink_the_entry(kellys, votes):
    weights = [entry_weight(k, v, 0.20, 1.0, RULES) for k in kellys for v in votes]
    assert weights[0] == min(weights)
    assert weights[-1] == max(weights)


@pytest.mark.parametrize(
    ("ask", "limit"),
    [
        (100.0, 100.20),  # on the grid already: not pushed a cent up
        (100.02, 100.23),  # 100.22004
        (5.0, 5.01),
        (7.0, 7.02),  # 7.014
        (10_000.01, 10_020.02),  # 10,020.01002: a collar a hair narrower would be a cent less
        (1.5, 1.51),  # 1.503
        (0.5, 0.501),  # hundredths of a cent below one dollar
        (0.51, 0.5111),  # 0.51102
        (0.999, 1.01),  # 1.000998: above one dollar only cents are quoted
    ],
)
def test_limit_is_the_ask_plus_twenty_bps_up_to_the_grid(ask, limit):
    assert limit_price(ask, RULES) == pytest.approx(limit, rel=1e-12)


@settings(deadline=None, derandomize=True)
@given(st.floats(0.01, 20_000.0))
def test_limit_is_on_the_grid_that_the_broker_takes_and_not_below_the_ask(ask):
    limit = limit_price(ask, RULES)
    assert limit == round(limit, 2 if limit >= 1 else 4)
    assert ask * 1.002 - 1e-7 <= limit < ask * 1.002 + (0.01 if limit >= 1 else 0.0001)


@pytest.mark.parametrize(
    ("budget_usd", "price_usd", "shares"),
    [
        (1000.0, 100.0, 10),
        (999.99, 100.0, 9),
        (99.99, 100.0, 0),
        (0.0, 100.0, 0),
        (-500.0, 100.0, 0),
        (1000.0, 0.0, 0),
        (1000.0, -1.0, 0),
        (math.nan, 100.0, 0),
        (1000.0, math.nan, 0),
        (math.inf, 100.0, 0),
    ],
)
def test_shares_are_whole_and_rounded_toward_no_trade(budget_usd, price_usd, shares):
    assert whole_shares(budget_usd, price_usd) == shares


@settings(deadline=None, derandomize=True)
@given(st.floats(0, 1e9), st.floats(0.01, 1e6))
def test_whole_shares_never_exceed_the_budget_and_leave_less_than_one(budget_usd, price_usd):
    shares = whole_shares(budget_usd, price_usd)
    assert shares * Fraction(price_usd) <= Fraction(budget_usd)
    assert (shares + 1) * Fraction(price_usd) > Fraction(budget_usd)


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 5000), st.integers(100, 50_000))
def test_budget_a_hair_short_of_one_more_share_does_not_buy_it(shares, cents):
    price_usd = cents / 100
    budget_usd = math.nextafter(shares * price_usd, 0)
    assert whole_shares(budget_usd, price_usd) * Fraction(price_usd) <= Fraction(budget_usd)
