"""Reading headlines: strangers' text, cleaned and never quoted in an error."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.adapters.news import MAX_HEADLINE_CHARACTERS, read_news
from swingtrader.errors import FileDataError

SHARED = Path(__file__).parents[3] / "shared" / "data" / "news.parquet"
NOON = datetime(2019, 6, 17, 12, tzinfo=UTC)
SPAM = "Buy$MOON"


def parquet(directory, rows, ts_type=None, symbols_type=None):
    path = directory / "news.parquet"
    ts, symbols, headlines = zip(*rows, strict=True)
    columns = {
        "ts": pa.array(ts, ts_type or pa.timestamp("ms", "UTC")),
        "symbols": pa.array(symbols, symbols_type or pa.list_(pa.string())),
        "headline": pa.array(headlines, pa.large_string()),
    }
    pq.write_table(pa.table(columns), path)
    return path


def csv(directory, *lines, header="ts,symbols,headline"):
    path = directory / "news.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def headline_read(directory, text):
    (headline,) = read_news(parquet(directory, [(NOON, ["A"], text)])).headlines
    return headline


def test_headlines_come_sorted_by_time(tmp_path):
    rows = [
        (NOON + timedelta(hours=1), ["MSFT", "AAPL"], "later"),
        (NOON, ["AAPL"], "earlier"),
        (NOON, [], "about nobody"),
    ]
    news = read_news(parquet(tmp_path, rows))
    assert news.published_at.dtype == "datetime64[us]"
    hours = [12, 12, 13]
    assert list(news.published_at) == [np.datetime64(f"2019-06-17T{h}:00:00") for h in hours]
    assert news.symbols == ((), ("AAPL",), ("AAPL", "MSFT"))
    assert news.headlines == ("about nobody", "earlier", "later")
    assert news.warnings == ()


@pytest.mark.parametrize("between", [",", ";", " ", ", ", " ;"])
def test_a_csv_may_separate_symbols_by_comma_semicolon_or_space(tmp_path, between):
    path = csv(tmp_path, f'2019-06-17T12:00:00Z,"MSFT{between}BRK.B",A merger')
    assert read_news(path).symbols == (("BRK.B", "MSFT"),)


def test_symbols_of_parquet_may_be_text(tmp_path):
    path = parquet(tmp_path, [(NOON, "MSFT AAPL", "A merger")], symbols_type=pa.string())
    assert read_news(path).symbols == (("AAPL", "MSFT"),)


def test_symbols_may_be_missing(tmp_path):
    rows = [(NOON, None, "about nobody"), (NOON, [None, "", "A"], "about A")]
    assert read_news(parquet(tmp_path, rows)).symbols == ((), ("A",))


CLEANED = {
    "AT&amp;T &gt; T&#45;Mobile": "AT&T > T-Mobile",
    "one level only &amp;lt;b&amp;gt;": "one level only &lt;b&gt;",
    "  two\n\n lines\t and a tab ": "two lines and a tab",
    "clear \x1b[2J the screen\x07": "clear [2J the screen",
    "entity &#27;[2J and &#10; feed": "entity [2J and feed",
    "right\u202eto left": "right to left",
    "zero\u200bwidth\ufeff": "zero width",
    "<script>stays data</script>": "<script>stays data</script>",
    "Café 株式": "Café 株式",
}


@pytest.mark.parametrize("raw", CLEANED)
def test_a_headline_is_one_clean_line(tmp_path, raw):
    assert headline_read(tmp_path, raw) == CLEANED[raw]


def test_a_headline_of_several_lines_in_a_csv_is_one_headline(tmp_path):
    # More than the 1 MiB that pyarrow parses at a time.
    rows = [f'2019-06-17T12:00:00Z,S{n},"first\n{"second, " * 50}"' for n in range(3000)]
    headlines = read_news(csv(tmp_path, *rows)).headlines
    assert headlines == 3000 * (("first " + "second, " * 50).strip(),)


def test_a_headline_is_capped(tmp_path):
    assert headline_read(tmp_path, "x" * 501) == "x" * MAX_HEADLINE_CHARACTERS
    assert headline_read(tmp_path, "x" * 499 + " y") == "x" * 499


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.text(max_size=700))
def test_no_headline_holds_control_characters_or_runs_of_blanks(tmp_path_factory, text):
    directory = tmp_path_factory.mktemp("news")
    headline = headline_read(directory, f"x{text}")
    assert 1 <= len(headline) <= MAX_HEADLINE_CHARACTERS
    assert "  " not in headline
    assert headline == headline.strip()
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in headline)


INSTANTS = {
    "UTC": "2019-06-17T12:00:00Z",
    "New York": "2019-06-17T08:00:00-04:00",
}


def test_a_fraction_of_a_second_is_kept_or_the_headline_would_be_known_too_early(tmp_path):
    news = read_news(csv(tmp_path, "2019-06-17 12:00:00.900+00:00,A,Hello"))
    assert news.published_at[0] == np.datetime64("2019-06-17T12:00:00.900")


@pytest.mark.parametrize("case", INSTANTS)
def test_a_zone_is_converted_to_utc(tmp_path, case):
    news = read_news(csv(tmp_path, f"{INSTANTS[case]},A,Hello"))
    assert news.published_at[0] == np.datetime64("2019-06-17T12:00:00")
    assert news.warnings == ()


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_a_zone_of_parquet_is_converted_to_utc(tmp_path, zone):
    news = read_news(parquet(tmp_path, [(NOON, ["A"], "Hello")], pa.timestamp("ns", zone)))
    assert news.published_at[0] == np.datetime64("2019-06-17T12:00:00")


def test_a_time_without_zone_is_taken_as_utc_and_that_is_said(tmp_path):
    for path in (
        csv(tmp_path, "2019-06-17 12:00:00,A,Hello"),
        parquet(tmp_path, [(NOON.replace(tzinfo=None), ["A"], "Hello")], pa.timestamp("us")),
    ):
        news = read_news(path)
        assert news.published_at[0] == np.datetime64("2019-06-17T12:00:00")
        assert news.warnings == ("timestamps without a zone were taken as UTC",)


def test_identical_rows_count_once(tmp_path):
    eastern = timezone(-timedelta(hours=4))
    rows = [
        (NOON, ["A", "B"], "AT&amp;T"),
        (NOON.astimezone(eastern), ["B", "A", "A"], " AT&T "),
        (NOON, ["A"], "AT&T"),
        (NOON + timedelta(seconds=1), ["A", "B"], "AT&T"),
    ]
    news = read_news(parquet(tmp_path, rows))
    assert news.symbols == (("A",), ("A", "B"), ("A", "B"))
    assert news.warnings == ("1 row repeated identically and dropped",)


def test_rows_without_headline_are_dropped(tmp_path):
    rows = [(NOON, ["A"], text) for text in ("Hello", "", " \n", None, "&nbsp;")]
    news = read_news(parquet(tmp_path, rows))
    assert news.headlines == ("Hello",)
    assert news.warnings == ("4 rows without headline dropped",)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.permutations(range(6)))
def test_row_order_changes_nothing(tmp_path_factory, order):
    directory = tmp_path_factory.mktemp("order")
    rows = [(NOON, symbols, text) for symbols in (["A"], ["B"], []) for text in ("x", "y")]
    plain = read_news(parquet(directory, rows))
    shuffled = read_news(parquet(directory, [rows[n] for n in order]))
    assert (shuffled.symbols, shuffled.headlines) == (plain.symbols, plain.headlines)


REFUSED = {
    "time in words": (
        lambda d: csv(d, "2019-06-17,A,Hello", f"{SPAM},A,{SPAM}"),
        "column ts, row 2: is no timestamp",
    ),
    "absent time": (
        lambda d: parquet(d, [(NOON, ["A"], "Hello"), (None, ["A"], SPAM)]),
        "column ts, row 2: is no timestamp",
    ),
    "number as time": (
        lambda d: parquet(d, [(1560772800, ["A"], SPAM)], pa.int64()),
        "column ts, row 1: is no timestamp",
    ),
    "unquoted comma": (
        lambda d: csv(d, "2019-06-17,A,Hello", f"2019-06-17,A,Hey, {SPAM}"),
        "row 2 has 4 columns, not 3",
    ),
    "no header": (
        lambda d: csv(d, f"2019-06-17,A,{SPAM}", header=f"2019-06-17,A,{SPAM}"),
        "has no column ts, symbols, headline",
    ),
    "headlines as numbers": (
        lambda d: written(d, {"ts": [NOON], "symbols": [["A"]], "headline": [1]}),
        "column headline holds int64, not text",
    ),
    "symbols as numbers": (
        lambda d: written(d, {"ts": [NOON], "symbols": [1], "headline": [SPAM]}),
        "column symbols holds int64, not text",
    ),
    "Latin-1": (
        lambda d: written(d, {"ts": [NOON], "symbols": [["A"]], "headline": latin(f"{SPAM} é")}),
        "column headline is not UTF-8 text",
    ),
    "not a headline in it": (
        lambda d: parquet(d, [(NOON, ["A"], " ")]),
        "has no headline in any row",
    ),
    "missing": (lambda d: d / "news.parquet", "No such file"),
    "damaged": (lambda d: damaged(d, f"PAR1{SPAM}PAR1"), "cannot be read: damaged"),
}


def written(directory, columns):
    pq.write_table(pa.table(columns), directory / "news.parquet")
    return directory / "news.parquet"


def latin(text):
    """Text whose bytes are not what its type says, as careless writers produce."""
    return pa.array([text.encode("latin-1")]).view(pa.string())


def damaged(directory, content):
    path = directory / "news.parquet"
    path.write_text(content)
    return path


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_names_the_row_and_quotes_nothing(tmp_path, case):
    make, message = REFUSED[case]
    with pytest.raises(FileDataError) as caught:
        read_news(make(tmp_path))
    assert message in str(caught.value)
    assert SPAM not in str(caught.value)
    assert SPAM not in repr(caught.value.__cause__)  # a traceback would show it
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared news file is not here")
def test_the_shared_file_is_what_its_description_says():
    news = read_news(SHARED)
    assert len(news.headlines) == len(news.symbols) == len(news.published_at) == 52_912
    assert str(news.published_at[0])[:10] == "2013-12-31"
    assert str(news.published_at[-1])[:10] == "2016-03-31"
    assert np.all(np.diff(news.published_at) >= np.timedelta64(0))
    assert news.warnings == ()
