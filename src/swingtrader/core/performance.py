"""What an account did: descriptive measures of an equity curve, its returns and its trades.

How sure one may be of any of them is the subject of ``inference``.

Conventions, the same for every function:

- An equity curve of T sessions has T + 1 values: the starting cash, then each session's close.
  So a loss on the first session is a drawdown, as in empyrical (in skfolio it is not).
- Returns are simple, one a session; rates are fractions; a year has 252 sessions.
- Sharpe ratios have no risk-free rate: hand over excess returns to measure an excess.
- Standard deviations divide by T - 1.
- What cannot be measured (too few values, no dispersion) is 0.0, so every figure is a finite
  number. NaN or infinity in an argument is the caller's mistake and raises ValueError.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.arrays import SESSIONS_PER_YEAR

if TYPE_CHECKING:
    from swingtrader.core.arrays import FloatArray, IntArray, SessionArray

NEGLIGIBLE = 1e-9
"""Dispersion below this fraction of the largest value is rounding, hence none."""

PAYOFF_CAP = 1000.0
"""Payoff of trades that never lost, and the largest reported: it must stay a number."""

LARGEST_LOG_GROWTH = 700.0
"""e to a higher power does not fit a float; met only by absurd growth over a few sessions."""


def finite_series(values: FloatArray, name: str) -> FloatArray:
    """Return `values` as a float64 vector.

    Raises
    ------
    ValueError
        Not one-dimensional, or not all finite.
    """
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1:
        raise ValueError(f"{name} must have one dimension, not {series.ndim}")
    if not np.isfinite(series).all():
        raise ValueError(f"{name} must be finite")
    return series


def session_returns(equity: FloatArray) -> FloatArray:
    """Each session's simple return.

    Parameters
    ----------
    equity : ndarray of shape (T + 1,), USD
        Starting cash first.

    Returns
    -------
    ndarray of shape (T,)
        Empty for fewer than two values.
    """
    curve = _equity_curve(equity)
    return curve[1:] / curve[:-1] - 1.0


def total_return(equity: FloatArray) -> float:
    """Gain over the starting cash, as a fraction; `equity` of shape (T + 1,), USD."""
    curve = _equity_curve(equity)
    return float(curve[-1] / curve[0]) - 1.0 if len(curve) > 1 else 0.0


def cagr(equity: FloatArray) -> float:
    """Compound annual growth rate: the total return raised to 252 / T.

    A track record shorter than a year is scaled up all the same, as in empyrical.

    Parameters
    ----------
    equity : ndarray of shape (T + 1,), USD
    """
    curve = _equity_curve(equity)
    sessions = len(curve) - 1
    if sessions < 1:
        return 0.0
    log_growth = math.log(curve[-1] / curve[0]) * SESSIONS_PER_YEAR / sessions
    return math.expm1(min(log_growth, LARGEST_LOG_GROWTH))


def volatility_annual(returns: FloatArray) -> float:
    """Annual standard deviation: that of `returns` of shape (T,) times the root of 252."""
    series = finite_series(returns, "returns")
    if len(series) < 2:
        return 0.0
    return float(np.std(series, ddof=1)) * math.sqrt(SESSIONS_PER_YEAR)


def sharpe_per_session(returns: FloatArray) -> FloatArray:
    """Mean over standard deviation along the last axis, not annualised (Sharpe 1994).

    Parameters
    ----------
    returns : ndarray of shape (..., T)
        Finite.

    Returns
    -------
    ndarray of shape (...)
        0.0 for fewer than two returns, and where they do not vary (standard deviation below
        `NEGLIGIBLE` of the largest).
    """
    if returns.shape[-1] < 2:
        return np.zeros(returns.shape[:-1])
    deviation = np.std(returns, axis=-1, ddof=1)
    varies = deviation > NEGLIGIBLE * np.abs(returns).max(axis=-1)
    ratio = np.zeros(returns.shape[:-1])
    np.divide(returns.mean(axis=-1), deviation, out=ratio, where=varies)
    return ratio


def sharpe_ratio(returns: FloatArray) -> float:
    """Annual Sharpe ratio: that of `returns` of shape (T,) times the root of 252.

    0.0 for fewer than two returns, and where they do not vary.
    """
    series = finite_series(returns, "returns")
    return float(sharpe_per_session(series)) * math.sqrt(SESSIONS_PER_YEAR)


def rolling_sharpe(returns: FloatArray, window: int) -> FloatArray:
    """Annualised Sharpe ratio of the last `window` returns up to each session.

    Parameters
    ----------
    returns : ndarray of shape (T,)
    window : int, sessions
        At least 2.

    Returns
    -------
    ndarray of shape (T,)
        NaN before the first full window; 0.0 where a window does not vary.
    """
    if window < 2:
        raise ValueError(f"window must be at least 2, not {window}")
    series = finite_series(returns, "returns")
    rolling = np.full(len(series), np.nan)
    if len(series) >= window:
        windows = np.lib.stride_tricks.sliding_window_view(series, window)
        rolling[window - 1 :] = sharpe_per_session(windows) * math.sqrt(SESSIONS_PER_YEAR)
    return rolling


def skewness(returns: FloatArray) -> float:
    """Third standardised moment, population form; 0.0 where `returns` (T,) do not vary."""
    return _standardised_moment(returns, 3, without_dispersion=0.0)


def kurtosis(returns: FloatArray) -> float:
    """Fourth standardised moment, population form, 3.0 for the normal distribution.

    3.0 also where `returns` of shape (T,) do not vary.
    """
    return _standardised_moment(returns, 4, without_dispersion=3.0)


def drawdowns(equity: FloatArray) -> FloatArray:
    """Distance below the highest value so far, the starting cash included.

    Parameters
    ----------
    equity : ndarray of shape (T + 1,), USD

    Returns
    -------
    ndarray of shape (T + 1,)
        Fractions in (-1, 0], the first always 0.
    """
    curve = _equity_curve(equity)
    return curve / np.maximum.accumulate(curve) - 1.0


def max_drawdown(equity: FloatArray) -> float:
    """Deepest drawdown as a negative fraction: -0.2 is a fall by a fifth; 0.0 for none.

    The sign is empyrical's.
    """
    return float(drawdowns(equity).min(initial=0.0))


def turnover_annual(traded_usd: FloatArray, equity: FloatArray) -> float:
    """One-sided turnover a year: replacing the whole account once a year is 1.0.

    Mean over sessions of half of what was bought plus sold, over the equity the session
    started with, times 252.

    Parameters
    ----------
    traded_usd : ndarray of shape (T,), USD
        Buys plus sells of each session, both counted positive.
    equity : ndarray of shape (T + 1,), USD
    """
    traded = finite_series(traded_usd, "traded_usd")
    curve = _equity_curve(equity)
    if len(curve) != len(traded) + 1:
        raise ValueError(f"equity has {len(curve)} values, expected {len(traded) + 1}")
    if len(traded) == 0:
        return 0.0
    return float(np.mean(traded / 2.0 / curve[:-1])) * SESSIONS_PER_YEAR


def hit_rate(pnl: FloatArray) -> float:
    """Share of trades that gained; a flat one did not. `pnl` of shape (trades,), any unit."""
    series = finite_series(pnl, "pnl")
    return float(np.mean(series > 0.0)) if len(series) else 0.0


def payoff(pnl: FloatArray) -> float:
    """Mean gain over mean loss, the loss counted positive.

    0.0 without a gain; otherwise at most `PAYOFF_CAP`, which also stands for no loss at all.

    Parameters
    ----------
    pnl : ndarray of shape (trades,)
        Any unit.
    """
    series = finite_series(pnl, "pnl")
    gains, losses = series[series > 0.0], -series[series < 0.0]
    if len(gains) == 0:
        return 0.0
    if len(losses) == 0 or gains.mean() >= PAYOFF_CAP * losses.mean():
        return PAYOFF_CAP
    return float(gains.mean() / losses.mean())


def monthly_returns(sessions: SessionArray, equity: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return of each calendar month, from the last close before it to its last close.

    Parameters
    ----------
    sessions : ndarray of shape (T,), datetime64[D]
        Strictly increasing.
    equity : ndarray of shape (T + 1,), USD
        Starting cash first, so the first month starts from it.

    Returns
    -------
    years : ndarray of shape (Y,), int
        Every year from the first session's to the last one's.
    table : ndarray of shape (Y, 12)
        Fractions; NaN for a month without a session.
    """
    curve = _equity_curve(equity)
    if len(curve) != len(sessions) + 1:
        raise ValueError(f"equity has {len(curve)} values, expected {len(sessions) + 1}")
    if np.any(np.diff(sessions) <= np.timedelta64(0, "D")):
        raise ValueError("sessions must be strictly increasing")
    if len(sessions) == 0:
        return np.empty(0, dtype=np.int64), np.empty((0, 12))
    months = sessions.astype("datetime64[M]").astype(np.int64)  # counted from January 1970
    last = np.append(np.flatnonzero(np.diff(months)), len(months) - 1)
    closing = curve[1:][last]
    opening = np.append(curve[0], closing[:-1])
    year, month = 1970 + months[last] // 12, months[last] % 12
    years = np.arange(year[0], year[-1] + 1)
    table = np.full((len(years), 12), np.nan)
    table[year - year[0], month] = closing / opening - 1.0
    return years, table


def _equity_curve(equity: FloatArray) -> FloatArray:
    curve = finite_series(equity, "equity")
    if np.any(curve <= 0.0):
        raise ValueError("equity must be positive")
    return curve


def _standardised_moment(returns: FloatArray, order: int, *, without_dispersion: float) -> float:
    series = finite_series(returns, "returns")
    if len(series) < 2:
        return without_dispersion
    deviation = float(np.std(series))
    if deviation <= NEGLIGIBLE * float(np.abs(series).max()):
        return without_dispersion
    return float(np.mean(((series - series.mean()) / deviation) ** order))
