"""A trained model that wants to serve: its files, and what the comparison said of it.

Candidates are kept in memory until all of a run are judged. Then each is installed, and those
that are not worse than what serves are promoted, by one rename each. A run that is killed before
that has changed nothing.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from swingtrader.adapters.model_cache import fingerprint
from swingtrader.commands.served import note_served
from swingtrader.core.challenge import Verdict
from swingtrader.errors import ConfigurationError, FileDataError
from swingtrader.estimators.artifact import installed_artifact
from swingtrader.estimators.installation import install, promote, prune

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime
    from pathlib import Path

    from swingtrader.adapters.store import Store
    from swingtrader.estimators.artifact import Artifact

_log = structlog.get_logger()


@dataclass(frozen=True, eq=False)
class Candidate:
    """One trained model.

    Attributes
    ----------
    day : date
        What it knows of, or was made for; begins the version's name.
    files : mapping of file name to content
    verdict : Verdict
        Of the comparison with the serving model.
    figures : mapping
        Of the training, for the manifest, beside the verdict's.
    """

    family: str
    day: date
    files: Mapping[str, bytes]
    verdict: Verdict
    training_sessions: tuple[date, date]
    library_versions: Mapping[str, str]
    data_sha256: str
    seed: int
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Name of the version: the day, and a digest of the files, so that no other has it."""
        content = (part for name in sorted(self.files) for part in (name, self.files[name]))
        return f"{self.day:%Y%m%d}-{fingerprint(*content)[:8]}"

    @property
    def validation(self) -> dict[str, float]:
        """Figures of training and comparison."""
        return {**self.figures, **self.verdict.figures}


def unjudged(*, has_champion: bool) -> Verdict:
    """Verdict where history is too short to hold sessions back from a challenger."""
    why = "history is too short to hold sessions back for a comparison"
    if has_champion:
        return Verdict(promoted=False, sentence=f"{why}: what serves goes on serving", figures={})
    return Verdict(promoted=True, sentence=f"{why}, and nothing is there to beat", figures={})


def settle(
    models_dir: Path, candidate: Candidate, store: Store | None, *, created_at: datetime
) -> Artifact:
    """Install a candidate, let it serve if its verdict allows, and drop what is old.

    Parameters
    ----------
    store : Store, optional
        Where the serving version is noted for `status`.
    created_at : datetime
        Aware; of the manifest.

    Raises
    ------
    ConfigurationError
        The model store cannot be written to; what served goes on serving.
    """
    artifact = _installed(models_dir, candidate, created_at)
    if candidate.verdict.promoted:
        promote(models_dir, candidate.family, candidate.version)
        if store is not None:
            note_served(store, artifact, created_at)
    _log.info(
        "model.promoted" if candidate.verdict.promoted else "model.refused",
        family=candidate.family,
        version=candidate.version,
        why=candidate.verdict.sentence,
    )
    prune(models_dir, candidate.family)
    return artifact


def _installed(models_dir: Path, candidate: Candidate, created_at: datetime) -> Artifact:
    """The candidate in the store: as an earlier run left it there intact, or put there now."""
    directory = models_dir / candidate.family / candidate.version
    try:
        return installed_artifact(models_dir, candidate.family, candidate.version).intact()
    except FileDataError as error:
        if directory.exists():
            # It has its name from its files, so what is put there is what was there.
            _log.warning("model.replaced", family=candidate.family, why=str(error))
            shutil.rmtree(directory, ignore_errors=True)  # or the installation says what is wrong
    try:
        return install(
            models_dir,
            candidate.family,
            candidate.version,
            candidate.files,
            created_at=created_at,
            library_versions=candidate.library_versions,
            validation=candidate.validation,
            training_sessions=candidate.training_sessions,
            data_sha256=candidate.data_sha256,
            seed=candidate.seed,
        )
    except ConfigurationError:
        if not directory.exists():
            raise
        # `regime` and `retrain` may come to the same model at the same time.
        return installed_artifact(models_dir, candidate.family, candidate.version).intact()
