"""Headlines from a file to the sentiment of each session, through a small real model."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from swingtrader.adapters.store import Store
from swingtrader.commands.news_sentiment import news_sentiment
from swingtrader.errors import DataError

OPENS = np.array(["2016-08-01T13:30", "2016-08-02T13:30", "2016-08-08T13:30"], "datetime64[s]")
SYMBOLS = ("AAPL", "MSFT")
NOW = datetime(2020, 1, 1, tzinfo=UTC)
# What the model of the tests says: a word adds 2 to one of three logits.
BEATS = (math.exp(2) - 1) / (math.exp(2) + 2)
MISSES = -BEATS


@pytest.fixture(scope="module")
def models(install_finbert, tmp_path_factory):
    directory = tmp_path_factory.mktemp("models")
    install_finbert(directory)
    return directory


@pytest.fixture
def cache(tmp_path):
    with Store.open(tmp_path / "state", now=NOW) as store:
        yield store.sentiment


@pytest.fixture
def sentiment(models, cache, tmp_path):
    """Return the sentiment of some lines of news."""

    def of(*lines, models_dir=models):
        path = tmp_path / "news.csv"
        path.write_text("\n".join(["ts,symbols,headline", *lines]) + "\n")
        return news_sentiment(path, models_dir, OPENS, SYMBOLS, cache=cache, at=NOW)

    return of


def decayed(*scores_and_hours):
    """Mean of scores by age: the weight halves in 24 hours."""
    weights = [0.5 ** (hours / 24) for _, hours in scores_and_hours]
    scores = [score for score, _ in scores_and_hours]
    return sum(w * s for w, s in zip(weights, scores, strict=True)) / sum(weights)


def test_sentiment_is_the_mean_score_by_recency(sentiment):
    values, warnings = sentiment(
        "2016-08-01T13:30Z,AAPL,Apple beats estimates",
        "2016-08-01T01:30Z,AAPL MSFT,Everybody misses everything",
        "2016-08-01T07:30Z,MSFT,Nothing to see",
    )
    assert warnings == ()
    assert values.shape == (3, 2)
    expected = [
        [decayed((BEATS, 0), (MISSES, 12)), decayed((MISSES, 12), (0, 6))],
        [decayed((BEATS, 24), (MISSES, 36)), decayed((MISSES, 36), (0, 30))],
        [np.nan, np.nan],
    ]
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)  # logits are float32


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["2016-08-01T12:00Z,AAPL,Apple beats"], "one is an anecdote"),
        (["2016-08-01T12:00Z,AAPL,Apple beats", "2016-08-01T13:31Z,AAPL,beats"], "not yet out"),
        (["2016-08-01T12:00Z,AAPL,Apple beats", "2016-07-29T13:30Z,AAPL,beats"], "72 h old"),
        (["2016-08-01T12:00Z,AAPL,Apple beats", "2016-08-01T11:00Z,AAPL, apple  BEATS"], "copy"),
        (["2016-08-01T12:00Z,AAPL,Apple beats", "2016-08-01T11:00Z,TSLA,beats"], "another's"),
    ],
)
def test_fewer_than_two_headlines_are_no_view(sentiment, lines, why):
    values, _ = sentiment(*lines)
    assert np.isnan(values[0]).all(), why
    assert np.isfinite(sentiment(*lines, "2016-08-01T13:00Z,AAPL,More")[0][0, 0])


def test_a_copy_scores_as_its_first_telling(sentiment):
    # The model knows "beats" and not "BEATS", so that the copy alone would score nothing.
    values, _ = sentiment(
        "2016-08-01T10:30Z,AAPL,Apple beats",
        "2016-08-01T12:30Z,AAPL,Apple BEATS",
        "2016-08-01T13:30Z,AAPL,Quiet",
    )
    assert values[0, 0] == pytest.approx(decayed((BEATS, 3), (0, 0)), abs=1e-6)


def test_later_headlines_change_no_earlier_session(sentiment):
    early = ("2016-08-01T10:00Z,AAPL,Apple beats", "2016-08-01T11:00Z,AAPL,Apple misses")
    late = ("2016-08-01T13:31Z,AAPL,misses", "2016-08-02T10:00Z,MSFT,misses misses")
    alone, _ = sentiment(*early)
    among, _ = sentiment(*early, *late)
    assert np.array_equal(alone[0], among[0], equal_nan=True)
    assert not np.array_equal(alone[1], among[1], equal_nan=True)


def test_without_a_model_there_is_no_sentiment_and_the_reason_is_said(sentiment, tmp_path):
    line = "2016-08-01T12:00Z,AAPL,Apple beats"
    values, (warning,) = sentiment(line, models_dir=tmp_path)
    assert values is None
    assert f"no sentiment model is installed in {tmp_path / 'finbert'}" in warning


def test_what_is_odd_about_the_file_is_said_with_and_without_a_model(sentiment, tmp_path):
    lines = ("2016-08-01T12:00,AAPL,Apple beats", "2016-08-01T12:00,AAPL,Apple", "2016-08-01,,")
    odd = ("1 row without headline dropped", "timestamps without a zone were taken as UTC")
    assert sentiment(*lines)[1] == odd
    assert sentiment(*lines, models_dir=tmp_path)[1][:-1] == odd


@pytest.mark.parametrize(
    "line",
    ["2015-01-01T12:00Z,AAPL,Apple", "2017-01-01T12:00Z,AAPL,Apple", "2016-08-01T12:00Z,TSLA,It"],
)
def test_headlines_of_other_days_or_symbols_only_are_said_to_be_of_no_use(sentiment, line):
    values, (warning,) = sentiment(f"{line} beats", f"{line} misses")
    assert np.isnan(values).all()
    assert "sentiment is absent" in warning


def test_a_damaged_model_is_refused(sentiment, install_finbert, tmp_path):
    directory = install_finbert(tmp_path)
    (directory / "model.onnx").write_bytes(b"cut short")
    with pytest.raises(DataError, match=r"model.onnx: is not the file that was installed"):
        sentiment("2016-08-01T12:00Z,AAPL,Apple beats", models_dir=tmp_path)


def test_what_was_scored_before_needs_no_model_any_more(sentiment, install_finbert, tmp_path):
    directory = install_finbert(tmp_path)
    lines = ("2016-08-01T12:00Z,AAPL,Apple beats", "2016-08-01T11:00Z,AAPL,Apple misses")
    first, _ = sentiment(*lines, models_dir=tmp_path)
    (directory / "model.onnx").write_bytes(b"cut short")
    again, _ = sentiment(*lines, models_dir=tmp_path)
    assert np.array_equal(first, again, equal_nan=True)
    with pytest.raises(DataError, match=r"model.onnx"):
        sentiment(*lines, "2016-08-01T12:30Z,AAPL,News", models_dir=tmp_path)


def test_a_file_that_is_none_is_refused(models, cache, tmp_path):
    with pytest.raises(DataError, match=r"none.csv: cannot be read"):
        news_sentiment(tmp_path / "none.csv", models, OPENS, SYMBOLS, cache=cache, at=NOW)
