"""Time-outs, retries and the meaning of every failure, with the real clients."""

from __future__ import annotations

import traceback
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from email.utils import format_datetime

import pytest
import structlog
from tests.adapters.conftest import broker_on, connection_to, data_on
from tests.simulator.conftest import KEYS, exchange_on, new_york

from swingtrader.adapters.alpaca_refusals import refusal_kind
from swingtrader.adapters.alpaca_trading import AlpacaBroker
from swingtrader.adapters.alpaca_wire import Connection
from swingtrader.core.orders import OrderType, RefusalKind, Ticket
from swingtrader.errors import (
    BrokerError,
    BrokerUnreachable,
    CredentialsRefused,
    OrderRefused,
    OutcomeUnknown,
    SwingtraderError,
)
from swingtrader.simulator import faults
from swingtrader.simulator.faults import Fault, Kind
from swingtrader.simulator.server import serve

BUY = Ticket("st-20231120-AAA-buy-entry-1", "AAA", "buy", Decimal(10), OrderType.MARKET)
ACCOUNT = ("GET", "/v2/account")
ORDERS = ("POST", "/v2/orders")


def answered(status, body, method="*", path="*", headers=None, times=1):
    """An answer of another making, in place of the exchange's."""
    return Fault(
        Kind.STATUS, method, path, 1, times, status=status, body=body, headers=headers or {}
    )


# What a refusal means ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (
            403,
            {
                "code": 40310000,
                "message": "insufficient buying power",
                "buying_power": "10",
                "cost_basis": "1000",
            },
            RefusalKind.NO_CASH,
        ),
        (403, {"code": 40310000, "message": "no", "buying_power": "10"}, RefusalKind.NO_CASH),
        (403, {"code": 40310000, "message": "insufficient buying power"}, RefusalKind.NO_CASH),
        (
            403,
            {
                "code": 40310000,
                "message": "insufficient qty available for order (requested: 5, available: 0)",
                "available": "0",
                "existing_qty": "5",
                "held_for_orders": "5",
                "related_orders": ["a"],
                "symbol": "AAA",
            },
            RefusalKind.SHARES_HELD,
        ),
        (403, {"code": 40310000, "message": "", "held_for_orders": "5"}, RefusalKind.SHARES_HELD),
        (
            403,
            {
                "code": 40310000,
                "message": "potential wash trade detected. use complex orders",
                "existing_order_id": "a",
                "reject_reason": "opposite side market/stop order exists",
            },
            RefusalKind.WASH_TRADE,
        ),
        (403, {"message": "potential wash trade detected"}, RefusalKind.WASH_TRADE),
        (
            403,
            {"code": 40310000, "message": "account is not allowed to short"},
            RefusalKind.NO_SHORTING,
        ),
        (
            422,
            {"code": 42210000, "message": "fractional orders cannot be sold short"},
            RefusalKind.NO_SHORTING,
        ),
        (
            403,
            {
                "code": 40310000,
                "message": "cost basis must be >= minimal amount of order 1",
            },
            RefusalKind.OTHER,
        ),
        (404, {"code": 40410000, "message": "order not found for abc"}, RefusalKind.NOT_FOUND),
        (404, {"code": 40410000, "message": "position does not exist"}, RefusalKind.NOT_FOUND),
        (404, {"message": "order not found"}, RefusalKind.NOT_FOUND),
        (404, {"message": "endpoint not found."}, RefusalKind.OTHER),
        (404, None, RefusalKind.OTHER),
        (
            422,
            {"code": 40010001, "message": "client_order_id must be unique"},
            RefusalKind.DUPLICATE_ID,
        ),
        (
            400,
            {"code": 40010001, "message": "client order id must be unique"},
            RefusalKind.DUPLICATE_ID,
        ),
        (422, {"code": 40010001, "message": "qty is required"}, RefusalKind.OTHER),
        (
            422,
            {
                "code": 42210000,
                "message": "invalid limit_price 1.001. sub-penny increment does not fulfill "
                "minimum pricing criteria",
            },
            RefusalKind.PRICE,
        ),
        (
            422,
            {"code": 42210000, "message": "stop price must be less than current price"},
            RefusalKind.PRICE,
        ),
        (
            422,
            {"code": 42210000, "message": "stop_loss.stop_price must be <=", "base_price": "100"},
            RefusalKind.PRICE,
        ),
        (
            422,
            {"code": 42210000, "message": "fractional orders must be DAY orders"},
            RefusalKind.OTHER,
        ),
        (
            422,
            {"code": 42210000, "message": 'order is already in "filled" state'},
            RefusalKind.NOT_CANCELABLE,
        ),
        (
            422,
            {"code": 42210000, "message": "order is not cancelable"},
            RefusalKind.NOT_CANCELABLE,
        ),
        (
            422,
            {"code": 42210000, "message": "cannot replace order in accepted status"},
            RefusalKind.OTHER,
        ),
        (429, {"message": "too many requests."}, RefusalKind.RATE_LIMITED),
        (429, None, RefusalKind.RATE_LIMITED),
        (422, {"message": 5}, RefusalKind.OTHER),
        (400, None, RefusalKind.OTHER),
    ],
)
def test_refusal_is_told_by_its_fields_and_words_not_by_its_code(status, body, kind):
    assert refusal_kind(status, body, "") == kind


def test_refusal_that_is_no_json_is_told_by_its_text():
    assert refusal_kind(403, None, "insufficient buying power") == RefusalKind.NO_CASH


# One request is one request ----------------------------------------------------------------------


@pytest.mark.parametrize("accepted", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        faults.silence,
        faults.reset,
        faults.server_error,
        faults.bad_gateway,
        faults.gateway_timeout,
        faults.empty,
    ],
)
def test_order_without_a_usable_answer_is_sent_once_and_its_outcome_unknown(
    exchange, broker, pauses, make, accepted
):
    exchange.set_fault(make(*ORDERS, accepted=accepted))
    with pytest.raises(OutcomeUnknown, match="POST /v2/orders"):
        broker.submit(BUY)
    assert (len(exchange.requests), pauses) == (1, [])
    found = broker.order_by_client_id(BUY.client_order_id)
    assert (found is not None) == accepted


@pytest.mark.parametrize("make", [faults.cut_json, faults.cut_connection])
def test_order_whose_answer_is_cut_is_sent_once_and_its_outcome_unknown(exchange, broker, make):
    exchange.set_fault(make(*ORDERS))
    with pytest.raises(OutcomeUnknown):
        broker.submit(BUY)
    assert len(exchange.requests) == 1
    assert broker.order_by_client_id(BUY.client_order_id).status == "filled"


def test_request_timeout_of_a_proxy_leaves_the_outcome_unknown(exchange, broker):
    exchange.set_fault(answered(408, ""))
    with pytest.raises(OutcomeUnknown, match="HTTP 408"):
        broker.submit(BUY)


def test_order_that_meets_the_rate_limit_was_not_taken_and_is_sent_again(exchange, broker, pauses):
    exchange.set_fault(faults.rate_limited(*ORDERS, times=3))
    assert broker.submit(BUY).client_order_id == BUY.client_order_id
    assert pauses == [1, 2, 4]
    assert (len(exchange.requests), len(exchange.all_orders)) == (4, 1)


def test_order_is_refused_when_the_rate_limit_stays(exchange, broker, pauses):
    exchange.set_fault(faults.rate_limited(*ORDERS, times=9))
    with pytest.raises(OrderRefused, match="too many requests") as refused:
        broker.submit(BUY)
    assert refused.value.kind is RefusalKind.RATE_LIMITED
    assert (pauses, len(exchange.requests)) == ([1, 2, 4], 4)


def test_order_that_is_wanted_no_more_when_the_rate_limit_has_passed_is_not_sent(
    exchange, broker, pauses
):
    exchange.set_fault(faults.rate_limited(*ORDERS, times=2))
    answers = iter([True, False])
    with pytest.raises(OrderRefused) as refused:
        broker.submit(BUY, still_wanted=lambda: next(answers))
    assert refused.value.kind is RefusalKind.RATE_LIMITED
    assert (pauses, len(exchange.requests), len(exchange.all_orders)) == ([1, 2], 2, 0)


def test_answer_lost_after_the_rate_limit_is_not_asked_for_again(exchange, broker, pauses):
    exchange.set_fault(faults.rate_limited(*ORDERS))
    exchange.set_fault(faults.silence(*ORDERS, accepted=True, nth=2))
    with pytest.raises(OutcomeUnknown):
        broker.submit(BUY)
    assert (pauses, len(exchange.all_orders)) == ([1], 1)


# Reading is repeated -----------------------------------------------------------------------------

READ_FAULTS = [
    lambda times: faults.silence(*ACCOUNT, accepted=False, times=times),
    lambda times: faults.reset(*ACCOUNT, accepted=False, times=times),
    lambda times: faults.server_error(*ACCOUNT, accepted=False, times=times),
    lambda times: faults.bad_gateway(*ACCOUNT, accepted=False, times=times),
    lambda times: faults.gateway_timeout(*ACCOUNT, accepted=False, times=times),
    lambda times: faults.rate_limited(*ACCOUNT, times=times),
    lambda times: faults.cut_json(*ACCOUNT, times=times),
    lambda times: faults.cut_connection(*ACCOUNT, times=times),
    lambda times: faults.empty(*ACCOUNT, accepted=True, times=times),
    lambda times: answered(200, "null", *ACCOUNT, times=times),
    lambda times: answered(200, "[" * 100_000, *ACCOUNT, times=times),
    lambda times: answered(200, "9" * 5000, *ACCOUNT, times=times),
]


@pytest.mark.parametrize("make", READ_FAULTS)
@pytest.mark.parametrize(("times", "waited"), [(1, [0.5]), (2, [0.5, 2.0])])
def test_reading_is_tried_three_times(exchange, broker, pauses, make, times, waited):
    exchange.set_fault(make(times))
    assert broker.account().number == "PA3SIMULATED"
    assert (pauses, len(exchange.requests)) == (waited, times + 1)


@pytest.mark.parametrize("make", READ_FAULTS)
def test_reading_gives_up_after_the_third_try(exchange, broker, pauses, make):
    exchange.set_fault(make(9))
    with pytest.raises(BrokerUnreachable) as unreachable:
        broker.account()
    assert type(unreachable.value) is BrokerUnreachable
    assert unreachable.value.asked == "GET /v2/account"
    assert "?" not in str(unreachable.value)
    assert (pauses, len(exchange.requests)) == ([0.5, 2.0], 3)


def test_each_repetition_is_logged_with_its_reason(exchange, broker):
    exchange.set_fault(faults.bad_gateway(*ACCOUNT, accepted=False))
    with structlog.testing.capture_logs() as logs:
        broker.account()
    assert logs == [
        {
            "event": "request.repeated",
            "log_level": "warning",
            "asked": "GET /v2/account",
            "why": "HTTP 502",
            "after_seconds": 0.5,
        }
    ]


@pytest.mark.parametrize(
    ("reset_after", "waited"),
    [(3, 3.0), (5, 5.0), (6, 0.5), (-1, 0.5), (0, 0.5), (3600, 0.5)],
)
def test_near_end_of_the_rate_limit_is_waited_for(exchange, broker, pauses, reset_after, waited):
    reset_at = exchange.now + timedelta(seconds=reset_after)
    headers = {
        "Date": format_datetime(exchange.now, usegmt=True),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": f"{reset_at.timestamp():.0f}",
    }
    exchange.set_fault(answered(429, "", *ACCOUNT, headers=headers))
    broker.account()
    assert pauses == [waited]


@pytest.mark.parametrize("headers", [{"Date": "noon"}, {"X-RateLimit-Reset": "soon"}, {}])
def test_unreadable_end_of_the_rate_limit_is_not_waited_for(exchange, broker, pauses, headers):
    defaults = {"Date": "Mon, 20 Nov 2023 15:00:00 GMT", "X-RateLimit-Reset": "nan"}
    exchange.set_fault(answered(429, "", *ACCOUNT, headers=defaults | headers))
    broker.account()
    assert pauses == [0.5]


def test_rate_limit_of_the_account_counts_and_is_not_exceeded_for_long(pauses):
    exchange = exchange_on(requests_a_minute=1)
    broker = broker_on(exchange, pauses)
    broker.clock()
    with pytest.raises(BrokerUnreachable, match="too many requests"):
        broker.account()
    exchange.advance_to(new_york(20, 10, 1))
    assert broker.account().number


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, '{"message":"bad request"}'),
        (403, '{"code":40310000,"message":"account is restricted"}'),
        (403, "<html><h1>403 Forbidden</h1></html>"),
        (404, '{"message":"endpoint not found."}'),
        (404, "<html>not found</html>"),
        (422, '{"code":40010001,"message":"malformed"}'),
        (422, ""),
        (418, '["a list"]'),
    ],
)
def test_refused_question_is_not_repeated(exchange, broker, pauses, status, body):
    exchange.set_fault(answered(status, body))
    with pytest.raises(BrokerUnreachable, match=f"HTTP {status}"):
        broker.account()
    assert pauses == []


@pytest.mark.parametrize("status", [301, 302, 307])
def test_redirection_is_not_followed(exchange, broker, status):
    exchange.set_fault(
        answered(status, "<a>elsewhere</a>", headers={"Location": "http://a.invalid"}, times=9)
    )
    with pytest.raises(BrokerUnreachable, match="no JSON"):
        broker.account()
    with pytest.raises(OutcomeUnknown):
        broker.submit(BUY)
    assert {record.path for record in exchange.requests} == {"/v2/account", "/v2/orders"}


@pytest.mark.parametrize("body", ["[]", '"text"', "5", "true"])
def test_answer_of_another_shape_is_unusable(exchange, broker, body):
    exchange.set_fault(answered(200, body))
    with pytest.raises(BrokerUnreachable, match="no JSON object"):
        broker.account()


@pytest.mark.parametrize("body", ["{}", '"text"', "[5]", "[null]"])
def test_list_of_another_shape_is_unusable(exchange, broker, body):
    exchange.set_fault(answered(200, body))
    with pytest.raises(BrokerUnreachable, match=r"no (list|JSON object)"):
        broker.positions()


# Keys --------------------------------------------------------------------------------------------


def test_wrong_keys_are_refused_and_the_variables_named(exchange):
    broker = broker_on(exchange, keys=("simulated-key", "wrong-secret"))
    for ask in (broker.clock, lambda: broker.submit(BUY), lambda: broker.cancel("an-order")):
        with pytest.raises(CredentialsRefused, match="ALPACA_API_KEY and ALPACA_SECRET_KEY"):
            ask()
    data = data_on(exchange, keys=("simulated-key", "wrong-secret"))
    with pytest.raises(CredentialsRefused, match="GET /v2/stocks/snapshots"):
        data.quotes(["AAA"])


@pytest.mark.parametrize(
    ("status", "body", "of_the_keys"),
    [
        (401, '{"code":40110000,"message":"request is not authorized"}', True),
        (401, '{"message":"unauthorized"}', True),
        (401, "<html>", True),
        (401, "", True),
        (403, '{"code":40110000,"message":"request is not authorized"}', True),
        (403, '{"message":"forbidden."}', True),
        (403, '{"message":"access key verification failed"}', True),
        (403, '{"code":40310000,"message":"account is not authorized to trade"}', False),
        (403, '{"code":40310000,"message":"insufficient buying power"}', False),
        (403, '{"message":"something else"}', False),
        (403, "<html><h1>403 Forbidden</h1></html>", False),
    ],
)
def test_403_is_of_the_keys_only_where_it_says_so(exchange, broker, status, body, of_the_keys):
    exchange.set_fault(answered(status, body, times=2))
    with pytest.raises(CredentialsRefused if of_the_keys else BrokerUnreachable):
        broker.account()
    with pytest.raises(CredentialsRefused if of_the_keys else OrderRefused):
        broker.submit(BUY)
    assert len(exchange.requests) == 2


def test_connection_does_not_show_its_keys():
    shown = repr(connection_to())
    assert "exchange.invalid" in shown
    assert not any(key in shown for key in KEYS)


def failure_of(ask):
    """How asking failed; None where an empty or strange answer is answer enough."""
    try:
        ask()
    except SwingtraderError as error:
        return error
    return None


def everything_said(error):
    """All that a log, a traceback or a debugger's chain would show of an exception."""
    said = [] if error is None else ["".join(traceback.format_exception(error))]
    while error is not None:
        said += [str(error), repr(error), repr(error.args), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return "\n".join(said)


ECHO = '{{"code":40010001,"message":"\\u0000bad keys {} {}\\r\\n {}"}}'.format(*KEYS, "x" * 400)


@pytest.mark.parametrize(
    "fault",
    [
        *(make(9) for make in READ_FAULTS),
        *(answered(status, ECHO, times=9) for status in (400, 401, 403, 404, 422, 429, 500)),
        answered(500, "simulated-key simulated-secret", times=9),
        answered(200, '{"account_number": null, "id": "simulated-secret"}', times=9),
        answered(200, "simulated-key simulated-secret", times=9),
    ],
)
def test_no_failure_tells_the_keys(exchange, fault):
    fault = replace(fault, method="*", path="*")
    broker = broker_on(exchange)
    asks = (
        broker.account,
        broker.open_orders,
        lambda: broker.submit(BUY),
        lambda: broker.cancel("an-order"),
        broker.forbid_shorting,
        lambda: data_on(exchange).quotes(["AAA"]),
    )
    with structlog.testing.capture_logs() as logs:
        for ask in asks:
            exchange.clear_faults()
            exchange.set_fault(fault)
            error = failure_of(ask)
            said = everything_said(error)
            assert not any(key in said for key in KEYS)
            assert len(str(error)) < 500
    assert not any(key in repr(logs) for key in KEYS)


def test_key_that_no_header_can_hold_is_not_quoted(exchange):
    broker = broker_on(exchange, keys=("simulated-key", "simulated-\nsecret"))
    with pytest.raises(BrokerUnreachable, match="InvalidHeader") as unreachable:
        broker.account()
    assert "secret" not in everything_said(unreachable.value)


def test_brokers_words_are_one_short_printable_line(exchange, broker):
    body = '{"message":"\\u001b[31mred\\u0007 line\\nnext\\u202e' + "x" * 500 + '"}'
    exchange.set_fault(answered(422, body))
    with pytest.raises(OrderRefused) as refused:
        broker.submit(BUY)
    assert refused.value.message.startswith("[31mred line next x")
    assert len(refused.value.message) == 200
    assert refused.value.message.isprintable()


# Over loopback -----------------------------------------------------------------------------------


@pytest.fixture
def served():
    with serve(exchange_on()) as running:
        yield running


def over_loopback(url, pauses):
    return AlpacaBroker(connection_to(url, read_seconds=0.2), pause=pauses.append)


def test_silent_peer_is_left_after_the_time_out(served, pauses):
    broker = over_loopback(served.url, pauses)
    served.exchange.set_fault(faults.silence("*", "*", accepted=True, times=2))
    with pytest.raises(OutcomeUnknown, match=r"no answer in time \(127.0.0.1\)"):
        broker.submit(BUY)
    assert broker.account().number == "PA3SIMULATED"
    assert pauses == [0.5]
    assert len(served.exchange.all_orders) == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (faults.reset("*", "*", accepted=True, times=2), "no connection, or it broke"),
        (faults.cut_connection("*", "*", times=2), "an answer that broke off"),
        (faults.cut_json("*", "*", times=2), "an answer that is no JSON"),
    ],
)
def test_broken_connection_is_an_unknown_outcome_and_the_next_one_works(
    served, pauses, fault, words
):
    broker = over_loopback(served.url, pauses)
    broker.clock()  # the connection is kept alive, and it is this one that breaks
    served.exchange.set_fault(fault)
    with pytest.raises(OutcomeUnknown, match=words):
        broker.submit(BUY)
    assert broker.account().number == "PA3SIMULATED"
    assert len(served.exchange.all_orders) == 1


def test_broker_that_is_gone_is_unreachable_until_it_is_back(pauses):
    exchange = exchange_on()
    with serve(exchange) as running:
        broker = over_loopback(running.url, pauses)
        broker.clock()
    with pytest.raises(BrokerError, match="no connection, or it broke"):
        broker.clock()
    with pytest.raises(OutcomeUnknown):
        broker.submit(BUY)
    with serve(exchange, int(running.url.rpartition(":")[2])):
        assert broker.clock().at == exchange.now


def test_unknown_host_is_unreachable():
    connection = Connection(*KEYS, "http://nowhere.invalid", "http://nowhere.invalid")
    broker = AlpacaBroker(connection, pause=[].append)
    with pytest.raises(BrokerUnreachable, match=r"\(nowhere.invalid\)"):
        broker.clock()
