"""Reading the model store: what is installed, which version serves, and whether it is intact.

A version is a directory ``<models>/<family>/<version>/`` of plain files with a ``manifest.json``
that gives each file's SHA-256. The version in use is the one named in the text file
``<models>/<family>/serving``, so one atomic rename changes it and no link has to be followed.

Only files the manifest lists are ever handed out, and only with the content it lists. The
digests guard against damage and half-finished copies; whoever can write to the store can also
write a manifest, so safety rests on the formats, none of which can carry code.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import AwareDatetime, Field, FiniteFloat, TypeAdapter, ValidationError

from swingtrader.errors import FileDataError

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = "manifest.json"
POINTER = "serving"

_PLAIN_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"  # one path component, never hidden, no ".."
Name: TypeAlias = Annotated[str, Field(pattern=_PLAIN_NAME)]
Sha256: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Instant: TypeAlias = AwareDatetime
SessionSpan: TypeAlias = tuple[date, date]
Versions: TypeAlias = Mapping[str, str]
Figures: TypeAlias = Mapping[str, FiniteFloat]
Digests: TypeAlias = Mapping[Name, Sha256]


@dataclass(frozen=True)
class Manifest:
    """The content of ``manifest.json``; keys not named here are ignored.

    Attributes
    ----------
    created_at : aware datetime
    sha256 : mapping of file name to hexadecimal digest
        Every file of the artefact but the manifest itself.
    library_versions : mapping of distribution name to version
    validation : mapping of figure to value
        What the version was judged by before it was installed.
    training_sessions : pair of dates, optional
        First and last session trained on; absent for a model trained elsewhere.
    source : str, optional
        Where a model trained elsewhere comes from.
    data_sha256 : str, optional
        Digest of the bars trained on.
    seed : int, optional
    """

    family: Name
    version: Name
    created_at: Instant
    sha256: Digests
    library_versions: Versions
    validation: Figures
    training_sessions: SessionSpan | None = None
    source: str | None = None
    data_sha256: Sha256 | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Artifact:
    """One installed version of a model."""

    directory: Path
    manifest: Manifest

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
                self.directory / MANIFEST, f"does not list {name}; {_remedy(self.directory)}"
            )
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise _unreadable(path, error, self.directory) from error
        if found != expected:
            raise FileDataError(
                path, f"is not the file that was installed (SHA-256); {_remedy(self.directory)}"
            )
        return path


def serving_artifact(models_dir: Path, family: str) -> Artifact | None:
    """Return the serving version of `family`; None when no pointer is there.

    Reads the pointer and the manifest; the files themselves are checked as they are asked for.

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
    FileDataError
        The pointer does not name a version, or the version's manifest is missing or malformed.
    """
    require_plain(family)
    pointer = models_dir / family / POINTER
    try:
        version = pointer.read_bytes().decode("ascii", errors="replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileDataError(
            pointer, f"cannot be read ({error.strerror}); it must be a file naming a version"
        ) from error
    if not _is_plain(version):
        raise FileDataError(
            pointer,
            "does not name a version; write the name of an installed one into it, "
            "or remove it to go on without this model",
        )
    return installed_artifact(models_dir, family, version)


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
    return Artifact(directory, _manifest(directory, family))


def require_plain(name: str) -> None:
    """Raise ValueError where `name` could be anything but one visible component of a path."""
    if not _is_plain(name):
        raise ValueError(f"{name!r} is not a plain name")


def _manifest(directory: Path, family: str) -> Manifest:
    path = directory / MANIFEST
    try:
        manifest = TypeAdapter(Manifest).validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise _unreadable(path, error, directory) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"{where}: {first['msg']}" if where else first["msg"]
        raise FileDataError(path, f"is not a manifest ({what}); {_remedy(directory)}") from error
    if (manifest.family, manifest.version) != (family, directory.name):
        raise FileDataError(
            path,
            f"belongs to version {manifest.version} of {manifest.family}; {_remedy(directory)}",
        )
    return manifest


def _is_plain(name: str) -> bool:
    return re.fullmatch(_PLAIN_NAME, name) is not None


def _unreadable(path: Path, error: OSError, directory: Path) -> FileDataError:
    return FileDataError(path, f"cannot be read ({error.strerror}); {_remedy(directory)}")


def _remedy(directory: Path) -> str:
    return (
        f"install {directory.parent.name} version {directory.name} again, "
        f"or name another version in {directory.parent / POINTER}"
    )
