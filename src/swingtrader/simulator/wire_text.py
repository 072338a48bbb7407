"""How numbers and instants are written and read on the wire.

Money and quantities are strings without exponent; market data are JSON numbers. An instant is
UTC with a Z, except on the clock, which speaks New York time with nine decimals.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from swingtrader.simulator.clock import EASTERN, day_start

if TYPE_CHECKING:
    from decimal import Decimal

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def decimal_text(value: Decimal) -> str:
    """All digits, no exponent, no trailing zeros."""
    return format(value.normalize(), "f") if value else "0"


def optional_text(value: Decimal | None) -> str | None:
    """Like `decimal_text`, None for None."""
    return None if value is None else decimal_text(value)


def instant_text(at: datetime | None) -> str | None:
    """UTC with microseconds and Z, None for None."""
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def second_text(at: datetime) -> str:
    """UTC in whole seconds with Z, as bars are stamped."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def eastern_text(at: datetime, *, nanoseconds: bool = False) -> str:
    """New York time with its offset."""
    there = at.astimezone(EASTERN)
    fraction = f".{there.microsecond:06d}000" if nanoseconds else ""
    offset = f"{there:%z}"
    return f"{there:%Y-%m-%dT%H:%M:%S}{fraction}{offset[:3]}:{offset[3:]}"


def parsed_instant(text: str) -> datetime:
    """Read an instant: a naive one is UTC, a day alone begins at midnight in New York.

    Raises
    ------
    ValueError
        It is neither.
    """
    if _DAY.fullmatch(text):
        return day_start(date.fromisoformat(text))
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
