from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.core.portfolio import MarketClock
from swingtrader.core.schedule import JOBS, missed, next_run, runs_due

NEW_YORK = ZoneInfo("America/New_York")

# As in the unit files.
ON_CALENDAR = {
    "risk-check": (
        "Mon..Fri *-*-* 09:30..55/5:00 America/New_York",
        "Mon..Fri *-*-* 10..15:00/5:00 America/New_York",
        "Mon..Fri *-*-* 16:00:00 America/New_York",
    ),
    "decide": (
        "Mon..Fri *-*-* 09:30,45:30 America/New_York",
        "Mon..Fri *-*-* 10..15:00/15:30 America/New_York",
    ),
    "regime": ("Mon..Fri *-*-* 08:45:00 America/New_York",),
    "retrain": ("Sun *-*-* 06:00:00 America/New_York",),
}
COUNT_IN_2026 = {"risk-check": 20_619, "decide": 6_786, "regime": 261, "retrain": 52}
SYSTEMD_ANALYZE = shutil.which("systemd-analyze")

INSTANTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - made aware by the strategy
ANY_JOB = st.sampled_from(JOBS)


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


def runs_between(job: str, first: datetime, end: datetime) -> list[datetime]:
    runs, at = [], first - timedelta(seconds=1)
    while (at := next_run(job, at)) < end:
        runs.append(at)
    return runs


@pytest.mark.parametrize("job", JOBS)
def test_a_year_has_as_many_runs_as_systemd_counts(job):
    year = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    assert len(runs_between(job, *year)) == COUNT_IN_2026[job]


@pytest.mark.skipif(SYSTEMD_ANALYZE is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("first", [date(2026, 3, 6), date(2026, 10, 30)])
@pytest.mark.parametrize(
    ("job", "most"), [("risk-check", 250), ("decide", 80), ("regime", 5), ("retrain", 2)]
)
def test_runs_around_the_clock_changes_are_those_that_systemd_elapses(job, most, first):
    elapsed = set()
    for line in ON_CALENDAR[job]:
        run = subprocess.run(
            [
                SYSTEMD_ANALYZE,
                "calendar",
                f"--iterations={most}",
                f"--base-time={first} 00:00:00 UTC",
                line,
            ],
            check=True,
            capture_output=True,
            text=True,
            env={"TZ": "UTC"},
        )
        stamps = re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?= UTC)", run.stdout)
        elapsed |= {datetime.fromisoformat(f"{stamp}+00:00") for stamp in stamps}
    beginning = datetime.combine(first, time(), UTC)
    end = beginning + timedelta(days=5)
    assert runs_between(job, beginning, end) == sorted(at for at in elapsed if at < end)


@pytest.mark.parametrize(
    ("job", "after", "expected"),
    [
        ("risk-check", "2026-11-23 09:29:59", "2026-11-23 09:30"),
        ("risk-check", "2026-11-23 09:30:00", "2026-11-23 09:35"),  # later than, not at
        ("risk-check", "2026-11-23 15:55:00", "2026-11-23 16:00"),
        ("risk-check", "2026-11-23 16:00:00", "2026-11-24 09:30"),
        ("decide", "2026-11-23 09:30:00", "2026-11-23 09:30:30"),
        ("decide", "2026-11-23 15:30:30", "2026-11-23 15:45:30"),
        ("decide", "2026-11-23 15:45:30", "2026-11-24 09:30:30"),
        ("regime", "2026-11-20 08:45:00", "2026-11-23 08:45"),  # over a weekend
        ("regime", "2026-12-24 08:45:00", "2026-12-25 08:45"),  # timers know no holidays
        ("retrain", "2026-11-23 00:00:00", "2026-11-29 06:00"),
    ],
)
def test_next_run_in_new_york(job, after, expected):
    assert next_run(job, new_york(after)) == new_york(expected)


@pytest.mark.parametrize(
    ("job", "after", "expected"),
    [
        # Clocks go forward on 2026-03-08 and back on 2026-11-01, both Sundays at 02:00.
        ("regime", "2026-03-06T13:45:00Z", "2026-03-09T12:45:00Z"),
        ("regime", "2026-10-30T12:45:00Z", "2026-11-02T13:45:00Z"),
        ("retrain", "2026-03-01T11:00:00Z", "2026-03-08T10:00:00Z"),
        ("retrain", "2026-10-25T10:00:00Z", "2026-11-01T11:00:00Z"),
        ("risk-check", "2026-03-06T21:00:00Z", "2026-03-09T13:30:00Z"),
        ("decide", "2026-10-30T19:45:30Z", "2026-11-02T14:30:30Z"),
    ],
)
def test_next_run_over_both_clock_changes(job, after, expected):
    assert next_run(job, datetime.fromisoformat(after)) == datetime.fromisoformat(expected)


@settings(deadline=None, derandomize=True)
@given(ANY_JOB, INSTANTS)
def test_the_next_run_is_later_and_the_one_before_it_is_not(job, at):
    coming = next_run(job, at)
    assert coming > at
    assert next(runs_due(job, at)) <= at
    assert next(runs_due(job, coming)) == coming
    assert next(islice(runs_due(job, coming), 1, None)) == next(runs_due(job, at))


@settings(deadline=None, derandomize=True)
@given(ANY_JOB, INSTANTS)
def test_times_are_the_same_in_new_york_all_year(job, at):
    local = next_run(job, at).astimezone(NEW_YORK)
    assert next_run(job, at).tzinfo is UTC
    if job == "retrain":
        assert (local.weekday(), local.time()) == (6, time(6, 0))
    else:
        assert local.weekday() < 5
        assert time(8, 45) <= local.time() <= time(16, 0)


@pytest.mark.parametrize("call", [next_run, lambda job, at: next(runs_due(job, at))])
def test_naive_instants_and_unknown_jobs_are_refused(call):
    with pytest.raises(ValueError, match="aware"):
        call("decide", datetime(2026, 11, 23))  # noqa: DTZ001 - what is refused
    with pytest.raises(ValueError, match="unknown job 'decided'"):
        call("decided", datetime(2026, 11, 23, tzinfo=UTC))


@pytest.mark.parametrize(
    ("job", "last_run", "now", "expected"),
    [
        ("risk-check", "2026-11-23 10:00:02", "2026-11-23 10:05:00", False),
        ("risk-check", "2026-11-23 10:00:02", "2026-11-23 10:09:59", False),  # one is forgiven
        ("risk-check", "2026-11-23 10:00:02", "2026-11-23 10:10:00", True),
        ("risk-check", "2026-11-20 16:00:02", "2026-11-22 12:00:00", False),  # a weekend
        ("risk-check", "2026-11-20 15:50:02", "2026-11-22 12:00:00", True),  # not even on Friday
        ("risk-check", "2026-11-20 16:00:02", "2026-11-23 09:30:10", False),
        ("risk-check", "2026-11-20 16:00:02", "2026-11-23 09:35:00", True),
        ("decide", "2026-11-23 10:00:31", "2026-11-23 10:30:00", False),
        ("decide", "2026-11-23 10:00:31", "2026-11-23 10:30:30", True),
        ("regime", "2026-11-20 08:45:01", "2026-11-24 08:44:00", False),
        ("regime", "2026-11-20 08:45:01", "2026-11-24 08:45:00", True),
        ("retrain", "2026-11-08 06:00:01", "2026-11-21 12:00:00", False),
        ("retrain", "2026-11-08 06:00:01", "2026-11-22 06:00:00", True),
        ("decide", "2026-11-23 10:30:31", "2026-11-23 10:20:00", False),  # a clock set back
    ],
)
def test_a_run_is_missed_when_two_of_its_times_in_a_row_brought_none(job, last_run, now, expected):
    assert missed(job, new_york(last_run), new_york(now)) is expected


@pytest.mark.parametrize("job", JOBS)
def test_a_job_that_never_ran_is_not_missed(job):
    assert not missed(job, None, new_york("2026-11-23 12:00"))


def clock(at: str, *, is_open: bool, next_open: str, next_close: str) -> MarketClock:
    return MarketClock(new_york(at), is_open, new_york(next_open), new_york(next_close))


# Thanksgiving 2026 is Thursday, 26 November; the day after closes at 13:00.
BEFORE_HOLIDAY = clock(
    "2026-11-25 16:00:01", is_open=False, next_open="2026-11-27 09:30",
    next_close="2026-11-27 13:00",
)  # fmt: skip
HALF_DAY = clock(
    "2026-11-27 12:55:01", is_open=True, next_open="2026-11-30 09:30",
    next_close="2026-11-27 13:00",
)  # fmt: skip


@pytest.mark.parametrize(
    ("job", "last_run", "now", "seen", "expected"),
    [
        ("risk-check", "2026-11-25 16:00:01", "2026-11-26 12:00", BEFORE_HOLIDAY, False),
        ("risk-check", "2026-11-25 16:00:01", "2026-11-27 09:34", BEFORE_HOLIDAY, False),
        ("risk-check", "2026-11-25 16:00:01", "2026-11-27 09:35", BEFORE_HOLIDAY, True),
        ("risk-check", "2026-11-25 16:00:01", "2026-11-26 12:00", None, True),
        # The market was closed when it was seen, but this job had stopped before that.
        ("decide", "2026-11-25 11:00:31", "2026-11-26 12:00", BEFORE_HOLIDAY, True),
        # The regime is due on the morning of the day on which the market opens again.
        ("regime", "2026-11-24 08:45:01", "2026-11-26 12:00", BEFORE_HOLIDAY, False),
        ("regime", "2026-11-24 08:45:01", "2026-11-27 09:00", BEFORE_HOLIDAY, True),
        ("risk-check", "2026-11-27 12:55:01", "2026-11-27 15:00", HALF_DAY, False),
        ("risk-check", "2026-11-27 12:40:01", "2026-11-27 15:00", HALF_DAY, True),
        ("risk-check", "2026-11-27 12:55:01", "2026-11-30 09:40", HALF_DAY, True),
        ("retrain", "2026-11-08 06:00:01", "2026-11-26 12:00", BEFORE_HOLIDAY, True),
    ],
)
def test_times_at_which_the_market_is_known_to_be_closed_do_not_count(
    job, last_run, now, seen, expected
):
    assert missed(job, new_york(last_run), new_york(now), seen) is expected


@settings(deadline=None, derandomize=True)
@given(ANY_JOB, INSTANTS, st.timedeltas(timedelta(), timedelta(days=20)))
def test_whoever_ran_at_the_last_time_due_has_missed_nothing(job, now, later):
    assert not missed(job, next(runs_due(job, now)), now)
    if missed(job, now, now + later):
        assert missed(job, now, now + later + timedelta(hours=1))
