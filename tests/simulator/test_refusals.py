"""What the exchange refuses, in which words: the tables of Alpaca's errors."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from tests.simulator.conftest import bought, exchange_on, limit, new_york, stop, ticket

from swingtrader.simulator.errors import RefusalError
from swingtrader.simulator.settings import Latency


def refused(call, *args, **kwargs):
    with pytest.raises(RefusalError) as caught:
        call(*args, **kwargs)
    return caught.value


@pytest.mark.parametrize(
    ("case", "body", "status", "code", "message"),
    [
        # Malformed.
        ("no symbol", ticket(symbol=None), 422, 40010001, "symbol is required"),
        ("no side", ticket(side=None), 422, 40010001, "side is required"),
        ("odd side", ticket(side="up"), 422, 40010001, "invalid side: up"),
        ("odd type", ticket(type="magic"), 422, 40010001, "invalid type: magic"),
        ("odd life", ticket(time_in_force="gtd"), 422, 40010001, "invalid time_in_force: gtd"),
        ("no quantity", ticket(qty=None), 422, 40010001, "exactly one of qty and notional"),
        ("both", ticket(notional="100"), 422, 40010001, "exactly one of qty and notional"),
        ("words", ticket(qty="ten"), 422, 40010001, "invalid qty: ten"),
        ("infinite", ticket(qty="Infinity"), 422, 40010001, "invalid qty: Infinity"),
        ("a truth", ticket(qty=True), 422, 40010001, "qty must be a number"),
        ("long name", ticket(client_order_id="x" * 129), 422, 40010001, "no more than 128"),
        ("a list", [], 422, 40010001, "request body must be an object"),
        # Prices and quantities.
        ("none", ticket(qty="0"), 422, 42210000, "qty must be > 0"),
        ("too fine", ticket(qty="0.0000000001"), 422, 42210000, "limited to 9 decimal"),
        ("sub-penny", limit("3.3000000000000003"), 422, 42210000, "sub-penny increment"),
        ("sub-penny stop", stop("50.005"), 422, 42210000, "sub-penny increment"),
        ("five decimals", limit("0.00005", "PENNY"), 422, 42210000, "sub-penny increment"),
        ("no limit", ticket(type="limit"), 422, 42210000, "limit orders require a limit price"),
        ("no stop", ticket(type="stop"), 422, 42210000, "stop orders require a stop price"),
        ("limit at market", ticket(limit_price="5"), 422, 42210000, "must not have limit_price"),
        ("two trails", ticket(type="trailing_stop", trail_price="1", trail_percent="1"),
         422, 42210000, "exactly one of trail_price"),
        ("sell stop above", stop("100.01"), 422, 42210000, "must be less than current price"),
        ("sell stop at", stop("100.00"), 422, 42210000, "must be less than current price"),
        ("buy stop below", stop("99", side="buy"), 422, 42210000, "greater than current price"),
        # Fractions.
        ("fraction gtc", ticket(qty="0.5", time_in_force="gtc"),
         422, 42210000, "fractional orders must be DAY orders"),
        ("fraction bracket", ticket(qty="0.5", order_class="oto", stop_loss={"stop_price": "9"}),
         422, 42210000, "fractional orders must be simple orders"),
        ("fraction trails", ticket(qty="0.5", type="trailing_stop", trail_price="1"),
         422, 42210000, "fractional orders must not be trailing"),
        ("small notional", ticket(qty=None, notional="0.99"),
         403, 40310000, "cost basis must be >= minimal amount of order 1"),
        ("small fraction", ticket(qty="0.001"),
         403, 40310000, "cost basis must be >= minimal amount of order 1"),
        # Symbols and hours.
        ("unknown", ticket("NOPE"), 422, 42210000, 'asset "NOPE" not found'),
        ("extended market", ticket(extended_hours=True), 422, 42210000, "extended hours"),
        ("late for the opening", ticket(time_in_force="opg"), 422, 42210000, "not accepted"),
        # Money and shares.
        ("too dear", ticket(qty="2001"), 403, 40310000, "insufficient buying power"),
        ("fractional short", ticket(side="sell", qty="0.5"),
         422, 42210000, "fractional orders cannot be sold short"),
    ],
)  # fmt: skip
def test_order_is_refused(exchange, case, body, status, code, message):
    refusal = refused(exchange.submit_order, body)
    assert (refusal.status, refusal.code) == (status, code), case
    assert message in refusal.message, case
    assert exchange.all_orders == ()


def test_price_is_taken_on_the_tick(exchange):
    for body in (limit("3.30"), limit("0.8501", "PENNY"), limit(Decimal("99.99"))):
        assert exchange.submit_order(body)["status"] == "pending_new"


def test_name_of_128_characters_is_taken(exchange):
    name = "x" * 128
    assert exchange.submit_order(ticket(client_order_id=name))["client_order_id"] == name


@pytest.mark.parametrize("fate", ["open", "filled", "canceled", "expired"])
def test_client_order_id_is_never_free_again(exchange, fate):
    body = ticket() if fate == "filled" else limit(50)
    order = exchange.submit_order(body | {"client_order_id": "mine"})
    if fate == "canceled":
        exchange.cancel_order(order["id"])
    if fate == "expired":
        exchange.advance_to(new_york(21, 12))
    assert exchange.order(order["id"])["status"] == {"open": "new"}.get(fate, fate)
    refusal = refused(exchange.submit_order, ticket("BBB", client_order_id="mine"))
    assert (refusal.status, refusal.code) == (422, 40010001)
    assert refusal.message == "client_order_id must be unique"


def test_refused_order_does_not_use_its_name(exchange):
    refused(exchange.submit_order, ticket(qty="2001", client_order_id="mine"))
    assert exchange.submit_order(ticket(client_order_id="mine"))["status"] == "pending_new"


@pytest.mark.parametrize(
    ("time_in_force", "at", "taken"),
    [
        ("opg", new_york(21, 9, 27, 59), True),
        ("opg", new_york(21, 9, 28), False),
        ("opg", new_york(21, 18, 59), False),
        ("opg", new_york(21, 19), True),
        ("opg", new_york(23, 12), True),  # Thanksgiving
        ("cls", new_york(21, 15, 49), True),
        ("cls", new_york(21, 15, 50), False),
        ("cls", new_york(21, 18, 59), False),
        ("cls", new_york(21, 19), True),
        ("cls", new_york(24, 12, 50), False),  # half-day
    ],
)
def test_auction_orders_have_their_hours(time_in_force, at, taken):
    exchange = exchange_on(start=at)
    if taken:
        assert exchange.submit_order(ticket(time_in_force=time_in_force))["id"]
    else:
        refusal = refused(exchange.submit_order, ticket(time_in_force=time_in_force))
        assert refusal.code == 42210000


def test_stock_that_has_stopped_trading_is_refused():
    exchange = exchange_on(start=new_york(29, 10))
    assert "GONE is not active" in refused(exchange.submit_order, ticket("GONE")).message


def test_stock_is_unknown_until_its_first_trade():
    exchange = exchange_on(start=new_york(20, 9))
    assert "not found" in refused(exchange.submit_order, ticket("IPO")).message
    exchange.advance_to(new_york(20, 9, 30))
    assert exchange.submit_order(ticket("IPO"))["id"]


# Money ----------------------------------------------------------------------------------------


def test_refusal_over_money_says_how_much(exchange):
    refusal = refused(exchange.submit_order, ticket(qty="2000"))
    assert refusal.body == {
        "code": 40310000,
        "message": "insufficient buying power",
        "buying_power": "200000",
        "cost_basis": "200040",
    }


def test_open_buys_reserve_and_sells_give_nothing_back_until_filled():
    exchange = exchange_on(cash=1_000, multiplier=1)
    bought(exchange, "AAA", "5")
    assert exchange.account()["buying_power"] == "499.9"
    exchange.submit_order(limit("40.00", "BBB", qty="10"))
    assert exchange.account()["buying_power"] == "99.9"
    exchange.submit_order(limit("150.00", side="sell", qty="5"))
    assert exchange.account()["buying_power"] == "99.9"
    refused(exchange.submit_order, limit("40.00", "BBB", qty="3"))


def test_cancelled_buy_gives_its_reservation_back(exchange):
    order = exchange.submit_order(limit("50.00"))
    assert exchange.account()["non_marginable_buying_power"] == "99500"
    exchange.cancel_order(order["id"])
    assert exchange.account()["non_marginable_buying_power"] == "100000"


def test_market_buy_is_checked_at_the_ask_and_at_the_last_trade_while_closed():
    exchange = exchange_on(cash=1_000, multiplier=1)
    assert refused(exchange.submit_order, ticket()).fields["cost_basis"] == "1000.2"
    exchange.advance_to(new_york(20, 17))
    assert exchange.submit_order(ticket())["status"] == "accepted"


def test_margin_lets_cash_go_negative(exchange):
    bought(exchange, qty="1500")
    assert Decimal(exchange.account()["cash"]) < 0
    assert Decimal(exchange.account()["buying_power"]) < 50_000


# Shares ---------------------------------------------------------------------------------------


def test_refusal_over_shares_says_who_holds_them(exchange):
    bought(exchange)
    resting = exchange.submit_order(stop(90, qty="8", time_in_force="gtc"))
    refusal = refused(exchange.submit_order, ticket(side="sell", qty="5"))
    assert refusal.status == 403
    assert refusal.body == {
        "code": 40310000,
        "message": "insufficient qty available for order (requested: 5, available: 2)",
        "available": "2",
        "existing_qty": "10",
        "held_for_orders": "8",
        "related_orders": [resting["id"]],
        "symbol": "AAA",
    }
    assert exchange.submit_order(ticket(side="sell", qty="2"))["id"]


def test_close_position_is_refused_while_a_stop_holds_the_shares(exchange):
    bought(exchange)
    exchange.submit_order(stop(90))
    assert "available: 0" in refused(exchange.close_position, "AAA").message


def test_order_does_not_sell_beyond_flat(exchange):
    bought(exchange)
    assert "requested: 15" in refused(exchange.submit_order, ticket(side="sell", qty="15")).message


def test_sale_when_flat_opens_a_short(exchange):
    exchange.submit_order(ticket(side="sell"))
    position = exchange.position("AAA")
    assert (position["qty"], position["side"]) == ("-10", "short")


@pytest.mark.parametrize("how", ["setting", "configuration", "cash account"])
def test_no_shorting_refuses_it(how):
    exchange = exchange_on(
        no_shorting=how == "setting", multiplier=1 if how == "cash account" else 2
    )
    if how == "configuration":
        assert exchange.configure({"no_shorting": True})["no_shorting"] is True
    refusal = refused(exchange.submit_order, ticket(side="sell"))
    assert (refusal.status, refusal.code) == (403, 40310000)
    assert refusal.message == "account is not allowed to short"
    assert exchange.account()["shorting_enabled"] is False


# Wash trades ----------------------------------------------------------------------------------

RESTING = {
    "stop": stop(90, time_in_force="gtc"),
    "limit": limit(110, side="sell", time_in_force="gtc"),
    "trailing": ticket(side="sell", type="trailing_stop", trail_price="5", time_in_force="gtc"),
    "oco": limit(None, side="sell", time_in_force="gtc", order_class="oco")
    | {"take_profit": {"limit_price": "110"}, "stop_loss": {"stop_price": "90"}},
}
RESTING["oco"].pop("limit_price")
BRACKET = {"take_profit": {"limit_price": "120"}, "stop_loss": {"stop_price": "90"}}


@pytest.mark.parametrize(
    ("resting", "new", "taken"),
    [
        ("stop", ticket(), False),
        ("stop", limit(95), False),
        ("stop", stop(105, side="buy"), False),
        ("stop", ticket(order_class="oto", stop_loss={"stop_price": "90"}), False),
        ("stop", ticket(order_class="bracket", **BRACKET), True),
        ("stop", ticket(type="trailing_stop", trail_price="2"), True),
        ("stop", ticket("BBB"), True),
        ("limit", ticket(), False),
        ("limit", limit(110), False),
        ("limit", limit("109.99"), True),
        ("trailing", ticket(), True),
        ("oco", ticket(), True),
    ],
)
def test_own_resting_order_blocks_the_other_side(exchange, resting, new, taken):
    bought(exchange)
    existing = exchange.submit_order(RESTING[resting])
    exchange.account()
    if taken:
        assert exchange.submit_order(new)["id"]
        return
    refusal = refused(exchange.submit_order, new)
    kind = "limit" if resting == "limit" else "market/stop"
    assert refusal.body == {
        "code": 40310000,
        "message": "potential wash trade detected. use complex orders",
        "existing_order_id": existing["id"],
        "reject_reason": f"opposite side {kind} order exists",
    }


def test_resting_buy_blocks_a_stop_under_what_is_held(exchange):
    bought(exchange)
    exchange.submit_order(limit(95))
    assert "wash trade" in refused(exchange.submit_order, stop(90)).message


# Settings -------------------------------------------------------------------------------------


def test_suspended_account_takes_no_order(exchange):
    exchange.configure({"suspend_trade": True})
    assert refused(exchange.submit_order, ticket()).status == 403
    assert exchange.account()["trade_suspended_by_user"] is True


@pytest.mark.parametrize(
    "body", [{"no_shorting": "yes"}, {"max_margin_multiplier": "3"}, "no_shorting"]
)
def test_configuration_that_makes_no_sense_is_refused(exchange, body):
    assert refused(exchange.configure, body).status == 422


def test_latency_that_never_ends_is_refused():
    with pytest.raises(ValueError, match="nothing would ever happen"):
        Latency(polls=None, delay=None)
    with pytest.raises(ValueError, match="at least 1"):
        Latency(polls=0)


def test_clock_runs_forwards_and_knows_its_zone(exchange):
    with pytest.raises(ValueError, match="time zone"):
        exchange.advance_to(new_york(21, 10).replace(tzinfo=None))
    with pytest.raises(ValueError, match="backwards"):
        exchange.advance_to(exchange.now - timedelta(seconds=1))
