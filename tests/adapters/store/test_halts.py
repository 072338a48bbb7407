from datetime import date, timedelta

import pytest
from tests.adapters.store.conftest import NOW

from swingtrader.adapters.store import Halt, Store
from swingtrader.core.portfolio import MarketClock

FRIDAY, MONDAY, TUESDAY = date(2025, 3, 14), date(2025, 3, 17), date(2025, 3, 18)
LATER = NOW + timedelta(minutes=5)
BY_HAND = Halt("by_hand", NOW)
LOSS = Halt("daily_loss", LATER, FRIDAY)


def in_session(store, session, run_id="r1"):
    """Have a run see the clock in a session."""
    at = NOW + (session - FRIDAY)
    store.runs.start(run_id, "decide", "paper", at)
    store.runs.saw_clock(run_id, MarketClock(at, True, at, at), session)


def add(store, *halts):
    for halt in halts:
        store.halts.add(halt.reason, halt.since, session=halt.session, flatten=halt.flatten)


def test_there_is_no_halt_to_begin_with(store):
    assert store.halts.active(FRIDAY) == ()
    assert store.halts.active(None) == ()
    assert store.halts.lift_all(NOW) == 0


def test_a_halt_holds_until_it_is_lifted_and_over_restarts(tmp_path):
    with Store.open(tmp_path, now=NOW) as store:
        add(store, BY_HAND)
    with Store.open(tmp_path, now=NOW) as store:
        assert store.halts.active(MONDAY) == (BY_HAND,)
        assert store.halts.lift_all(LATER) == 1
        assert store.halts.active(MONDAY) == ()
        assert store.halts.lift_all(LATER) == 0


def test_a_halt_takes_effect_for_a_run_under_way(store):
    with Store.open(store.path.parent, now=NOW, checked=False) as other:
        add(other, BY_HAND)
    assert store.halts.active(FRIDAY) == (BY_HAND,)


def test_a_halt_with_a_session_holds_in_that_session_only(store):
    add(store, LOSS, BY_HAND)
    assert store.halts.active(FRIDAY) == (BY_HAND, LOSS), "oldest first"
    assert store.halts.active(MONDAY) == (BY_HAND,)


def test_without_a_session_the_last_one_that_a_run_saw_is_meant(store):
    add(store, BY_HAND, LOSS)
    assert store.halts.active(None) == (BY_HAND,), "no run has seen any"
    in_session(store, FRIDAY)
    assert store.halts.active(None) == (BY_HAND, LOSS)
    store.runs.start("r2", "decide", "paper", LATER)
    assert store.halts.active(None) == (BY_HAND, LOSS), "the latest has not looked yet"
    in_session(store, MONDAY, "r3")
    assert store.halts.active(None) == (BY_HAND,)


@pytest.mark.parametrize("halt", [BY_HAND, LOSS])
def test_halting_again_for_the_same_reason_changes_nothing(store, halt):
    add(store, halt)
    store.halts.add(halt.reason, LATER + timedelta(hours=1), session=halt.session)
    assert store.halts.active(FRIDAY) == (halt,)
    assert store.halts.lift_all(LATER) == (1 if halt.session is None else 0)


def test_halting_again_may_make_it_flatten_and_never_the_other_way(store):
    add(store, BY_HAND)
    store.halts.add("by_hand", LATER, flatten=True)
    assert store.halts.active(None) == (Halt("by_hand", NOW, None, flatten=True),)
    store.halts.add("by_hand", LATER)
    assert store.halts.active(None) == (Halt("by_hand", NOW, None, flatten=True),)


def test_the_same_reason_in_another_session_is_another_halt(store):
    monday, ever = Halt("daily_loss", LATER, MONDAY), Halt("daily_loss", LATER)
    add(store, LOSS, monday, ever)
    assert store.halts.active(FRIDAY) == (LOSS, ever)
    assert store.halts.active(MONDAY) == (monday, ever)


def test_a_halt_that_was_lifted_can_be_made_again(store):
    add(store, Halt("by_hand", NOW, None, flatten=True))
    store.halts.lift_all(LATER)
    store.halts.add("by_hand", LATER)
    assert store.halts.active(None) == (Halt("by_hand", LATER),)


def test_a_halt_of_one_session_ends_with_it_and_cannot_be_lifted(store):
    add(store, LOSS, BY_HAND, Halt("daily_loss", LATER, TUESDAY))
    in_session(store, FRIDAY)
    assert store.halts.lift_all(LATER) == 1
    for session, holds in ((FRIDAY, 1), (MONDAY, 0), (TUESDAY, 1)):
        assert len(store.halts.active(session)) == holds


def test_a_halt_in_an_instant_is_refused(store):
    with pytest.raises(ValueError, match="constraint"):
        store.halts.add("daily_loss", NOW, session=NOW)
    assert store.halts.lift_all(NOW) == 0
