"""Which method of the exchange answers which path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule

from swingtrader.simulator import queries
from swingtrader.simulator.errors import RefusalError, malformed
from swingtrader.simulator.tickets import number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from swingtrader.simulator.exchange import Exchange


@dataclass(frozen=True)
class Call:
    """One request, as far as an endpoint needs it: `body` is parsed JSON or None."""

    exchange: Exchange
    query: Mapping[str, str]
    body: Any
    args: Mapping[str, Any]


def respond(method: str, path: str, call: Call) -> tuple[int, Any]:
    """Status and JSON payload of the endpoint for method and path; None is an empty body.

    Raises
    ------
    RefusalError
        Of the endpoint; 404 or 405 where there is none.
    """
    try:
        endpoint, args = _ADAPTER.match(path, method)
    except NotFound as error:
        raise RefusalError(404, "endpoint not found.") from error
    except MethodNotAllowed as error:
        raise RefusalError(405, "method not allowed") from error
    return endpoint(Call(call.exchange, call.query, call.body, args))  # type: ignore[no-any-return] # an endpoint of the table below


def _close_position(call: Call) -> tuple[int, Any]:
    qty, percentage = number(call.query, "qty"), number(call.query, "percentage")
    return 200, call.exchange.close_position(call.args["symbol"], qty, percentage)


def _close_positions(call: Call) -> tuple[int, Any]:
    cancel_orders = queries.flag(call.query, "cancel_orders")
    return 207, call.exchange.close_positions(cancel_orders=cancel_orders)


def _cancel_order(call: Call) -> tuple[int, Any]:
    call.exchange.cancel_order(call.args["order_id"])
    return 204, None


def _order(call: Call) -> tuple[int, Any]:
    nested = queries.flag(call.query, "nested")
    return 200, call.exchange.order(call.args["order_id"], nested=nested)


def _order_by_client_id(call: Call) -> tuple[int, Any]:
    client_order_id = call.query.get("client_order_id")
    if not client_order_id:
        raise malformed("client_order_id is required")
    return 200, call.exchange.order_by_client_id(client_order_id)


def _activities(call: Call) -> tuple[int, Any]:
    kind = call.args.get("kind")
    listed = kind or call.query.get("activity_types", "")
    kinds = frozenset(part for part in listed.split(",") if part) or None
    return 200, call.exchange.activities(kinds, **queries.activity_page(call.query))


def _latest(call: Call) -> tuple[int, Any]:
    what, feed = call.args["what"], call.query.get("feed")
    return 200, call.exchange.latest(what, queries.symbols(call.query), feed)


def _snapshots(call: Call) -> tuple[int, Any]:
    return 200, call.exchange.snapshots(queries.symbols(call.query), call.query.get("feed"))


def _calendar(call: Call) -> tuple[int, Any]:
    days = queries.day(call.query, "start"), queries.day(call.query, "end")
    return 200, call.exchange.calendar(*days)


_TABLE: tuple[tuple[str, str, Callable[[Call], tuple[int, Any]]], ...] = (
    ("GET", "/v2/account", lambda c: (200, c.exchange.account())),
    ("GET", "/v2/account/configurations", lambda c: (200, c.exchange.configuration())),
    ("PATCH", "/v2/account/configurations", lambda c: (200, c.exchange.configure(c.body))),
    ("GET", "/v2/account/activities", _activities),
    ("GET", "/v2/account/activities/<kind>", _activities),
    ("GET", "/v2/account/portfolio/history", lambda c: (200, c.exchange.portfolio_history())),
    ("GET", "/v2/clock", lambda c: (200, c.exchange.clock())),
    ("GET", "/v2/calendar", _calendar),
    ("GET", "/v2/assets", lambda c: (200, c.exchange.assets(c.query.get("status")))),
    ("GET", "/v2/assets/<symbol>", lambda c: (200, c.exchange.asset(c.args["symbol"]))),
    ("POST", "/v2/orders", lambda c: (200, c.exchange.submit_order(c.body))),
    ("GET", "/v2/orders", lambda c: (200, c.exchange.orders(queries.order_filter(c.query)))),
    ("DELETE", "/v2/orders", lambda c: (207, c.exchange.cancel_orders())),
    ("GET", "/v2/orders:by_client_order_id", _order_by_client_id),
    ("GET", "/v2/orders/<order_id>", _order),
    (
        "PATCH",
        "/v2/orders/<order_id>",
        lambda c: (200, c.exchange.replace_order(c.args["order_id"], c.body)),
    ),
    ("DELETE", "/v2/orders/<order_id>", _cancel_order),
    ("GET", "/v2/positions", lambda c: (200, c.exchange.positions())),
    ("DELETE", "/v2/positions", _close_positions),
    ("GET", "/v2/positions/<symbol>", lambda c: (200, c.exchange.position(c.args["symbol"]))),
    ("DELETE", "/v2/positions/<symbol>", _close_position),
    ("GET", "/v2/stocks/bars", lambda c: (200, c.exchange.bars(queries.bars_query(c.query)))),
    ("GET", "/v2/stocks/<any(trades, quotes, bars):what>/latest", _latest),
    ("GET", "/v2/stocks/snapshots", _snapshots),
    ("GET", "/v1beta1/news", lambda c: (200, c.exchange.news(queries.news_query(c.query)))),
)

_ADAPTER = Map(
    [Rule(path, methods=[method], endpoint=endpoint) for method, path, endpoint in _TABLE],
    strict_slashes=True,
    redirect_defaults=False,
    merge_slashes=False,
).bind("localhost")
