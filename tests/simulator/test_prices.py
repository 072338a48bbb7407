from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulator.conftest import DAYS, flat, new_york, panel_of, timetable_of

from swingtrader.simulator.prices import PriceTape, Split, intraday_path, volume_profile

HELD_FIXED = settings(deadline=None, derandomize=True)


@st.composite
def daily_bars(draw):
    low, high = sorted(draw(st.tuples(st.floats(0.01, 500), st.floats(0.01, 500))))
    return draw(st.floats(low, high)), high, low, draw(st.floats(low, high))


@HELD_FIXED
@given(daily_bars(), st.sampled_from([210, 390]), st.integers(0, 2**32))
def test_path_stays_within_the_bar_and_passes_its_four_prices(bar, minutes, seed):
    opening, high, low, close = bar
    path = intraday_path(bar, minutes, (seed,))
    assert path.shape == (minutes + 1,)
    assert (path[0], path[-1]) == (opening, close)
    assert (path.max(), path.min()) == (high, low)


def test_path_is_widened_where_rounding_left_the_close_outside():
    path = intraday_path((10.0, 11.0, 9.5, 9.4), 390, (1,))
    assert path[-1] == path.min() == 9.4


def test_path_of_a_day_without_movement_stands_still():
    assert set(intraday_path((7.25, 7.25, 7.25, 7.25), 390, (1,))) == {7.25}


def test_path_depends_on_its_seed_alone():
    bar = (10.0, 11.0, 9.0, 10.5)
    assert np.array_equal(intraday_path(bar, 390, (1, 2)), intraday_path(bar, 390, (1, 2)))
    assert not np.array_equal(intraday_path(bar, 390, (1, 2)), intraday_path(bar, 390, (1, 3)))


def test_high_comes_first_about_half_the_time():
    first = [
        np.argmax(path) < np.argmin(path)
        for seed in range(400)
        for path in [intraday_path((10.0, 12.0, 8.0, 10.0), 390, (seed,))]
    ]
    assert 160 < sum(first) < 240


def test_volume_grows_to_the_whole_day_and_most_at_its_edges():
    profile = volume_profile(390)
    assert profile[-1] == pytest.approx(1, rel=1e-12)
    minutes = np.diff(profile)
    assert minutes.min() > 0
    assert minutes[0] > 2 * minutes[195] < minutes[-1]


def tape_of(bars, splits=()):
    panel = panel_of(bars, DAYS[: max(map(len, bars.values()))])
    return PriceTape(panel, timetable_of(), splits, seed=3, half_spread_bps=Decimal(2))


WILD = [(100.0, 110.0, 90.0, 105.0, 1_000_000)] * 11


def test_days_high_and_low_become_visible_only_as_the_path_reaches_them():
    tape = tape_of({"AAA": WILD})
    row = DAYS.index(date(2023, 11, 20))
    bars = [tape.day_bar("AAA", row, new_york(20, 10 + hour)) for hour in range(6)]
    assert bars[0].high < 110 or bars[0].low > 90
    seen = [(bar.high, -bar.low, bar.volume) for bar in bars]
    assert seen == sorted(seen)
    final = tape.day_bar("AAA", row, new_york(20, 16))
    assert (final.open, final.high, final.low, final.close, final.volume) == WILD[0]


def test_bar_of_today_is_unknown_before_the_open():
    tape = tape_of({"AAA": WILD})
    assert tape.day_bar("AAA", DAYS.index(date(2023, 11, 20)), new_york(20, 9, 29)) is None


@pytest.mark.parametrize("price", [0.85, 3.01, 99.995, 100.0, 412.5])
def test_quote_surrounds_the_trade_on_the_tick(price):
    quote = tape_of({"AAA": [flat(price)] * 11}).quote("AAA", new_york(20, 10))
    tick = Decimal("0.01") if price >= 1 else Decimal("0.0001")
    assert quote.bid <= Decimal(str(price)) <= quote.ask
    assert quote.ask - quote.bid >= tick
    assert quote.bid % tick == quote.ask % tick == 0


def test_quote_is_renewed_each_second_and_stands_still_after_the_close():
    tape = tape_of({"AAA": WILD})
    assert tape.quote("AAA", new_york(20, 10, 0, 17)).at == new_york(20, 10, 0, 17)
    assert tape.quote("AAA", new_york(20, 18)).at == new_york(20, 16)


# A 4:1 split before the 21st: the file has 100 throughout, traded was 400 before.
SPLIT = Split("AAA", date(2023, 11, 21), Decimal(4))


@pytest.mark.parametrize(
    ("case", "at", "printed", "valued"),
    [
        ("the day before", new_york(20, 10), 400, 400),
        ("after its close", new_york(20, 17), 400, 400),
        ("the split's night", new_york(21, 0), 400, 100),
        ("before its open", new_york(21, 9), 400, 100),
        ("its session", new_york(21, 10), 100, 100),
    ],
)
def test_prints_stay_as_they_were_and_values_are_restated(case, at, printed, valued):
    tape = tape_of({"AAA": [flat(100.0)] * 11}, [SPLIT])
    assert tape.last_trade("AAA", at).price == printed, case
    assert tape.price("AAA", at) == valued, case


def test_bars_are_as_traded_unless_adjusted_and_volume_moves_the_other_way():
    tape = tape_of({"AAA": [flat(100.0)] * 11}, [SPLIT])
    row = DAYS.index(date(2023, 11, 20))
    raw = tape.day_bar("AAA", row, new_york(22, 10))
    adjusted = tape.day_bar("AAA", row, new_york(22, 10), adjusted=True)
    assert (raw.close, raw.volume) == (400, 250_000)
    assert (adjusted.close, adjusted.volume) == (100, 1_000_000)


def test_adjustment_does_not_know_of_splits_to_come():
    tape = tape_of({"AAA": [flat(100.0)] * 11}, [SPLIT])
    bar = tape.day_bar("AAA", 0, new_york(20, 10), adjusted=True)
    assert bar.close == 400


def test_adjusted_bar_is_the_files_own_once_all_splits_are_past():
    tape = tape_of({"AAA": [flat(0.1 + 0.2)] * 11}, [Split("AAA", DAYS[4], Decimal(7))])
    assert tape.day_bar("AAA", 0, new_york(22, 10), adjusted=True).close == 0.1 + 0.2


def test_session_that_the_exchange_does_not_know_is_refused():
    with pytest.raises(ValueError, match="2023-11-23 is no session"):
        tape_of({"AAA": WILD}, [Split("AAA", date(2023, 11, 23), Decimal(2))])
