"""What headlines change about a decision, and what their absence must not (DESIGN §6, §8).

Bars, forecast and headlines are the program's own here: nothing but the market is made by hand.
The model knows two words, one good and one bad.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import partial

import numpy as np
import pytest
import structlog
from tests.trading.conftest import (
    FIRST_DAY,
    MONDAY,
    QUIET,
    World,
    at,
    flat_from,
    market,
    timetable,
)

from swingtrader.adapters.bars import write_bars
from swingtrader.adapters.lock import state_lock
from swingtrader.adapters.store import STORE_NAME
from swingtrader.commands.decide import decide_now
from swingtrader.commands.headline_scores import headline_digest, model_digest
from swingtrader.commands.outlook import outlook_of
from swingtrader.environment import Mode
from swingtrader.errors import LockHeld
from swingtrader.estimators.artifact import serving
from swingtrader.simulator import faults
from swingtrader.simulator.articles import Article
from swingtrader.simulator.exchange import Exchange
from swingtrader.simulator.faults import Fault, Kind
from swingtrader.simulator.settings import ExchangeSettings

NEWS = "/v1beta1/news"
BEATS = (math.exp(2) - 1) / (math.exp(2) + 2)
START = at(MONDAY, 10)
TUESDAY = date(2023, 11, 21)
FALLING = QUIET | {"CCC": flat_from((FIRST_DAY, 20.0), (TUESDAY, 19.0))}
"""CCC opens 5 % lower on Tuesday, below where it is to be sold."""


def told(hours, words, *symbols):
    return Article(START - timedelta(hours=hours), symbols, words)


BAD = (told(1, "Aaa misses", "AAA"), told(25, "Everybody misses", "AAA", "BBB"))
BOTH = (told(2, "Bbb beats", "BBB"), *BAD)


class Newsdesk(World):
    """An account whose program forecasts by itself, from bars and headlines."""

    def _prepared(self, _forecast):
        return partial(outlook_of, self.places, self.strategy)

    def sentiment(self, ran):
        """Sentiment of each symbol that has one."""
        return {
            row["symbol"]: row["signals"]["sentiment"]
            for row in ran.report["decisions"]
            if row["signals"]["sentiment"] is not None
        }

    def asked(self):
        """How often news were asked for."""
        return sum(each.path == NEWS for each in self.exchange.requests)

    def cached(self, articles):
        """How many of the articles have a score on record."""
        model = model_digest(serving(self.places.models_dir, "finbert").artifact)
        digests = [headline_digest(article.headline) for article in articles]
        with self.store() as store:
            return len(store.sentiment.scores(model, digests))


@pytest.fixture
def newsdesk(tmp_path, install_finbert):
    """Return a maker of such accounts, on Monday at ten."""

    def make(*articles, bars=QUIET, mode=Mode.PAPER, model=True):
        panel = market(bars)
        exchange = Exchange(
            panel, timetable(), start=START, cash=Decimal(100_000), news=articles,
            settings=replace(ExchangeSettings(no_shorting=True), requests_a_minute=None),
        )  # fmt: skip
        desk = Newsdesk(exchange, tmp_path, bars, mode=mode)
        desk.places.bars_file.parent.mkdir(parents=True)
        past = int(np.searchsorted(panel.sessions, np.datetime64(MONDAY)))
        write_bars(panel.rows(0, past), desk.places.bars_file)
        if model:
            install_finbert(desk.places.models_dir)
        return desk

    return make


def absences(ran):
    return [warning for warning in ran.report["warnings"] if "sentiment is absent" in warning]


# What headlines do -------------------------------------------------------------------------------


def test_bad_news_sell_what_is_held_and_good_news_do_not(newsdesk):
    desk = newsdesk(*BOTH)
    for symbol in ("AAA", "BBB", "DDD"):
        desk.holding(symbol, 5)

    ran = desk.decide()

    assert ran.code == 0
    assert ran.orders[0] == ("exit", "AAA", 5, "filled")
    assert (ran.reason("AAA"), ran.reason("BBB"), ran.reason("DDD")) == ("vote", "held", "held")
    assert desk.sentiment(ran) == {
        "AAA": pytest.approx(-BEATS, abs=1e-6),
        "BBB": pytest.approx(BEATS * (2 ** (-2 / 24) - 2 ** (-25 / 24))
                             / (2 ** (-2 / 24) + 2 ** (-25 / 24)), abs=1e-4),
    }  # fmt: skip
    assert absences(ran) == []


def test_what_is_held_without_bars_is_asked_about_as_well(newsdesk):
    desk = newsdesk(
        told(1, "misses", "EEE"), told(2, "misses all", "EEE"), bars=QUIET | {"EEE": 9.0}
    )
    bars = market(QUIET)
    write_bars(bars.rows(0, 35), desk.places.bars_file)
    desk.holding("EEE", 5)
    first = desk.decide()  # the store has not seen it yet
    assert (first.reason("EEE"), desk.sentiment(first)) == ("held", {})
    second = desk.decide()
    assert desk.sentiment(second) == {"EEE": pytest.approx(-BEATS, abs=1e-6)}
    assert desk.held("EEE") == 0


def test_headlines_of_four_symbols_are_one_request_a_page(newsdesk):
    articles = [told(n / 10, f"Aaa beats {n}", "AAA") for n in range(120)]
    desk = newsdesk(*articles)
    desk.decide()
    assert desk.asked() == 3
    assert desk.cached(articles) == 120


# What their absence does not ---------------------------------------------------------------------


def refused(status, body):
    return Fault(Kind.STATUS, "GET", NEWS, times=9, status=status, body=body)


@pytest.mark.parametrize(
    "fault",
    [
        faults.server_error("GET", NEWS, accepted=False, times=9),
        faults.silence("GET", NEWS, accepted=False, times=9),
        faults.cut_json("GET", NEWS, times=9),
        faults.edit("GET", NEWS, "news", "none", times=9),
        faults.edit("GET", NEWS, "news.*.symbols", 5, times=9),
        faults.edit("GET", NEWS, "next_page_token", 5, times=9),
        refused(401, '{"message": "unauthorized"}'),
        refused(403, '{"message": "subscription does not permit news"}'),
        refused(400, '{"message": "invalid symbol: AAA"}'),
    ],
)
def test_news_that_fail_are_one_warning_and_exits_go_on(newsdesk, fault):
    desk = newsdesk(*BOTH, bars=FALLING)
    desk.holding("CCC", 10)
    desk.risk_check()
    desk.move_to(TUESDAY, 10)
    desk.exchange.set_fault(fault)

    ran = desk.decide()

    assert ran.code == 0
    assert ran.orders == [("exit", "CCC", 10, "filled")]
    assert ran.reason("CCC") == "stop_loss"
    assert len(absences(ran)) == 1
    assert desk.sentiment(ran) == {}


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "manifest.json"])
def test_a_damaged_model_is_told_and_nothing_else_suffers(newsdesk, name):
    desk = newsdesk(*BOTH)
    path = desk.places.models_dir / "finbert" / "two-words" / name
    path.write_bytes(path.read_bytes()[:-9])
    desk.holding("AAA", 5)
    ran = desk.decide()
    assert (ran.code, ran.reason("AAA")) == (0, "held")
    assert len(absences(ran)) == 1
    assert any(str(path) in warning for warning in ran.report["warnings"])
    assert desk.asked() == 0


def test_without_a_model_news_are_not_asked_for(newsdesk):
    desk = newsdesk(*BOTH, model=False)
    ran = desk.decide()
    assert absences(ran) == ["no sentiment model serves: sentiment is absent"]
    assert desk.asked() == 0


def test_with_damaged_bars_nothing_is_sold_over_headlines_alone(newsdesk):
    desk = newsdesk(*BOTH)
    desk.holding("AAA", 5)
    desk.risk_check()
    desk.places.bars_file.write_bytes(b"PAR1")
    desk.exchange.set_fault(faults.reset("GET", "/v2/stocks/bars", accepted=False, times=99))
    ran = desk.decide()
    assert (ran.reason("AAA"), desk.asked()) == ("held", 0)


@pytest.mark.parametrize("what", ["keys", "disk"])
def test_bars_that_cannot_be_renewed_stop_no_exit(newsdesk, what):
    """They end a session too early; the feed refuses the keys, or nothing can be written."""
    desk = newsdesk(*BOTH, bars=FALLING)
    desk.holding("CCC", 10)
    desk.risk_check()
    desk.move_to(TUESDAY, 10)
    if what == "keys":
        desk.exchange.set_fault(
            Fault(
                Kind.STATUS,
                "GET",
                "/v2/stocks/bars",
                times=99,
                status=401,
                body='{"code": 40110000, "message": "request is not authorized"}',
            )
        )
    else:
        path = desk.places.bars_file
        (
            path.parent / ".bars.parquet.partial-999999999-x"
        ).mkdir()  # a leftover that cannot be swept
    ran = desk.decide()
    assert ran.code == (77 if what == "keys" else 0)  # after all else was done
    assert desk.held("CCC") == 0


# What is kept, and what is not -------------------------------------------------------------------


def test_a_dry_run_caches_scores_too(newsdesk):
    desk = newsdesk(*BOTH, mode=Mode.DRY_RUN)
    desk.decide()
    assert desk.cached(BOTH) == 3
    assert desk.order_requests() == []


def test_scores_are_cached_without_the_lock(newsdesk):
    desk = newsdesk(*BOTH)
    launch = replace(desk.launch("decide"), lock_wait_seconds=0.0)
    with state_lock(desk.places.state_dir, wait_seconds=0), pytest.raises(LockHeld):
        decide_now(launch, desk.strategy)
    assert desk.cached(BOTH) == 3


def test_status_learns_which_models_serve_and_what_they_were_judged_by(newsdesk):
    desk = newsdesk(*BOTH)
    desk.decide()
    with desk.store() as store:
        (row,) = [row for row in store.models.all() if row.family == "finbert"]
    assert (row.version, row.trained_at.year, row.recorded_at) == ("two-words", 2015, START)


def test_no_headline_is_logged_reported_or_stored(newsdesk):
    words = "Zebra beats okapi"
    desk = newsdesk(told(1, words, "AAA"), told(2, f"{words} again", "AAA"))
    with structlog.testing.capture_logs() as logs:
        ran = desk.decide()
    assert desk.sentiment(ran)
    assert "headlines.scored" in {each["event"] for each in logs}
    everything = json.dumps(logs, default=str) + json.dumps(ran.report)
    state = [path for path in desk.places.state_dir.iterdir() if path.name.startswith(STORE_NAME)]
    everything += "".join(path.read_bytes().decode("latin-1") for path in state)
    assert "okapi" not in everything.casefold()
