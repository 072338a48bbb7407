"""The cache after a pull, whatever was in it before and whatever happened on the way."""

from __future__ import annotations

import json
import resource
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.adapters.alpaca_data import AlpacaData
from swingtrader.adapters.alpaca_wire import Connection
from swingtrader.adapters.bars import FIELDS, panel_sha256, read_bars, write_bars
from swingtrader.adapters.calendar import session_closes, session_opens, sessions_between
from swingtrader.adapters.news import read_news
from swingtrader.commands.data_pull import DEFAULT_SESSIONS, GROUP, PullOptions, pull, pull_now
from swingtrader.config import Strategy
from swingtrader.core.costs import Costs
from swingtrader.core.market import Panel
from swingtrader.core.policy import Policy
from swingtrader.core.portfolio import MarketClock
from swingtrader.core.universe import Sector, Universe
from swingtrader.errors import BrokerUnreachable, ConfigurationError, UsageError
from swingtrader.simulator import faults, in_process
from swingtrader.simulator.articles import Article
from swingtrader.simulator.clock import Timetable
from swingtrader.simulator.exchange import Exchange
from swingtrader.simulator.prices import Split
from swingtrader.simulator.settings import ExchangeSettings

STOCKS = tuple(f"S{n:02}" for n in range(30))
UNIVERSE = Universe(
    (Sector("First", "FFF", "growth", STOCKS), Sector("None", None, "neutral", ())),
    context=("QQQ", "^VIX"),
)
SYMBOLS = tuple(sorted((*STOCKS, "FFF", "QQQ", "SPY")))
CALENDAR = sessions_between(date(2023, 6, 1), date(2023, 8, 31))
TODAY = date(2023, 8, 31)
EVENING = datetime(2023, 8, 31, 21, tzinfo=UTC)  # an hour after the close


def market(symbols=SYMBOLS, sessions=CALENDAR):
    """Bars that differ between symbols, sessions and fields."""
    close = 50 + np.arange(len(symbols)) + np.arange(len(sessions))[:, None] / 7
    volume = np.tile(1000.0 + np.arange(len(symbols)), (len(sessions), 1))
    return Panel(sessions, symbols, close - 0.25, close + 1, close - 1, close, volume)


def latest(count, panel=None):
    """The last `count` sessions of the market."""
    return (panel or market()).rows(len(CALENDAR) - count, len(CALENDAR))


def changed(panel, symbol, name, factor, rows=slice(None)):
    """The panel with one field of a symbol multiplied."""
    values = getattr(panel, name).copy()
    values[rows, panel.column(symbol)] *= factor
    return replace(panel, **{name: values})


def split(panel, symbol, ratio):
    """The panel as it is told after a split."""
    for name in ("open", "high", "low", "close"):
        panel = changed(panel, symbol, name, 1 / ratio)
    return changed(panel, symbol, "volume", ratio)


def listed(panel, symbol, rows):
    """The panel with bars of a symbol in `rows` only."""
    for name in FIELDS:
        factor = np.full(len(panel.sessions), np.nan)
        factor[rows] = 1.0
        panel = changed(panel, symbol, name, factor)
    return panel


@dataclass(frozen=True)
class Told:
    """A headline as the feed tells it."""

    at: datetime
    symbols: tuple[str, ...]
    text: str


@dataclass
class PanelFeed:
    """Serves a panel and headlines; the power goes at the `interrupted_at`-th question."""

    panel: Panel = field(default_factory=market)
    told: tuple[Told, ...] = ()
    interrupted_at: int | None = None
    doubts: list[str] = field(default_factory=list)
    asked: list[tuple[tuple[str, ...], date, date]] = field(default_factory=list)
    news_asked: list[tuple[tuple[str, ...], datetime, datetime]] = field(default_factory=list)

    def daily_bars(self, symbols, first, last):
        """Serve the rows between two sessions."""
        self._count()
        self.asked.append((tuple(symbols), first, last))
        sessions = self.panel.sessions
        rows = (sessions >= np.datetime64(first)) & (sessions <= np.datetime64(last))
        there = self.panel.rows(*(np.flatnonzero(rows)[[0, -1]] + [0, 1])) if rows.any() else None
        known = [] if there is None else [s for s in symbols if there.column(s) is not None]
        known = [s for s in known if there.traded[:, there.column(s)].any()]
        return (there or self.panel.rows(0, 0)).select(known)

    def headlines(self, symbols, start, end, *, most):
        """Serve what was told in between."""
        self._count()
        self.news_asked.append((tuple(symbols), start, end))
        found = [
            each
            for each in self.told
            if start <= each.at <= end and set(each.symbols) & set(symbols)
        ]
        return tuple(found[:most])

    def quotes(self, symbols):
        """Refuse."""
        raise AssertionError(f"a pull needs no quotes of {symbols}")

    def _count(self):
        if len(self.asked) + len(self.news_asked) + 1 == self.interrupted_at:
            self.interrupted_at = None
            raise KeyboardInterrupt


class Listener:
    """Remembers what a run says on its way."""

    def __init__(self):
        self.phases = []
        self.warnings = []

    def phase(self, name, total=1):
        """Begin a phase."""
        self.phases.append((name, total, []))
        return self.phases[-1][2].append

    def warn(self, event, **facts):
        """Take a warning."""
        self.warnings.append((event, facts["why"]))


class Cache:
    """A cache directory and what pulls into it have said."""

    def __init__(self, directory):
        self.directory = directory
        self.said = Listener()

    def pull(self, feed, at=EVENING, *, universe=UNIVERSE, **options):
        """Pull 40 sessions and five days of headlines, unless told otherwise."""
        self.said = Listener()
        clock = MarketClock(at, False, at + timedelta(hours=12), at + timedelta(hours=20))
        asked = PullOptions(self.directory, clock, **{"sessions": 40, "news_days": 5, **options})
        return pull(asked, Strategy(Policy(), Costs(), universe), feed, self.said)

    @property
    def bars(self):
        """The bars file."""
        return self.directory / "bars.parquet"

    @property
    def news(self):
        """The headlines file."""
        return self.directory / "news.parquet"

    @property
    def panel(self):
        """What the bars file holds."""
        return read_bars(self.bars).panel

    @property
    def events(self):
        """Names of the last pull's warnings."""
        return [event for event, _ in self.said.warnings]

    def why(self, event):
        """The one warning of its kind."""
        (sentence,) = [why for name, why in self.said.warnings if name == event]
        return sentence

    def stories(self):
        """Rows of the headlines file."""
        read = read_news(self.news)
        return list(zip(read.published_at.tolist(), read.symbols, read.headlines, strict=True))


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "data")


@pytest.fixture
def another(tmp_path):
    """Another cache, to compare with."""
    return Cache(tmp_path / "other")


def after_close(session):
    return datetime.combine(session, time(21), UTC)


# What is asked for -------------------------------------------------------------------------------


def test_an_empty_cache_gets_every_symbol_of_the_universe_but_the_indices(cache):
    result = cache.pull(PanelFeed())
    assert cache.panel.symbols == SYMBOLS
    assert panel_sha256(cache.panel) == panel_sha256(latest(40))
    assert (result.symbols, result.bars_added) == (len(SYMBOLS), 40 * len(SYMBOLS))
    assert (result.session, result.warnings) == (TODAY, ())
    assert [(total, done) for _, total, done in cache.said.phases] == [(2, [1, 2]), (2, [1, 2])]


def test_symbols_may_be_asked_for_beside_the_universe(cache):
    feed = PanelFeed(market((*SYMBOLS, "TTT")))
    assert cache.pull(feed, symbols=("TTT", "S00")).symbols == len(SYMBOLS) + 1
    assert "TTT" in cache.panel.symbols


def test_the_default_depth_is_enough_to_train_on(cache):
    feed = PanelFeed()
    cache.pull(feed, sessions=None)
    (first,) = {first for _, first, _ in feed.asked}
    assert len(sessions_between(first, TODAY)) == DEFAULT_SESSIONS >= 1260


LAST_SESSION = {
    "a minute before the close": (datetime(2023, 8, 31, 19, 59, tzinfo=UTC), date(2023, 8, 30)),
    "at the close": (datetime(2023, 8, 31, 20, tzinfo=UTC), TODAY),
    "in the night, when UTC has another day": (datetime(2023, 9, 1, 2, tzinfo=UTC), TODAY),
    "before the opening": (datetime(2023, 8, 31, 11, tzinfo=UTC), date(2023, 8, 30)),
    "on Labor Day, after a weekend": (datetime(2023, 9, 4, 18, tzinfo=UTC), date(2023, 9, 1)),
    "after the early close of Black Friday": (
        datetime(2023, 11, 24, 18, tzinfo=UTC),
        date(2023, 11, 24),
    ),
}


@pytest.mark.parametrize("case", LAST_SESSION)
def test_the_last_session_is_the_last_completed_one_by_the_brokers_clock(cache, case):
    at, session = LAST_SESSION[case]
    feed = PanelFeed()
    assert cache.pull(feed, at).session == session
    assert {last for _, _, last in feed.asked} == {session}


def test_symbols_are_asked_for_in_groups(cache):
    feed = PanelFeed()
    cache.pull(feed)
    assert [len(symbols) for symbols, _, _ in feed.asked] == [GROUP, len(SYMBOLS) - GROUP]


def test_a_second_pull_asks_for_the_overlap_alone_and_leaves_the_file_alone(cache):
    cache.pull(PanelFeed())
    before = cache.bars.stat()
    feed = PanelFeed()
    assert cache.pull(feed).bars_added == 0
    assert {(first, last) for _, first, last in feed.asked} == {(CALENDAR[-5].item(), TODAY)}
    assert cache.bars.stat() == before


def test_the_next_sessions_are_added_to_what_is_there(cache, another):
    cache.pull(PanelFeed(), after_close(date(2023, 8, 28)), sessions=37)
    feed = PanelFeed()
    assert cache.pull(feed).bars_added == 3 * len(SYMBOLS)
    assert {first for _, first, _ in feed.asked} == {date(2023, 8, 22)}
    another.pull(PanelFeed())
    assert cache.bars.read_bytes() == another.bars.read_bytes()


def test_a_symbol_that_is_new_in_the_universe_gets_its_whole_depth(cache, another):
    young = Universe((Sector("First", "FFF", "growth", STOCKS[:-1]),), context=("QQQ",))
    cache.pull(PanelFeed(), universe=young)
    feed = PanelFeed()
    assert cache.pull(feed).bars_added == 40
    assert (("S29",), CALENDAR[-40].item(), TODAY) in feed.asked
    another.pull(PanelFeed())
    assert cache.bars.read_bytes() == another.bars.read_bytes()


def test_a_deeper_history_is_added_before_what_is_there(cache, another):
    cache.pull(PanelFeed(), sessions=10)
    assert cache.pull(PanelFeed(), sessions=40).bars_added == 30 * len(SYMBOLS)
    another.pull(PanelFeed())
    assert cache.bars.read_bytes() == another.bars.read_bytes()


def test_sessions_older_than_the_depth_and_symbols_outside_the_universe_are_kept(cache):
    cache.pull(PanelFeed())
    small = Universe((Sector("First", None, "growth", ("S00",)),), context=())
    assert cache.pull(PanelFeed(), sessions=5, universe=small).bars_added == 0
    assert panel_sha256(cache.panel) == panel_sha256(latest(40))


def test_a_late_listing_costs_one_bar_more_and_is_no_news(cache):
    feed = PanelFeed(listed(market(), "S07", slice(-10, None)))
    cache.pull(feed)
    feed.asked.clear()
    result = cache.pull(feed)
    assert (result.bars_added, result.warnings) == (0, ())
    assert (("S07",), CALENDAR[-40].item(), CALENDAR[-10].item()) in feed.asked


@pytest.mark.parametrize("wrong", [{"sessions": 0}, {"sessions": -1}, {"news_days": -1}])
def test_a_number_out_of_range_is_refused_before_anything_is_asked(cache, wrong):
    feed = PanelFeed()
    with pytest.raises(UsageError):
        cache.pull(feed, **wrong)
    assert feed.asked == []


# Restated history --------------------------------------------------------------------------------

RESTATED = {
    "a split": lambda panel: split(panel, "S03", 2),
    "a reverse split": lambda panel: split(panel, "S03", 0.1),
    "a split of volume alone": lambda panel: changed(panel, "S03", "volume", 3.01),
    **{
        f"{name} by 0.2 % on one session": lambda panel, name=name: changed(
            panel, "S03", name, 1.002, -6
        )
        for name in ("open", "high", "low", "close")
    },
}


@pytest.mark.parametrize("case", RESTATED)
def test_a_restated_symbol_is_pulled_again_from_its_beginning(cache, another, case):
    cache.pull(PanelFeed(), after_close(date(2023, 8, 28)))
    feed = PanelFeed(RESTATED[case](market()))
    result = cache.pull(feed, sessions=20)
    assert result.restated == ("S03",)
    assert cache.why("symbol.restated").startswith("S03: history was restated (")
    assert feed.asked[-1] == (("S03",), CALENDAR[-43].item(), TODAY)
    another.pull(feed, sessions=43)
    assert cache.bars.read_bytes() == another.bars.read_bytes()


TOLERATED = {
    "a close by 0.05 %": lambda panel: changed(panel, "S03", "close", 1.0005),
    "a volume by 7 %": lambda panel: changed(panel, "S03", "volume", 1.07),
    "one volume by half": lambda panel: changed(panel, "S03", "volume", 0.5, -6),
}


@pytest.mark.parametrize("case", TOLERATED)
def test_a_late_correction_is_taken_over_without_a_word(cache, case):
    cache.pull(PanelFeed(), after_close(date(2023, 8, 28)))
    panel = TOLERATED[case](market())
    result = cache.pull(PanelFeed(panel))
    assert (result.restated, result.warnings) == ((), ())
    column = panel.column("S03")
    assert np.array_equal(cache.panel.volume[-8:, column], panel.volume[-8:, column])


def test_an_interruption_never_leaves_two_bases_in_one_history(cache, another):
    cache.pull(PanelFeed(), after_close(date(2023, 8, 28)))
    feed = PanelFeed(split(market(), "S03", 10))
    feed.interrupted_at = 3  # both groups are in; the split symbol is not pulled again yet
    with pytest.raises(KeyboardInterrupt):
        cache.pull(feed)
    closes = cache.panel.select(["S03"]).close[:, 0]
    assert np.array_equal(closes[:-3], latest(43).select(["S03"]).close[:-3, 0])
    assert np.isnan(closes[-3:]).all()
    assert cache.pull(feed).restated == ("S03",)
    another.pull(feed, sessions=43)
    assert cache.bars.read_bytes() == another.bars.read_bytes()


def test_a_restated_symbol_that_the_feed_then_denies_keeps_what_it_has(cache):
    cache.pull(PanelFeed(), after_close(date(2023, 8, 28)))

    class Forgetful(PanelFeed):
        def daily_bars(self, symbols, first, last):
            answer = super().daily_bars(symbols, first, last)
            return answer.select([]) if symbols == ["S03"] else answer

    cache.pull(Forgetful(split(market(), "S03", 2)))
    kept = cache.panel.select(["S03"]).close[:40, 0]
    assert np.array_equal(kept, latest(43).select(["S03"]).close[:40, 0])


# Interruptions -----------------------------------------------------------------------------------

NEWS = (
    Told(EVENING - timedelta(hours=3), ("S00", "S28"), "Two at once"),
    Told(EVENING - timedelta(hours=30), ("S28",), "One alone"),
    Told(EVENING - timedelta(hours=60), ("S01",), "An older one"),
)


@settings(deadline=None, derandomize=True, max_examples=15)
@given(before=st.integers(0, 3), moments=st.lists(st.integers(1, 6), max_size=4))
def test_however_often_it_is_interrupted_the_last_pull_ends_where_one_alone_does(
    tmp_path_factory, before, moments
):
    directory = tmp_path_factory.mktemp("caches")
    cache, alone = Cache(directory / "cache"), Cache(directory / "alone")
    panel = market()
    if before:
        cache.pull(PanelFeed(panel), after_close(CALENDAR[-1 - before].item()), sessions=30)
        panel = split(panel, "S11", 4)
    for moment in moments:
        feed = PanelFeed(panel, NEWS, interrupted_at=moment)
        try:
            cache.pull(feed)
        except KeyboardInterrupt:
            assert not cache.bars.exists() or read_bars(cache.bars).warnings == ()
    cache.pull(PanelFeed(panel, NEWS))
    alone.pull(PanelFeed(panel, NEWS))
    assert cache.bars.read_bytes() == alone.bars.read_bytes()
    assert cache.news.read_bytes() == alone.news.read_bytes()
    assert {path.name for path in cache.directory.iterdir()} == {"bars.parquet", "news.parquet"}


def test_an_interruption_loses_one_group_at_most(cache):
    with pytest.raises(KeyboardInterrupt):
        cache.pull(PanelFeed(interrupted_at=2))
    assert cache.panel.symbols == SYMBOLS[:GROUP]
    feed = PanelFeed()
    assert cache.pull(feed).bars_added == 40 * (len(SYMBOLS) - GROUP)


# Files that are not as they should be ------------------------------------------------------------


@pytest.mark.parametrize("name", ["bars", "news"])
def test_a_damaged_file_is_set_aside_and_pulled_anew(cache, another, name):
    cache.pull(PanelFeed(told=NEWS))
    another.pull(PanelFeed(told=NEWS))
    path = cache.directory / f"{name}.parquet"
    for content in (b"PAR1 cut short", b"again"):
        path.write_bytes(content)
        result = cache.pull(PanelFeed(told=NEWS))
        assert cache.events == ["cache.damaged"]
        assert f"moved to {name}.parquet.damaged-20230831T210000Z" in result.warnings[0]
        assert path.read_bytes() == (another.directory / path.name).read_bytes()
    aside = sorted(cache.directory.glob(f"{name}.parquet.damaged-20230831T210000Z*"))
    assert [each.read_bytes() for each in aside] == [b"PAR1 cut short", b"again"]


def test_a_file_that_cannot_be_read_is_not_taken_for_a_damaged_one(cache):
    cache.bars.mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=r"bars\.parquet: cannot be read"):
        cache.pull(PanelFeed())
    assert cache.bars.is_dir()


@contextmanager
def full_disk(free):
    """No file may grow beyond `free` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", ["bars", "news"])
def test_a_full_disk_leaves_the_old_file_as_it_was(cache, name):
    cache.pull(PanelFeed(told=NEWS[1:]), after_close(date(2023, 8, 30)))
    before = {path.name: path.read_bytes() for path in cache.directory.iterdir()}
    feed = PanelFeed(told=NEWS)
    if name == "news":
        feed.panel = listed(market(), "S00", slice(0, -1)).rows(0, len(CALENDAR) - 1)
    with full_disk(100), pytest.raises(ConfigurationError, match=rf"{name}\.parquet: cannot be"):
        cache.pull(feed)
    assert {path.name: path.read_bytes() for path in cache.directory.iterdir()} == before


def test_what_a_killed_run_left_behind_is_swept(cache):
    cache.pull(PanelFeed())
    leftover = cache.directory / ".bars.parquet.partial-4194304999-abcd"
    leftover.write_bytes(b"half")
    cache.pull(PanelFeed())
    assert not leftover.exists()


# Symbols without bars ----------------------------------------------------------------------------


def test_symbols_that_the_feed_does_not_know_are_named_once_and_the_pull_goes_on(cache):
    result = cache.pull(PanelFeed(market(SYMBOLS[:-1])), symbols=("NOSUCH",))
    assert result.unknown == ("NOSUCH", "SPY")
    assert cache.why("symbol.unknown") == "the feed has no bar of NOSUCH, SPY"
    assert cache.panel.symbols == SYMBOLS[:-1]


@pytest.mark.parametrize("odd", ["^VIX", "BRK-B", "aapl", "A B", "", "S00,S01"])
def test_what_no_feed_takes_for_a_symbol_is_not_asked_for(cache, odd):
    feed = PanelFeed()
    assert cache.pull(feed, symbols=(odd,)).unknown == (odd,)
    assert odd not in {symbol for symbols, _, _ in feed.asked for symbol in symbols}


@pytest.mark.parametrize(("missing", "told"), [(0, False), (5, False), (6, True), (20, True)])
def test_a_symbol_without_a_bar_for_over_five_sessions_is_told_of(cache, missing, told):
    feed = PanelFeed(listed(market(), "S05", slice(0, len(CALENDAR) - missing)))
    cache.pull(feed)
    assert cache.events == ["symbol.ended"] * told
    if told:
        assert f"S05 ({CALENDAR[-1 - missing]})" in cache.why("symbol.ended")


def test_a_feed_without_anything_writes_nothing(cache):
    result = cache.pull(PanelFeed(market(()).rows(0, 0)))
    assert result.unknown == SYMBOLS
    assert list(cache.directory.iterdir()) == []


def test_bars_from_the_future_are_told_of(cache):
    cache.pull(PanelFeed())
    cache.pull(PanelFeed(), after_close(date(2023, 8, 29)))
    assert "bars until 2023-08-31" in cache.why("cache.ahead")


def test_what_the_feed_doubts_is_passed_on(cache):
    result = cache.pull(PanelFeed(doubts=["S01 2023-08-30: high below low, dropped"]))
    assert result.warnings == ("S01 2023-08-30: high below low, dropped",)
    assert cache.events == ["feed.doubted"]


# Headlines ---------------------------------------------------------------------------------------


def test_headlines_of_the_last_days_are_kept_once_each(cache):
    later = replace(NEWS[0], symbols=("S29",))
    nothing = replace(NEWS[0], text=" &nbsp; ")
    too_old = Told(EVENING - timedelta(days=6), ("S00",), "Last week")
    result = cache.pull(PanelFeed(told=(*NEWS, later, nothing, too_old)))
    assert result.headlines_added == 3
    naive = EVENING.replace(tzinfo=None)
    assert cache.stories() == [
        (naive - timedelta(hours=60), ("S01",), "An older one"),
        (naive - timedelta(hours=30), ("S28",), "One alone"),
        (naive - timedelta(hours=3), ("S00", "S28", "S29"), "Two at once"),
    ]


def test_the_next_pull_goes_on_an_hour_before_the_latest_headline(cache):
    cache.pull(PanelFeed(told=NEWS))
    late = Told(EVENING - timedelta(hours=3, minutes=50), ("S28",), "Told late")
    feed = PanelFeed(told=(*NEWS, late))
    assert cache.pull(feed).headlines_added == 1
    starts = {symbol: start for symbols, start, _ in feed.news_asked for symbol in symbols}
    named = {"S00", "S01", "S28"}
    assert {starts[symbol] for symbol in named} == {EVENING - timedelta(hours=4)}
    others = {starts[symbol] for symbol in STOCKS if symbol not in named}
    assert others == {EVENING - timedelta(days=5)}  # of them nothing is known yet
    assert set(starts) == set(STOCKS)


def test_headlines_older_than_400_days_are_forgotten(cache):
    cache.pull(PanelFeed(told=NEWS))
    much_later = EVENING + timedelta(days=399)
    fresh = Told(much_later - timedelta(hours=1), ("S00",), "Fresh")
    assert cache.pull(PanelFeed(told=(fresh,)), much_later).headlines_added == 1
    assert [text for _, _, text in cache.stories()] == ["Two at once", "Fresh"]


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.lists(st.text(max_size=20).map("x&amp;lt;".__add__), min_size=1, max_size=4))
def test_strangers_text_survives_any_number_of_pulls_unchanged(tmp_path_factory, texts):
    cache = Cache(tmp_path_factory.mktemp("news"))
    one = Universe((Sector("First", None, "growth", ("S00",)),), context=())
    told = tuple(Told(EVENING - timedelta(hours=1), ("S00",), text) for text in texts)
    cache.pull(PanelFeed(told=told), universe=one, sessions=1)
    first = cache.news.read_bytes()
    for _ in range(2):
        assert cache.pull(PanelFeed(told=told), universe=one, sessions=1).headlines_added == 0
    assert cache.news.read_bytes() == first


def test_halves_of_characters_do_no_harm(cache):
    told = (Told(EVENING, ("S00",), json.loads(r'"Up \ud83d again"')),)
    cache.pull(PanelFeed(told=told))
    assert [text for _, _, text in cache.stories()] == ["Up again"]


def test_more_headlines_than_the_most_are_told_of(cache):
    told = tuple(Told(EVENING - timedelta(minutes=n), ("S00",), f"{n}") for n in range(2600))
    assert cache.pull(PanelFeed(told=told)).headlines_added == 2500
    assert cache.why("news.capped").startswith("over 2,500 headlines of S00 to S24")


def test_no_days_of_news_ask_for_none_and_look_at_no_file(cache):
    cache.news.mkdir(parents=True)  # cannot be read
    feed = PanelFeed(told=NEWS)
    assert cache.pull(feed, news_days=0).headlines_added == 0
    assert feed.news_asked == []


# The result --------------------------------------------------------------------------------------


def test_the_result_is_one_json_object_with_all_its_keys(cache):
    shown = json.loads(json.dumps(cache.pull(PanelFeed(told=NEWS)).as_json()))
    assert shown == {
        "command": "data pull",
        "session": "2023-08-31",
        "symbols": 33,
        "bars_added": 1320,
        "restated": [],
        "unknown": [],
        "headlines_added": 3,
        "warnings": [],
        "path": str(cache.directory),
    }


def test_the_command_pulls_by_the_brokers_clock(cache):
    exchange = Market(THURSDAY)
    clock = MarketClock(exchange.exchange.now, False, FRIDAY, FRIDAY)
    launch = SimpleNamespace(
        places=SimpleNamespace(data_dir=cache.directory),
        connect=SimpleNamespace(
            broker=lambda: SimpleNamespace(clock=lambda: clock),
            data=lambda asof: exchange.feed() if asof == clock.at else None,
        ),
    )
    strategy = Strategy(Policy(), Costs(), UNIVERSE)
    told = pull_now(launch, strategy, Listener(), sessions=9, news_days=1, symbols=("NOSUCH",))
    assert (told["session"], told["bars_added"]) == ("2023-08-31", 9 * len(SYMBOLS))
    assert told["unknown"] == ("NOSUCH",)


def test_a_cache_that_somebody_else_wrote_is_gone_on_with(cache, another):
    cache.directory.mkdir()
    write_bars(latest(40).rows(0, 38), cache.bars)
    assert cache.pull(PanelFeed()).bars_added == 2 * len(SYMBOLS)
    another.pull(PanelFeed())
    assert cache.bars.read_bytes() == another.bars.read_bytes()


# Against the exchange ----------------------------------------------------------------------------


class Market:
    """A simulated exchange and the real client for it, in one process."""

    def __init__(self, at, splits=(), news=(), panel=None):
        # Whole cents: what the exchange serves is then what the panel holds.
        panel = market(sessions=WEEKS) if panel is None else panel
        self.exchange = Exchange(
            panel,
            Timetable(WEEKS, session_opens(WEEKS), session_closes(WEEKS)),
            start=at,
            splits=splits,
            news=news,
            settings=ExchangeSettings(requests_a_minute=None),
        )

    def feed(self):
        """Open the client, as of the exchange's now."""
        keys = self.exchange.settings.api_key, self.exchange.settings.secret_key
        connection = Connection(*keys, trading_url=in_process.URL, data_url=in_process.URL)
        data = AlpacaData(connection, pause=lambda _seconds: None, asof=self.exchange.now)
        for session in data.sessions:
            in_process.mount(session, self.exchange)
        return data

    def pull(self, cache, at=None, **options):
        """Go to an instant and pull then."""
        if at is not None:
            self.exchange.advance_to(at)
        return cache.pull(self.feed(), self.exchange.now, **options)


WEEKS = sessions_between(date(2023, 7, 31), date(2023, 9, 8))
THURSDAY, FRIDAY, TUESDAY = after_close(TODAY), after_close(date(2023, 9, 1)), date(2023, 9, 5)


def test_from_the_exchange_come_the_bars_that_were_traded(cache):
    result = Market(THURSDAY).pull(cache)
    expected = market(sessions=WEEKS).rows(0, 24)
    assert (result.session, result.warnings) == (TODAY, ())
    assert cache.panel.symbols == expected.symbols
    assert np.array_equal(cache.panel.sessions, expected.sessions)
    assert cache.panel.close == pytest.approx(expected.close, abs=1e-5)
    assert np.array_equal(cache.panel.volume, expected.volume)


def test_a_split_over_night_is_noticed_before_the_opening(cache, another):
    exchange = Market(FRIDAY, splits=[Split("S03", TUESDAY, Decimal(4))])
    exchange.pull(cache)
    before = cache.panel.select(["S03"]).close
    result = exchange.pull(cache, datetime.combine(TUESDAY, time(12), UTC))
    assert (result.session, result.bars_added) == (date(2023, 9, 1), 0)
    assert result.restated == ("S03",)
    assert cache.panel.select(["S03"]).close == pytest.approx(before / 4, abs=1e-5)
    exchange.pull(another)
    assert cache.bars.read_bytes() == another.bars.read_bytes()


def test_pulls_around_a_split_end_where_one_alone_does(cache, another):
    exchange = Market(THURSDAY, splits=[Split("S03", TUESDAY, Decimal("0.1"))])
    restated = [
        exchange.pull(cache, after_close(session)).restated for session in WEEKS[23:28].tolist()
    ]
    assert restated == [(), (), ("S03",), (), ()]
    exchange.pull(another)
    assert cache.bars.read_bytes() == another.bars.read_bytes()


def test_today_is_pulled_once_the_free_plan_has_seen_its_close(cache):
    exchange = Market(datetime(2023, 8, 31, 20, 5, tzinfo=UTC))
    exchange.pull(cache)
    assert cache.panel.sessions[-1] == np.datetime64("2023-08-30")
    assert exchange.pull(cache, datetime(2023, 8, 31, 20, 20, tzinfo=UTC)).restated == ()
    assert cache.panel.sessions[-1] == np.datetime64("2023-08-31")


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_broker_that_falls_silent_costs_what_it_did_not_say(cache, another, nth):
    exchange = Market(THURSDAY, news=[Article(each.at, each.symbols, each.text) for each in NEWS])
    path = ("/v2/stocks/bars", "/v1beta1/news")[nth > 2]
    exchange.exchange.set_fault(faults.silence("GET", path, accepted=False, nth=2 - nth % 2,
                                               times=9))  # fmt: skip
    with pytest.raises(BrokerUnreachable):
        exchange.pull(cache)
    exchange.exchange.clear_faults()
    exchange.pull(cache)
    exchange.pull(another)
    assert cache.bars.read_bytes() == another.bars.read_bytes()
    assert cache.news.read_bytes() == another.news.read_bytes()


def test_a_malformed_bar_is_left_out_and_told_of(cache):
    exchange = Market(THURSDAY)
    wrong = faults.edit("GET", "/v2/stocks/bars", "bars.S03.0.c", -1)
    exchange.exchange.set_fault(wrong)
    result = exchange.pull(cache)
    assert result.warnings == ("S03: 1 malformed daily bars were left out",)
    assert np.isnan(cache.panel.select(["S03"]).close[0, 0])


def test_what_the_exchange_does_not_list_is_unknown_and_what_it_delists_has_ended(cache):
    panel = listed(market(sessions=WEEKS), "S05", slice(0, 10))
    result = Market(THURSDAY, panel=panel).pull(cache, symbols=("NOSUCH", "^VIX"))
    assert result.unknown == ("NOSUCH", "^VIX")
    assert cache.events == ["symbol.unknown", "symbol.ended"]


def test_headlines_come_over_as_many_pages_as_they_need(cache):
    news = [
        Article(THURSDAY - timedelta(minutes=n), ("S00",), f"AT&amp;T &#39;{n}")
        for n in range(123)
    ]
    exchange = Market(THURSDAY, news=news)
    assert exchange.pull(cache).headlines_added == 123
    assert exchange.pull(cache).headlines_added == 0
    assert cache.stories()[-1][1:] == (("S00",), "AT&T '0")
