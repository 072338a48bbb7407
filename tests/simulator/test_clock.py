from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from tests.simulator.conftest import DAYS, new_york, timetable_of

from swingtrader.core.arrays import session_array
from swingtrader.simulator.clock import Timetable, eastern_day

TABLE = timetable_of()


@pytest.mark.parametrize(
    ("case", "at", "is_open", "next_open", "next_close"),
    [
        ("before the open", new_york(20, 9, 29, 59), False, (20, 9, 30), (20, 16, 0)),
        ("at the open", new_york(20, 9, 30), True, (21, 9, 30), (20, 16, 0)),
        ("just before the close", new_york(20, 15, 59, 59), True, (21, 9, 30), (20, 16, 0)),
        ("at the close", new_york(20, 16), False, (21, 9, 30), (21, 16, 0)),
        ("Thanksgiving", new_york(23, 12), False, (24, 9, 30), (24, 13, 0)),
        ("half-day", new_york(24, 12, 59), True, (27, 9, 30), (24, 13, 0)),
        ("half-day after 13:00", new_york(24, 13, 1), False, (27, 9, 30), (27, 16, 0)),
        ("Sunday", new_york(26, 12), False, (27, 9, 30), (27, 16, 0)),
    ],
)
def test_market_is_open_from_open_to_before_the_close(case, at, is_open, next_open, next_close):
    assert TABLE.is_open(at) is is_open, case
    assert TABLE.next_open(at) == new_york(*next_open), case
    assert TABLE.next_close(at) == new_york(*next_close), case


def test_day_is_new_yorks():
    assert eastern_day(new_york(20, 23, 30)) == date(2023, 11, 20)


def test_events_are_the_day_the_open_and_the_close():
    at = new_york(22, 12)
    seen = []
    while (at := TABLE.next_event(at, every_minute=False)) is not None and len(seen) < 4:
        seen.append(at)
    assert seen == [new_york(22, 16), new_york(24, 0), new_york(24, 9, 30), new_york(24, 13)]


def test_events_are_every_minute_while_an_order_works():
    assert TABLE.next_event(new_york(20, 10, 0, 30), every_minute=True) == new_york(20, 10, 1)
    assert TABLE.next_event(new_york(20, 15, 59, 30), every_minute=True) == new_york(20, 16)


def test_nothing_happens_after_the_last_session():
    assert TABLE.next_event(new_york(30, 16), every_minute=True) is None
    with pytest.raises(ValueError, match="timetable ends on 2023-11-30"):
        TABLE.next_open(new_york(30, 12))


def test_sessions_that_overlap_are_refused():
    opens = np.array(["2023-11-20T14:30", "2023-11-21T14:30"], dtype="datetime64[s]")
    closes = np.array(["2023-11-21T21:00", "2023-11-21T22:00"], dtype="datetime64[s]")
    with pytest.raises(ValueError, match="overlap"):
        Timetable(session_array(DAYS[3:5]), opens, closes)
