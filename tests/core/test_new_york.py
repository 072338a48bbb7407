from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from swingtrader.core.new_york import new_york_date, session_at, start_of
from swingtrader.core.portfolio import MarketClock


def test_new_york_date_is_the_day_before_in_the_early_hours_of_utc():
    assert new_york_date(datetime(2026, 11, 24, 4, 59, tzinfo=UTC)) == date(2026, 11, 23)
    assert new_york_date(datetime(2026, 11, 24, 5, 0, tzinfo=UTC)) == date(2026, 11, 24)


def test_a_naive_instant_has_no_day():
    with pytest.raises(ValueError, match="must be an aware datetime"):
        new_york_date(datetime(2026, 11, 24))  # noqa: DTZ001 - what is refused


def test_a_day_begins_at_midnight_there_through_both_clock_changes():
    assert start_of(date(2026, 3, 8)) == datetime(2026, 3, 8, 5, tzinfo=UTC)
    assert start_of(date(2026, 3, 9)) == datetime(2026, 3, 9, 4, tzinfo=UTC)
    assert start_of(date(2026, 11, 2)) == datetime(2026, 11, 2, 5, tzinfo=UTC)


@pytest.mark.parametrize(("is_open", "session"), [(True, 20), (False, 23)])
def test_the_session_is_the_open_one_or_the_next(is_open, session):
    friday, monday = (datetime(2026, 11, day, 14, 30, tzinfo=UTC) for day in (20, 23))
    clock = MarketClock(friday, is_open, next_open=monday, next_close=monday)
    assert session_at(clock) == date(2026, 11, session)
