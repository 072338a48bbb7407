from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from tests.simulator.conftest import DAYS, exchange_on, flat, new_york

from swingtrader.simulator.articles import Article, NewsQuery
from swingtrader.simulator.clock import day_start
from swingtrader.simulator.conditions import NoQuote, StaleQuotes
from swingtrader.simulator.errors import RefusalError
from swingtrader.simulator.market_data import BarsQuery
from swingtrader.simulator.prices import Split

EARLY = new_york(1, 0)


def bars(exchange, symbols=("MOVE",), timeframe="1Day", start=EARLY, **query):
    return exchange.bars(BarsQuery(tuple(symbols), timeframe, start, **query))


def days(exchange, **query):
    """Days of MOVE's daily bars."""
    return [bar["t"] for bar in bars(exchange, **query)["bars"].get("MOVE", [])]


def test_daily_bar_is_stamped_at_midnight_in_new_york(exchange):
    assert days(exchange)[0] == "2023-11-15T05:00:00Z"


def test_todays_daily_bar_is_partial_and_there():
    exchange = exchange_on(start=new_york(21, 9, 31))
    *_, yesterday, today = bars(exchange, feed="iex")["bars"]["MOVE"]
    assert (yesterday["c"], today["o"]) == (105, 105)
    assert (today["h"], today["l"]) != (110, 100)
    assert 0 < today["v"] < 2_000_000 // 40
    exchange.advance_to(new_york(21, 16))
    today = bars(exchange, feed="iex")["bars"]["MOVE"][-1]
    assert (today["h"], today["l"], today["c"]) == (110, 100, 106)


def test_sip_ends_fifteen_minutes_ago():
    exchange = exchange_on(start=new_york(21, 9, 44))
    assert len(days(exchange)) == 4
    exchange.advance_to(new_york(21, 9, 45))
    assert len(days(exchange)) == 5
    delayed = bars(exchange)["bars"]["MOVE"][-1]
    assert delayed["o"] == delayed["c"] == 105  # the opening trade and no other
    exchange.advance_to(new_york(21, 16, 14))
    assert bars(exchange)["bars"]["MOVE"][-1]["v"] < 2_000_000
    exchange.advance_to(new_york(21, 16, 15))
    assert bars(exchange)["bars"]["MOVE"][-1]["v"] == 2_000_000


@pytest.mark.parametrize("feed", [None, "sip"])
def test_recent_sip_is_refused_on_the_free_plan(exchange, feed):
    with pytest.raises(RefusalError, match="does not permit querying recent SIP") as refused:
        bars(exchange, feed=feed, end=exchange.now)
    assert (refused.value.status, refused.value.code) == (403, None)
    assert bars(exchange, feed=feed, end=exchange.now - timedelta(minutes=15))["bars"]
    assert bars(exchange, feed="iex", end=exchange.now)["bars"]


def test_paid_plan_sees_sip_now():
    exchange = exchange_on(sip_delay=timedelta(0))
    assert bars(exchange, feed="sip", end=exchange.now)["bars"]


def test_iex_has_a_small_share_of_the_volume(exchange):
    consolidated = bars(exchange)["bars"]["MOVE"][0]["v"]
    assert bars(exchange, feed="iex")["bars"]["MOVE"][0]["v"] == consolidated // 40


def test_unknown_symbols_are_silently_absent(exchange):
    assert set(bars(exchange, ["AAA", "NOPE", "IPO"])["bars"]) == {"AAA", "IPO"}
    exchange = exchange_on(start=new_york(17, 12))
    assert set(bars(exchange, ["AAA", "NOPE", "IPO"])["bars"]) == {"AAA"}


def test_bounds_are_included(exchange):
    midnight = day_start(DAYS[1])
    assert len(days(exchange, start=midnight, end=midnight)) == 1
    assert days(exchange, start=midnight + timedelta(seconds=1), end=day_start(DAYS[2])) == [
        "2023-11-17T05:00:00Z"
    ]


def test_start_is_todays_unless_given(exchange):
    exchange.advance_to(new_york(20, 12))
    assert days(exchange, start=None) == ["2023-11-20T05:00:00Z"]


def test_order_of_time_may_be_turned(exchange):
    assert days(exchange, descending=True) == days(exchange)[::-1]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("limit", [1, 3, 4, 5, 100])
def test_limit_counts_all_symbols_together_and_pages_lose_nothing(limit, descending):
    exchange = exchange_on(start=new_york(21, 12))
    query = {"symbols": ["BBB", "AAA", "IPO"], "limit": limit, "descending": descending}
    whole = bars(exchange, **query | {"limit": 10_000})
    assert whole["next_page_token"] is None
    pages, token = [], None
    while True:
        page = bars(exchange, **query, page_token=token)
        pages.append(page["bars"])
        token = page["next_page_token"]
        if token is None:
            break
    assert all(sum(map(len, page.values())) == limit for page in pages[:-1])
    assert set(pages[0]) == ({"AAA"} if limit < 6 else {"AAA", "BBB", "IPO"})
    joined = {}
    for page in pages:
        for symbol, part in page.items():
            joined.setdefault(symbol, []).extend(part)
    assert joined == whole["bars"]


SPLIT = Split("AAA", date(2023, 11, 21), Decimal(4))


@pytest.mark.parametrize(
    ("adjustment", "closes", "volumes"),
    [
        ("raw", [400.0, 100.0], [250_000, 1_000_000]),
        ("dividend", [400.0, 100.0], [250_000, 1_000_000]),
        ("split", [100.0, 100.0], [1_000_000, 1_000_000]),
        ("all", [100.0, 100.0], [1_000_000, 1_000_000]),
    ],
)
@pytest.mark.parametrize("timeframe", ["1Day", "6Hour"])
def test_adjustment_is_as_asked_and_raw_by_default(timeframe, adjustment, closes, volumes):
    exchange = exchange_on({"AAA": [flat(100.0)] * 11}, new_york(22, 9), splits=[SPLIT])
    query = {"start": new_york(20, 0), "timeframe": timeframe}
    found = bars(exchange, ["AAA"], adjustment=adjustment, **query)["bars"]["AAA"]
    whole_days = found if timeframe == "1Day" else [found[0], found[2]]
    assert [bar["c"] for bar in whole_days] == closes
    if timeframe == "1Day":
        assert [bar["v"] for bar in whole_days] == volumes
    if adjustment == "raw":
        assert bars(exchange, ["AAA"], **query)["bars"]["AAA"] == found


def test_intraday_bars_make_up_the_day():
    exchange = exchange_on(start=new_york(21, 17))
    found = bars(exchange, timeframe="5Min", start=new_york(21, 0))["bars"]["MOVE"]
    assert (len(found), found[0]["t"], found[-1]["t"]) == (
        78, "2023-11-21T14:30:00Z", "2023-11-21T20:55:00Z",
    )  # fmt: skip
    assert (found[0]["o"], found[-1]["c"]) == (105, 106)
    assert (max(bar["h"] for bar in found), min(bar["l"] for bar in found)) == (110, 100)
    assert sum(bar["v"] for bar in found) == 2_000_000


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"symbols": []}, "symbols is required"),
        ({"symbols": ["^VIX"]}, "invalid symbol"),
        ({"timeframe": "1Fortnight"}, "invalid timeframe"),
        ({"timeframe": "90Min"}, "invalid timeframe"),
        ({"limit": 0}, "limit"),
        ({"limit": 10_001}, "limit"),
        ({"adjustment": "some"}, "invalid adjustment"),
        ({"feed": "otc?"}, "invalid feed"),
        ({"page_token": "nonsense"}, "invalid page_token"),
    ],
)
def test_query_that_makes_no_sense_is_refused(exchange, query, message):
    with pytest.raises(RefusalError, match=message) as refused:
        bars(exchange, **query)
    assert (refused.value.status, refused.value.code) == (400, None)


# Latest ---------------------------------------------------------------------------------------


def test_latest_trade_and_quote_are_those_of_now(exchange):
    trade = exchange.latest("trades", ("AAA", "NOPE"))["trades"]
    assert set(trade) == {"AAA"}
    assert (trade["AAA"]["p"], trade["AAA"]["t"]) == (100, "2023-11-20T15:00:00.000000Z")
    exchange.advance_to(new_york(20, 10, 0, 42))
    quote = exchange.latest("quotes", ("AAA",))["quotes"]["AAA"]
    assert (quote["bp"], quote["ap"], quote["t"]) == (
        99.98, 100.02, "2023-11-20T15:00:42.000000Z",
    )  # fmt: skip


def test_latest_sip_is_refused_on_the_free_plan(exchange):
    for call in (lambda: exchange.latest("quotes", ("AAA",), "sip"),
                 lambda: exchange.snapshots(("AAA",), "sip")):  # fmt: skip
        with pytest.raises(RefusalError, match="recent SIP"):
            call()


def test_snapshot_has_today_and_the_session_before():
    exchange = exchange_on(start=new_york(21, 16))
    snapshot = exchange.snapshots(("MOVE", "NOPE"))
    assert set(snapshot) == {"MOVE"}
    assert (snapshot["MOVE"]["dailyBar"]["c"], snapshot["MOVE"]["prevDailyBar"]["c"]) == (106, 105)
    assert snapshot["MOVE"]["latestTrade"]["p"] == snapshot["MOVE"]["minuteBar"]["c"] == 106
    assert exchange_on(start=new_york(15, 12)).snapshots(("AAA",))["AAA"]["prevDailyBar"] is None


def test_stale_quotes_show_an_old_stamp_and_an_old_price():
    exchange = exchange_on(start=new_york(22, 15))
    fresh = exchange.latest("quotes", ("MOVE",))["quotes"]["MOVE"]
    exchange.set_fault(StaleQuotes(timedelta(hours=5), "MOVE"))
    stale = exchange.latest("quotes", ("MOVE", "AAA"))["quotes"]
    assert stale["MOVE"]["t"] == "2023-11-22T15:00:00.000000Z"
    assert stale["MOVE"]["bp"] != fresh["bp"]
    assert stale["AAA"]["t"] == "2023-11-22T20:00:00.000000Z"
    exchange.clear_faults()
    assert exchange.latest("quotes", ("MOVE",))["quotes"]["MOVE"] == fresh


def test_zero_means_that_nobody_is_there(exchange):
    exchange.set_fault(NoQuote("AAA", bid=False))
    quotes = exchange.latest("quotes", ("AAA", "BBB"))["quotes"]
    assert (quotes["AAA"]["ap"], quotes["AAA"]["bp"]) == (0, 99.98)
    assert quotes["BBB"]["ap"] > 0


# News -----------------------------------------------------------------------------------------

NEWS = [
    Article(new_york(20, 8, minute), ("AAA",) if minute % 2 else ("BBB", "AAA"), f"No. {minute}")
    for minute in range(7)
] + [Article(new_york(20, 12), ("AAA",), "Later"), Article(new_york(20, 7), (), "Unsymbolised")]


def headlines(exchange, **query):
    return [article["headline"] for article in exchange.news(NewsQuery(**query))["news"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"limit": 3}, ["No. 6", "No. 5", "No. 4"]),
        ({"descending": False, "limit": 2}, ["Unsymbolised", "No. 0"]),
        ({"symbols": frozenset({"BBB"})}, ["No. 6", "No. 4", "No. 2", "No. 0"]),
        ({"start": new_york(20, 8, 5)}, ["No. 6", "No. 5"]),
        ({"end": new_york(20, 8)}, ["No. 0", "Unsymbolised"]),
        ({"end": new_york(21, 8), "limit": 1}, ["No. 6"]),
        ({"exclude_contentless": True}, []),
    ],
)
def test_news_is_served_as_asked_and_never_from_the_future(query, found):
    assert headlines(exchange_on(news=NEWS), **query) == found


def test_pages_of_news_lose_nothing():
    exchange = exchange_on(news=NEWS, start=new_york(20, 13))
    seen, token = [], None
    while True:
        page = exchange.news(NewsQuery(limit=4, page_token=token))
        seen += [article["id"] for article in page["news"]]
        token = page["next_page_token"]
        if token is None:
            break
    assert seen == [9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_page_of_news_has_at_most_fifty(exchange):
    with pytest.raises(RefusalError, match="between 1 and 50"):
        exchange.news(NewsQuery(limit=51))
