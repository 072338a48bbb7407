"""Scores of headlines through the cache: what is scored, what is kept, what is never asked for."""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swingtrader.adapters.store import Store
from swingtrader.commands import headline_scores
from swingtrader.commands.headline_scores import (
    CHUNK,
    cached_scores,
    headline_digest,
    model_digest,
    scores_through,
)
from swingtrader.errors import DataError
from swingtrader.estimators.artifact import serving_artifact

NOW = datetime(2020, 1, 1, tzinfo=UTC)
BEATS = (math.exp(2) - 1) / (math.exp(2) + 2)


class Remembered:
    """A cache that forgets nothing and counts what it is told."""

    def __init__(self):
        self.kept = {}
        self.recorded = []

    def scores(self, model, headlines):
        """Return what is known."""
        return {one: self.kept[model, one] for one in headlines if (model, one) in self.kept}

    def record(self, model, scores, at):
        """Keep what is told."""
        assert at == NOW
        self.recorded.append(len(scores))
        self.kept.update({(model, one): score for one, score in scores.items()})


@pytest.fixture(scope="module")
def artifact(install_finbert, tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    install_finbert(models)
    return serving_artifact(models, "finbert")


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path, now=NOW) as store:
        yield store


def test_a_headline_is_scored_once_and_never_again(store, artifact):
    headlines = ["Apple beats", "Apple misses", "Apple beats", ""]
    scores, scored = cached_scores(store, artifact, headlines, NOW)
    np.testing.assert_allclose(scores, [BEATS, -BEATS, BEATS, math.nan], rtol=0, atol=1e-6)
    assert scored == 3
    again, scored_again = cached_scores(store, artifact, headlines[::-1], NOW)
    assert scored_again == 0
    assert np.array_equal(again, scores[::-1], equal_nan=True)


def test_scores_belong_to_the_model_as_its_manifest_states_it(store, artifact):
    cached_scores(store, artifact, ["Apple beats"], NOW)
    digest = headline_digest("Apple beats")
    assert store.sentiment.scores(model_digest(artifact), [digest]).keys() == {digest}
    assert store.sentiment.scores("another", [digest]) == {}


@pytest.mark.parametrize(
    ("limit", "expected", "scored"),
    [
        (None, [BEATS, -BEATS, BEATS, 0.0], 3),
        (2, [BEATS, -BEATS, BEATS, math.nan], 2),
        (0, [math.nan] * 4, 0),
    ],
)
def test_no_more_than_the_limit_is_scored_now_the_first_ones_first(
    store, artifact, limit, expected, scored
):
    headlines = ["It beats", "It misses", "It beats", "Quiet"]
    scores, count = cached_scores(store, artifact, headlines, NOW, limit=limit)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6)
    assert count == scored
    # What is known does not count against the limit, so that a few a run is enough.
    _, rest = cached_scores(store, artifact, headlines, NOW, limit=3 - scored)
    assert rest == 3 - scored


@given(st.lists(st.text(alphabet="ab beats misses", max_size=12), max_size=12), st.integers(0, 12))
@settings(deadline=None, derandomize=True, max_examples=25)
def test_the_cache_changes_no_score(artifact, headlines, known):
    empty, partly = Remembered(), Remembered()
    scores_through(partly, artifact, headlines[:known], NOW)
    plain, _ = scores_through(empty, artifact, headlines, NOW)
    through, scored = scores_through(partly, artifact, headlines, NOW)
    assert scored == len(set(headlines) - set(headlines[:known]))
    np.testing.assert_allclose(through, plain, rtol=0, atol=1e-6)


def test_every_chunk_is_kept_as_soon_as_it_is_scored(artifact):
    cache, begun, told = Remembered(), [], []
    headlines = [f"headline {n}" for n in range(2 * CHUNK + 1)]

    def begin(total):
        begun.append(total)
        return told.append

    scores_through(cache, artifact, headlines, NOW, begin=begin)
    assert cache.recorded == [CHUNK, CHUNK, 1]
    assert begun == [2 * CHUNK + 1]
    assert told == [CHUNK, 2 * CHUNK, 2 * CHUNK + 1]
    scores_through(cache, artifact, headlines, NOW, begin=begin)
    assert len(begun) == 1


def test_with_everything_known_the_classifier_is_not_opened(artifact, install_finbert, tmp_path):
    directory = install_finbert(tmp_path)
    damaged = serving_artifact(tmp_path, "finbert")
    cache = Remembered()
    first, _ = scores_through(cache, artifact, ["Apple beats"], NOW)
    (directory / "model.onnx").unlink()
    again, scored = scores_through(cache, damaged, ["Apple beats"], NOW)
    assert (scored, again.tolist()) == (0, first.tolist())
    with pytest.raises(DataError, match=r"model\.onnx"):
        scores_through(cache, damaged, ["Apple misses"], NOW)


def test_importing_it_loads_neither_onnxruntime_nor_tokenizers():
    name = headline_scores.__name__
    code = (
        f"import sys, {name}; print({{'onnxruntime', 'tokenizers', 'torch'}} & set(sys.modules))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert told == "set()\n"


def test_a_headline_with_a_lone_surrogate_has_a_digest():
    assert len(bytes.fromhex(headline_digest("broken \ud800"))) == 32
    assert headline_digest("broken \ud800") == headline_digest("broken ?")
