"""What a refusal of Alpaca's means: by the fields and words of its body.

Neither the HTTP status nor Alpaca's code tells: 403 with 40310000 is a want of cash, shares held
by another order, a wash trade, or a short sale that is not allowed. The rules below are tried in
order; what none of them knows is `OTHER`, and stops that one order only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from swingtrader.core.orders import RefusalKind

if TYPE_CHECKING:
    Body = Mapping[str, Any]

NOT_AUTHORIZED = "40110000"
NOT_FOUND = "40410000"

_RULES: tuple[tuple[RefusalKind, frozenset[str], re.Pattern[str]], ...] = tuple(
    (kind, frozenset(fields), re.compile(words, re.IGNORECASE))
    for kind, fields, words in (
        (RefusalKind.DUPLICATE_ID, (), r"client.order.id must be unique"),
        (RefusalKind.WASH_TRADE, ("existing_order_id",), r"wash trade"),
        (
            RefusalKind.SHARES_HELD,
            ("held_for_orders", "related_orders", "existing_qty"),
            r"insufficient qty",
        ),
        (RefusalKind.NO_CASH, ("buying_power",), r"insufficient (buying power|funds|balance)"),
        (RefusalKind.NO_SHORTING, (), r"\bto short\b|sold short|short(ing| sell)"),
        (
            RefusalKind.PRICE,
            ("base_price",),
            r"sub.?penny|pricing criteria|(stop|limit).price must",
        ),
        (RefusalKind.NOT_CANCELABLE, (), r"already in .* state|not cancell?able|pending.cancel"),
    )
)
"""Kind, fields of which one suffices, and words of which one suffices."""

_ABSENT = re.compile(r"order not found|position does not exist", re.IGNORECASE)
_FORBIDDEN = re.compile(r"not authorized|unauthorized|forbidden|access key", re.IGNORECASE)


def parsed_body(text: str) -> Body | None:
    """Read the body of a refusal; None where it is no JSON object."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, Mapping) else None


def code_of(body: Body | None) -> str:
    """Alpaca's code, "" where there is none."""
    code = None if body is None else body.get("code")
    return "" if code is None else str(code)


def message_of(body: Body | None) -> str:
    """Alpaca's message, "" where there is none."""
    message = None if body is None else body.get("message")
    return message if isinstance(message, str) else ""


def refusal_kind(status: int, body: Body | None, text: str) -> RefusalKind:
    """Why the broker did not do what it was asked.

    Parameters
    ----------
    status : int
        HTTP status, 4xx.
    body : mapping or None
        Parsed JSON; None where it is none, as a proxy's page.
    text : str
        The body as it came, read where `body` has no message.
    """
    if status == 429:
        return RefusalKind.RATE_LIMITED
    if says_absent(status, body):
        return RefusalKind.NOT_FOUND
    message = message_of(body) or text
    for kind, fields, words in _RULES:
        if words.search(message) or (body is not None and fields & body.keys()):
            return kind
    return RefusalKind.OTHER


def says_absent(status: int, body: Body | None) -> bool:
    """Whether there is no such thing. A proxy's 404, or a wrong URL's, does not say so."""
    if status != 404:
        return False
    return code_of(body) == NOT_FOUND or bool(_ABSENT.search(message_of(body)))


def refuses_credentials(status: int, body: Body | None) -> bool:
    """Whether the keys are not accepted.

    A 403 with another code than 40110000 is about the account, whoever asks; one without a code
    is judged by its words.
    """
    if status != 403:
        return status == 401
    code = code_of(body)
    if code:
        return code == NOT_AUTHORIZED
    return bool(_FORBIDDEN.search(message_of(body)))
