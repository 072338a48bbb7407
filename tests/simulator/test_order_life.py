from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from tests.simulator.conftest import bought, exchange_on, limit, new_york, stop, ticket

from swingtrader.simulator.book import OrderFilter
from swingtrader.simulator.conditions import PartialFills, RejectedOrders
from swingtrader.simulator.errors import RefusalError
from swingtrader.simulator.settings import Latency


def status(exchange, order):
    return exchange.order(order["id"])["status"]


def listed(exchange, **wanted):
    return [order["id"] for order in exchange.orders(OrderFilter(**wanted))]


def test_market_order_is_pending_new_and_filled_at_the_next_request(exchange):
    order = exchange.submit_order(ticket())
    assert (order["status"], order["filled_qty"], order["filled_avg_price"]) == (
        "pending_new", "0", None,
    )  # fmt: skip
    filled = exchange.order(order["id"])
    assert (filled["status"], filled["filled_qty"]) == ("filled", "10")
    assert filled["filled_avg_price"] == "100.02"  # the ask


def test_sale_fills_at_the_bid(exchange):
    bought(exchange)
    sale = exchange.submit_order(ticket(side="sell"))
    assert exchange.order(sale["id"])["filled_avg_price"] == "99.98"


def test_clock_fills_what_nobody_asks_about(exchange):
    order = exchange.submit_order(ticket())
    exchange.advance_to(new_york(20, 10, 0, 1))
    assert exchange.fills[0].at == new_york(20, 10, 0, 1)
    assert exchange.fills[0].order_id == order["id"]


def test_latency_can_ignore_polls():
    exchange = exchange_on(order_latency=Latency(polls=None, delay=timedelta(minutes=3)))
    order = exchange.submit_order(ticket())
    assert {status(exchange, order) for _ in range(20)} == {"pending_new"}
    exchange.advance_to(new_york(20, 10, 3))
    assert status(exchange, order) == "filled"


def test_latency_can_ignore_the_clock():
    exchange = exchange_on(order_latency=Latency(polls=2, delay=None))
    order = exchange.submit_order(ticket())
    exchange.advance_to(new_york(20, 11))
    assert status(exchange, order) == "pending_new"
    assert status(exchange, order) == "filled"


def test_marketable_limit_fills_at_the_ask_not_at_its_limit(exchange):
    order = exchange.submit_order(limit(101))
    assert exchange.order(order["id"])["filled_avg_price"] == "100.02"


def test_resting_limit_fills_at_its_limit_when_the_market_comes():
    exchange = exchange_on(start=new_york(22, 9, 45))
    order = exchange.submit_order(limit("90.00", "MOVE"))
    assert status(exchange, order) == "new"
    exchange.advance_to(new_york(22, 16))
    filled = exchange.order(order["id"])
    assert (filled["status"], filled["filled_avg_price"]) == ("filled", "90")


def test_limit_passed_over_night_fills_at_the_opening_price():
    exchange = exchange_on(start=new_york(24, 12))
    order = exchange.submit_order(limit("75.00", "MOVE", time_in_force="gtc"))
    exchange.advance_to(new_york(27, 9, 30))
    assert Decimal(exchange.order(order["id"])["filled_avg_price"]) == Decimal("70.01")


def test_stop_fills_at_the_market_of_the_minute_that_reached_it():
    exchange = exchange_on(start=new_york(22, 9, 31))
    bought(exchange, "MOVE")
    order = exchange.submit_order(stop("95.00", "MOVE"))
    exchange.advance_to(new_york(22, 16))
    filled = exchange.order(order["id"])
    assert filled["status"] == "filled"
    assert Decimal(90) < Decimal(filled["filled_avg_price"]) < Decimal(95)


def test_stop_gapped_through_fills_at_the_open_never_at_the_stop():
    exchange = exchange_on(start=new_york(24, 12))
    bought(exchange, "MOVE")
    order = exchange.submit_order(stop("80.00", "MOVE", time_in_force="gtc"))
    exchange.advance_to(new_york(27, 9, 30))
    # Opening trade 70; the bid lies two basis points and the tick below.
    assert exchange.order(order["id"])["filled_avg_price"] == "69.98"


def test_stop_limit_becomes_a_limit_that_a_gap_leaves_behind():
    exchange = exchange_on(start=new_york(24, 12))
    bought(exchange, "MOVE")
    body = stop("80.00", "MOVE", time_in_force="gtc", limit_price="79.00") | {"type": "stop_limit"}
    order = exchange.submit_order(body)
    exchange.advance_to(new_york(27, 16))
    assert status(exchange, order) == "new"


def test_trailing_stop_follows_the_high_and_never_comes_down():
    exchange = exchange_on(start=new_york(20, 9, 31))
    bought(exchange, "MOVE")
    body = ticket("MOVE", "sell", type="trailing_stop", trail_price="6.00", time_in_force="gtc")
    order = exchange.submit_order(body)
    assert Decimal(order["hwm"]) == exchange.price("MOVE")
    assert Decimal(order["stop_price"]) == exchange.price("MOVE") - 6
    stops = []
    for minute in range(35, 60):
        exchange.advance_to(new_york(20, 9, minute))
        stops.append(Decimal(exchange.order(order["id"])["stop_price"]))
    assert stops == sorted(stops)
    exchange.advance_to(new_york(22, 16))
    assert status(exchange, order) == "filled"
    assert exchange.fills[-1].price < 110 - 6


@pytest.mark.parametrize(
    ("submitted", "status_then", "expires"),
    [
        (new_york(20, 10), "pending_new", new_york(20, 16)),
        (new_york(20, 16, 30), "accepted", new_york(21, 16)),
        (new_york(23, 12), "accepted", new_york(24, 13)),
        (new_york(24, 14), "accepted", new_york(27, 16)),
    ],
)
def test_day_order_lives_until_the_close_of_its_session(submitted, status_then, expires):
    exchange = exchange_on(start=submitted)
    order = exchange.submit_order(limit(50))
    assert order["status"] == status_then
    exchange.advance_to(expires - timedelta(seconds=1))
    assert status(exchange, order) == "new"
    exchange.advance_to(expires)
    assert status(exchange, order) == "expired"


def test_order_queued_over_night_is_filled_at_the_open():
    exchange = exchange_on(start=new_york(20, 20))
    order = exchange.submit_order(ticket())
    assert status(exchange, order) == "accepted"
    exchange.advance_to(new_york(21, 9, 30))
    assert exchange.order(order["id"])["filled_at"].startswith("2023-11-21T14:30:00")


def test_gtc_order_is_canceled_after_ninety_days():
    exchange = exchange_on()
    order = exchange.submit_order(limit(50, time_in_force="gtc"))
    assert order["expires_at"].startswith("2024-02-18T21:15:00")
    exchange.advance_to(new_york(30, 16))
    assert status(exchange, order) == "new"


def test_gtc_order_of_ninety_days_ago_is_gone():
    days = [date(2023, 11, 20) + timedelta(days=7 * week) for week in range(15)]
    exchange = exchange_on({"AAA": [(9.0, 9.0, 9.0, 9.0, 1e6)] * 15}, days=days, half_days=())
    order = exchange.submit_order(limit(5, time_in_force="gtc"))
    exchange.advance_to(new_york(date(2024, 2, 12), 16))
    assert status(exchange, order) == "new"
    exchange.advance_to(new_york(date(2024, 2, 19), 16))
    assert status(exchange, order) == "canceled"


def test_order_for_the_opening_meets_no_other_minute():
    exchange = exchange_on(start=new_york(21, 9, 27))
    order = exchange.submit_order(limit(90, "MOVE", time_in_force="opg"))
    market = exchange.submit_order(ticket("MOVE", time_in_force="opg"))
    exchange.advance_to(new_york(21, 9, 30))
    assert (status(exchange, order), status(exchange, market)) == ("expired", "filled")


def test_order_for_the_closing_waits_for_it():
    exchange = exchange_on(start=new_york(20, 10))
    order = exchange.submit_order(ticket(time_in_force="cls"))
    exchange.advance_to(new_york(20, 15, 59))
    assert status(exchange, order) == "new"
    exchange.advance_to(new_york(20, 16))
    assert exchange.order(order["id"])["filled_at"].startswith("2023-11-20T21:00:00")


@pytest.mark.parametrize(
    ("time_in_force", "status_then", "filled"),
    [("ioc", "canceled", "5"), ("fok", "canceled", "0"), ("day", "partially_filled", "5")],
)
def test_what_cannot_fill_at_once(time_in_force, status_then, filled):
    exchange = exchange_on()
    exchange.set_fault(PartialFills(Decimal("0.5")))
    order = exchange.submit_order(limit(101, time_in_force=time_in_force))
    seen = exchange.order(order["id"])
    assert (seen["status"], seen["filled_qty"]) == (status_then, filled)


def test_volume_share_spreads_an_order_over_the_minutes():
    exchange = exchange_on(volume_share=Decimal("0.005"))
    order = exchange.submit_order(ticket(qty="100"))
    seen = []
    for minute in range(1, 12):
        exchange.advance_to(new_york(20, 10, minute))
        seen.append(int(exchange.order(order["id"])["filled_qty"]))
    assert 0 < seen[0] < seen[1] < seen[-1] == 100
    assert len({fill.price for fill in exchange.fills}) == 1


def test_orders_share_the_volume_of_a_minute_in_order_of_arrival():
    exchange = exchange_on(volume_share=Decimal("0.005"))
    first, second = (exchange.submit_order(ticket(qty="100")) for _ in range(2))
    filled = [int(exchange.order(order["id"])["filled_qty"]) for order in (first, second)]
    assert filled[0] > 0 == filled[1]


def test_order_in_a_symbol_without_a_bar_today_waits_and_expires():
    bars = {"AAA": [(9.0, 9.0, 9.0, 9.0, 1e6)] * 3 + [None] + [(9.0, 9.0, 9.0, 9.0, 1e6)] * 7}
    exchange = exchange_on(bars)
    order = exchange.submit_order(ticket())
    assert status(exchange, order) == "new"
    exchange.advance_to(new_york(20, 16))
    assert status(exchange, order) == "expired"


# Cancelling -----------------------------------------------------------------------------------


def test_cancel_takes_two_steps(exchange):
    order = exchange.submit_order(limit(50))
    assert status(exchange, order) == "new"
    exchange.cancel_order(order["id"])
    assert exchange.all_orders[0].status == "pending_cancel"
    assert status(exchange, order) == "canceled"


def test_order_may_still_fill_while_its_cancellation_is_pending():
    latency = Latency(polls=None, delay=timedelta(hours=6))
    exchange = exchange_on(start=new_york(22, 9, 45), cancel_latency=latency)
    order = exchange.submit_order(limit("90.00", "MOVE"))
    assert status(exchange, order) == "new"
    exchange.cancel_order(order["id"])
    exchange.advance_to(new_york(22, 15, 30))
    assert status(exchange, order) == "filled"


def test_part_fill_does_not_end_a_pending_cancellation():
    latency = Latency(polls=None, delay=timedelta(minutes=5))
    exchange = exchange_on(cancel_latency=latency, volume_share=Decimal("0.005"))
    order = exchange.submit_order(ticket(qty="1000"))
    exchange.account()
    exchange.cancel_order(order["id"])
    exchange.advance_to(new_york(20, 10, 2))
    seen = exchange.order(order["id"])
    assert (seen["status"], 0 < int(seen["filled_qty"]) < 1000) == ("pending_cancel", True)
    with pytest.raises(RefusalError, match='already in "pending_cancel" state'):
        exchange.cancel_order(order["id"])
    exchange.advance_to(new_york(20, 10, 5))
    assert status(exchange, order) == "canceled"


def test_shares_stay_held_until_canceled():
    exchange = exchange_on(cancel_latency=Latency(polls=2, delay=None))
    bought(exchange)
    order = exchange.submit_order(stop(90, time_in_force="gtc"))
    exchange.cancel_order(order["id"])
    assert exchange.position("AAA")["qty_available"] == "0"
    assert exchange.position("AAA")["qty_available"] == "10"


def test_part_filled_order_keeps_its_fills_when_canceled(exchange):
    exchange.set_fault(PartialFills(Decimal("0.4")))
    order = exchange.submit_order(ticket())
    assert status(exchange, order) == "partially_filled"
    exchange.cancel_order(order["id"])
    seen = exchange.order(order["id"])
    assert (seen["status"], seen["filled_qty"]) == ("canceled", "4")


def test_cancel_all_names_each_order(exchange):
    orders = [exchange.submit_order(limit(50)) for _ in range(3)]
    assert [(each["id"], each["status"]) for each in exchange.cancel_orders()] == [
        (order["id"], 200) for order in orders
    ]
    assert listed(exchange) == []


@pytest.mark.parametrize("state", ["filled", "canceled"])
def test_what_is_over_cannot_be_canceled(exchange, state):
    order = exchange.submit_order(ticket() if state == "filled" else limit(50))
    if state == "canceled":
        exchange.cancel_order(order["id"])
    with pytest.raises(RefusalError, match=f'order is already in "{state}" state') as refused:
        exchange.cancel_order(order["id"])
    assert (refused.value.status, refused.value.code) == (422, 42210000)


# Rejections -----------------------------------------------------------------------------------


def test_rejection_may_come_after_acceptance(exchange):
    exchange.set_fault(RejectedOrders(side="sell"))
    bought(exchange)
    order = exchange.submit_order(stop(90))
    assert order["status"] == "pending_new"
    seen = exchange.order(order["id"])
    assert (seen["status"], seen["failed_at"] is not None) == ("rejected", True)
    assert exchange.position("AAA")["qty_available"] == "10"


def test_queued_market_order_is_rejected_when_its_price_has_run_away():
    bars = {"AAA": [(100.0,) * 4 + (1e6,)] * 4 + [(150.0,) * 4 + (1e6,)] * 7}
    exchange = exchange_on(bars, start=new_york(20, 17), cash=1_000, multiplier=1)
    order = exchange.submit_order(ticket(qty="10"))
    exchange.advance_to(new_york(21, 10))
    assert status(exchange, order) == "rejected"
    assert exchange.cash == 1_000


# Listing --------------------------------------------------------------------------------------


@pytest.fixture
def with_history(exchange):
    """Orders: 0 filled, 1 canceled, 2 open in AAA, 3 open in BBB, a second apart."""
    made = []
    for number, body in enumerate([ticket(), limit(50), limit(51), limit(20, "BBB")]):
        exchange.advance_to(new_york(20, 10, 0, 10 * number))
        made.append(exchange.submit_order(body)["id"])
    exchange.cancel_order(made[1])
    return exchange, made


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [3, 2]),
        ({"status": "closed"}, [1, 0]),
        ({"status": "all"}, [3, 2, 1, 0]),
        ({"status": "all", "descending": False}, [0, 1, 2, 3]),
        ({"status": "all", "limit": 2}, [3, 2]),
        ({"status": "all", "symbols": frozenset({"BBB"})}, [3]),
        ({"status": "all", "after": new_york(20, 10, 0, 10)}, [3, 2]),
        ({"status": "all", "until": new_york(20, 10, 0, 10)}, [0]),
    ],
)
def test_orders_are_listed_as_asked(with_history, wanted, found):
    exchange, made = with_history
    assert listed(exchange, **wanted) == [made[n] for n in found]


def test_orders_are_listed_around_an_order(with_history):
    exchange, made = with_history
    assert listed(exchange, status="all", before_order_id=made[2]) == [made[1], made[0]]
    assert listed(exchange, status="all", after_order_id=made[2]) == [made[3]]


def test_order_is_found_by_the_clients_name_for_ever(exchange):
    order = exchange.submit_order(limit(50, client_order_id="mine"))
    exchange.cancel_order(order["id"])
    exchange.advance_to(new_york(29, 12))
    assert exchange.order_by_client_id("mine")["id"] == order["id"]
    with pytest.raises(RefusalError, match="order not found"):
        exchange.order_by_client_id("another")
