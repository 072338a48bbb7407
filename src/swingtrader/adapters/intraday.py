"""Intraday bars from Parquet or CSV files, checked like daily ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.adapters.bar_rows import (
    FIELDS,
    checked,
    content_sha256,
    pivoted,
    sorted_rows,
)
from swingtrader.adapters.calendar import session_closes, session_opens
from swingtrader.adapters.tables import instants, read_columns
from swingtrader.core.arrays import frozen
from swingtrader.errors import FileDataError

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from swingtrader.core.arrays import FloatArray, IntArray, SessionArray

INTRADAY_STEP_MINUTES = 5


@dataclass(frozen=True, eq=False)
class IntradaySession:
    """The intraday bars of one session: M times, N symbols.

    Attributes
    ----------
    minutes : ndarray of shape (M,), minutes after the session's open
        Where bars start, strictly increasing.
    symbols : tuple of str, length N
        Those with a bar in this session, strictly increasing.
    open, high, low, close : ndarray of shape (M, N), USD
        NaN where the symbol has no bar.
    volume : ndarray of shape (M, N), shares
        NaN where the symbol has no bar.
    """

    minutes: IntArray
    symbols: tuple[str, ...]
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray


@dataclass(frozen=True, eq=False)
class IntradayBars:
    """An intraday bars file that passed its checks: R bars in session, symbol, time order.

    Attributes
    ----------
    symbols : tuple of str, length N
        Strictly increasing.
    sessions : ndarray of shape (R,), datetime64[D]
    symbol_columns : ndarray of shape (R,)
        Index into `symbols`.
    minutes : ndarray of shape (R,), minutes after the session's open
        Where the bar starts; a multiple of 5.
    fields : ndarray of shape (5, R)
        Open, high, low, close in USD, volume in shares; no NaN.
    warnings : tuple of str
        What is odd about the file, one sentence a kind.
    sha256 : str
        Of all the above but the warnings.
    """

    symbols: tuple[str, ...]
    sessions: SessionArray
    symbol_columns: IntArray
    minutes: IntArray
    fields: FloatArray
    warnings: tuple[str, ...]
    sha256: str

    def session(self, session: date) -> IntradaySession:
        """Pivot one session; M = N = 0 where the file has no bar of it."""
        day = np.datetime64(session, "D")
        first, stop = (int(np.searchsorted(self.sessions, day, s)) for s in ("left", "right"))
        minutes, rows = np.unique(self.minutes[first:stop], return_inverse=True)
        present, columns = np.unique(self.symbol_columns[first:stop], return_inverse=True)
        shape = (len(minutes), len(present))
        return IntradaySession(
            frozen(minutes),
            tuple(self.symbols[n] for n in present),
            *(pivoted(values[first:stop], rows, columns, shape) for values in self.fields),
        )


def read_intraday_bars(path: Path, sessions: SessionArray) -> IntradayBars:
    """Read and check intraday bars within the regular hours of `sessions`.

    Parameters
    ----------
    path : Path
        Parquet or CSV (also gzipped) with columns ``symbol, ts, open, high, low, close,
        volume``, split-adjusted, in any row order. ``ts`` is where a bar starts; without a zone
        it is taken as UTC, and a warning says so.
    sessions : ndarray of shape (T,), datetime64[D]
        Increasing sessions of the exchange. Bars outside their regular hours, half-days
        included, are dropped with a warning.

    Returns
    -------
    IntradayBars

    Raises
    ------
    FileDataError
        As for `read_bars`; also where a bar starts at no multiple of 5 minutes after the open,
        or no bar lies within regular hours.
    ValueError
        `sessions` is empty or holds a day without session.
    """
    if not len(sessions):
        raise ValueError("no sessions to read intraday bars of")
    table = read_columns(path, ("symbol", "ts", *FIELDS))
    starts, naive = instants(path, table, "ts")
    rows = sorted_rows(path, table, starts)
    warnings = ["timestamps without a zone were taken as UTC"] if naive else []
    opens = session_opens(sessions)
    session_rows = np.maximum(np.searchsorted(opens, rows.times, side="right") - 1, 0)
    inside = (rows.times >= opens[0]) & (rows.times < session_closes(sessions)[session_rows])
    if not inside.any():
        raise FileDataError(path, "no bar lies within the regular hours of the sessions asked for")
    if not inside.all():
        warnings.append(rows.sentence(~inside, "outside regular hours dropped"))
        rows = rows.where(inside)
    rows, of_rows = checked(rows)

    session_rows = np.searchsorted(opens, rows.times, side="right") - 1
    since_open = rows.times - opens[session_rows]
    step = np.timedelta64(INTRADAY_STEP_MINUTES, "m")
    rows.refuse(
        since_open % step != np.timedelta64(0),
        lambda _: f"starts at no multiple of {INTRADAY_STEP_MINUTES} minutes after the open",
    )
    by_session = np.argsort(session_rows, kind="stable")
    days = np.asarray(sessions, dtype="datetime64[D]")[session_rows][by_session]
    columns = rows.columns[by_session]
    minutes = (since_open // np.timedelta64(1, "m"))[by_session]
    fields = rows.fields[:, by_session]
    return IntradayBars(
        rows.symbols,
        frozen(days),
        frozen(columns),
        frozen(minutes),
        frozen(fields),
        (*warnings, *of_rows),
        content_sha256(rows.symbols, (days, columns, minutes, fields)),
    )
