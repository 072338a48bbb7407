"""Columns of Parquet and CSV files, as other people write them.

pyarrow reads; symbols, dates and timestamps are parsed once per distinct value, so that millions
of rows cost no Python loop. Every refusal names the file, the column and the row.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from swingtrader.core.new_york import in_new_york
from swingtrader.errors import FileDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from swingtrader.core.arrays import FloatArray, IntArray, SessionArray

_MAX_SHOWN = 60  # characters of a stranger's text in one of our messages
_RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")

ValueT = TypeVar("ValueT")


def read_columns(path: Path, names: Sequence[str], *, quote: bool = True) -> pa.Table:
    """Read some columns of a Parquet or CSV file, told apart by content.

    Parameters
    ----------
    path : Path
    names : sequence of str
        Columns wanted. Those of a CSV are given as text.
    quote : bool
        Whether an error may quote the file; a missing header makes a row of text the header.

    Raises
    ------
    FileDataError
        The file is missing, empty, damaged, of another format, or lacks a column.
    """

    def check(found: Sequence[str]) -> None:
        missing = [name for name in names if name not in found]
        if missing:
            listed = f" (found: {_clipped(', '.join(found), 200)})" if quote else ""
            raise FileDataError(path, f"has no column {', '.join(missing)}{listed}")
        twice = [name for name in names if list(found).count(name) > 1]
        if twice:
            raise FileDataError(path, f"has two columns {twice[0]}")

    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if not magic:
            raise FileDataError(path, "is empty")
        if magic == b"PAR1" or path.suffix.lower() in {".parquet", ".pq"}:
            table = _parquet_columns(path, names, check)
        else:
            table = _csv_columns(path, names, check, gzipped=magic.startswith(b"\x1f\x8b"))
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise FileDataError(path, _reason(error, quote=quote)) from (error if quote else None)
    if not table.num_rows:
        raise FileDataError(path, "has a header but no rows")
    return table


def _parquet_columns(path: Path, names: Sequence[str], check: Callable[..., None]) -> pa.Table:
    with pq.ParquetFile(path) as file:
        check(file.schema_arrow.names)
        return file.read(columns=list(names))


def _csv_columns(
    path: Path, names: Sequence[str], check: Callable[..., None], *, gzipped: bool
) -> pa.Table:
    compression = "gzip" if gzipped else None
    read_options = pa.csv.ReadOptions(use_threads=False)  # as fast here, and numbers the rows
    parse_options = pa.csv.ParseOptions(newlines_in_values=True)
    with pa.input_stream(path, compression=compression) as stream:
        check(pa.csv.open_csv(stream, read_options, parse_options).schema.names)
    with pa.input_stream(path, compression=compression) as stream:
        return pa.csv.read_csv(
            stream,
            read_options,
            parse_options,
            # As text: type inference would take the symbol NA for a missing value.
            pa.csv.ConvertOptions(
                include_columns=names, column_types=dict.fromkeys(names, pa.string())
            ),
        )


def _reason(error: Exception, *, quote: bool) -> str:
    """Say why a file cannot be read, in one line; pyarrow may quote the file in its own words."""
    ragged = _RAGGED.search(str(error))
    if ragged:
        line, expected, found = (int(number) for number in ragged.groups())
        return f"row {line - 1} has {found} columns, not {expected}"
    if isinstance(error, UnicodeDecodeError):
        return "is not UTF-8 text"
    said = getattr(error, "strerror", None) or (str(error) if quote else "damaged")
    return f"cannot be read: {_clipped(said, 200)}"


def instants(
    path: Path, table: pa.Table, name: str, *, quote: bool = True
) -> tuple[SessionArray, bool]:
    """Instants of a column of timestamps or ISO strings.

    Parameters
    ----------
    path, table
        The file, for the error, and R rows read from it.
    name : str
        The column.
    quote : bool
        Whether an error may quote the offending value.

    Returns
    -------
    ndarray of shape (R,), datetime64[us], UTC
    bool
        Whether some had no zone and were taken as UTC.

    Raises
    ------
    FileDataError
        A value is missing or no instant; the message names column, row and value.
    """
    codes, moments = resolved(path, table, name, _moment, "timestamp", quote=quote)
    utc = [m.astimezone(UTC).replace(tzinfo=None) if m.tzinfo else m for m in moments]
    naive = any(m.tzinfo is None for m in moments)
    return np.array(utc, dtype="datetime64[us]")[codes], naive


def texts(path: Path, table: pa.Table, name: str) -> list[str | None]:
    """Values of a text column, dictionary-encoded or not.

    Raises
    ------
    FileDataError
        The column holds something else, or text that is not UTF-8.
    """
    column = _plain(table[name])
    if not (_is_text(column.type) or pa.types.is_null(column.type)):
        raise FileDataError(path, f"column {name} holds {column.type}, not text")
    try:
        values: list[str | None] = column.to_pylist()
    except UnicodeDecodeError:
        raise FileDataError(path, f"column {name} is not UTF-8 text") from None  # it quotes
    return values


def _plain(column: pa.ChunkedArray) -> pa.Array:
    """One array, without dictionary encoding, all kinds of text as one."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if _is_text(kind):
        kind = pa.large_string()
    return column.cast(kind).combine_chunks()


def _is_text(kind: pa.DataType) -> bool:
    return any(
        is_kind(kind)
        for is_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    )


def resolved(
    path: Path,
    table: pa.Table,
    name: str,
    resolve: Callable[[Any], ValueT | None],
    expected: str,
    *,
    quote: bool = True,
) -> tuple[IntArray, list[ValueT]]:
    """Resolve each distinct value of a column; codes of shape (R,) index the results."""
    column = _plain(table[name])
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    encoded = column.dictionary_encode()
    codes = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy()
    try:
        distinct = [*encoded.dictionary.to_pylist(), None]
    except (ValueError, OverflowError, LookupError) as error:
        message = f"column {name} holds a value that is no {expected}"
        raise FileDataError(path, message) from (error if quote else None)
    resolved = [None if value is None else resolve(value) for value in distinct]
    wrong = np.array([value is None for value in resolved])[codes]
    if wrong.any():
        row = int(wrong.argmax())
        value = f" {_clipped(str(distinct[codes[row]]))!r}" if quote else ""
        raise FileDataError(path, f"column {name}, row {row + 1}:{value} is no {expected}")
    return codes, [value for value in resolved[:-1] if value is not None]


def _moment(value: object) -> datetime | None:
    """Date and time of a cell, in the zone it came with, if any."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time.min)
    # The outermost years cannot be carried to another zone.
    return value if isinstance(value, datetime) and 1 < value.year < 9999 else None


def day_of(value: object) -> date | None:
    """Day of a cell that is a date, or a midnight in its own zone or in New York."""
    moment = _moment(value)
    if moment is not None and moment.tzinfo and moment.time() != time.min:
        moment = in_new_york(moment)
    return moment.date() if moment is not None and moment.time() == time.min else None


def symbol_name(value: object) -> str | None:
    """A symbol without the white space around it; None for what is none."""
    name = value.strip() if isinstance(value, str) else ""
    return name if name and name.isprintable() else None


def numbers(path: Path, table: pa.Table, name: str) -> FloatArray:
    """Numbers of a column, shape (R,); NaN where null or blank."""
    column = _plain(table[name])
    kind = column.type
    if _is_text(kind):
        column = pc.utf8_trim_whitespace(column)
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, kind), column)
    elif not any(
        is_kind(kind)
        for is_kind in (
            pa.types.is_integer,
            pa.types.is_floating,
            pa.types.is_decimal,
            pa.types.is_null,
        )
    ):
        raise FileDataError(path, f"column {name} holds {kind}, not numbers")
    try:
        column = column.cast(pa.float64(), safe=False)
    except pa.ArrowInvalid as error:
        raise FileDataError(path, f"column {name}: {_clipped(str(error), 120)}") from error
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _clipped(text: str, length: int = _MAX_SHOWN) -> str:
    """`text` on one line, of at most `length` characters, safe for a terminal."""
    line = "".join(c if c.isprintable() else " " for c in text[: length + 1])
    return line if len(text) <= length else line[: length - 1] + "…"
