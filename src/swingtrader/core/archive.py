"""Arrays as bytes: a NumPy archive with a format version, in which nothing can execute.

The same arrays give the same bytes: NumPy stamps every member 1980-01-01, so no clock enters.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_DAMAGE = (OSError, EOFError, KeyError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error)
"""What zipfile and numpy raise, depending on where the damage is."""


def archived(version: int, arrays: Mapping[str, Any], *, compressed: bool = False) -> bytes:
    """Pack arrays and scalars under their names, with the version of their format."""
    buffer = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    save(buffer, allow_pickle=False, format_version=np.int64(version), **arrays)
    return buffer.getvalue()


def unarchived(
    what: str, version: int, names: Sequence[str], content: bytes
) -> dict[str, NDArray[Any]]:
    """Arrays of those `names` that `archived` packed.

    Parameters
    ----------
    what : str
        What the bytes should be, for the error.

    Raises
    ------
    ValueError
        The bytes are damaged, of another version, or lack one of the names.
    """
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise ValueError(f"not a {what}: no .npz archive")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            found = archive["format_version"]
            # Before the rest: another version may hold what this one cannot read.
            if found == version:
                return {name: archive[name] for name in names}
    except _DAMAGE as error:
        raise ValueError(f"not a {what}: {error}") from error
    raise ValueError(f"{what} has format {found}, this program reads {version}")
