"""From a request on the wire to its answer, without a wire: keys, rate limit, faults, JSON.

Requests are answered one at a time, under the exchange's lock. A fault decides whether the
exchange acts on the request at all and what becomes of the answer; the wire (`server`,
`in_process`) then delivers it as told.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from swingtrader.simulator.errors import BAD_BODY, UNAUTHORIZED, RefusalError
from swingtrader.simulator.faults import Kind, edited
from swingtrader.simulator.request_log import RequestRecord
from swingtrader.simulator.routes import Call, respond

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swingtrader.simulator.exchange import Exchange
    from swingtrader.simulator.faults import Fault

JSON_HEADERS = {"Content-Type": "application/json; charset=UTF-8"}
DATA_PATHS = ("/v2/stocks", "/v1beta1")


@dataclass(frozen=True)
class WireRequest:
    """A request: header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class WireAnswer:
    """An answer.

    Attributes
    ----------
    delivery : Kind or None
        `SILENCE`, `RESET` or `CUT_CONNECTION` where it does not simply arrive.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delivery: Kind | None = None


class Gateway:
    """Answers requests to one exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def answer(self, request: WireRequest) -> WireAnswer:
        """Answer one request, act on it and log it."""
        exchange = self._exchange
        with exchange.lock:
            at = exchange.now
            fault = exchange.faults.met_by(request.method, request.path)
            acts = fault is None or fault.accepted
            answer = self._acted_on(request, fault) if acts else WireAnswer(200)
            if fault is not None:
                answer = _spoilt(answer, fault)
            exchange.requests.append(
                RequestRecord(
                    at,
                    request.method,
                    request.path,
                    dict(request.query),
                    request.body.decode("utf-8", "replace"),
                    answer.status,
                    None if fault is None else fault.kind,
                    acts,
                )
            )
            return answer

    def _acted_on(self, request: WireRequest, fault: Fault | None) -> WireAnswer:
        limits = self._exchange.rate.count(self._exchange.now)
        try:
            self._check_key(request)
            self._exchange.rate.check()
            call = Call(self._exchange, request.query, _parsed(request.body), {})
            status, payload = respond(request.method, request.path, call)
        except RefusalError as refusal:
            status, payload = refusal.status, refusal.body
        if fault is not None and fault.kind is Kind.EDIT:
            payload = edited(payload, fault.field, fault.value)
        if payload is None:
            return WireAnswer(status, b"", limits)
        return WireAnswer(status, json.dumps(payload).encode(), {**JSON_HEADERS, **limits})

    def _check_key(self, request: WireRequest) -> None:
        settings = self._exchange.settings
        given = (
            request.headers.get("apca-api-key-id"),
            request.headers.get("apca-api-secret-key"),
        )
        if given == (settings.api_key, settings.secret_key):
            return
        if request.path.startswith(DATA_PATHS):
            raise RefusalError(401, "unauthorized")
        raise RefusalError(401, "request is not authorized", UNAUTHORIZED)


def _parsed(body: bytes) -> Any:
    """JSON with its numbers as decimals, None for an empty body."""
    if not body:
        return None
    try:
        return json.loads(body, parse_float=Decimal)
    except ValueError as error:
        raise RefusalError(400, "request body format is invalid", BAD_BODY) from error


def _spoilt(answer: WireAnswer, fault: Fault) -> WireAnswer:
    if fault.kind in {Kind.SILENCE, Kind.RESET, Kind.CUT_CONNECTION}:
        return replace(answer, delivery=fault.kind)
    if fault.kind is Kind.STATUS:
        headers = {**JSON_HEADERS, **answer.headers, **fault.headers}
        return WireAnswer(fault.status, fault.body.encode(), headers)
    if fault.kind is Kind.EMPTY:
        return WireAnswer(200, b"", answer.headers)
    if fault.kind is Kind.CUT_JSON:
        return replace(answer, body=answer.body[: len(answer.body) // 2])
    return answer
