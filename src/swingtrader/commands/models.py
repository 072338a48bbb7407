"""``swingtrader models``: what is installed, what serves, and changing that by hand.

Offline, so by the local clock. A promotion is the pointer's: that the store notes it as well, for
`status`, comes second, and a run that dies in between is put right by the next `decide`.
"""

from __future__ import annotations

import difflib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog

from swingtrader.commands.served import note_served
from swingtrader.errors import FileDataError, UsageError
from swingtrader.estimators import installation
from swingtrader.estimators.artifact import (
    families,
    installed_artifact,
    served_versions,
    serving,
    version_in_use,
    version_names,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from swingtrader.adapters.store import Store
    from swingtrader.commands.backtest_inputs import Progress
    from swingtrader.estimators.artifact import Artifact

SERVING = "serving"
SERVED = "served before"
PROMOTED = "promoted"
"""It should serve, and cannot."""
INSTALLED = "installed"

_BYTES_PER_MB = 1e6

_log = structlog.get_logger()


def models_report(models_dir: Path, *, asof: datetime) -> dict[str, Any]:
    """Gather the object of ``models list --json``; every file of every version is read through.

    Parameters
    ----------
    models_dir : Path
        The model store, which need not exist.
    asof : datetime
        Aware; what ages are counted to.

    Returns
    -------
    dict
        Families in alphabetical order; of each the versions that serve or served, then the
        others, the newest first. What a damaged manifest does not say is None.
    """
    warnings: list[str] = []
    rows: list[dict[str, Any]] = []
    for family in families(models_dir):
        found = serving(models_dir, family)
        warnings.extend(found.doubts)
        serves = None if found.artifact is None else found.artifact.version
        try:
            pointed = served_versions(models_dir, family)
        except FileDataError:  # told among the doubts
            pointed = ()
        rows.extend(
            _row(models_dir, family, version, _state(version, serves, pointed), asof)
            for version in _in_order(models_dir, family, pointed)
        )
    return {
        "command": "models list",
        "path": str(models_dir),
        "models": rows,
        "warnings": warnings,
    }


def promote_model(
    models_dir: Path, store: Store, family: str, version: str, *, now: datetime
) -> dict[str, Any]:
    """Let an installed version serve from now on; return the object of ``--json``.

    Raises
    ------
    UsageError
        There is no such family or version.
    FileDataError
        The version is damaged; what served goes on serving.
    ConfigurationError
        The model store or the state cannot be written to.
    """
    _require_known("family", family, families(models_dir), models_dir)
    known = version_names(models_dir, family)
    _require_known(f"version of {family}", version, known, models_dir / family)
    before = version_in_use(models_dir, family)
    artifact = installation.promote(models_dir, family, version)
    note_served(store, artifact, now)
    _log.info("model.promoted", family=family, version=version, before=before)
    return _told("models promote", artifact, before)


def roll_back_model(
    models_dir: Path, store: Store, family: str, *, now: datetime
) -> dict[str, Any]:
    """Let the version serve again that served before; return the object of ``--json``.

    Raises
    ------
    UsageError
        There is no such family, or nothing of it served before.
    FileDataError
        The version before is damaged; what served goes on serving.
    ConfigurationError
        The model store or the state cannot be written to.
    """
    _require_known("family", family, families(models_dir), models_dir)
    before = version_in_use(models_dir, family)
    artifact = installation.rollback(models_dir, family)
    note_served(store, artifact, now)
    _log.info("model.rolled_back", family=family, version=artifact.version, before=before)
    return _told("models rollback", artifact, before)


def pull_sentiment_model(
    models_dir: Path,
    store: Store,
    *,
    source: str,
    from_directory: Path | None,
    now: datetime,
    progress: Progress,
) -> dict[str, Any]:
    """Fetch, convert and check FinBERT; return the object of ``--json``.

    Raises
    ------
    DataError
        The source has no usable classifier, or its export does not agree with it; what served
        goes on serving.
    HubUnreachable
        The hub gave no usable answer.
    ConfigurationError
        The model store or the state cannot be written to.
    """
    from swingtrader.commands.finbert_pull import pull_finbert  # noqa: PLC0415 - torch
    from swingtrader.commands.news_sentiment import FAMILY  # noqa: PLC0415 - numpy

    before = version_in_use(models_dir, FAMILY)
    pulled = pull_finbert(
        models_dir, source=source, from_directory=from_directory, now=now, progress=progress
    )
    artifact = pulled.artifact
    note_served(store, artifact, now)
    pruned = installation.prune(models_dir, artifact.manifest.family)
    return {
        **_told("models pull-finbert", artifact, before),
        "installed": pulled.installed,
        "promoted": pulled.promoted,
        "pruned": list(pruned),
    }


def _row(
    models_dir: Path, family: str, version: str, state: str, asof: datetime
) -> dict[str, Any]:
    directory = models_dir / family / version
    size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    row: dict[str, Any] = {
        "family": family,
        "version": version,
        "state": state,
        "created_at": None,
        "age_days": None,
        "training_sessions": None,
        "validation": {},
        "source": None,
        "size_mb": round(size / _BYTES_PER_MB, 1),
        "damage": None,
    }
    try:
        artifact = installed_artifact(models_dir, family, version)
        row |= _facts(artifact, asof)
        artifact.intact()
    except FileDataError as error:
        row["damage"] = f"{error.path.name}: {error.what}"
    return row


def _facts(artifact: Artifact, asof: datetime) -> dict[str, Any]:
    manifest = artifact.manifest
    trained_on = manifest.training_sessions
    return {
        "created_at": manifest.created_at.isoformat(),
        "age_days": round((asof - manifest.created_at) / timedelta(days=1), 1),
        "training_sessions": trained_on and [session.isoformat() for session in trained_on],
        "validation": dict(manifest.validation),
        "source": manifest.source,
    }


def _in_order(models_dir: Path, family: str, pointed: Sequence[str]) -> Iterator[str]:
    """Versions that are there: as the pointer has them, by age, and those that nobody can date."""
    there = version_names(models_dir, family)
    dated = [artifact.version for artifact in installation.installed(models_dir, family)]
    return iter(dict.fromkeys(each for each in (*pointed, *dated, *there) if each in there))


def _state(version: str, serves: str | None, pointed: Sequence[str]) -> str:
    if version == serves:
        return SERVING
    if version not in pointed:
        return INSTALLED
    above = serves is None or pointed.index(version) < pointed.index(serves)
    return PROMOTED if above else SERVED


def _require_known(what: str, name: str, known: Sequence[str], place: Path) -> None:
    if name in known:
        return
    if not known:
        raise UsageError(
            f"nothing is installed in {place}; swingtrader retrain trains models, and "
            "swingtrader models pull-finbert fetches the one that reads headlines"
        )
    (nearest,) = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    raise UsageError(f"unknown {what}: {name!r}; the nearest is {nearest!r}")


def _told(command: str, artifact: Artifact, before: str | None) -> dict[str, Any]:
    manifest = artifact.manifest
    return {
        "command": command,
        "family": manifest.family,
        "version": manifest.version,
        "before": before,
        "created_at": manifest.created_at.isoformat(),
        "validation": dict(manifest.validation),
        "warnings": [],
    }
