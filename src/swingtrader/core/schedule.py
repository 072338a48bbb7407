"""When the timers fire, as pure functions: `status` says what comes next and what did not come.

The times repeat the units' OnCalendar lines. They are New York wall-clock times outside the hours
that a clock change removes or repeats, so each is exactly one instant. Timers know weekdays, not
holidays: on a holiday a job fires, sees that the market is closed, and that is its run. So whether
a run is missing is judged by ticks, except where the broker's clock, as last seen, says that the
market is closed.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from swingtrader.core.new_york import NEW_YORK, in_new_york, new_york_date

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from swingtrader.core.portfolio import MarketClock

_MONDAY_TO_FRIDAY = frozenset(range(5))
_SUNDAY = frozenset({6})


@dataclass(frozen=True)
class _Timer:
    """`times` are of New York's day, ascending; `follows_market`: a closed market needs no run."""

    weekdays: frozenset[int]
    times: tuple[time, ...]
    follows_market: bool = True


def _every(minutes: int, *, second: int = 0, until_close: bool = False) -> tuple[time, ...]:
    """Times from 09:30 on, less than 16:00 unless `until_close`."""
    first, last = 9 * 60 + 30, 16 * 60 + (1 if until_close else 0)
    return tuple(time(minute // 60, minute % 60, second) for minute in range(first, last, minutes))


_TIMERS = {
    "risk-check": _Timer(_MONDAY_TO_FRIDAY, _every(5, until_close=True)),
    # Half a minute late, to stay clear of the risk check.
    "decide": _Timer(_MONDAY_TO_FRIDAY, _every(15, second=30)),
    "regime": _Timer(_MONDAY_TO_FRIDAY, (time(8, 45),)),
    "retrain": _Timer(_SUNDAY, (time(6, 0),), follows_market=False),
}

JOBS = tuple(_TIMERS)
"""Names of the jobs that timers fire, as their commands are called."""


def next_run(job: str, after: datetime) -> datetime:
    """First instant later than `after` at which the job's timer fires.

    Parameters
    ----------
    job : str
        One of `JOBS`.
    after : datetime
        Aware.

    Returns
    -------
    datetime
        Aware, UTC.

    Raises
    ------
    ValueError
        The job is unknown, or `after` is naive.
    """
    timer = _timer(job)
    local = in_new_york(after)
    if local.weekday() in timer.weekdays:
        n = bisect_right(timer.times, local.time())
        if n < len(timer.times):
            return _instant(local.date(), timer.times[n])
    day = local.date() + timedelta(days=1)
    while day.weekday() not in timer.weekdays:
        day += timedelta(days=1)
    return _instant(day, timer.times[0])


def runs_due(job: str, at: datetime) -> Iterator[datetime]:
    """Instants, not later than `at`, at which the job's timer fired: the latest first, no end.

    Raises
    ------
    ValueError
        The job is unknown, or `at` is naive.
    """
    timer = _timer(job)
    local = in_new_york(at)
    day = local.date()
    n = bisect_right(timer.times, local.time())
    while True:
        if day.weekday() in timer.weekdays:
            yield from (_instant(day, moment) for moment in reversed(timer.times[:n]))
        day -= timedelta(days=1)
        n = len(timer.times)


def missed(
    job: str, last_run_at: datetime | None, now: datetime, clock: MarketClock | None = None
) -> bool:
    """Whether neither of the last two times the timer was to fire was followed by a run.

    One time alone is not held against a job: its run may be starting just now, or a restart of
    the machine may have swallowed it.

    Parameters
    ----------
    last_run_at : datetime or None
        Aware. None, for a job that never ran, is not missed: nothing tells since when its timer
        should be on.
    now : datetime
        Aware.
    clock : MarketClock, optional
        The broker's, as last seen. Times at which it knows the market to be closed, on a
        holiday or after an early close, do not count for the jobs that follow the market.
    """
    if last_run_at is None:
        return False
    due = (
        at
        for at in runs_due(job, now)
        if not (_timer(job).follows_market and clock is not None and _is_closed(clock, at))
    )
    next(due)
    return last_run_at < next(due)


def _is_closed(clock: MarketClock, at: datetime) -> bool:
    """Whether `at` is on a day on which, by `clock`, the market does not open any more.

    A day on which it does open counts from its first minute: the regime is due before.
    """
    if clock.is_open:
        closed = at >= clock.next_close
        return closed and new_york_date(at) == new_york_date(clock.next_close)
    return at >= clock.at and new_york_date(at) < new_york_date(clock.next_open)


def _timer(job: str) -> _Timer:
    if job not in _TIMERS:
        raise ValueError(f"unknown job {job!r}: is none of {', '.join(JOBS)}")
    return _TIMERS[job]


def _instant(day: date, moment: time) -> datetime:
    return datetime.combine(day, moment, NEW_YORK).astimezone(UTC)
