"""Reading the model store: what is installed, which version serves, and whether it is intact.

A version is a directory ``<models>/<family>/<version>/`` of plain files with a ``manifest.json``
that gives each file's SHA-256. The text file ``<models>/<family>/serving`` names the version in
use in its first line and, below it, those that served before: one file, so that one atomic
rename promotes or rolls back, and no link has to be followed. Should the version in use turn out
damaged, the next line that is intact serves, and it is said.

Only files the manifest lists are ever handed out, and only with the content it lists. The
digests guard against damage and half-finished copies; whoever can write to the store can also
write a manifest, so safety rests on the formats, none of which can carry code.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from swingtrader.errors import FileDataError
from swingtrader.estimators.manifest import (
    MANIFEST,
    another,
    is_plain,
    read_manifest,
    remedy,
    require_plain,
    unreadable,
)
from swingtrader.files import file_sha256

if TYPE_CHECKING:
    from pathlib import Path

    from swingtrader.estimators.manifest import Manifest

POINTER = "serving"

SERVED_KEPT = 3
"""Versions a pointer names: the one in use and two that served before it."""


@dataclass(frozen=True)
class Artifact:
    """One installed version of a model.

    Attributes
    ----------
    verified : bool
        Whether every file has been read through already, which is then not done again.
    """

    directory: Path
    manifest: Manifest
    verified: bool = field(default=False, compare=False)

    @property
    def version(self) -> str:
        """Name of the version."""
        return self.manifest.version

    def path(self, name: str) -> Path:
        """Path of a listed file, read through once to see that it is what was installed.

        Raises
        ------
        FileDataError
            The manifest does not list `name`, or the file is missing or altered.
        """
        path = self.directory / name
        expected = self.manifest.sha256.get(name)
        if expected is None:
            raise FileDataError(
                self.directory / MANIFEST, f"does not list {name}; {remedy(self.directory)}"
            )
        if self.verified:
            return path
        try:
            found = file_sha256(path)
        except OSError as error:
            raise unreadable(path, error, self.directory) from error
        if found != expected:
            raise FileDataError(
                path, f"is not the file that was installed (SHA-256); {remedy(self.directory)}"
            )
        return path

    def intact(self) -> Artifact:
        """Read every listed file through, and return the version as verified.

        Raises
        ------
        FileDataError
            A file is missing or altered.
        """
        for name in self.manifest.sha256:
            self.path(name)
        return replace(self, verified=True)


@dataclass(frozen=True)
class Serving:
    """What serves, and what a person should know about it.

    Attributes
    ----------
    artifact : Artifact or None
        Verified; None where nothing was ever promoted, and where nothing promoted is intact.
    doubts : tuple of str
        A sentence for each version that should serve before it and cannot: which file, what is
        wrong with it, what to do, and what serves until then.
    """

    artifact: Artifact | None
    doubts: tuple[str, ...] = ()


def serving(models_dir: Path, family: str) -> Serving:
    """Return the version of `family` that serves: the latest promoted one that is intact.

    Every file of it is read through. A damaged store is no error here: whoever asks must be able
    to go on, with the version before or with none.

    Parameters
    ----------
    models_dir : Path
        The model store, which need not exist.
    family : str
        Name of the family's directory.

    Raises
    ------
    ValueError
        `family` is not a plain name.
    """
    found: Artifact | None = None
    doubts = []
    try:
        for version in served_versions(models_dir, family):
            try:
                found = installed_artifact(models_dir, family, version).intact()
                break
            except FileDataError as error:
                doubts.append(str(error))
    except FileDataError as error:
        doubts.append(str(error))
    until_then = "none serves" if found is None else f"version {found.version} serves"
    return Serving(found, tuple(f"{doubt}; until then {until_then}" for doubt in doubts))


def served_versions(models_dir: Path, family: str) -> tuple[str, ...]:
    """Return what the pointer of `family` names: the version in use, then those before it.

    Parameters
    ----------
    models_dir : Path
        The model store, which need not exist.
    family : str

    Returns
    -------
    tuple of str
        Each once, newest first, `SERVED_KEPT` at most; empty when no pointer is there.

    Raises
    ------
    ValueError
        `family` is not a plain name.
    FileDataError
        The pointer cannot be read, or a line of it names no version.
    """
    require_plain(family)
    pointer = models_dir / family / POINTER
    try:
        text = pointer.read_bytes().decode("ascii", errors="replace")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise FileDataError(
            pointer, f"cannot be read ({error.strerror}); it must be a file naming a version"
        ) from error
    versions = [line.strip() for line in text.strip().split("\n")]
    if not all(map(is_plain, versions)):
        raise FileDataError(
            pointer,
            f"does not name a version; {another(family)}, or remove it to go on without this "
            "model",
        )
    return tuple(dict.fromkeys(versions))[:SERVED_KEPT]


def version_in_use(models_dir: Path, family: str) -> str | None:
    """Version that the pointer of `family` has first; None also where it cannot be read.

    Raises
    ------
    ValueError
        `family` is not a plain name.
    """
    try:
        return next(iter(served_versions(models_dir, family)), None)
    except FileDataError:
        return None


def serving_artifact(models_dir: Path, family: str) -> Artifact | None:
    """Return the version in use of `family` and no other; None when no pointer is there.

    Reads the pointer and the manifest; the files themselves are checked as they are asked for.

    Raises
    ------
    ValueError
        `family` is not a plain name.
    FileDataError
        The pointer does not name a version, or the version's manifest is missing or malformed.
    """
    versions = served_versions(models_dir, family)
    return installed_artifact(models_dir, family, versions[0]) if versions else None


def families(models_dir: Path) -> tuple[str, ...]:
    """Families of the store in alphabetical order: directories with a pointer or a version.

    Other directories, such as a cache, are none of them.
    """
    return tuple(
        path.name
        for path in _visible_directories(models_dir)
        if (path / POINTER).exists()
        or any((version / MANIFEST).exists() for version in _visible_directories(path))
    )


def version_names(models_dir: Path, family: str) -> tuple[str, ...]:
    """Versions of a family in alphabetical order, intact or not.

    Raises
    ------
    ValueError
        `family` is not a plain name.
    """
    require_plain(family)
    return tuple(path.name for path in _visible_directories(models_dir / family))


def installed_artifact(models_dir: Path, family: str, version: str) -> Artifact:
    """Return an installed version, whether or not it serves; only its manifest is read.

    Raises
    ------
    ValueError
        `family` or `version` is not a plain name.
    FileDataError
        There is no such version, or its manifest is malformed.
    """
    for name in (family, version):
        require_plain(name)
    directory = models_dir / family / version
    return Artifact(directory, read_manifest(directory, family))


def _visible_directories(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    return sorted(each for each in path.iterdir() if is_plain(each.name) and each.is_dir())
