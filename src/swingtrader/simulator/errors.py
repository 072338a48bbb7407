"""Refusals in Alpaca's words: HTTP status, code and body.

One code covers several refusals (40310000 above all), so what tells them apart is in the body.
Where Alpaca's exact wording is not documented, the message is a plain sentence and the status
and code are those of its kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swingtrader.simulator.wire_text import decimal_text

if TYPE_CHECKING:
    from decimal import Decimal

UNAUTHORIZED = 40110000
FORBIDDEN = 40310000
NOT_FOUND = 40410000
BAD_BODY = 40010000
MALFORMED = 40010001
UNPROCESSABLE = 42210000


class RefusalError(Exception):
    """A request that the exchange answers with an error.

    Parameters
    ----------
    status : int
        HTTP status.
    message : str
    code : int, optional
        Alpaca's; the data endpoints and the rate limit have none.
    fields : Any
        Further fields of the body.
    """

    def __init__(self, status: int, message: str, code: int | None = None, **fields: Any) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.code = code
        self.fields = fields

    @property
    def body(self) -> dict[str, Any]:
        """What is sent as JSON."""
        code = {} if self.code is None else {"code": self.code}
        return {**code, "message": self.message, **self.fields}


def malformed(message: str) -> RefusalError:
    """422 for a field that is missing, of the wrong type, or not allowed at all."""
    return RefusalError(422, message, MALFORMED)


def unprocessable(message: str, **fields: Any) -> RefusalError:
    """422 for a well-formed order that breaks a rule."""
    return RefusalError(422, message, UNPROCESSABLE, **fields)


def forbidden(message: str, **fields: Any) -> RefusalError:
    """403 for what the account may not or cannot do."""
    return RefusalError(403, message, FORBIDDEN, **fields)


def not_found(message: str) -> RefusalError:
    """404 of the trading endpoints."""
    return RefusalError(404, message, NOT_FOUND)


def insufficient_buying_power(buying_power: Decimal, cost_basis: Decimal) -> RefusalError:
    """403: the order would cost more than there is."""
    return forbidden(
        "insufficient buying power",
        buying_power=decimal_text(buying_power),
        cost_basis=decimal_text(cost_basis),
    )


def insufficient_shares(
    symbol: str, requested: Decimal, available: Decimal, existing: Decimal, orders: list[str]
) -> RefusalError:
    """403: other orders hold the shares, or there never were so many."""
    return forbidden(
        "insufficient qty available for order "
        f"(requested: {decimal_text(requested)}, available: {decimal_text(available)})",
        available=decimal_text(available),
        existing_qty=decimal_text(existing),
        held_for_orders=decimal_text(existing - available),
        related_orders=orders,
        symbol=symbol,
    )


def wash_trade(existing_order_id: str, reason: str) -> RefusalError:
    """403: an order on the other side is already resting."""
    return forbidden(
        "potential wash trade detected. use complex orders",
        existing_order_id=existing_order_id,
        reject_reason=reason,
    )


def data_refused(status: int, message: str) -> RefusalError:
    """Refuse in the manner of the data endpoints: a message and nothing else."""
    return RefusalError(status, message)
