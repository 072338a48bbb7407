"""How the market and its sectors have moved.

A sector is measured by its exchange-traded fund and, on sessions on which the fund has too
little history for the longest window, by the equal-weighted basket of its members. The market
is its proxy or, where the file has none, the equal-weighted universe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.arrays import frozen
from swingtrader.core.returns import returns_since_last_close, simple_returns
from swingtrader.core.universe import NO_SECTOR

if TYPE_CHECKING:
    from swingtrader.core.arrays import BoolArray, FloatArray, IntArray
    from swingtrader.core.market import Panel
    from swingtrader.core.universe import Universe

STRENGTH_WINDOWS = (20, 60, 126)
STRENGTH_GAIN = 5.0
MOMENTUM_WINDOW = 21


def mean_of_present(values: FloatArray) -> FloatArray:
    """Row means over the columns that have a value; NaN where none has.

    Parameters
    ----------
    values : ndarray of shape (T, N)

    Returns
    -------
    ndarray of shape (T,)
    """
    present = ~np.isnan(values)
    count = present.sum(axis=1)
    total = np.where(present, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def equal_weighted_index(close: FloatArray) -> FloatArray:
    """Value of one dollar spread evenly over the traded symbols, rebalanced every session.

    Parameters
    ----------
    close : ndarray of shape (T, N)

    Returns
    -------
    ndarray of shape (T,)
        Starts at 1; a session on which no symbol has a return leaves it where it was.
    """
    returns = mean_of_present(returns_since_last_close(close))
    return np.cumprod(1.0 + np.where(np.isnan(returns), 0.0, returns))


def market_index(panel: Panel, universe: Universe, stocks: Panel) -> FloatArray:
    """Closes of the market proxy, or of the equal-weighted `stocks` where there is none.

    Returns
    -------
    ndarray of shape (T,)
        NaN where the proxy has no bar.
    """
    column = panel.column(universe.market)
    return equal_weighted_index(stocks.close) if column is None else panel.close[:, column]


def sector_returns(
    panel: Panel, universe: Universe, stocks: Panel, windows: tuple[int, ...]
) -> FloatArray:
    """Return of every sector over each window.

    Returns
    -------
    ndarray of shape (W, T, S)
        The fund where it has all windows, else the mean over the members that have one; NaN
        where neither has.
    """
    numbers = universe.sector_numbers(stocks.symbols)
    returns = np.full((len(windows), len(panel.sessions), len(universe.sectors)), np.nan)
    for k, sector in enumerate(universe.sectors):
        members: BoolArray = numbers == k
        basket = np.stack(
            [mean_of_present(simple_returns(stocks.close[:, members], w)) for w in windows]
        )
        column = None if sector.etf is None else panel.column(sector.etf)
        if column is None:
            returns[:, :, k] = basket
        else:
            fund = np.stack([simple_returns(panel.close[:, column], w) for w in windows])
            returns[:, :, k] = np.where(np.isfinite(fund).all(axis=0), fund, basket)
    return returns


def sector_strength(
    panel: Panel, universe: Universe, stocks: Panel, market: FloatArray
) -> FloatArray:
    """Mean excess return over the market in three windows, times five, clipped to [-1, 1].

    Parameters
    ----------
    market : ndarray of shape (T,)
        From `market_index`.

    Returns
    -------
    ndarray of shape (T, S)
        NaN until the longest window is full.
    """
    sector = sector_returns(panel, universe, stocks, STRENGTH_WINDOWS)
    benchmark = np.stack([simple_returns(market, w) for w in STRENGTH_WINDOWS])
    excess = (sector - benchmark[:, :, None]).mean(axis=0)
    return frozen(np.clip(STRENGTH_GAIN * excess, -1.0, 1.0))


def sector_momentum(
    panel: Panel, universe: Universe, stocks: Panel, market: FloatArray
) -> FloatArray:
    """21-session return of each sector in excess of the market's: shape (T, S)."""
    sector = sector_returns(panel, universe, stocks, (MOMENTUM_WINDOW,))[0]
    return frozen(sector - simple_returns(market, MOMENTUM_WINDOW)[:, None])


def by_stock(by_sector: FloatArray, sector_numbers: IntArray) -> FloatArray:
    """Give every stock its sector's value; NaN for stocks without a sector.

    Parameters
    ----------
    by_sector : ndarray of shape (T, S)
    sector_numbers : ndarray of shape (N,)

    Returns
    -------
    ndarray of shape (T, N)
    """
    values = np.full((by_sector.shape[0], len(sector_numbers)), np.nan)
    housed = sector_numbers != NO_SECTOR
    values[:, housed] = by_sector[:, sector_numbers[housed]]
    return frozen(values)
