"""New York's day: what a session is called, and where it begins.

An exchange's day is New York's. The program counts in UTC; only here, in timers and on screens
does the other clock appear.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from swingtrader.core.portfolio import MarketClock

NEW_YORK = ZoneInfo("America/New_York")


def in_new_york(at: datetime) -> datetime:
    """The same instant on New York's clock.

    Raises
    ------
    ValueError
        `at` is naive.
    """
    if at.utcoffset() is None:
        raise ValueError(f"must be an aware datetime, not {at.isoformat()}")
    return at.astimezone(NEW_YORK)


def new_york_date(at: datetime) -> date:
    """Day in New York at an instant, a session when anything was traded then; raises alike."""
    return in_new_york(at).date()


def start_of(day: date) -> datetime:
    """Midnight in New York, UTC: where a session's day begins, and the stamp of its bar."""
    return datetime.combine(day, time(), NEW_YORK).astimezone(UTC)


def session_at(clock: MarketClock) -> date:
    """Session that is open by the broker's clock, or the next one to open."""
    return new_york_date(clock.at if clock.is_open else clock.next_open)
