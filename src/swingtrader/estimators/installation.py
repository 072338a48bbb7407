"""Putting models into the store: a version appears as a whole, and serves from one rename on.

A version is written under a hidden name beside its place, synced, and renamed into it; the
pointer that says which version serves is replaced in the same way. So a run that is killed, or a
machine that loses power, leaves the store as it was or as it was to become. What killed runs left
behind is swept by the next one: a hidden name carries its writer's process id.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from swingtrader.errors import ConfigurationError
from swingtrader.estimators.artifact import (
    MANIFEST,
    POINTER,
    Artifact,
    Manifest,
    installed_artifact,
    require_plain,
)
from swingtrader.files import (
    DIRECTORY_MODE,
    FILE_MODE,
    abandoned,
    atomic_write_bytes,
    sync_to_disk,
    temporary_sibling,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date, datetime
    from pathlib import Path


def install(  # noqa: PLR0913 - one argument an entry of the manifest
    models_dir: Path,
    family: str,
    version: str,
    files: Mapping[str, bytes],
    *,
    created_at: datetime,
    library_versions: Mapping[str, str],
    validation: Mapping[str, float],
    training_sessions: tuple[date, date] | None = None,
    data_sha256: str | None = None,
    seed: int | None = None,
    source: str | None = None,
) -> Artifact:
    """Write a new version, which does not serve before `promote`.

    Parameters
    ----------
    models_dir : Path
        The model store, made where missing.
    files : mapping of file name to content
    created_at, library_versions, validation, training_sessions, data_sha256, seed, source
        As in `Manifest`.

    Raises
    ------
    ConfigurationError
        The version is installed already, or cannot be written; the store is as it was.
    ValueError
        A name is not plain, or the manifest would not be readable.
    """
    for name in (family, version, *files):
        require_plain(name)
    if MANIFEST in files:
        raise ValueError(f"{MANIFEST} is written by the installation itself")
    manifest = TypeAdapter(Manifest).dump_json(
        Manifest(
            family=family,
            version=version,
            created_at=created_at,
            sha256={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
            library_versions=library_versions,
            validation=validation,
            training_sessions=training_sessions,
            source=source,
            data_sha256=data_sha256,
            seed=seed,
        ),
        indent=2,
    )
    TypeAdapter(Manifest).validate_json(manifest, strict=True)
    directory = models_dir / family / version
    with _writing(directory):
        _make_directory(directory.parent)
        _sweep(directory.parent)
        # A rename would replace an empty directory without a word.
        if os.path.lexists(directory):
            raise ConfigurationError(
                f"{directory}: is installed already; remove it first to install it anew"
            )
        unfinished = temporary_sibling(directory)
        try:
            unfinished.mkdir(DIRECTORY_MODE)
            for name, content in {**files, MANIFEST: manifest}.items():
                _write(unfinished / name, content)
            sync_to_disk(unfinished)
            unfinished.rename(directory)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)  # renamed, or never to be
        sync_to_disk(directory.parent)
    return installed_artifact(models_dir, family, version)


def promote(models_dir: Path, family: str, version: str) -> Artifact:
    """Let an installed version serve from now on, once it has proved intact.

    Raises
    ------
    FileDataError
        The version is not installed, or damaged; what served goes on serving.
    ConfigurationError
        The pointer cannot be written.
    ValueError
        A name is not plain.
    """
    artifact = installed_artifact(models_dir, family, version)
    for name in artifact.manifest.sha256:
        artifact.path(name)
    atomic_write_bytes(models_dir / family / POINTER, f"{version}\n".encode())
    return artifact


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written ({error.strerror})") from error


def _make_directory(path: Path) -> None:
    """Make `path` and its parents; each that is new survives a power cut."""
    for directory in (*reversed(path.parents), path):
        if not directory.is_dir():
            directory.mkdir(DIRECTORY_MODE, exist_ok=True)
            sync_to_disk(directory.parent)


def _write(path: Path, content: bytes) -> None:
    path.touch(FILE_MODE, exist_ok=False)
    path.write_bytes(content)
    sync_to_disk(path)


def _sweep(family: Path) -> None:
    """Remove what runs that no longer live left unfinished."""
    for path in abandoned(family):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)  # another user's is theirs to remove
        else:
            path.unlink(missing_ok=True)
