"""LIVE_TRADING=false: everything runs, and not one order is sent (DESIGN §8, modes)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from tests.trading.conftest import FIRST_DAY, QUIET, flat_from, world_on

from swingtrader.commands import halts
from swingtrader.environment import Mode

TUESDAY, WEDNESDAY, FRIDAY = date(2023, 11, 21), date(2023, 11, 22), date(2023, 11, 24)
AAA_MOVES = QUIET | {
    "AAA": flat_from((FIRST_DAY, 100.0), (TUESDAY, 101.0), (WEDNESDAY, 98.0)),
}


@pytest.fixture
def dry(tmp_path):
    """An account that the program may look at; what is in it was bought by hand."""
    return world_on(tmp_path, AAA_MOVES, mode=Mode.DRY_RUN)


def test_entries_are_planned_in_full_and_not_sent(dry):
    ran = dry.decide(AAA=0.5, BBB=0.5)

    assert ran.report["mode"] == "dry_run"
    assert ran.orders == [("entry", "AAA", 46, "planned"), ("entry", "BBB", 93, "planned")]
    assert all(order["limit_price"] > 0 for order in ran.report["orders"])
    assert dry.order_requests() == []


def test_the_plan_is_the_same_in_the_next_run(dry):
    plans = []
    for _run in range(3):
        plans.append(dry.decide(AAA=0.5, BBB=0.5).orders)
        dry.wait(minutes=15)

    assert plans[0] == plans[1] == plans[2]
    with dry.store() as store:
        assert store.intents.unsettled() == ()


def test_exits_and_protection_are_planned_and_not_sent(dry):
    dry.risk_check()
    dry.holding("AAA", 10)
    dry.holding("BBB", 4)
    sent = len(dry.order_requests())
    dry.move_to(WEDNESDAY, 10)

    for _run in range(2):
        ran = dry.risk_check()
        assert sorted(ran.orders) == [
            ("exit", "AAA", 10, "planned"),
            ("protection", "BBB", 4, "planned"),
        ]
        assert ran.reason("AAA") == "stop_loss"

    assert len(dry.order_requests()) == sent
    assert dry.held("AAA") == 10


def test_a_stop_that_rests_is_not_canceled_for_a_planned_sale(dry):
    dry.risk_check()
    dry.holding("AAA", 10)
    dry.by_hand("AAA", "sell", 10, type="stop", stop_price="90", time_in_force="gtc")
    dry.move_to(WEDNESDAY, 10)

    assert dry.risk_check().orders == [("exit", "AAA", 10, "planned")]
    assert dry.resting("AAA") == 10


def test_marks_and_misses_are_kept_all_the_same(dry):
    dry.risk_check()
    dry.holding("AAA", 10)
    dry.move_to(TUESDAY, 10)
    dry.decide(BBB=0.1)
    tracked = dry.tracked("AAA")

    assert tracked.marks.high_water == pytest.approx(101 / 100.02, rel=1e-6)
    assert (tracked.misses, tracked.counted_session) == (1, TUESDAY)
    dry.decide(BBB=0.1)
    assert dry.tracked("AAA").misses == 1


def test_flatten_is_planned_too(dry):
    dry.risk_check()
    dry.holding("AAA", 10)
    with dry.store() as store:
        halts.halt(store, "by hand", dry.exchange.now, flatten=True)

    assert dry.risk_check().orders == [("exit", "AAA", 10, "planned")]
    assert dry.held("AAA") == 10


def test_what_is_open_at_the_broker_stays_open(dry):
    dry.risk_check()
    name = "st-20231120-AAA-buy-entry-1"
    dry.by_hand("AAA", "buy", 5, type="limit", limit_price="90", client_order_id=name)
    dry.wait(minutes=5)
    dry.decide(BBB=0.5)

    assert dry.exchange.order_by_client_id(name)["status"] == "new"


def test_from_dry_run_to_real_orders_nothing_planned_is_sent_late(dry):
    dry.decide(AAA=0.5)
    dry.mode = Mode.PAPER
    dry.wait(minutes=15)

    ran = dry.decide(BBB=0.5)

    assert ran.orders[0] == ("entry", "BBB", 93, "filled")
    assert dry.held("AAA") == 0
    assert dry.exchange.cash < Decimal(100_000)
