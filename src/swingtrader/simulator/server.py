"""The exchange over HTTP, on loopback only, in threads that end with the server.

Werkzeug's server reads and writes HTTP; what it cannot do is misbehave. A reset is a socket
closed with nothing lingering, silence is a thread that waits for its client to hang up or for the
server to close, and a cut is half of the announced length.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
from threading import Thread
from typing import TYPE_CHECKING, Self
from weakref import finalize

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from swingtrader.simulator.faults import Kind
from swingtrader.simulator.gateway import Gateway, WireRequest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from wsgiref.types import StartResponse, WSGIEnvironment

    from swingtrader.simulator.exchange import Exchange
    from swingtrader.simulator.gateway import WireAnswer

LOOPBACK = "127.0.0.1"


class RunningServer:
    """An exchange being served; a context manager that closes it.

    Attributes
    ----------
    url : str
        Of the trading, data and news endpoints alike, without a slash at the end.
    exchange : Exchange
        Its Python side: the clock, the faults, the log.
    """

    def __init__(self, exchange: Exchange, port: int) -> None:
        self.exchange = exchange
        self._gateway = Gateway(exchange)
        self._closed_reader, self._closed_writer = os.pipe()
        # Closed with the last thread that may still come to wait on it, not before.
        finalize(self, os.close, self._closed_reader)
        # A socket of our own, since werkzeug would exit the process over a port that is taken.
        with socket.create_server((LOOPBACK, port), backlog=128) as listening:
            self.url = f"http://{LOOPBACK}:{listening.getsockname()[1]}"
            self._server = make_server(
                LOOPBACK,
                0,
                self._application,
                threaded=True,
                request_handler=_QuietHandler,
                fd=listening.fileno(),
            )
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering; whoever still waits is hung up on. Closing twice is harmless."""
        if self._closed_writer < 0:
            return
        os.close(self._closed_writer)
        self._closed_writer = -1
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _application(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        request = Request(environ)
        answer = self._gateway.answer(
            WireRequest(
                request.method,
                request.path,
                request.args.to_dict(),
                {name.lower(): value for name, value in request.headers.items()},
                request.get_data(),
            )
        )
        connection: socket.socket = environ["werkzeug.socket"]
        if answer.delivery is Kind.SILENCE:
            self._wait_for_the_end(connection)
        if answer.delivery in {Kind.SILENCE, Kind.RESET}:
            _reset(connection)
        return _response(answer)(environ, start_response)

    def _wait_for_the_end(self, connection: socket.socket) -> None:
        """Until the client hangs up or the server closes, whichever comes first."""
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_READ)
            selector.register(self._closed_reader, selectors.EVENT_READ)
            selector.select()


def serve(exchange: Exchange, port: int = 0) -> RunningServer:
    """Serve an exchange in a background thread.

    Parameters
    ----------
    exchange : Exchange
    port : int
        0 takes a free one.

    Raises
    ------
    OSError
        The port is taken.
    """
    return RunningServer(exchange, port)


class _QuietHandler(WSGIRequestHandler):
    """Says nothing: the exchange keeps its own log of requests."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Drop werkzeug's line for each request; errors are still shown."""

    def connection_dropped(self, *_: object, **__: object) -> None:
        """Read no further request from a connection that is gone."""
        self.close_connection = True


def _response(answer: WireAnswer) -> Response:
    body = answer.body
    headers = dict(answer.headers)
    if answer.delivery is Kind.CUT_CONNECTION:
        headers["Content-Length"] = str(len(body))
        body = body[: len(body) // 2]
    response = Response(body, status=answer.status)
    response.headers.update(headers)
    return response


def _reset(connection: socket.socket) -> None:
    """Reset the connection, and tell werkzeug that it is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # The reader and writer hold the socket too, so only its descriptor can be closed at once.
    os.close(connection.detach())
    raise ConnectionResetError("reset on request")
