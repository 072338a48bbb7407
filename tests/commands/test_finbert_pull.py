"""A classifier is taken over only when what will serve says what the original says."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.estimators.small_bert import headlines, small_bert

from swingtrader.commands.finbert_pull import PulledModel, pull_finbert
from swingtrader.errors import DataError
from swingtrader.estimators.artifact import serving_artifact
from swingtrader.estimators.installation import install, promote
from swingtrader.estimators.sentiment import HeadlineScorer

pytestmark = pytest.mark.slow

NOW = datetime(2024, 3, 6, 21, tzinfo=UTC)
PHASES = ("Loading the classifier", "Exporting to ONNX", "Quantising to int8")


@dataclass
class Recorded:
    """Progress that remembers, and is interrupted as the phase `until` begins."""

    until: str = ""
    phases: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def phase(self, name, _total=1):
        """Begin a phase."""
        if name == self.until:
            raise KeyboardInterrupt
        self.phases.append(name)
        return lambda _done: None

    def warn(self, event, **_facts):
        """Remember the event."""
        self.warnings.append(event)


class Connections:
    """What asks for the network while it is being watched."""

    def __init__(self):
        self.watching = False
        self.seen = []
        sys.addaudithook(self._note)  # for good: Python has no way to take one back

    def _note(self, event, _arguments):
        if self.watching and event in {"socket.connect", "socket.getaddrinfo", "socket.sendto"}:
            self.seen.append(event)


@dataclass(frozen=True)
class Pulled:
    """One pull of the small BERT, to read and not to touch."""

    directory: object
    models_dir: object
    result: PulledModel
    progress: Recorded
    connections: list[str]


@pytest.fixture(scope="module")
def pulled(tmp_path_factory):
    place = tmp_path_factory.mktemp("pull")
    directory, models_dir = place / "small BERT, mine", place / "models"
    shutil.copytree(small_bert(tmp_path_factory), directory)
    progress, connections = Recorded(), Connections()
    connections.watching = True
    result = pull_finbert(models_dir, from_directory=directory, now=NOW, progress=progress)
    connections.watching = False
    return Pulled(directory, models_dir, result, progress, connections.seen)


@pytest.fixture
def copy(pulled, tmp_path):
    """Return copies, which a test may damage, of what was pulled and of the store."""
    return (
        shutil.copytree(pulled.directory, tmp_path / "published"),
        shutil.copytree(pulled.models_dir, tmp_path / "models"),
    )


def contents(directory):
    """Every file below a directory with its content."""
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def weights_changed(directory, change):
    weights = load_file(directory / "model.safetensors")
    change(weights)
    save_file(weights, directory / "model.safetensors", {"format": "pt"})


def test_what_was_pulled_serves_and_reads_headlines_it_has_never_seen(pulled):
    scorer = HeadlineScorer.load(serving_artifact(pulled.models_dir, "finbert"))
    texts, labels = zip(*headlines()[1], strict=True)
    scores = scorer.scores(texts)
    of = np.array(labels)
    assert (scores[of == "positive"] > 0.5).mean() > 0.95
    assert (scores[of == "negative"] < -0.5).mean() > 0.95
    assert (np.abs(scores[of == "neutral"]) < 0.5).mean() > 0.95


def test_its_scores_are_those_of_the_pipeline_of_transformers_but_for_quantisation(pulled):
    from transformers import pipeline  # noqa: PLC0415 - slow, and for this test only

    texts = [text for text, _ in headlines()[1]]
    rows = pipeline("text-classification", str(pulled.directory), top_k=None)(texts)
    by_name = [{row["label"]: row["score"] for row in each} for each in rows]
    theirs = np.array([each["positive"] - each["negative"] for each in by_name])
    ours = HeadlineScorer.load(pulled.result.artifact).scores(texts)
    assert np.abs(ours - theirs).mean() < 0.02
    assert np.abs(ours - theirs).max() < 0.2


def test_the_manifest_says_what_it_is_and_how_it_was_judged(pulled):
    manifest = pulled.result.artifact.manifest
    assert manifest.version.startswith("small-BERT-mine-")
    assert manifest.source == "directory small BERT, mine"
    assert manifest.created_at == NOW
    assert {"torch", "transformers", "onnxruntime"} <= manifest.library_versions.keys()
    figures = manifest.validation
    assert figures == pulled.result.figures
    assert figures["headlines"] == 60
    assert figures["agreement"] >= 0.95
    assert 0.0 < figures["mean_difference"] <= 0.05
    assert figures["mean_difference"] <= figures["largest_difference"]
    assert figures["float_largest_difference"] < 1e-4
    assert figures["separation"] > 0.5
    assert figures["embeddings_int8"] == 1.0
    assert sorted(manifest.sha256) == ["config.json", "model.onnx", "tokenizer.json"]


def test_a_pull_tells_its_phases_and_asks_nobody_when_given_a_directory(pulled):
    assert pulled.progress.phases == list(PHASES)
    assert pulled.progress.warnings == []
    assert pulled.connections == []


def test_the_same_model_again_is_not_installed_again(pulled, copy):
    published, models_dir = copy
    before = contents(models_dir)
    renamed = published.rename(published.with_name(pulled.directory.name))
    again = pull_finbert(models_dir, from_directory=renamed, now=NOW, progress=Recorded())
    assert (pulled.result.installed, pulled.result.promoted) == (True, True)
    assert (again.installed, again.promoted) == (False, False)
    assert again.figures == pulled.result.figures
    assert contents(models_dir) == before


def test_a_model_that_another_had_taken_over_from_serves_again(pulled, copy):
    _, models_dir = copy
    facts = {"created_at": NOW, "library_versions": {}, "validation": {}}
    install(models_dir, "finbert", "other", {"model.onnx": b"other"}, **facts)
    promote(models_dir, "finbert", "other")
    again = pull_finbert(models_dir, from_directory=pulled.directory, now=NOW, progress=Recorded())
    assert (again.installed, again.promoted) == (False, True)
    assert serving_artifact(models_dir, "finbert").manifest.version == (
        pulled.result.artifact.manifest.version
    )


def test_a_version_that_is_damaged_is_named_with_what_to_do(pulled, copy):
    _, models_dir = copy
    directory = models_dir / "finbert" / pulled.result.artifact.manifest.version
    (directory / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(DataError, match="damaged; remove the directory, then pull again"):
        pull_finbert(models_dir, from_directory=pulled.directory, now=NOW, progress=Recorded())


@pytest.mark.parametrize("phase", PHASES[:2])
def test_an_interrupted_pull_leaves_the_store_as_it_was(copy, phase):
    published, models_dir = copy
    weights_changed(published, lambda w: w["classifier.bias"].add_(0.01))
    before = contents(models_dir)
    with pytest.raises(KeyboardInterrupt):
        pull_finbert(models_dir, from_directory=published, now=NOW, progress=Recorded(phase))
    assert contents(models_dir) == before


def labels_mixed_up(published):
    path = published / "config.json"
    config = json.loads(path.read_text())
    config["id2label"] = {"0": "neutral", "1": "negative", "2": "positive"}
    config["label2id"] = {"neutral": 0, "negative": 1, "positive": 2}
    path.write_text(json.dumps(config))


def never_trained(published):
    def forget(weights):
        generator = torch.Generator().manual_seed(0)
        for name, tensor in weights.items():
            if tensor.dim() == 2:
                weights[name] = torch.randn(tensor.shape, generator=generator) * 0.02

    weights_changed(published, forget)


def not_a_number(published):
    weights_changed(published, lambda w: w["classifier.weight"].fill_(float("nan")))


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (shutil.rmtree, "is not a directory"),
        (labels_mixed_up, "does not tell good news from bad"),
        (never_trained, "does not tell good news from bad"),
        (not_a_number, "does not tell good news from bad"),
    ],
)
def test_a_model_that_cannot_be_vouched_for_leaves_the_store_as_it_was(copy, damage, why):
    published, models_dir = copy
    damage(published)
    before = contents(models_dir)
    with pytest.raises(DataError, match=why):
        pull_finbert(models_dir, from_directory=published, now=NOW, progress=Recorded())
    assert contents(models_dir) == before
