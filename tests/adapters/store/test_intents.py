from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.store.conftest import (
    DECIMALS,
    INSTANTS,
    NOW,
    SESSIONS,
    digits,
    raw,
    round_trips,
)

from swingtrader.adapters.store import STORE_NAME, Store
from swingtrader.core.orders import Intent, IntentState, OrderName, OrderType, Purpose

SESSION = date(2025, 3, 14)
LATER = NOW + timedelta(seconds=3)

INTENTS = st.builds(
    Intent,
    client_order_id=st.text(),
    session=SESSIONS,
    symbol=st.text(),
    side=st.sampled_from(["buy", "sell"]),
    purpose=st.sampled_from(Purpose),
    qty=DECIMALS,
    type=st.sampled_from(OrderType),
    reason=st.text(),
    run_id=st.text(),
    written_at=INSTANTS,
    limit_price=st.none() | DECIMALS,
    stop_price=st.none() | DECIMALS,
    state=st.sampled_from(IntentState),
    broker_order_id=st.none() | st.text(),
    status=st.none() | st.text(),
    filled_qty=DECIMALS,
    filled_avg_price=st.none() | DECIMALS,
)


def intent(symbol="KO", sequence=1, session=SESSION, state=IntentState.UNKNOWN):
    name = OrderName(session, symbol, "sell", Purpose.EXIT, sequence)
    return Intent(
        client_order_id=name.client_order_id,
        session=session,
        symbol=symbol,
        side="sell",
        purpose=Purpose.EXIT,
        qty=Decimal(10),
        type=OrderType.MARKET,
        reason="stop_loss",
        run_id="r1",
        written_at=NOW,
        state=state,
    )


@round_trips
@given(written=INTENTS)
def test_an_intent_comes_back_to_the_last_digit(long_lived_store, written):
    number = len(long_lived_store.intents.of_session(written.session))
    written = replace(
        written, client_order_id=f"{written.session} {number} {written.client_order_id}"
    )
    long_lived_store.intents.write(written)
    found = long_lived_store.intents.get(written.client_order_id)
    assert found == written
    assert digits(found) == digits(written)
    assert type(found.state) is IntentState
    assert found.ticket == written.ticket


def test_an_intent_is_there_for_another_process_as_soon_as_it_is_written(store):
    store.intents.write(intent())
    with raw(store.path) as other:
        assert other.execute("SELECT client_order_id, state FROM intents").fetchall() == [
            (intent().client_order_id, "unknown")
        ]


def test_a_client_order_id_is_written_once(store):
    store.intents.write(intent())
    with pytest.raises(ValueError, match=STORE_NAME):
        store.intents.write(replace(intent(), qty=Decimal(99)))
    assert store.intents.get(intent().client_order_id) == intent()


def test_intents_come_in_the_order_they_were_written(store):
    symbols = ["MSFT", "AAPL", "ZZ", "KO"]
    for sequence, symbol in enumerate(symbols, start=1):
        store.intents.write(replace(intent(symbol, sequence), written_at=NOW))
    store.intents.write(intent("KO", session=date(2025, 3, 13)))
    assert [found.symbol for found in store.intents.of_session(SESSION)] == symbols
    assert [found.symbol for found in store.intents.unsettled()] == [*symbols, "KO"]
    assert store.intents.of_session(date(2025, 3, 12)) == ()


@pytest.mark.parametrize(
    ("state", "is_unsettled"),
    [
        (IntentState.UNKNOWN, True),
        (IntentState.WORKING, True),
        (IntentState.DONE, False),
        (IntentState.REFUSED, False),
        (IntentState.ABANDONED, False),
    ],
)
def test_only_what_the_broker_may_still_change_is_unsettled(store, state, is_unsettled):
    store.intents.write(intent())
    store.intents.settle(intent().client_order_id, state=state, at=LATER)
    assert store.intents.unsettled() == ((intent(state=state),) if is_unsettled else ())


def test_every_state_has_a_case_above_and_a_place_in_the_schema(store):
    for sequence, state in enumerate(IntentState, start=1):
        store.intents.write(intent(sequence=sequence, state=state))
    assert len(store.intents.of_session(SESSION)) == len(IntentState) == 5


def test_settling_changes_what_is_said_and_keeps_the_rest(store):
    client_order_id = intent().client_order_id
    store.intents.write(intent())
    store.intents.write(intent("PEP", 2))
    store.intents.settle(
        client_order_id,
        state=IntentState.WORKING,
        at=LATER,
        broker_order_id="b1",
        status="partially_filled",
        filled_qty=Decimal("4.50"),
        filled_avg_price=Decimal("61.23"),
    )
    store.intents.settle(client_order_id, state=IntentState.DONE, at=LATER)
    assert store.intents.get(client_order_id) == replace(
        intent(),
        state=IntentState.DONE,
        broker_order_id="b1",
        status="partially_filled",
        filled_qty=Decimal("4.50"),
        filled_avg_price=Decimal("61.23"),
    )
    store.intents.settle(client_order_id, state=IntentState.DONE, at=LATER, filled_qty=Decimal(0))
    assert store.intents.get(client_order_id).filled_qty == 0, "nothing is something said"
    assert store.intents.get(intent("PEP", 2).client_order_id) == intent("PEP", 2)


def test_an_intent_that_was_never_written_cannot_be_settled(store):
    assert store.intents.get("st-1") is None
    with pytest.raises(ValueError, match="st-1"):
        store.intents.settle("st-1", state=IntentState.DONE, at=LATER)


def test_the_highest_sequence_is_that_of_the_session_and_counts_by_number(store):
    assert store.intents.highest_sequence(SESSION) == 0
    for sequence in (9, 10, 2):
        store.intents.write(intent(sequence=sequence))
    store.intents.write(intent(sequence=77, session=date(2025, 3, 13)))
    store.intents.write(replace(intent(), client_order_id="by hand"))
    assert store.intents.highest_sequence(SESSION) == 10


@pytest.mark.parametrize(
    "nonsense",
    [
        {"side": "short"},
        {"purpose": "fun"},
        {"type": "trailing_stop"},
        {"state": "lost"},
        {"qty": Decimal("NaN")},
        {"limit_price": Decimal("Infinity")},
        {"written_at": NOW.replace(tzinfo=None)},
        {"session": NOW},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_and_nothing_written(store, nonsense):
    with pytest.raises(ValueError, match=r"constraint|finite|aware"):
        store.intents.write(replace(intent(), **nonsense))
    assert store.intents.unsettled() == ()


def test_intents_are_there_on_the_next_opening(tmp_path):
    with Store.open(tmp_path, now=NOW) as store:
        store.intents.write(intent())
    with Store.open(tmp_path, now=NOW, checked=False) as store:
        assert store.intents.unsettled() == (intent(),)
