"""Headlines from Parquet or CSV files, cleaned of what a stranger may have put into them.

Choices. A headline is data, never text of ours: entities are resolved once, anything that could
steer a terminal or reverse a line becomes a space, its length is capped, and no error quotes it.
Rows are sorted by all they hold, so the order of a file changes no result.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from swingtrader.adapters.tables import instants, read_columns, texts
from swingtrader.core.arrays import frozen
from swingtrader.errors import FileDataError

if TYPE_CHECKING:
    from pathlib import Path

    from swingtrader.core.arrays import SessionArray

MAX_HEADLINE_CHARACTERS = 500

# White space, control characters, and the invisible ones that join, part or reverse text.
_BLANK = re.compile(r"[\s\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]+")
_BETWEEN_SYMBOLS = re.compile(r"[,;\s\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, eq=False)
class News:
    """R headlines by time, then symbols, then text.

    Attributes
    ----------
    published_at : ndarray of shape (R,), datetime64[us], UTC
        Increasing, with repeats; not rounded, so that none is known too early.
    symbols : tuple of tuple of str, length R
        Sorted, without repeats; empty where the file names none.
    headlines : tuple of str, length R
        Cleaned, never empty, at most 500 characters.
    warnings : tuple of str
        What is odd about the file, one sentence a kind.
    """

    published_at: SessionArray
    symbols: tuple[tuple[str, ...], ...]
    headlines: tuple[str, ...]
    warnings: tuple[str, ...]


def read_news(path: Path) -> News:
    """Read headlines.

    Parameters
    ----------
    path : Path
        Parquet or CSV (also gzipped) with columns ``ts, symbols, headline``. ``ts`` without a
        zone is taken as UTC, and a warning says so. ``symbols`` is a list, or text separated by
        commas, semicolons or spaces. Rows without headline are dropped with a warning; rows that
        agree in all three, once cleaned, count once.

    Returns
    -------
    News

    Raises
    ------
    FileDataError
        The file cannot be read, lacks a column, has no headline at all, or a timestamp that is
        none; the message names the row and quotes nothing from it.
    """
    table = read_columns(path, ("ts", "symbols", "headline"), quote=False)
    published_at, naive = instants(path, table, "ts", quote=False)
    headlines = [_cleaned(text or "") for text in texts(path, table, "headline")]
    symbols = _symbols(path, table)
    rows = list(zip(published_at.tolist(), symbols, headlines, strict=True))
    kept = [row for row in rows if row[2]]
    if not kept:
        raise FileDataError(path, "has no headline in any row")
    distinct = sorted(set(kept))
    counts = {
        "without headline dropped": len(rows) - len(kept),
        "repeated identically and dropped": len(kept) - len(distinct),
    }
    warnings = [
        f"{count:,} {'row' if count == 1 else 'rows'} {what}"
        for what, count in counts.items()
        if count
    ]
    if naive:
        warnings.append("timestamps without a zone were taken as UTC")
    return News(
        frozen(np.array([row[0] for row in distinct], dtype="datetime64[us]")),
        tuple(row[1] for row in distinct),
        tuple(row[2] for row in distinct),
        tuple(warnings),
    )


def _cleaned(text: str) -> str:
    line = _BLANK.sub(" ", html.unescape(text)).strip()
    return line[:MAX_HEADLINE_CHARACTERS].rstrip()


def _symbols(path: Path, table: pa.Table) -> list[tuple[str, ...]]:
    kind = table["symbols"].type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return [_split(text or "") for text in texts(path, table, "symbols")]
    lists: list[list[Any] | None] = table["symbols"].to_pylist()
    return [_split(" ".join(str(item or "") for item in items or ())) for items in lists]


def _split(text: str) -> tuple[str, ...]:
    return tuple(sorted({symbol for symbol in _BETWEEN_SYMBOLS.split(text) if symbol}))
