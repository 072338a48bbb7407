from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.store.conftest import DECIMALS, INSTANTS, NOW, SESSIONS, digits, round_trips

from swingtrader.core.portfolio import Execution, ShareSplit

EXECUTIONS = st.builds(
    Execution,
    id=st.text(),
    at=INSTANTS,
    symbol=st.sampled_from(["KO", "BRK.B"]),
    side=st.text(),
    qty=DECIMALS,
    price=DECIMALS,
    order_id=st.text(),
)
SPLITS = st.builds(
    ShareSplit,
    id=st.text(),
    day=SESSIONS,
    symbol=st.sampled_from(["KO", "BRK.B"]),
    added=DECIMALS,
)


def execution(number, at=NOW, symbol="KO"):
    return Execution(f"f{number}", at, symbol, "buy", Decimal(number), Decimal("61.2"), "b1")


@round_trips
@given(activities=st.lists(EXECUTIONS | SPLITS, max_size=4))
def test_fills_come_back_to_the_last_digit(long_lived_store, activities):
    known = len(long_lived_store.fills.all_of("KO") + long_lived_store.fills.all_of("BRK.B"))
    activities = [
        replace(activity, id=f"{known + number} {activity.id}")
        for number, activity in enumerate(activities)
    ]
    assert long_lived_store.fills.add(iter(activities)) == len(activities)
    found = {
        activity.id: activity
        for symbol in ("KO", "BRK.B")
        for activity in long_lived_store.fills.all_of(symbol)
    }
    for activity in activities:
        assert found[activity.id] == activity
        assert digits(found[activity.id]) == digits(activity)


def test_a_fill_is_added_once(store):
    one, two, three = (execution(number) for number in (1, 2, 3))
    assert store.fills.add([]) == 0
    assert store.fills.add([one, two, one]) == 2
    assert store.fills.add([two, three]) == 1
    assert store.fills.add([replace(one, qty=Decimal(99))]) == 0
    assert store.fills.all_of("KO") == (one, two, three)
    assert store.fills.all_of("PEP") == ()


def test_what_is_not_known_yet_is_told_in_the_order_given(store):
    split = ShareSplit("s1", date(2025, 3, 14), "KO", Decimal(10))
    store.fills.add([execution(2), split])
    given_ = [execution(3), split, execution(1), execution(2)]
    assert store.fills.unknown(iter(given_)) == (execution(3), execution(1))
    assert store.fills.unknown([]) == ()


def test_fills_come_oldest_first_and_a_split_before_the_executions_of_its_day(store):
    # 19:30 in New York's winter is half past midnight in UTC: the evening before the split.
    evening = execution(4, datetime(2025, 1, 15, 0, 30, tzinfo=UTC))
    split = ShareSplit("z", date(2025, 1, 15), "KO", Decimal(12))
    morning = execution(5, datetime(2025, 1, 15, 9, 30, tzinfo=UTC))
    same_moment = execution(6, datetime(2025, 1, 15, 9, 30, tzinfo=UTC))
    first = execution(9, datetime(2024, 12, 31, 15, 0, tzinfo=UTC))
    store.fills.add([same_moment, split, first, morning, evening])
    assert store.fills.all_of("KO") == (first, evening, split, morning, same_moment)


def test_the_latest_fill_is_the_latest_execution_of_any_symbol(store):
    assert store.fills.latest_at() is None
    store.fills.add([ShareSplit("s1", date(2025, 3, 14), "KO", Decimal(10))])
    assert store.fills.latest_at() is None
    later = datetime(2025, 3, 15, 1, tzinfo=UTC)
    store.fills.add([execution(1, later, "PEP"), execution(2, NOW)])
    assert store.fills.latest_at() == later


@pytest.mark.parametrize(
    "nonsense",
    [
        replace(execution(2), price=Decimal("sNaN")),
        replace(execution(2), at=NOW.replace(tzinfo=None)),
        ShareSplit("s1", NOW, "KO", Decimal(1)),
    ],
)
def test_fills_are_added_all_or_none(store, nonsense):
    with pytest.raises(ValueError, match=r"constraint|NaN|aware"):
        store.fills.add([execution(1), nonsense])
    assert store.fills.all_of("KO") == ()
