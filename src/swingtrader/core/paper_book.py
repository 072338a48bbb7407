"""The game agents are trained at and judged by: positions on paper, paid in returns net of costs.

What is known at the close of row t decides a position that is held from the open of t + 1 to the
open of t + 2; nobody can trade a close after having seen it. So the reward of row t is

    position x (open[t + 2] / open[t + 1] - 1) - cost x |position - position before|

in units of the capital that stands behind one symbol.

Where one of the two opens is missing, or the symbol is not rankable at the close, the row cannot
be played: the position is 0 whatever was asked for, and the only reward is the cost of having
left what was held before, at the last open there was. A position is thus never carried through
a gap, and what a symbol did between its last open and its last close before a delisting is not
seen by the agents; the backtest books it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.agents import seen_when_flat
from swingtrader.core.arrays import frozen
from swingtrader.core.perceptron import OBSERVATIONS
from swingtrader.core.walkforward import rankable

if TYPE_CHECKING:
    from swingtrader.core.arrays import BoolArray, FloatArray

OPENS_AHEAD = 2
"""The reward of row t is known at the open of row t + 2."""

PURGED_SESSIONS = 1
"""Left out between sessions to train and sessions to judge on.

The reward of the row before the last purged one ends at the open of the session whose close is
the first to be judged from. Nothing an agent was trained on lies after that close; execution
takes place at the next open and needs no embargo.
"""

ADAPTATION = 1.0 / 63.0
"""Weight of the newest reward in the moments of `differential_sharpe`: about a quarter."""

TYPICAL_DEVIATION = 0.02
"""Of a stock's daily return; what a differential Sharpe ratio begins with."""


@dataclass(frozen=True, eq=False)
class Game:
    """N symbols over T sessions, as agents see and are paid for them.

    Attributes
    ----------
    seen : ndarray of shape (T, N, OBSERVATIONS), float32
        At the close of each row, for an agent that is flat.
    ranked : ndarray of shape (T, N), bool
        Where the symbol is rankable.
    returns : ndarray of shape (T, N)
        Open to open, decided at the row's close; NaN where the row cannot be played.
    cost_fraction : float
        Of the capital traded, a side: half-spread plus slippage.

    Raises
    ------
    ValueError
        Shapes disagree, something seen is not finite, or the cost is not in [0, 1).
    """

    seen: FloatArray
    ranked: BoolArray
    returns: FloatArray
    cost_fraction: float

    def __post_init__(self) -> None:
        shape = self.returns.shape
        if self.seen.shape != (*shape, OBSERVATIONS) or self.ranked.shape != shape:
            raise ValueError(f"seen {self.seen.shape} and returns {shape} do not fit together")
        if not np.isfinite(self.seen).all() or np.isinf(self.returns).any():
            raise ValueError("what agents see and are paid must be finite")
        if not 0.0 <= self.cost_fraction < 1.0:
            raise ValueError(f"cost_fraction must be in [0, 1), not {self.cost_fraction}")
        for name in ("seen", "ranked", "returns"):
            object.__setattr__(self, name, frozen(getattr(self, name)))

    def rows(self, start: int, stop: int) -> Game:
        """Sessions `start` up to but not including `stop`."""
        part = slice(start, stop)
        return Game(self.seen[part], self.ranked[part], self.returns[part], self.cost_fraction)


def paper_game(
    factors: FloatArray,
    p_high_volatility: FloatArray,
    atr_fraction: FloatArray,
    opens: FloatArray,
    *,
    cost_fraction: float,
) -> Game:
    """Set up the game over T sessions of N symbols.

    Parameters
    ----------
    factors : ndarray of shape (T, N, 13)
        Z-scores at the close.
    p_high_volatility : ndarray of shape (T,)
        Filtered up to the row's close.
    atr_fraction : ndarray of shape (T, N)
    opens : ndarray of shape (T, N), USD
        Split-adjusted; NaN where the symbol has no bar. Not positive counts as missing.
    cost_fraction : float

    Returns
    -------
    Game
        Of T rows, the last two of which cannot be played: their reward is not known yet.
    """
    seen = seen_when_flat(factors, p_high_volatility, atr_fraction)
    ranked = rankable(factors)
    returns = np.where(ranked, open_to_open_returns(opens), np.nan)
    return Game(seen, ranked, returns, cost_fraction)


def open_to_open_returns(opens: FloatArray) -> FloatArray:
    """Return from the open of the next session to the open of the one after it.

    Parameters
    ----------
    opens : ndarray of shape (T, N), USD

    Returns
    -------
    ndarray of shape (T, N)
        Row t is ``opens[t + 2] / opens[t + 1] - 1``; NaN in the last two rows and where either
        open is missing or not positive.
    """
    returns = np.full(opens.shape, np.nan)
    prices = np.where(opens > 0.0, opens, np.nan)  # NaN > 0 is False
    returns[:-OPENS_AHEAD] = prices[2:] / prices[1:-1] - 1.0
    return returns


def positions_held(asked: FloatArray, returns: FloatArray) -> FloatArray:
    """What is really held when positions are asked for: in [-1, 1], 0 where none can be.

    Parameters
    ----------
    asked, returns : ndarray of one shape
        NaN in `asked` holds nothing; NaN in `returns` cannot be played.
    """
    playable = ~np.isnan(returns) & ~np.isnan(asked)
    return np.where(playable, np.clip(asked, -1.0, 1.0), 0.0)


def rewards(
    held: FloatArray, before: FloatArray, returns: FloatArray, cost_fraction: float
) -> FloatArray:
    """Return of each position net of what it cost to come to it.

    Parameters
    ----------
    held : ndarray of any shape
        From `positions_held`.
    before : ndarray of the same shape
        Held one session earlier.
    returns : ndarray of the same shape
        NaN where nothing is held.
    """
    earned = held * np.where(np.isnan(returns), 0.0, returns)
    net: FloatArray = earned - cost_fraction * np.abs(held - before)
    return net


def book_returns(asked: FloatArray, returns: FloatArray, cost_fraction: float) -> FloatArray:
    """Daily net returns of a book that gives every symbol the same capital.

    The book begins flat; capital of a symbol that cannot be played is idle, and is not lent to
    the others.

    Parameters
    ----------
    asked : ndarray of shape (T, N)
        Positions; NaN is none.
    returns : ndarray of shape (T, N)
        As in `Game`.

    Returns
    -------
    ndarray of shape (T,)
    """
    held = positions_held(asked, returns)
    before = np.vstack([np.zeros_like(held[:1]), held[:-1]])
    daily: FloatArray = rewards(held, before, returns, cost_fraction).mean(axis=1)
    return daily


def exposure(held: FloatArray, returns: FloatArray) -> float:
    """Mean position over all that could be played; 0.0 where nothing could.

    Parameters
    ----------
    held, returns : ndarray of one shape
        As in `positions_held`.
    """
    playable = int(np.count_nonzero(~np.isnan(returns)))
    return float(held.sum()) / playable if playable else 0.0


def differential_sharpe(
    reward: FloatArray, mean: FloatArray, square: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What one more reward does to the Sharpe ratio (Moody & Saffell 1998, eq. 7-9).

    The moments are exponential averages with weight `ADAPTATION`. An episode begins with mean 0
    and square `TYPICAL_DEVIATION` squared: from moments of zero the first rewards would be
    worth anything.

    Parameters
    ----------
    reward, mean, square : ndarray of one shape
        The reward, and the averages of rewards and of their squares before it.

    Returns
    -------
    differential, mean, square : ndarray of the same shape
        The differential Sharpe ratio, per unit of `ADAPTATION`, and the averages after it. 0
        where the averages have no variance.
    """
    by_mean, by_square = reward - mean, reward * reward - square
    variance = square - mean * mean
    scale = np.zeros_like(variance)
    np.power(variance, -1.5, out=scale, where=variance > np.finfo(np.float64).tiny)
    differential = (square * by_mean - 0.5 * mean * by_square) * scale
    return differential, mean + ADAPTATION * by_mean, square + ADAPTATION * by_square
