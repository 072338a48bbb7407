"""When the exchange trades: XNYS of exchange_calendars, as plain arrays.

Choices. One table covers 1950 to 2099, whatever is asked: the library's own bounds follow the
clock at import, so they would let today's date change a backtest, and building 150 years costs
some 0.02 s more than building one (most of the 0.15 s is fixed). The library pulls pandas, so it
is imported by the first question and not with this module.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.arrays import frozen, session_array

if TYPE_CHECKING:
    from swingtrader.core.arrays import BoolArray, IntArray, SessionArray

FIRST_DAY = date(1950, 1, 1)
LAST_DAY = date(2099, 12, 31)

LONGEST_BREAK = timedelta(days=15)
"""Longer than the exchange has been closed since 1933."""


@dataclass(frozen=True, eq=False)
class _Timetable:
    """Every session of the known years: days, and opening and closing instants in UTC."""

    sessions: SessionArray
    opens: SessionArray
    closes: SessionArray


@lru_cache(maxsize=1)
def _timetable() -> _Timetable:
    import exchange_calendars  # noqa: PLC0415 - pulls pandas, see the module's docstring

    with warnings.catch_warnings():
        # exchange_calendars 4.13 reads Series.values, which pandas 3.1 announces to change.
        warnings.filterwarnings("ignore", "Series.values returning", DeprecationWarning)
        xnys = exchange_calendars.get_calendar(
            "XNYS", start=FIRST_DAY.isoformat(), end=LAST_DAY.isoformat()
        )
    return _Timetable(
        frozen(np.asarray(xnys.sessions.values, dtype="datetime64[D]")),
        frozen(np.asarray(xnys.opens_nanos).view("datetime64[ns]").astype("datetime64[s]")),
        frozen(np.asarray(xnys.closes_nanos).view("datetime64[ns]").astype("datetime64[s]")),
    )


def sessions_between(start: date, end: date) -> SessionArray:
    """Sessions from `start` to `end`, both included.

    Returns
    -------
    ndarray of shape (T,), datetime64[D]
        Empty where no session lies between, or where `start` is after `end`.

    Raises
    ------
    ValueError
        `start` is before 1950 or `end` after 2099: the calendar is not known there.
    """
    if start < FIRST_DAY or end > LAST_DAY:
        raise ValueError(
            f"sessions are known from {FIRST_DAY} to {LAST_DAY}, not from {start} to {end}"
        )
    sessions = _timetable().sessions
    first = np.searchsorted(sessions, np.datetime64(start, "D"))
    stop = np.searchsorted(sessions, np.datetime64(end, "D"), side="right")
    return sessions[first:stop]


def session_before(day: date) -> date:
    """Last session before a day, which need not be a session itself.

    Raises
    ------
    ValueError
        It lies outside 1950 to 2099.
    """
    before = sessions_between(day - LONGEST_BREAK, day - timedelta(days=1))
    session: date = before[-1].item()
    return session


def session_after(day: date) -> date:
    """First session after a day, which need not be a session itself.

    Raises
    ------
    ValueError
        It lies outside 1950 to 2099.
    """
    after = sessions_between(day + timedelta(days=1), day + LONGEST_BREAK)
    session: date = after[0].item()
    return session


def is_session(day: date) -> bool:
    """Whether the exchange trades on `day`; False outside 1950 to 2099."""
    return bool(are_sessions(session_array([day]))[0])


def are_sessions(days: SessionArray) -> BoolArray:
    """Which of the days are sessions.

    Parameters
    ----------
    days : ndarray of shape (R,), datetime64[D]
        In any order, repeats allowed.

    Returns
    -------
    ndarray of shape (R,), bool
        False outside 1950 to 2099.
    """
    known = _timetable().sessions
    rows = np.minimum(np.searchsorted(known, days), len(known) - 1)
    return np.asarray(known[rows] == days)


def session_opens(sessions: SessionArray) -> SessionArray:
    """Give the opening instants.

    Parameters
    ----------
    sessions : ndarray of shape (T,), datetime64[D]

    Returns
    -------
    ndarray of shape (T,), datetime64[s], UTC

    Raises
    ------
    ValueError
        One of the days is no session.
    """
    return np.asarray(_timetable().opens[_rows(sessions)])


def session_closes(sessions: SessionArray) -> SessionArray:
    """Give the closing instants, early ones included.

    Parameters
    ----------
    sessions : ndarray of shape (T,), datetime64[D]

    Returns
    -------
    ndarray of shape (T,), datetime64[s], UTC

    Raises
    ------
    ValueError
        One of the days is no session.
    """
    return np.asarray(_timetable().closes[_rows(sessions)])


def _rows(sessions: SessionArray) -> IntArray:
    strangers = sessions[~are_sessions(sessions)]
    if strangers.size:
        raise ValueError(f"{strangers[0]} is no session of the exchange")
    return np.searchsorted(_timetable().sessions, sessions)
