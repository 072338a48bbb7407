"""Faults of the wire on request: values that say what goes wrong, where and when.

A fault meets the n-th request that matches method and path. Whether the exchange has acted on it
before things go wrong (`accepted`) is the question that matters, so every constructor that
leaves it open asks it. What goes wrong in the market itself is in `conditions`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(StrEnum):
    """What the client gets to see."""

    SILENCE = "silence"
    """No answer until the client hangs up or the server closes."""
    RESET = "reset"
    """The connection is reset before a byte of the answer."""
    STATUS = "status"
    """An answer of another making."""
    CUT_JSON = "cut_json"
    """A 200 whose JSON ends half-way."""
    CUT_CONNECTION = "cut_connection"
    """An answer that breaks off before its announced length."""
    EMPTY = "empty"
    """A 200 without body."""
    EDIT = "edit"
    """The right answer with one field changed."""


class Missing:
    """Marks a field that an edit takes out."""


MISSING = Missing()


@dataclass(frozen=True)
class Fault:
    """One wire fault.

    Attributes
    ----------
    kind : Kind
    method, path : str
        Of the requests it meets; `*` and `?` are wild, as in "/v2/orders*".
    nth : int
        The first matching request that it meets, counted from 1 since it was set.
    times : int
        How many in a row.
    accepted : bool
        Whether the exchange acts on the request first.
    status, body, headers
        Of a `STATUS` answer.
    field : str
        Path of an edited field: "cash", "0.qty", "*.qty", "bars.SPY.0.c".
    value : Any
        What it becomes; `MISSING` takes it out.
    """

    kind: Kind
    method: str = "*"
    path: str = "*"
    nth: int = 1
    times: int = 1
    accepted: bool = False
    status: int = 500
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    field: str = ""
    value: Any = MISSING


def silence(method: str, path: str, *, accepted: bool, nth: int = 1, times: int = 1) -> Fault:
    """Time out, before or after acceptance."""
    return Fault(Kind.SILENCE, method, path, nth, times, accepted)


def reset(method: str, path: str, *, accepted: bool, nth: int = 1, times: int = 1) -> Fault:
    """Reset the connection, before or after acceptance."""
    return Fault(Kind.RESET, method, path, nth, times, accepted)


def rate_limited(method: str, path: str, *, nth: int = 1, times: int = 1) -> Fault:
    """429 out of turn; its headers say that nothing remains."""
    return Fault(
        Kind.STATUS, method, path, nth, times, status=429,
        body='{"message":"too many requests."}', headers={"X-RateLimit-Remaining": "0"},
    )  # fmt: skip


def server_error(method: str, path: str, *, accepted: bool, nth: int = 1, times: int = 1) -> Fault:
    """500 with Alpaca's body, which the client does not retry."""
    return Fault(
        Kind.STATUS, method, path, nth, times, accepted,
        status=500, body='{"code":50010000,"message":"internal server error"}',
    )  # fmt: skip


def bad_gateway(method: str, path: str, *, accepted: bool, nth: int = 1, times: int = 1) -> Fault:
    """502 with a proxy's HTML page."""
    return Fault(
        Kind.STATUS, method, path, nth, times, accepted,
        status=502, body="<html><body><h1>502 Bad Gateway</h1></body></html>",
        headers={"Content-Type": "text/html"},
    )  # fmt: skip


def gateway_timeout(
    method: str, path: str, *, accepted: bool, nth: int = 1, times: int = 1
) -> Fault:
    """504, which the client retries by itself, POST included."""
    return Fault(
        Kind.STATUS, method, path, nth, times, accepted,
        status=504, body='{"message":"gateway timeout"}',
    )  # fmt: skip


def cut_json(method: str, path: str, *, nth: int = 1, times: int = 1) -> Fault:
    """Answer 200 with half of the JSON, complete as far as HTTP can tell."""
    return Fault(Kind.CUT_JSON, method, path, nth, times, accepted=True)


def cut_connection(method: str, path: str, *, nth: int = 1, times: int = 1) -> Fault:
    """Close the connection half-way through the body."""
    return Fault(Kind.CUT_CONNECTION, method, path, nth, times, accepted=True)


def empty(method: str, path: str, *, accepted: bool, nth: int = 1, times: int = 1) -> Fault:
    """200 without body."""
    return Fault(Kind.EMPTY, method, path, nth, times, accepted)


def edit(
    method: str, path: str, field: str, value: Any = MISSING, *, nth: int = 1, times: int = 1
) -> Fault:
    """Change a field of the true answer, or take it out."""
    return Fault(Kind.EDIT, method, path, nth, times, accepted=True, field=field, value=value)


class FaultPlan:
    """The wire faults in force, and how often each was matched."""

    def __init__(self) -> None:
        self._faults: list[tuple[Fault, list[None]]] = []

    def add(self, fault: Fault) -> None:
        """Put a fault in force; its counting begins now."""
        self._faults.append((fault, []))

    def clear(self) -> None:
        """Lift every fault."""
        self._faults.clear()

    def met_by(self, method: str, path: str) -> Fault | None:
        """Return the fault that this request meets; every match counts, the first set wins."""
        met = None
        for fault, matches in self._faults:
            if fnmatchcase(method, fault.method) and fnmatchcase(path, fault.path):
                matches.append(None)
                due = fault.nth <= len(matches) < fault.nth + fault.times
                met = fault if met is None and due else met
        return met


def edited(payload: Any, path: str, value: Any) -> Any:
    """Copy `payload` with one field changed or taken out.

    Parameters
    ----------
    payload : Any
        JSON: dicts, lists, values.
    path : str
        Keys and indices joined by dots; `*` stands for each of them. What comes before the
        last one must be there, else nothing changes.
    value : Any
        `MISSING` takes the field out.
    """
    head, _, rest = path.partition(".")
    if isinstance(payload, list):
        return [
            _changed(item, rest, value) if head in {"*", str(place)} else item
            for place, item in enumerate(payload)
            if rest or value is not MISSING or head not in {"*", str(place)}
        ]
    if not isinstance(payload, dict):
        return payload
    copy = dict(payload)
    for key in list(payload) if head == "*" else [head]:
        if not rest and value is MISSING:
            copy.pop(key, None)
        elif not rest or key in payload:
            copy[key] = _changed(payload.get(key), rest, value)
    return copy


def _changed(item: Any, rest: str, value: Any) -> Any:
    return edited(item, rest, value) if rest else value
