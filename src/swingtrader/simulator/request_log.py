"""What clients asked for, and whether it could change anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_ORDER_CHANGING_METHODS = frozenset({"POST", "PATCH", "PUT", "DELETE"})
_ORDER_CHANGING_PATHS = ("/v2/orders", "/v2/positions")


@dataclass(frozen=True)
class RequestRecord:
    """One request and its answer.

    Attributes
    ----------
    at : datetime
        Simulated.
    method, path, query, body
        As received; keys and other headers are not kept.
    status : int
        HTTP status that was sent, or would have been: see `fault`.
    fault : str or None
        Kind of the wire fault that it met.
    accepted : bool
        Whether the exchange acted on it.
    """

    at: datetime
    method: str
    path: str
    query: Mapping[str, str]
    body: str
    status: int
    fault: str | None
    accepted: bool

    @property
    def changes_orders(self) -> bool:
        """Whether it asks to submit, replace or cancel an order or to close a position."""
        return self.method in _ORDER_CHANGING_METHODS and self.path.startswith(
            _ORDER_CHANGING_PATHS
        )
