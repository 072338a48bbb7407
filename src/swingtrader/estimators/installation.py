"""Putting models into the store, and taking them out: each step is one rename.

A version is written under a hidden name beside its place, synced, and renamed into it; the
pointer that says which version serves is replaced in the same way; and a version that goes is
first renamed to a hidden name. So a run that is killed, or a machine that loses power, leaves the
store as it was or as it was to become. What killed runs left behind is swept by the next one: a
hidden name carries its writer's process id.

Writers of one family take turns, by the kernel's lock on its directory: nothing is pruned that is
being promoted. Readers need no turn: what they have open stays readable, and no version goes that
the pointer names.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from swingtrader.errors import ConfigurationError, FileDataError, UsageError
from swingtrader.estimators.artifact import (
    POINTER,
    SERVED_KEPT,
    Artifact,
    installed_artifact,
    served_versions,
    version_names,
)
from swingtrader.estimators.manifest import MANIFEST, Manifest, manifest_bytes, require_plain
from swingtrader.files import (
    DIRECTORY_MODE,
    FILE_MODE,
    abandoned,
    atomic_write_bytes,
    sync_to_disk,
    temporary_sibling,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date, datetime
    from pathlib import Path

RECENT_KEPT = 2
"""Versions, counted from the newest, that are kept whether or not they ever served."""


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
    manifest = manifest_bytes(
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
        )
    )
    directory = models_dir / family / version
    with _writing(directory):
        _make_directory(directory.parent)
        with _one_writer(directory.parent):
            _put(directory, {**files, MANIFEST: manifest})
    return installed_artifact(models_dir, family, version)


def promote(models_dir: Path, family: str, version: str) -> Artifact:
    """Let an installed version serve from now on, once it has proved intact.

    What served before is remembered for `rollback`.

    Raises
    ------
    FileDataError
        The version is not installed, or damaged; what served goes on serving.
    ConfigurationError
        The pointer cannot be written.
    ValueError
        A name is not plain.
    """
    installed_artifact(models_dir, family, version)  # or there is no directory to lock
    with _one_writer(models_dir / family):
        artifact = installed_artifact(models_dir, family, version).intact()
        try:
            before = served_versions(models_dir, family)
        except FileDataError:  # a pointer that says nothing is what a promotion mends
            before = ()
        others = [each for each in before if each != version]
        _point(models_dir / family, [version, *others][:SERVED_KEPT])
    return artifact


def rollback(models_dir: Path, family: str) -> Artifact:
    """Let the version serve again that served before, once it has proved intact.

    Returns
    -------
    Artifact
        What serves now. The version it takes over from is forgotten by the pointer, and stays
        installed.

    Raises
    ------
    UsageError
        Nothing served before.
    FileDataError
        The pointer is damaged, or the version before is; what served goes on serving.
    ConfigurationError
        The pointer cannot be written.
    ValueError
        `family` is not a plain name.
    """
    if not served_versions(models_dir, family):
        raise UsageError(f"no {family} serves; there is nothing to roll back")
    with _one_writer(models_dir / family):
        current, *before = served_versions(models_dir, family)
        if not before:
            raise UsageError(
                f"no {family} served before version {current}; let another installed one serve "
                f"with swingtrader models promote {family} VERSION"
            )
        artifact = installed_artifact(models_dir, family, before[0]).intact()
        _point(models_dir / family, before)
    return artifact


def installed(models_dir: Path, family: str) -> tuple[Artifact, ...]:
    """Versions of a family that have a sound manifest, the newest first; files are not read.

    Raises
    ------
    ValueError
        `family` is not a plain name.
    """
    found = []
    for version in version_names(models_dir, family):
        try:
            found.append(installed_artifact(models_dir, family, version))
        except FileDataError:  # `version_names` has it, for whoever wants to tell of it
            continue
    return tuple(sorted(found, key=lambda each: (each.manifest.created_at, each.version)))[::-1]


def prune(models_dir: Path, family: str, keep: int = RECENT_KEPT) -> tuple[str, ...]:
    """Remove versions that neither serve, nor served shortly before, nor are among the newest.

    A directory without a sound manifest is left to a person: this program never makes one, so
    either somebody is still copying it or it is the evidence of a failing disk.

    Parameters
    ----------
    keep : int
        How many of the newest stay whatever the pointer says.

    Returns
    -------
    tuple of str
        Versions removed.

    Raises
    ------
    FileDataError
        The pointer is damaged: what serves is not known, so nothing is removed.
    ConfigurationError
        A version cannot be removed.
    ValueError
        `family` is not a plain name, or `keep` is negative.
    """
    if keep < 0:
        raise ValueError(f"keep must not be negative, not {keep}")
    if not version_names(models_dir, family):
        return ()
    with _one_writer(models_dir / family), _writing(models_dir / family):
        _sweep(models_dir / family)
        served = served_versions(models_dir, family)
        going = [
            artifact
            for artifact in installed(models_dir, family)[keep:]
            if artifact.version not in served
        ]
        for artifact in going:
            hidden = temporary_sibling(artifact.directory)
            artifact.directory.rename(hidden)
            shutil.rmtree(hidden, ignore_errors=True)  # what is left of it is swept next time
        sync_to_disk(models_dir / family)
    return tuple(artifact.version for artifact in going)


@contextmanager
def _one_writer(family: Path) -> Iterator[None]:
    """Wait for whoever else is writing to this family; a lock ends with its process."""
    with _writing(family):
        descriptor = os.open(family, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _point(family: Path, versions: Sequence[str]) -> None:
    atomic_write_bytes(family / POINTER, "".join(f"{each}\n" for each in versions).encode())


def _put(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write a version under a hidden name and rename it into place."""
    _sweep(directory.parent)
    # A rename would replace an empty directory without a word.
    if os.path.lexists(directory):
        raise ConfigurationError(
            f"{directory}: is installed already; remove it first to install it anew"
        )
    unfinished = temporary_sibling(directory)
    try:
        unfinished.mkdir(DIRECTORY_MODE)
        for name, content in files.items():
            _write(unfinished / name, content)
        sync_to_disk(unfinished)
        unfinished.rename(directory)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)  # renamed, or never to be
    sync_to_disk(directory.parent)


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
