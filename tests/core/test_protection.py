from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.core.orders import BrokerOrder
from swingtrader.core.portfolio import BrokerPosition
from swingtrader.core.protection import (
    ProtectionPlan,
    is_ours,
    is_resting_stop,
    planned_protection,
)

OUR_NAME = "st-20261123-AAA-sell-protection-{}"


def position(qty="10", entry="100", available=None):
    """Return a position; None leaves something unstated."""
    return BrokerPosition(
        "AAA",
        qty and Decimal(qty),
        available and Decimal(available),
        entry and Decimal(entry),
    )


def sell(order_id, name, qty, stop=None, *, kind="stop", status="new", filled="0"):
    return BrokerOrder(
        order_id,
        name,
        "AAA",
        "sell",
        kind,
        status,
        qty and Decimal(qty),
        Decimal(filled),
        stop_price=stop and Decimal(stop),
    )


def ours(qty="10", stop="94", number=1, **changes):
    return sell(f"ours-{number}", OUR_NAME.format(number), qty, stop, **changes)


def by_hand(qty="10", stop="90", number=1, **changes):
    return sell(f"hand-{number}", f"typed by a person {number}", qty, stop, **changes)


def limit_sell(qty="10", number=1, **changes):
    return by_hand(qty, None, f"limit-{number}", kind="limit", **changes)


def planned(held, *orders, last="100", distance=0.06):
    return planned_protection(held, orders, distance=distance, last_price=last and Decimal(last))


def in_short(plan):
    """Canceled ids, quantity to place, its price, and shares left without a stop, as text."""
    price = None if plan.stop_price is None else str(plan.stop_price)
    canceled = " ".join(order.id for order in plan.cancel)
    return canceled, str(plan.place_qty), price, str(plan.unprotected_qty)


# --- quantity ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "orders", "expected", "why"),
    [
        (position(), [], ("", "10", "94.00", "0"), "a new position"),
        (position("2.5"), [], ("", "2", "94.00", "0.5"), "whole shares only"),
        (position("0.5"), [], ("", "0", None, "0.5"), "less than one share"),
        (position(), [ours()], ("", "0", None, "0"), "guarded already"),
        (position(), [ours("12", filled="2")], ("", "0", None, "0"), "what remains counts"),
        (position("14"), [ours()], ("ours-1", "14", "94.00", "0"), "somebody bought more"),
        (position("6"), [ours()], ("ours-1", "6", "94.00", "0"), "a stop for more than is held"),
        (position("0.5"), [ours()], ("ours-1", "0", None, "0.5"), "nothing whole is left"),
        (position(), [ours("5"), ours("5", number=2)], ("ours-1 ours-2", "10", "94.00", "0"),
         "two become one"),
        (position(), [ours(), ours(number=2)], ("ours-2", "0", None, "0"), "the same twice"),
        (position(), [ours(), ours("3", number=2)], ("ours-2", "0", None, "0"), "one too many"),
        (position(), [by_hand()], ("", "0", None, "0"), "a stop of the person's counts"),
        (position(), [by_hand("4")], ("", "6", "94.00", "0"), "and ours covers the rest"),
        (position(), [by_hand("4", status="accepted")], ("", "6", "94.00", "0"), "once, too"),
        (position(), [by_hand("4"), ours("6")], ("", "0", None, "0"), "both together"),
        (position(), [by_hand("4"), ours()], ("ours-1", "6", "94.00", "0"), "too many"),
        (position(), [by_hand("4"), ours("3")], ("ours-1", "6", "94.00", "0"), "too few"),
        (position(), [by_hand("12")], ("", "0", None, "0"), "more than there is"),
        (position("2.5"), [by_hand("0.5")], ("", "1", "94.00", "1.0"), "never above whole shares"),
        (position(), [by_hand(kind="trailing_stop", stop=None)], ("", "0", None, "0"), "trailing"),
        (position(), [by_hand(kind="stop_limit")], ("", "0", None, "0"), "with a limit"),
        (position(), [limit_sell("4")], ("", "6", "94.00", "4"), "held by somebody's order"),
        (position(), [limit_sell("4", status="accepted")], ("", "6", "94.00", "4"), "the same"),
        (position(), [limit_sell()], ("", "0", None, "10"), "all of it"),
        (position("14"), [limit_sell("4"), ours()], ("", "0", None, "4"), "ours stays"),
        (position("2.5"), [limit_sell("0.5")], ("", "2", "94.00", "0.5"), "a fraction for sale"),
        (position(available="6"), [], ("", "6", "94.00", "4"), "the account says so"),
        (position(available="0"), [], ("", "0", None, "10"), "the account says so"),
        (position(available="10"), [limit_sell("4")], ("", "6", "94.00", "4"), "the orders do"),
        (position(available="0"), [ours()], ("", "0", None, "0"), "we hold them ourselves"),
        (position("14", available="4"), [ours()], ("ours-1", "14", "94.00", "0"), "four came"),
        (position("14", available="0"), [ours()], ("", "0", None, "4"), "and are held"),
        (position(available="0"), [ours(), limit_sell("4")], ("", "0", None, "0"),
         "no share is held twice: that order is over, or ours would not rest"),
        (position(available="0"), [ours("4"), limit_sell("6"), ours("0", number=2)],
         ("ours-2", "0", None, "6"), "an empty one goes"),
        (position(available="0"), [ours(status="pending_cancel")], ("", "0", None, "10"),
         "on its way out it guards nothing and holds its shares"),
        (position(), [ours(status="pending_cancel")], ("", "0", None, "10"), "the same"),
        (position(), [by_hand(status="pending_cancel")], ("", "0", None, "10"), "by hand, too"),
        (position(), [ours(status="canceled")], ("", "10", "94.00", "0"), "gone"),
        (position(), [ours(status="accepted")], ("", "0", None, "0"), "waits for the opening"),
        (position(), [ours(status="calculated")], ("", "0", None, "0"), "an odd word is no end"),
        (position(), [limit_sell(None)], ("", "10", "94.00", "0"), "of unstated size"),
        (position(), [ours(None)], ("", "0", None, "10"), "ours of unstated size stays"),
        (position(), [replace(ours(), side="buy")], ("", "10", "94.00", "0"), "not a sell"),
        (position(), [replace(ours(), symbol="aaa".upper())], ("", "0", None, "0"),
         "another string of the same letters"),
        (position(), [replace(ours(), symbol="BBB")], ("", "10", "94.00", "0"), "another symbol"),
        (position(), [replace(ours(), symbol="A")], ("", "10", "94.00", "0"), "another"),
    ],
)  # fmt: skip
def test_every_whole_share_that_nobody_else_holds_gets_a_stop(held, orders, expected, why):
    plan = planned(held, *orders)
    assert in_short(plan) == expected, why
    assert plan.satisfied is (expected[:2] == ("", "0"))


@pytest.mark.parametrize(
    ("held", "orders", "expected", "why"),
    [
        (position(available="0"), [by_hand(status="held"), limit_sell()], ("", "0", None, "0"),
         "a bracket whose entry is filled: stop held, take-profit live"),
        (position(), [by_hand(status="held"), limit_sell()], ("", "0", None, "0"), "the same"),
        (position("20", available="10"), [by_hand(status="held"), limit_sell()],
         ("", "10", "94.00", "0"), "a group holds once, and leaves half for us"),
        (position("20"), [by_hand(status="held"), limit_sell()], ("", "10", "94.00", "0"),
         "the same"),
        (position(available="0"), [by_hand(status="held")], ("", "0", None, "0"), "a stop alone"),
        (position(), [by_hand(status="held")], ("", "0", None, "0"), "the same"),
        (position(available="10"), [by_hand(status="held"), limit_sell(status="held")],
         ("", "10", "94.00", "0"), "legs that wait for their entry guard nothing"),
        (position(available="0"), [ours(), by_hand(status="held"), limit_sell(status="held")],
         ("", "0", None, "0"), "and are no reason to end ours"),
        (position(), [ours(), by_hand(status="held"), limit_sell(status="held")],
         ("", "0", None, "0"), "the same"),
    ],
)  # fmt: skip
def test_legs_of_a_group_placed_by_hand_guard_what_the_group_holds(held, orders, expected, why):
    assert in_short(planned(held, *orders)) == expected, why


def test_a_plan_is_never_changed():
    plan = planned(position())
    with pytest.raises(FrozenInstanceError):
        plan.place_qty = Decimal(20)


@pytest.mark.parametrize("qty", ["-10", "0", None])
def test_a_short_or_a_position_of_unknown_quantity_gets_nothing(qty):
    plan = planned(position(qty), ours(), by_hand(number=2))
    assert plan == ProtectionPlan("AAA")
    assert plan.satisfied


# --- price ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "last", "price", "why"),
    [
        ("100", "100", "94.00", "six percent below the entry"),
        ("100", "94.01", "94.00", "still below the market"),
        ("100", "94", "88.36", "at the market: six percent below that"),
        ("100", "80", "75.20", "under water"),
        (None, "80", "75.20", "unknown entry"),
        ("0", "80", "75.20", "an entry of zero, as after a spin-off"),
        ("100", None, "94.00", "unknown market"),
        ("33.333333", "34", "31.33", "31.3333 rounded down to the cent"),
        ("1.07", "1.10", "1.00", "1.0058, to the cent"),
        ("1.06", "1.10", "0.9964", "below a dollar, to the hundredth of a cent"),
        ("0.12345", "0.13", "0.1160", "0.116043, to the hundredth of a cent"),
    ],
)
def test_the_stop_lies_at_its_distance_rounded_down_to_the_grid(entry, last, price, why):
    plan = planned(position(entry=entry), last=last)
    assert in_short(plan) == ("", "10", price, "0"), why
    assert last is None or plan.stop_price < Decimal(last)


@pytest.mark.parametrize("orders", [[], [ours("3")], [ours(), ours(number=2)]])
@pytest.mark.parametrize(("entry", "last"), [(None, None), ("0", None), ("0.00001", "0.00001")])
def test_without_any_price_whatever_rests_stays(entry, last, orders):
    plan = planned(position(entry=entry), *orders, last=last)
    assert plan.satisfied
    assert plan.unprotected_qty == max(10 - sum(order.qty for order in orders), 0)


@pytest.mark.parametrize(
    ("stop", "entry", "last", "placed", "why"),
    [
        ("94", "100", "100", None, "where it should be"),
        ("92.12", "100", "100", None, "two percent off"),
        ("95.88", "100", "100", None, "two percent off"),
        ("92.11", "100", "100", "94.00", "a little further"),
        ("95.89", "100", "100", "94.00", "too near: it would sell on one print"),
        ("94", "97.5", "95", "91.65", "somebody averaged down"),
        ("94", "110", "120", "103.40", "somebody averaged up"),
        ("94", "50", "52", "47.00", "a split that the broker did not apply to it"),
        ("94", "100", "93", None, "about to be triggered"),
        ("75.20", "100", "80", None, "lowered when the position was under water"),
        ("75.20", "100", "70", None, "and never lowered further"),
        ("75.20", "100", "93", None, "nor raised with every wobble"),
        ("75.20", "100", "94.01", "94.00", "until the market has recovered"),
        ("75.20", None, "120", None, "of unknown entry: anything will do"),
        ("75.20", "100", None, None, "of unknown market: it may be under water"),
        (None, "100", "100", None, "at a price that was not stated"),
    ],
)
def test_our_stop_is_renewed_when_it_is_far_from_the_entrys_and_the_market_is_not_why(
    stop, entry, last, placed, why
):
    plan = planned(position(entry=entry), ours(stop=stop), last=last)
    expected = ("", "0", None, "0") if placed is None else ("ours-1", "10", placed, "0")
    assert in_short(plan) == expected, why


@pytest.mark.parametrize(
    ("stop", "last", "placed", "why"),
    [
        ("75.20", "78", "75.20", "not lowered with the market"),
        ("75.20", "90", "84.60", "raised with it"),
        ("94", "80", "75.20", "one above the market would be refused"),
        ("80", None, "80", "the market is unknown, but must be above what rests"),
        ("98", None, "94.00", "the entry's price is below that anyhow"),
    ],
)
def test_a_stop_renewed_for_its_quantity_is_not_lowered_under_water(stop, last, placed, why):
    plan = planned(position("14"), ours(stop=stop), last=last)
    assert in_short(plan) == ("ours-1", "14", placed, "0"), why


def test_a_stop_placed_by_hand_is_left_alone_at_any_price():
    assert planned(position(), by_hand(stop="40")).satisfied
    assert planned(position(), by_hand(stop="99")).satisfied


def test_an_under_water_stop_rests_while_the_price_wobbles():
    held, orders = position(), ()
    actions = []
    for last in ("80", "81", "75", "93", "90", "76", "93.9", "80"):
        plan = planned(held, *orders, last=last)
        held, orders = carried_out(held, orders, plan)
        actions.append(len(plan.cancel) + bool(plan.place_qty))
    assert actions == [1, 0, 0, 0, 0, 0, 0, 0]


# --- what rests -------------------------------------------------------------------------------


def test_what_rests_is_told_as_it_is_before_the_plan_is_carried_out():
    plan = planned(
        position("30"),
        ours("10", "94"),
        by_hand("5", "91"),
        by_hand("5", None, number=2, kind="trailing_stop"),
        by_hand("5", "50", number=3, status="pending_cancel"),
        limit_sell("5"),
    )
    assert (plan.resting_qty, plan.resting_stop) == (Decimal(20), Decimal(91))
    assert not planned(position()).resting_qty
    assert planned(position()).resting_stop is None


def test_a_leg_that_waits_for_its_entry_does_not_rest():
    plan = planned(position(available="0"), ours(), by_hand("10", "50", status="held"))
    assert (plan.resting_qty, plan.resting_stop) == (Decimal(10), Decimal(94))


@pytest.mark.parametrize(
    ("order", "rests"),
    [
        (ours(), True),
        (by_hand(), True),
        (by_hand(status="held"), True),
        (by_hand(kind="trailing_stop"), True),
        (by_hand(kind="stop_limit"), True),
        (by_hand(status="pending_replace"), True),
        (by_hand(status="pending_cancel"), False),
        (by_hand(status="filled"), False),
        (by_hand(status="replaced"), False),
        (limit_sell(), False),
        (replace(by_hand(), side="buy"), False),
    ],
)
def test_resting_stops_are_open_sell_stops_not_on_their_way_out(order, rests):
    assert is_resting_stop(order) is rests


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("st-20261123-AAA-sell-protection-7", True),
        ("st-20261123-AAA-sell-exit-7", False),
        ("st-20261123-AAA-sell-protection-0", False),
        ("stop", False),
    ],
)
def test_our_protection_is_known_by_its_name(name, expected):
    assert is_ours(replace(ours(), client_order_id=name)) is expected


# --- what always holds ------------------------------------------------------------------------

property_based = settings(deadline=None, derandomize=True, max_examples=300)
PLACED = 99


def carried_out(held, orders, plan):
    """Position and orders once the broker has done what the plan says."""
    left = tuple(order for order in orders if order not in plan.cancel)
    released = sum((order.remaining or 0 for order in plan.cancel), Decimal(0))
    if plan.place_qty:
        left += (ours(str(plan.place_qty), str(plan.stop_price), PLACED),)
    if held.qty_available is not None:
        held = replace(held, qty_available=held.qty_available + released - plan.place_qty)
    return held, left


sizes = st.integers(1, 8).map(str)
prices = st.none() | st.decimals("40", "130", places=2).map(str)
KINDS = {
    "ours": lambda n, qty, stop: [ours(qty, stop, n)],
    "ours leaving": lambda n, qty, stop: [ours(qty, stop, n, status="pending_cancel")],
    "stop": lambda n, qty, stop: [by_hand(qty, stop, n)],
    "stop leaving": lambda n, qty, stop: [by_hand(qty, stop, n, status="pending_cancel")],
    "trailing": lambda n, qty, stop: [by_hand(qty, stop, n, kind="trailing_stop")],
    "limit": lambda n, qty, _: [limit_sell(f"{qty}.5", n)],
    "bracket": lambda n, qty, stop: [by_hand(qty, stop, n, status="held"), limit_sell(qty, n)],
    "waiting": lambda n, qty, stop: [
        by_hand(qty, stop, n, status="held"),
        limit_sell(qty, n, status="held"),
    ],
}
groups = st.lists(st.tuples(st.sampled_from(sorted(KINDS)), sizes, prices), max_size=4)


@st.composite
def accounts(draw):
    """A position with orders that hold no share twice, the account knowing what they hold."""
    orders, held = [], Decimal(0)
    for n, (kind, size, stop) in enumerate(draw(groups)):
        group = KINDS[kind](n, size, stop)
        orders += group
        held += 0 if kind == "waiting" else max(order.remaining for order in group)
    qty = held + draw(st.decimals("0", "12", places=1))
    return position(str(qty), draw(prices), str(qty - held)), tuple(orders)


def remaining(orders):
    return sum((order.remaining for order in orders), Decimal(0))


@pytest.mark.parametrize(
    ("held", "limit", "expected"),
    [
        (position("2.5", available="1"), limit_sell("1.5"), ("", "1", "94.00", "1.5")),
        (position("10", available="5"), limit_sell("5"), ("", "5", "94.00", "5")),
    ],
)
def test_shares_under_a_limit_are_not_guarded_by_legs_that_wait(held, limit, expected):
    legs = by_hand("5", number=2, status="held"), limit_sell("5", number=2, status="held")
    assert in_short(planned(held, limit, *legs)) == expected


@property_based
@given(accounts(), prices)
def test_no_share_is_held_twice_and_none_that_could_be_guarded_is_left_out(account, last):
    held, orders = account
    plan = planned(held, *orders, last=last)
    assert all(is_ours(order) and is_resting_stop(order) for order in plan.cancel)
    after, left = carried_out(held, orders, plan)
    assert after.qty_available >= 0
    if held.qty > 0 and (last is not None or held.entry_price is not None):
        assert after.qty_available < 1
        assert len([order for order in left if is_ours(order) and is_resting_stop(order)]) <= 1
    assert plan.place_qty == int(plan.place_qty)
    assert (plan.stop_price is not None) == (plan.place_qty > 0)
    assert last is None or plan.stop_price is None or plan.stop_price < Decimal(last)


@property_based
@given(accounts(), prices, st.none() | st.integers(0, 40).map(str), st.booleans())
def test_whatever_the_account_says_the_plan_never_exceeds_the_whole_shares_and_is_done_at_once(
    account, last, available, consistent
):
    held, orders = account
    if not consistent:
        held = replace(held, qty_available=available and Decimal(available))
    plan = planned(held, *orders, last=last)
    stops = [order for order in orders if is_resting_stop(order) and order.status != "held"]
    staying = remaining(order for order in stops if order not in plan.cancel)
    assert plan.place_qty == 0 or plan.place_qty + staying <= int(held.qty)
    after, left = carried_out(held, orders, plan)
    again = planned(after, *left, last=last)
    assert again.satisfied
    assert again.unprotected_qty == plan.unprotected_qty
    assert again.resting_qty + again.unprotected_qty >= held.qty


@property_based
@given(prices, st.lists(prices, min_size=1, max_size=6))
def test_a_stop_that_we_placed_is_never_lowered_whatever_the_price_does(entry, lasts):
    held, orders = position(entry=entry), ()
    stops = []
    for last in lasts:
        held, orders = carried_out(held, orders, planned(held, *orders, last=last))
        stops += [order.stop_price for order in orders]
    assert stops == sorted(stops)
    assert len(set(stops)) <= 2, "as placed, and once where the entry puts it"
