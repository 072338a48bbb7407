"""Which price of a held symbol two witnesses agree on.

One print alone triggers no exit: a trade price is confirmed by the quote or by the next poll.
Witnesses are the two sides of a fresh quote, a print, a later print, and the last confirmed
price. Where they do not suffice there is no price, and the newest print waits for the next poll.
A print is known by its time: seen twice, it is still one witness.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from swingtrader.core.portfolio import Quote

TOLERANCE = Decimal("0.005")
"""Fraction by which a trade may lie outside a quote that still confirms it: one moves first."""

WITNESS_SPREAD_BPS = 200.0
"""Widest quote that confirms a trade. Wider ones are placeholders that hold any price at all."""

AGREEMENT = Decimal("0.02")
"""Fraction within which two prints confirm each other when there is no third witness."""


@dataclass(frozen=True)
class Confirmation:
    """A price that is good for a decision, and what the next poll must know.

    Attributes
    ----------
    price : Decimal or None, USD
        None when nothing confirms one.
    print_price, print_at : Decimal and datetime, or None
        Newest trade that no quote has confirmed, USD, and when it took place.
    """

    price: Decimal | None
    print_price: Decimal | None
    print_at: datetime | None


def confirmed_price(
    quote: Quote,
    asof: datetime,
    *,
    previous_print: Decimal | None,
    previous_print_at: datetime | None,
    previous_price: Decimal | None,
    quote_age_seconds: float,
    spread_bps: float,
) -> Confirmation:
    """Price that more than one witness stands for.

    A fresh quote confirms the trade that lies in it. A trade outside it that is older than it,
    or no trade at all, leaves the middle of a narrow quote: two sides are two witnesses. A newer
    trade outside it may be news or a mistake, and so may any trade without a fresh quote: such a
    one is confirmed by the print of an earlier poll. The price is then the median of both prints
    and the last confirmed price, which one wild value among the three cannot move beyond the
    other two. Without a last price, two prints that agree give the later one; two that do not
    give none, since either may be the wild one, and a false price sells a position or raises
    its trailing stop for good, whereas the next poll settles it.

    Parameters
    ----------
    quote : Quote
        Latest, USD.
    asof : datetime
        Now, aware, by the broker's clock. A quote from the future counts as new.
    previous_print, previous_print_at
        What the poll before handed on: `print_price` and `print_at`.
    previous_price : Decimal or None, USD
        Last confirmed price, in today's shares.
    quote_age_seconds : float
        An older quote is no witness.
    spread_bps : float
        A wider one has no middle worth the name.
    """
    trade = quote.trade if quote.trade is not None and quote.trade > 0 else None
    by_quote = _price_by_quote(quote, trade, asof, quote_age_seconds, spread_bps)
    if by_quote is not None:
        return Confirmation(by_quote, None, None)
    if trade is None or quote.trade_at is None:
        return Confirmation(None, previous_print, previous_print_at)
    if previous_print is None or previous_print_at is None:
        return Confirmation(None, trade, quote.trade_at)
    if quote.trade_at <= previous_print_at:
        return Confirmation(None, previous_print, previous_print_at)
    return Confirmation(
        _price_by_prints(previous_print, trade, previous_price), trade, quote.trade_at
    )


def _price_by_quote(
    quote: Quote,
    trade: Decimal | None,
    asof: datetime,
    quote_age_seconds: float,
    spread_bps: float,
) -> Decimal | None:
    bid, ask, quote_at = quote.bid, quote.ask, quote.quote_at
    if bid is None or ask is None or quote_at is None or not 0 < bid <= ask:
        return None
    if (asof - quote_at).total_seconds() > quote_age_seconds:
        return None
    middle = (bid + ask) / 2
    spread = (ask - bid) / middle * 10_000
    if trade is not None and bid * (1 - TOLERANCE) <= trade <= ask * (1 + TOLERANCE):
        return trade if spread <= WITNESS_SPREAD_BPS else None
    older = trade is None or (quote.trade_at is not None and quote.trade_at < quote_at)
    return middle if older and spread <= spread_bps else None


def _price_by_prints(
    earlier: Decimal, later: Decimal, previous_price: Decimal | None
) -> Decimal | None:
    if previous_price is not None:
        return sorted((earlier, later, previous_price))[1]
    return later if abs(later - earlier) <= AGREEMENT * min(earlier, later) else None
