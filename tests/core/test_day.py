from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.core.day import day_activity, next_sequence, spendable_cash
from swingtrader.core.orders import (
    BrokerOrder,
    Intent,
    IntentState,
    OrderName,
    OrderType,
    Purpose,
)
from swingtrader.core.portfolio import BrokerAccount, Execution
from swingtrader.core.snapshot import DayActivity

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
TODAY = NOW.date()
FRIDAY = date(2026, 11, 20)


def order(side, symbol="AAA", *, number=1, purpose=None, status="filled", filled=None, **changes):
    """Return an order of ours for a purpose, or a stranger's; 10 shares, filled if it says so."""
    session = changes.pop("session", TODAY)
    name = f"typed by a person {number}"
    if purpose is not None:
        name = OrderName(session, symbol, side, purpose, number).client_order_id
    done = filled if filled is not None else (10 if status == "filled" else 0)
    values = {"type": "market", "qty": Decimal(10), "filled_qty": Decimal(done), **changes}
    return BrokerOrder(f"order-{number}", name, symbol=symbol, side=side, status=status, **values)


def entry(**changes):
    return order("buy", purpose=Purpose.ENTRY, **{"number": 1, "type": "limit", **changes})


def leave(**changes):
    return order("sell", purpose=Purpose.EXIT, **{"number": 2, **changes})


def stop(**changes):
    return order("sell", purpose=Purpose.PROTECTION, **{"number": 3, "type": "stop", **changes})


def execution(of, part="1"):
    return Execution(part, NOW, of.symbol, of.side, Decimal(5), Decimal(100), of.id)


def intent(of, state=IntentState.UNKNOWN, **changes):
    """Return the intent that an order of ours came from."""
    words = of.client_order_id.split("-")
    purpose = Purpose(words[4])
    return replace(
        Intent(
            of.client_order_id, TODAY, of.symbol, of.side, purpose, Decimal(10),
            OrderType.MARKET, "vote", "run", NOW, state=state,
        ),
        **changes,
    )  # fmt: skip


def day(orders=(), executions=(), still_open=(), intents=(), **others):
    return day_activity(orders, executions, still_open, intents, **others)


def in_short(activity):
    """Counts, and symbols bought, exited and busy."""
    symbols = (activity.bought, activity.exited, activity.open_orders)
    return activity.entries, activity.exits, *(" ".join(sorted(each)) for each in symbols)


# --- orders and executions --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("activity", "expected", "why"),
    [
        (day(), (0, 0, "", "", ""), "nothing yet"),
        (day([entry()]), (1, 0, "AAA", "", ""), "an entry"),
        (day([entry(status="canceled")]), (1, 0, "AAA", "", ""), "an entry that bought nothing"),
        (day([entry(status="rejected")]), (1, 0, "AAA", "", ""), "or was refused later"),
        (day([entry()], [execution(entry()), execution(entry(), "2")]), (1, 0, "AAA", "", ""),
         "parts of one order"),
        (day([], [execution(entry())]), (1, 0, "AAA", "", ""), "known by its execution alone"),
        (day([leave()]), (0, 1, "", "AAA", ""), "an exit"),
        (day([leave(status="canceled")]), (0, 1, "", "", ""), "an exit that sold nothing"),
        (day([leave(status="canceled", filled=3)]), (0, 1, "", "AAA", ""), "and one that did"),
        (day([stop(status="new")]), (0, 0, "", "", ""), "protection is no exit"),
        (day([stop(status="canceled")]), (0, 0, "", "", ""), "nor when canceled"),
        (day([stop()]), (0, 1, "", "AAA", ""), "until it has sold"),
        (day([], [execution(stop(session=FRIDAY))]), (0, 1, "", "AAA", ""),
         "even one of an earlier session"),
        (day([stop()], [execution(stop())]), (0, 1, "", "AAA", ""), "which counts once"),
        (day([order("buy")]), (1, 0, "AAA", "", ""), "a buy by hand"),
        (day([order("buy", status="canceled")]), (0, 0, "", "", ""), "one that bought nothing"),
        (day([order("sell")]), (0, 1, "", "AAA", ""), "a sale by hand"),
        (day([order("sell", status="expired")]), (0, 0, "", "", ""), "one that sold nothing"),
        (day([entry(), leave()]), (1, 1, "AAA", "AAA", ""), "in and out"),
        (day([entry(), entry(number=4, symbol="BBB"), leave(symbol="CCC")]),
         (2, 1, "AAA BBB", "CCC", ""), "several symbols"),
    ],
)  # fmt: skip
def test_orders_count_once_and_name_their_symbols(activity, expected, why):
    assert in_short(activity) == expected, why


@pytest.mark.parametrize(
    ("still_open", "busy", "why"),
    [
        (entry(status="new"), "AAA", "an entry at work"),
        (entry(status="pending_cancel"), "AAA", "it may still fill"),
        (entry(status="held"), "AAA", "an odd status is no end"),
        (entry(status="canceled"), "", "over"),
        (leave(status="accepted"), "AAA", "an exit"),
        (stop(status="new"), "", "a stop that rests"),
        (order("sell", type="trailing_stop", status="new"), "", "by hand, too"),
        (order("sell", type="stop", status="held"), "", "as a leg, too"),
        (stop(status="pending_cancel"), "AAA", "a stop on its way out"),
        (order("buy", type="stop", status="new"), "AAA", "a stop that buys"),
        (order("sell", type="limit", status="new"), "AAA", "a target by hand"),
    ],
)
def test_a_symbol_with_an_open_order_is_busy_unless_a_stop_rests(still_open, busy, why):
    assert in_short(day(still_open=[still_open])) == (0, 0, "", "", busy), why


def test_a_symbol_held_short_is_busy():
    assert in_short(day(shorts=["BBB"])) == (0, 0, "", "", "BBB")
    covering = order("buy", "BBB", status="new")
    assert in_short(day(still_open=[covering], shorts=["BBB"])) == (0, 0, "", "", "BBB")


# --- intents ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("activity", "expected", "why"),
    [
        (day(intents=[intent(entry())]), (1, 0, "AAA", "", "AAA"), "it may be there"),
        (day(intents=[intent(leave())]), (0, 1, "", "", "AAA"), "an exit"),
        (day(intents=[intent(stop())]), (0, 0, "", "", "AAA"), "protection never counts"),
        (day(intents=[intent(entry(), IntentState.WORKING)]), (1, 0, "AAA", "", ""),
         "the broker had it"),
        (day([entry(status="new")], intents=[intent(entry())]), (1, 0, "AAA", "", "AAA"),
         "listed, so counted once"),
        (day([leave(status="canceled")], intents=[intent(leave())]), (0, 1, "", "", "AAA"),
         "listed, so counted once"),
        (day([stop()], intents=[intent(stop())]), (0, 1, "", "AAA", "AAA"), "sold, so counted"),
        (day(still_open=[entry(status="new")], intents=[intent(entry())]), (0, 0, "", "", "AAA"),
         "listed as open, and of another session"),
        (day([], [execution(entry())], intents=[intent(entry(), broker_order_id="order-1")]),
         (1, 0, "AAA", "", "AAA"), "known by its execution"),
        (day([entry()], intents=[intent(entry(number=5, symbol="BBB"))]),
         (2, 0, "AAA BBB", "", "BBB"), "another order"),
        (day([leave()], intents=[intent(leave(number=5, symbol="BBB"))]),
         (0, 2, "", "AAA", "BBB"), "another exit"),
    ],
)  # fmt: skip
def test_an_unsettled_intent_counts_as_if_the_broker_had_it(activity, expected, why):
    assert in_short(activity) == expected, why


purposes = st.sampled_from([None, *Purpose])
orders_strategy = st.lists(
    st.builds(
        order,
        st.sampled_from(["buy", "sell"]),
        st.sampled_from(["AAA", "BBB", "CCC"]),
        number=st.integers(1, 10**6),
        purpose=purposes,
        status=st.sampled_from(["new", "filled", "canceled", "pending_cancel", "held"]),
        type=st.sampled_from(["market", "limit", "stop"]),
        filled=st.integers(0, 10),
    ),
    max_size=8,
    unique_by=lambda each: each.id,
)


@settings(deadline=None, derandomize=True)
@given(orders_strategy, st.randoms(use_true_random=False))
def test_a_lost_store_or_late_executions_change_no_count_that_the_broker_can_tell(orders, random):
    executions = [execution(each) for each in orders if each.filled_qty]
    intents = [
        intent(each, random.choice(list(IntentState)))
        for each in orders
        if each.client_order_id.startswith("st-")
    ]
    still_open = [each for each in orders if each.is_open]
    full = day(orders, executions, still_open, intents)
    assert replace(full, open_orders=frozenset()) == replace(
        day(orders, [], still_open), open_orders=frozenset()
    )
    assert full.entries + full.exits <= len(orders)
    shuffled = [random.sample(each, len(each)) for each in (orders, executions, still_open)]
    assert day(*shuffled, intents) == full
    assert isinstance(full, DayActivity)


# --- sequence ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("orders", "stored", "expected", "why"),
    [
        ([], 0, 1, "the first"),
        ([], 7, 8, "after the store's"),
        ([entry(number=9)], 7, 10, "after the broker's: the store was lost"),
        ([entry(number=3), stop(number=12), leave(number=5)], 7, 13, "whatever its purpose"),
        ([entry(number=9, status="canceled")], 0, 10, "an id stays used"),
        ([entry(number=9, session=FRIDAY)], 2, 3, "another session's"),
        ([entry(number=9, session=date(2026, 11, 24))], 2, 3, "be it a later one"),
        ([order("buy", number=50)], 2, 3, "a stranger's"),
    ],
)
def test_the_sequence_continues_after_the_highest_that_anybody_has(orders, stored, expected, why):
    assert next_sequence(TODAY, iter(orders), stored) == expected, why


# --- cash -------------------------------------------------------------------------------------


def account(cash="1000", unborrowed="1000"):
    return BrokerAccount(
        "PA1",
        cash and Decimal(cash),
        equity=Decimal(5000),
        last_equity=Decimal(5000),
        non_marginable_buying_power=unborrowed and Decimal(unborrowed),
    )


def buying(limit="20", **changes):
    return order("buy", status="new", limit_price=limit and Decimal(limit), **changes)


@pytest.mark.parametrize(
    ("of", "orders", "expected", "why"),
    [
        (account(), [], "1000", "all of it"),
        (account(unborrowed="700"), [], "700", "the lesser"),
        (account(cash="700"), [], "700", "the lesser"),
        (account(), [buying()], "800", "ten shares at 20 USD are reserved"),
        (account(unborrowed="800"), [buying()], "800", "once, whichever says so"),
        (account(), [buying(filled=4)], "880", "what is left of the order"),
        (account(), [buying(), buying("50", number=2)], "300", "two orders"),
        (account(), [buying("200")], "0", "never below zero"),
        (account(cash="-50"), [], "0", "nor with debts"),
        (account(unborrowed="-50"), [], "0", "nor with debts"),
        (account(), [buying(None)], "0", "a market order may take anything"),
        (account(), [buying(None, type="stop")], "0", "so may a stop"),
        (account(), [buying(qty=None)], "0", "and one of unstated size"),
        (account(), [replace(buying(), status="pending_cancel")], "800", "it may still fill"),
        (account(), [replace(buying(None), status="canceled")], "1000", "over"),
        (account(), [leave(status="new"), stop(status="new")], "1000", "sells take nothing"),
        (account(), [leave(status="new"), buying()], "800", "and hide no buy"),
        (account(cash=None), [], None, "unknown"),
        (account(unborrowed=None), [buying(None)], None, "unknown"),
    ],
)
def test_cash_that_an_open_order_may_take_is_not_spendable(of, orders, expected, why):
    assert spendable_cash(of, iter(orders)) == (expected and Decimal(expected)), why
