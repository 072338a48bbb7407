"""Query strings, read into the values that the exchange's methods take."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from swingtrader.simulator.articles import NewsQuery
from swingtrader.simulator.book import OrderFilter
from swingtrader.simulator.errors import data_refused, malformed
from swingtrader.simulator.market_data import BarsQuery
from swingtrader.simulator.orders import Side
from swingtrader.simulator.wire_text import parsed_instant

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from swingtrader.simulator.errors import RefusalError

    Query = Mapping[str, str]

LARGEST_ORDER_LIST = 500


def order_filter(query: Query) -> OrderFilter:
    """Of GET /orders.

    Raises
    ------
    RefusalError
        422: malformed.
    """
    status = query.get("status", "open")
    if status not in {"open", "closed", "all"}:
        raise malformed(f"invalid status: {status}")
    limit = _integer(query, "limit", 50)
    if not 1 <= limit <= LARGEST_ORDER_LIST:
        raise malformed(f"limit must be between 1 and {LARGEST_ORDER_LIST}")
    side = query.get("side")
    if side not in {None, "buy", "sell"}:
        raise malformed(f"invalid side: {side}")
    return OrderFilter(
        status=status,
        limit=limit,
        after=_instant(query, "after"),
        until=_instant(query, "until"),
        descending=_descending(query, "direction", default=True),
        nested=flag(query, "nested"),
        side=None if side is None else Side(side),
        symbols=frozenset(symbols(query)),
        before_order_id=query.get("before_order_id"),
        after_order_id=query.get("after_order_id"),
    )


def activity_page(query: Query) -> dict[str, datetime | bool | int | str | None]:
    """Of GET /account/activities, as arguments of `Exchange.activities`.

    Raises
    ------
    RefusalError
        422: malformed.
    """
    return {
        "after": _instant(query, "after"),
        "until": _instant(query, "until"),
        "descending": _descending(query, "direction", default=True),
        "page_size": _integer(query, "page_size", 100),
        "page_token": query.get("page_token"),
    }


def bars_query(query: Query) -> BarsQuery:
    """Of GET /stocks/bars.

    Raises
    ------
    RefusalError
        400: malformed.
    """
    return BarsQuery(
        symbols=symbols(query),
        timeframe=query.get("timeframe", ""),
        start=_data_instant(query, "start"),
        end=_data_instant(query, "end"),
        limit=_data_integer(query, "limit", 1000),
        adjustment=query.get("adjustment", "raw"),
        feed=query.get("feed"),
        descending=_data_descending(query, default=False),
        page_token=query.get("page_token"),
    )


def news_query(query: Query) -> NewsQuery:
    """Of GET /news.

    Raises
    ------
    RefusalError
        400: malformed.
    """
    return NewsQuery(
        symbols=frozenset(symbols(query)),
        start=_data_instant(query, "start"),
        end=_data_instant(query, "end"),
        descending=_data_descending(query, default=True),
        limit=_data_integer(query, "limit", 10),
        page_token=query.get("page_token"),
        exclude_contentless=flag(query, "exclude_contentless"),
    )


def symbols(query: Query) -> tuple[str, ...]:
    """Symbols joined by commas, without repeats."""
    parts = (part.strip() for part in query.get("symbols", "").split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


def flag(query: Query, name: str) -> bool:
    """Whether a switch is on; Python clients write True."""
    return query.get(name, "").lower() == "true"


def day(query: Query, name: str) -> date | None:
    """Read a day, None where it is missing.

    Raises
    ------
    RefusalError
        422: malformed.
    """
    try:
        return date.fromisoformat(query[name][:10]) if name in query else None
    except ValueError as error:
        raise malformed(f"invalid {name}: {query[name]}") from error


def _integer(query: Query, name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal():
        raise malformed(f"invalid {name}: {text}")
    return int(text)


def _instant(query: Query, name: str) -> datetime | None:
    try:
        return parsed_instant(query[name]) if name in query else None
    except ValueError as error:
        raise malformed(f"invalid {name}: {query[name]}") from error


def _descending(query: Query, name: str, *, default: bool) -> bool:
    direction = query.get(name, "desc" if default else "asc")
    if direction not in {"asc", "desc"}:
        raise malformed(f"invalid {name}: {direction}")
    return direction == "desc"


def _data_integer(query: Query, name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal():
        raise _bad_data_query(name, text)
    return int(text)


def _data_instant(query: Query, name: str) -> datetime | None:
    try:
        return parsed_instant(query[name]) if name in query else None
    except ValueError as error:
        raise _bad_data_query(name, query[name]) from error


def _data_descending(query: Query, *, default: bool) -> bool:
    direction = query.get("sort", "desc" if default else "asc")
    if direction not in {"asc", "desc"}:
        raise _bad_data_query("sort", direction)
    return direction == "desc"


def _bad_data_query(name: str, text: str) -> RefusalError:
    return data_refused(400, f"invalid {name}: {text}")
