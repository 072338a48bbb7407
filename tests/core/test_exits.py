from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, fields
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.core.decision import check_risk
from swingtrader.core.exits import (
    ExitDistances,
    ExitLevels,
    Marks,
    counted_misses,
    decide_exit,
    exit_distances,
    exit_levels,
    price_exit,
    raised_marks,
)
from swingtrader.core.policy import ExitRules, Policy

RULES = ExitRules()
TYPICAL = ExitDistances(stop=0.025, target=0.04, trail=0.03)
NAN = math.nan

ratios = st.floats(0.3, 3.0)
atr_fractions = st.one_of(st.just(NAN), st.floats(0.0, 0.5))


@pytest.mark.parametrize(
    ("atr_fraction", "stop", "target", "trail"),
    [
        (0.020, 0.030, 0.050, 0.040),  # 1.5, 2.5 and 2.0 times the ATR
        (0.001, 0.0125, 0.020, 0.015),  # half the static thresholds, never less
        (0.000, 0.0125, 0.020, 0.015),
        (0.100, 0.050, 0.080, 0.060),  # twice the static thresholds, never more
        (0.033, 0.0495, 0.080, 0.060),  # each is clamped by itself
        (NAN, 0.025, 0.040, 0.030),  # no fresh ATR: the static thresholds
        (math.inf, 0.025, 0.040, 0.030),
    ],
)
def test_distances_follow_the_atr_within_clamps(atr_fraction, stop, target, trail):
    distances = exit_distances(atr_fraction, RULES)
    assert distances.stop == pytest.approx(stop, rel=1e-12)
    assert distances.target == pytest.approx(target, rel=1e-12)
    assert distances.trail == pytest.approx(trail, rel=1e-12)


def test_trailing_stop_lies_below_the_high_water_mark_not_below_the_entry():
    marks = raised_marks(Marks(), 1.2, TYPICAL)
    assert marks.high_water == 1.2
    assert exit_levels(marks, TYPICAL).trailing_stop == pytest.approx(1.2 * 0.97, rel=1e-12)


def test_high_water_mark_starts_at_the_entry_price():
    assert raised_marks(Marks(), 0.99, TYPICAL).high_water == 1.0
    assert exit_levels(Marks(), TYPICAL).trailing_stop == pytest.approx(0.97, rel=1e-12)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(ratios, atr_fractions), min_size=1, max_size=30))
def test_trailing_stop_and_high_water_mark_never_move_down(path):
    marks, best, level = Marks(), 1.0, 0.0
    for price_ratio, atr_fraction in path:
        distances = exit_distances(atr_fraction, RULES)
        before = marks
        marks = raised_marks(marks, price_ratio, distances)
        best = max(best, price_ratio)
        assert marks.high_water == best
        assert marks.trailing_stop >= before.trailing_stop
        assert exit_levels(marks, distances).trailing_stop >= level
        level = exit_levels(marks, distances).trailing_stop


@settings(deadline=None, derandomize=True)
@given(st.lists(ratios, min_size=1, max_size=10), atr_fractions, atr_fractions)
def test_wider_atr_leaves_the_trailing_stop_where_it_was(path, calm, wild):
    calm, wild = sorted((calm, wild), key=lambda a: exit_distances(a, RULES).trail)
    marks = Marks()
    for price_ratio in path:
        marks = raised_marks(marks, price_ratio, exit_distances(calm, RULES))
    assert raised_marks(marks, path[-1], exit_distances(wild, RULES)) == marks


@pytest.mark.parametrize("value", [Marks(), TYPICAL, exit_levels(Marks(), TYPICAL)])
def test_marks_and_levels_are_replaced_and_never_changed(value):
    for field in fields(value):
        with pytest.raises(FrozenInstanceError):
            setattr(value, field.name, 0.0)


def test_unknown_price_raises_no_mark():
    marks = Marks(1.1, 1.067)
    assert raised_marks(marks, NAN, TYPICAL) == marks


@pytest.mark.parametrize(
    ("price_ratio", "reason"),
    [
        (0.9751, None),
        (0.975, "stop_loss"),
        (0.5, "stop_loss"),
        (1.0399, None),
        (1.04, "target"),
        (2.0, "target"),
        (NAN, None),
    ],
)
def test_price_exit_at_stop_and_target(price_ratio, reason):
    levels = ExitLevels(stop=0.975, target=1.04, trailing_stop=0.97)
    assert price_exit(price_ratio, levels) == reason


@pytest.mark.parametrize(
    ("price_ratio", "reason"), [(1.0, "trailing_stop"), (0.9, "trailing_stop"), (1.01, None)]
)
def test_higher_of_stop_and_trailing_stop_is_the_floor(price_ratio, reason):
    levels = ExitLevels(stop=0.975, target=1.04, trailing_stop=1.0)
    assert price_exit(price_ratio, levels) == reason


def test_where_both_stops_are_one_price_it_is_the_stop_that_sells():
    levels = ExitLevels(stop=0.975, target=1.04, trailing_stop=0.975)
    assert price_exit(0.97, levels) == "stop_loss"


def test_floor_comes_before_the_target():
    trailing_above_target = ExitLevels(stop=0.975, target=1.04, trailing_stop=1.067)
    assert price_exit(1.05, trailing_above_target) == "trailing_stop"


@settings(deadline=None, derandomize=True)
@given(st.floats(1.0, 2.0), st.floats(0.0, 2.0), atr_fractions)
def test_nothing_is_sold_for_an_unknown_price(high_water, trailing_stop, atr_fraction):
    levels = exit_levels(Marks(high_water, trailing_stop), exit_distances(atr_fraction, RULES))
    assert price_exit(NAN, levels) is None


def test_risk_check_without_a_confirmed_price_sells_nothing_and_forgets_nothing(
    make_snapshot, make_position
):
    marks = Marks(1.3, 1.25)
    snapshot = make_snapshot(positions=(make_position(marks=marks),), price=np.full(3, NAN))
    checked = check_risk(snapshot, Policy())
    assert checked.sells == ()
    assert checked.marks == {"AAA": marks}


@pytest.mark.parametrize("price", [80.0, 97.0, 97.5, 101.0, 104.99, 105.0, 130.0])
@pytest.mark.parametrize("split", [2.0, 20.0, 0.1])
def test_split_changes_no_exit_and_no_mark(make_snapshot, make_position, price, split):
    def checked(factor):
        position = make_position(
            qty=100.0 * factor, entry_price=100.0 / factor, marks=Marks(1.02, 0.98)
        )
        prices = np.full(3, price / factor)
        return check_risk(make_snapshot(positions=(position,), price=prices), Policy())

    before, after = checked(1.0), checked(split)
    assert [order.reason for order in after.sells] == [order.reason for order in before.sells]
    assert after.marks["AAA"].high_water == pytest.approx(
        before.marks["AAA"].high_water, rel=1e-12
    )
    assert after.marks["AAA"].trailing_stop == pytest.approx(
        before.marks["AAA"].trailing_stop, rel=1e-12
    )


def reason_to_sell(**changes):
    quiet = {
        "price_ratio": 1.02,
        "atr_fraction": 0.02,
        "vote": 0.0,
        "sell_at": -0.15,
        "misses": 0,
        "age_sessions": 5,
        "rules": RULES,
    }
    return decide_exit(**{**quiet, **changes})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"vote": -0.15}, "vote"),
        ({"vote": -0.1499}, None),
        ({"vote": NAN}, None),
        ({"misses": 2}, None),
        ({"misses": 3}, "missed_scans"),
        ({"misses": 4}, "missed_scans"),  # as when the machine was off at the third
        # More than 10 sessions held with less than +1 %.
        ({"age_sessions": 11, "price_ratio": 1.0099}, "stagnant"),
        ({"age_sessions": 10, "price_ratio": 1.0}, None),
        ({"age_sessions": 11, "price_ratio": 1.01}, None),
        ({"age_sessions": 11, "price_ratio": NAN}, None),
        # -3 % and +5 % only where there is no ATR, or they would override the ATR stop.
        ({"atr_fraction": NAN, "price_ratio": 0.97}, "stop_loss"),
        ({"atr_fraction": NAN, "price_ratio": 0.9701}, None),
        ({"atr_fraction": NAN, "price_ratio": 1.05}, "target"),
        ({"atr_fraction": NAN, "price_ratio": 1.2}, "target"),
        ({"atr_fraction": NAN, "price_ratio": 1.0499}, None),
        ({"atr_fraction": NAN, "price_ratio": NAN}, None),
        ({"atr_fraction": 0.05, "price_ratio": 0.96}, None),
        ({"atr_fraction": 0.05, "price_ratio": 1.06}, None),
        # The price rules come first.
        ({"atr_fraction": NAN, "price_ratio": 0.9, "vote": -1.0}, "stop_loss"),
        # What needs no price works without one.
        ({"price_ratio": NAN, "vote": -0.2}, "vote"),
        ({"price_ratio": NAN, "misses": 3}, "missed_scans"),
    ],
)
def test_fifteen_minute_job_sells_for_its_own_reasons(changes, reason):
    assert reason_to_sell(**changes) == reason


MONDAY, TUESDAY = date(2020, 1, 6), date(2020, 1, 7)


@pytest.mark.parametrize(
    ("misses", "counted_session", "missed", "expected"),
    [
        (0, None, True, 1),
        (0, None, False, 0),
        (1, MONDAY, True, 2),
        (1, TUESDAY, True, 1),  # a second run of the same session
        (2, MONDAY, False, 0),  # a hit starts anew
    ],
)
def test_misses_are_counted_once_per_session(misses, counted_session, missed, expected):
    assert counted_misses(misses, counted_session, TUESDAY, missed=missed) == expected
