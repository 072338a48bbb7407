"""Text of the screens that must appear at once: figures, ages and New York's time.

Kept from ``wording``, which imports numpy. What cannot be printed is replaced, never obeyed, and
every character has a plain stand-in for a terminal that does not speak UTF-8.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from swingtrader.core.new_york import in_new_york

if TYPE_CHECKING:
    from rich.text import Text

WIDEST = 100
"""Columns."""

UNKNOWN = "n/a"
MINUS = "\N{MINUS SIGN}"
DOT = "\N{MIDDLE DOT}"

_ASCII = str.maketrans({MINUS: "-", DOT: "-"})


def literal(content: str, encoding: str, style: str = "") -> Text:
    """`content` as nothing but text: neither markup nor control sequences."""
    from rich.text import Text  # noqa: PLC0415 - figures are written where nothing is shown

    shown = "".join(letter if letter.isprintable() else " " for letter in content)
    if not encoding.lower().startswith("utf"):
        shown = shown.translate(_ASCII).encode(encoding, "replace").decode(encoding)
    return Text(shown, style=style)


def number(value: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """`value` with thousands separators and a true minus; `UNKNOWN` for None."""
    if value is None:
        return UNKNOWN
    rounded = round(value, digits) + 0.0  # no "-0.0"
    return f"{rounded:{'+' if signed and rounded else ''},.{digits}f}".replace("-", MINUS)


def percent(fraction: float | None, digits: int = 1, *, signed: bool = False) -> str:
    """`fraction` as a percentage; `UNKNOWN` for None."""
    if fraction is None:
        return UNKNOWN
    return number(100 * fraction, digits, signed=signed) + "%"


def shares(qty: float | None) -> str:
    """A quantity with as many decimals as it has, four at most; `UNKNOWN` for None."""
    if qty is None:
        return UNKNOWN
    return f"{qty:,.4f}".rstrip("0").rstrip(".").replace("-", MINUS)


def instant(text: str | None) -> datetime | None:
    """Read an instant of a report; None for None."""
    return None if text is None else datetime.fromisoformat(text)


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago, in the largest whole unit; a clock slightly ahead counts as now."""
    return "never" if at is None else f"{_span(max(now - at, timedelta()))} ago"


def ahead(at: datetime, now: datetime) -> str:
    """How far ahead; an instant that has passed is due."""
    return f"in {_span(at - now)}" if at > now else "due"


def new_york_time(at: datetime) -> str:
    """Weekday, day and time in New York, such as ``Mon 2026-11-23 09:30``."""
    return f"{in_new_york(at):%a %Y-%m-%d %H:%M}"


def _span(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    if seconds < 48 * 3600:
        return f"{seconds // 3600} h"
    return f"{seconds // 86_400} days"
