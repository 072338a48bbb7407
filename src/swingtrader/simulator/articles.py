"""News as the exchange serves it: by symbol and time, never an article from the future."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swingtrader.simulator.errors import data_refused
from swingtrader.simulator.wire_text import second_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

LARGEST_PAGE = 50


@dataclass(frozen=True)
class Article:
    """A headline: `symbols` may be empty; `created_at` is aware."""

    created_at: datetime
    symbols: tuple[str, ...]
    headline: str


@dataclass(frozen=True)
class NewsQuery:
    """Query of GET /news; both bounds are included."""

    symbols: frozenset[str] = frozenset()
    start: datetime | None = None
    end: datetime | None = None
    descending: bool = True
    limit: int = 10
    page_token: str | None = None
    exclude_contentless: bool = False


class NewsArchive:
    """All articles there will ever be, in order of time."""

    def __init__(self, articles: Sequence[Article]) -> None:
        in_time = sorted(articles, key=lambda article: article.created_at)
        self._articles = list(enumerate(in_time, start=1))

    def page(self, query: NewsQuery, now: datetime) -> dict[str, Any]:
        """One page of what had been published by `now`.

        Raises
        ------
        RefusalError
            400: limit outside 1 to 50, or a page token of no page.
        """
        if not 1 <= query.limit <= LARGEST_PAGE:
            raise data_refused(400, f"limit must be between 1 and {LARGEST_PAGE}")
        end = now if query.end is None else min(query.end, now)
        found = [
            (number, article)
            for number, article in self._articles
            if article.created_at <= end
            and (query.start is None or article.created_at >= query.start)
            and (not query.symbols or not query.symbols.isdisjoint(article.symbols))
            # Only headlines are known, so every article is contentless.
            and not query.exclude_contentless
        ]
        if query.descending:
            found.reverse()
        if query.page_token is not None:
            if not query.page_token.isdecimal():
                raise data_refused(400, "invalid page_token")
            last = int(query.page_token)
            found = [
                each for each in found if (each[0] < last if query.descending else each[0] > last)
            ]
        page, more = found[: query.limit], len(found) > query.limit
        return {
            "news": [_shown(number, article) for number, article in page],
            "next_page_token": str(page[-1][0]) if more else None,
        }


def _shown(number: int, article: Article) -> dict[str, Any]:
    stamp = second_text(article.created_at)
    return {
        "id": number,
        "headline": article.headline,
        "author": "",
        "created_at": stamp,
        "updated_at": stamp,
        "summary": "",
        "content": "",
        "images": [],
        "symbols": list(article.symbols),
        "source": "simulator",
        "url": None,
    }
