"""The exchange for a client in the same process: the real client, its requests, and no sockets.

An adapter for `requests`, to be mounted on a client's session. All of the client above the
socket is exercised, faults included, at some thousand requests a second. What it cannot show is
two processes at once, or a process that is killed while it waits: for these, `server`.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from requests import PreparedRequest, Response, exceptions
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from swingtrader.simulator.faults import Kind
from swingtrader.simulator.gateway import Gateway, WireRequest

if TYPE_CHECKING:
    from requests import Session

    from swingtrader.simulator.exchange import Exchange

URL = "http://exchange.invalid"
"""Give this to the client as its `url_override`; the name exists nowhere."""


class InProcessAdapter(BaseAdapter):
    """Carries requests to an exchange by calling it.

    A silent fault raises what `requests` raises once its timeout has passed. A client without
    a timeout would wait for ever there; here that is an AssertionError.
    """

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self._gateway = Gateway(exchange)

    def send(
        self, request: PreparedRequest, *_args: Any, timeout: Any = None, **_options: Any
    ) -> Response:
        """Send one prepared request."""
        parts = urlsplit(request.url or "")
        body = request.body or b""
        if not isinstance(body, (str, bytes)):
            raise TypeError(f"a streamed body is not carried: {type(body).__name__}")
        answer = self._gateway.answer(
            WireRequest(
                request.method or "GET",
                unquote(parts.path),
                dict(parse_qsl(parts.query, keep_blank_values=True)),
                {name.lower(): str(value) for name, value in request.headers.items()},
                body.encode() if isinstance(body, str) else body,
            )
        )
        if answer.delivery is Kind.SILENCE:
            if timeout is None:
                raise AssertionError("a request without a timeout met a silent peer")
            raise exceptions.ReadTimeout("read timed out", request=request)
        if answer.delivery is Kind.RESET:
            raise exceptions.ConnectionError("connection reset by peer", request=request)
        if answer.delivery is Kind.CUT_CONNECTION:
            raise exceptions.ChunkedEncodingError(
                "connection broken: incomplete read", request=request
            )
        response = Response()
        response.status_code = answer.status
        response.headers = CaseInsensitiveDict(answer.headers)
        response.encoding = "utf-8"
        response.raw = BytesIO(answer.body)
        response.url = request.url or ""
        response.request = request
        return response

    def close(self) -> None:
        """Do nothing: there is no connection."""


def mount(session: Session, exchange: Exchange) -> None:
    """Let a session reach the exchange under `URL`."""
    session.mount(URL, InProcessAdapter(exchange))
