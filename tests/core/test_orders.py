from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.core.orders import (
    TERMINAL,
    BrokerOrder,
    Intent,
    IntentState,
    OrderName,
    OrderType,
    Purpose,
    Ticket,
    parsed_name,
)

SESSION = date(2026, 11, 23)
WRITTEN_AT = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
NAME = "st-20261123-AAPL-sell-exit-7"


def broker_order(status="new", qty="10", **changes):
    """Return an order to buy, of which the broker has said no more than it must."""
    return BrokerOrder(
        "b-1", NAME, "AAPL", "buy", "market", status, qty and Decimal(qty), **changes
    )


def intent(purpose=Purpose.ENTRY, **changes):
    values = {
        "client_order_id": NAME, "session": SESSION, "symbol": "AAPL", "side": "buy",
        "purpose": purpose, "qty": Decimal(10), "type": OrderType.LIMIT, "reason": "entry_vote",
        "run_id": "run", "written_at": WRITTEN_AT, "limit_price": Decimal("100.25"),
    }  # fmt: skip
    return Intent(**{**values, **changes})


# --- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (OrderName(SESSION, "AAPL", "sell", Purpose.EXIT, 7), NAME),
        (
            OrderName(date(2026, 1, 2), "BRK.B", "buy", Purpose.ENTRY, 12),
            "st-20260102-BRK.B-buy-entry-12",
        ),
        (
            OrderName(date(2028, 2, 29), "A", "sell", Purpose.PROTECTION, 1),
            "st-20280229-A-sell-protection-1",
        ),
        (
            OrderName(SESSION, "A-sell-exit-1", "buy", Purpose.ENTRY, 999_999_999),
            "st-20261123-A-sell-exit-1-buy-entry-999999999",
        ),
    ],
)
def test_a_name_is_written_and_read_as_the_table_says(name, text):
    assert name.client_order_id == text
    assert parsed_name(text) == name


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "nothing"),
        ("typed by a person", "a person's"),
        ("7f9c1d3e-5b1a-4a52-8f0e-0d4fd1b0a8c2", "the broker's own"),
        (f"x{NAME}", "something before it"),
        (f"{NAME}x", "something after it"),
        (f"{NAME}\n", "a line after it"),
        ("ST-20261123-AAPL-sell-exit-7", "in capitals"),
        ("st-2026112-AAPL-sell-exit-7", "seven digits of a day"),
        ("st-202611233-AAPL-sell-exit-7", "nine"),
        ("st-20261323-AAPL-sell-exit-7", "a thirteenth month"),
        ("st-20260230-AAPL-sell-exit-7", "the 30th of February"),
        ("st-00001123-AAPL-sell-exit-7", "a year that is none"),
        ("st-20261123--sell-exit-7", "no symbol"),
        ("st-20261123-A PL-sell-exit-7", "a blank in the symbol"),
        ("st-20261123-AAPL-short-exit-7", "a side that is none"),
        ("st-20261123-AAPL-sell-whim-7", "a purpose that is none"),
        ("st-20261123-AAPL-sell-exit-0", "a sequence starts at 1"),
        ("st-20261123-AAPL-sell-exit-07", "and has no leading zero"),
        ("st-20261123-AAPL-sell-exit-1234567890", "or more than nine digits"),
        ("st-20261123-AAPL-sell-exit-", "no sequence"),
        ("st-20261123-AAPL-sell-exit", "none at all"),
    ],
)
def test_what_is_not_written_as_our_names_are_is_not_ours(text, why):
    assert parsed_name(text) is None, why


names = st.builds(
    OrderName,
    session=st.dates(date(1900, 1, 1), date(2199, 12, 31)),
    symbol=st.from_regex(r"[A-Z]{1,5}([./][A-Z]{1,3})?", fullmatch=True),
    side=st.sampled_from(["buy", "sell"]),
    purpose=st.sampled_from(Purpose),
    sequence=st.integers(1, 999_999_999),
)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(names)
def test_every_name_reads_back_as_what_was_written(name):
    assert parsed_name(name.client_order_id) == name


@settings(deadline=None, derandomize=True, max_examples=50)
@given(names, names)
def test_two_orders_share_a_name_only_if_they_are_the_same(one, other):
    assert (one.client_order_id == other.client_order_id) == (one == other)


# --- what the broker says ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "is_open"),
    [
        ("new", True),
        ("accepted", True),
        ("held", True),
        ("partially_filled", True),
        ("done_for_day", True),  # it may be taken up the next day
        ("pending_cancel", True),
        ("pending_replace", True),
        ("stopped", True),
        ("suspended", True),
        ("calculated", True),
        ("a word of next year's", True),
        ("", True),
        ("filled", False),
        ("canceled", False),
        ("expired", False),
        ("rejected", False),
        ("replaced", False),
    ],
)
def test_an_order_is_open_unless_its_status_is_known_to_be_final(status, is_open):
    assert broker_order(status).is_open is is_open


@pytest.mark.parametrize(
    ("qty", "filled", "remaining"),
    [
        ("10", "0", "10"),
        ("10", "4", "6"),
        ("10", "10", "0"),
        ("2.5", "0.125", "2.375"),
        (None, "0", None),  # an order by dollars
        (None, "3", None),
    ],
)
def test_what_remains_is_what_was_asked_for_less_what_was_filled(qty, filled, remaining):
    order = broker_order(qty=qty, filled_qty=Decimal(filled))
    assert order.remaining == (remaining and Decimal(remaining))


def test_what_the_broker_does_not_state_is_unknown_and_nothing_is_filled():
    order = broker_order()
    unstated = (order.filled_avg_price, order.limit_price, order.stop_price, order.submitted_at)
    assert unstated == (None, None, None, None)
    assert (order.filled_qty, order.remaining) == (0, 10)


# --- what we mean to send ---------------------------------------------------------------------


def test_an_intent_begins_unknown_unfilled_and_without_a_word_of_the_broker():
    fresh = intent()
    assert fresh.state is IntentState.UNKNOWN
    assert (fresh.filled_qty, fresh.filled_avg_price) == (0, None)
    assert (fresh.broker_order_id, fresh.status, fresh.stop_price) == (None, None, None)


def test_the_ticket_of_an_intent_says_all_that_the_broker_needs():
    asked = intent(
        Purpose.PROTECTION,
        side="sell",
        type=OrderType.STOP,
        limit_price=Decimal("93.99"),
        stop_price=Decimal("94.01"),
    )
    assert asked.ticket == Ticket(
        NAME, "AAPL", "sell", Decimal(10), OrderType.STOP,
        limit_price=Decimal("93.99"), stop_price=Decimal("94.01"), good_till_canceled=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("purpose", "stays"),
    [(Purpose.ENTRY, False), (Purpose.EXIT, False), (Purpose.PROTECTION, True)],
)
def test_only_protection_outlives_the_day(purpose, stays):
    assert intent(purpose).ticket.good_till_canceled is stays


def test_a_ticket_is_for_the_day_at_the_market_unless_it_says_otherwise():
    plain = Ticket(NAME, "AAPL", "buy", Decimal(1), OrderType.MARKET)
    assert (plain.limit_price, plain.stop_price, plain.good_till_canceled) == (None, None, False)


@pytest.mark.parametrize("state", IntentState)
@pytest.mark.parametrize("status", [None, "new", *sorted(TERMINAL)])
def test_whatever_became_of_an_intent_its_ticket_is_the_same(state, status):
    fresh = intent()
    later = replace(
        fresh, state=state, status=status, broker_order_id="b-1", filled_qty=Decimal(4),
        filled_avg_price=Decimal(100),
    )  # fmt: skip
    assert later.ticket == fresh.ticket


@pytest.mark.parametrize(
    "value",
    [intent(), intent().ticket, broker_order(), OrderName(SESSION, "A", "buy", Purpose.ENTRY, 1)],
    ids=lambda value: type(value).__name__,
)
def test_an_order_once_written_down_cannot_be_changed(value):
    for field in fields(value):
        with pytest.raises(FrozenInstanceError):
            setattr(value, field.name, getattr(value, field.name))
