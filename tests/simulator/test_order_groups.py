from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from tests.simulator.conftest import bought, exchange_on, limit, new_york, ticket

from swingtrader.simulator.book import OrderFilter
from swingtrader.simulator.conditions import PartialFills
from swingtrader.simulator.errors import RefusalError
from swingtrader.simulator.settings import Latency

SLOW = Latency(polls=None, delay=timedelta(hours=5))


def bracket(symbol="AAA", target="120.00", stop="90.00", **fields):
    parts = {"take_profit": {"limit_price": target}, "stop_loss": {"stop_price": stop}}
    return ticket(symbol, order_class="bracket", **(parts | fields))


def oto(symbol="AAA", stop="90.00", **fields):
    return ticket(symbol, **({"order_class": "oto", "stop_loss": {"stop_price": stop}} | fields))


def oco(symbol="AAA", target="120.00", stop="90.00", **fields):
    parts = {"take_profit": {"limit_price": target}, "stop_loss": {"stop_price": stop}}
    body = {"side": "sell", "type": "limit", "order_class": "oco", "time_in_force": "gtc"}
    return ticket(symbol, **(body | parts | fields))


def group(exchange, order):
    """Status of the parent and of its legs."""
    nested = exchange.order(order["id"], nested=True)
    return [nested["status"], *(leg["status"] for leg in nested["legs"] or [])]


def statuses(exchange, **wanted):
    return [order["status"] for order in exchange.orders(OrderFilter(**wanted))]


def test_legs_are_held_until_the_entry_is_completely_filled(exchange):
    exchange.set_fault(PartialFills(Decimal("0.5")))
    order = exchange.submit_order(bracket())
    assert [leg["status"] for leg in order["legs"]] == ["held", "held"]
    assert group(exchange, order) == ["partially_filled", "held", "held"]
    exchange.clear_faults()
    exchange.advance_to(new_york(20, 10, 1))
    assert group(exchange, order) == ["filled", "new", "held"]


def test_stop_of_an_oto_is_new_once_the_entry_is_filled(exchange):
    order = exchange.submit_order(oto())
    assert group(exchange, order) == ["filled", "new"]


def test_target_of_an_oto_is_new_once_the_entry_is_filled(exchange):
    body = ticket(order_class="oto", take_profit={"limit_price": "120"})
    assert group(exchange, exchange.submit_order(body)) == ["filled", "new"]


def test_legs_sell_what_the_entry_buys_under_names_of_the_broker(exchange):
    order = exchange.submit_order(bracket(client_order_id="mine", time_in_force="gtc"))
    target, stop = order["legs"]
    assert (target["type"], target["limit_price"], target["side"]) == ("limit", "120", "sell")
    assert (stop["type"], stop["stop_price"], stop["qty"]) == ("stop", "90", "10")
    assert {leg["time_in_force"] for leg in order["legs"]} == {"gtc"}
    assert "mine" not in {leg["client_order_id"] for leg in order["legs"]}


def test_open_orders_do_not_show_the_held_stop(exchange):
    exchange.submit_order(bracket())
    exchange.account()
    assert statuses(exchange) == ["new"]
    assert statuses(exchange, nested=True) == []
    assert statuses(exchange, status="all") == ["held", "new", "filled"]
    nested = exchange.orders(OrderFilter(status="all", nested=True))
    assert [[leg["status"] for leg in order["legs"]] for order in nested] == [["new", "held"]]


def test_order_shows_its_legs_only_where_asked(exchange):
    order = exchange.submit_order(bracket())
    assert exchange.order(order["id"])["legs"] is None
    assert len(exchange.order(order["id"], nested=True)["legs"]) == 2


def test_held_stop_protects_all_the_same():
    exchange = exchange_on(start=new_york(22, 9, 31))
    order = exchange.submit_order(bracket("MOVE", "150.00", "95.00", time_in_force="gtc"))
    exchange.advance_to(new_york(22, 16))
    assert group(exchange, order) == ["filled", "canceled", "filled"]
    assert exchange.held_qty("MOVE") == 0


def test_target_reached_cancels_the_stop():
    exchange = exchange_on(start=new_york(20, 9, 31))
    order = exchange.submit_order(bracket("MOVE", "108.00", "50.00", time_in_force="gtc"))
    exchange.advance_to(new_york(21, 16))
    assert group(exchange, order) == ["filled", "filled", "canceled"]
    assert exchange.held_qty("MOVE") == 0


def test_group_of_exits_holds_its_shares_once(exchange):
    exchange.submit_order(bracket(qty="4"))
    exchange.account()
    bought(exchange, "BBB")
    exchange.submit_order(oco("BBB", "60.00", "40.00", qty="4"))
    assert exchange.position("AAA")["qty_available"] == "0"
    assert exchange.position("BBB")["qty_available"] == "6"


def test_legs_of_an_unfilled_entry_hold_nothing(exchange):
    bought(exchange)
    exchange.submit_order(bracket(type="limit", limit_price="95.00"))
    assert exchange.position("AAA")["qty_available"] == "10"


@pytest.mark.parametrize("which", [0, 1])
def test_cancelling_one_exit_cancels_the_other(exchange, which):
    order = exchange.submit_order(bracket())
    exchange.account()
    exchange.cancel_order(order["legs"][which]["id"])
    assert group(exchange, order) == ["filled", "canceled", "canceled"]


def test_cancelling_a_part_filled_entry_leaves_its_shares_without_a_stop(exchange):
    exchange.set_fault(PartialFills(Decimal("0.5")))
    order = exchange.submit_order(oto(time_in_force="gtc"))
    exchange.account()
    exchange.cancel_order(order["id"])
    assert group(exchange, order) == ["canceled", "canceled"]
    assert (exchange.held_qty("AAA"), exchange.position("AAA")["qty_available"]) == (5, "5")


def test_expiry_of_a_part_filled_entry_leaves_its_shares_without_a_stop(exchange):
    exchange.set_fault(PartialFills(Decimal("0.5")))
    order = exchange.submit_order(oto())
    exchange.advance_to(new_york(20, 16))
    assert group(exchange, order) == ["expired", "canceled"]
    assert exchange.held_qty("AAA") == 5


def test_day_bracket_leaves_the_position_naked_at_the_close(exchange):
    order = exchange.submit_order(bracket())
    exchange.advance_to(new_york(20, 16))
    assert group(exchange, order) == ["filled", "expired", "expired"]
    assert exchange.held_qty("AAA") == 10


def test_gtc_bracket_protects_over_night(exchange):
    order = exchange.submit_order(bracket(time_in_force="gtc"))
    exchange.advance_to(new_york(22, 12))
    assert group(exchange, order) == ["filled", "new", "held"]


def test_oco_is_a_limit_with_a_held_stop_that_works():
    exchange = exchange_on(start=new_york(22, 9, 31))
    bought(exchange, "MOVE")
    order = exchange.submit_order(oco("MOVE", "150.00", "95.00"))
    assert group(exchange, order) == ["new", "held"]
    exchange.advance_to(new_york(22, 16))
    assert group(exchange, order) == ["canceled", "filled"]
    assert exchange.held_qty("MOVE") == 0


def test_what_one_exit_sold_in_part_the_other_does_not_sell_again():
    exchange = exchange_on(start=new_york(21, 9, 31))
    bought(exchange, "MOVE")
    order = exchange.submit_order(oco("MOVE", "107.00", "95.00"))
    exchange.set_fault(PartialFills(Decimal("0.3"), side="sell"))
    exchange.advance_to(new_york(21, 16))
    nested = exchange.order(order["id"], nested=True)
    assert (nested["filled_qty"], nested["legs"][0]["qty"]) == ("3", "7")
    assert exchange.position("MOVE")["qty_available"] == "0"
    exchange.clear_faults()
    exchange.advance_to(new_york(27, 16))
    assert exchange.held_qty("MOVE") == 0
    assert sum(fill.qty for fill in exchange.fills if fill.side == "sell") == 10


def test_exit_never_opens_a_position_even_where_its_shares_were_sold():
    exchange = exchange_on(start=new_york(22, 9, 31))
    exchange.set_fault(PartialFills(Decimal("0.9")))
    order = exchange.submit_order(bracket("MOVE", "150.00", "95.00", time_in_force="gtc"))
    exchange.account()
    exchange.submit_order(ticket("MOVE", "sell", "9", type="trailing_stop", trail_price="0.01"))
    exchange.clear_faults()
    exchange.advance_to(new_york(22, 9, 40))
    assert group(exchange, order) == ["filled", "new", "held"]
    assert exchange.held_qty("MOVE") == 1
    exchange.advance_to(new_york(22, 16))
    assert exchange.held_qty("MOVE") == 0


@pytest.mark.parametrize(
    ("case", "body", "message"),
    [
        ("stop at the market", bracket(stop="100.00"), "stop_loss.stop_price must be <="),
        ("stop at the entry", bracket(type="limit", limit_price="95.00", stop="95.00"), "<="),
        ("target at the market", bracket(target="100.00"), "take_profit.limit_price must be >="),
        ("no stop", bracket(stop_loss=None), "require take_profit and stop_loss"),
        ("both in an oto", oto(take_profit={"limit_price": "120"}), "either take_profit or stop"),
        ("neither in an oto", oto(stop_loss=None), "either take_profit or stop"),
        ("opening oco", oco(), "oco orders must be exit orders"),
        ("market oco", oco(type="market"), "oco orders must be limit orders"),
        ("immediate", bracket(time_in_force="ioc"), "time_in_force day or gtc"),
        ("extended", bracket(type="limit", limit_price="95", extended_hours=True), "extended"),
        ("trailing", bracket(type="trailing_stop", trail_price="2"), "must be simple orders"),
        ("legs on a simple order", ticket(stop_loss={"stop_price": "90"}), "simple orders must"),
    ],
)
def test_groups_that_make_no_sense_are_refused(exchange, case, body, message):
    with pytest.raises(RefusalError, match=message) as refused:
        exchange.submit_order(body)
    assert (refused.value.status, refused.value.code) == (422, 42210000), case


def test_stop_a_cent_below_entry_and_market_is_taken(exchange):
    assert exchange.submit_order(bracket(stop="99.99"))["status"] == "pending_new"


# Replacing ------------------------------------------------------------------------------------


def test_replacement_has_new_ids_and_the_old_one_is_replaced(exchange):
    old = exchange.submit_order(limit(50, client_order_id="first"))
    exchange.account()
    new = exchange.replace_order(old["id"], {"limit_price": "51.00", "qty": "7"})
    assert new["id"] != old["id"]
    assert new["client_order_id"] != "first"
    assert (new["replaces"], new["limit_price"], new["qty"]) == (old["id"], "51", "7")
    old, new = exchange.order(old["id"]), exchange.order(new["id"])
    assert (old["status"], old["replaced_by"], new["status"]) == ("replaced", new["id"], "new")


def test_replacement_comes_to_nothing_where_the_old_order_fills_first():
    exchange = exchange_on(start=new_york(22, 9, 45), replace_latency=SLOW)
    old = exchange.submit_order(limit("90.00", "MOVE"))
    exchange.account()
    new = exchange.replace_order(old["id"], {"limit_price": "50.00"})
    exchange.advance_to(new_york(22, 15, 30))
    assert exchange.order(old["id"])["status"] == "filled"
    assert exchange.order(new["id"])["status"] == "rejected"
    assert exchange.held_qty("MOVE") == 10


def test_replacing_a_part_filled_order_wants_the_new_total(exchange):
    exchange.set_fault(PartialFills(Decimal("0.4")))
    old = exchange.submit_order(limit(101))
    exchange.account()
    exchange.clear_faults()
    new = exchange.replace_order(old["id"], {"qty": "6", "limit_price": "102.00"})
    assert exchange.order(new["id"])["filled_qty"] == "2"
    assert exchange.held_qty("AAA") == 6


def test_pending_replacement_reserves_nothing_of_its_own():
    exchange = exchange_on(replace_latency=SLOW)
    order = exchange.submit_order(limit(50))
    exchange.account()
    exchange.replace_order(order["id"], {"limit_price": "60.00"})
    assert exchange.account()["non_marginable_buying_power"] == "99500"
    exchange.advance_to(new_york(20, 15, 30))
    assert exchange.account()["non_marginable_buying_power"] == "99400"


def test_legs_follow_the_quantity_of_a_replaced_entry(exchange):
    order = exchange.submit_order(bracket(type="limit", limit_price="95.00"))
    exchange.account()
    new = exchange.replace_order(order["id"], {"qty": "7", "limit_price": "101.00"})
    legs = exchange.order(new["id"], nested=True)["legs"]
    assert [(leg["qty"], leg["status"]) for leg in legs] == [("7", "new"), ("7", "held")]


def test_part_fill_during_a_replacement_is_taken_off_once():
    exchange = exchange_on(start=new_york(21, 9, 31), replace_latency=SLOW)
    bought(exchange, "MOVE")
    order = exchange.submit_order(oco("MOVE", "107.00", "95.00"))
    exchange.account()
    new = exchange.replace_order(order["id"], {"limit_price": "150.00"})
    exchange.set_fault(PartialFills(Decimal("0.3"), side="sell"))
    exchange.advance_to(new_york(21, 15))
    seen = exchange.order(new["id"], nested=True)
    assert exchange.order(order["id"])["filled_qty"] == "3"
    assert (seen["status"], seen["qty"], seen["legs"][0]["qty"]) == ("new", "7", "7")


def test_stop_leg_can_be_moved_and_stays_in_its_group(exchange):
    order = exchange.submit_order(bracket(time_in_force="gtc"))
    exchange.account()
    stop = order["legs"][1]
    moved = exchange.replace_order(stop["id"], {"stop_price": "95.00"})
    assert exchange.order(moved["id"])["status"] == "held"
    legs = exchange.order(order["id"], nested=True)["legs"]
    assert [leg["id"] for leg in legs] == [order["legs"][0]["id"], moved["id"]]
    exchange.cancel_order(moved["id"])
    assert group(exchange, order) == ["filled", "canceled", "canceled"]


@pytest.mark.parametrize(
    ("case", "body", "message"),
    [
        ("accepted", {"qty": "5"}, "cannot replace order in accepted status"),
        ("pending_new", {"qty": "5"}, "cannot replace order in pending_new status"),
        ("pending_cancel", {"qty": "5"}, "cannot replace order in pending_cancel status"),
        ("pending_replace", {"qty": "5"}, "cannot replace order in pending_replace status"),
        ("filled", {"qty": "5"}, 'order is already in "filled" state'),
        ("fraction", {"qty": "5.5"}, "0 decimal places"),
        ("sub-penny", {"limit_price": "50.001"}, "sub-penny"),
        ("stop on a limit", {"stop_price": "40"}, "limit orders must not have stop_price"),
    ],
)
def test_replacement_is_refused(case, body, message):
    exchange = exchange_on(
        start=new_york(20, 17) if case == "accepted" else None,
        cancel_latency=SLOW,
        replace_latency=SLOW,
        order_latency=SLOW if case == "pending_new" else Latency(),
    )
    order = exchange.submit_order(ticket() if case == "filled" else limit(50))
    exchange.account()
    if case == "pending_cancel":
        exchange.cancel_order(order["id"])
    if case == "pending_replace":
        exchange.replace_order(order["id"], {"qty": "6"})
    with pytest.raises(RefusalError, match=message) as refused:
        exchange.replace_order(order["id"], body)
    assert (refused.value.status, refused.value.code) == (422, 42210000)


def test_replacement_may_not_want_more_shares_than_there_are(exchange):
    bought(exchange)
    order = exchange.submit_order(ticket(side="sell", qty="6", type="stop", stop_price="90"))
    exchange.account()
    with pytest.raises(RefusalError, match="insufficient qty"):
        exchange.replace_order(order["id"], {"qty": "11"})
    assert exchange.replace_order(order["id"], {"qty": "10"})["qty"] == "10"


def test_replacement_may_not_cost_more_than_there_is(exchange):
    order = exchange.submit_order(limit(50))
    exchange.account()
    with pytest.raises(RefusalError, match="insufficient buying power"):
        exchange.replace_order(order["id"], {"qty": "100000"})
