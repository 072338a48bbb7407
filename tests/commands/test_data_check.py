"""The quality report: each defect planted alone is found, and real bars raise no false alarm."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.adapters.bars import FIELDS, write_bars
from swingtrader.adapters.calendar import sessions_between
from swingtrader.commands.data_check import (
    SPLIT_RATIOS,
    check,
    last_completed_session,
    require_tradeable,
    split_near,
)
from swingtrader.config import Strategy, default_universe
from swingtrader.core.costs import Costs
from swingtrader.core.policy import Policy
from swingtrader.core.universe import Sector, Universe
from swingtrader.errors import DataError
from swingtrader.simulator.synthetic import SyntheticMarket, simulate_market

SHARED = Path(__file__).parents[3] / "shared" / "data"
SECTORS = {
    "One": ("ONE", ("AAA", "BBB", "CCC", "DDD")),
    "Two": ("TWO", ("EEE", "FFF", "GGG")),
}
UNIVERSE = Universe(
    tuple(Sector(name, etf, "growth", stocks) for name, (etf, stocks) in SECTORS.items()),
    context=("^VIX",),
)
STRATEGY = Strategy(Policy(), Costs(), UNIVERSE)
SESSIONS = sessions_between(date(2021, 1, 4), date(2023, 2, 28))
LAST = SESSIONS[-1].item()
MARKET = simulate_market(SyntheticMarket(SESSIONS, SECTORS, seed=3, late_listings=0, delistings=0))


def evening(session=LAST):
    """An hour and more after a session's close."""
    return datetime.combine(session, time(22), UTC)


def changed(panel, symbol, rows, **factors):
    """The panel with fields of a symbol multiplied in some rows."""
    fields = {name: getattr(panel, name).copy() for name in factors}
    for name, factor in factors.items():
        fields[name][rows, panel.column(symbol)] *= factor
    return replace(panel, **fields)


def without(panel, symbol, rows):
    """The panel without a symbol's bars in some rows."""
    return changed(panel, symbol, rows, **dict.fromkeys(FIELDS, np.nan))


def unadjusted(panel, symbol, row, ratio, *, volume=True):
    """The panel with the sessions before `row` as they were before a split."""
    prices = dict.fromkeys(("open", "high", "low", "close"), ratio)
    shares = {"volume": 1 / ratio} if volume else {}
    return changed(panel, symbol, slice(row), **prices, **shares)


SPLITS_EITHER_WAY = (*SPLIT_RATIOS, *(1 / split for split in SPLIT_RATIOS))


@pytest.fixture
def checked(tmp_path):
    """Return a caller of the check on a panel."""

    def call(panel=MARKET, now=None, strategy=STRATEGY):
        write_bars(panel, tmp_path / "bars.parquet")
        return check(tmp_path, strategy, now=now or evening())

    return call


def found(result):
    """Symbol, kind and what of every finding."""
    return [(row.symbol, finding.kind, finding.what) for row, finding in result.findings]


def test_sound_bars_have_no_findings(checked):
    result = checked()
    assert found(result) == []
    assert result.tradeable
    assert (result.symbols, result.session, result.remarks) == (10, LAST, ())
    assert [row.bars for row in result.rows] == 10 * [len(SESSIONS)]
    require_tradeable(result)


# Each defect alone: bars, what is found, and whether they must not be traded on.
DEFECTS = {
    "a gap": (
        without(MARKET, "BBB", slice(-30, -27)),
        ("BBB", "gaps", f"3 sessions missing, as from {SESSIONS[-30]}"),
        None,
    ),
    "a stale stock": (
        without(MARKET, "CCC", slice(-2, None)),
        ("CCC", "stale", "last bar is 2 sessions old"),
        None,
    ),
    "a stale fund": (
        without(MARKET, "TWO", slice(-1, None)),
        ("TWO", "stale", "last bar is 1 session old"),
        None,
    ),
    "a stale market": (
        without(MARKET, "SPY", slice(-1, None)),
        ("SPY", "stale", "last bar is 1 session old"),
        f"SPY has no bar of {LAST}",
    ),
    "a missing stock": (
        MARKET.select([s for s in MARKET.symbols if s != "AAA"]),
        ("AAA", "missing", "no bar at all"),
        None,
    ),
    "a missing market": (
        MARKET.select([s for s in MARKET.symbols if s != "SPY"]),
        ("SPY", "missing", "no bar at all"),
        f"SPY has no bar of {LAST}",
    ),
    "sessions without volume": (
        changed(MARKET, "DDD", slice(-3, -1), volume=0),
        ("DDD", "zero_volume", f"2 sessions without volume, last on {SESSIONS[-2]}"),
        None,
    ),
    "a late listing": (
        without(MARKET, "EEE", slice(-100)),
        ("EEE", "short", "16 sessions to train on"),
        None,
    ),
    "a split 299 sessions ago": (
        unadjusted(MARKET, "FFF", -300, 2),
        ("FFF", "split", f"looks unadjusted for a 2:1 split on {SESSIONS[-300]}"),
        "1 symbol with a suspected unadjusted split: FFF",
    ),
    "a split 300 sessions ago": (
        unadjusted(MARKET, "FFF", -301, 2),
        ("FFF", "old_split", f"looks unadjusted for a 2:1 split on {SESSIONS[-301]}"),
        None,
    ),
}


@pytest.mark.parametrize("case", DEFECTS)
def test_each_defect_is_found_alone(checked, case):
    panel, finding, reason = DEFECTS[case]
    result = checked(panel)
    assert found(result) == [finding]
    assert result.tradeable == (reason is None)
    if reason is not None:
        (said,) = result.reasons
        assert said.startswith(reason)
        with pytest.raises(DataError, match=f"must not be traded on: {reason}") as refusal:
            require_tradeable(result)
        assert "\n" not in str(refusal.value)


SPLITS = {"3:2": 1.5, "2:1": 2, "3:1": 3, "4:1": 4, "5:1": 5, "7:1": 7, "10:1": 10, "20:1": 20,
          "1:2": 1 / 2, "1:8": 1 / 8, "1:10": 1 / 10, "1:25": 1 / 25}  # fmt: skip


@pytest.mark.parametrize("volume", [True, False], ids=["all unadjusted", "prices unadjusted"])
@pytest.mark.parametrize("name", SPLITS)
def test_every_usual_split_is_suspected(checked, name, volume):
    result = checked(unadjusted(MARKET, "GGG", -40, SPLITS[name], volume=volume))
    what = f"looks unadjusted for a {name} split on {SESSIONS[-40]}"
    assert found(result) == [("GGG", "split", what)]
    assert not result.tradeable


def test_a_split_is_suspected_though_the_day_moved_the_price(checked):
    calm = unadjusted(MARKET, "GGG", -40, 4)
    stormy = changed(calm, "GGG", slice(-40, None), close=0.93, low=0.9)
    stormy = changed(stormy, "GGG", slice(-39, None), open=0.93, high=0.93)
    assert [kind for _, kind, _ in found(checked(stormy))] == ["split"]


def test_a_split_is_suspected_though_the_night_moved_the_price_and_the_day_moved_it_back(checked):
    calm = unadjusted(MARKET, "GGG", -40, 4)
    assert [kind for _, kind, _ in found(checked(changed(calm, "GGG", -40, open=1.06)))] == [
        "split"
    ]


def test_a_fall_by_half_in_heavy_trading_is_news_and_no_split(checked):
    crash = unadjusted(MARKET, "GGG", -40, 2, volume=False)
    crash = changed(crash, "GGG", -40, volume=8)
    assert found(checked(crash)) == []


def test_most_stocks_being_stale_is_reason_enough(checked):
    panel = MARKET
    for count, symbol in enumerate(("AAA", "BBB", "CCC", "DDD"), start=1):
        panel = without(panel, symbol, slice(-1, None))
        assert checked(panel).tradeable == (count <= 3)
    assert checked(panel).reasons == (f"4 of 7 stocks have no bar of {LAST}",)


def test_half_of_the_stocks_are_not_most(checked):
    four = Strategy(Policy(), Costs(), Universe(UNIVERSE.sectors[:1], context=()))
    panel = without(without(MARKET, "AAA", slice(-1, None)), "BBB", slice(-1, None))
    assert checked(panel, strategy=four).tradeable


def test_a_history_too_short_to_train_on_is_reason_enough(checked):
    shorter = [checked(MARKET.rows(len(SESSIONS) - n, len(SESSIONS))) for n in (345, 330)]
    assert [result.tradeable for result in shorter] == [True, False]
    assert shorter[1].reasons[0].startswith("330 sessions are too few to train on")
    assert {kind for _, kind, _ in found(shorter[1])} == {"short"}


def test_a_cache_without_a_stock_is_reason_enough(checked):
    (reason,) = checked(MARKET.select(["ONE", "SPY", "TWO"])).reasons[1:]
    assert reason.startswith("no symbol that may be traded")


MOMENTS = {
    "before the next close": (datetime(2023, 3, 1, 20, 59, tzinfo=UTC), True),
    "after the next close": (datetime(2023, 3, 1, 21, tzinfo=UTC), False),
}


@pytest.mark.parametrize("case", MOMENTS)
def test_staleness_counts_completed_sessions(checked, case):
    now, tradeable = MOMENTS[case]
    assert checked(now=now).tradeable == tradeable


def test_over_a_weekend_nothing_grows_stale():
    assert last_completed_session(datetime(2023, 3, 5, 12, tzinfo=UTC)) == date(2023, 3, 3)


def test_bars_after_the_last_completed_session_are_remarked_on(checked):
    (remark,) = checked(now=evening(SESSIONS[-2].item())).remarks
    assert remark.startswith(f"bars until {LAST}, but")


def test_symbols_outside_the_universe_are_looked_at_and_indices_are_not(checked):
    other = replace(MARKET, symbols=("AAA", "BBB", "CCC", "DDD", "EEE", "FFF", "ZZZ",
                                     "^ONE", "^SPY", "^TWO"))  # fmt: skip
    wild = unadjusted(unadjusted(other, "^ONE", -9, 3), "ZZZ", -9, 3)
    kinds = {symbol: kind for symbol, kind, _ in found(checked(wild))}
    assert kinds["ZZZ"] == "split"
    assert not any(symbol.startswith("^") for symbol in kinds)


def test_without_a_cache_it_says_how_to_get_one(tmp_path):
    result = check(tmp_path / "nowhere", STRATEGY, now=evening())
    assert not result.tradeable
    assert "run swingtrader data pull" in result.reasons[0]


def test_a_damaged_cache_is_a_reason_and_stays_where_it_is(tmp_path):
    (tmp_path / "bars.parquet").write_bytes(b"PAR1 cut short")
    result = check(tmp_path, STRATEGY, now=evening())
    assert not result.tradeable
    assert "cannot be read" in result.reasons[0]
    assert [path.name for path in tmp_path.iterdir()] == ["bars.parquet"]


def test_the_result_is_one_json_object(checked):
    shown = checked(without(MARKET, "SPY", slice(-1, None))).as_json()
    assert json.loads(json.dumps(shown)) == shown
    assert (shown["command"], shown["tradeable"]) == ("data check", False)
    assert shown["findings"] == [
        {
            "symbol": "SPY",
            "kind": "stale",
            "what": "last bar is 1 session old",
            "first": "2021-01-04",
            "last": "2023-02-27",
        }
    ]


@settings(deadline=None, derandomize=True, max_examples=100)
@given(split=st.sampled_from(SPLITS_EITHER_WAY), error=st.floats(-0.029, 0.029))
def test_a_ratio_near_a_split_is_told_as_that_split_and_no_other(split, error):
    assert split_near(float(split) * (1 + error), 0.03) == split


@settings(deadline=None, derandomize=True)
@given(ratio=st.floats(0.69, 1.45))
def test_a_move_that_the_market_makes_without_a_split_is_near_none(ratio):
    assert split_near(ratio, 0.03) is None


# The real bars -----------------------------------------------------------------------------------

real = pytest.mark.skipif(not (SHARED / "bars.parquet").exists(), reason="no shared bars here")


@pytest.fixture(scope="module")
def real_check():
    strategy = Strategy(Policy(), Costs(), default_universe())
    return check(SHARED, strategy, now=datetime(2020, 1, 1, 12, tzinfo=UTC))


@real
def test_ten_real_years_raise_no_false_alarm(real_check):
    assert real_check.tradeable
    kinds = {kind for _, kind, _ in found(real_check)}
    assert kinds == {"missing", "zero_volume"}


@real
def test_what_is_known_of_the_real_bars_is_found(real_check):
    assert [s for s, kind, _ in found(real_check) if kind == "missing"] == ["COIN", "IBB"]
    idle = {symbol: what for symbol, kind, what in found(real_check) if kind == "zero_volume"}
    assert set(idle) == {"AMD", "ARKK", "VRTX", "XLRE"}
    assert idle["XLRE"].startswith("5 sessions without volume")
