"""Answers that do not come: an order is sent exactly once all the same (DESIGN §8, ADR 11)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from tests.trading.conftest import FIRST_DAY, MONDAY, QUIET, at, flat_from, world_on

from swingtrader.core.orders import IntentState
from swingtrader.simulator import faults
from swingtrader.simulator.conditions import PartialFills

TUESDAY = date(2023, 11, 21)
AAA_FALLS = QUIET | {"AAA": flat_from((FIRST_DAY, 100.0), (TUESDAY, 97.0))}

ANSWERS = {
    "silence before acceptance": (faults.silence, {"accepted": False}),
    "silence after acceptance": (faults.silence, {"accepted": True}),
    "reset before acceptance": (faults.reset, {"accepted": False}),
    "reset after acceptance": (faults.reset, {"accepted": True}),
    "500 before acceptance": (faults.server_error, {"accepted": False}),
    "502 after acceptance": (faults.bad_gateway, {"accepted": True}),
    "504 after acceptance": (faults.gateway_timeout, {"accepted": True}),
    "cut JSON": (faults.cut_json, {}),
    "empty after acceptance": (faults.empty, {"accepted": True}),
    "rate limit": (faults.rate_limited, {}),
}
NEVER_ARRIVES = faults.silence("POST", "/v2/orders", accepted=False, times=99)
ARRIVES_UNSEEN = (
    faults.silence("POST", "/v2/orders", accepted=True, times=99),
    faults.server_error("GET", "/v2/orders:by_client_order_id", accepted=False, times=99),
)


def unsettled(world):
    with world.store() as store:
        return [(i.side, str(i.purpose), str(i.state)) for i in store.intents.unsettled()]


def rest(world):
    """Lift what is wrong, wait for the next run, and run it."""
    world.exchange.clear_faults()
    world.wait(minutes=5)
    return world.risk_check()


def bought(tmp_path):
    """AAA bought on Monday; it is Tuesday, ten o'clock, and it has to be sold."""
    world = world_on(tmp_path, AAA_FALLS)
    world.decide(AAA=0.5)
    world.move_to(TUESDAY, 10)
    return world


@pytest.mark.parametrize("times", [1, 99])
@pytest.mark.parametrize("answer", ANSWERS)
def test_whatever_becomes_of_the_answer_to_an_entry_there_is_one_order(world, answer, times):
    make, options = ANSWERS[answer]
    world.exchange.set_fault(make("POST", "/v2/orders", times=times, **options))

    world.decide(AAA=0.5)
    ran = rest(world)

    entries = [order for order in world.sent("AAA") if order[1] == "entry"]
    assert len(entries) <= 1
    assert world.held("AAA") in {0, 46}
    assert world.held("AAA") == world.resting("AAA")
    assert ran.code == 0


@pytest.mark.parametrize("times", [1, 99])
@pytest.mark.parametrize("answer", ANSWERS)
def test_whatever_becomes_of_the_answer_to_an_exit_all_is_sold_once(tmp_path, answer, times):
    world = bought(tmp_path)
    make, options = ANSWERS[answer]
    world.exchange.set_fault(make("POST", "/v2/orders", times=times, **options))

    world.risk_check()
    ran = rest(world)

    filled = [o for o in world.sent("AAA") if o[0] == "sell" and o[3] == "filled"]
    assert filled == [("sell", "exit", 46, "filled")]
    assert (ran.code, world.held("AAA"), world.resting("AAA")) == (0, 0, 0)
    assert unsettled(world) == []


@pytest.mark.parametrize("answer", ANSWERS)
def test_whatever_becomes_of_the_answer_to_a_stop_one_rests(world, answer):
    world.risk_check()
    world.holding("AAA", 46)
    make, options = ANSWERS[answer]
    world.exchange.set_fault(make("POST", "/v2/orders", times=2, **options))

    world.risk_check()
    ran = rest(world)

    assert (ran.code, len(world.stops("AAA")), world.resting("AAA")) == (0, 1, 46)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/clock"),
        ("GET", "/v2/account"),
        ("GET", "/v2/positions"),
        ("GET", "/v2/orders"),
        ("GET", "/v2/account/activities*"),
        ("GET", "/v2/positions/AAA"),
        ("DELETE", "/v2/orders/*"),
        ("GET", "/v2/orders/*"),
    ],
)
def test_a_run_that_cannot_ask_leaves_what_it_holds_protected_and_the_next_one_sells(
    tmp_path, method, path
):
    world = bought(tmp_path)
    world.exchange.set_fault(faults.bad_gateway(method, path, accepted=False, times=99))

    ran = world.risk_check()

    assert ran.code == 69
    assert world.held("AAA") == 46 == world.resting("AAA")
    rest(world)
    assert world.held("AAA") == 0 == world.resting("AAA")


@pytest.mark.parametrize("status", [404, 502])
def test_a_sale_that_cannot_be_looked_at_is_taken_back_and_protection_is_there(tmp_path, status):
    world = bought(tmp_path)
    world.exchange.set_fault(PartialFills(Decimal(0), side="sell"))
    world.exchange.set_fault(
        faults.Fault(faults.Kind.STATUS, "GET", "/v2/orders/*", nth=2, times=99, status=status)
    )

    assert world.risk_check().code == 69
    assert world.held("AAA") == 46 == world.resting("AAA")


@pytest.mark.parametrize(("unheard", "code", "held"), [(2, 0, 46), (3, 69, 0)])
def test_an_order_is_sent_three_times_under_its_one_id(world, unheard, code, held):
    silence = faults.silence("POST", "/v2/orders", accepted=False, times=unheard)
    world.exchange.set_fault(silence)

    assert world.decide(AAA=0.5).code == code
    assert world.held("AAA") == held
    bodies = [each.body for each in world.order_requests()][:3]
    assert len(bodies) == 3
    assert len(set(bodies)) == 1
    assert world.pauses[:2] == [1.0, 1.0]


def test_orders_that_the_broker_has_no_time_for_are_exit_69(world):
    world.exchange.set_fault(faults.rate_limited("POST", "/v2/orders", times=99))

    assert world.decide(AAA=0.5).code == 69
    assert world.sent() == []


def test_an_unsettled_order_is_exit_69_and_the_run_after_is_0(world):
    world.exchange.set_fault(NEVER_ARRIVES)

    ran = world.decide(AAA=0.5, BBB=0.4)

    assert ran.code == 69
    assert ran.report["warnings"]
    assert ran.orders == [("entry", "AAA", 46.0, "unknown")]  # and BBB was not tried
    assert rest(world).code == 0


@pytest.mark.parametrize(("unknown", "other"), [("AAA", "BBB"), ("BBB", "AAA")])
def test_a_purchase_that_may_not_have_arrived_is_not_sent_again_and_blocks_its_symbol(
    world, unknown, other
):
    world.exchange.set_fault(NEVER_ARRIVES)
    world.decide(**{unknown: 0.5})
    rest(world)

    ran = world.decide(**{unknown: 0.5, other: 0.5})

    assert ran.reason(unknown) == "bought_this_session"
    assert (world.held(unknown), world.held(other) > 0) == (0, True)
    assert ("buy", "entry", "unknown") in unsettled(world)


def test_an_order_that_cannot_be_looked_up_keeps_nothing_else_from_being_sold(tmp_path):
    world = world_on(tmp_path, AAA_FALLS)
    world.decide(AAA=0.5)
    world.exchange.set_fault(NEVER_ARRIVES)
    world.decide(AAA=0.5, BBB=0.5)
    world.exchange.clear_faults()
    world.exchange.set_fault(
        faults.server_error("GET", "/v2/orders:by_client_order_id", accepted=False, times=99)
    )
    world.move_to(TUESDAY, 10)

    assert world.risk_check().code == 69
    assert world.held("AAA") == 0
    assert unsettled(world) == [("buy", "entry", "unknown")]


def test_it_is_given_up_when_its_session_is_over(world):
    world.exchange.set_fault(NEVER_ARRIVES)
    world.decide(AAA=0.5)
    world.exchange.clear_faults()
    world.move_to(TUESDAY, 10)

    ran = world.decide(AAA=0.5)

    assert ran.orders[0] == ("entry", "AAA", 46, "filled")
    assert unsettled(world) == [("sell", "protection", "working")]
    with world.store() as store:
        (first, second) = [
            i for session in (date(2023, 11, 20), TUESDAY)
            for i in store.intents.of_session(session) if i.purpose == "entry"
        ]  # fmt: skip
    assert (first.state, second.state) == (IntentState.ABANDONED, IntentState.DONE)


def test_a_sale_that_did_not_arrive_is_sent_again_under_its_own_id(tmp_path):
    world = bought(tmp_path)
    world.exchange.set_fault(NEVER_ARRIVES)
    assert world.risk_check().code == 69
    assert unsettled(world) == [("sell", "exit", "unknown")]

    assert rest(world).report["warnings"] == []  # the account is read again after it

    sale = world.exchange.all_orders[-1]
    assert (sale.client_order_id, sale.qty) == ("st-20231121-AAA-sell-exit-1", 46)
    assert world.held("AAA") == 0


@pytest.mark.parametrize(("more", "held_by_hand", "sold"), [(5, 0, [46, 5]), (0, 40, [6])])
def test_it_sells_no_more_than_was_asked_for_and_none_that_another_order_holds(
    tmp_path, more, held_by_hand, sold
):
    world = bought(tmp_path)
    world.exchange.set_fault(NEVER_ARRIVES)
    world.risk_check()
    world.exchange.clear_faults()
    if more:
        world.exchange.deliver("AAA", Decimal(more), Decimal(100))
    if held_by_hand:
        world.by_hand("AAA", "sell", held_by_hand, type="limit", limit_price="200")
    world.wait(minutes=5)

    ran = world.risk_check()

    assert [order[2] for order in world.sent("AAA")[2:]] == sold
    assert not any("refused" in warning for warning in ran.report["warnings"])


@pytest.mark.parametrize(("by_hand", "left"), [(40, [6]), (45, [1]), (46, [])])
def test_it_sells_no_more_than_is_there_by_then(tmp_path, by_hand, left):
    world = bought(tmp_path)
    world.exchange.set_fault(NEVER_ARRIVES)
    world.risk_check()
    world.exchange.clear_faults()
    world.by_hand("AAA", "sell", by_hand)
    world.wait(minutes=5)
    asked = len(world.order_requests())

    assert world.risk_check().code == 0
    assert [order[2] for order in world.sent("AAA")[2:]] == left
    names = [order.client_order_id for order in world.exchange.all_orders]
    assert names.count("st-20231121-AAA-sell-exit-1") == len(left)
    assert len(world.order_requests()) == asked + len(left)
    assert (world.held("AAA"), unsettled(world)) == (0, [])


def test_where_the_position_cannot_be_asked_for_it_goes_by_the_list_of_positions(tmp_path):
    world = bought(tmp_path)
    world.exchange.set_fault(NEVER_ARRIVES)
    world.risk_check()
    world.exchange.clear_faults()
    world.by_hand("AAA", "sell", 40)
    world.wait(minutes=5)
    world.exchange.set_fault(
        faults.bad_gateway("GET", "/v2/positions/AAA", accepted=False, times=99)
    )

    world.risk_check()

    assert [order[1:] for order in world.sent("AAA")[2:]] == [("exit", 6, "filled")]


def test_a_sale_that_did_not_arrive_by_the_close_leaves_the_position_protected_next_day(tmp_path):
    world = bought(tmp_path)
    world.exchange.set_fault(NEVER_ARRIVES)
    world.risk_check()
    world.exchange.clear_faults()
    world.move_to(date(2023, 11, 22), 10)

    ran = world.risk_check()

    assert (ran.code, world.held("AAA")) == (0, 0)  # 97 still asks for the sale, under a new id
    assert [order[1:] for order in world.sent("AAA")[2:]] == [("exit", 46, "filled")]


def test_an_order_that_arrived_unseen_is_found_and_counted_once(world):
    for fault in ARRIVES_UNSEEN:
        world.exchange.set_fault(fault)
    assert world.decide(AAA=0.5).code == 69
    world.exchange.clear_faults()
    world.wait(minutes=15)

    ran = world.decide(AAA=0.5)

    assert (ran.code, ran.reason("AAA")) == (0, "held")
    assert world.held("AAA") == 46 == world.resting("AAA")
    assert unsettled(world) == [("sell", "protection", "working")]


def test_an_order_that_the_broker_no_longer_knows_is_given_up_and_not_sent_again(tmp_path):
    world = world_on(tmp_path)
    world.decide(AAA=0.5)
    assert unsettled(world) == [("sell", "protection", "working")]
    world.exchange = world_on(
        tmp_path, start=at(MONDAY, 10, 15)
    ).exchange  # a paper account, reset

    assert world.risk_check().code == 0
    assert (world.order_requests(), unsettled(world)) == ([], [])


def test_an_order_of_an_earlier_session_that_arrived_unseen_is_found_by_its_id(world):
    for fault in ARRIVES_UNSEEN:
        world.exchange.set_fault(fault)
    world.decide(AAA=0.5)
    world.exchange.clear_faults()
    world.move_to(TUESDAY, 10)

    assert world.risk_check().code == 0
    with world.store() as store:
        (entry,) = [i for i in store.intents.of_session(MONDAY) if i.purpose == "entry"]
    assert (entry.state, entry.filled_qty) == (IntentState.DONE, 46)


def test_entries_and_exits_of_ours_that_are_found_open_are_taken_back(world):
    world.risk_check()
    name = "st-20231120-AAA-buy-entry-7"
    body = {"type": "limit", "limit_price": "90", "client_order_id": name}
    world.by_hand("AAA", "buy", 5, **body)
    world.wait(minutes=5)

    ran = world.decide(BBB=0.5)

    assert world.exchange.order_by_client_id(name)["status"] == "canceled"
    assert ran.report["orders"][-2]["client_order_id"] == "st-20231120-BBB-buy-entry-8"
