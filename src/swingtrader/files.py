"""Files that are either complete or as they were before.

Content is written under a temporary name in the same file system and renamed into place. The
temporary name carries the writer's process id, so that what a killed run left behind is told
from what a running one is still writing, and swept.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import signal
import tempfile
import threading
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from swingtrader.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType, TracebackType

DIRECTORY_MODE = 0o750
FILE_MODE = 0o640

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


def ensure_directory(path: Path) -> None:
    """Create `path` and its parents where missing; a directory that exists keeps its mode.

    Raises
    ------
    ConfigurationError
        It is not a directory and cannot be made one.
    """
    try:
        path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be a directory ({error.strerror})") from error


def atomic_write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write `content` to `path` so that no reader ever sees a part of it.

    Parameters
    ----------
    path : Path
        Its directory must exist. The file gets mode 0640, less what the umask forbids.
    content : bytes
    durable : bool
        Whether the file must survive a power cut from here on. A cache need not, and is spared
        the wait for the disk.

    Raises
    ------
    ConfigurationError
        It cannot be written: permission, disk full. `path` is as it was.
    """
    temporary = temporary_sibling(path)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - Path.open takes no descriptor
                file.write(content)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if durable:
            sync_to_disk(path.parent)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written ({error.strerror})") from error


def temporary_sibling(path: Path) -> Path:
    """Unused name beside `path`, for what is to be renamed to it; `abandoned` finds it again."""
    return path.with_name(f"{_temporary_prefix(path.name)}{os.getpid()}-{_token()}")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, in lower-case hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_to_disk(path: Path) -> None:
    """Have the system write `path`, a file or a directory's entries, to the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def abandoned(directory: Path, name: str | None = None) -> tuple[Path, ...]:
    """Temporary files and directories in `directory` whose process is gone.

    Parameters
    ----------
    directory : Path
    name : str, optional
        Only those that were to become this name.

    Returns
    -------
    tuple of Path
        Our own process id counts as gone: in a container every run may have the same one.
        The caller asks before it writes anything itself.
    """
    prefix = r"\..+\.partial-" if name is None else re.escape(_temporary_prefix(name))
    pattern = re.compile(prefix + r"(?P<pid>\d+)-\w+")
    matches = ((path, pattern.fullmatch(path.name)) for path in sorted(directory.iterdir()))
    return tuple(path for path, match in matches if match and not _runs(int(match["pid"])))


@contextmanager
def interruptions_held_back() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait until the block has ended, then deliver them.

    Handlers are replaced rather than signals masked: a mask belongs to one thread, and the
    numerical libraries keep threads that would take the signal instead. Only the main thread
    may replace handlers; in any other a KeyboardInterrupt cannot arise.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []

    def hold(number: int, _frame: FrameType | None) -> None:
        held.append(number)

    def deliver() -> None:
        for number in held:
            signal.raise_signal(number)

    with ExitStack() as undo:
        undo.callback(deliver)
        for number in (signal.SIGINT, signal.SIGTERM):
            undo.callback(signal.signal, number, signal.signal(number, hold))
        yield


def unused_path(path: Path, endings: Sequence[str] = ("",)) -> Path:
    """`path`, or the first of path.1, path.2, ... to which no ending makes an existing name."""
    candidate, number = path, 0
    while any(os.path.lexists(f"{candidate}{ending}") for ending in endings):
        number += 1
        candidate = path.with_name(f"{path.name}.{number}")
    return candidate


class OutputDirectory:
    """A set of files that appears in `path` as a whole, or not at all.

    Entering gives a hidden temporary directory to write into. On success its files are synced
    and renamed into `path`; files in `path` that this run did not write are left alone. On any
    exception the temporary directory is removed and `path` is as it was. Before any of that,
    what killed runs left beside `path` is swept: one process at a time may write to one `path`.

    The temporary directory lies beside `path`, or within it where only that works: a directory
    mounted on its own cannot be renamed into from outside.

    Parameters
    ----------
    path : Path
        Made, with its parents, where missing.

    Raises
    ------
    ConfigurationError
        On entering: `path` is no directory or cannot be written to. On leaving: the disk is
        full, or a file could not be renamed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._created_parents: list[Path] = []
        self._temporary: Path

    def __enter__(self) -> Path:
        try:
            self._temporary = self._prepared()
        except OSError as error:
            self._remove_created_parents()
            raise ConfigurationError(
                f"{self.path}: cannot be written to ({error.strerror})"
            ) from error
        return self._temporary

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        published = False
        try:
            if kind is None:
                self._publish(self._temporary)
                published = True
        except OSError as failure:
            raise ConfigurationError(
                f"{self.path}: results could not be put in place ({failure.strerror})"
            ) from failure
        finally:
            if not published:
                self._discard(self._temporary)
        if isinstance(error, OSError) and error.errno in _NO_SPACE:
            raise ConfigurationError(
                f"{self.path}: cannot be written to ({error.strerror})"
            ) from error

    def _prepared(self) -> Path:
        if self.path.exists() and not self.path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        parents = [parent for parent in self.path.parents if not parent.exists()]
        for parent in reversed(parents):
            parent.mkdir()
            self._created_parents.append(parent)
        if not self.path.is_dir():
            return self._temporary_directory(self.path.parent)
        try:
            return self._rehearsed(self._temporary_directory(self.path.parent))
        except OSError:
            return self._rehearsed(self._temporary_directory(self.path))

    def _temporary_directory(self, home: Path) -> Path:
        for leftover in abandoned(home, self.path.name):
            shutil.rmtree(leftover, ignore_errors=True)  # another user's is theirs to remove
        prefix = f"{_temporary_prefix(self.path.name)}{os.getpid()}-"
        return Path(tempfile.mkdtemp(prefix=prefix, dir=home))

    def _rehearsed(self, temporary: Path) -> Path:
        """Go through the final rename now, hours before it is needed."""
        try:
            probe = temporary / f".probe-{_token()}"
            probe.touch()
            probe.replace(self.path / probe.name)
            (self.path / probe.name).unlink()
        except BaseException:
            shutil.rmtree(temporary)
            raise
        return temporary

    def _publish(self, temporary: Path) -> None:
        finished = sorted(file for file in temporary.rglob("*") if file.is_file())
        for file in finished:
            sync_to_disk(file)
        with interruptions_held_back():
            directories = {self.path}
            self.path.mkdir(exist_ok=True)
            for file in finished:
                target = self.path / file.relative_to(temporary)
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)
                directories.add(target.parent)
            for directory in directories:
                sync_to_disk(directory)
            shutil.rmtree(temporary)

    def _discard(self, temporary: Path) -> None:
        with interruptions_held_back():
            # A failure to clean up must not hide why we do; the next run sweeps what remains.
            shutil.rmtree(temporary, ignore_errors=True)
            self._remove_created_parents()

    def _remove_created_parents(self) -> None:
        for parent in reversed(self._created_parents):
            with suppress(OSError):  # somebody else has put something there meanwhile
                parent.rmdir()


def _temporary_prefix(name: str) -> str:
    return f".{name}.partial-"


def _token() -> str:
    return secrets.token_hex(4)


def _runs(pid: int) -> bool:
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True
