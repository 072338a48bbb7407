"""The thirteen factors, their z-scores, and what exits and floors read beside them."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.core.factors import (
    FACTORS,
    average_true_range_fraction,
    cross_sectional_z_scores,
    factor_panel,
    mean_dollar_volume,
    obv_slope,
)
from swingtrader.core.market import Panel

PRICES = ("open", "high", "low", "close")
FLOAT32 = {"rtol": 1e-6, "atol": 1e-30}  # factors are kept as float32; illiquidity is ~1e-10

# Sessions, the own one included, that a factor looks at: a gap leaves the windowed ones then.
SESSIONS_READ = {
    "momentum_5": 6,
    "momentum_21": 22,
    "momentum_63": 64,
    "rsi_14": 15,
    "mfi_14": 15,
    "obv_slope_20": 20,
    "garman_klass_20": 20,
    "amihud_20": 21,
    "adx_14": 28,
    "volume_ratio_20": 20,
    "bollinger_width_20": 20,
    "close_to_high_252": 252,
}

seeds = st.integers(0, 2**32 - 1)


def _panel(sessions: int = 300, symbols: int = 4, *, seed: int = 0, missing: float = 0.0) -> Panel:
    rng = np.random.default_rng(seed)
    shape = (sessions, symbols)
    close = 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, shape), axis=0))
    opened = close * (1.0 + 0.005 * rng.normal(size=shape))
    bars = {
        "open": opened,
        "high": np.maximum(opened, close) * (1.0 + 0.01 * rng.random(shape)),
        "low": np.minimum(opened, close) * (1.0 - 0.01 * rng.random(shape)),
        "close": close,
        "volume": rng.integers(1, 1_000_000, shape).astype(float),
    }
    gaps = rng.random(shape) < missing
    for field in bars.values():
        field[gaps] = np.nan
    dates = np.datetime64("2015-01-01") + np.arange(sessions)
    return Panel(dates, tuple(f"S{n:03d}" for n in range(symbols)), **bars)


def _factors(panel: Panel, **options) -> dict[str, np.ndarray]:
    """Each factor by name, as (T, N); sector momentum is 0.01, 0.02, ... by symbol."""
    strength = np.broadcast_to(0.01 * (1 + np.arange(len(panel.symbols))), panel.close.shape)
    values = factor_panel(panel, strength, **options)
    return dict(zip(FACTORS, values.transpose(2, 0, 1), strict=True))


def _altered(panel: Panel, **changes) -> Panel:
    """`panel` with each named field passed through a function."""
    return replace(panel, **{name: f(getattr(panel, name)) for name, f in changes.items()})


def test_factors_come_in_the_order_the_ranker_was_trained_on():
    assert FACTORS == (
        "momentum_5",
        "momentum_21",
        "momentum_63",
        "rsi_14",
        "mfi_14",
        "obv_slope_20",
        "garman_klass_20",
        "amihud_20",
        "adx_14",
        "volume_ratio_20",
        "bollinger_width_20",
        "close_to_high_252",
        "sector_momentum",
    )


# Each factor at the last session of one symbol's bars (o, h, l, c, v), written out.
def _momentum(bars, sessions):
    return bars["close"][-1] / bars["close"][-1 - sessions] - 1.0


def _obv_slope(bars):
    on_balance = [0.0]
    for t in range(1, len(bars["close"])):
        change = bars["close"][t] - bars["close"][t - 1]
        on_balance.append(on_balance[-1] + math.copysign(bars["volume"][t], change))
    slope, _ = np.polyfit(np.arange(20.0), on_balance[-20:], 1)
    return slope / np.mean(bars["volume"][-20:])


def _garman_klass(bars):
    total = 0.0
    for t in range(-20, 0):
        spread = math.log(bars["high"][t] / bars["low"][t])
        drift = math.log(bars["close"][t] / bars["open"][t])
        total += 0.5 * spread**2 - (2.0 * math.log(2.0) - 1.0) * drift**2
    return math.sqrt(total / 20.0)


def _amihud(bars):
    total = 0.0
    for t in range(-20, 0):
        close, before = bars["close"][t], bars["close"][t - 1]
        total += abs(close / before - 1.0) / (close * bars["volume"][t])
    return total / 20.0


def _bollinger_width(bars):
    upper, middle, lower = talib.BBANDS(bars["close"], 20, 2.0, 2.0)
    return (upper[-1] - lower[-1]) / middle[-1]


LONGHAND = {
    "momentum_5": lambda bars: _momentum(bars, 5),
    "momentum_21": lambda bars: _momentum(bars, 21),
    "momentum_63": lambda bars: _momentum(bars, 63),
    "rsi_14": lambda bars: talib.RSI(bars["close"], 14)[-1],
    "mfi_14": lambda bars: talib.MFI(*(bars[f] for f in ("high", "low", "close", "volume")), 14)[
        -1
    ],
    "obv_slope_20": _obv_slope,
    "garman_klass_20": _garman_klass,
    "amihud_20": _amihud,
    "adx_14": lambda bars: talib.ADX(bars["high"], bars["low"], bars["close"], 14)[-1],
    "volume_ratio_20": lambda bars: bars["volume"][-1] / (sum(bars["volume"][-20:]) / 20.0),
    "bollinger_width_20": _bollinger_width,
    "close_to_high_252": lambda bars: bars["close"][-1] / max(bars["high"][-252:]),
    "sector_momentum": lambda _: 0.01,
}


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("sessions", [252, 287, 300])
def test_factor_equals_its_definition_written_out(factor, sessions):
    panel = _panel(sessions)
    bars = {name: np.ascontiguousarray(getattr(panel, name)[:, 0]) for name in (*PRICES, "volume")}
    actual = _factors(panel)[factor][-1, 0]
    np.testing.assert_allclose(actual, LONGHAND[factor](bars), **FLOAT32)


def test_obv_slope_is_one_where_every_session_rises_on_equal_volume():
    rising = np.arange(1.0, 31.0)[:, np.newaxis]
    slope = obv_slope(rising, np.full_like(rising, 500.0))
    np.testing.assert_allclose(slope[19:], 1.0, rtol=1e-14, atol=0.0)
    assert np.isnan(slope[:19]).all()


def test_obv_slope_of_an_odd_window_is_the_least_squares_slope():
    panel = _panel(7, 1)
    close, volume = panel.close, panel.volume
    on_balance = np.cumsum(np.sign(np.diff(close[:, 0], prepend=0.0)) * volume[:, 0])
    slope, _ = np.polyfit(np.arange(7.0), on_balance, 1)
    expected = slope / volume.mean()
    np.testing.assert_allclose(obv_slope(close, volume, 7)[-1, 0], expected, rtol=1e-12, atol=0.0)


def test_garman_klass_of_a_range_smaller_than_the_drift_is_zero():
    # Impossible in sound bars, and no reason for a gap: the variance is clipped at 0.
    panel = _altered(_panel(30), high=np.ones_like, low=np.ones_like)
    np.testing.assert_array_equal(_factors(panel)["garman_klass_20"][19:], 0.0)


@pytest.mark.parametrize(
    ("factor", "first_known_again"),
    [("amihud_20", 120), ("volume_ratio_20", 119), ("obv_slope_20", 119)],
)
def test_twenty_sessions_without_volume_are_a_gap_and_not_infinite(factor, first_known_again):
    def without_volume(volume):
        return np.where((np.arange(len(volume)) // 20 == 5)[:, np.newaxis], 0.0, volume)

    values = _factors(_altered(_panel(160), volume=without_volume))[factor]
    assert not np.isinf(values).any()
    assert np.isnan(values[119]).all()
    assert np.isfinite(values[first_known_again + 20 :]).all()


def test_one_session_without_volume_has_no_illiquidity():
    panel = _panel(80, 1)
    volume = panel.volume.copy()
    volume[40] = 0.0
    known = ~np.isnan(_factors(replace(panel, volume=volume))["amihud_20"][:, 0])
    np.testing.assert_array_equal(np.flatnonzero(~known), [*range(20), *range(40, 60)])


@pytest.mark.parametrize("factor", SESSIONS_READ)
def test_factor_needs_its_whole_window(factor):
    values = _factors(_panel(260))[factor]
    np.testing.assert_array_equal((~np.isnan(values)).argmax(axis=0), SESSIONS_READ[factor] - 1)
    assert not np.isnan(values[SESSIONS_READ[factor] - 1 :]).any()


@pytest.mark.parametrize("factor", SESSIONS_READ)
def test_missing_session_is_missing_until_it_leaves_the_window(factor):
    panel = _panel(600)
    gap = 300

    def without(field):
        field = field.copy()
        field[gap, 0] = np.nan
        return field

    broken = _factors(_altered(panel, **dict.fromkeys((*PRICES, "volume"), without)))[factor]
    unbroken = _factors(panel)[factor]
    np.testing.assert_array_equal(broken[:gap], unbroken[:gap])
    np.testing.assert_array_equal(broken[:, 1:], unbroken[:, 1:])
    within = [gap, gap + SESSIONS_READ[factor] - 1]
    if factor.startswith("momentum"):  # reads the two ends of its window only
        assert np.isnan(broken[within, 0]).all()
        assert not np.isnan(broken[gap + 1 : within[1], 0]).any()
    else:
        assert np.isnan(broken[gap : within[1] + 1, 0]).all()
    assert not np.isnan(broken[within[1] + 1 :, 0]).any()


@given(seed=seeds, known=st.integers(0, 299))
@settings(deadline=None, derandomize=True, max_examples=20)
def test_later_sessions_change_no_earlier_factor(seed, known):
    panel = _panel(seed=seed, missing=0.003)
    whole, earlier = _factors(panel), _factors(panel.rows(0, known))
    for factor in FACTORS:
        np.testing.assert_array_equal(whole[factor][:known], earlier[factor], err_msg=factor)


@given(seed=seeds, start=st.integers(1, 40))
@settings(deadline=None, derandomize=True, max_examples=20)
def test_where_the_history_starts_changes_no_windowed_factor(seed, start):
    panel = _panel(seed=seed, missing=0.003)
    whole, later = _factors(panel), _factors(panel.rows(start, 300))
    for factor, sessions in SESSIONS_READ.items():
        if factor not in ("rsi_14", "adx_14"):  # Wilder's smoothing remembers its seed
            np.testing.assert_array_equal(
                whole[factor][start:][sessions:], later[factor][sessions:], err_msg=factor
            )


@given(seed=seeds, order=st.permutations(range(6)))
@settings(deadline=None, derandomize=True, max_examples=20)
def test_permuting_symbols_permutes_factors(seed, order):
    panel = _panel(symbols=6, seed=seed, missing=0.003)
    permuted = _altered(panel, **dict.fromkeys((*PRICES, "volume"), lambda x: x[:, order]))
    before, after = _factors(panel), _factors(permuted)
    for factor in FACTORS[:-1]:
        np.testing.assert_array_equal(before[factor][:, order], after[factor], err_msg=factor)


def test_factors_of_a_symbol_depend_neither_on_the_others_nor_on_the_blocks():
    panel = _panel(270, 150, missing=0.001)  # three blocks of symbols
    together = _factors(panel)
    for symbols in (panel.symbols[:1], panel.symbols[60:70], panel.symbols[3:149]):
        alone = _factors(panel.select(symbols))
        columns = [panel.column(symbol) for symbol in symbols]
        for factor in FACTORS[:-1]:
            np.testing.assert_array_equal(together[factor][:, columns], alone[factor])


def test_threads_change_no_bit_of_factors_and_z_scores():
    panel = _panel(300, 150, missing=0.01)
    strength = np.zeros(panel.close.shape)
    one = factor_panel(panel, strength, threads=1)
    three = factor_panel(panel, strength, threads=3)
    np.testing.assert_array_equal(one, three)
    everyone = np.ones(150, dtype=bool)
    np.testing.assert_array_equal(
        cross_sectional_z_scores(one, everyone, threads=1),
        cross_sectional_z_scores(one, everyone, threads=3),
    )


@given(seed=seeds, scale=st.floats(1e-3, 1e3))
@settings(deadline=None, derandomize=True, max_examples=20)
def test_factors_do_not_depend_on_the_currency_but_for_illiquidity(seed, scale):
    panel = _panel(seed=seed, missing=0.001)
    before = _factors(panel)
    after = _factors(_altered(panel, **dict.fromkeys(PRICES, lambda x: x * scale)))
    after["amihud_20"] = after["amihud_20"] * scale
    for factor in FACTORS:
        np.testing.assert_allclose(
            after[factor], before[factor], rtol=1e-5, atol=1e-12, err_msg=factor
        )


@given(seed=seeds, scale=st.floats(1e-3, 1e3))
@settings(deadline=None, derandomize=True, max_examples=20)
def test_factors_do_not_depend_on_the_share_count_but_for_illiquidity(seed, scale):
    panel = _panel(seed=seed, missing=0.001)
    before = _factors(panel)
    after = _factors(_altered(panel, volume=lambda x: x * scale))
    after["amihud_20"] = after["amihud_20"] * scale
    for factor in FACTORS:
        np.testing.assert_allclose(
            after[factor], before[factor], rtol=1e-5, atol=1e-12, err_msg=factor
        )


def test_factor_panel_is_read_only_float32_with_each_factor_contiguous():
    panel = _panel(30)
    values = factor_panel(panel, np.zeros(panel.close.shape))
    assert values.shape == (30, 4, 13)
    assert values.dtype == np.float32
    assert not values.flags.writeable
    assert values[:, :, 3].flags.c_contiguous


@pytest.mark.parametrize(("sessions", "symbols"), [(0, 3), (3, 0), (1, 1)])
def test_panel_too_short_for_any_factor_has_none(sessions, symbols):
    panel = _panel(sessions, symbols)
    values = factor_panel(panel, np.full(panel.close.shape, np.nan))
    assert values.shape == (sessions, symbols, 13)
    assert np.isnan(values).all()
    scores = cross_sectional_z_scores(values, np.ones(symbols, dtype=bool))
    assert scores.shape == values.shape


def test_sector_momentum_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"sector_momentum has shape \(30,\), expected \(30, 4\)"):
        factor_panel(_panel(30), np.zeros(30))


# z-scores


def _z_scores_of(row, members=None):
    values = np.array(row, dtype=float)[np.newaxis, :, np.newaxis]
    who = np.ones(len(row), dtype=bool) if members is None else np.array(members)
    return cross_sectional_z_scores(values, who)[0, :, 0].tolist()


@pytest.mark.parametrize(
    ("what", "row", "members", "expected"),
    [
        ("population deviation", [1, 3], None, [-1, 1]),
        ("missing stays missing", [1, math.nan, 3], None, [-1, math.nan, 1]),
        ("infinite is missing", [1, math.inf, 3], None, [-1, math.nan, 1]),
        ("outsiders are not compared", [1, 99, 3], [True, False, True], [-1, math.nan, 1]),
        ("two known members at least", [1, 99, math.nan], [True, False, True], [math.nan] * 3),
        ("all equal", [0.1] * 6, None, [0] * 6),
        ("equal but for rounding", [0.1 + 0.2, 0.3, 0.3], None, [0] * 3),
        ("nobody", [math.nan] * 2, None, [math.nan] * 2),
        ("winsorised", [0] * 99 + [1], None, [-0.1 / math.sqrt(0.99)] * 99 + [3]),
    ],
)
def test_z_scores(what, row, members, expected):
    assert _z_scores_of(row, members) == pytest.approx(expected, rel=1e-12, nan_ok=True), what


@given(seed=seeds)
@settings(deadline=None, derandomize=True, max_examples=20)
def test_z_scores_equal_their_definition_written_out(seed):
    rng = np.random.default_rng(seed)
    values = 10.0 ** rng.integers(-9, 9) * rng.normal(rng.normal(), 1.0, (40, 12, 3))
    values[rng.random(values.shape) < 0.1] = np.nan
    members = rng.random((40, 12)) < 0.8
    expected = np.full_like(values, np.nan)
    for t, f in np.ndindex(40, 3):
        known = members[t] & ~np.isnan(values[t, :, f])
        x = values[t, known, f]
        if len(x) > 1:
            expected[t, known, f] = np.clip((x - x.mean()) / x.std(), -3.0, 3.0)
    np.testing.assert_allclose(
        cross_sectional_z_scores(values, members), expected, rtol=1e-9, atol=1e-9
    )


@given(seed=seeds, order=st.permutations(range(8)))
@settings(deadline=None, derandomize=True, max_examples=20)
def test_permuting_symbols_permutes_z_scores(seed, order):
    values = np.random.default_rng(seed).normal(size=(5, 8, 2))
    members = np.arange(8) != 3
    before = cross_sectional_z_scores(values, members)[:, order]
    after = cross_sectional_z_scores(values[:, order], members[order])
    np.testing.assert_allclose(after, before, rtol=1e-12, atol=1e-12)


def test_z_scores_of_a_session_depend_on_no_other_session():
    values = np.random.default_rng(3).normal(size=(400, 500, 2))  # four blocks of sessions
    values[values > 2.5] = np.nan
    members = np.random.default_rng(4).random((400, 500)) < 0.9
    whole = cross_sectional_z_scores(values, members)
    for rows in (slice(0, 1), slice(130, 135), slice(0, 399)):
        np.testing.assert_array_equal(
            cross_sectional_z_scores(values[rows], members[rows]), whole[rows]
        )


def test_z_scores_keep_type_and_layout_and_leave_their_argument_alone():
    panel = _panel(100, missing=0.01)
    values = factor_panel(panel, np.zeros(panel.close.shape))
    before = values.copy()
    scores = cross_sectional_z_scores(values, np.arange(4) > 0)
    np.testing.assert_array_equal(values, before)
    assert scores.dtype == np.float32
    assert scores.strides == values.strides
    assert not scores.flags.writeable


def test_members_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"members has shape \(3,\), expected \(5, 4\) or \(4,\)"):
        cross_sectional_z_scores(np.zeros((5, 4, 2)), np.ones(3, dtype=bool))


# For exits and floors


def test_true_range_fraction_is_talibs_atr_over_the_close():
    panel = _panel(200, 3)
    expected = np.column_stack(
        [
            talib.ATR(
                *(np.ascontiguousarray(x[:, n]) for x in (panel.high, panel.low, panel.close))
            )
            / panel.close[:, n]
            for n in range(3)
        ]
    )
    actual = average_true_range_fraction(panel)
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=0.0)
    assert not actual.flags.writeable


def test_mean_dollar_volume_is_the_mean_of_close_times_volume():
    panel = _panel(30, 2)
    actual = mean_dollar_volume(panel, 20)
    expected = (panel.close[-20:] * panel.volume[-20:]).mean(axis=0)
    np.testing.assert_allclose(actual[-1], expected, rtol=1e-14, atol=0.0)
    assert np.isnan(actual[:19]).all()
    assert not actual.flags.writeable


def test_bars_are_left_as_they_were():
    panel = _panel(100, missing=0.01)
    before = {field.name: np.copy(getattr(panel, field.name)) for field in fields(panel)[2:]}
    _factors(panel)
    average_true_range_fraction(panel)
    mean_dollar_volume(panel)
    for name, array in before.items():
        np.testing.assert_array_equal(getattr(panel, name), array)
