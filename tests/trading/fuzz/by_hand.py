"""What the person does beside the program: orders in the broker's own app, shares delivered."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

from tests.trading.fuzz.books import purpose_of

from swingtrader.simulator.errors import RefusalError

CENT = Decimal("0.01")


def traded_by_hand(step, program, books, tell):
    """Do one thing in the broker's own app; what the broker refuses is told."""
    symbol, exchange = step.symbol, program.exchange
    price = exchange.price(symbol)
    held = exchange.held_qty(symbol)
    free = held - sum(
        order.remaining
        for order in exchange.all_orders
        if order.symbol == symbol and order.side == "sell" and order.is_open
    )
    if step.what == "deliver":
        qty = Decimal(round(1 + 20 * step.size))
        books.deliver(symbol, qty, price)
        return
    if step.what.startswith("cancel"):
        _cancel(exchange, symbol, tell, ours=step.what == "cancel_own")
        return
    affordable = exchange.cash * Decimal(str(step.size)) / 3 / price
    part = (free * Decimal(str(step.size))).to_integral_value(ROUND_FLOOR)
    whole = affordable.to_integral_value(ROUND_FLOOR)
    side, qty, fields = {
        "buy": ("buy", whole, {}),
        "buy_fraction": ("buy", (affordable / 2).quantize(Decimal("0.001")), {}),
        "buy_limit": ("buy", whole, _limit(price * Decimal("0.99"))),
        "sell": ("sell", free if step.size == 1 else part, {}),
        "sell_stop": ("sell", part, _stop(price * Decimal("0.97"))),
        "sell_limit": ("sell", part, _limit(price * Decimal("1.03"))),
    }[step.what]
    if qty <= 0:
        return
    try:
        program.by_hand(symbol, side, qty, **fields)
    except RefusalError as refusal:
        tell(f"    refused: {refusal}")


def _cancel(exchange, symbol, tell, *, ours):
    for order in exchange.all_orders:
        is_ours = purpose_of(order) is not None
        if order.symbol == symbol and order.is_open and is_ours is ours:
            try:
                exchange.cancel_order(order.id)
            except RefusalError as refusal:
                tell(f"    refused: {refusal}")


def _limit(price):
    return {"type": "limit", "limit_price": str(price.quantize(CENT)), "time_in_force": "gtc"}


def _stop(price):
    return {"type": "stop", "stop_price": str(price.quantize(CENT)), "time_in_force": "gtc"}
