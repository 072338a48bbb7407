"""The thirteen factors of the ranker, and what exits and liquidity floors read beside them.

Raw factors of a symbol depend on its own bars alone (sector momentum is handed in). They are
computed in float64 over blocks of symbols small enough to stay in the processor's cache, and
kept as float32: a rank does not turn on the eighth digit, and a panel of thousands of symbols
fits in memory. The blocks are shared out to threads, which NumPy lets run side by side;
neither the number of threads nor the size of a block changes a bit of any result.

Only z-scores compare symbols with each other, within one session.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from swingtrader.core.arrays import frozen
from swingtrader.core.indicators import adx, average_true_range, bollinger_width, mfi, rsi
from swingtrader.core.returns import simple_returns
from swingtrader.core.rolling import lagged, rolling_max, rolling_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from swingtrader.core.arrays import BoolArray, FloatArray
    from swingtrader.core.market import Panel

WINSORISED_AT = 3.0
"""Largest z-score, to either side."""

_SYMBOLS_PER_BLOCK = 64
_VALUES_PER_BLOCK = 64 * 1024

_FREED_BYTES = 24 * 2**20
"""More than the temporaries of a block take; glibc heeds up to 32 MiB."""

_EQUAL = 1e-13
"""A standard deviation below this fraction of the mean is rounding: the values are equal."""


class Bars(NamedTuple):
    """Bars of N symbols over T sessions, as bare arrays of shape (T, N); NaN where missing."""

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray


def obv_slope(close: FloatArray, volume: FloatArray, window: int = 20) -> FloatArray:
    """Slope of on-balance volume, per session, over the mean volume of the same sessions.

    On-balance volume adds a session's volume when the close rose and takes it away when it
    fell. Its level depends on where one began to count, its least-squares slope does not: over
    n sessions the volume that came i sessions after the first has weight i (n - i) / 2, over
    the sum of squared deviations of the session numbers, n (n^2 - 1) / 12.

    Parameters
    ----------
    close : ndarray of shape (T, N), USD
    volume : ndarray of shape (T, N), shares
    window : int
        Sessions, at least 2.

    Returns
    -------
    ndarray of shape (T, N)
        In [-1.5, 1.5] or so, 1 where every session rose on equal volume. NaN where the window
        is not whole, or nothing was traded in it.
    """
    signed = np.sign(close - lagged(close, 1)) * volume
    rows = max(len(signed) - window + 1, 0)
    slope = np.full_like(close, np.nan)
    weighted = slope[len(slope) - rows :]
    weighted[:] = 0.0
    for i in range(1, window // 2 + 1):
        # The weights are symmetric about the middle of the window.
        pair = signed[i : i + rows]
        if 2 * i != window:
            pair = pair + signed[window - i : window - i + rows]
        weighted += pair * (i * (window - i) / 2.0)
    weighted /= window * (window**2 - 1) / 12.0
    return slope / rolling_mean(volume, window)


def garman_klass_volatility(bars: Bars, window: int = 20) -> FloatArray:
    """Volatility per session from open, high, low and close, not annualised.

    The root of the mean of ln(H/L)^2 / 2 - (2 ln 2 - 1) ln(C/O)^2 (Garman & Klass 1980).

    Parameters
    ----------
    bars : Bars
        Of shape (T, N), USD.
    window : int
        Sessions.

    Returns
    -------
    ndarray of shape (T, N)
        0 where the mean is negative; NaN where the window is not whole.
    """
    spread = np.log(bars.high / bars.low)
    drift = np.log(bars.close / bars.open)
    variance = 0.5 * spread * spread - (2.0 * math.log(2.0) - 1.0) * drift * drift
    return np.sqrt(np.maximum(rolling_mean(variance, window), 0.0))


def amihud_illiquidity(close: FloatArray, volume: FloatArray, window: int = 20) -> FloatArray:
    """Mean absolute simple return per dollar traded (Amihud 2002).

    Parameters
    ----------
    close : ndarray of shape (T, N), USD
    volume : ndarray of shape (T, N), shares
    window : int
        Sessions.

    Returns
    -------
    ndarray of shape (T, N), 1/USD
        NaN where the window is not whole or has a session in which nothing was traded.
    """
    dollars = close * volume
    dollars[dollars == 0.0] = np.nan
    return rolling_mean(np.abs(simple_returns(close)) / dollars, window)


_FORMULAS: Mapping[str, Callable[[Bars], FloatArray]] = {
    "momentum_5": lambda bars: simple_returns(bars.close, 5),
    "momentum_21": lambda bars: simple_returns(bars.close, 21),
    "momentum_63": lambda bars: simple_returns(bars.close, 63),
    "rsi_14": lambda bars: rsi(bars.close, 14),
    "mfi_14": lambda bars: mfi(bars.high, bars.low, bars.close, bars.volume, 14),
    "obv_slope_20": lambda bars: obv_slope(bars.close, bars.volume, 20),
    "garman_klass_20": lambda bars: garman_klass_volatility(bars, 20),
    "amihud_20": lambda bars: amihud_illiquidity(bars.close, bars.volume, 20),
    "adx_14": lambda bars: adx(bars.high, bars.low, 14),
    "volume_ratio_20": lambda bars: bars.volume / rolling_mean(bars.volume, 20),
    "bollinger_width_20": lambda bars: bollinger_width(bars.close, 20),
    "close_to_high_252": lambda bars: bars.close / rolling_max(bars.high, 252),
}

FACTORS: tuple[str, ...] = (*_FORMULAS, "sector_momentum")
"""Names of the factors, in the order of every array's last axis."""


def factor_panel(panel: Panel, sector_momentum: FloatArray, *, threads: int = 2) -> FloatArray:
    """Raw factors of every symbol and session.

    Parameters
    ----------
    panel : Panel
        T sessions of N symbols.
    sector_momentum : ndarray of shape (T, N)
        Each symbol's sector's, taken over as it is.
    threads : int
        How many blocks of symbols to work on at a time.

    Returns
    -------
    ndarray of shape (T, N, 13), float32, read-only
        In the order of `FACTORS`; NaN where a factor's window is not whole. Each factor lies
        contiguous in memory.

    Raises
    ------
    ValueError
        `sector_momentum` has another shape than the panel.
    """
    shape = panel.close.shape
    if sector_momentum.shape != shape:
        raise ValueError(f"sector_momentum has shape {sector_momentum.shape}, expected {shape}")
    factors = np.empty((len(FACTORS), *shape), dtype=np.float32)
    _fill(factors[:-1], panel, list(_FORMULAS.values()), threads)
    factors[-1] = sector_momentum
    return frozen(factors.transpose(1, 2, 0))


def cross_sectional_z_scores(
    values: FloatArray, members: BoolArray, *, threads: int = 2
) -> FloatArray:
    """Each session's values as z-scores among its members, winsorised at 3.

    Parameters
    ----------
    values : ndarray of shape (T, N, F)
        NaN or infinite where missing.
    members : ndarray of shape (T, N) or (N,), bool
        Symbols that are compared with each other.
    threads : int
        How many blocks of sessions to work on at a time.

    Returns
    -------
    ndarray of shape (T, N, F), read-only
        Of `values`' type and memory layout. The mean and the population standard deviation are
        those of the members that have a value. NaN where the value is missing, where the symbol
        is no member and where fewer than two members have one; 0 where all are equal.

    Raises
    ------
    ValueError
        `members` fits neither (T, N) nor (N,).
    """
    shape = values.shape[:2]
    if members.shape not in (shape, shape[1:]):
        raise ValueError(f"members has shape {members.shape}, expected {shape} or {shape[1:]}")
    outside = np.broadcast_to(~members, shape)
    scores = np.empty_like(values)

    def fill(sessions: slice) -> None:
        for factor in range(values.shape[2]):
            block = values[sessions, :, factor].astype(np.float64, order="C")
            scores[sessions, :, factor] = _z_scores(block, outside[sessions])

    _each(fill, _blocks(shape[0], max(_VALUES_PER_BLOCK // max(shape[1], 1), 1)), threads)
    return frozen(scores)


@np.errstate(divide="ignore", invalid="ignore")
def _z_scores(values: FloatArray, outside: BoolArray) -> FloatArray:
    """Z-scores along each row of `values`, without those that are missing or outside."""
    missing = ~np.isfinite(values)
    missing |= outside
    count = missing.shape[1] - np.count_nonzero(missing, axis=1, keepdims=True)
    known = np.where(missing, 0.0, values)
    mean = known.sum(axis=1, keepdims=True) / count
    known -= mean
    np.copyto(known, 0.0, where=missing)
    deviation = np.sqrt((known * known).sum(axis=1, keepdims=True) / count)
    scale = np.where(deviation > _EQUAL * np.abs(mean), 1.0 / deviation, 0.0)
    scale[count < 2] = np.nan
    known *= scale
    np.clip(known, -WINSORISED_AT, WINSORISED_AT, out=known)
    np.copyto(known, np.nan, where=missing)
    return known


def average_true_range_fraction(panel: Panel, *, threads: int = 2) -> FloatArray:
    """ATR(14) over the close, for exits.

    Parameters
    ----------
    panel : Panel
        T sessions of N symbols.
    threads : int
        How many blocks of symbols to work on at a time.

    Returns
    -------
    ndarray of shape (T, N), read-only
        A fraction of the price; NaN until 14 true ranges in a row are known.
    """
    fraction = np.empty((1, *panel.close.shape))
    _fill(
        fraction,
        panel,
        [lambda bars: average_true_range(bars.high, bars.low, bars.close, 14) / bars.close],
        threads,
    )
    return frozen(fraction[0])


def mean_dollar_volume(panel: Panel, window: int = 20, *, threads: int = 2) -> FloatArray:
    """Mean of close times volume, for liquidity floors and limits.

    Parameters
    ----------
    panel : Panel
        T sessions of N symbols.
    window : int
        Sessions.
    threads : int
        How many blocks of symbols to work on at a time.

    Returns
    -------
    ndarray of shape (T, N), USD, read-only
        NaN where the window is not whole.
    """
    dollars = np.empty((1, *panel.close.shape))
    _fill(dollars, panel, [lambda bars: rolling_mean(bars.close * bars.volume, window)], threads)
    return frozen(dollars[0])


def _fill(
    out: FloatArray, panel: Panel, formulas: Sequence[Callable[[Bars], FloatArray]], threads: int
) -> None:
    """Write what each formula makes of the panel into `out`, of shape (formulas, T, N)."""

    @np.errstate(divide="ignore", invalid="ignore")
    def fill(columns: slice) -> None:
        bars = Bars(
            *(
                np.ascontiguousarray(getattr(panel, name)[:, columns], dtype=np.float64)
                for name in Bars._fields
            )
        )
        for result, formula in zip(out, formulas, strict=True):
            result[:, columns] = formula(bars)

    _each(fill, _blocks(len(panel.symbols), _SYMBOLS_PER_BLOCK), threads)


def _keep_freed_memory() -> None:
    """Let the C library reuse the temporaries of one formula for the next.

    glibc gives freed blocks back to the kernel until it has once freed one of their size
    (mallopt(3), ``M_MMAP_THRESHOLD``). Every operation would then page its result in anew,
    which doubles the time. Other C libraries are left as they are.
    """
    np.empty(_FREED_BYTES, dtype=np.uint8)


def _blocks(length: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, length, size)]


def _each(fill: Callable[[slice], None], blocks: Iterable[slice], threads: int) -> None:
    """Call `fill` on every block, `threads` at a time; an exception comes out of here."""
    _keep_freed_memory()
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for _ in pool.map(fill, blocks):
            pass
