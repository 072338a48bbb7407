"""Sessions and instants: when the simulated exchange is open, and what its next event is.

The calendar comes in as arrays, since the simulator knows no calendar of its own. There is no
clock in here either: every question names its instant. An exchange's day is New York's.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

if TYPE_CHECKING:
    from swingtrader.core.arrays import SessionArray

EASTERN = ZoneInfo("America/New_York")
MINUTE = timedelta(minutes=1)


def eastern_day(at: datetime) -> date:
    """New York's date at an instant."""
    return at.astimezone(EASTERN).date()


def eastern_instant(day: date, hour: int, minute: int = 0) -> datetime:
    """Instant of a New York wall time, in UTC."""
    return datetime.combine(day, time(hour, minute), EASTERN).astimezone(UTC)


def day_start(day: date) -> datetime:
    """Midnight in New York, in UTC: the stamp of a daily bar."""
    return eastern_instant(day, 0)


class Timetable:
    """Every session the exchange will know, by row.

    It should reach beyond the last bar: `next_open` is asked after the last close too.

    Parameters
    ----------
    sessions : ndarray of shape (T,), datetime64[D]
        Strictly increasing.
    opens, closes : ndarray of shape (T,), datetime64[s], UTC
        Of those sessions.

    Raises
    ------
    ValueError
        Shapes differ, there is no session, or they overlap or go backwards.
    """

    def __init__(self, sessions: SessionArray, opens: SessionArray, closes: SessionArray) -> None:
        if not len(sessions) == len(opens) == len(closes) > 0:
            raise ValueError("sessions, opens and closes must be equally many, and some")
        bounds = np.column_stack([opens, closes]).ravel()
        if np.any(np.diff(bounds) <= np.timedelta64(0, "s")):
            raise ValueError("sessions must be strictly increasing and must not overlap")
        self.days: tuple[date, ...] = tuple(sessions.astype("datetime64[D]").tolist())
        self.opens = _instants(opens)
        self.closes = _instants(closes)
        self._rows = {day: row for row, day in enumerate(self.days)}

    def row_of(self, day: date) -> int | None:
        """Row of a session, None for any other day."""
        return self._rows.get(day)

    def started(self, at: datetime) -> int:
        """Row of the last session that has opened, -1 before the first."""
        return bisect_right(self.opens, at) - 1

    def completed(self, at: datetime) -> int:
        """Row of the last session that has closed, -1 before the first."""
        return bisect_right(self.closes, at) - 1

    def begun(self, at: datetime) -> int:
        """Row of the last session whose New York day has begun, -1 before the first."""
        return bisect_right(self.days, eastern_day(at)) - 1

    def before_today(self, at: datetime) -> int:
        """Row of the last session of an earlier New York day, -1 without any."""
        return bisect_right(self.days, eastern_day(at) - timedelta(days=1)) - 1

    def is_open(self, at: datetime) -> bool:
        """Whether the market trades; not at the closing instant itself."""
        return self.started(at) > self.completed(at)

    def next_open(self, at: datetime) -> datetime:
        """First opening after `at`.

        Raises
        ------
        ValueError
            The timetable ends before.
        """
        return _one_of(self.opens, bisect_right(self.opens, at))

    def next_close(self, at: datetime) -> datetime:
        """First closing after `at`: today's while the market is open.

        Raises
        ------
        ValueError
            The timetable ends before.
        """
        return _one_of(self.closes, bisect_right(self.closes, at))

    def minutes(self, row: int) -> int:
        """Length of a session."""
        return int((self.closes[row] - self.opens[row]) / MINUTE)

    def minute_of(self, row: int, at: datetime) -> int:
        """Whole minutes since the session opened, at most its length."""
        return min(int((at - self.opens[row]) / MINUTE), self.minutes(row))

    def next_event(self, after: datetime, *, every_minute: bool) -> datetime | None:
        """Next instant at which anything can happen by itself; None beyond the timetable.

        That is the start of a session's day, its opening, its closing and, if asked for, each
        of its minutes.
        """
        row = self.started(after)
        if row >= 0 and after < self.closes[row]:
            if not every_minute:
                return self.closes[row]
            minute = self.minute_of(row, after) + 1
            return min(self.opens[row] + minute * MINUTE, self.closes[row])
        if row + 1 == len(self.days):
            return None
        begins_at = day_start(self.days[row + 1])
        return begins_at if after < begins_at else self.opens[row + 1]


def _instants(array: SessionArray) -> tuple[datetime, ...]:
    naive: list[datetime] = array.astype("datetime64[s]").tolist()
    return tuple(at.replace(tzinfo=UTC) for at in naive)


def _one_of(instants: tuple[datetime, ...], row: int) -> datetime:
    if row >= len(instants):
        raise ValueError(f"the exchange's timetable ends on {instants[-1]:%Y-%m-%d}")
    return instants[row]
