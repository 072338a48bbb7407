from __future__ import annotations

import math
from dataclasses import FrozenInstanceError

import pytest

from swingtrader.core.policy import (
    SIGNALS,
    ExitRules,
    Limits,
    Policy,
    ScanRules,
    SizingRules,
    VoteRules,
    policy_sections,
)

DESIGN = {
    "vote": {
        "market": 0.20,
        "quant": 0.30,
        "rl": 0.15,
        "sentiment": 0.10,
        "momentum": 0.15,
        "regime": 0.10,
        "buy_at": 0.20,
        "sell_at": -0.15,
        "minimum_present_weight": 0.5,
    },
    "scan": {
        "top_sectors": 3,
        "minimum_candidates": 15,
        "minimum_price_usd": 5,
        "minimum_dollar_volume_usd": 20e6,
        "minimum_probability": 0.40,
    },
    "exits": {
        "stop": 0.025,
        "target": 0.04,
        "trail": 0.03,
        "atr_stop": 1.5,
        "atr_target": 2.5,
        "atr_trail": 2.0,
        "clamp_low": 0.5,
        "clamp_high": 2.0,
        "decide_stop": 0.03,
        "decide_target": 0.05,
        "missed_sessions": 3,
        "stagnant_sessions": 10,
        "stagnant_return": 0.01,
        "resident_stop": 0.06,
    },
    "sizing": {
        "prior_win_rate": 0.55,
        "prior_payoff": 1.6,
        "prior_trades": 50,
        "kelly_divisor": 4,
        "minimum_weight": 0.02,
        "maximum_weight": 0.15,
        "full_vote_above_threshold": 0.30,
    },
    "limits": {
        "symbol": 0.15,
        "sector": 0.30,
        "gross": 0.80,
        "positions": 10,
        "dollar_volume": 0.01,
        "orders_per_session": 20,
        "daily_loss": 0.03,
        "minutes_before_close": 15,
        "quote_age_seconds": 60,
        "spread_bps": 50,
    },
}


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [(section, *item) for section, rules in DESIGN.items() for item in rules.items()],
)
def test_defaults_are_those_of_the_design(section, name, value):
    assert getattr(getattr(Policy(), section), name) == value


def test_weights_come_in_the_order_of_the_signals():
    assert SIGNALS == ("market", "quant", "rl", "sentiment", "momentum", "regime")
    assert VoteRules(rl=0.5).weights.tolist() == [0.20, 0.30, 0.5, 0.10, 0.15, 0.10]


def test_sections_are_the_rules_by_name():
    assert policy_sections() == {
        "vote": VoteRules,
        "scan": ScanRules,
        "exits": ExitRules,
        "sizing": SizingRules,
        "limits": Limits,
    }


def test_rules_can_not_be_changed():
    rules = VoteRules()
    with pytest.raises(FrozenInstanceError):
        rules.quant = 1.0
    with pytest.raises(ValueError, match="read-only"):
        rules.weights[0] = 1.0


@pytest.mark.parametrize(
    ("rules", "values", "named"),
    [
        (VoteRules, {"quant": -0.1}, "quant"),
        (VoteRules, {"rl": math.nan}, "rl"),
        (VoteRules, dict.fromkeys(SIGNALS, 0.0), "weight"),
        (VoteRules, {"buy_at": -0.15}, "sell_at < buy_at"),
        (VoteRules, {"buy_at": 1.1}, "buy_at"),
        (VoteRules, {"sell_at": -1.1}, "sell_at"),
        (VoteRules, {"minimum_present_weight": 50.0}, "minimum_present_weight"),
        (ScanRules, {"top_sectors": 0}, "top_sectors"),
        (ScanRules, {"minimum_probability": 1.0}, "minimum_probability"),
        (ScanRules, {"minimum_probability": -0.1}, "minimum_probability"),
        (ExitRules, {"stop": 0.0}, "stop"),
        (ExitRules, {"target": 4.0}, "target"),
        (ExitRules, {"trail": -0.03}, "trail"),
        (ExitRules, {"decide_stop": math.nan}, "decide_stop"),
        (ExitRules, {"decide_target": 0.0}, "decide_target"),
        (ExitRules, {"clamp_low": 3.0}, "clamp_low"),
        (ExitRules, {"clamp_low": 0.0}, "clamp_low"),
        (ExitRules, {"clamp_high": 40.0}, "clamp_high"),
        (ExitRules, {"missed_sessions": 0}, "missed_sessions"),
        (ExitRules, {"resident_stop": 0.0}, "resident_stop"),
        (ExitRules, {"resident_stop": 1.0}, "resident_stop"),
        (ExitRules, {"resident_stop": math.nan}, "resident_stop"),
        (ExitRules, {"resident_stop": 0.05}, r"resident_stop .* clamp_high times stop \(0.05\)"),
        (ExitRules, {"stop": 0.04}, r"clamp_high times stop \(0.08\), not be 0.06"),
        (
            ExitRules,
            {"clamp_high": 0.6, "resident_stop": 0.024},
            r"clamp_high times stop \(0.025\)",
        ),
        (SizingRules, {"prior_win_rate": 1.0}, "prior_win_rate"),
        (SizingRules, {"prior_payoff": 0.0}, "prior_payoff"),
        (SizingRules, {"maximum_payoff": 1.5}, "maximum_payoff"),
        (SizingRules, {"prior_trades": 0.0}, "prior_trades"),
        (SizingRules, {"kelly_divisor": 0.0}, "kelly_divisor"),
        (SizingRules, {"full_vote_above_threshold": 0.0}, "full_vote_above_threshold"),
        (SizingRules, {"minimum_weight": 0.2}, "minimum_weight"),
        (SizingRules, {"minimum_weight": 0.0}, "minimum_weight"),
        (SizingRules, {"maximum_weight": 1.5}, "maximum_weight"),
        (Limits, {"symbol": 15.0}, "symbol"),
        (Limits, {"sector": 0.0}, "sector"),
        (Limits, {"gross": 1.01}, "gross"),
        (Limits, {"dollar_volume": 1.5}, "dollar_volume"),
        (Limits, {"daily_loss": 3.0}, "daily_loss"),
        (Limits, {"positions": 0}, "positions"),
        (Limits, {"orders_per_session": -1}, "orders_per_session"),
        (Limits, {"minutes_before_close": -15.0}, "minutes_before_close"),
        (Limits, {"quote_age_seconds": math.nan}, "quote_age_seconds"),
        (Limits, {"spread_bps": -1.0}, "spread_bps"),
    ],
)
def test_a_rule_out_of_its_range_is_refused_by_name(rules, values, named):
    with pytest.raises(ValueError, match=named):
        rules(**values)


def test_a_resident_stop_just_beyond_the_widest_stop_will_do():
    assert ExitRules(resident_stop=0.0501).resident_stop == 0.0501
    assert ExitRules(stop=0.04, resident_stop=0.081).resident_stop == 0.081
