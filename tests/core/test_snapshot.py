from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, asdict, fields, replace
from datetime import UTC, date, datetime, timedelta, timezone
from io import BytesIO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from swingtrader.core.exits import Marks
from swingtrader.core.sizing import TradeRecord
from swingtrader.core.snapshot import (
    VERSION,
    Account,
    DayActivity,
    Position,
    Snapshot,
    snapshot_from_bytes,
    snapshot_to_bytes,
)

NAN = math.nan
SYMBOLS = ("AAA", "BBB", "CCC")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

property_based = settings(
    deadline=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
numbers = st.floats(width=64)
counts = st.integers(0, 10**6)
symbol_sets = st.frozensets(st.sampled_from(SYMBOLS))
instants = st.integers(0, 2**52).map(lambda us: EPOCH + timedelta(microseconds=us))
dates = st.dates(date(1990, 1, 1), date(2090, 1, 1))
positions = st.builds(
    Position,
    symbol=st.sampled_from(SYMBOLS),
    qty=numbers,
    entry_price=numbers,
    entry_session=dates,
    age_sessions=counts,
    marks=st.builds(Marks, numbers, numbers),
    misses=counts,
    counted_session=st.none() | dates,
    managed=st.booleans(),
)
contents = st.fixed_dictionaries(
    {
        "asof": instants,
        "session": dates,
        "minutes_to_close": numbers,
        "p_high_volatility": numbers,
        "sector": arrays(np.int64, 3, elements=st.integers(-1, 3)),
        "signals": arrays(np.float64, (6, 3), elements=numbers),
        "sector_strength": arrays(np.float64, 4, elements=numbers),
        "close": arrays(np.float64, 3, elements=numbers),
        "quote_age_seconds": arrays(np.float64, 3, elements=numbers),
        "account": st.builds(Account, numbers, numbers, numbers),
        "positions": st.lists(
            positions, max_size=3, unique_by=lambda position: position.symbol
        ).map(tuple),
        "day": st.builds(DayActivity, counts, counts, symbol_sets, symbol_sets, symbol_sets),
        "record": st.builds(TradeRecord, counts, counts, numbers, numbers),
        "halts": st.lists(st.text(max_size=20), max_size=2).map(tuple),
    }
)


def assert_equal(one, other):
    """Compare every field; NaN equals NaN, and an array's type counts."""
    for field in fields(Snapshot):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()), field.name
        else:
            # repr() is exact for floats, and takes every NaN for the same.
            assert type(a) is type(b)
            assert repr(_sorted(a)) == repr(_sorted(b)), field.name


def _sorted(value):
    if not isinstance(value, DayActivity):
        return value
    return {k: sorted(v) if isinstance(v, frozenset) else v for k, v in asdict(value).items()}


@property_based
@given(contents)
def test_a_snapshot_survives_the_round_trip_exactly(make_snapshot, content):
    snapshot = make_snapshot(SYMBOLS, **content)
    stored = snapshot_to_bytes(snapshot)
    restored = snapshot_from_bytes(stored)
    assert_equal(snapshot, restored)
    assert snapshot_to_bytes(restored) == stored


def full(make_snapshot, make_position):
    return make_snapshot(
        SYMBOLS,
        price=np.array([NAN, 100.0, 101.0]),
        positions=(
            make_position(
                "AAA", marks=Marks(1.05, 1.01), misses=2, counted_session=date(2020, 1, 3)
            ),
            make_position("BBB"),
        ),
        day=DayActivity(2, 1, frozenset("CAB"), frozenset(SYMBOLS), frozenset({"CCC"})),
        halts=("by hand",),
    )


def test_the_same_snapshot_gives_the_same_bytes(make_snapshot, make_position):
    one, other = (full(make_snapshot, make_position) for _ in range(2))
    assert snapshot_to_bytes(one) == snapshot_to_bytes(other)


def test_the_order_in_which_symbols_were_touched_leaves_no_trace(make_snapshot):
    # So many that the sets do not iterate in the same order.
    touched = [f"S{k}" for k in range(500)]
    one, other = frozenset(touched), frozenset(reversed(touched))
    assert list(one) != list(other)
    days = [DayActivity(bought=symbols, exited=symbols) for symbols in (one, other)]
    stored = [snapshot_to_bytes(make_snapshot(day=day)) for day in days]
    assert stored[0] == stored[1]


def test_the_same_instant_in_another_zone_gives_the_same_bytes(make_snapshot):
    snapshot = make_snapshot()
    new_york = timezone(timedelta(hours=-5))
    moved = replace(snapshot, asof=snapshot.asof.astimezone(new_york))
    assert snapshot_to_bytes(moved) == snapshot_to_bytes(snapshot)


def test_a_restored_snapshot_can_not_be_written_to(make_snapshot):
    restored = snapshot_from_bytes(snapshot_to_bytes(make_snapshot()))
    with pytest.raises(ValueError, match="read-only"):
        restored.signals[0, 0] = 1.0


def test_damage_is_refused_or_without_consequence(make_snapshot, make_position):
    snapshot = full(make_snapshot, make_position)
    stored = snapshot_to_bytes(snapshot)
    refused = 0
    for k in range(0, len(stored), 2):
        damaged = bytearray(stored)
        damaged[k] ^= 1 << k % 8
        try:
            restored = snapshot_from_bytes(bytes(damaged))
        except ValueError:
            refused += 1
        else:
            assert snapshot_to_bytes(restored) == stored
    assert refused > len(stored) / 4


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_half_written_snapshot_is_refused(make_snapshot, kept):
    stored = snapshot_to_bytes(make_snapshot())
    with pytest.raises(ValueError, match="snapshot"):
        snapshot_from_bytes(stored[: int(kept * len(stored))])


def array_file(array):
    buffer = BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def archive(**content):
    buffer = BytesIO()
    np.savez_compressed(buffer, **content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a snapshot",
        b"{}",
        b"\x80\x04N.",
        array_file(np.zeros(3)),
        archive(close=np.zeros(3)),
        archive(header=np.frombuffer(b"{}", dtype=np.uint8)),
        archive(header=np.frombuffer(b"{", dtype=np.uint8)),
        archive(format_version=VERSION, header=np.array([{}], dtype=object)),
    ],
)
def test_anything_else_is_refused(content):
    with pytest.raises(ValueError, match="snapshot"):
        snapshot_from_bytes(content)


@pytest.mark.parametrize("version", [VERSION + 1, VERSION - 1])
def test_another_version_is_refused(make_snapshot, version):
    with np.load(BytesIO(snapshot_to_bytes(make_snapshot()))) as file:
        content = {name: file[name] for name in file.files}
    assert_equal(snapshot_from_bytes(archive(**content)), make_snapshot())
    with pytest.raises(ValueError, match=f"format {version}"):
        snapshot_from_bytes(archive(**content | {"format_version": version}))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"asof": datetime(2020, 1, 6, 14, 30)}, "asof"),  # noqa: DTZ001 - naive on purpose
        ({"close": np.zeros(2)}, "close"),
        ({"price": np.zeros((3, 1))}, "price"),
        ({"signals": np.zeros((5, 3))}, "signals"),
        ({"signals": np.zeros((3, 6)), "probability": np.zeros(3)}, "signals"),
        ({"sector": np.zeros(4, dtype=np.int64)}, "sector"),
        ({"sector_strength": np.zeros((1, 1))}, "sector_strength"),
        ({"sector": np.array([0, 1, 0])}, "sector"),
        ({"sector": np.array([0, -2, 0])}, "sector"),
        ({"symbols": ("AAA", "BBB", "AAA")}, "twice"),
    ],
)
def test_a_snapshot_that_contradicts_itself_is_refused(make_snapshot, changes, named):
    with pytest.raises(ValueError, match=named):
        make_snapshot(**changes)


def test_a_position_needs_its_symbol_in_the_snapshot(make_snapshot, make_position):
    with pytest.raises(ValueError, match="ZZZ"):
        make_snapshot(positions=(make_position("ZZZ"),))


def test_a_snapshot_can_not_be_changed(make_snapshot, make_position):
    snapshot = full(make_snapshot, make_position)
    with pytest.raises(FrozenInstanceError):
        snapshot.halts = ()
    for name in ("signals", "close", "price", "bid", "ask", "sector"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(snapshot, name)[...] = 0


def test_positions_are_found_by_symbol(make_snapshot, make_position):
    snapshot = full(make_snapshot, make_position)
    assert set(snapshot.held) == {"AAA", "BBB"}
    assert snapshot.held["AAA"].misses == 2
    assert [snapshot.columns[symbol] for symbol in SYMBOLS] == [0, 1, 2]
