"""Quotes, bars and headlines through the real clients."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import astuple
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.adapters.conftest import data_on
from tests.simulator.conftest import DAYS, FLAT_WEEKS, exchange_on, flat, new_york

from swingtrader.errors import BrokerUnreachable
from swingtrader.simulator.articles import Article
from swingtrader.simulator.conditions import NoQuote, StaleQuotes
from swingtrader.simulator.faults import MISSING, Fault, Kind, edit
from swingtrader.simulator.prices import Split

FIRST = DAYS[0]
FRIDAY = date(2023, 11, 17)
MONDAY = date(2023, 11, 20)


def answered(body, path="*", times=1, status=200):
    return Fault(Kind.STATUS, "GET", path, times=times, status=status, body=json.dumps(body))


def bar(stamp="2023-11-17T05:00:00Z", **fields):
    return {"t": stamp, "o": 10.0, "h": 12.0, "l": 9.0, "c": 11.0, "v": 500} | fields


# Quotes ------------------------------------------------------------------------------------------


def test_quotes_are_the_latest_of_the_live_feed(exchange, data):
    quotes = data.quotes(["AAA", "BBB", "NOSUCH"])
    assert set(quotes) == {"AAA", "BBB"}
    quote = quotes["AAA"]
    assert (quote.bid, quote.ask) == (Decimal("99.98"), Decimal("100.02"))
    assert quote.trade == 100
    assert quote.quote_at == quote.trade_at == exchange.now
    assert exchange.requests[-1].query["feed"] == "iex"


def test_feed_is_the_one_that_is_set():
    exchange = exchange_on(sip_delay=timedelta(0))
    data_on(exchange, feed="sip").quotes(["AAA"])
    assert exchange.requests[-1].query["feed"] == "sip"


def test_feed_that_the_plan_does_not_have_says_what_to_set(exchange, pauses):
    data = data_on(exchange, pauses=pauses, feed="sip")
    with pytest.raises(BrokerUnreachable, match=r"data plan does not allow it.*ALPACA_FEED=iex"):
        data.quotes(["AAA"])
    assert pauses == []


@pytest.mark.parametrize(
    ("condition", "bid", "ask"),
    [
        (NoQuote("AAA"), None, None),
        (NoQuote("AAA", ask=False), None, Decimal("100.02")),
        (NoQuote("AAA", bid=False), Decimal("99.98"), None),
    ],
)
def test_price_of_zero_is_no_quote(exchange, data, condition, bid, ask):
    exchange.set_fault(condition)
    quote = data.quotes(["AAA"])["AAA"]
    assert (quote.bid, quote.ask, quote.trade) == (bid, ask, 100)


def test_stamps_tell_the_age(exchange, data):
    exchange.set_fault(StaleQuotes(timedelta(minutes=7)))
    quote = data.quotes(["AAA"])["AAA"]
    assert quote.quote_at == quote.trade_at == exchange.now - timedelta(minutes=7)


@pytest.mark.parametrize("value", [MISSING, None, "n/a", [], {}, True])
@pytest.mark.parametrize(
    ("field", "attribute"),
    [
        ("latestQuote.bp", "bid"),
        ("latestQuote.ap", "ask"),
        ("latestQuote.t", "quote_at"),
        ("latestTrade.p", "trade"),
        ("latestTrade.t", "trade_at"),
    ],
)
def test_quote_keeps_what_is_stated(exchange, data, field, attribute, value):
    exchange.set_fault(edit("GET", "/v2/stocks/snapshots", f"AAA.{field}", value))
    quote = data.quotes(["AAA", "BBB"])["AAA"]
    assert getattr(quote, attribute) is None
    assert sum(each is None for each in astuple(quote)) == 1


@pytest.mark.parametrize("value", [MISSING, None, [], "none", 5])
@pytest.mark.parametrize("field", ["latestQuote", "latestTrade"])
def test_snapshot_without_a_half_keeps_the_other(exchange, data, field, value):
    exchange.set_fault(edit("GET", "/v2/stocks/snapshots", f"AAA.{field}", value))
    quote = data.quotes(["AAA"])["AAA"]
    assert (quote.bid is None) == (field == "latestQuote")
    assert (quote.trade is None) == (field == "latestTrade")


@pytest.mark.parametrize("value", [MISSING, None, [], "none"])
def test_symbol_without_a_snapshot_is_absent(exchange, data, value):
    exchange.set_fault(edit("GET", "/v2/stocks/snapshots", "AAA", value))
    assert set(data.quotes(["AAA", "BBB"])) == {"BBB"}


def test_many_symbols_are_asked_for_a_hundred_at_a_time(exchange, data):
    symbols = [f"S{n}" for n in range(250)] + ["AAA", "AAA"]
    assert set(data.quotes(symbols)) == {"AAA"}
    counts = [len(record.query["symbols"].split(",")) for record in exchange.requests]
    assert counts == [100, 100, 51]


def test_no_symbol_is_no_question(exchange, data):
    assert data.quotes([]) == {}
    assert data.daily_bars([], FIRST, FRIDAY).close.shape == (0, 0)
    assert data.headlines([], new_york(1, 0), exchange.now, most=5) == ()
    assert exchange.requests == []


def test_symbol_that_the_broker_calls_invalid_costs_only_itself(exchange, data):
    assert set(data.quotes(["AAA", "^VIX", "brk.b", "BBB"])) == {"AAA", "BBB"}
    assert data.daily_bars(["^VIX", "BBB"], FIRST, FRIDAY).symbols == ("BBB",)
    assert data.quotes(["^VIX"]) == {}
    assert data.doubts == [
        "^VIX: the broker says that it is no symbol",
        "brk.b: the broker says that it is no symbol",
    ]
    assert [record.status for record in exchange.requests] == [400, 400, 200, 200]


@pytest.mark.parametrize("message", ["invalid symbol: ELSE", "invalid symbol", "bad feed"])
def test_other_refusals_of_data_are_told(exchange, data, message):
    exchange.set_fault(answered({"message": message}, status=400))
    with pytest.raises(BrokerUnreachable, match=f"HTTP 400: {message}"):
        data.quotes(["AAA"])


# Bars --------------------------------------------------------------------------------------------


def test_bars_are_consolidated_split_adjusted_and_dated_in_new_york(exchange, data):
    panel = data.daily_bars(["MOVE", "AAA", "NOSUCH"], FIRST, FRIDAY)
    assert panel.symbols == ("AAA", "MOVE")
    assert panel.sessions.tolist() == DAYS[:3]
    assert panel.close.tolist() == [[100.0, 100.0]] * 3
    assert panel.volume.tolist() == [[1_000_000.0, 1_000_000.0]] * 3
    assert panel.close.dtype == np.float64
    query = exchange.requests[-1].query
    assert (query["timeframe"], query["adjustment"], query["feed"]) == ("1Day", "split", "sip")
    assert query["start"] == "2023-11-15T05:00:00.000000Z"
    assert query["limit"] == "10000"


def test_bars_of_before_a_split_are_in_todays_shares():
    bars = {"AAA": [flat(50.0)] * 11}
    exchange = exchange_on(
        bars, new_york(21, 10), splits=[Split("AAA", date(2023, 11, 21), Decimal(2))]
    )
    panel = data_on(exchange).daily_bars(["AAA"], FIRST, MONDAY)
    assert panel.close.tolist() == [[50.0]] * 4


def test_symbol_has_nan_where_it_did_not_trade(exchange):
    exchange = exchange_on(start=new_york(21, 10))
    panel = data_on(exchange).daily_bars(["IPO", "GONE"], FIRST, MONDAY)
    assert panel.symbols == ("GONE", "IPO")
    assert np.isnan(panel.close).tolist() == [[False, True]] * 3 + [[True, False]]
    assert np.isnan(panel.volume).tolist() == np.isnan(panel.close).tolist()


@pytest.mark.parametrize(
    ("at", "last_seen"),
    [
        (new_york(20, 8), FRIDAY),
        (new_york(20, 9, 45), FRIDAY),
        (new_york(20, 15, 59), FRIDAY),
        (new_york(20, 16), FRIDAY),
        (new_york(20, 16, 5), FRIDAY),
        (new_york(20, 16, 15, 59), FRIDAY),
        (new_york(20, 16, 16), MONDAY),
        (new_york(20, 23, 59), MONDAY),
        (new_york(24, 13, 10), date(2023, 11, 22)),
        (new_york(24, 13, 16), date(2023, 11, 24)),
        (new_york(25, 12), date(2023, 11, 24)),
    ],
)
@pytest.mark.parametrize("sip_delay", [timedelta(minutes=15), timedelta(0)])
def test_session_is_seen_once_the_feed_has_seen_its_close(at, last_seen, sip_delay):
    exchange = exchange_on(start=at, sip_delay=sip_delay)
    panel = data_on(exchange).daily_bars(["AAA", "MOVE"], FIRST, date(2023, 12, 29))
    assert panel.sessions[-1].item() == last_seen
    assert panel.sessions.tolist() == [day for day in DAYS if day <= last_seen]
    whole = FLAT_WEEKS["MOVE"][len(panel.sessions) - 1]
    move = panel.column("MOVE")
    assert panel.close[-1, move] == whole[3]
    assert panel.volume[-1, move] == whole[4]


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(0, 9 * 24 * 60))
def test_no_bar_is_ever_partial_whatever_the_time(minutes):
    exchange = exchange_on(start=new_york(20, 0) + timedelta(minutes=minutes))
    panel = data_on(exchange).daily_bars(["MOVE"], FIRST, DAYS[-1])
    whole = np.array(FLAT_WEEKS["MOVE"])[: len(panel.sessions)]
    found = np.column_stack([panel.open, panel.high, panel.low, panel.close, panel.volume])
    np.testing.assert_array_equal(found, whole)
    for record in exchange.requests:
        assert datetime.fromisoformat(record.query["end"]) <= exchange.now - timedelta(minutes=15)


def test_sessions_are_those_asked_for(exchange):
    exchange = exchange_on(start=new_york(29, 10))
    panel = data_on(exchange).daily_bars(["AAA"], date(2023, 11, 18), date(2023, 11, 26))
    assert panel.sessions.tolist() == [date(2023, 11, day) for day in (20, 21, 22, 24)]


def test_span_without_a_completed_session_asks_nothing(exchange, data):
    for first, last in ((MONDAY, MONDAY), (MONDAY, DAYS[-1]), (FRIDAY, FIRST)):
        assert data.daily_bars(["AAA"], first, last).close.shape == (0, 0)
    weekend = date(2023, 11, 18), date(2023, 11, 19)
    assert data.daily_bars(["AAA"], *weekend).close.shape == (0, 0)
    assert exchange.requests == []


def test_unknown_symbols_alone_give_an_empty_panel(data):
    panel = data.daily_bars(["NOSUCH"], FIRST, FRIDAY)
    assert (panel.symbols, panel.close.shape, len(panel.sessions)) == ((), (0, 0), 0)


def test_pages_are_followed_to_the_end(exchange, data):
    first = {"bars": {"AAA": [bar()]}, "next_page_token": "two"}
    second = {"bars": {"BBB": [bar(c=12.0)]}, "next_page_token": None}
    exchange.set_fault(answered(first))
    exchange.set_fault(Fault(Kind.STATUS, nth=2, status=200, body=json.dumps(second)))
    panel = data.daily_bars(["AAA", "BBB"], FIRST, FRIDAY)
    assert panel.close.tolist() == [[11.0, 12.0]]
    assert exchange.requests[1].query.items() >= {("page_token", "two")}


def test_exchanges_own_pages_add_up(exchange):
    days = [date(2022, 1, 3) + timedelta(days=n) for n in range(690)]
    days = [day for day in days if day.weekday() < 5]
    bars = {f"S{n}": [flat(float(n + 1))] * len(days) for n in range(21)}
    exchange = exchange_on(bars, new_york(date(2023, 11, 20), 10), days=days, half_days=())
    panel = data_on(exchange).daily_bars(sorted(bars), days[0], FRIDAY)
    assert len(exchange.requests) == 2
    assert panel.traded.all()
    assert len(panel.symbols) == 21


@pytest.mark.parametrize("token", [5, [], True, "again"])
def test_pages_that_do_not_go_on_are_no_answer(exchange, data, token):
    body = {"bars": {}, "next_page_token": token}
    exchange.set_fault(answered(body, times=9))
    with pytest.raises(BrokerUnreachable, match="pages do not go on"):
        data.daily_bars(["AAA"], FIRST, FRIDAY)
    assert len(exchange.requests) <= 2


@pytest.mark.parametrize("value", [MISSING, None, {}])
def test_bars_may_be_missing_or_null(exchange, data, value):
    exchange.set_fault(edit("GET", "/v2/stocks/bars", "bars", value))
    assert data.daily_bars(["AAA"], FIRST, FRIDAY).symbols == ()
    exchange.set_fault(edit("GET", "/v2/stocks/bars", "bars.AAA", value))
    assert data.daily_bars(["AAA", "BBB"], FIRST, FRIDAY).symbols == ("BBB",)
    assert data.doubts == []


@pytest.mark.parametrize("value", [[5], "none", 5])
def test_bars_of_another_shape_are_unusable(exchange, data, value):
    exchange.set_fault(edit("GET", "/v2/stocks/bars", "bars", value))
    with pytest.raises(BrokerUnreachable, match="bars are no JSON object"):
        data.daily_bars(["AAA"], FIRST, FRIDAY)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("t", [MISSING, None, "Friday", 5, "2023-11-16T05:00:00"]),
        ("o", [MISSING, None, "n/a", 0, -1, True, [], float("nan"), float("inf")]),
        ("h", [MISSING, None, "n/a", 0, -1, True, [], float("nan"), 50.0]),
        ("l", [MISSING, None, "n/a", 0, -1, True, [], float("nan"), 150.0]),
        ("c", [MISSING, None, "n/a", 0, -1, True, [], float("nan")]),
        ("v", [MISSING, None, "n/a", -1, True, [], float("nan"), float("inf")]),
    ],
)
def test_malformed_bar_costs_that_bar_and_a_sentence(exchange, field, values):
    for value in values:
        data = data_on(exchange)
        exchange.clear_faults()
        exchange.set_fault(edit("GET", "/v2/stocks/bars", f"bars.AAA.1.{field}", value))
        panel = data.daily_bars(["AAA", "BBB"], FIRST, FRIDAY)
        assert np.isnan(panel.close).tolist() == [[False, False], [True, False], [False, False]]
        assert data.doubts == ["AAA: 1 malformed daily bars were left out"]


@pytest.mark.parametrize("row", [None, 5, "bar", []])
def test_row_that_is_no_bar_costs_that_row(exchange, data, row):
    exchange.set_fault(edit("GET", "/v2/stocks/bars", "bars.AAA.1", row))
    assert data.daily_bars(["AAA"], FIRST, FRIDAY).sessions.tolist() == [DAYS[0], DAYS[2]]
    assert len(data.doubts) == 1


def test_series_that_is_no_list_is_one_bad_row(exchange, data):
    exchange.set_fault(edit("GET", "/v2/stocks/bars", "bars.AAA", "none"))
    assert data.daily_bars(["AAA", "BBB"], FIRST, FRIDAY).symbols == ("BBB",)
    assert data.doubts == ["AAA: 1 malformed daily bars were left out"]


def test_numbers_may_be_whole_or_text_and_nobody_trade(exchange, data):
    exchange.set_fault(answered({"bars": {"AAA": [bar(o=10, h="12", l="9.5", c=1e1, v=0)]}}))
    panel = data.daily_bars(["AAA"], FIRST, FRIDAY)
    found = [float(a[0, 0]) for a in (panel.open, panel.high, panel.low, panel.close)]
    assert found == [10.0, 12.0, 9.5, 10.0]
    assert panel.volume.tolist() == [[0.0]]


def test_bars_of_other_symbols_and_of_days_without_a_session_are_passed_over(exchange, data):
    rows = [bar("2023-11-18T05:00:00Z"), bar("2023-11-14T05:00:00Z"), bar()]
    exchange.set_fault(answered({"bars": {"AAA": rows, "ELSE": [bar()]}}))
    panel = data.daily_bars(["AAA"], FIRST, FRIDAY)
    assert (panel.symbols, panel.sessions.tolist()) == (("AAA",), [FRIDAY])


def test_reading_is_tried_again_and_then_given_up(exchange, data, pauses):
    exchange.set_fault(Fault(Kind.CUT_JSON, "GET", "*", times=2, accepted=True))
    assert data.daily_bars(["AAA"], FIRST, FRIDAY).symbols == ("AAA",)
    exchange.set_fault(Fault(Kind.SILENCE, "GET", "*", times=9))
    with pytest.raises(BrokerUnreachable, match="GET /v2/stocks/bars: no answer in time"):
        data.daily_bars(["AAA"], FIRST, FRIDAY)
    assert pauses == [0.5, 2.0, 0.5, 2.0]


def test_naive_now_is_our_bug(exchange):
    with pytest.raises(ValueError, match="time zone"):
        data_on(exchange, asof=datetime(2023, 11, 20, 10))  # noqa: DTZ001 - naive on purpose


# Headlines ---------------------------------------------------------------------------------------

ARTICLES = [Article(new_york(20, 8, n // 2), ("AAA", "MOVE"), f"No. {n}") for n in range(113)]


@pytest.fixture
def newsroom():
    return exchange_on(news=[*ARTICLES, Article(new_york(20, 9), ("BBB",), "Other")])


def texts(headlines):
    return [headline.text for headline in headlines]


def test_headlines_are_read_oldest_first_over_all_pages(newsroom):
    found = data_on(newsroom).headlines(["AAA"], new_york(20, 0), newsroom.now, most=1000)
    assert texts(found) == [f"No. {n}" for n in range(113)]
    assert [h.at for h in found] == sorted(h.at for h in found)
    assert found[0].symbols == ("AAA", "MOVE")
    assert found[0].at == new_york(20, 8)
    assert [record.query["limit"] for record in newsroom.requests] == ["50", "50", "50"]


def test_of_too_many_headlines_the_latest_are_kept(newsroom):
    found = data_on(newsroom).headlines(["AAA"], new_york(20, 0), newsroom.now, most=60)
    assert texts(found) == [f"No. {n}" for n in range(53, 113)]
    assert [record.query["limit"] for record in newsroom.requests] == ["50", "10"]


def test_headlines_of_any_of_the_symbols_within_the_span(newsroom):
    data = data_on(newsroom)
    found = data.headlines(["AAA", "BBB"], new_york(20, 8, 56), new_york(20, 9), most=100)
    assert sorted(texts(found)) == ["No. 112", "Other"]
    assert data.headlines(["AAA"], new_york(20, 9), new_york(20, 8), most=5) == ()
    assert data.headlines(["AAA"], new_york(20, 0), newsroom.now, most=0) == ()


def test_nothing_is_asked_for_that_is_later_than_now(newsroom):
    data = data_on(newsroom, asof=new_york(20, 8, 10))
    found = data.headlines(["AAA"], new_york(20, 0), new_york(21, 0), most=1000)
    assert max(headline.at for headline in found) == new_york(20, 8, 10)
    assert newsroom.requests[-1].query["end"] == "2023-11-20T13:10:00.000000Z"
    assert data.headlines(["AAA"], new_york(20, 9), new_york(21, 0), most=10) == ()


def article(**fields):
    return {"headline": "Words", "created_at": "2023-11-20T13:00:00Z", "symbols": ["AAA"]} | fields


@pytest.mark.parametrize(
    "odd",
    [
        article(headline=None),
        article(headline=5),
        article(headline="  \u0007 "),
        article(created_at=None),
        article(created_at="2023-11-20T13:00:00"),
        article(created_at="2023-11-21T13:00:00Z"),
        {},
        None,
        5,
    ],
)
def test_article_without_words_or_time_or_from_the_future_is_passed_over(newsroom, odd):
    newsroom.set_fault(answered({"news": [odd, article()]}))
    found = data_on(newsroom).headlines(["AAA"], new_york(20, 0), newsroom.now, most=10)
    assert texts(found) == ["Words"]


def test_headline_is_one_printable_line_of_bounded_length(newsroom):
    words = " \u001b[31mA\tB\r\nC\u202eD " + "x" * 500
    newsroom.set_fault(answered({"news": [article(headline=words, symbols=["B", 5, "A", "B"])]}))
    (found,) = data_on(newsroom).headlines(["A"], new_york(20, 0), newsroom.now, most=10)
    assert found.text.startswith("[31mA B C D xxx")
    assert len(found.text) == 300
    assert found.text.isprintable()
    assert found.symbols == ("A", "B")
    assert found.at == datetime(2023, 11, 20, 13, tzinfo=UTC)


@pytest.mark.parametrize("value", [MISSING, None, []])
def test_news_may_be_missing_or_null(newsroom, value):
    newsroom.set_fault(edit("GET", "/v1beta1/news", "news", value))
    newsroom.set_fault(edit("GET", "/v1beta1/news", "next_page_token", MISSING, nth=2))
    found = data_on(newsroom).headlines(["BBB"], new_york(20, 0), newsroom.now, most=10)
    assert found == ()


def test_more_articles_than_asked_for_are_cut(newsroom):
    newsroom.set_fault(answered({"news": [article()] * 9, "next_page_token": "x"}))
    found = data_on(newsroom).headlines(["AAA"], new_york(20, 0), newsroom.now, most=3)
    assert len(found) == 3


def test_symbols_that_are_no_list_are_none(newsroom):
    newsroom.set_fault(answered({"news": [article(symbols="AAA")]}))
    (found,) = data_on(newsroom).headlines(["AAA"], new_york(20, 0), newsroom.now, most=3)
    assert found.symbols == ()


@pytest.mark.parametrize("value", [{}, "none", 5])
def test_news_of_another_shape_are_unusable(newsroom, value):
    newsroom.set_fault(answered({"news": value or {"a": 1}}))
    with pytest.raises(BrokerUnreachable, match="GET /v1beta1/news: news are no list"):
        data_on(newsroom).headlines(["AAA"], new_york(20, 0), newsroom.now, most=3)


# Everything at once ------------------------------------------------------------------------------

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)
PLACES = {
    "/v2/stocks/snapshots": ["AAA", "AAA.latestQuote", "AAA.latestTrade.p", "AAA.latestQuote.t"],
    "/v2/stocks/bars": ["bars", "bars.AAA", "bars.AAA.0", "bars.AAA.0.c", "next_page_token"],
    "/v1beta1/news": ["news", "news.0", "news.0.headline", "news.0.symbols", "next_page_token"],
}


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.sampled_from([(path, field) for path, fields in PLACES.items() for field in fields]),
    ANY | st.just(MISSING),
)
def test_no_single_field_can_raise_anything_but_unreachable(place, value):
    exchange = exchange_on(news=[Article(new_york(20, 9), ("AAA",), "Words")])
    exchange.set_fault(edit("GET", *place, value, times=9))
    data = data_on(exchange)
    for ask in (
        lambda: data.quotes(["AAA"]),
        lambda: data.daily_bars(["AAA"], FIRST, FRIDAY),
        lambda: data.headlines(["AAA"], new_york(20, 0), exchange.now, most=5),
    ):
        # Usable or not: what escapes otherwise fails the test.
        with suppress(BrokerUnreachable):
            ask()
