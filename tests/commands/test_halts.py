from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.adapters.lock import state_lock
from swingtrader.adapters.store import Store
from swingtrader.commands.halts import LONGEST_REASON, halt, resume
from swingtrader.commands.status import status_report
from swingtrader.core.portfolio import MarketClock

AT = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
LATER = AT + timedelta(minutes=10)
MONDAY = date(2026, 11, 23)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path, now=AT) as store:
        yield store


def see_session(store, session):
    clock = MarketClock(AT, is_open=True, next_open=LATER, next_close=LATER)
    store.runs.start("r", "decide", "paper", AT)
    store.runs.saw_clock("r", clock, session)


def test_a_halt_holds_until_resumed(store):
    told = halt(store, "earnings week", AT, flatten=False)
    assert json.loads(json.dumps(told)) == {
        "command": "halt",
        "halts": [
            {
                "reason": "earnings week",
                "since": "2026-11-23T15:00:00+00:00",
                "session": None,
                "flatten": False,
            }
        ],
        "lifted": 0,
    }
    assert store.halts.active(MONDAY)
    assert store.halts.active(date(2027, 6, 1))
    assert resume(store, LATER) == {"command": "resume", "halts": [], "lifted": 1}
    assert not store.halts.active(MONDAY)


def test_resuming_when_nothing_is_halted_is_no_mistake(store):
    assert resume(store, AT) == {"command": "resume", "halts": [], "lifted": 0}


def test_the_same_reason_again_is_one_halt_and_may_flatten(store):
    halt(store, "by hand", AT, flatten=False)
    (told,) = halt(store, "by hand", LATER, flatten=True)["halts"]
    assert (told["since"], told["flatten"]) == (AT.isoformat(), True)
    (told,) = halt(store, "by hand", LATER, flatten=False)["halts"]
    assert told["flatten"] is True


def test_what_the_program_halted_for_a_session_is_told_and_ends_only_with_it(store):
    see_session(store, MONDAY)
    store.halts.add("daily_loss", AT, session=MONDAY)
    store.halts.add("daily_loss", AT, session=date(2026, 11, 20))  # over by itself
    told = halt(store, "by hand", LATER, flatten=False)
    assert [(each["reason"], each["session"]) for each in told["halts"]] == [
        ("daily_loss", "2026-11-23"),
        ("by hand", None),
    ]
    resumed = resume(store, LATER)
    assert resumed["lifted"] == 1
    assert [each["reason"] for each in resumed["halts"]] == ["daily_loss"]


def test_status_tells_of_halts_in_the_same_words(store):
    told = halt(store, "by hand", AT, flatten=True)
    assert status_report(store, mode="paper", asof=AT)["halts"] == told["halts"]


def test_neither_waits_for_a_run_that_holds_the_lock(store, tmp_path):
    with state_lock(tmp_path, wait_seconds=0):
        halt(store, "now", AT, flatten=False)
        assert resume(store, LATER)["lifted"] == 1


@pytest.mark.parametrize(
    ("given_reason", "stored"),
    [
        ("", "by hand"),
        (" \t\n", "by hand"),
        ("  two\n lines\t", "two lines"),
        ("\x1b[31mred\x07", "[31mred"),
        ("[red]text[/red]", "[red]text[/red]"),
        ("x" * 300, "x" * 200),
        ("x" * 199 + " y", "x" * 199),
    ],
)
def test_a_reason_is_kept_as_one_short_plain_line(store, given_reason, stored):
    (told,) = halt(store, given_reason, AT, flatten=False)["halts"]
    assert told["reason"] == stored


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.text(max_size=400))
def test_any_reason_becomes_a_line_that_can_be_printed(tmp_path_factory, reason):
    with Store.open(tmp_path_factory.mktemp("any"), now=AT) as store:
        (told,) = halt(store, reason, AT, flatten=False)["halts"]
    assert 0 < len(told["reason"]) <= LONGEST_REASON
    assert told["reason"].isprintable()
