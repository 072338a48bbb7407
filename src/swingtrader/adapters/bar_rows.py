"""Bars as rows, daily or intraday: put in order, checked once, and believed after.

What cannot be true (a high below the low, a price of zero, two different bars of one symbol and
time) is refused at its first row, because any repair would be a guess that the backtest then
trades on. What is merely odd is said in one warning a kind.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from swingtrader.adapters.tables import numbers, resolved, symbol_name
from swingtrader.core.arrays import frozen
from swingtrader.errors import FileDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from swingtrader.core.arrays import BoolArray, FloatArray, IntArray, SessionArray

FIELDS = ("open", "high", "low", "close", "volume")
OPEN, HIGH, LOW, CLOSE, VOLUME = range(5)

ROUNDING = 1e-6
"""How far, relative to the range's edge, an adjusted open or close may round out of the range."""

EXAMPLES = 3
"""Rows that a warning quotes."""


@dataclass(frozen=True, eq=False)
class BarRows:
    """R bars in symbol and time order.

    `columns` (R,) index `symbols`, each of which occurs; `times` (R,) are days or instants;
    `fields` is (5, R).
    """

    path: Path
    symbols: tuple[str, ...]
    columns: IntArray
    times: SessionArray
    fields: FloatArray

    def where(self, wanted: BoolArray) -> BarRows:
        """Return the rows marked in `wanted`, and their symbols only."""
        columns = self.columns[wanted]
        occurs = np.bincount(columns, minlength=len(self.symbols)) > 0
        return replace(
            self,
            symbols=tuple(s for s, kept in zip(self.symbols, occurs, strict=True) if kept),
            columns=(np.cumsum(occurs) - 1)[columns],
            times=self.times[wanted],
            fields=self.fields[:, wanted],
        )

    def of_index(self) -> BoolArray:
        """Which rows belong to an index such as ^VIX, which nobody can trade."""
        return np.array([symbol.startswith("^") for symbol in self.symbols])[self.columns]

    def named(self, row: int) -> tuple[str, str]:
        """Symbol and time of a row, for a reader."""
        instant = self.times.dtype != "datetime64[D]"
        text = np.datetime_as_string(self.times[row], unit="s" if instant else "D")
        return self.symbols[self.columns[row]], f"{text}Z" if instant else str(text)

    def refuse(self, wrong: BoolArray, what: Callable[[int], str]) -> None:
        """Raise FileDataError at the first wrong row, if any; `what` describes a row."""
        if not wrong.any():
            return
        first = int(wrong.argmax())
        symbol, when = self.named(first)
        others = int(wrong.sum()) - 1
        more = f" (and {others:,} more)" if others else ""
        raise FileDataError(self.path, what(first) + more, symbol=symbol, date=when)

    def sentence(
        self, odd: BoolArray, what: str, remark: Callable[[int], str] = lambda _: ""
    ) -> str:
        """Say how many rows are odd, with up to three examples."""
        examples = [
            " ".join(self.named(row)) + remark(row) for row in np.flatnonzero(odd)[:EXAMPLES]
        ]
        return sentence_of(int(odd.sum()), what, examples)


def pivoted(
    values: FloatArray, rows: IntArray, columns: IntArray, shape: tuple[int, int]
) -> FloatArray:
    """One field as an array of `shape`, NaN where there is no bar."""
    field = np.full(shape, np.nan)
    field[rows, columns] = values
    return frozen(field)


def content_sha256(symbols: Sequence[str], arrays: Sequence[NDArray[Any]]) -> str:
    """Hash names and arrays as little-endian 64-bit bytes, whatever the machine."""
    digest = hashlib.sha256("\0".join(symbols).encode())
    for array in arrays:
        numbers = array.astype(np.int64) if array.dtype.kind in "mM" else array
        digest.update(np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def sentence_of(count: int, what: str, examples: Sequence[str]) -> str:
    """Say how many rows are odd, with examples."""
    more = ", …" if count > len(examples) else ""
    return f"{count:,} {'row' if count == 1 else 'rows'} {what}: {', '.join(examples)}{more}"


def sorted_rows(path: Path, table: pa.Table, times: SessionArray) -> BarRows:
    """Bars of a table in symbol and time order, unchecked."""
    codes, names = resolved(path, table, "symbol", symbol_name, "symbol")
    symbols = tuple(sorted(set(names)))
    position = {symbol: n for n, symbol in enumerate(symbols)}
    columns = np.array([position[name] for name in names])[codes]
    fields = np.stack([numbers(path, table, name) for name in FIELDS])
    fields[VOLUME] += 0.0  # minus zero and zero are one value, so they must hash alike

    same_symbol = columns[1:] == columns[:-1]
    in_order = np.where(same_symbol, times[1:] >= times[:-1], columns[1:] > columns[:-1])
    if not in_order.all():
        order = np.lexsort((times, columns))
        columns, times, fields = columns[order], times[order], fields[:, order]
    return BarRows(path, symbols, columns, times, fields)


def checked(rows: BarRows) -> tuple[BarRows, list[str]]:
    """Refuse what cannot be true, collapse identical rows, and warn of what is odd."""
    bad_price = ~(np.isfinite(rows.fields[:VOLUME]) & (rows.fields[:VOLUME] > 0))

    def price_fault(row: int) -> str:
        field = int(bad_price[:, row].argmax())
        return f"{FIELDS[field]} is {rows.fields[field, row]:g}, not a positive price"

    rows.refuse(np.any(bad_price, axis=0), price_fault)
    volume = rows.fields[VOLUME]
    rows.refuse(
        ~(np.isfinite(volume) & (volume >= 0)),
        lambda row: f"volume is {volume[row]:g}, not a number of shares",
    )
    high, low = rows.fields[HIGH], rows.fields[LOW]
    rows.refuse(high < low, lambda row: f"high {high[row]} is below low {low[row]}")
    rows, warnings = _without_repeats(rows)

    ends = rows.fields[[OPEN, CLOSE]]
    above = ends / (1 + ROUNDING) > rows.fields[HIGH]
    below = ends < rows.fields[LOW] * (1 - ROUNDING)
    outside = (above | below).any(axis=0)
    if outside.any():
        warnings.append(rows.sentence(outside, "with open or close outside low to high"))
    untraded = (rows.fields[VOLUME] == 0) & ~rows.of_index()
    if untraded.any():
        warnings.append(rows.sentence(untraded, "with zero volume"))
    return rows, warnings


def _without_repeats(rows: BarRows) -> tuple[BarRows, list[str]]:
    repeat = np.zeros(len(rows.times), dtype=bool)
    repeat[1:] = (np.diff(rows.columns) == 0) & (rows.times[1:] == rows.times[:-1])
    if not repeat.any():
        return rows, []
    differs = np.zeros(len(rows.times), dtype=bool)
    differs[1:] = (rows.fields[:, 1:] != rows.fields[:, :-1]).any(axis=0)
    rows.refuse(repeat & differs, lambda _: "has two different bars")
    return rows.where(~repeat), [rows.sentence(repeat, "repeated identically and dropped")]
