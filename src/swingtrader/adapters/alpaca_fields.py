"""Single fields of the broker's JSON: the value, or None.

The client's own models refuse a whole answer over one new word or one missing field. Here every
field stands for itself: what is absent, null, of another type or not a sensible value reads as
None, and whoever needs the field says so with `required`. Fields that we do not know are ignored.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from swingtrader.errors import BrokerUnreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    Row = Mapping[str, Any]

ValueT = TypeVar("ValueT")

# Decimal itself also takes Infinity, underscores, other scripts' digits, and an exponent with
# which the next multiplication would fill the memory.
_NUMBER = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,2})?", re.ASCII)


def decimal(row: Row, name: str) -> Decimal | None:
    """Read a finite number, written as text or as a JSON number."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        text = str(value).strip()
    except ValueError:  # an integer of thousands of digits
        return None
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def positive(row: Row, name: str) -> Decimal | None:
    """Read a number above 0: a price or a quote, of which the broker's 0 means none."""
    value = decimal(row, name)
    return value if value is not None and value > 0 else None


def text(row: Row, name: str) -> str | None:
    """Read text that is not blank."""
    value = row.get(name)
    return value if isinstance(value, str) and value.strip() else None


def flag(row: Row, name: str) -> bool | None:
    """Read true or false; neither 1 nor "true" is one."""
    value = row.get(name)
    return value if isinstance(value, bool) else None


def instant(row: Row, name: str) -> datetime | None:
    """Read an RFC 3339 instant, as UTC; what lies beyond microseconds is cut off, not rounded.

    One without an offset reads as None: we do not guess whose wall clock it was.
    """
    value = text(row, name)
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
        return None if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def day(row: Row, name: str) -> date | None:
    """Read a day, also where a time of day follows it."""
    value = text(row, name)
    if value is None:
        return None
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        return None


def written(at: datetime) -> str:
    """Write an instant as the broker reads it. ValueError for a naive one."""
    if at.tzinfo is None:
        raise ValueError("an instant must carry its time zone")
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def required(value: ValueT | None, asked: str, what: str) -> ValueT:
    """Return `value`, without which the answer says nothing.

    Parameters
    ----------
    asked : str
        Method and path that it answers.
    what : str
        Which field of what, such as "next_open of the clock".

    Raises
    ------
    BrokerUnreachable
        It is None.
    """
    if value is None:
        raise BrokerUnreachable(asked, f"{what} is missing or malformed")
    return value
