"""Indicators against TA-Lib, symbol by symbol."""

from __future__ import annotations

import numpy as np
import pytest
import talib

from swingtrader.core.indicators import adx, average_true_range, bollinger_width, mfi, rsi

RTOL, ATOL = 1e-8, 1e-10  # TA-Lib's running sums lose a few digits over 700 sessions


def _talib_bollinger_width(close):
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    return (upper - lower) / middle


# name: ours and the fields it takes, TA-Lib's and the fields it takes
INDICATORS = {
    "rsi": (rsi, "c", lambda c: talib.RSI(c, 14), "c"),
    "mfi": (mfi, "hlcv", lambda *hlcv: talib.MFI(*hlcv, 14), "hlcv"),
    "adx": (adx, "hl", lambda *hlc: talib.ADX(*hlc, 14), "hlc"),
    "atr": (average_true_range, "hlc", lambda *hlc: talib.ATR(*hlc, 14), "hlc"),
    "bollinger_width": (bollinger_width, "c", _talib_bollinger_width, "c"),
}

FIRST_ROW = {"rsi": 14, "mfi": 14, "adx": 27, "atr": 14, "bollinger_width": 19}


def _bars(sessions: int = 700, symbols: int = 3, *, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = (sessions, symbols)
    close = 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, shape), axis=0))
    return {
        "h": close * (1.0 + 0.01 * rng.random(shape)),
        "l": close * (1.0 - 0.01 * rng.random(shape)),
        "c": close,
        "v": rng.integers(0, 1_000_000, shape).astype(float),
    }


def _flat(bars: dict[str, np.ndarray], rows: slice, columns: slice = slice(None)) -> None:
    """One price for all of `rows`: that of the close before them, or 20 USD."""
    price = bars["c"][rows.start - 1, columns] if rows.start else 20.0
    for field in "hlc":
        bars[field][rows, columns] = price


def _flat_from_the_start() -> dict[str, np.ndarray]:
    bars = _bars()
    _flat(bars, slice(0, 100))
    return bars


def _flat_for_a_year() -> dict[str, np.ndarray]:
    # Not longer: older TA-Lib releases take averages that have decayed below 1e-14 USD for zero.
    bars = _bars()
    _flat(bars, slice(100, 352))
    return bars


def _without_direction() -> dict[str, np.ndarray]:
    bars = _bars()
    for rows in (slice(0, 80), slice(200, 400)):
        bars["h"][rows], bars["l"][rows], bars["c"][rows] = 21.0, 19.0, 20.0
    return bars


def _half_dollar_grid() -> dict[str, np.ndarray]:
    # Unchanged closes, and bars that reach as far up as down: random numbers give neither.
    bars = _bars()
    rng = np.random.default_rng(1)
    bars["c"] = 20.0 + 0.5 * rng.integers(-3, 4, bars["c"].shape)
    reach = 0.5 * rng.integers(0, 4, bars["c"].shape)
    bars["h"], bars["l"] = bars["c"] + reach, bars["c"] - reach
    return bars


def _nothing_traded() -> dict[str, np.ndarray]:
    bars = _bars()
    bars["v"][:60] = 0.0
    bars["v"][300:340] = 0.0
    return bars


MARKETS = {
    "random walk": _bars,
    "flat from the start": _flat_from_the_start,
    "flat for a year": _flat_for_a_year,
    "a range without direction": _without_direction,
    "prices on a grid": _half_dollar_grid,
    "nothing traded": _nothing_traded,
    "just long enough": lambda: _bars(28),
    "too short": lambda: _bars(14),
}


def _ours(name: str, bars: dict[str, np.ndarray], rows: slice = slice(None)) -> np.ndarray:
    indicator, fields, _, _ = INDICATORS[name]
    return indicator(*(bars[field][rows] for field in fields))


def _talibs(name: str, bars: dict[str, np.ndarray], rows: slice = slice(None)) -> np.ndarray:
    _, _, indicator, fields = INDICATORS[name]
    return np.column_stack(
        [
            indicator(*(np.ascontiguousarray(bars[field][rows, n]) for field in fields))
            for n in range(bars["c"].shape[1])
        ]
    )


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("name", INDICATORS)
def test_indicator_equals_talib(name, market):
    bars = MARKETS[market]()
    np.testing.assert_allclose(_ours(name, bars), _talibs(name, bars), rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize("name", INDICATORS)
def test_indicator_starts_anew_after_a_missing_session(name):
    bars = _bars(200)
    for field in bars.values():
        field[80] = np.nan
    actual = _ours(name, bars)
    for stretch in (slice(0, 80), slice(81, 200)):
        np.testing.assert_allclose(
            actual[stretch], _talibs(name, bars, stretch), rtol=RTOL, atol=ATOL
        )
    assert np.isnan(actual[80]).all()


@pytest.mark.parametrize("name", INDICATORS)
def test_first_value_comes_on_talibs_row(name):
    known = ~np.isnan(_ours(name, _bars(60)))
    np.testing.assert_array_equal(known.argmax(axis=0), FIRST_ROW[name])


def test_typical_price_equal_but_for_rounding_has_not_moved():
    # 1.1 + 1.2 + 1.3 and 1.0 + 1.2 + 1.4 are both 3.6, which their sums in binary are not.
    even = np.arange(30)[:, np.newaxis] % 2 == 0
    high, low = np.where(even, 1.3, 1.4), np.where(even, 1.1, 1.0)
    close, volume = np.full(even.shape, 1.2), np.full(even.shape, 500.0)
    assert len(np.unique(high + low + close)) == 2
    np.testing.assert_array_equal(mfi(high, low, close, volume)[14:], 0.0)


@pytest.mark.parametrize("name", INDICATORS)
def test_flat_prices_give_zero_and_no_gap(name):
    values = _ours(name, _flat_from_the_start(), slice(0, 100))
    np.testing.assert_array_equal(values[FIRST_ROW[name] :], 0.0)


@pytest.mark.parametrize("name", ["rsi", "mfi", "adx", "bollinger_width"])
def test_indicator_does_not_depend_on_the_currency(name):
    bars = _without_direction()
    cheap = {field: x * (1.0 if field == "v" else 1e-12) for field, x in bars.items()}
    np.testing.assert_allclose(_ours(name, cheap), _ours(name, bars), rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize("name", INDICATORS)
def test_later_sessions_change_no_earlier_indicator(name):
    bars = _bars(120)
    whole = _ours(name, bars)
    for known in (0, 1, 27, 64, 119):
        np.testing.assert_array_equal(_ours(name, bars, slice(known)), whole[:known])


@pytest.mark.parametrize("name", INDICATORS)
def test_indicators_leave_the_bars_as_they_were(name):
    bars = _bars(60)
    before = {field: x.copy() for field, x in bars.items()}
    _ours(name, bars)
    for field, x in bars.items():
        np.testing.assert_array_equal(x, before[field])
