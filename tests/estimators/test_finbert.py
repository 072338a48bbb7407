"""The classifiers here are real ones of transformers, made by `small_bert`."""

from __future__ import annotations

import json
import pickle
import shutil
from datetime import UTC, datetime

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tests.estimators.small_bert import headlines, small_bert

from swingtrader.errors import DataError
from swingtrader.estimators.finbert import Classifier, exported, quantised
from swingtrader.estimators.finbert_check import (
    agreement,
    separation,
    served_probabilities,
    smallest_agreeing,
)
from swingtrader.estimators.finbert_headlines import HEADLINES
from swingtrader.estimators.finbert_headlines import LABELS as OF
from swingtrader.estimators.installation import install
from swingtrader.estimators.sentiment import LABELS, MODEL, HeadlineScorer

MIXED = ("Rises", "", "Shares plunge " * 40, "Apple beats estimates", "z" * 300, *HEADLINES[:9])


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return small_bert(tmp_path_factory)


@pytest.fixture(scope="module")
def classifier(directory):
    return Classifier.load(directory)


@pytest.fixture(scope="module")
def model(classifier):
    """Return its unquantised export."""
    return exported(classifier)


@pytest.fixture
def copy(directory, tmp_path):
    """Return a copy that a test may damage."""
    return shutil.copytree(directory, tmp_path / "copy")


def test_labels_are_taken_by_name_and_not_by_position(classifier):
    texts, labels = zip(*headlines()[1], strict=True)
    found = classifier.probabilities(texts).argmax(axis=1)
    assert np.mean([LABELS[column] for column in found] == np.array(labels)) > 0.95


def test_probabilities_are_those_of_the_pipeline_of_transformers(directory, classifier):
    from transformers import pipeline  # noqa: PLC0415 - slow, and for this test only

    texts = list(HEADLINES[::5])
    ours = classifier.probabilities(texts)
    theirs = pipeline("text-classification", str(directory), top_k=None)(texts)
    by_name = [{row["label"]: row["score"] for row in rows} for rows in theirs]
    np.testing.assert_allclose(
        ours, [[row[label] for label in LABELS] for row in by_name], atol=1e-5
    )


def test_the_export_served_by_the_scorer_says_what_the_original_says(classifier, model):
    ours = served_probabilities({MODEL: model, **classifier.files()}, MIXED)
    readable = np.isfinite(ours).all(axis=1)
    assert (~readable).nonzero()[0].tolist() == [1]
    np.testing.assert_allclose(
        ours[readable], classifier.probabilities(MIXED)[readable], atol=1e-6
    )


@pytest.fixture(scope="module")
def scorer(classifier, model, tmp_path_factory):
    """Return the scorer of the unquantised export."""
    files = {MODEL: model, **classifier.files()}
    facts = {"created_at": datetime(2024, 3, 6, tzinfo=UTC), "library_versions": {}}
    store = tmp_path_factory.mktemp("models")
    return HeadlineScorer.load(install(store, "finbert", "v1", files, validation={}, **facts))


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.lists(st.text(max_size=200), min_size=1, max_size=5))
def test_no_text_is_read_differently_by_the_export(classifier, scorer, texts):
    ours = scorer.probabilities(texts)
    readable = np.isfinite(ours).all(axis=1)
    np.testing.assert_allclose(
        ours[readable], classifier.probabilities(texts)[readable], atol=1e-5
    )


def test_int8_agrees_with_the_original_and_is_smaller_the_more_is_quantised(classifier, model):
    theirs = classifier.probabilities(HEADLINES)
    sizes = [len(model)]
    for embeddings in (False, True):
        small = quantised(model, embeddings=embeddings)
        ours = served_probabilities({MODEL: small, **classifier.files()}, HEADLINES)
        assert agreement(ours, theirs).suffices
        assert agreement(ours, theirs).largest_difference > 0.0
        sizes.append(len(small))
    assert sizes == sorted(sizes, reverse=True)


def initializers_changed(model, change):
    """Return an ONNX model with `change` done to its weights, given as arrays by name."""
    proto = onnx.load_from_string(model)
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    arrays = {name: onnx.numpy_helper.to_array(tensor).copy() for name, tensor in stored.items()}
    change(arrays)
    for name, tensor in stored.items():
        tensor.CopyFrom(onnx.numpy_helper.from_array(arrays[name], name))
    return proto.SerializeToString()


def embeddings_of_one_word_enlarged(arrays):
    arrays["bert.embeddings.word_embeddings.weight"][4] = 1e4  # [MASK], which no headline has


def activation_beyond_all_others(arrays):
    """Let one unit of each hidden layer be huge, and nothing read it."""
    for layer in (0, 1):
        arrays[f"bert.encoder.layer.{layer}.intermediate.dense.bias"][0] = 1e6
    for name, array in arrays.items():
        if name.startswith("val_") and array.shape == (64, 32):
            array[0] = 0.0


@pytest.mark.parametrize(
    ("change", "embeddings"), [(lambda _: None, True), (embeddings_of_one_word_enlarged, False)]
)
def test_embeddings_stay_float_where_one_word_would_spoil_them(
    classifier, model, change, embeddings
):
    files, altered = classifier.files(), initializers_changed(model, change)
    theirs = served_probabilities({MODEL: altered, **files}, HEADLINES)
    small = smallest_agreeing(files, altered, HEADLINES, theirs)
    assert small.embeddings is embeddings
    assert small.agreement.suffices
    ours = served_probabilities({MODEL: small.model, **files}, HEADLINES)
    assert agreement(ours, theirs) == small.agreement


def test_a_model_that_eight_bits_cannot_hold_is_refused_with_the_figures(classifier, model):
    files = classifier.files()
    altered = initializers_changed(model, activation_beyond_all_others)
    theirs = served_probabilities({MODEL: altered, **files}, HEADLINES)
    with pytest.raises(DataError, match=r"agrees on \d+% of 60 headlines .* are the limits"):
        smallest_agreeing(files, altered, HEADLINES, theirs)


def test_the_digest_is_of_weights_words_and_labels_and_of_nothing_else(classifier, copy):
    weights = load_file(copy / "model.safetensors")
    save_file(dict(reversed(weights.items())), copy / "model.safetensors", {"format": "pt"})
    (copy / "README.md").write_text("changed")
    assert Classifier.load(copy).sha256() == classifier.sha256()
    changed(copy, labels={"0": "neutral", "1": "negative", "2": "positive"})
    relabelled = Classifier.load(copy).sha256()
    weights["classifier.bias"][0] += 1e-3
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    assert len({classifier.sha256(), relabelled, Classifier.load(copy).sha256()}) == 3


def test_a_vocabulary_of_words_alone_serves_as_it_does_in_the_published_model(classifier, copy):
    words = json.loads((copy / "tokenizer.json").read_text())["model"]["vocab"]
    (copy / "tokenizer.json").unlink()
    (copy / "vocab.txt").write_text("".join(f"{word}\n" for word in sorted(words, key=words.get)))
    (copy / "tokenizer_config.json").write_text('{"do_lower_case": true, "model_max_length": 64}')
    np.testing.assert_array_equal(
        Classifier.load(copy).probabilities(HEADLINES), classifier.probabilities(HEADLINES)
    )


def changed(directory, *, labels=None, **entries):
    """Rewrite entries of a configuration; those of None are removed."""
    path = directory / "config.json"
    config = json.loads(path.read_text()) | entries
    if labels is not None:
        config |= {"id2label": labels, "label2id": {v: int(k) for k, v in labels.items()}}
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


def weights_changed(directory, change):
    weights = load_file(directory / "model.safetensors")
    change(weights)
    save_file(weights, directory / "model.safetensors", {"format": "pt"})


def truncated(path):
    path.write_bytes(path.read_bytes()[:-1000])


class Planted:
    """Opened as a pickle, it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def pickled(directory):
    (directory / "model.safetensors").unlink()
    (directory / "pytorch_model.bin").write_bytes(pickle.dumps(Planted(directory / "ran")))


def with_longer_vocabulary(directory):
    path = directory / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    words = tokenizer["model"]["vocab"]
    words |= {f"word{n}": len(words) + n for n in range(100)}
    path.write_text(json.dumps(tokenizer))


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (shutil.rmtree, "is not a directory"),
        (lambda d: (d / "config.json").unlink(), r"has no config\.json"),
        (lambda d: (d / "config.json").write_text("{"), "is no usable classifier"),
        (lambda d: changed(d, model_type="unheard-of"), "is no usable classifier"),
        (lambda d: changed(d, labels={}), "must name positive, negative, neutral, not nothing"),
        (lambda d: changed(d, id2label=None), "not LABEL_0, LABEL_1"),
        (lambda d: changed(d, labels={"0": "positive", "1": "negative"}), "must name positive"),
        (lambda d: changed(d, labels=dict(zip("012", "abc", strict=True))), "not a, b, c"),
        (lambda d: changed(d, max_position_embeddings=4), "usable|fewer than 16 tokens"),
        (lambda d: truncated(d / "model.safetensors"), "is no usable classifier"),
        (lambda d: (d / "model.safetensors").write_bytes(b""), "is no usable classifier"),
        (lambda d: (d / "model.safetensors").unlink(), "has no weights"),
        (lambda d: weights_changed(d, lambda w: w.pop("classifier.weight")), "lack classifier"),
        (
            lambda d: weights_changed(
                d, lambda w: w.update({"classifier.weight": torch.zeros(3, 8)})
            ),
            "is no usable classifier",
        ),
        (lambda d: (d / "tokenizer.json").unlink(), "has no tokenizer"),
        (lambda d: (d / "tokenizer.json").write_text("{}"), "is no usable classifier"),
        (with_longer_vocabulary, "do not belong together"),
    ],
)
def test_a_directory_without_a_usable_classifier_is_refused_in_one_line(copy, damage, why):
    damage(copy)
    with pytest.raises(DataError, match=why) as refusal:
        Classifier.load(copy)
    assert str(refusal.value).startswith(str(copy))
    assert "\n" not in str(refusal.value)


def test_a_pickle_is_refused_and_never_opened(copy):
    pickled(copy)
    with pytest.raises(DataError, match=r"only pytorch_model\.bin, a pickle"):
        Classifier.load(copy)
    assert not (copy / "ran").exists()


def test_code_that_comes_with_a_model_is_refused_and_never_run(copy):
    (copy / "theirs.py").write_text(f"open({str(copy / 'ran')!r}, 'w')\n")
    changed(
        copy, model_type="theirs", auto_map={"AutoConfig": "theirs.Config"}, architectures=None
    )
    with pytest.raises(DataError, match="contains custom code"):
        Classifier.load(copy)
    assert not (copy / "ran").exists()


@pytest.mark.parametrize(
    ("ours", "theirs", "same", "mean", "largest", "suffices"),
    [
        ([[0.8, 0.1, 0.1]], [[0.8, 0.1, 0.1]], 1.0, 0.0, 0.0, True),
        ([[0.6, 0.3, 0.1]], [[0.64, 0.3, 0.06]], 1.0, 0.04, 0.04, True),
        ([[0.6, 0.3, 0.1]], [[0.7, 0.3, 0.0]], 1.0, 0.1, 0.1, False),
        (
            [[0.4, 0.0, 0.6]] * 20,
            [[0.4, 0.0, 0.6]] * 19 + [[0.6, 0.0, 0.4]],
            0.95,
            0.01,
            0.2,
            True,
        ),
        (
            [[0.4, 0.0, 0.6]] * 19,
            [[0.4, 0.0, 0.6]] * 18 + [[0.6, 0.0, 0.4]],
            18 / 19,
            None,
            0.2,
            False,
        ),
        ([[np.nan] * 3] * 2, [[np.nan] * 3] * 2, 0.0, np.nan, np.nan, False),
    ],
)
def test_agreement_counts_labels_and_measures_scores(ours, theirs, same, mean, largest, suffices):
    found = agreement(np.array(ours), np.array(theirs))
    assert found.headlines == len(ours)
    assert found.agreement == pytest.approx(same)
    assert mean is None or found.mean_difference == pytest.approx(mean, nan_ok=True)
    assert found.largest_difference == pytest.approx(largest, nan_ok=True)
    assert found.suffices is suffices


def test_separation_is_the_distance_between_good_news_and_bad():
    sure = {"positive": (0.9, 0.0, 0.1), "negative": (0.1, 0.6, 0.3), "neutral": (0.0, 0.9, 0.1)}
    assert separation(np.array([sure[label] for label in OF]), OF) == pytest.approx(1.4)


def test_the_headlines_of_the_check_are_distinct_and_evenly_labelled():
    assert len(set(HEADLINES)) == len(HEADLINES) == len(OF) == 60
    assert {OF.count(label) for label in LABELS} == {20}
    learned, held_out = headlines()
    assert not set(HEADLINES) & {text for text, _ in learned + held_out}
