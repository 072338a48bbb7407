"""Headlines from Parquet or CSV files, cleaned of what a stranger may have put into them.

Choices. A headline is data, never text of ours: entities are resolved once, anything that could
steer a terminal or reverse a line becomes a space, its length is capped, and no error quotes it.
Rows are sorted by all they hold, so the order of a file changes no result.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from swingtrader.adapters.tables import instants, read_columns, texts
from swingtrader.core.arrays import frozen
from swingtrader.errors import FileDataError
from swingtrader.files import atomic_write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from swingtrader.core.arrays import SessionArray

MAX_HEADLINE_CHARACTERS = 500

# White space, control characters, the invisible ones that join, part or reverse text, and halves
# of characters, which JSON can carry and UTF-8 cannot.
_BLANK = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ud800-\udfff]+"
)
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
    headlines = [cleaned_headline(text or "") for text in texts(path, table, "headline")]
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


def write_news(path: Path, headlines: Iterable[tuple[datetime, Sequence[str], str]]) -> None:
    """Write headlines as Parquet: complete, or as the file was before.

    Parameters
    ----------
    path : Path
    headlines : iterable of (datetime, sequence of str, str)
        Published at (aware), symbols, cleaned text; at least one, or the file is none that
        `read_news` accepts. Rows are written by time, then text. Ampersands are written as
        entities, which `read_news` resolves: what is read and written again does not change.

    Raises
    ------
    ConfigurationError
        The file cannot be written.
    """
    rows = sorted((at, text, tuple(symbols)) for at, symbols, text in headlines)
    table = pa.table(
        {
            "ts": pa.array([at for at, _, _ in rows], pa.timestamp("us", "UTC")),
            "symbols": pa.array([symbols for _, _, symbols in rows], pa.list_(pa.string())),
            "headline": pa.array([text.replace("&", "&amp;") for _, text, _ in rows], pa.string()),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    atomic_write_bytes(path, sink.getvalue().to_pybytes())


class NewsCache:
    """A headlines file that grows answer by answer; rows that agree in time and text are one.

    Parameters
    ----------
    path : Path
        Where `write` puts it.
    news : News, optional
        What the file holds; None where there is none.
    """

    def __init__(self, path: Path, news: News | None) -> None:
        self._path = path
        self._written: dict[tuple[datetime, str], frozenset[str]] = {}
        if news is not None:
            rows = zip(news.published_at.tolist(), news.symbols, news.headlines, strict=True)
            for at, symbols, text in rows:
                story = at.replace(tzinfo=UTC), text
                self._written[story] = self._written.get(story, frozenset()).union(symbols)
        self._stories = dict(self._written)

    @property
    def latest_at(self) -> datetime | None:
        """When the latest headline was published."""
        return max((at for at, _ in self._stories), default=None)

    @property
    def symbols(self) -> frozenset[str]:
        """All symbols that some headline names."""
        return frozenset[str]().union(*self._stories.values())

    def add(self, at: datetime, symbols: Iterable[str], text: str) -> None:
        """Take a headline, raw; it is cleaned, and forgotten if nothing is left of it."""
        if line := cleaned_headline(text):
            story = at.astimezone(UTC), line
            self._stories[story] = self._stories.get(story, frozenset()).union(symbols)

    def write(self, since: datetime) -> int:
        """Write what was published from `since` on; return how many headlines are new."""
        kept = {story: named for story, named in self._stories.items() if story[0] >= since}
        if kept and kept != self._written:
            rows = ((at, sorted(named), text) for (at, text), named in kept.items())
            write_news(self._path, rows)
        return len(kept.keys() - self._written.keys())


def cleaned_headline(text: str) -> str:
    """One line of at most 500 characters, entities resolved; empty where nothing is left."""
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
