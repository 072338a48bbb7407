"""What is sold for its price, what is not, and how a sale is carried out (DESIGN §7, §8)."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from tests.trading.conftest import MONDAY, Forecast, flat_from, world_on

from swingtrader.environment import Mode
from swingtrader.simulator import faults
from swingtrader.simulator.conditions import NoQuote, PartialFills, RejectedOrders
from swingtrader.simulator.settings import Latency

FRIDAY_BEFORE = date(2023, 11, 17)
TUESDAY, WEDNESDAY = date(2023, 11, 21), date(2023, 11, 22)
ONLY_TIME_HELPS = Latency(polls=None, delay=timedelta(minutes=10))


def stock(*steps):
    """AAA at 100, too young for an ATR, then at these (day, price); and three quiet stocks."""
    quiet = {"BBB": 50.0, "CCC": 20.0, "DDD": 200.0}
    return {"AAA": flat_from((FRIDAY_BEFORE, 100.0), *steps), **quiet}


def with_range(half, *steps):
    """AAA with a true range of 2 x `half` USD a day until Monday, then flat at these prices."""
    flat = flat_from((MONDAY, 100.0), *steps)

    def bar(row, day):
        return flat(row, day) or (100.0, 100.0 + half, 100.0 - half, 100.0, 2e6)

    return {"AAA": bar}


def holding(tmp_path, bars, **settings):
    """AAA bought on Monday; it is Tuesday, ten o'clock."""
    world = world_on(tmp_path, bars, **settings)
    world.decide(AAA=0.5)
    assert world.held("AAA") == 46
    world.move_to(TUESDAY, 10)
    return world


@pytest.mark.parametrize(
    ("price", "reason"),
    [(97.4, "stop_loss"), (97.6, "held"), (103.9, "held"), (104.1, "target")],
)
def test_without_an_atr_stop_and_target_lie_at_static_distances(tmp_path, price, reason):
    world = holding(tmp_path, stock((TUESDAY, price)))

    ran = world.risk_check()

    assert ran.reason("AAA") == reason
    assert world.held("AAA") == (46 if reason == "held" else 0)


@pytest.mark.parametrize(
    ("half_range", "price", "reason"),
    [
        (0.5, 98.3, "stop_loss"),  # ATR about 1 %: the stop is 1.4 % away, not 2.5 %
        (1.0, 97.4, "held"),  # about 2 %: 2.8 %
        (9.0, 95.3, "held"),  # about 18 %, but never further than twice the static distance
        (9.0, 94.9, "stop_loss"),
    ],
)
def test_with_an_atr_the_distances_are_its_multiples_within_bounds(
    tmp_path, half_range, price, reason
):
    world = holding(tmp_path, with_range(half_range, (TUESDAY, price)))

    assert world.risk_check().reason("AAA") == reason


@pytest.mark.parametrize(("last", "reason"), [(100.5, "held"), (100.3, "trailing_stop")])
def test_a_price_far_enough_below_its_highest_is_sold(tmp_path, last, reason):
    world = holding(tmp_path, stock((TUESDAY, 103.5), (WEDNESDAY, last)))
    world.risk_check()
    world.move_to(WEDNESDAY, 10)

    assert world.risk_check().reason("AAA") == reason


def test_the_high_water_mark_and_the_trailing_stop_never_move_down(tmp_path):
    world = holding(tmp_path, stock((TUESDAY, 103.5), (WEDNESDAY, 101.0)))
    world.risk_check()
    high = world.tracked("AAA").marks
    assert high.high_water == pytest.approx(103.5 / 100.02, rel=1e-6)
    world.move_to(WEDNESDAY, 10)
    world.risk_check()

    assert world.tracked("AAA").marks == high


def test_one_wild_print_neither_sells_nor_raises_the_mark(tmp_path):
    for wild in (90.0, 110.0):
        world = holding(tmp_path / str(wild), stock())
        world.risk_check()
        before = world.tracked("AAA").marks
        world.prints("AAA", wild)
        for _poll in range(3):
            assert world.risk_check().reason("AAA") == "held"
            world.wait(minutes=5)
        assert world.tracked("AAA").marks == before


def test_without_a_quote_a_price_is_believed_on_the_second_print(tmp_path):
    world = holding(tmp_path, stock((TUESDAY, 96.0)))
    world.exchange.set_fault(NoQuote("AAA"))

    assert world.risk_check().reason("AAA") == "held"
    assert world.risk_check().reason("AAA") == "held"  # it is still the same print
    world.wait(minutes=5)
    assert world.risk_check().reason("AAA") == "stop_loss"


def test_without_a_feed_the_brokers_unchanged_price_is_one_print_however_often_read(tmp_path):
    world = holding(tmp_path, stock())
    world.exchange.set_fault(faults.bad_gateway("GET", "/v2/stocks/*", accepted=False, times=99))
    world.exchange.set_fault(
        faults.edit("GET", "/v2/positions*", "0.current_price", "90", times=99)
    )

    for _poll in range(3):
        world.risk_check()
        world.wait(minutes=5)

    assert world.held("AAA") == 46


def test_an_exit_cancels_the_stop_waits_for_it_and_sells_what_is_then_there(tmp_path):
    world = holding(tmp_path, stock((TUESDAY, 97.0)), cancel_latency=Latency(polls=3))
    world.when("DELETE", "*", lambda: world.exchange.deliver("AAA", Decimal(5), Decimal(100)))

    ran = world.risk_check()

    assert ran.code == 0
    assert world.sent("AAA")[1:] == [
        ("sell", "protection", 46, "canceled"),
        ("sell", "exit", 51, "filled"),
    ]
    assert world.held("AAA") == 0 == world.resting("AAA")


def test_when_the_stop_fills_while_it_is_canceled_nothing_is_sold_again(tmp_path):
    world = world_on(tmp_path, stock((TUESDAY, 90.0)), cancel_latency=ONLY_TIME_HELPS)
    world.decide(AAA=0.5)
    world.exchange.set_fault(PartialFills(Decimal(0), side="sell"))
    world.move_to(TUESDAY, 10)

    def fill_the_stop():
        world.exchange.clear_faults()
        world.wait(minutes=1)

    world.when("DELETE", "*", fill_the_stop)
    ran = world.risk_check()

    assert ran.code == 0
    assert world.sent("AAA")[1:] == [("sell", "protection", 46, "filled")]
    assert world.held("AAA") == 0


def test_while_the_stop_cannot_be_canceled_nothing_else_is_sold(tmp_path):
    world = holding(tmp_path, stock((TUESDAY, 97.0)), cancel_latency=ONLY_TIME_HELPS)
    world.pauses.clear()

    ran = world.risk_check()

    assert [order[1] for order in world.sent("AAA")] == ["entry", "protection"]
    assert [each.method for each in world.order_requests()[2:]] == ["DELETE"]
    assert (min(world.pauses) > 0, sum(world.pauses)) == (True, pytest.approx(10.0))
    assert ran.code == 69
    assert ran.report["warnings"]
    world.wait(minutes=15)
    world.risk_check()
    assert world.held("AAA") == 0


def test_a_cancellation_that_got_lost_is_asked_for_again_at_the_third_look(tmp_path):
    world = holding(tmp_path, stock((TUESDAY, 97.0)))
    world.exchange.set_fault(faults.silence("DELETE", "/v2/orders/*", accepted=False))
    world.pauses.clear()

    assert world.risk_check().code == 0

    assert world.held("AAA") == 0
    assert [each.method for each in world.order_requests()[2:]] == ["DELETE", "DELETE", "POST"]
    assert world.pauses[:3] == [0.2, 0.3, 0.5]
    assert 1.0 not in world.pauses


@pytest.mark.parametrize(
    ("trouble", "left"),
    [
        (RejectedOrders(side="sell"), 46),
        (PartialFills(Decimal("0.5"), side="sell"), 23),
        (PartialFills(Decimal(0), side="sell"), 46),
        (faults.Fault(faults.Kind.STATUS, "POST", status=422, body='{"message":"no"}'), 46),
    ],
)
def test_when_a_sale_does_not_go_through_protection_is_back_in_the_same_run(
    tmp_path, trouble, left
):
    world = holding(tmp_path, stock((TUESDAY, 97.0)))
    world.exchange.set_fault(trouble)

    ran = world.risk_check()

    assert world.held("AAA") == left == world.resting("AAA")
    assert ran.code == 0
    assert ran.report["warnings"]
    world.exchange.clear_faults()
    world.wait(minutes=5)
    world.risk_check()
    assert world.held("AAA") == 0 == world.resting("AAA")


def test_a_sale_without_an_answer_is_made_sure_of_in_the_same_run(tmp_path):
    world = holding(tmp_path, stock((TUESDAY, 97.0)))
    world.exchange.set_fault(faults.silence("POST", "/v2/orders", accepted=False))

    assert world.risk_check().code == 0
    assert [order[1:] for order in world.sent("AAA")[2:]] == [("exit", 46, "filled")]


def test_a_fraction_is_sold_with_its_whole_shares_and_cannot_be_protected(tmp_path):
    world = world_on(tmp_path, stock((TUESDAY, 97.0)))
    world.holding("AAA", "10.5")
    world.risk_check()
    assert world.resting("AAA") == 10
    world.move_to(TUESDAY, 10)

    assert world.risk_check().orders == [("exit", "AAA", 10.5, "filled")]
    assert world.held("AAA") == 0


@pytest.mark.parametrize("qty", [1, 7])
def test_of_a_sale_that_goes_through_there_is_nothing_to_say(tmp_path, qty):
    world = world_on(tmp_path, stock((TUESDAY, 97.0)))
    world.holding("AAA", qty)
    world.risk_check()
    world.move_to(TUESDAY, 10)

    ran = world.risk_check()

    assert ran.orders == [("exit", "AAA", qty, "filled")]
    assert (ran.code, ran.report["warnings"]) == (0, [])


@pytest.mark.parametrize(
    ("held", "asked", "left"), [("10.5", [10.5, 10], "0.5"), ("0.5", [0.5], "0.5")]
)
def test_where_fractions_are_refused_at_least_the_whole_shares_are_sold(
    tmp_path, held, asked, left
):
    world = world_on(tmp_path, stock((TUESDAY, 90.0)))
    world.holding("AAA", held)
    world.move_to(TUESDAY, 10)
    world.exchange.configure({"fractional_trading": False})

    ran = world.risk_check()

    assert [order[2] for order in ran.orders] == asked
    assert world.held("AAA") == Decimal(left)
    assert ran.report["warnings"]


def test_a_fraction_that_is_only_planned_to_be_sold_is_planned_once(tmp_path):
    world = world_on(tmp_path, stock((TUESDAY, 97.0)), mode=Mode.DRY_RUN)
    world.holding("AAA", "10.5")
    world.move_to(TUESDAY, 10)

    assert world.risk_check().orders == [("exit", "AAA", 10.5, "planned")]


def test_shares_under_a_stop_are_planned_to_be_sold_whole(tmp_path):
    world = world_on(tmp_path, stock((TUESDAY, 97.0)), mode=Mode.DRY_RUN)
    world.holding("AAA", 10)
    world.by_hand("AAA", "sell", 10, type="stop", stop_price="80", time_in_force="gtc")
    world.move_to(TUESDAY, 10)

    assert world.risk_check().orders == [("exit", "AAA", 10, "planned")]


@pytest.mark.parametrize("qty", ["many", "0", "-46"])
def test_what_is_no_longer_held_when_it_is_to_be_sold_is_not_sold(tmp_path, qty):
    world = holding(tmp_path, stock((TUESDAY, 97.0)))
    world.exchange.set_fault(faults.edit("GET", "/v2/positions/AAA", "qty", qty))

    ran = world.risk_check()

    assert any("AAA: was no longer held" in warning for warning in ran.report["warnings"])
    assert world.held("AAA") == 46 == world.resting("AAA")


def test_beside_a_sale_by_hand_our_stop_is_withdrawn_and_the_rest_is_sold(tmp_path):
    world = holding(tmp_path, stock((TUESDAY, 97.0)))
    world.exchange.deliver("AAA", Decimal(5), Decimal(100))
    world.by_hand("AAA", "sell", 5, type="limit", limit_price="200")

    ran = world.risk_check()

    assert ran.orders == [("exit", "AAA", 46, "filled")]
    assert (world.held("AAA"), world.resting("AAA")) == (5, 0)


def test_the_wider_distances_of_decide_count_only_without_an_atr(tmp_path):
    wide = Forecast({"AAA": 0.1}, atr_fraction=0.03)
    world = holding(tmp_path, stock((TUESDAY, 96.5)))

    assert world.decide(wide).reason("AAA") == "held"
    assert world.decide(AAA=0.1).reason("AAA") == "stop_loss"
