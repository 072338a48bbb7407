"""Daily bars from Parquet or CSV files.

pyarrow reads and NumPy pivots. The hash is of the panel and not of the file: sorting, format and
extra columns change no result, so they do not change the hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from swingtrader.adapters.bar_rows import (
    CLOSE,
    EXAMPLES,
    FIELDS,
    BarRows,
    checked,
    content_sha256,
    pivoted,
    sentence_of,
    sorted_rows,
)
from swingtrader.adapters.calendar import are_sessions, sessions_between
from swingtrader.adapters.tables import day_of, read_columns, resolved
from swingtrader.core.arrays import session_array
from swingtrader.core.market import Panel
from swingtrader.files import atomic_write_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from pathlib import Path

    from swingtrader.core.arrays import FloatArray, IntArray, SessionArray

LARGE_MOVE = 0.40
"""A close-to-close move beyond this is rarely news and often a split that was not adjusted."""

MAX_STRAY_FRACTION = 0.001
"""From this share of rows on days without session, the file is of another exchange or broken."""


@dataclass(frozen=True, eq=False)
class Bars:
    """A daily bars file that passed its checks.

    Attributes
    ----------
    panel : Panel
        Every session between the file's first and last; NaN where a symbol has no bar.
    warnings : tuple of str
        What is odd about the file, one sentence a kind.
    sha256 : str
        `panel_sha256` of the panel.
    """

    panel: Panel
    warnings: tuple[str, ...]
    sha256: str


def read_bars(path: Path) -> Bars:
    """Read and check daily bars.

    Parameters
    ----------
    path : Path
        Parquet or CSV (also gzipped) with columns ``symbol, date, open, high, low, close,
        volume``, split-adjusted, in any row order. Dates are days, ISO strings, or midnights,
        in their own zone or in New York.

    Returns
    -------
    Bars

    Raises
    ------
    FileDataError
        The file cannot be read, lacks a column, or holds something that cannot be true; the
        message names the first such bar in symbol and date order, and how many more there are.
    """
    rows, of_strays = _without_strays(_daily_rows(path))
    rows, of_rows = checked(rows)
    sessions = sessions_between(rows.times.min().item(), rows.times.max().item())
    session_rows = np.searchsorted(sessions, rows.times)
    of_series = _large_moves(rows, session_rows) + _gaps(rows, session_rows, sessions)
    shape = (len(sessions), len(rows.symbols))
    panel = Panel(
        sessions,
        rows.symbols,
        *(pivoted(values, session_rows, rows.columns, shape) for values in rows.fields),
    )
    warnings = (*of_strays, *of_rows, *of_series, *_unusual_names(panel.symbols))
    return Bars(panel, warnings, panel_sha256(panel))


def write_bars(panel: Panel, path: Path) -> None:
    """Write daily bars as Parquet: complete, or as the file was before.

    Rows come in symbol and date order, none where the symbol has no bar. Reading back gives the
    same panel, less symbols and outer sessions that have no bar at all.

    Raises
    ------
    ConfigurationError
        The file cannot be written.
    """
    columns, session_rows = np.nonzero(panel.traded.T)
    names = pa.array(panel.symbols, pa.string())
    table = pa.table(
        {
            "symbol": pa.DictionaryArray.from_arrays(pa.array(columns, pa.int32()), names),
            "date": pa.array(panel.sessions[session_rows]),
            **{name: getattr(panel, name)[session_rows, columns] for name in FIELDS},
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    atomic_write_bytes(path, sink.getvalue().to_pybytes())


def merged_bars(older: Panel, newer: Panel) -> Panel:
    """Bars of both panels; where both have one, the newer's."""
    sessions = np.union1d(older.sessions, newer.sessions)
    symbols = tuple(sorted({*older.symbols, *newer.symbols}))
    place = {symbol: column for column, symbol in enumerate(symbols)}

    def field(name: str) -> FloatArray:
        values = np.full((len(sessions), len(symbols)), np.nan)
        for panel in (older, newer):
            rows, columns = np.nonzero(panel.traded)
            target = np.array([place[symbol] for symbol in panel.symbols], dtype=np.int64)
            there = np.searchsorted(sessions, panel.sessions)[rows], target[columns]
            values[there] = getattr(panel, name)[rows, columns]
        return values

    return Panel(sessions, symbols, *(field(name) for name in FIELDS))


class BarCache:
    """A bars file that grows answer by answer.

    Parameters
    ----------
    path : Path
        Written, complete or not at all, whenever an answer changes something.
    panel : Panel, optional
        What the file holds; None where there is none.

    Attributes
    ----------
    panel : Panel
    added : int
        Bars it did not have before, so far.
    """

    def __init__(self, path: Path, panel: Panel | None) -> None:
        nothing = Panel(session_array([]), (), *(np.empty((0, 0)) for _ in FIELDS))
        self._path = path
        self.panel = panel or nothing
        self.added = 0

    def span(self, symbol: str) -> tuple[date, date] | None:
        """First and last session of a symbol, None without any bar."""
        column = self.panel.column(symbol)
        if column is None:
            return None
        sessions = self.panel.sessions[self.panel.traded[:, column]].tolist()
        return sessions[0], sessions[-1]

    def add(self, answer: Panel) -> None:
        """Keep an answer; where the cache has a bar already, the answer's takes its place."""
        self._keep(self.panel, answer)

    def replace(self, answer: Panel) -> None:
        """Keep an answer in place of all that the cache has of its symbols."""
        others = [symbol for symbol in self.panel.symbols if symbol not in answer.symbols]
        self._keep(self.panel.select(others), answer)

    def _keep(self, older: Panel, answer: Panel) -> None:
        known = int(self.panel.traded.sum())
        self.added += int(merged_bars(self.panel, answer).traded.sum()) - known
        merged = merged_bars(older, answer)
        if panel_sha256(merged) != panel_sha256(self.panel):
            write_bars(merged, self._path)
        self.panel = merged


def panel_sha256(panel: Panel) -> str:
    """SHA-256 of symbols, sessions and the five fields, independent of any file's layout."""
    return content_sha256(panel.symbols, (panel.sessions, *(getattr(panel, f) for f in FIELDS)))


def _daily_rows(path: Path) -> BarRows:
    table = read_columns(path, ("symbol", "date", *FIELDS))  # ends here: as large as the rows
    codes, days = resolved(path, table, "date", day_of, "date")
    return sorted_rows(path, table, np.array(days, dtype="datetime64[D]")[codes])


def _without_strays(rows: BarRows) -> tuple[BarRows, list[str]]:
    """Drop rows on days without session where they are few, with a warning; else refuse."""
    stray = ~are_sessions(rows.times)
    if not stray.any():
        return rows, []
    if stray.sum() >= MAX_STRAY_FRACTION * len(stray):
        rows.refuse(stray, lambda _: "is no session of the New York exchange")
    return rows.where(~stray), [rows.sentence(stray, "on days without session dropped")]


def _unusual_names(symbols: Sequence[str]) -> list[str]:
    """Symbols that no universe will know, because they are compared as they are written."""
    lower = [symbol for symbol in symbols if symbol != symbol.upper()]
    if not lower:
        return []
    more = ", …" if len(lower) > EXAMPLES else ""
    named = f"{', '.join(lower[:EXAMPLES])}{more}"
    return [f"symbols with small letters, which are others than in capitals: {named}"]


def _large_moves(rows: BarRows, session_rows: IntArray) -> list[str]:
    close = rows.fields[CLOSE]
    large = np.zeros(len(close), dtype=bool)
    next_session = (np.diff(rows.columns) == 0) & (np.diff(session_rows) == 1)
    large[1:] = next_session & (np.abs(np.diff(close)) > LARGE_MOVE * close[:-1])
    large &= ~rows.of_index()
    if not large.any():
        return []

    def move(row: int) -> str:
        return f" {close[row].item() / close[row - 1].item() - 1:+.1%}"

    return [rows.sentence(large, f"with a one-day move over {LARGE_MOVE:.0%}", move)]


def _gaps(rows: BarRows, session_rows: IntArray, sessions: SessionArray) -> list[str]:
    """Sessions missing inside a symbol's span, and those missing for every symbol."""
    skipped = np.diff(session_rows) - 1
    after = np.flatnonzero((np.diff(rows.columns) == 0) & (skipped > 0))
    if not after.size:
        return []
    examples = [
        f"{rows.symbols[rows.columns[row]]} {sessions[session_rows[row] + 1]}"
        for row in after[:EXAMPLES]
    ]
    symbols = len(np.unique(rows.columns[after]))
    within = f"missing inside the span of {symbols:,} {'symbol' if symbols == 1 else 'symbols'}"
    sentence = sentence_of(int(skipped[after].sum()), f"{within} (gaps)", examples)
    nobody = sessions[np.bincount(session_rows, minlength=len(sessions)) == 0]
    if nobody.size:
        more = ", …" if nobody.size > EXAMPLES else ""
        listed = ", ".join(str(session) for session in nobody[:EXAMPLES])
        sentence += (
            f"; no symbol at all has a bar on {nobody.size:,} of the sessions: {listed}{more}"
        )
    return [sentence]
