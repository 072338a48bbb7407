"""Small markets that move enough for every exit to be met: random walks with crashes and gaps."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from tests.trading.conftest import FIRST_DAY, LAST_DAY

from swingtrader.adapters.calendar import (
    session_closes,
    session_opens,
    sessions_between,
)
from swingtrader.core.market import Panel
from swingtrader.simulator.clock import Timetable

MARKETS = 8
"""How many there are. A schedule chooses one; each is made once a process."""

ALPHABET = tuple(letter * 3 for letter in "ABCDEFGHIJKLMN")
SHOCK_CHANCE = 0.04
CHEAPEST_USD, DEAREST_USD = 7.0, 300.0


@lru_cache(maxsize=1)
def timetable():
    """Sessions of the autumn, holidays and a half-day among them."""
    sessions = sessions_between(FIRST_DAY, LAST_DAY)
    return Timetable(sessions, session_opens(sessions), session_closes(sessions))


def symbols_of(number):
    """Stocks of a market: six to ten, and fourteen in every fourth."""
    return ALPHABET if number % 4 == 3 else ALPHABET[: 6 + number % 5]


@lru_cache(maxsize=MARKETS)
def panel_of(number):
    """Daily bars of a market, in whole cents."""
    rng = np.random.default_rng([31, number])
    sessions = sessions_between(FIRST_DAY, LAST_DAY)
    symbols = symbols_of(number)
    shape = (len(sessions), len(symbols))
    volatility = rng.uniform(0.01, 0.04, len(symbols))
    night = rng.standard_normal(shape) * volatility * 0.6
    shocked = rng.random(shape) < SHOCK_CHANCE
    night = np.where(shocked, rng.uniform(-0.25, 0.12, shape), night)
    day = rng.standard_normal(shape) * volatility
    first = np.exp(rng.uniform(np.log(CHEAPEST_USD), np.log(DEAREST_USD), len(symbols)))
    close = first * np.cumprod(np.maximum((1 + night) * (1 + day), 0.5), axis=0)
    # No stock falls to where an order is for less than a dollar.
    close = np.maximum(close, 2.0)
    opening = np.maximum(close / (1 + day), 2.0)
    reach = np.abs(rng.standard_normal((2, *shape))) * volatility * 0.5
    high = np.maximum(opening, close) * (1 + reach[0])
    low = np.minimum(opening, close) * (1 - reach[1])
    prices = [np.round(each, 2) for each in (opening, high, low, close)]
    return Panel(sessions, symbols, *prices, np.full(shape, 2e6))
