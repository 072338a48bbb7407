"""How many requests a key may make in a simulated minute, and the headers that tell of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swingtrader.simulator.errors import RefusalError

if TYPE_CHECKING:
    from datetime import datetime


class RateLimit:
    """Counts requests of whole minutes.

    Parameters
    ----------
    requests_a_minute : int or None
        None: no limit, and no headers.
    """

    def __init__(self, requests_a_minute: int | None) -> None:
        self._limit = requests_a_minute
        self._minute = -1
        self._used = 0

    def count(self, at: datetime) -> dict[str, str]:
        """Count one request; returns the headers of its answer."""
        if self._limit is None:
            return {}
        minute = int(at.timestamp() // 60)
        if minute != self._minute:
            self._minute, self._used = minute, 0
        self._used += 1
        return {
            "X-RateLimit-Limit": str(self._limit),
            "X-RateLimit-Remaining": str(max(self._limit - self._used, 0)),
            "X-RateLimit-Reset": str((minute + 1) * 60),
        }

    def check(self) -> None:
        """Refuse the request just counted if it was one too many.

        Raises
        ------
        RefusalError
            429, without a code.
        """
        if self._limit is not None and self._used > self._limit:
            raise RefusalError(429, "too many requests.")
