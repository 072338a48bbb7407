"""When the exchange trades, against days in its history."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from swingtrader.adapters.calendar import (
    are_sessions,
    is_session,
    session_closes,
    session_opens,
    sessions_between,
)

CLOSED = {
    "1968-06-12": "paperwork crisis, closed on Wednesdays",
    "1985-09-27": "Hurricane Gloria",
    "1994-04-27": "mourning for President Nixon",
    "2001-09-11": "attacks",
    "2001-09-14": "attacks, fourth day closed",
    "2004-06-11": "mourning for President Reagan",
    "2007-01-02": "mourning for President Ford",
    "2012-10-29": "Hurricane Sandy",
    "2012-10-30": "Hurricane Sandy, second day",
    "2015-07-03": "Independence Day falls on a Saturday, observed on Friday",
    "2018-12-05": "mourning for President Bush",
    "2019-04-19": "Good Friday",
    "2022-06-20": "Juneteenth falls on a Sunday, observed on Monday, for the first time",
    "2022-12-26": "Christmas falls on a Sunday, observed on Monday",
    "2025-01-09": "mourning for President Carter",
    "2019-06-15": "a Saturday",
}
OPEN = {
    "2001-09-17": "first session after the attacks",
    "2012-10-31": "first session after Hurricane Sandy",
    "2018-11-12": "Veterans Day, observed by banks only",
    "2019-10-14": "Columbus Day, kept by banks only",
    "2021-06-18": "Juneteenth was not yet kept",
    "2021-12-31": "New Year on a Saturday is not moved into the old year",
}
# Closing instants in UTC.
CLOSES = {
    "2019-07-03": ("17:00", "eve of Independence Day, early, summer time"),
    "2002-07-05": ("17:00", "Friday after Independence Day, early"),
    "2019-11-29": ("18:00", "day after Thanksgiving, early, winter time"),
    "2019-12-24": ("18:00", "Christmas Eve, early"),
    "2016-12-23": ("21:00", "Friday before a Christmas on Sunday, full"),
    "2020-07-02": ("20:00", "the holiday is observed on the 3rd, the 2nd is full"),
    "2019-12-31": ("21:00", "New Year's Eve, full"),
}
# Opening instants in UTC around the changes of clocks in New York.
OPENS = {
    "2024-03-08": ("14:30", "last session of winter time"),
    "2024-03-11": ("13:30", "first session of summer time"),
    "2024-11-01": ("13:30", "last session of summer time"),
    "2024-11-04": ("14:30", "first session of winter time"),
}


def instant(day, clock):
    return np.array([f"{day}T{clock}:00"], dtype="datetime64[s]")


def days(*texts):
    return np.array(texts, dtype="datetime64[D]")


@pytest.mark.parametrize(("day", "reason"), CLOSED.items())
def test_the_exchange_is_closed_on(day, reason):
    assert not is_session(date.fromisoformat(day)), reason


@pytest.mark.parametrize(("day", "reason"), OPEN.items())
def test_the_exchange_is_open_on(day, reason):
    assert is_session(date.fromisoformat(day)), reason


@pytest.mark.parametrize(("day", "clock", "reason"), [(d, *rest) for d, rest in CLOSES.items()])
def test_a_session_closes_at(day, clock, reason):
    closes = session_closes(days(day))
    assert closes.dtype == "datetime64[s]"
    assert closes == instant(day, clock), reason


@pytest.mark.parametrize(("day", "clock", "reason"), [(d, *rest) for d, rest in OPENS.items()])
def test_a_session_opens_at(day, clock, reason):
    opens = session_opens(days(day))
    assert opens.dtype == "datetime64[s]"
    assert opens == instant(day, clock), reason


def test_both_ends_of_a_range_are_included():
    week = sessions_between(date(2012, 10, 26), date(2012, 11, 1))
    assert week.dtype == "datetime64[D]"
    assert week.tolist() == [date(2012, 10, 26), date(2012, 10, 31), date(2012, 11, 1)]


@pytest.mark.parametrize(
    ("start", "end"),
    [(date(2019, 6, 15), date(2019, 6, 16)), (date(2019, 6, 20), date(2019, 6, 18))],
    ids=["a weekend", "backwards"],
)
def test_a_range_without_sessions_is_empty(start, end):
    assert sessions_between(start, end).shape == (0,)


def test_a_year_has_the_sessions_the_exchange_counted():
    counted = {2012: 250, 2018: 251, 2019: 252, 2020: 253}
    assert {
        year: len(sessions_between(date(year, 1, 1), date(year, 12, 31))) for year in counted
    } == counted


def test_a_year_the_calendar_does_not_know_is_refused_rather_than_called_empty():
    with pytest.raises(ValueError, match="known from 1950-01-01 to 2099-12-31"):
        sessions_between(date(1949, 12, 31), date(1950, 2, 1))
    with pytest.raises(ValueError, match="known from"):
        sessions_between(date(2099, 1, 1), date(2100, 1, 1))


def test_days_in_any_order_and_beyond_the_calendar_are_told_apart():
    asked = days("2200-01-01", "2019-06-17", "2019-06-16", "1800-01-01", "2019-06-17")
    assert are_sessions(asked).tolist() == [False, True, False, False, True]


@pytest.mark.parametrize("instants", [session_opens, session_closes])
def test_a_day_without_session_has_neither_open_nor_close(instants):
    with pytest.raises(ValueError, match="2019-06-16 is no session"):
        instants(days("2019-06-14", "2019-06-16"))


def test_nobody_can_write_into_the_shared_table():
    with pytest.raises(ValueError, match="read-only"):
        sessions_between(date(2019, 1, 1), date(2019, 2, 1))[0] = np.datetime64("2019-01-01")
