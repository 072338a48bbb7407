"""The account's side of the exchange as JSON: Alpaca's field names, decimals as strings."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid5

from swingtrader.simulator.orders import OrderClass, Side, Status
from swingtrader.simulator.wire_text import (
    decimal_text,
    eastern_text,
    instant_text,
    optional_text,
)

if TYPE_CHECKING:
    from datetime import date, datetime

    from swingtrader.simulator.account import Position
    from swingtrader.simulator.clock import Timetable
    from swingtrader.simulator.floor import Floor
    from swingtrader.simulator.orders import Order

ENTRY_PRICE_QUANTUM = Decimal("0.000001")

Json = dict[str, Any]


def asset_id(symbol: str) -> str:
    """Identifier of an asset, the same in every simulation."""
    return str(uuid5(NAMESPACE_OID, f"asset {symbol}"))


def order_json(order: Order, legs: list[Order] | None = None) -> Json:
    """One order; `legs` None shows none, as where nesting was not asked for."""
    return {
        "id": order.id,
        "client_order_id": order.client_order_id,
        "created_at": instant_text(order.created_at),
        "updated_at": instant_text(order.updated_at),
        "submitted_at": instant_text(order.created_at),
        "filled_at": instant_text(order.filled_at) if order.status is Status.FILLED else None,
        "expired_at": instant_text(order.expired_at),
        "expires_at": instant_text(order.expires_at),
        "canceled_at": instant_text(order.canceled_at),
        "failed_at": instant_text(order.failed_at),
        "replaced_at": instant_text(order.replaced_at),
        "replaced_by": order.replaced_by,
        "replaces": order.replaces,
        "asset_id": asset_id(order.symbol),
        "symbol": order.symbol,
        "asset_class": "us_equity",
        "notional": optional_text(order.notional),
        "qty": optional_text(order.qty),
        "filled_qty": decimal_text(order.filled_qty),
        "filled_avg_price": optional_text(order.filled_avg_price),
        "order_class": "" if order.order_class is OrderClass.SIMPLE else order.order_class,
        "order_type": order.type,
        "type": order.type,
        "side": order.side,
        "position_intent": _intent(order),
        "time_in_force": order.time_in_force,
        "limit_price": optional_text(order.limit_price),
        "stop_price": optional_text(order.stop_price),
        "status": order.status,
        "extended_hours": order.extended_hours,
        "legs": [order_json(leg) for leg in legs] if legs else None,
        "trail_percent": optional_text(order.trail_percent),
        "trail_price": optional_text(order.trail_price),
        "hwm": optional_text(order.hwm),
        "subtag": None,
        "source": None,
    }


def _intent(order: Order) -> str:
    opens = order.opening
    if order.side is Side.BUY:
        return "buy_to_open" if opens else "buy_to_close"
    return "sell_to_open" if opens else "sell_to_close"


def account_json(floor: Floor) -> Json:
    """The account; its fields on pattern day trading left the API in July 2026."""
    value = floor.valuation()
    number = floor.settings.account_number
    money = {
        "buying_power": value.buying_power,
        "regt_buying_power": value.buying_power,
        "non_marginable_buying_power": value.non_marginable_buying_power,
        "options_buying_power": value.non_marginable_buying_power,
        "cash": value.cash,
        "accrued_fees": Decimal(0),
        "portfolio_value": value.equity,
        "equity": value.equity,
        "last_equity": last_equity(floor),
        "long_market_value": value.long_market_value,
        "short_market_value": value.short_market_value,
        "position_market_value": value.exposure,
        "initial_margin": value.initial_margin,
        "maintenance_margin": value.maintenance_margin,
        "last_maintenance_margin": value.maintenance_margin,
        "sma": Decimal(0),
    }
    return {
        "id": str(uuid5(NAMESPACE_OID, f"account {number}")),
        "account_number": number,
        "status": "ACTIVE",
        "crypto_status": "INACTIVE",
        "currency": "USD",
        **{name: decimal_text(amount) for name, amount in money.items()},
        "multiplier": str(floor.multiplier),
        "shorting_enabled": not floor.no_shorting and floor.multiplier > 1,
        "trade_suspended_by_user": floor.suspend_trade,
        "trading_blocked": False,
        "transfers_blocked": False,
        "account_blocked": False,
        "created_at": instant_text(floor.started_at),
        "balance_asof": None,
    }


def last_equity(floor: Floor) -> Decimal:
    """Equity at the close of the last session of an earlier day, USD."""
    row = floor.timetable.before_today(floor.now)
    if row < 0:
        return floor.equity_at_start
    return floor.equity_by_session.get(floor.timetable.days[row], floor.equity_at_start)


def position_json(floor: Floor, position: Position) -> Json:
    """One position. There is no entry date, at Alpaca neither."""
    symbol, qty = position.symbol, position.qty
    price = floor.price(symbol)
    before = _lastday_price(floor, symbol) or price
    side = Side.SELL if qty > 0 else Side.BUY
    free = max(abs(qty) - floor.book.held(symbol, side), Decimal(0))
    gain = qty * price - position.cost_basis
    today = qty * (price - before)
    return {
        "asset_id": asset_id(symbol),
        "symbol": symbol,
        "exchange": "NYSE",
        "asset_class": "us_equity",
        "asset_marginable": True,
        "qty": decimal_text(qty),
        "qty_available": decimal_text(free if qty > 0 else -free),
        "avg_entry_price": decimal_text(position.avg_entry_price.quantize(ENTRY_PRICE_QUANTUM)),
        "side": "long" if qty > 0 else "short",
        "market_value": decimal_text(qty * price),
        "cost_basis": decimal_text(position.cost_basis.quantize(ENTRY_PRICE_QUANTUM)),
        "unrealized_pl": decimal_text(gain.quantize(ENTRY_PRICE_QUANTUM)),
        "unrealized_plpc": decimal_text(_part(gain, abs(position.cost_basis))),
        "unrealized_intraday_pl": decimal_text(today),
        "unrealized_intraday_plpc": decimal_text(_part(today, abs(qty * before))),
        "current_price": decimal_text(price),
        "lastday_price": decimal_text(before),
        "change_today": decimal_text(_part(price - before, before)),
    }


def _lastday_price(floor: Floor, symbol: str) -> Decimal | None:
    """Close of the last session of an earlier day, restated for a split of today."""
    table = floor.timetable
    row = table.before_today(floor.now)
    if row < 0:
        return None
    trade = floor.tape.last_trade(symbol, table.closes[row])
    if trade is None:
        return None
    return trade.price / floor.tape.split_ratio(symbol, trade.row, table.begun(floor.now))


def _part(amount: Decimal, whole: Decimal) -> Decimal:
    return (amount / whole).quantize(ENTRY_PRICE_QUANTUM) if whole else Decimal(0)


def asset_json(floor: Floor, symbol: str) -> Json:
    """One asset as it stands now."""
    active = floor.tape.is_active(symbol, floor.now)
    borrow = {"easy_to_borrow": True} if floor.settings.easy_to_borrow else {}
    return {
        "id": asset_id(symbol),
        "class": "us_equity",
        "exchange": "NYSE",
        "symbol": symbol,
        "name": f"{symbol} (simulated)",
        "status": "active" if active else "inactive",
        "tradable": active,
        "marginable": True,
        "maintenance_margin_requirement": 30,
        "shortable": True,
        "fractionable": True,
        "borrow_status": "easy_to_borrow",
        "attributes": [],
        **borrow,
    }


def clock_json(table: Timetable, now: datetime) -> Json:
    """The clock: New York time, nine decimals."""
    return {
        "timestamp": eastern_text(now, nanoseconds=True),
        "is_open": table.is_open(now),
        "next_open": eastern_text(table.next_open(now)),
        "next_close": eastern_text(table.next_close(now)),
    }


def calendar_json(table: Timetable, start: date | None, end: date | None) -> list[Json]:
    """Sessions with their New York hours, both ends included."""
    return [
        {
            "date": day.isoformat(),
            "open": eastern_text(table.opens[row])[11:16],
            "close": eastern_text(table.closes[row])[11:16],
            "session_open": "0400",
            "session_close": "2000",
        }
        for row, day in enumerate(table.days)
        if (start is None or day >= start) and (end is None or day <= end)
    ]


def configuration_json(floor: Floor) -> Json:
    """What the account's owner may switch."""
    return {
        "fractional_trading": floor.fractional_trading,
        "max_margin_multiplier": str(floor.multiplier),
        "no_shorting": floor.no_shorting,
        "suspend_trade": floor.suspend_trade,
        "trade_confirm_email": "all",
        "ptp_no_exception_entry": False,
        "max_options_trading_level": None,
    }


def history_json(floor: Floor) -> Json:
    """Equity at each close since the start: numbers, not strings."""
    days = sorted(floor.equity_by_session)
    equity = [float(floor.equity_by_session[day]) for day in days]
    base = float(floor.equity_at_start)
    rows = [floor.timetable.row_of(day) for day in days]
    return {
        "timestamp": [
            int(floor.timetable.opens[row].timestamp()) for row in rows if row is not None
        ],
        "equity": equity,
        "profit_loss": [each - base for each in equity],
        "profit_loss_pct": [(each - base) / base if base else None for each in equity],
        "base_value": base,
        "timeframe": "1D",
    }
