from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from datetime import date

import numpy as np
import pytest

from swingtrader.core.arrays import frozen, session_array
from swingtrader.core.market import Panel

NAN = np.nan
ARRAYS = ("sessions", "open", "high", "low", "close", "volume")


@pytest.fixture
def panel(make_panel):
    return make_panel(
        {
            "ALL": [1.0, 2.0, 3.0, 4.0],
            "GAP": [1.0, NAN, 3.0, 4.0],
            "NEW": [NAN, NAN, 3.0, 4.0],
            "NON": [NAN, NAN, NAN, NAN],
            "OLD": [1.0, 2.0, NAN, NAN],
        }
    )


@pytest.mark.parametrize("name", ARRAYS)
def test_a_panel_can_not_be_written_to(panel, name):
    with pytest.raises(ValueError, match="read-only"):
        getattr(panel, name)[0] = getattr(panel, name)[1]


def test_what_a_panel_derives_can_not_be_written_to(panel):
    with pytest.raises(ValueError, match="read-only"):
        panel.traded[0, 0] = False
    with pytest.raises(FrozenInstanceError):
        panel.close = panel.open


def test_freezing_leaves_the_callers_array_writable():
    mine = np.zeros(2)
    theirs = frozen(mine)
    mine[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        theirs[0] = 2.0


@pytest.mark.parametrize(
    "sessions",
    [
        ["2020-01-06", "2020-01-08", "2020-01-07", "2020-01-09"],
        ["2020-01-06", "2020-01-06", "2020-01-07", "2020-01-08"],
    ],
)
def test_sessions_must_strictly_increase(panel, sessions):
    with pytest.raises(ValueError, match="sessions"):
        replace(panel, sessions=session_array(sessions))


@pytest.mark.parametrize(
    "symbols", [("B", "A", "C", "D", "E"), ("A", "A", "B", "C", "D"), ("A", "B", "C", "D", "D")]
)
def test_symbols_must_strictly_increase(panel, symbols):
    with pytest.raises(ValueError, match="symbols"):
        replace(panel, symbols=symbols)


@pytest.mark.parametrize("name", ARRAYS[1:])
@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 4), (4,)])
def test_every_field_has_a_row_a_session_and_a_column_a_symbol(panel, name, shape):
    with pytest.raises(ValueError, match=name):
        replace(panel, **{name: np.ones(shape)})


@pytest.mark.parametrize(
    ("symbol", "first", "last", "traded"),
    [
        ("ALL", 0, 3, [True, True, True, True]),
        ("GAP", 0, 3, [True, False, True, True]),
        ("NEW", 2, 3, [False, False, True, True]),
        ("NON", 4, -1, [False, False, False, False]),
        ("OLD", 0, 1, [True, True, False, False]),
    ],
)
def test_a_symbol_takes_part_from_its_first_bar_to_its_last(panel, symbol, first, last, traded):
    n = panel.column(symbol)
    assert (panel.first_bar[n], panel.last_bar[n]) == (first, last)
    assert panel.traded[:, n].tolist() == traded


def test_an_unknown_symbol_has_no_column(panel):
    assert panel.column("ZZZ") is None
    with pytest.raises(KeyError):
        panel.select(["ALL", "ZZZ"])


def test_rows_stop_before_the_last_one_named(panel):
    part = panel.rows(1, 3)
    assert part.symbols == panel.symbols
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(part, name), getattr(panel, name)[1:3])


def test_selected_symbols_keep_their_own_bars_in_whatever_order_they_are_named(panel):
    part = panel.select(["OLD", "GAP"])
    assert part.symbols == ("GAP", "OLD")
    np.testing.assert_array_equal(part.sessions, panel.sessions)
    for field in fields(Panel)[2:]:
        whole = getattr(panel, field.name)
        np.testing.assert_array_equal(getattr(part, field.name), whole[:, [1, 4]])


@pytest.mark.parametrize(
    "given",
    [
        [date(2020, 1, 6), date(2020, 1, 7)],
        ["2020-01-06", "2020-01-07"],
        np.array(["2020-01-06T21:00", "2020-01-07T21:00"], dtype="datetime64[ns]"),
    ],
)
def test_sessions_are_days_however_they_are_written(given):
    expected = np.array(["2020-01-06", "2020-01-07"], dtype="datetime64[D]")
    sessions = session_array(given)
    assert sessions.dtype == expected.dtype
    np.testing.assert_array_equal(sessions, expected)
