from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.store.conftest import (
    DECIMALS,
    FINITE,
    INSTANTS,
    NOW,
    SESSIONS,
    digits,
    round_trips,
)

from swingtrader.core.exits import Marks
from swingtrader.core.orders import BrokerOrder
from swingtrader.core.portfolio import Execution, TrackedPosition

LATER = NOW + timedelta(minutes=5)

POSITIONS = st.builds(
    TrackedPosition,
    symbol=st.text(),
    qty=DECIMALS,
    entry_price=st.none() | DECIMALS,
    entry_session=SESSIONS,
    marks=st.builds(Marks, high_water=FINITE, trailing_stop=FINITE),
    misses=st.integers(0, 100),
    counted_session=st.none() | SESSIONS,
    age_sessions=st.integers(0, 10_000),
    managed=st.booleans(),
    price=st.none() | DECIMALS,
    price_at=st.none() | INSTANTS,
    print_price=st.none() | DECIMALS,
    print_at=st.none() | INSTANTS,
    stop_ratio=st.none() | FINITE,
    target_ratio=st.none() | FINITE,
    resting_qty=DECIMALS,
    resting_stop=st.none() | DECIMALS,
)
ORDERS = st.builds(
    BrokerOrder,
    id=st.text(),
    client_order_id=st.text(),
    symbol=st.text(),
    side=st.text(),
    type=st.text(),
    status=st.text(),
    qty=st.none() | DECIMALS,
    filled_qty=DECIMALS,
    filled_avg_price=st.none() | DECIMALS,
    limit_price=st.none() | DECIMALS,
    stop_price=st.none() | DECIMALS,
    submitted_at=st.none() | INSTANTS,
)

KO = TrackedPosition("KO", Decimal(10), Decimal("61.20"), date(2025, 3, 10))
PEP = TrackedPosition("PEP", Decimal("0.5"), None, date(2025, 3, 11), misses=2, managed=False)
STOP = BrokerOrder("b1", "st-1", "KO", "sell", "stop", "new", Decimal(10))
LIMIT = BrokerOrder("b2", "by hand", "PEP", "buy", "limit", "held", None)
FILL = Execution("20250314::1", NOW, "KO", "buy", Decimal(10), Decimal("61.20"), "b0")


# --- positions --------------------------------------------------------------------------------


@round_trips
@given(written=st.lists(POSITIONS, max_size=4, unique_by=lambda position: position.symbol))
def test_positions_come_back_to_the_last_digit(long_lived_store, written):
    long_lived_store.positions.replace(iter(written), NOW)
    found = long_lived_store.positions.all()
    assert found == {position.symbol: position for position in written}
    for position in written:
        assert digits(found[position.symbol]) == digits(position)


def test_a_replaced_set_of_positions_is_the_whole_set(store):
    store.positions.replace([PEP, KO], NOW)
    assert list(store.positions.all()) == ["KO", "PEP"]
    store.positions.replace([replace(KO, misses=1)], LATER)
    assert store.positions.all() == {"KO": replace(KO, misses=1)}
    assert store.positions.seen_at() == LATER


def test_no_positions_is_something_that_was_seen(store):
    assert store.positions.seen_at() is None
    store.positions.replace([], NOW)
    assert store.positions.all() == {}
    assert store.positions.seen_at() == NOW
    assert store.orders.seen_at() is None


@pytest.mark.parametrize(
    "nonsense",
    [
        [KO, KO],
        [PEP, replace(KO, stop_ratio=float("nan"))],
        [PEP, replace(KO, qty=Decimal("NaN"))],
        [PEP, replace(KO, entry_session=NOW)],
        [PEP, replace(KO, price_at=NOW.replace(tzinfo=None))],
    ],
)
def test_a_set_of_positions_that_makes_no_sense_leaves_the_one_before(store, nonsense):
    store.positions.replace([KO], NOW)
    with pytest.raises(ValueError, match=r"constraint|finite|aware"):
        store.positions.replace(nonsense, LATER)
    assert store.positions.all() == {"KO": KO}
    assert store.positions.seen_at() == NOW


# --- open orders ------------------------------------------------------------------------------


@round_trips
@given(written=st.lists(ORDERS, max_size=4, unique_by=lambda order: order.id))
def test_open_orders_come_back_to_the_last_digit_and_in_order(long_lived_store, written):
    long_lived_store.orders.replace(iter(written), NOW)
    found = long_lived_store.orders.all()
    assert found == tuple(written)
    assert [digits(order) for order in found] == [digits(order) for order in written]


def test_a_replaced_set_of_open_orders_is_the_whole_set(store):
    store.orders.replace([LIMIT, STOP], NOW)
    assert store.orders.all() == (LIMIT, STOP)
    store.orders.replace([], LATER)
    assert store.orders.all() == ()
    assert store.orders.seen_at() == LATER
    assert store.positions.seen_at() is None


def test_the_same_order_twice_leaves_the_set_before(store):
    store.orders.replace([STOP], NOW)
    with pytest.raises(ValueError, match="constraint"):
        store.orders.replace([LIMIT, LIMIT], LATER)
    assert store.orders.all() == (STOP,)
    assert store.orders.seen_at() == NOW


# --- both, with the fills that led there --------------------------------------------------------


def test_what_was_observed_is_remembered_together(store):
    store.observe(iter([KO]), iter([STOP]), iter([FILL]), NOW)
    assert store.positions.all() == {"KO": KO}
    assert store.orders.all() == (STOP,)
    assert store.fills.all_of("KO") == (FILL,)
    assert store.positions.seen_at() == store.orders.seen_at() == NOW


@pytest.mark.parametrize(
    "nonsense",
    [
        ([KO, KO], [LIMIT], [FILL]),
        ([PEP], [LIMIT, LIMIT], [FILL]),
        ([PEP], [LIMIT], [replace(FILL, price=Decimal("NaN"))]),
    ],
)
def test_an_observation_that_makes_no_sense_is_not_remembered_in_part(store, nonsense):
    store.observe([KO], [STOP], [], NOW)
    with pytest.raises(ValueError, match=r"constraint|finite"):
        store.observe(*nonsense, LATER)
    assert store.positions.all() == {"KO": KO}
    assert store.orders.all() == (STOP,)
    assert store.fills.all_of("KO") == ()
    assert store.positions.seen_at() == NOW
