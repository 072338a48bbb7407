"""Headlines of many symbols: few requests, and a symbol that is none costs only itself."""

from __future__ import annotations

from datetime import timedelta

from tests.adapters.conftest import data_on
from tests.simulator.conftest import exchange_on

from swingtrader.adapters.alpaca_data import SYMBOLS_A_REQUEST
from swingtrader.simulator.articles import Article
from swingtrader.simulator.faults import Fault, Kind

NEWS = "/v1beta1/news"
MANY = [f"S{number}" for number in range(SYMBOLS_A_REQUEST + 1)]


def newsroom():
    """An exchange with a headline of every symbol, one a minute, and one of the first and last."""
    exchange = exchange_on()
    told = [
        Article(exchange.now - timedelta(minutes=number), (symbol,), f"No. {number}")
        for number, symbol in enumerate(MANY)
    ]
    both = Article(exchange.now - timedelta(minutes=1), (MANY[0], MANY[-1]), "Both")
    return exchange_on(news=[*told, both])


def test_symbols_are_asked_for_a_hundred_at_a_time_and_answers_put_in_order_of_time():
    exchange = newsroom()
    data = data_on(exchange)
    found = data.headlines(MANY, exchange.now - timedelta(days=1), exchange.now, most=500)
    assert len(found) == len(MANY) + 2  # one of symbols in both groups comes twice
    assert [each.at for each in found] == sorted(each.at for each in found)
    asked = [each.query["symbols"].count(",") + 1 for each in exchange.requests]
    assert asked == [100, 100, 100, 1]  # three pages of the first group


def test_of_too_many_the_latest_of_all_groups_are_kept():
    exchange = newsroom()
    found = data_on(exchange).headlines(
        MANY, exchange.now - timedelta(days=1), exchange.now, most=3
    )
    assert [each.text for each in found] == ["Both", "Both", "No. 0"]


def test_a_symbol_that_the_broker_calls_invalid_costs_only_itself():
    exchange = newsroom()
    body = '{"message": "invalid symbol: S1"}'
    exchange.set_fault(Fault(Kind.STATUS, "GET", NEWS, status=400, body=body))
    data = data_on(exchange)
    found = data.headlines(["S0", "S1"], exchange.now - timedelta(days=1), exchange.now, most=9)
    assert [each.text for each in found] == ["Both", "No. 0"]
    assert data.doubts == ["S1: the broker says that it is no symbol"]
    assert [each.query["symbols"] for each in exchange.requests] == ["S0,S1", "S0"]
