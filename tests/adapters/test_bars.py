"""Reading bars files: what is accepted, what is refused, and what is remarked on."""

from __future__ import annotations

import gzip
import hashlib
import struct
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.adapters.bars import (
    panel_sha256,
    read_bars,
    write_bars,
)
from swingtrader.adapters.calendar import sessions_between
from swingtrader.adapters.intraday import read_intraday_bars
from swingtrader.core.market import Panel
from swingtrader.errors import ConfigurationError, FileDataError

SHARED = Path(__file__).parents[3] / "shared" / "data" / "bars.parquet"
NEW_YORK = ZoneInfo("America/New_York")
FIELDS = ("open", "high", "low", "close", "volume")
WEEK = ["2019-06-17", "2019-06-18", "2019-06-19", "2019-06-20", "2019-06-21"]


def daily_rows(*symbols):
    """Bars of a quiet week, one dict a row."""
    return [
        {
            "symbol": symbol,
            "date": date.fromisoformat(day),
            "open": 100.25 + n,
            "high": 102.5 + n,
            "low": 99.75 + n,
            "close": 101.5 + n,
            "volume": 1000 + n,
        }
        for symbol in symbols or ("AAPL", "MSFT")
        for n, day in enumerate(WEEK)
    ]


def altered(at, **changes):
    """The week's rows of AAPL (0 to 4) and MSFT (5 to 9), one of them changed."""
    rows = daily_rows()
    rows[at] |= changes
    return rows


def parquet(directory, rows, types=None):
    path = directory / "bars.parquet"
    table = pa.table({name: pa.array([row[name] for row in rows]) for name in rows[0]})
    for name, kind in (types or {}).items():
        table = table.set_column(
            table.column_names.index(name), name, table[name].cast(kind, safe=False)
        )
    pq.write_table(table, path)
    return path


def csv(directory, rows, name="bars.csv"):
    path = directory / name
    lines = [",".join(rows[0]), *(",".join(str(v) for v in row.values()) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def error_of(path):
    with pytest.raises(FileDataError) as caught:
        read_bars(path)
    assert "\n" not in str(caught.value)
    return caught.value


def same(one, other):
    return (
        one.symbols == other.symbols
        and np.array_equal(one.sessions, other.sessions)
        and all(np.array_equal(getattr(one, f), getattr(other, f), equal_nan=True) for f in FIELDS)
    )


# What is accepted


def test_a_file_becomes_a_panel(tmp_path):
    bars = read_bars(parquet(tmp_path, daily_rows("MSFT", "AAPL")))
    assert bars.panel.symbols == ("AAPL", "MSFT")
    assert bars.panel.sessions.tolist() == [date.fromisoformat(day) for day in WEEK]
    np.testing.assert_array_equal(bars.panel.close[:, 1], 101.5 + np.arange(5))
    np.testing.assert_array_equal(bars.panel.volume[2], [1002, 1002])
    assert bars.warnings == ()


def midnights(zone):
    return [
        row | {"date": datetime.combine(row["date"], datetime.min.time(), tzinfo=zone)}
        for row in daily_rows()
    ]


SPELLINGS = {
    "date as text": lambda d: parquet(d, daily_rows(), {"date": pa.string()}),
    "date as dictionary": lambda d: parquet(
        d,
        [row | {"date": str(row["date"])} for row in daily_rows()],
        {"date": pa.dictionary(pa.int32(), pa.string())},
    ),
    "date64": lambda d: parquet(d, daily_rows(), {"date": pa.date64()}),
    "naive midnight": lambda d: parquet(d, daily_rows(), {"date": pa.timestamp("ns")}),
    "midnight in UTC": lambda d: parquet(d, midnights(ZoneInfo("UTC"))),
    "midnight in New York": lambda d: parquet(d, midnights(NEW_YORK)),
    "midnight in New York as UTC": lambda d: parquet(
        d, midnights(NEW_YORK), {"date": pa.timestamp("s", "UTC")}
    ),
    "midnight as text": lambda d: csv(d, midnights(NEW_YORK)),
    "symbol as dictionary": lambda d: parquet(
        d, daily_rows(), {"symbol": pa.dictionary(pa.int8(), pa.string())}
    ),
    "symbol as large text": lambda d: parquet(d, daily_rows(), {"symbol": pa.large_string()}),
    "symbol with spaces": lambda d: csv(
        d, [row | {"symbol": f" {row['symbol']} "} for row in daily_rows()]
    ),
    "volume as float": lambda d: parquet(d, daily_rows(), {"volume": pa.float32()}),
    "close as decimal": lambda d: parquet(d, daily_rows(), {"close": pa.decimal128(20, 6)}),
    "numbers as text": lambda d: parquet(d, daily_rows(), {"close": pa.string()}),
    "plain csv": lambda d: csv(d, daily_rows()),
    "extra column": lambda d: csv(d, [row | {"note": "x"} for row in daily_rows()]),
    "other column order": lambda d: csv(d, [dict(reversed(row.items())) for row in daily_rows()]),
    "backwards": lambda d: parquet(d, daily_rows()[::-1]),
    "parquet by content": lambda d: parquet(d, daily_rows()).rename(d / "bars.csv"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spelling_changes_neither_panel_nor_hash(tmp_path, spelling):
    plain = read_bars(parquet(tmp_path, daily_rows()))
    spelled = read_bars(SPELLINGS[spelling](tmp_path))
    assert same(plain.panel, spelled.panel)
    assert plain.sha256 == spelled.sha256
    assert spelled.warnings == ()


@pytest.mark.parametrize("name", ["bars.csv.gz", "bars.csv"])
def test_gzipped_csv_is_told_by_content(tmp_path, name):
    plain = csv(tmp_path, daily_rows(), "plain.csv")
    packed = tmp_path / name
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_bars(packed).sha256 == read_bars(plain).sha256


def test_one_changed_number_changes_the_hash(tmp_path):
    hashes = {
        read_bars(parquet(tmp_path, rows)).sha256
        for rows in (
            daily_rows(),
            daily_rows("AAPL", "MSF"),
            daily_rows()[:-1],
            altered(3, close=101.5),
            altered(3, volume=7),
        )
    }
    assert len(hashes) == 5


def test_the_hash_is_of_names_days_and_little_endian_numbers():
    panel = Panel(
        np.array(["1970-01-02", "1970-01-05"], dtype="datetime64[D]"),
        ("A", "B"),
        *(np.arange(4.0).reshape(2, 2) for _ in FIELDS),
    )
    longhand = b"A\0B" + struct.pack("<2q", 1, 4) + 5 * struct.pack("<4d", 0, 1, 2, 3)
    assert panel_sha256(panel) == hashlib.sha256(longhand).hexdigest()


def test_minus_zero_volume_hashes_like_zero(tmp_path):
    minus, plus = (
        read_bars(csv(tmp_path, altered(1, volume=zero))).sha256 for zero in ("-0.0", "0")
    )
    assert minus == plus


def test_a_symbol_called_na_is_a_symbol(tmp_path):
    assert read_bars(csv(tmp_path, daily_rows("NA", "null"))).panel.symbols == ("NA", "null")


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.permutations(range(10)))
def test_row_order_changes_nothing(tmp_path_factory, order):
    directory = tmp_path_factory.mktemp("order")
    rows = altered(3, volume=0)
    rows[6] |= {"date": date(2019, 6, 28)}  # leaves a gap
    shuffled = read_bars(parquet(directory, [rows[n] for n in order]))
    plain = read_bars(parquet(directory, rows))
    assert shuffled.sha256 == plain.sha256
    assert shuffled.warnings == plain.warnings


# What is refused

REFUSED = {
    "high below low": (altered(6, high=100.7), "MSFT 2019-06-18: high 100.7 is below low 100.75"),
    "zero price": (altered(0, low=0.0), "AAPL 2019-06-17: low is 0, not a positive price"),
    "negative price": (altered(0, open=-1.0), "open is -1, not a positive price"),
    "infinite price": (altered(4, high=np.inf), "AAPL 2019-06-21: high is inf"),
    "not-a-number price": (altered(4, close=np.nan), "close is nan"),
    "absent price": (altered(4, close=None), "AAPL 2019-06-21: close is nan"),
    "negative volume": (altered(4, volume=-5), "AAPL 2019-06-21: volume is -5"),
    "absent volume": (altered(4, volume=None), "AAPL 2019-06-21: volume is nan"),
    "infinite volume": (altered(4, volume=np.inf), "volume is inf"),
    "two bars": (
        [*daily_rows(), altered(7, close=101.0)[7]],
        "MSFT 2019-06-19: has two different bars",
    ),
    "two bars around a repeat": (
        [*daily_rows(), altered(7, close=101.0)[7], daily_rows()[7]],
        "MSFT 2019-06-19: has two different bars",
    ),
    "Juneteenth of 2022": (
        altered(4, date=date(2022, 6, 20)),
        "AAPL 2022-06-20: is no session of the New York exchange",
    ),
    "a day no calendar knows": (altered(4, date=date(2300, 6, 20)), "AAPL 2300-06-20: is no"),
    "no symbol": (altered(4, symbol=None), "column symbol, row 5: 'None' is no symbol"),
    "blank symbol": (altered(4, symbol=" "), "column symbol, row 5: ' ' is no symbol"),
    "unprintable symbol": (altered(4, symbol="A\x1b[2J"), "column symbol, row 5: 'A [2J' is no"),
    "no date": (altered(4, date=None), "column date, row 5: 'None' is no date"),
    "a later day of an earlier symbol": (
        [*altered(4, high=1.0)[:5], *altered(5, high=1.0)[5:]][::-1],
        "AAPL 2019-06-21: high 1.0 is below low 103.75 (and 1 more)",
    ),
    "several": (
        [row | {"high": 1.0} for row in daily_rows("MSFT", "AAPL")],
        "AAPL 2019-06-17: high 1.0 is below low 99.75 (and 9 more)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_true_is_refused_at_its_first_row(tmp_path, case):
    rows, message = REFUSED[case]
    path = parquet(tmp_path, rows)
    assert str(error_of(path)).startswith(f"{path}: ")
    assert message in str(error_of(path))


def test_the_error_carries_symbol_and_date(tmp_path):
    error = error_of(parquet(tmp_path, altered(6, high=99.0)))
    assert (error.symbol, error.date) == ("MSFT", "2019-06-18")


UNPARSEABLE = {
    "date in words": (altered(2, date="last week"), "column date, row 3: 'last week' is no date"),
    "American date": (altered(2, date="06/19/2019"), "'06/19/2019' is no date"),
    "thirtieth of February": (altered(2, date="2019-02-30"), "'2019-02-30' is no date"),
    "time of day": (altered(2, date="2019-06-19T09:30:00"), "'2019-06-19T09:30:00' is no date"),
    "end of time": (altered(2, date="9999-12-31"), "'9999-12-31' is no date"),
    "price in words": (altered(2, close="n/a"), "column close: "),
    "price in words, the value": (altered(2, close="n/a"), "'n/a'"),
    "grouped digits": (altered(2, volume="1_000"), "'1_000'"),
    "blank price": (altered(2, close=" "), "AAPL 2019-06-19: close is nan"),
    "long text": (altered(2, date="x" * 5000), "x…' is no date"),
    "extra cell": (altered(2, volume="10,5"), "row 3 has 8 columns, not 7"),
}


@pytest.mark.parametrize("case", UNPARSEABLE)
def test_what_cannot_be_parsed_is_named_with_its_column(tmp_path, case):
    rows, message = UNPARSEABLE[case]
    error = str(error_of(csv(tmp_path, rows)))
    assert message in error
    assert len(error) < len(str(tmp_path)) + 200


WRONG_TYPES = {
    "days as numbers": ("date", pa.array([20190617]), "column date, row 1: '20190617' is no date"),
    "symbols as numbers": ("symbol", pa.array([1]), "column symbol, row 1: '1' is no symbol"),
    "truth as price": ("close", pa.array([True]), "column close holds bool, not numbers"),
    "days as volume": ("volume", pa.array([date(2019, 6, 17)]), "column volume holds date32"),
    "lists as prices": ("open", pa.array([[1.0]]), "column open holds list<"),
    "bytes as prices": ("open", pa.array([b"1"]), "column open holds binary, not numbers"),
    "nothing but nulls": ("low", pa.nulls(1), "AAPL 2019-06-17: low is nan"),
}


@pytest.mark.parametrize("case", WRONG_TYPES)
def test_a_column_of_the_wrong_type_is_refused(tmp_path, case):
    column, values, message = WRONG_TYPES[case]
    table = pq.read_table(parquet(tmp_path, daily_rows()[:1]))
    path = tmp_path / "wrong.parquet"
    pq.write_table(table.set_column(table.column_names.index(column), column, values), path)
    assert message in str(error_of(path))


def test_missing_columns_are_named_with_those_found(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_text("symbol,date,open,high,low,Close\nA,2019-06-17,1,1,1,1\n")
    assert "no column close, volume (found: symbol, date, open, high, low, Close)" in str(
        error_of(path)
    )


def test_a_column_given_twice_is_refused(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_text("symbol,date,open,high,low,close,volume,close\nA,2019-06-17,1,1,1,1,1,2\n")
    assert "has two columns close" in str(error_of(path))


def truncated(path, directory):
    cut = directory / f"cut-{path.name}"
    content = path.read_bytes()
    cut.write_bytes(content[: len(content) * 2 // 3])
    return cut


def written(path, content):
    path.write_bytes(content)
    return path


UNREADABLE = {
    "missing": (lambda d: d / "bars.parquet", "No such file"),
    "a directory": (lambda d: d, "Is a directory"),
    "empty": (lambda d: written(d / "bars.csv", b""), "is empty"),
    "header only": (
        lambda d: written(d / "b.csv", ",".join(daily_rows()[0]).encode() + b"\n"),
        "no rows",
    ),
    "Parquet without rows": (
        lambda d: parquet_head(d, 0),
        "no rows",
    ),
    "truncated Parquet": (lambda d: truncated(parquet(d, daily_rows()), d), "cannot be read"),
    "text called Parquet": (
        lambda d: csv(d, daily_rows()).rename(d / "bars.parquet"),
        "cannot be read",
    ),
    "truncated gzip": (
        lambda d: truncated(
            written(d / "b.csv.gz", gzip.compress(csv(d, daily_rows()).read_bytes())), d
        ),
        "cannot be read",
    ),
    "truncated CSV": (
        lambda d: written(
            d / "b.csv", b"symbol,date,open,high,low,close,volume\nA,2019-06-17,1,1"
        ),
        "row 1 has 4 columns, not 7",
    ),
    "noise": (lambda d: written(d / "b.csv", bytes(range(256)) * 40), ""),
    "Latin-1": (
        lambda d: written(
            d / "b.csv", csv(d, altered(0, symbol="É")).read_text().encode("latin-1")
        ),
        "UTF",
    ),
}


def parquet_head(directory, count):
    path = directory / "head.parquet"
    pq.write_table(pq.read_table(parquet(directory, daily_rows())).slice(0, count), path)
    return path


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path, case):
    make, message = UNREADABLE[case]
    path = make(tmp_path)
    assert message in str(error_of(path))
    assert str(error_of(path)).isprintable()


# What is remarked on

REMARKED = {
    "zero volume": (altered(1, volume=0), "1 row with zero volume: AAPL 2019-06-18"),
    "large rise": (
        altered(4, high=200.0, close=150.0),
        "1 row with a one-day move over 40%: AAPL 2019-06-21 +43.5%",
    ),
    "large fall": (
        altered(9, low=50.0, close=60.0),
        "1 row with a one-day move over 40%: MSFT 2019-06-21 -42.6%",
    ),
    "close above high": (
        altered(2, close=104.6),
        "1 row with open or close outside low to high: AAPL 2019-06-19",
    ),
    "open below low": (
        altered(2, open=101.7),
        "1 row with open or close outside low to high: AAPL 2019-06-19",
    ),
    "identical rows": (
        [*daily_rows(), daily_rows()[7]],
        "1 row repeated identically and dropped: MSFT 2019-06-19",
    ),
    "gap of one symbol": (
        daily_rows()[:6] + daily_rows()[8:],
        "2 rows missing inside the span of 1 symbol (gaps): MSFT 2019-06-18, …",
    ),
    "gap of every symbol": (
        [row for row in daily_rows() if row["date"] != date(2019, 6, 19)],
        (
            "2 rows missing inside the span of 2 symbols (gaps): AAPL 2019-06-19, MSFT 2019-06-19;"
            " no symbol at all has a bar on 1 of the sessions: 2019-06-19"
        ),
    ),
}


@pytest.mark.parametrize("case", REMARKED)
def test_what_is_odd_is_said_in_one_sentence(tmp_path, case):
    rows, warning = REMARKED[case]
    if case == "open below low":
        rows[2] |= {"low": 101.75}
    assert read_bars(parquet(tmp_path, rows)).warnings == (warning,)


def test_three_examples_are_enough(tmp_path):
    rows = [row | {"volume": 0} for row in daily_rows("A", "B")]
    assert read_bars(parquet(tmp_path, rows)).warnings == (
        "10 rows with zero volume: A 2019-06-17, A 2019-06-18, A 2019-06-19, …",
    )


def test_rounding_of_adjusted_prices_is_not_remarked_on(tmp_path):
    rows = altered(2, close=104.5 * (1 + 9e-7), open=101.75 * (1 - 9e-7))
    assert read_bars(parquet(tmp_path, rows)).warnings == ()


def test_an_index_has_no_volume_and_moves_as_it_likes(tmp_path):
    rows = [row | {"volume": 0} for row in daily_rows("^VIX")]
    rows[4] |= {"high": 300.0, "close": 300.0}
    assert read_bars(parquet(tmp_path, rows)).warnings == ()


def test_a_move_across_a_gap_is_not_a_one_day_move(tmp_path):
    rows = daily_rows("AAPL")
    del rows[3]
    rows[3] |= {"high": 200.0, "close": 200.0}
    (warning,) = read_bars(parquet(tmp_path, rows)).warnings
    assert "gaps" in warning


def test_a_late_start_is_no_gap(tmp_path):
    bars = read_bars(parquet(tmp_path, daily_rows()[:8]))
    assert bars.warnings == ()
    assert bars.panel.last_bar == (4, 2)


def test_a_session_missing_for_everyone_is_a_row_of_nan(tmp_path):
    rows = [row for row in daily_rows() if row["date"] != date(2019, 6, 19)]
    panel = read_bars(parquet(tmp_path, rows)).panel
    assert panel.sessions[2] == np.datetime64("2019-06-19")
    assert not panel.traded[2].any()
    assert panel.traded[[0, 1, 3, 4]].all()


def many_rows(strays):
    """1001 sessions of one symbol, and some Sundays of another."""
    sessions = sessions_between(date(2012, 1, 3), date(2019, 12, 31))[:1001]
    bar = {"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1}
    sundays = [date(2019, 6, 16), date(2019, 6, 23)][:strays]
    return [{"symbol": "Z", "date": day} | bar for day in sessions.tolist()] + [
        {"symbol": "STRAY", "date": day} | bar | {"close": None} for day in sundays
    ]


def test_a_stray_day_in_a_thousand_is_dropped_with_its_symbol(tmp_path):
    bars = read_bars(parquet(tmp_path, many_rows(1)))
    assert bars.panel.symbols == ("Z",)
    assert len(bars.panel.sessions) == 1001
    assert bars.warnings == ("1 row on days without session dropped: STRAY 2019-06-16",)


def test_two_stray_days_in_a_thousand_are_refused(tmp_path):
    message = str(error_of(parquet(tmp_path, many_rows(2))))
    assert "STRAY 2019-06-16: is no session of the New York exchange (and 1 more" in message


# Writing


@st.composite
def panels(draw):
    sessions = sessions_between(date(2019, 6, 17), date(2019, 7, 5))[: draw(st.integers(1, 6))]
    symbols = tuple(sorted(draw(st.sets(st.sampled_from(["A", "BRK.B", "NA", "^X"]), min_size=1))))
    shape = (len(sessions), len(symbols))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    low, high = np.sort(np.exp(rng.normal(0, 3, (2, *shape))), axis=0)
    start, end = (low + (high - low) * rng.random(shape) for _ in range(2))
    present = rng.random(shape) < 0.7
    present[0, :], present[-1, 0] = True, True
    absent = np.where(present, 0.0, np.nan)
    volume = rng.integers(0, 2**40, shape).astype(float)
    return Panel(sessions, symbols, *(field + absent for field in (start, high, low, end, volume)))


@settings(deadline=None, derandomize=True, max_examples=60)
@given(panels())
def test_what_was_written_is_read_back(tmp_path_factory, panel):
    path = tmp_path_factory.mktemp("bars") / "bars.parquet"
    write_bars(panel, path)
    bars = read_bars(path)
    assert same(bars.panel, panel)
    assert bars.sha256 == panel_sha256(panel)


def test_rows_are_written_by_symbol_and_date_and_only_where_there_is_a_bar(tmp_path):
    panel = read_bars(parquet(tmp_path, daily_rows()[:6] + daily_rows()[8:])).panel
    write_bars(panel, tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    written_rows = list(zip(table["symbol"].to_pylist(), table["date"].to_pylist(), strict=True))
    assert len(written_rows) == 8
    assert written_rows == sorted(written_rows)


def test_writing_replaces_a_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "bars.parquet"
    path.write_bytes(b"old")
    panel = read_bars(csv(tmp_path, daily_rows())).panel
    write_bars(panel, path)
    assert same(read_bars(path).panel, panel)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bars.csv", "bars.parquet"]


def test_a_file_that_cannot_be_written_is_an_operators_matter(tmp_path):
    panel = read_bars(csv(tmp_path, daily_rows())).panel
    with pytest.raises(ConfigurationError, match="absent"):
        write_bars(panel, tmp_path / "absent" / "bars.parquet")


# Intraday

DAYS = np.array(["2019-07-02", "2019-07-03", "2019-07-05"], dtype="datetime64[D]")  # 3rd: half


def intraday_row(ts, symbol="AAPL", close=101.0, **changes):
    bar = {"open": 100.0, "high": 102.0, "low": 99.0, "close": close, "volume": 10}
    return {"symbol": symbol, "ts": ts} | bar | changes


def test_intraday_bars_are_found_by_session_and_minutes_after_the_open(tmp_path):
    rows = [
        intraday_row("2019-07-02T13:40:00Z"),
        intraday_row("2019-07-02T13:30:00Z", "MSFT", 100.5),
        intraday_row("2019-07-02T13:30:00Z", close=101.5),
        intraday_row("2019-07-05T15:55:00-04:00", "TSLA"),
    ]
    bars = read_intraday_bars(csv(tmp_path, rows), DAYS)
    tuesday = bars.session(date(2019, 7, 2))
    assert tuesday.minutes.tolist() == [0, 10]
    assert tuesday.symbols == ("AAPL", "MSFT")
    np.testing.assert_array_equal(tuesday.close, [[101.5, 100.5], [101.0, np.nan]])
    np.testing.assert_array_equal(tuesday.volume, [[10, 10], [10, np.nan]])
    friday = bars.session(date(2019, 7, 5))
    assert (friday.minutes.tolist(), friday.symbols) == ([385], ("TSLA",))
    assert bars.warnings == ()


def test_a_session_without_intraday_bars_is_empty(tmp_path):
    bars = read_intraday_bars(csv(tmp_path, [intraday_row("2019-07-02T13:40:00Z")]), DAYS)
    wednesday = bars.session(date(2019, 7, 3))
    assert wednesday.symbols == ()
    assert wednesday.open.shape == (0, 0)


OUTSIDE = {
    "before the open": "2019-07-02T13:25:00Z",
    "at the close": "2019-07-02T20:00:00Z",
    "after an early close": "2019-07-03T17:00:00Z",
    "on a holiday": "2019-07-04T15:00:00Z",
    "before the sessions asked for": "2019-07-01T15:00:00Z",
    "after the sessions asked for": "2019-07-08T15:00:00Z",
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_bars_outside_regular_hours_are_dropped(tmp_path, case):
    rows = [intraday_row("2019-07-03T16:55:00Z"), intraday_row(OUTSIDE[case], "MSFT")]
    bars = read_intraday_bars(csv(tmp_path, rows), DAYS)
    assert bars.symbols == ("AAPL",)
    assert bars.minutes.tolist() == [205]
    assert bars.warnings == (f"1 row outside regular hours dropped: MSFT {OUTSIDE[case]}",)


INTRADAY_REFUSED = {
    "off the grid": (
        [intraday_row("2019-07-02T13:32:00Z")],
        "AAPL 2019-07-02T13:32:00Z: starts at no multiple of 5 minutes after the open",
    ),
    "off the grid by less than a second": (
        [intraday_row("2019-07-02T13:35:00.25Z")],
        "starts at no multiple of 5 minutes",
    ),
    "high below low": (
        [intraday_row("2019-07-02T13:35:00Z", high=98.0)],
        "AAPL 2019-07-02T13:35:00Z: high 98.0 is below low 99.0",
    ),
    "two bars": (
        [intraday_row("2019-07-02T13:35:00Z"), intraday_row("2019-07-02T13:35:00Z", close=99.5)],
        "AAPL 2019-07-02T13:35:00Z: has two different bars",
    ),
    "never open": ([intraday_row("2019-07-02T03:00:00Z")], "no bar lies within the regular hours"),
    "no time": ([intraday_row("soon")], "column ts, row 1: 'soon' is no timestamp"),
}


@pytest.mark.parametrize("case", INTRADAY_REFUSED)
def test_intraday_bars_that_cannot_be_true_are_refused(tmp_path, case):
    rows, message = INTRADAY_REFUSED[case]
    with pytest.raises(FileDataError) as caught:
        read_intraday_bars(csv(tmp_path, rows), DAYS)
    assert message in str(caught.value)


def test_intraday_times_without_zone_are_taken_as_utc_and_that_is_said(tmp_path):
    zoned = read_intraday_bars(csv(tmp_path, [intraday_row("2019-07-02T13:40:00Z")]), DAYS)
    rows = [intraday_row(datetime(2019, 7, 2, 13, 40))]  # noqa: DTZ001 - without zone on purpose
    naive = read_intraday_bars(parquet(tmp_path, rows), DAYS)
    assert naive.sha256 == zoned.sha256
    assert naive.warnings == ("timestamps without a zone were taken as UTC",)


def test_intraday_bars_need_sessions(tmp_path):
    path = csv(tmp_path, [intraday_row("2019-07-02T13:40:00Z")])
    with pytest.raises(ValueError, match="no sessions"):
        read_intraday_bars(path, DAYS[:0])


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.permutations(range(6)))
def test_intraday_row_order_changes_nothing(tmp_path_factory, order):
    directory = tmp_path_factory.mktemp("order")
    rows = [
        intraday_row(f"{day}T13:3{minute}:00Z", symbol)
        for symbol, minute in (("AAPL", 0), ("MSFT", 0), ("MSFT", 5))
        for day in DAYS[:2]
    ]
    plain = read_intraday_bars(csv(directory, rows), DAYS)
    shuffled = read_intraday_bars(csv(directory, [rows[n] for n in order]), DAYS)
    assert shuffled.sha256 == plain.sha256


# The real file

LATE_STARTS = {
    "TSLA": "2010-06-29",
    "META": "2012-05-18",
    "ABBV": "2013-01-02",
    "TMUS": "2013-05-01",
    "ARKK": "2014-10-31",
    "SHOP": "2015-05-21",
    "XLRE": "2015-10-08",
    "ROKU": "2017-09-28",
    "XLC": "2018-06-19",
}


@pytest.mark.skipif(not SHARED.exists(), reason="the shared bars file is not here")
def test_the_shared_file_is_what_its_description_says():
    bars = read_bars(SHARED)
    panel = bars.panel
    assert len(panel.symbols) == 82
    assert panel.traded.sum() == 195_903
    assert (str(panel.sessions[0]), str(panel.sessions[-1])) == ("2010-01-04", "2019-12-31")
    starts = dict(zip(panel.symbols, panel.sessions[list(panel.first_bar)], strict=True))
    late = {s: str(day) for s, day in starts.items() if day > panel.sessions[0]}
    assert late == LATE_STARTS
    assert [w.split(":")[0] for w in bars.warnings] == [
        "9 rows with zero volume",
        "6 rows with a one-day move over 40%",
    ]
    assert not panel.volume[:, panel.column("^VIX")].any()


def test_symbols_in_small_letters_are_warned_of(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_text(
        "symbol,date,open,high,low,close,volume\n"
        "spy,2019-06-17,1,1,1,1,9\nAAPL,2019-06-17,1,1,1,1,9\n"
    )
    (warning,) = read_bars(path).warnings
    assert warning == "symbols with small letters, which are others than in capitals: spy"
