"""Single fields: the value where it is one, None for anything else, and never an exception."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.adapters import alpaca_fields as fields
from swingtrader.errors import BrokerUnreachable

READERS = [
    fields.decimal,
    fields.positive,
    fields.text,
    fields.flag,
    fields.instant,
    fields.day,
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


@settings(deadline=None, derandomize=True)
@given(JSON)
def test_no_reader_raises_on_any_json_and_each_gives_none_for_what_is_missing(value):
    for read in READERS:
        assert read({}, "field") is None
        found = read({"field": value}, "field")
        assert found is None or value is not None


@settings(deadline=None, derandomize=True)
@given(st.decimals(-(10**12), 10**12, places=9))
def test_number_is_read_to_its_last_digit_from_text(value):
    assert fields.decimal({"n": f"{value:f}"}, "n") == value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("12.50", "12.50"),
        ("-3", "-3"),
        (" 7 ", "7"),
        (".5", "0.5"),
        ("1e3", "1000"),
        (12, "12"),
        (0.1, "0.1"),
        (1e-05, "0.00001"),
        (1.5e16, "15000000000000000"),
    ],
)
def test_number_may_be_text_or_json_number(written, value):
    assert fields.decimal({"n": written}, "n") == Decimal(value)


@pytest.mark.parametrize(
    "written",
    [
        None,
        True,
        False,
        "",
        "n/a",
        "NaN",
        "Infinity",
        "-inf",
        float("nan"),
        float("inf"),
        "1_000",
        "1,000",
        "0x10",
        "١٢",
        "1e999999",
        pytest.param("9" * 5000, id="5000 digits"),
        pytest.param(10**5000, id="5001 digits"),
        [],
        {},
        "1 2",
    ],
)
def test_what_is_no_finite_number_reads_as_none(written):
    assert fields.decimal({"n": written}, "n") is None


@pytest.mark.parametrize("written", [0, "0", "0.00", -1, "-0.01", 0.0])
def test_price_of_zero_or_below_means_none(written):
    assert fields.positive({"p": written}, "p") is None


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2023-11-20T15:00:00Z", datetime(2023, 11, 20, 15, tzinfo=UTC)),
        ("2023-11-20T10:00:00-05:00", datetime(2023, 11, 20, 15, tzinfo=UTC)),
        (
            "2023-11-20T10:00:00.123456789-05:00",
            datetime(2023, 11, 20, 15, 0, 0, 123456, tzinfo=UTC),
        ),
        (
            "2023-11-20T10:00:00.999999999-05:00",
            datetime(2023, 11, 20, 15, 0, 0, 999999, tzinfo=UTC),
        ),
        ("2023-11-20T15:00:00.5Z", datetime(2023, 11, 20, 15, 0, 0, 500000, tzinfo=UTC)),
    ],
)
def test_instant_is_utc_and_cut_to_microseconds(written, at):
    found = fields.instant({"t": written}, "t")
    assert found == at
    assert found.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "written",
    [
        "2023-11-20T15:00:00",  # whose wall clock?
        "2023-11-20",
        "noon",
        "",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        1700000000,
        None,
    ],
)
def test_what_is_no_instant_with_an_offset_reads_as_none(written):
    assert fields.instant({"t": written}, "t") is None


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("2023-11-20", date(2023, 11, 20)),
        ("2023-11-20T05:00:00Z", date(2023, 11, 20)),
        ("2023-02-30", None),
        ("yesterday", None),
        (20231120, None),
    ],
)
def test_day_may_be_followed_by_a_time(written, found):
    assert fields.day({"d": written}, "d") == found


@pytest.mark.parametrize("written", [0, 1, "true", "false", None, []])
def test_only_true_and_false_are_flags(written):
    assert fields.flag({"f": written}, "f") is None
    assert fields.flag({"f": True}, "f") is True


@pytest.mark.parametrize("written", ["", "  ", 5, None, ["x"]])
def test_blank_is_no_text(written):
    assert fields.text({"t": written}, "t") is None


def test_required_field_that_is_missing_is_named_with_the_request():
    assert fields.required(False, "GET /v2/clock", "is_open of the clock") is False
    with pytest.raises(
        BrokerUnreachable, match=r"GET /v2/clock: next_open of the clock is missing"
    ):
        fields.required(None, "GET /v2/clock", "next_open of the clock")


def test_instants_are_written_in_utc_and_never_guessed():
    there = datetime.fromisoformat("2023-11-20T10:00:00.25-05:00")
    assert fields.written(there) == "2023-11-20T15:00:00.250000Z"
    with pytest.raises(ValueError, match="time zone"):
        fields.written(there.replace(tzinfo=None))
