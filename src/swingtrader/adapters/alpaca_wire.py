"""One way to ask Alpaca anything: the real client, our time-outs, our retries, our errors.

Choices. The client's `get`, `post`, `patch` and `delete` are used with raw JSON, since its strict
models would stop a run over a new enumeration value. alpaca-py 0.44 sets no time-out, and repeats
a POST after a 504 by itself, which makes second orders: the one is given to its session, the
other switched off. What changes nothing is asked up to three times; an order is sent again only
after a 429, which says that it was not taken, and only if it is still wanted then.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from swingtrader.adapters.alpaca_answers import one_answer
from swingtrader.adapters.alpaca_refusals import refusal_kind, refuses_credentials, says_absent
from swingtrader.core.orders import RefusalKind
from swingtrader.errors import (
    BrokerUnreachable,
    CredentialsRefused,
    OrderRefused,
    OutcomeUnknown,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from alpaca.common.rest import RESTClient
    from requests import Session

    from swingtrader.adapters.alpaca_answers import Answer

    Json = Mapping[str, Any]
    Pause = Callable[[float], None]

READ_PAUSES = (0.5, 2.0)
"""Seconds before the second and the third try of what changes nothing."""

RATE_PAUSES = (1.0, 2.0, 4.0)
"""Seconds before an order that met the rate limit is sent again."""

LONGEST_MESSAGE = 200

log = structlog.get_logger()


@dataclass(frozen=True)
class Connection:
    """Where the broker is, and how to be let in.

    Attributes
    ----------
    trading_url, data_url : str
        Without a slash at the end and without a version.
    feed : str
        Of live quotes.
    connect_seconds, read_seconds : float
        Longest wait for a connection, and for the next bytes of an answer.
    """

    api_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    trading_url: str
    data_url: str
    feed: str = "iex"
    connect_seconds: float = 5.0
    read_seconds: float = 20.0

    def cleaned(self, text: str) -> str:
        """One short printable line of a stranger's text, without the keys."""
        line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        for key in (self.api_key, self.secret_key):
            line = line.replace(key, "***")
        return line[:LONGEST_MESSAGE]


class ReadRefused(BrokerUnreachable):
    """The broker understood what was asked, and will not answer it (4xx).

    Parameters
    ----------
    asked, what : str
        As of a `BrokerUnreachable`.
    message : str
        The broker's own, cleaned.
    absent : bool
        Whether it says that there is no such thing.
    """

    def __init__(self, asked: str, what: str, message: str, *, absent: bool) -> None:
        super().__init__(asked, what)
        self.message = message
        self.absent = absent


class Wire:
    """One client of Alpaca's, asked in our way.

    Parameters
    ----------
    client : RESTClient
        With raw data. Its session and its retries are changed.
    connection : Connection
    version : str
        Of the interface, as its paths begin.
    pause : callable
        Waits so many seconds.
    """

    def __init__(
        self, client: RESTClient, connection: Connection, version: str, pause: Pause
    ) -> None:
        self._client = client
        self._connection = connection
        self._version = version
        self._pause = pause
        self.session: Session = client._session  # noqa: SLF001 - the client does not offer it
        times = (connection.connect_seconds, connection.read_seconds)
        self.session.request = partial(self.session.request, timeout=times)  # type: ignore[method-assign] # the client builds its session itself
        client._retry = 0  # noqa: SLF001 - nor its retries

    def asked(self, method: str, path: str) -> str:
        """Name a request in an error."""
        return f"{method} /{self._version}{path}"

    def row(self, path: str, query: Json | None = None) -> Json:
        """Read one JSON object; raises as `change` does."""
        return _object(self._settled("GET", path, query), self.asked("GET", path))

    def rows(self, path: str, query: Json | None = None) -> list[Json]:
        """Read a list of JSON objects; raises as `change` does."""
        asked = self.asked("GET", path)
        answer = self._settled("GET", path, query)
        if not isinstance(answer, list):
            raise BrokerUnreachable(asked, "what came is no list")
        return [_object(each, asked) for each in answer]

    def find(self, path: str, query: Json | None = None) -> Json | None:
        """Like `row`, but None where the broker says that there is no such thing."""
        try:
            return self.row(path, query)
        except ReadRefused as refused:
            if refused.absent:
                return None
            raise

    def change(self, path: str, payload: Json) -> Json:
        """PATCH a setting, which may be repeated without harm.

        Raises
        ------
        CredentialsRefused
        ReadRefused
            4xx; not tried again.
        BrokerUnreachable
            No usable answer in three tries.
        """
        return _object(self._settled("PATCH", path, payload), self.asked("PATCH", path))

    def send(
        self,
        method: str,
        path: str,
        payload: Json | None = None,
        *,
        still_wanted: Callable[[], bool] | None = None,
    ) -> Any:
        """Send what may take effect even if no answer comes: POST or DELETE.

        Parameters
        ----------
        still_wanted : callable, optional
            Asked after each wait for the rate limit to pass: a halt may have come meanwhile.

        Returns
        -------
        Any
            Parsed JSON; None where the body of a DELETE's answer is empty.

        Raises
        ------
        CredentialsRefused
        OrderRefused
            The broker said no.
        OutcomeUnknown
        """
        answer = self._ask(method, path, payload)
        for seconds in RATE_PAUSES:
            if answer.status != 429:
                break
            self._pause(seconds)
            if still_wanted is not None and not still_wanted():
                break
            answer = self._asked_again(method, path, payload, seconds, answer)
        if answer.status == 200:
            return answer.body
        asked = self.asked(method, path)
        self._check_credentials(asked, answer)
        if answer.is_unclear:
            raise OutcomeUnknown(asked, answer.what)
        kind = refusal_kind(answer.status, answer.body, answer.text)
        if method == "DELETE" and answer.status == 422:
            kind = RefusalKind.NOT_CANCELABLE
        raise OrderRefused(kind, answer.message or answer.what)

    def _settled(self, method: str, path: str, payload: Json | None) -> Any:
        answer = self._ask(method, path, payload)
        for seconds in READ_PAUSES:
            if not (answer.is_unclear or answer.status == 429):
                break
            wait = answer.seconds_to_reset or seconds
            self._pause(wait)
            answer = self._asked_again(method, path, payload, wait, answer)
        if answer.status == 200:
            return answer.body
        asked = self.asked(method, path)
        self._check_credentials(asked, answer)
        if answer.is_unclear or answer.status == 429:
            raise BrokerUnreachable(asked, answer.what)
        if "subscription does not permit" in answer.message:
            what = f"the account's data plan does not allow it ({answer.message})"
            raise BrokerUnreachable(asked, f"{what}; ALPACA_FEED=iex needs no plan")
        absent = says_absent(answer.status, answer.body)
        raise ReadRefused(asked, answer.what, answer.message, absent=absent)

    def _asked_again(
        self, method: str, path: str, payload: Json | None, seconds: float, answer: Answer
    ) -> Answer:
        asked = self.asked(method, path)
        log.warning("request.repeated", asked=asked, why=answer.what, after_seconds=seconds)
        return self._ask(method, path, payload)

    def _check_credentials(self, asked: str, answer: Answer) -> None:
        if refuses_credentials(answer.status, answer.body):
            raise CredentialsRefused(
                f"the broker does not accept the keys ({asked}: {answer.what}); check "
                "ALPACA_API_KEY and ALPACA_SECRET_KEY, and that ALPACA_PAPER says which kind "
                "of account they are of"
            )

    def _ask(self, method: str, path: str, payload: Json | None) -> Answer:
        return one_answer(self._client, method, path, payload, self._connection.cleaned)


def trading_wire(connection: Connection, pause: Pause) -> Wire:
    """Connect to the account."""
    with warnings.catch_warnings():
        # alpaca-py 0.44 imports a part of websockets that is announced to go; we stream nothing.
        warnings.filterwarnings("ignore", "websockets.legacy is deprecated", DeprecationWarning)
        from alpaca.trading.client import TradingClient  # noqa: PLC0415 - pulls pandas

    keys = (connection.api_key, connection.secret_key)
    client = TradingClient(*keys, raw_data=True, url_override=connection.trading_url)
    return Wire(client, connection, "v2", pause)


def data_wires(connection: Connection, pause: Pause) -> tuple[Wire, Wire]:
    """Connect to the data of stocks, and to the news."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "websockets.legacy is deprecated", DeprecationWarning)
        from alpaca.data.historical import (  # noqa: PLC0415 - pulls pandas
            NewsClient,
            StockHistoricalDataClient,
        )

    keys = (connection.api_key, connection.secret_key)
    stocks = StockHistoricalDataClient(*keys, raw_data=True, url_override=connection.data_url)
    news = NewsClient(*keys, raw_data=True, url_override=connection.data_url)
    return (
        Wire(stocks, connection, "v2", pause),
        Wire(news, connection, "v1beta1", pause),
    )


def _object(answer: Any, asked: str) -> Json:
    if not isinstance(answer, Mapping):
        raise BrokerUnreachable(asked, "what came is no JSON object")
    return answer
