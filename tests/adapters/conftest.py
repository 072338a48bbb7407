"""The adapters' own view of the simulated exchange: real clients, no sockets, no waiting."""

from __future__ import annotations

import pytest
from tests.simulator.conftest import KEYS, exchange_on

from swingtrader.adapters.alpaca_data import AlpacaData
from swingtrader.adapters.alpaca_trading import AlpacaBroker
from swingtrader.adapters.alpaca_wire import Connection
from swingtrader.simulator import in_process


def connection_to(url=in_process.URL, keys=KEYS, **fields):
    return Connection(*keys, trading_url=url, data_url=url, **fields)


def broker_on(exchange, pauses=None, keys=KEYS):
    """A broker of an exchange in this process; its pauses are noted, not waited."""
    noted = [] if pauses is None else pauses
    broker = AlpacaBroker(connection_to(keys=keys), pause=noted.append)
    in_process.mount(broker.session, exchange)
    return broker


def data_on(exchange, asof=None, pauses=None, **fields):
    """Market data of an exchange in this process, as of its own now."""
    noted = [] if pauses is None else pauses
    data = AlpacaData(connection_to(**fields), pause=noted.append, asof=asof or exchange.now)
    for session in data.sessions:
        in_process.mount(session, exchange)
    return data


@pytest.fixture
def exchange():
    """Monday, 20 November 2023, at 10:00 in New York."""
    return exchange_on()


@pytest.fixture
def pauses():
    """Seconds of every pause so far."""
    return []


@pytest.fixture
def broker(exchange, pauses):
    return broker_on(exchange, pauses)


@pytest.fixture
def data(exchange, pauses):
    return data_on(exchange, pauses=pauses)
