"""The locks that keep two runs from acting on the same state, or training the same models.

They are advisory locks of the kernel (flock), so each ends with the process that holds it,
however that process ends; the file itself stays and means nothing.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from swingtrader.errors import ConfigurationError, LockHeld
from swingtrader.files import FILE_MODE, ensure_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK_NAME = "swingtrader.lock"
RETRAIN_LOCK_NAME = "retrain.lock"
"""Of its own: a retraining takes minutes, and nothing that trades may wait for it."""


@contextmanager
def state_lock(state_dir: Path, *, wait_seconds: float, name: str = LOCK_NAME) -> Iterator[None]:
    """Hold the lock of `state_dir` for the length of the block.

    Parameters
    ----------
    state_dir : Path
        Created if missing.
    wait_seconds : float
        How long to wait for another run; 0 tries once.
    name : str
        Of the lock's file; different names are different locks.

    Raises
    ------
    LockHeld
        Another run still held it after `wait_seconds`.
    ConfigurationError
        The lock file cannot be opened.
    ValueError
        `wait_seconds` is negative or not finite: the wait must be bounded.
    """
    if not (math.isfinite(wait_seconds) and wait_seconds >= 0):
        raise ValueError(f"wait_seconds must be finite and not negative, not {wait_seconds}")
    ensure_directory(state_dir)
    path = state_dir / name
    lock = FileLock(path, timeout=wait_seconds, mode=FILE_MODE)
    try:
        lock.acquire()
    except Timeout as error:
        raise LockHeld(path, wait_seconds) from error
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be locked ({error.strerror})") from error
    try:
        yield
    finally:
        lock.release()
