"""``models pull-finbert``: take over a sentiment classifier, and let it serve if it is sound.

The classifier that serves is int8 and must say what the original says. Where it does not, none
is installed: a float model of BERT-base size takes more memory than `decide` may use.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog

from swingtrader.adapters.model_hub import download
from swingtrader.commands.news_sentiment import FAMILY
from swingtrader.errors import DataError, FileDataError
from swingtrader.estimators.artifact import version_in_use
from swingtrader.estimators.finbert import Classifier, exported
from swingtrader.estimators.finbert_check import (
    FLOAT_DIFFERENCE_LIMIT,
    SEPARATION_FLOOR,
    agreement,
    separation,
    served_probabilities,
    smallest_agreeing,
)
from swingtrader.estimators.finbert_headlines import HEADLINES, LABELS
from swingtrader.estimators.installation import install, promote
from swingtrader.estimators.sentiment import MODEL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from swingtrader.commands.backtest_inputs import Progress
    from swingtrader.estimators.artifact import Artifact

log = structlog.get_logger()

SOURCE = "ProsusAI/finbert"
LIBRARIES = ("swingtrader", "torch", "transformers", "tokenizers", "onnx", "onnxruntime")


@dataclass(frozen=True)
class PulledModel:
    """What a pull came to.

    Attributes
    ----------
    artifact : Artifact
        The version that serves now.
    figures : mapping of figure to value
        What it was judged by, as in its manifest.
    promoted : bool
        Whether it serves from now on; False when it served before.
    installed : bool
        Whether this pull installed it; False when it was there already.
    """

    artifact: Artifact
    figures: Mapping[str, float]
    promoted: bool
    installed: bool


def pull_finbert(
    models_dir: Path,
    *,
    source: str = SOURCE,
    from_directory: Path | None = None,
    now: datetime,
    progress: Progress,
) -> PulledModel:
    """Load a classifier, export and quantise it, check it against itself, install and promote it.

    Parameters
    ----------
    models_dir : Path
        The model store, made where missing.
    source : str
        Name on the hub.
    from_directory : Path, optional
        Taken instead of the hub; then no network is used at all.
    now : datetime
        The artefact's date of creation, aware.

    Returns
    -------
    PulledModel
        Of a version named after the source and the digest of weights, words and labels, so that
        the same model is installed once.

    Raises
    ------
    DataError
        The source has no usable classifier, it does not tell good news from bad, or its export
        does not agree with it. What served goes on serving.
    HubUnreachable
        The hub gave no usable answer.
    ConfigurationError
        The store cannot be written to.
    """
    if from_directory is None:
        done = progress.phase(f"Fetching {source}")
        snapshot = download(source)
        directory, name, origin = snapshot.directory, source, f"{source}@{snapshot.commit}"
        done(1)
    else:
        directory, name = from_directory, from_directory.resolve().name
        origin = f"directory {name}"
    done = progress.phase("Loading the classifier")
    classifier = Classifier.load(directory)
    named = f"{_plain(name)}-{classifier.sha256()[:12]}"
    done(1)
    serving = version_in_use(models_dir, FAMILY)
    installed = not (models_dir / FAMILY / named).exists()
    if installed:
        files, figures = _checked(classifier, progress)
        install(
            models_dir,
            FAMILY,
            named,
            files,
            created_at=now,
            library_versions={library: version(library) for library in LIBRARIES},
            validation=figures,
            source=origin,
        )
        log.info("model.installed", family=FAMILY, version=named)
    artifact = _promoted(models_dir, named)
    promoted = serving != named
    if promoted:
        log.info("model.promoted", family=FAMILY, version=named)
    return PulledModel(artifact, artifact.manifest.validation, promoted, installed)


def _checked(
    classifier: Classifier, progress: Progress
) -> tuple[dict[str, bytes], dict[str, float]]:
    """Files of the smallest export that agrees with the original, and the figures of that."""
    theirs = classifier.probabilities(HEADLINES)
    told_apart = separation(theirs, LABELS)
    if not told_apart >= SEPARATION_FLOOR:
        raise DataError(
            f"the classifier does not tell good news from bad: it scores them {told_apart:.2f} "
            f"apart where {SEPARATION_FLOOR:g} is the least; are its labels in the right order?"
        )
    done = progress.phase("Exporting to ONNX")
    files, model = classifier.files(), exported(classifier)
    ours = served_probabilities({MODEL: model, **files}, HEADLINES)
    exact = agreement(ours, theirs).largest_difference
    if not exact <= FLOAT_DIFFERENCE_LIMIT:
        raise DataError(
            f"the export differs from the original by {exact:.2g} where rounding explains "
            f"{FLOAT_DIFFERENCE_LIMIT:g}; this kind of model cannot be served"
        )
    done(1)
    done = progress.phase("Quantising to int8")
    small = smallest_agreeing(files, model, HEADLINES, theirs)
    if not small.embeddings:
        progress.warn(
            "embeddings.kept",
            why="in int8 the embeddings spoil the scores: they stay float and take more memory",
        )
    done(1)
    figures = {key: float(value) for key, value in asdict(small.agreement).items()}
    return {MODEL: small.model, **files}, figures | {
        "float_largest_difference": exact,
        "separation": told_apart,
        "embeddings_int8": float(small.embeddings),
    }


def _plain(name: str) -> str:
    """Name of a source as part of a version's: no slash, nothing hidden, not too long."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-_")[:64] or "classifier"


def _promoted(models_dir: Path, named: str) -> Artifact:
    """Let it serve; a version that is there but damaged has to be removed by hand."""
    try:
        return promote(models_dir, FAMILY, named)
    except FileDataError as error:
        raise FileDataError(
            models_dir / FAMILY / named,
            "is installed already but damaged; remove the directory, then pull again",
        ) from error
