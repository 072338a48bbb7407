"""Trained models kept between backtests, so that the second run need not fit them again.

One flat directory: a weekly refit over a decade is some five hundred files. Each file ends with
a digest of its key and content, so one that was cut short, altered or renamed is found out and
forgotten; whatever is lost is only fitted again, hence nothing is synced to the disk. The digest
comes last because numpy still opens an ``.npz`` with something appended.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from swingtrader.errors import ConfigurationError
from swingtrader.files import abandoned, atomic_write_bytes, ensure_directory

if TYPE_CHECKING:
    from pathlib import Path

_SUFFIX = ".npz"
_DIGEST_BYTES = hashlib.sha256().digest_size
_KEY = re.compile(r"[0-9a-f]{1,128}")


def fingerprint(*parts: bytes | str) -> str:
    """SHA-256 over `parts`, in lower-case hexadecimal.

    Each part is preceded by its length, so ("ab", "c") and ("a", "bc") differ. Text counts as
    its UTF-8 bytes.
    """
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.hexdigest()


class ModelCache:
    """Bytes by key in `directory`, which is made on the first `put`.

    Several processes may share it: a file is replaced as a whole, and two that write one key
    write the same model.

    Attributes
    ----------
    damaged : int
        Files that `get` found damaged and removed, for the caller to warn about.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.damaged = 0

    def get(self, key: str) -> bytes | None:
        """Return the content under `key`, None if there is none or it was damaged.

        Raises
        ------
        ConfigurationError
            The file is there but cannot be read, or is damaged and cannot be removed.
        ValueError
            `key` is not lower-case hexadecimal of 1 to 128 digits.
        """
        path = self._path(key)
        try:
            stored = path.read_bytes()
            content, digest = stored[:-_DIGEST_BYTES], stored[-_DIGEST_BYTES:]
            if digest != _digest(key, content):
                self.damaged += 1
                path.unlink(missing_ok=True)
                return None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from error
        with suppress(OSError):  # a shared cache may be read-only: only pruning's order suffers
            os.utime(path)
        return content

    def put(self, key: str, content: bytes) -> None:
        """Keep `content` under `key`, in place of what was there.

        Raises
        ------
        ConfigurationError
            The directory cannot be written to, or the disk is full.
        ValueError
            `key` is not lower-case hexadecimal of 1 to 128 digits.
        """
        path = self._path(key)
        ensure_directory(self.directory)
        atomic_write_bytes(path, content + _digest(key, content), durable=False)

    def prune(self, max_files: int) -> int:
        """Drop the least recently used files beyond `max_files`; return how many.

        Unfinished files of killed runs go too, uncounted.

        Raises
        ------
        ConfigurationError
            A file cannot be removed.
        ValueError
            `max_files` is negative.
        """
        if max_files < 0:
            raise ValueError(f"max_files must not be negative, not {max_files}")
        if not self.directory.is_dir():
            return 0
        try:
            for leftover in abandoned(self.directory):
                leftover.unlink(missing_ok=True)
            excess = self._oldest_last()[max_files:]
            for path in excess:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"{self.directory}: cannot be pruned ({error.strerror})"
            ) from error
        return len(excess)

    def _oldest_last(self) -> list[Path]:
        used: list[tuple[int, Path]] = []
        for path in self.directory.glob(f"[!.]*{_SUFFIX}"):
            with suppress(FileNotFoundError):  # another run has pruned it meanwhile
                used.append((path.stat().st_mtime_ns, path))
        return [path for _, path in sorted(used, reverse=True)]

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is not lower-case hexadecimal of 1 to 128 digits")
        return self.directory / f"{key}{_SUFFIX}"


def _digest(key: str, content: bytes) -> bytes:
    return bytes.fromhex(fingerprint(key, content))
