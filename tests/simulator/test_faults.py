from __future__ import annotations

from decimal import Decimal

import pytest
from tests.simulator.conftest import exchange_on, ticket

from swingtrader.simulator.conditions import Conditions, PartialFills, RejectedOrders
from swingtrader.simulator.faults import MISSING, FaultPlan, edited, reset, silence

PAYLOAD = {"cash": "1", "legs": [{"qty": "1"}, {"qty": "2"}], "bars": {"SPY": [{"c": 1}]}}


@pytest.mark.parametrize(
    ("path", "value", "where", "found"),
    [
        ("cash", None, lambda p: p["cash"], None),
        ("cash", 7, lambda p: p["cash"], 7),
        ("cash", MISSING, lambda p: "cash" in p, False),
        ("new", "x", lambda p: p["new"], "x"),
        ("legs.1.qty", MISSING, lambda p: p["legs"], [{"qty": "1"}, {}]),
        ("legs.*.qty", None, lambda p: p["legs"], [{"qty": None}, {"qty": None}]),
        ("legs.0", MISSING, lambda p: p["legs"], [{"qty": "2"}]),
        ("legs.0", None, lambda p: p["legs"], [None, {"qty": "2"}]),
        ("bars.*.0.c", "text", lambda p: p["bars"]["SPY"], [{"c": "text"}]),
        ("bars.QQQ.0.c", "text", lambda p: p, PAYLOAD),
        ("legs.5.qty", None, lambda p: p, PAYLOAD),
        ("cash.deeper", None, lambda p: p, PAYLOAD),
    ],
)
def test_edit_changes_one_place_and_not_its_argument(path, value, where, found):
    before = repr(PAYLOAD)
    assert where(edited(PAYLOAD, path, value)) == found
    assert repr(PAYLOAD) == before


def test_fault_meets_the_nth_match_and_as_many_as_it_says():
    plan = FaultPlan()
    fault = silence("POST", "/v2/orders*", accepted=True, nth=2, times=2)
    plan.add(fault)
    asked = [("POST", "/v2/orders"), ("GET", "/v2/orders"), ("POST", "/v2/clock")]
    met = [plan.met_by(*each) for each in asked * 4]
    assert [place for place, each in enumerate(met) if each] == [3, 6]
    plan.clear()
    assert plan.met_by(*asked[0]) is None


def test_first_fault_set_wins_and_the_other_has_had_its_turn():
    plan = FaultPlan()
    first = reset("*", "*", accepted=False)
    plan.add(first)
    plan.add(silence("*", "*", accepted=False))
    assert plan.met_by("GET", "/v2/clock") is first
    assert plan.met_by("GET", "/v2/clock") is None


def test_conditions_look_at_symbol_and_side():
    conditions = Conditions()
    conditions.add(PartialFills(Decimal("0.5"), symbol="B*", side="sell"))
    exchange = exchange_on()
    for symbol in ("AAA", "BBB"):
        exchange.submit_order(ticket(symbol))
    exchange.account()
    exchange.submit_order(ticket("BBB", "sell", "7"))
    bought_a, bought_b, sold_b = exchange.all_orders
    assert [conditions.most(order) for order in (bought_a, bought_b, sold_b)] == [None, None, 3]


def test_rejections_are_counted_in_matching_orders():
    conditions = Conditions()
    conditions.add(RejectedOrders(symbol="BBB", nth=2))
    exchange = exchange_on()
    for symbol in ("BBB", "AAA", "BBB", "BBB"):
        exchange.submit_order(ticket(symbol))
    assert [conditions.rejects(order) for order in exchange.all_orders] == [
        False, False, True, False,
    ]  # fmt: skip
