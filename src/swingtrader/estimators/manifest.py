"""What is written down about an installed version, beside its files.

A manifest is read strictly: one that is not wholly as this program writes it, keys of a later
release apart, is refused with its first fault and what to do about it.
"""

from __future__ import annotations

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


def manifest_bytes(manifest: Manifest) -> bytes:
    """Write a manifest as JSON that a person can read.

    Raises
    ------
    ValueError
        It could not be read back.
    """
    adapter = TypeAdapter(Manifest)
    content = adapter.dump_json(manifest, indent=2)
    adapter.validate_json(content, strict=True)
    return content


def read_manifest(directory: Path, family: str) -> Manifest:
    """Read the manifest of the version in `directory`.

    Raises
    ------
    FileDataError
        It is missing, malformed, or that of another version.
    """
    path = directory / MANIFEST
    try:
        manifest = TypeAdapter(Manifest).validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise unreadable(path, error, directory) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"{where}: {first['msg']}" if where else first["msg"]
        raise FileDataError(path, f"is not a manifest ({what}); {remedy(directory)}") from error
    if (manifest.family, manifest.version) != (family, directory.name):
        raise FileDataError(
            path,
            f"belongs to version {manifest.version} of {manifest.family}; {remedy(directory)}",
        )
    return manifest


def require_plain(name: str) -> None:
    """Raise ValueError where `name` could be anything but one visible component of a path."""
    if not is_plain(name):
        raise ValueError(f"{name!r} is not a plain name")


def is_plain(name: str) -> bool:
    """Whether a name is one visible component of a path."""
    return re.fullmatch(_PLAIN_NAME, name) is not None


def unreadable(path: Path, error: OSError, directory: Path) -> FileDataError:
    """Return what to raise for a file of the version in `directory` that cannot be read."""
    return FileDataError(path, f"cannot be read ({error.strerror}); {remedy(directory)}")


def remedy(directory: Path) -> str:
    """Say what to do about the version in `directory`."""
    family = directory.parent.name
    return f"install {family} version {directory.name} again, or {another(family)}"


def another(family: str) -> str:
    """Say how another version comes to serve."""
    return f"let another serve with swingtrader models promote {family} VERSION"
