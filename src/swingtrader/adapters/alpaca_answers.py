"""One request to Alpaca and what it brought, whatever that was, as a value.

Choices. Nothing that goes wrong on the way leaves this module as an exception, not even as the
cause of one: the texts of `requests` can quote a header, and a header holds the keys. So what
went wrong is named here in words of our own, and the broker's words are cleaned first.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from swingtrader.adapters.alpaca_refusals import message_of, parsed_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from alpaca.common.rest import RESTClient
    from requests import Response

LONGEST_RESET_WAIT = 5.0
"""Seconds that we wait for the rate limit to start anew."""


@dataclass(frozen=True)
class Answer:
    """What one request brought.

    Attributes
    ----------
    status : int
        200 for any success, else the HTTP status; 0 where nothing came that can be read.
    body : Any
        Parsed JSON; of a refusal only an object.
    text : str
        Of a refusal, as it came.
    message : str
        The broker's own, cleaned.
    what : str
        What came instead of an answer, in a few words.
    seconds_to_reset : float or None
        Until the rate limit starts anew, where that is near.
    """

    status: int
    body: Any = None
    text: str = ""
    message: str = ""
    what: str = ""
    seconds_to_reset: float | None = None

    @property
    def is_unclear(self) -> bool:
        """Whether nothing was said about what became of the request."""
        return self.status in {0, 408} or self.status >= 500


def one_answer(
    client: RESTClient,
    method: str,
    path: str,
    payload: Mapping[str, Any] | None,
    cleaned: Callable[[str], str],
) -> Answer:
    """Make exactly one request.

    Parameters
    ----------
    client : RESTClient
        With raw data, and without retries of its own.
    payload : mapping, optional
        Query of a GET or DELETE, else the body.
    cleaned : callable
        Makes a stranger's text fit to be shown.
    """
    from alpaca.common.exceptions import APIError  # noqa: PLC0415 - loaded with the client
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - the same

    methods: Mapping[str, Callable[..., Any]] = {
        "GET": client.get,
        "POST": client.post,
        "PATCH": client.patch,
        "DELETE": client.delete,
    }
    try:
        body = methods[method](path, None if payload is None else dict(payload))
    except APIError as error:
        return _refusal(error.response, cleaned)
    except (OSError, ValueError, RecursionError, HTTPError) as error:
        host = urlsplit(str(client._base_url)).hostname  # noqa: SLF001 - for the operator
        return Answer(0, what=f"{_fault(error)} ({host})")
    if body is None and method != "DELETE":
        return Answer(0, what="an empty answer")
    return Answer(200, body)


def _refusal(response: Response, cleaned: Callable[[str], str]) -> Answer:
    body = parsed_body(response.text)
    status, message = response.status_code, cleaned(message_of(body))
    return Answer(
        status,
        body,
        response.text,
        message,
        f"HTTP {status}: {message}" if message else f"HTTP {status}",
        _seconds_to_reset(response.headers) if status == 429 else None,
    )


def _fault(error: Exception) -> str:
    """Name what went wrong without quoting it: its text may hold a header."""
    from requests import exceptions  # noqa: PLC0415 - loaded with the client

    kinds: tuple[tuple[type[Exception], str], ...] = (
        (exceptions.Timeout, "no answer in time"),
        (exceptions.SSLError, "no connection that can be trusted"),
        (exceptions.ChunkedEncodingError, "an answer that broke off"),
        (exceptions.ConnectionError, "no connection, or it broke"),
        (exceptions.JSONDecodeError, "an answer that is no JSON"),
    )
    for kind, words in kinds:
        if isinstance(error, kind):
            return words
    return f"an answer that cannot be read: {type(error).__name__}"


def _seconds_to_reset(headers: Mapping[str, str]) -> float | None:
    """Until the rate limit starts anew by the broker's own clock; None where that is far off."""
    try:
        now = parsedate_to_datetime(headers["Date"]).timestamp()
        seconds = float(headers["X-RateLimit-Reset"]) - now
    except (KeyError, ValueError):
        return None
    return seconds if 0 < seconds <= LONGEST_RESET_WAIT else None
