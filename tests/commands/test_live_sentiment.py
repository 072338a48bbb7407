"""Headlines of the last three days to a live sentiment, through a small real model."""

from __future__ import annotations

import math
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import structlog

from swingtrader.adapters.alpaca_data import Headline
from swingtrader.adapters.news import NewsCache
from swingtrader.adapters.store import Store
from swingtrader.commands.headline_scores import headline_digest, model_digest
from swingtrader.commands.live_sentiment import MOST_HEADLINES, MOST_SCORED, live_sentiment
from swingtrader.commands.news_sentiment import news_sentiment
from swingtrader.errors import BrokerUnreachable, ConfigurationError, CredentialsRefused, LockHeld
from swingtrader.estimators.artifact import serving

NOW = datetime(2016, 8, 1, 14, 30, tzinfo=UTC)
SYMBOLS = ("AAPL", "MSFT")
# What the model of the tests says: a word adds 2 to one of three logits.
BEATS = (math.exp(2) - 1) / (math.exp(2) + 2)


def told(hours, text, *symbols):
    """Return a headline told so many hours before now."""
    return Headline(NOW - timedelta(hours=hours), symbols or ("AAPL",), text)


@dataclass
class Newsroom:
    """A feed of these headlines, all that were ever told, whatever is asked for."""

    headlines_told: list
    error: Exception | None = None
    asked: list = field(default_factory=list)

    def headlines(self, symbols, start, end, *, most):
        """Answer with everything, and note what was asked."""
        self.asked.append((tuple(symbols), start, end, most))
        if self.error is not None:
            raise self.error
        return tuple(sorted(self.headlines_told, key=lambda each: each.at))


@pytest.fixture(scope="module")
def models(install_finbert, tmp_path_factory):
    directory = tmp_path_factory.mktemp("models")
    install_finbert(directory)
    return directory


@pytest.fixture
def artifact(models):
    return serving(models, "finbert").artifact


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state", now=NOW) as opened:
        yield opened


@pytest.fixture
def sentiment(artifact, store):
    """Return the sentiment of some headlines, and what is warned of."""

    def of(*headlines, asof=NOW, store=store, artifact=artifact, error=None):
        warnings = []
        feed = Newsroom(list(headlines), error)
        return live_sentiment(SYMBOLS, artifact, store, feed, asof, warnings), warnings

    return of


def known(store, artifact, texts):
    """Return those of the texts that have a score on record."""
    digests = {headline_digest(text): text for text in texts}
    return {digests[each] for each in store.sentiment.scores(model_digest(artifact), digests)}


# The figure --------------------------------------------------------------------------------------


def test_sentiment_is_the_mean_score_by_recency_of_what_the_last_72_hours_told(sentiment):
    values, warnings = sentiment(
        told(0, "Apple beats"), told(24, "Nothing to see"), told(72, "Apple misses"),
        told(-0.1, "Apple misses tomorrow"), told(1, "Microsoft beats", "MSFT"),
    )  # fmt: skip
    assert values[0] == pytest.approx(BEATS * 1.0 / 1.5, abs=1e-6)
    assert np.isnan(values[1])  # one alone is an anecdote
    assert warnings == []


def test_the_last_72_hours_of_every_symbol_are_asked_for_at_once(artifact, store):
    feed = Newsroom([told(1, "Apple beats"), told(2, "Apple")])
    live_sentiment(SYMBOLS, artifact, store, feed, NOW, [])
    assert feed.asked == [(SYMBOLS, NOW - timedelta(hours=72), NOW, MOST_HEADLINES)]


WORDS = ("Apple", "beats", "misses", "&amp;", "$AAPL", "at 5 %", "http://a.example/x", "again")


def stories(count, seed):
    """Return headlines with repeats, entities, links and cashtags, over six days."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        text = " ".join(rng.choice(WORDS, size=rng.integers(1, 6)))
        # A number keeps most apart; the rest are copies, some in other capitals.
        text = f"{text} {number % (count // 2)}" if rng.random() < 0.8 else f"{text} Again"
        named = tuple(sorted({*rng.choice([*SYMBOLS, "TSLA"], size=rng.integers(0, 3))}))
        hours = float(rng.integers(0, 144)) + (number % 3) / 7
        found.append(replace(told(hours, text), symbols=named))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_figures_are_the_backtests_of_the_same_instant_to_the_last_bit(
    sentiment, store, models, tmp_path, seed
):
    everything = stories(120, seed)
    file = NewsCache(tmp_path / "news.parquet", None)
    for each in everything:
        file.add(each.at, each.symbols, each.text)
    file.write(NOW - timedelta(days=30))
    instants = [NOW - timedelta(hours=hours) for hours in (60, 37, 12, 0)]
    asof = np.array([each.replace(tzinfo=None) for each in instants], dtype="datetime64[s]")
    expected, _ = news_sentiment(
        tmp_path / "news.parquet", models, asof, SYMBOLS, cache=store.sentiment, at=NOW
    )
    assert np.isfinite(expected).sum() >= 6
    for row, instant in enumerate(instants):
        live, _ = sentiment(*everything, asof=instant)
        assert np.array_equal(live, expected[row], equal_nan=True)


def test_a_headline_that_comes_twice_with_different_symbols_counts_for_all(sentiment):
    both = (told(1, "Beaten, it beats"), told(1, "Beaten, it beats", "MSFT"))
    values, _ = sentiment(*both, told(1, "Quiet", *SYMBOLS))
    assert values.tolist() == pytest.approx([BEATS / 2, BEATS / 2], abs=1e-6)


# Absence -----------------------------------------------------------------------------------------

TWO = (told(1, "Apple beats"), told(2, "Apple misses"))


@pytest.mark.parametrize(
    "error",
    [
        BrokerUnreachable("GET /v1beta1/news", "no answer in time"),
        BrokerUnreachable("GET /v1beta1/news", "news are no list"),
        CredentialsRefused("the broker does not accept the keys"),
    ],
)
def test_news_that_cannot_be_read_are_one_warning(sentiment, error):
    values, (warning,) = sentiment(*TWO, error=error)
    assert values is None
    assert warning == f"headlines could not be read ({error}): sentiment is absent"


@pytest.mark.parametrize(
    "headlines",
    [
        (),
        (told(1, "Apple beats"),),
        (told(1, "Apple beats"), told(1, "beats", "MSFT")),
        (told(1, "Apple beats"), told(3, "apple  BEATS http://a.example")),
        (told(1, "Apple beats"), told(72, "Apple misses")),
        (told(1, "Apple beats"), told(-1, "Apple misses")),
        (told(1, "Apple beats"), told(1, "\u200b &nbsp;")),
        (told(1, "beats", "TSLA"), told(2, "misses", "TSLA")),
    ],
)
def test_without_two_headlines_of_any_symbol_there_is_no_view_and_one_warning(
    sentiment, headlines
):
    values, (warning,) = sentiment(*headlines)
    assert values is None
    assert warning == "no symbol has two headlines of the last 72 hours: sentiment is absent"


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "config.json"])
def test_a_model_that_fails_leaves_no_view_and_one_warning(
    sentiment, install_finbert, tmp_path, name
):
    directory = install_finbert(tmp_path)
    artifact = serving(tmp_path, "finbert").artifact
    for change in (lambda path: path.write_bytes(b"[]"), lambda path: path.unlink()):
        change(directory / name)
        values, (warning,) = sentiment(*TWO, artifact=artifact)
        assert values is None
        assert str(directory / name) in warning
        assert warning.endswith(": sentiment is absent")


# The cache ---------------------------------------------------------------------------------------


def test_scores_are_kept_and_serve_without_the_model(sentiment, store, install_finbert, tmp_path):
    before, _ = sentiment(*TWO)
    directory = install_finbert(tmp_path)
    artifact = serving(tmp_path, "finbert").artifact
    (directory / "model.onnx").unlink()
    again, warnings = sentiment(*TWO, artifact=artifact)
    assert again.tobytes() == before.tobytes()
    assert warnings == []
    assert known(store, artifact, [each.text for each in TWO]) == {"Apple beats", "Apple misses"}


def test_of_too_many_new_headlines_the_latest_are_scored_and_later_runs_do_the_rest(
    sentiment, store, artifact
):
    many = [told(number / 10, f"Apple beats {number}") for number in range(MOST_SCORED + 40)]
    texts = [each.text for each in many]
    with structlog.testing.capture_logs() as logs:
        first, warnings = sentiment(*many)
    assert known(store, artifact, texts) == set(texts[:MOST_SCORED])
    assert first[0] == pytest.approx(BEATS, abs=1e-6)
    with structlog.testing.capture_logs() as more:
        sentiment(*many)
        sentiment(*many)
    assert known(store, artifact, texts) == set(texts)
    assert warnings == []
    assert [
        (each["event"], each["headlines"], each["scored"], each["left"]) for each in (*logs, *more)
    ] == [("headlines.scored", 340, 300, 40), ("headlines.scored", 340, 40, 0),
          ("headlines.scored", 340, 0, 0)]  # fmt: skip
    assert {each["log_level"] for each in (*logs, *more)} == {"info"}


def test_more_headlines_than_are_read_is_said(sentiment):
    crowd = [told(number / 100, "Apple beats") for number in range(MOST_HEADLINES)]
    _, warnings = sentiment(*crowd)
    assert warnings[0] == "over 2,000 headlines in three days: the older ones were left out"


@dataclass
class Scores:
    """A cache of scores that cannot be read, or not be written to."""

    on_reading: Exception | None = None
    on_writing: Exception | None = None

    def scores(self, _model, _headlines):
        """Know nothing."""
        if self.on_reading is not None:
            raise self.on_reading
        return {}

    def record(self, _model, _scores, _at):
        """Forget at once."""
        if self.on_writing is not None:
            raise self.on_writing


@dataclass
class Shelf:
    """A store of which only the scores are there."""

    sentiment: Scores


@pytest.mark.parametrize(
    ("scores", "verb"),
    [
        (Scores(on_writing=LockHeld("store", 10.0)), "kept: store is held by another run"),
        (Scores(on_writing=ConfigurationError("database or disk is full")), "kept: database or"),
        (Scores(on_reading=LockHeld("store", 10.0)), "read: store is held by another run"),
    ],
)
def test_scores_that_cannot_be_cached_are_used_all_the_same(sentiment, scores, verb):
    values, (warning,) = sentiment(*TWO, store=Shelf(scores))
    assert np.isfinite(values[0])
    assert f"scores of headlines could not be {verb}" in warning


# What is loaded ----------------------------------------------------------------------------------

SCORING = """
    import sys
    from datetime import UTC, datetime, timedelta
    from pathlib import Path
    from swingtrader.adapters.alpaca_data import Headline
    from swingtrader.adapters.store import Store
    from swingtrader.commands.live_sentiment import live_sentiment
    from swingtrader.estimators.artifact import serving

    now, home, models = datetime(2016, 8, 1, tzinfo=UTC), Path(sys.argv[1]), Path(sys.argv[2])
    told = [Headline(now - timedelta(hours=n), ("A",), f"beats {n}") for n in range(3)]

    class Feed:
        def headlines(self, symbols, start, end, *, most):
            return told

    def loaded():
        heavy = {"onnxruntime", "tokenizers", "torch", "transformers", "xgboost"}
        return sorted(heavy & {*sys.modules})

    artifact, warnings = serving(models, "finbert").artifact, []
    with Store.open(home, now=now) as store:
        assert live_sentiment(("A",), artifact, store, Feed(), now, warnings)[0] > 0
    assert not warnings
    print(*loaded())
"""


def test_onnxruntime_is_loaded_for_new_headlines_only_and_torch_never(models, tmp_path):
    def run():
        code = [sys.executable, "-c", textwrap.dedent(SCORING), tmp_path / "state", models]
        done = subprocess.run(code, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1].split()

    assert run() == ["onnxruntime", "tokenizers"]
    assert run() == []
