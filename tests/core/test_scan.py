from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.core.policy import ScanRules
from swingtrader.core.reasons import REASONS
from swingtrader.core.scan import scan
from swingtrader.core.universe import NO_SECTOR

NAN = np.nan
RULES = ScanRules()


def scanned(n=None, **columns):
    """Scan of n stocks that pass everything but for the columns given."""
    n = n or max(len(column) for name, column in columns.items() if name != "sector_strength")
    values = {
        "probability": np.full(n, 0.6),
        "close": np.full(n, 100.0),
        "dollar_volume_usd": np.full(n, 1e9),
        "sector": np.zeros(n, dtype=np.int64),
        "sector_strength": np.array([0.5]),
    } | {name: np.asarray(column) for name, column in columns.items()}
    return scan(**values, rules=RULES)


def outcome(result):
    """Reason code of every symbol outside, its rank for one inside."""
    pairs = zip(result.rank, result.reasons, strict=True)
    return [int(rank) if rank else str(REASONS[reason]) for rank, reason in pairs]


def sectors_of(sizes):
    """Sector numbers of as many stocks a sector as `sizes` says."""
    return np.repeat(np.arange(len(sizes)), sizes)


def sectors_scanned(result, sector):
    return sorted(set(sector[result.rank > 0].tolist()))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 1),
        ({"close": 5.0}, 1),
        ({"close": 4.99}, "price_below_floor"),
        ({"dollar_volume_usd": 20e6}, 1),
        ({"dollar_volume_usd": 19.99e6}, "illiquid"),
        ({"dollar_volume_usd": NAN}, "illiquid"),
        ({"probability": 0.40}, "probability_too_low"),
        ({"probability": np.nextafter(0.40, 1.0)}, 1),
        ({"probability": NAN}, "not_ranked"),
        ({"close": NAN}, "no_bar"),
    ],
)
def test_floors_include_their_edge_and_the_probability_does_not(changes, expected):
    assert outcome(scanned(1, **{name: [value] for name, value in changes.items()})) == [expected]


@pytest.mark.parametrize(
    ("failing", "reason"),
    [
        (("sector", "close", "dollar_volume_usd", "probability"), "sector_not_in_scan"),
        (("close", "dollar_volume_usd", "probability"), "price_below_floor"),
        (("dollar_volume_usd", "probability"), "illiquid"),
        (("probability",), "probability_too_low"),
    ],
)
def test_the_reason_is_the_first_step_that_failed(failing, reason):
    failures = {"sector": 1, "close": 1.0, "dollar_volume_usd": 1.0, "probability": 0.1}
    healthy = {"sector": 0, "close": 100.0, "dollar_volume_usd": 1e9, "probability": 0.6}
    columns = {
        name: [failures[name] if name in failing else value] + [value] * 15
        for name, value in healthy.items()
    }
    # Sectors 2 and 3 are strong and empty, so sector 1 is not among the three strongest.
    result = scanned(**columns, sector_strength=[0.5, -0.5, 0.4, 0.3])
    assert outcome(result)[0] == reason


def test_a_symbol_without_a_bar_has_no_other_reason():
    result = scanned(
        close=[NAN] + [100.0] * 15,
        probability=[NAN] + [0.6] * 15,
        sector=[1] + [0] * 15,
        sector_strength=[0.5, -0.5, 0.4, 0.3],
    )
    assert outcome(result)[0] == "no_bar"


def test_ranks_follow_the_probability_and_ties_the_order_of_symbols():
    probability = [0.5, 0.9, 0.3, 0.5, 0.7]
    assert outcome(scanned(probability=probability)) == [3, 1, "probability_too_low", 4, 2]


@pytest.mark.parametrize(
    ("sizes", "others", "strength", "expected"),
    [
        ([5, 5, 5, 5, 5], 0, [0.1, 0.2, 0.3, 0.4, 0.5], [2, 3, 4]),
        ([9, 9, 9, 9, 9], 0, [0.5, 0.1, 0.4, 0.2, 0.3], [0, 2, 4]),
        ([4, 4, 4, 4, 4], 0, [0.5, 0.4, 0.3, 0.2, 0.1], [0, 1, 2, 3]),
        ([4, 4, 4, 2, 4], 0, [0.5, 0.4, 0.3, 0.2, 0.1], [0, 1, 2, 3, 4]),
        ([4, 4, 4, 4, 4], 3, [0.5, 0.4, 0.3, 0.2, 0.1], [0, 1, 2]),
        ([1, 1, 1, 1, 1], 0, [0.5, 0.4, 0.3, 0.2, 0.1], [0, 1, 2, 3, 4]),
        ([9, 9, 9, 9, 9], 0, [NAN, 0.1, NAN, -0.9, -0.2], [1, 3, 4]),
        ([4, 4, 4, 4, 4], 0, [NAN, 0.1, NAN, -0.9, -0.2], [0, 1, 3, 4]),
        ([9, 9, 9, 9, 9], 0, [-0.5, -0.4, -0.3, -0.2, -0.1], [2, 3, 4]),
    ],
)
def test_the_three_strongest_sectors_are_widened_to_fifteen_candidates(
    sizes, others, strength, expected
):
    sector = np.append(sectors_of(sizes), np.full(others, NO_SECTOR))
    result = scanned(sector=sector, sector_strength=strength)
    assert [k for k in sectors_scanned(result, sector) if k != NO_SECTOR] == expected


def test_only_symbols_above_the_floors_count_as_candidates():
    sector = sectors_of([5, 5, 5, 5])
    close = np.where(np.arange(20) == 0, 4.0, 100.0)
    dollars = np.where(np.arange(20) == 0, 1e6, 1e9)
    strength = [0.4, 0.3, 0.2, 0.1]
    assert sectors_scanned(scanned(sector=sector, sector_strength=strength), sector) == [0, 1, 2]
    for changes in ({"close": close}, {"dollar_volume_usd": dollars}):
        result = scanned(sector=sector, sector_strength=strength, **changes)
        assert sectors_scanned(result, sector) == [0, 1, 2, 3]


def test_the_probability_is_looked_at_after_the_sectors_are_chosen():
    sector = sectors_of([5, 5, 5, 5])
    probability = np.where(sector == 3, 0.9, 0.1)
    result = scanned(probability=probability, sector=sector, sector_strength=[0.4, 0.3, 0.2, 0.1])
    assert outcome(result) == ["probability_too_low"] * 15 + ["sector_not_in_scan"] * 5


def test_symbols_of_other_pass_the_sector_step_but_not_the_floors():
    sector = np.append(sectors_of([9, 9, 9, 9]), [NO_SECTOR] * 2)
    close = np.append(np.full(37, 100.0), 4.0)
    result = scanned(sector=sector, close=close, sector_strength=[0.4, 0.3, 0.2, 0.1])
    assert outcome(result)[-2:] == [28, "price_below_floor"]


def test_a_market_without_sectors_is_scanned_as_a_whole():
    sector = np.full(2, NO_SECTOR)
    result = scanned(sector=sector, probability=[0.5, 0.6], sector_strength=np.empty(0))
    assert outcome(result) == [2, 1]


seeds = st.integers(0, 2**32 - 1)


def random_columns(seed):
    rng = np.random.default_rng(seed)
    n, s = int(rng.integers(1, 40)), int(rng.integers(1, 7))
    holes = rng.random((3, n)) < 0.1
    return {
        "probability": np.where(holes[0], NAN, rng.permutation(n) / n),
        "close": np.where(holes[1], NAN, rng.uniform(1.0, 50.0, n)),
        "dollar_volume_usd": np.where(holes[2], NAN, 10 ** rng.uniform(6.5, 9.0, n)),
        "sector": rng.integers(NO_SECTOR, s, n),
        "sector_strength": np.where(rng.random(s) < 0.2, NAN, rng.uniform(-1.0, 1.0, s)),
    }


@settings(deadline=None, derandomize=True)
@given(seeds)
def test_ranks_count_up_and_everything_outside_has_its_reason(seed):
    values = random_columns(seed)
    result = scanned(**values)
    inside = result.rank > 0
    assert sorted(result.rank[inside]) == list(range(1, inside.sum() + 1))
    by_rank = np.flatnonzero(inside)[np.argsort(result.rank[inside])]
    assert (np.diff(values["probability"][by_rank]) < 0).all()
    allowed = {
        "no_bar", "sector_not_in_scan", "price_below_floor", "illiquid", "not_ranked",
        "probability_too_low",
    }  # fmt: skip
    assert {str(REASONS[k]) for k in result.reasons[~inside]} <= allowed


@settings(deadline=None, derandomize=True)
@given(seeds)
def test_permuting_symbols_permutes_the_scan(seed):
    values = random_columns(seed)
    order = np.random.default_rng(seed + 1).permutation(len(values["close"]))
    permuted = {
        name: column if name == "sector_strength" else column[order]
        for name, column in values.items()
    }
    whole, shuffled = outcome(scanned(**values)), outcome(scanned(**permuted))
    assert shuffled == [whole[k] for k in order]
