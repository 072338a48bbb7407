"""From bars to signals, the same way live and in the backtest.

`market_view` holds what the bars alone say at the close of each session; `decision_signals`
joins it with the models' opinions. `before_open` is the one place where a value known at a
close moves to the next session, whose decision may use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.arrays import frozen
from swingtrader.core.factors import (
    FACTORS,
    average_true_range_fraction,
    cross_sectional_z_scores,
    factor_panel,
    mean_dollar_volume,
)
from swingtrader.core.regime import regime_features
from swingtrader.core.sectors import by_stock, market_index, sector_momentum, sector_strength
from swingtrader.core.vote import momentum_signal, quant_signal, regime_signal

if TYPE_CHECKING:
    from swingtrader.core.arrays import FloatArray, IntArray
    from swingtrader.core.market import Panel
    from swingtrader.core.universe import Kind, Universe

_MOMENTUM = FACTORS.index("momentum_21")


@dataclass(frozen=True, eq=False)
class MarketView:
    """What the bars say; row t is complete at the close of session t.

    Attributes
    ----------
    stocks : Panel
        The tradable symbols, N of them.
    sector : ndarray of shape (N,)
    kinds : tuple of length N
    market : ndarray of shape (T,)
        Closes of the market proxy, or the equal-weighted index.
    strength : ndarray of shape (T, S)
    market_signal : ndarray of shape (T, N)
    factors : ndarray of shape (T, N, 13)
        Cross-sectional z-scores.
    atr_fraction, dollar_volume_usd : ndarray of shape (T, N)
    regime : ndarray of shape (T, 2)
        Features of the regime model.
    """

    stocks: Panel
    sector: IntArray
    kinds: tuple[Kind, ...]
    market: FloatArray
    strength: FloatArray
    market_signal: FloatArray
    factors: FloatArray
    atr_fraction: FloatArray
    dollar_volume_usd: FloatArray
    regime: FloatArray


def market_view(panel: Panel, universe: Universe, *, listed_only: bool = False) -> MarketView:
    """Derive everything that needs no trained model.

    Parameters
    ----------
    panel : Panel
        Stocks and context.
    listed_only : bool
        Leave symbols outside the universe untraded.

    Raises
    ------
    ValueError
        No symbol of the panel may be traded.
    """
    symbols = universe.tradable(panel.symbols, listed_only=listed_only)
    if not symbols:
        raise ValueError("no symbol that may be traded")
    stocks = panel.select(symbols)
    numbers = universe.sector_numbers(symbols)
    market = market_index(panel, universe, stocks)
    strength = sector_strength(panel, universe, stocks, market)
    momentum = by_stock(sector_momentum(panel, universe, stocks, market), numbers)
    return MarketView(
        stocks=stocks,
        sector=numbers,
        kinds=tuple(universe.kind_of(symbol) for symbol in symbols),
        market=market,
        strength=strength,
        market_signal=by_stock(strength, numbers),
        factors=cross_sectional_z_scores(factor_panel(stocks, momentum), stocks.traded),
        atr_fraction=average_true_range_fraction(stocks),
        dollar_volume_usd=mean_dollar_volume(stocks),
        regime=regime_features(market),
    )


def before_open(at_close: FloatArray) -> FloatArray:
    """Move each row to the next session: what its decision may know of the past.

    Parameters
    ----------
    at_close : ndarray of shape (T, ...)

    Returns
    -------
    ndarray of the same shape
        Row t is `at_close[t - 1]`; row 0 is NaN.
    """
    moved = np.full(at_close.shape, np.nan)
    moved[1:] = at_close[:-1]
    return frozen(moved)


def decision_signals(
    view: MarketView,
    probability: FloatArray,
    p_high_volatility: FloatArray,
    sentiment: FloatArray | None = None,
    rl: FloatArray | None = None,
) -> FloatArray:
    """Stack the six signals of every session's decision.

    Parameters
    ----------
    probability : ndarray of shape (T, N)
        Ranker's, by the session decided in.
    p_high_volatility : ndarray of shape (T,)
        Likewise.
    sentiment, rl : ndarray of shape (T, N), optional
        Likewise; None is absent.

    Returns
    -------
    ndarray of shape (T, 6, N)
        In the order of `SIGNALS`; NaN is absent.
    """
    absent = np.full(probability.shape, np.nan)
    return frozen(
        np.stack(
            [
                before_open(view.market_signal),
                quant_signal(probability),
                absent if rl is None else rl,
                absent if sentiment is None else sentiment,
                momentum_signal(before_open(view.factors[..., _MOMENTUM])),
                regime_signal(p_high_volatility, view.kinds),
            ],
            axis=1,
        )
    )
