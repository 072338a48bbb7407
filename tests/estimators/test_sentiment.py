"""The model here is real but small: a bag of word embeddings over a dozen words."""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from swingtrader.errors import DataError
from swingtrader.estimators.artifact import serving_artifact
from swingtrader.estimators.sentiment import HeadlineScorer

# Strength per label. [PAD] has one, so that padding which is not masked shows in the scores.
WORDS = {
    "[PAD]": {"positive": 50.0},
    "[UNK]": {"neutral": 1.0},
    "[CLS]": {},
    "[SEP]": {},
    "beats": {"positive": 9.0},
    "surges": {"positive": 6.0},
    "misses": {"negative": 9.0},
    "plunges": {"negative": 6.0},
    "estimates": {"neutral": 2.0},
    "shares": {"neutral": 1.0},
}
USUAL = ("positive", "negative", "neutral")
UNUSUAL = ("neutral", "negative", "positive")
HEADLINES = (
    "Shares plunges",
    "Apple beats estimates",
    "Shares",
    "Apple misses estimates and shares plunges after a long day of trading in New York",
    "apple surges " + "shares " * 20,
    "BEATS",
)


def embedding_bag(labels, *, integer=TensorProto.INT64, inputs=("input_ids", "attention_mask")):
    """Logits of the masked mean of word embeddings, columns in the order of `labels`."""
    strengths = np.zeros((len(WORDS), len(USUAL)), dtype=np.float32)
    for row, (label, strength) in (
        (row, item) for row, word in enumerate(WORDS.values()) for item in word.items()
    ):
        strengths[row, USUAL.index(label)] = strength
    to_logits = np.array([[a == b for b in labels] for a in USUAL], dtype=np.float32)
    nodes = [
        helper.make_node("Gather", ["embeddings", "input_ids"], ["words"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["weights"]),
        helper.make_node("Mul", ["words", "weights"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "tokens"], ["total"], keepdims=0),
        helper.make_node("ReduceSum", ["weights", "tokens"], ["count"], keepdims=0),
        helper.make_node("Div", ["total", "count"], ["mean"]),
        helper.make_node("MatMul", ["mean", "to_logits"], ["unbiased"]),
        helper.make_node("Add", ["unbiased", "bias"], ["logits"]),
    ]
    constants = {
        "embeddings": strengths,
        "to_logits": to_logits,
        "bias": np.array([0.5 * (label == "neutral") for label in labels], dtype=np.float32),
        "last": np.array([-1]),
        "tokens": np.array([1]),
    }
    graph = helper.make_graph(
        nodes,
        "embedding_bag",
        [helper.make_tensor_value_info(name, integer, ["batch", "tokens"]) for name in inputs],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(labels)])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    # Versions that every supported onnxruntime reads; onnx writes newer ones by default.
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def word_tokenizer():
    vocabulary = {word: row for row, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 (a token of text)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    # As published files do it: their settings must not become ours.
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=200)
    return tokenizer


@pytest.fixture
def install(tmp_path):
    """Write a sentiment artefact into the store of this test; return what is then served."""
    versions = itertools.count(1)

    def write(labels=UNUSUAL, *, config=None, model=None, tokenizer=None):
        version = f"v{next(versions)}"
        directory = tmp_path / "models" / "sentiment" / version
        directory.mkdir(parents=True)
        id2label = {str(column): label for column, label in enumerate(labels)}
        model = embedding_bag([label.lower() for label in labels]) if model is None else model
        content = {
            "config.json": json.dumps({"id2label": id2label} | (config or {})).encode(),
            "tokenizer.json": (tokenizer or word_tokenizer().to_str()).encode(),
            "model.onnx": model if isinstance(model, bytes) else model.SerializeToString(),
        }
        for name, data in content.items():
            (directory / name).write_bytes(data)
        manifest = {
            "family": "sentiment",
            "version": version,
            "created_at": "2024-03-06T12:00:00Z",
            "source": "made by this test",
            "library_versions": {"onnx": onnx.__version__},
            "validation": {},
            "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in content.items()},
        }
        (directory / "manifest.json").write_text(json.dumps(manifest))
        (directory.parent / "serving").write_text(version)
        return serving_artifact(tmp_path / "models", "sentiment")

    return write


def expected_score(headline, max_tokens=128):
    """Score the same bag of words by hand, in double precision."""
    words = headline.lower().split()[: max_tokens - 2]
    strength = {"positive": 0.0, "negative": 0.0, "neutral": 0.0}
    for word in words:
        for label, value in WORDS.get(word, WORDS["[UNK]"]).items():
            strength[label] += value / (len(words) + 2)
    strength["neutral"] += 0.5
    exponential = {label: np.exp(value) for label, value in strength.items()}
    return (exponential["positive"] - exponential["negative"]) / sum(exponential.values())


def test_score_is_the_probability_of_positive_less_that_of_negative(install):
    scores = HeadlineScorer.load(install()).scores(HEADLINES)
    # float32 logits of a few units
    np.testing.assert_allclose(scores, [expected_score(h) for h in HEADLINES], atol=1e-6)
    assert scores.dtype == np.float64
    assert scores[1] > 0.3 > -0.3 > scores[0]


@pytest.mark.parametrize(
    "labels", list(itertools.permutations(("Positive", "NEGATIVE", "neutral")))
)
def test_labels_are_read_by_name_whatever_their_order_and_case(install, labels):
    scores = HeadlineScorer.load(install(labels)).scores(HEADLINES)
    np.testing.assert_allclose(scores, [expected_score(h) for h in HEADLINES], atol=1e-6)


@pytest.mark.parametrize(
    "id2label",
    [
        None,
        [*UNUSUAL],
        {},
        {"0": "positive", "1": "negative"},
        {"0": "positive", "1": "negative", "2": "LABEL_2"},
        {"0": "positive", "1": "negative", "2": "Negative"},
        {"0": "positive", "1": "negative", "3": "neutral"},
        {"0": "positive", "1": "negative", "2": "neutral", "3": "mixed"},
        {"0": "positive", "1": "negative", "2": "neutral", "3": "neutral"},
        {"positive": 0, "negative": 1, "neutral": 2},
    ],
)
def test_labels_other_than_the_three_are_refused(install, id2label):
    with pytest.raises(DataError, match=r"config\.json: .*id2label"):
        HeadlineScorer.load(install(config={"id2label": id2label}))


def test_neither_batch_nor_order_changes_a_score(install):
    scorer = HeadlineScorer.load(install())
    rng = np.random.default_rng(7)
    words = np.array(list(WORDS)[4:])
    headlines = [" ".join(rng.choice(words, size)) for size in rng.integers(1, 40, size=150)]
    together = scorer.scores(headlines)
    alone = np.concatenate([scorer.scores([headline]) for headline in headlines])
    # float32 sums in another order
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)
    np.testing.assert_allclose(scorer.scores(headlines[::-1])[::-1], alone, rtol=0, atol=1e-6)
    assert len(np.unique(np.round(alone, 3))) > 50


def test_more_headlines_than_are_tokenized_at_once_keep_their_order(install):
    headlines = [HEADLINES[i % len(HEADLINES)] for i in range(4100)]
    scores = HeadlineScorer.load(install()).scores(headlines)
    expected = [expected_score(headline) for headline in headlines]
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("configured", "used"), [(None, 128), (512, 128), (16, 16), (3, 3)])
def test_a_long_headline_is_cut_to_the_model_and_to_128_tokens(install, configured, used):
    config = {} if configured is None else {"max_position_embeddings": configured}
    scorer = HeadlineScorer.load(install(config=config))
    headline = "beats " * (used - 2) + "plunges " * 5000
    assert expected_score(headline, used) != pytest.approx(expected_score(headline, used + 2))
    np.testing.assert_allclose(
        scorer.scores([headline]), expected_score(headline, used), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("length", [2, 0, -1, "512", None, True])
def test_a_length_that_leaves_no_room_for_a_word_is_refused(install, length):
    with pytest.raises(DataError, match="max_position_embeddings"):
        HeadlineScorer.load(install(config={"max_position_embeddings": length}))


def test_no_headlines_have_no_scores(install):
    assert HeadlineScorer.load(install()).scores([]).shape == (0,)


def test_a_headline_without_a_word_has_no_score_and_spoils_no_other(install):
    scores = HeadlineScorer.load(install()).scores(["", "BEATS", " \n", "\u200b"])
    np.testing.assert_allclose(
        scores, [np.nan, expected_score("beats"), np.nan, np.nan], rtol=0, atol=1e-6
    )


def test_half_a_surrogate_pair_is_an_unknown_word(install):
    scores = HeadlineScorer.load(install()).scores(["beats \ud83d"])
    np.testing.assert_allclose(scores, expected_score("beats ?"), rtol=0, atol=1e-6)


def test_a_model_may_take_token_types_and_short_integers(install):
    model = embedding_bag(
        UNUSUAL,
        integer=TensorProto.INT32,
        inputs=("input_ids", "token_type_ids", "attention_mask"),
    )
    scores = HeadlineScorer.load(install(model=model), intra_op_threads=2).scores(HEADLINES)
    np.testing.assert_allclose(scores, [expected_score(h) for h in HEADLINES], atol=1e-6)


def fixed_batch(model):
    for node in model.graph.input:
        node.type.tensor_type.shape.dim[0].dim_value = 7
    return model


def float_mask(model):
    model.graph.input[1].type.tensor_type.elem_type = TensorProto.FLOAT
    return model


def not_a_number(model):
    model.graph.initializer[2].CopyFrom(numpy_helper.from_array(np.full(3, np.nan, "f4"), "bias"))
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (b"no model", "refuses it"),
        (embedding_bag(UNUSUAL, inputs=("input_ids", "attention_mask", "pixels")), "inputs"),
        (embedding_bag(UNUSUAL, integer=TensorProto.FLOAT), "refuses it"),
        (float_mask(embedding_bag(UNUSUAL)), "must be integers"),
        (embedding_bag((*UNUSUAL, "mixed")), "three finite logits"),
        (not_a_number(embedding_bag(UNUSUAL)), "three finite logits"),
        (fixed_batch(embedding_bag(UNUSUAL)), "fails on it"),
    ],
    ids=["no model", "inputs", "float ids", "float mask", "labels", "nan", "fixed batch"],
)
def test_a_model_that_cannot_score_headlines_is_refused(install, model, message):
    artifact = install(model=model)
    with pytest.raises(DataError, match=rf"model\.onnx: .*{message}"):
        HeadlineScorer.load(artifact).scores(HEADLINES)


@pytest.mark.parametrize("text", ["not json", "[]"])
def test_a_tokenizer_that_is_no_json_object_is_refused(install, text):
    with pytest.raises(DataError, match=r"tokenizer\.json: not"):
        HeadlineScorer.load(install(tokenizer=text))


def test_json_that_is_no_tokenizer_is_refused(install):
    with pytest.raises(DataError, match=r"tokenizer\.json: no tokenizer"):
        HeadlineScorer.load(install(tokenizer='{"model": 1}'))


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "config.json"])
def test_one_altered_byte_is_refused(install, name):
    artifact = install()
    path = artifact.directory / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: is not the file that was installed"):
        HeadlineScorer.load(artifact)


def test_weights_beside_the_model_that_no_manifest_lists_are_not_opened(install, tmp_path):
    onnx.save(
        embedding_bag(UNUSUAL),
        tmp_path / "model.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=100,  # the embeddings; shape inference needs the axes inside
    )
    artifact = install(model=(tmp_path / "model.onnx").read_bytes())
    (tmp_path / "weights.bin").rename(artifact.directory / "weights.bin")
    with pytest.raises(DataError, match=r"model\.onnx: its weights must be inside it"):
        HeadlineScorer.load(artifact)


def test_scoring_leaves_nothing_behind_in_the_home_directory(install, tmp_path):
    install()
    home = tmp_path / "home"
    home.mkdir()
    program = (
        "import sys; from pathlib import Path\n"
        "from swingtrader.estimators.artifact import serving_artifact\n"
        "from swingtrader.estimators.sentiment import HeadlineScorer\n"
        "artifact = serving_artifact(Path(sys.argv[1]), 'sentiment')\n"
        "print(HeadlineScorer.load(artifact).scores(['beats'])[0] > 0)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "models")],
        env={"HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert run.stdout == "True\n"
    assert list(home.rglob("*")) == []
