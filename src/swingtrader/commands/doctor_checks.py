"""The doctor's checks of directories, disk, database and lock, and how a check becomes a finding.

Nothing here needs a network or keys, and nothing is changed unless told to mend. Opening an
existing store is the exception: it is opened as every run opens it, which brings an old schema up
to date and moves a damaged database aside. One that does not exist is left to the first run.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, TypeVar

from swingtrader.adapters.lock import LOCK_NAME, state_lock
from swingtrader.adapters.migrations import MIGRATIONS
from swingtrader.adapters.store import STORE_NAME, Store
from swingtrader.core.schedule import JOBS
from swingtrader.errors import LockHeld, SwingtraderError
from swingtrader.files import ensure_directory
from swingtrader.reports.doctor_screen import Finding, State
from swingtrader.reports.screen_text import ago

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from swingtrader.environment import Places

MEGABYTE, GIGABYTE = 10**6, 10**9

LEAST_FREE_BYTES = 200 * MEGABYTE
SHORT_OF_BYTES = GIGABYTE
"""A migration copies the database, and training writes a model beside the one that serves."""

FIX = "swingtrader doctor --fix"
OWN = "have it belong to the user that swingtrader runs as"

_PERMISSIONS = "permissions"
_COMPANIONS = ("-wal", "-shm", "-journal")
_WORST_FIRST = (State.PROBLEM, State.WARNING, State.OK)

AnyT = TypeVar("AnyT")


def attempt(ask: Callable[[], AnyT]) -> tuple[AnyT | None, SwingtraderError | None]:
    """Answer of `ask`, or the error with which it refused."""
    try:
        return ask(), None
    except SwingtraderError as error:
        return None, error


def checked(name: str, check: Callable[[], Finding], *, remedy: str | None = None) -> Finding:
    """Finding of a check, whatever it meets: none may keep the others from being done.

    `remedy` is for an error that does not say what to do.
    """
    try:
        return check()
    except LockHeld as held:
        return told(name, held, State.WARNING)
    except SwingtraderError as error:
        return told(name, error, remedy=remedy)
    except OSError as error:
        return Finding(name, State.PROBLEM, f"{error.filename}: {error.strerror}", remedy)


def told(
    name: str, error: Exception | str, state: State = State.PROBLEM, *, remedy: str | None = None
) -> Finding:
    """Finding of an error: those of this program say what to do behind the first semicolon."""
    what, _, to_do = str(error).partition("; ")
    return Finding(name, state, what, to_do or remedy)


def merged(name: str, parts: Iterable[Finding], *, whole: bool = False) -> Finding:
    """One finding of several; unless `whole`, what is well goes unsaid beside what is not."""
    parts = tuple(parts)
    state = next(each for each in _WORST_FIRST if any(part.state is each for part in parts))
    shown = [p for p in parts if whole or state is State.OK or p.fixed or p.state is not State.OK]
    remedies = dict.fromkeys(part.remedy for part in shown if part.remedy is not None)
    return Finding(
        name,
        state,
        "; ".join(part.what for part in shown),
        "; ".join(remedies) or None,
        any(part.fixed for part in parts),
    )


def about_permissions(places: Places, *, fix: bool) -> Finding:
    """Whether the directories are there, can be written to, and are closed to others."""
    parts = [*_about_directories(places, fix=fix)]
    if places.state_dir.is_dir():
        parts += _about_others(places.state_dir, fix=fix)
    well = "state, models and data are writable, state is closed to others"
    return merged(_PERMISSIONS, parts or (Finding(_PERMISSIONS, State.OK, well),))


def _about_directories(places: Places, *, fix: bool) -> Iterator[Finding]:
    missing: list[str] = []
    closed: dict[str, None] = {}
    for path in dict.fromkeys((places.state_dir, places.models_dir, places.data_dir)):
        home = _nearest(path)
        if not home.is_dir():
            what = f"{home} is no directory"
            yield Finding(_PERMISSIONS, State.PROBLEM, what, "move it out of the way")
        elif not os.access(home, os.W_OK | os.X_OK):
            closed[str(home)] = None
        elif home != path:
            missing.append(str(path))
            if fix:
                ensure_directory(path)
    if closed:
        what = f"cannot be written to: {', '.join(closed)}"
        yield Finding(_PERMISSIONS, State.PROBLEM, what, OWN)
    listed = ", ".join(missing)
    if missing and fix:
        yield Finding(_PERMISSIONS, State.OK, f"made {listed}", fixed=True)
    elif missing:
        yield Finding(_PERMISSIONS, State.WARNING, f"missing: {listed}", FIX)


def _about_others(state_dir: Path, *, fix: bool) -> Iterator[Finding]:
    """What people beside owner and group may do with the state."""
    files = [path for path in sorted(state_dir.glob(f"{STORE_NAME}*")) if path.is_file()]
    opened = {path: mode for path in (state_dir, *files) if (mode := _mode_for_others(path))}
    if fix:
        closed = [path for path in opened if path != state_dir or _is_only_ours(state_dir)]
        for path in closed:
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~stat.S_IRWXO)
            del opened[path]
        if closed:
            what = f"closed to others: {_listed(closed)}"
            yield Finding(_PERMISSIONS, State.OK, what, fixed=True)
    if not opened:
        return
    remedy = FIX
    if state_dir in opened and not _is_only_ours(state_dir):
        remedy = f"choose a state directory of its own; {state_dir} holds other things, too"
    if any(mode & stat.S_IWOTH for mode in opened.values()):
        what = f"anybody may write to {_listed(opened)}"
        yield Finding(_PERMISSIONS, State.PROBLEM, what, remedy)
    else:
        what = f"anybody may read {_listed(opened)}"
        yield Finding(_PERMISSIONS, State.WARNING, what, remedy)


def _mode_for_others(path: Path) -> int:
    return path.stat().st_mode & stat.S_IRWXO


def _is_only_ours(state_dir: Path) -> bool:
    """Whether nobody else can miss the directory: ``/tmp`` must not be closed, nor a home."""
    return all(
        path.name.startswith((STORE_NAME, LOCK_NAME)) or path.name in {"data", "models"}
        for path in state_dir.iterdir()
    )


def _listed(paths: Iterable[Path]) -> str:
    return ", ".join(str(path) for path in paths)


def about_disk(places: Places, free_bytes: Callable[[Path], int]) -> Finding:
    """Whether there is room for the state and the models."""
    paths = places.state_dir, places.models_dir
    free, path = min((free_bytes(_nearest(path)), path) for path in paths)
    what = f"{_size(free)} free for {path}"
    if free < LEAST_FREE_BYTES:
        remedy = f"free some space: {_size(LEAST_FREE_BYTES)} is the least that will do"
        return Finding("disk", State.PROBLEM, what, remedy)
    if free < SHORT_OF_BYTES:
        return Finding("disk", State.WARNING, what, "free some space before a run misses it")
    return Finding("disk", State.OK, what)


def about_store(state_dir: Path, now: datetime) -> Finding:
    """Whether the database opens as a run opens it, and what lies beside it."""
    name, path = "store", state_dir / STORE_NAME
    if not _has_store(state_dir):
        return Finding(name, State.OK, f"none yet: the first run makes {path}")
    with Store.open(state_dir, now=now) as store:
        moved_aside = store.moved_aside
        size = sum(each.stat().st_size for each in _with_companions(path) if each.exists())
    what = f"{path}, schema {len(MIGRATIONS)}, {_size(size)}"
    if copies := list(state_dir.glob(f"{STORE_NAME}.before-*")):
        what += f"; {_size(sum(copy.stat().st_size for copy in copies))} of older copies beside it"
    parts = [Finding(name, State.OK, what)]
    if moved_aside is not None:
        was = f"{path} was damaged, and is now {moved_aside.name}"
        remedy = "nothing; the next run rebuilds it from the broker"
        parts.append(Finding(name, State.WARNING, was, remedy))
    damaged = {each.name for each in state_dir.glob(f"{STORE_NAME}.damaged-*")}
    older = damaged - {each.name for each in _with_companions(moved_aside or path)}
    if older:
        left = f"left of a damaged database: {', '.join(sorted(older))}"
        parts.append(Finding(name, State.WARNING, left, "remove it once nobody needs it"))
    return merged(name, parts)


def bound_account(state_dir: Path, now: datetime) -> str | None:
    """Number of the account that the store belongs to; None for none yet."""
    if not _has_store(state_dir):
        return None
    with Store.open(state_dir, now=now, checked=False) as store:
        return store.account.number()


def about_lock(state_dir: Path, now: datetime) -> Finding:
    """Whether a run could begin at once."""
    path = state_dir / LOCK_NAME
    if not path.exists():
        return Finding("lock", State.OK, "free, and never taken yet")
    try:
        with state_lock(state_dir, wait_seconds=0):
            return Finding("lock", State.OK, "free")
    except LockHeld:
        running, _ = attempt(lambda: _under_way(state_dir, now))
        what = f"{path} is held by {running or 'a run that is not on record'}"
        remedy = f"wait; if it stays, fuser {path} names the process"
        return Finding("lock", State.WARNING, what, remedy)


def _under_way(state_dir: Path, now: datetime) -> str | None:
    with Store.open(state_dir, now=now, checked=False) as store:
        runs = [run for job in JOBS if (run := store.runs.last(job)) and run.finished_at is None]
    if not runs:
        return None
    latest = max(runs, key=lambda run: run.started_at)
    return f"{latest.command}, begun {ago(latest.started_at, now)}"


def _nearest(path: Path) -> Path:
    """`path`, or the first of its parents that exists."""
    return next(each for each in (path, *path.parents) if each.exists())


def _has_store(state_dir: Path) -> bool:
    # A journal alone is what is left of a lost database, and opening it sets it aside.
    return any((state_dir / f"{STORE_NAME}{ending}").exists() for ending in ("", "-wal"))


def _with_companions(path: Path) -> Iterator[Path]:
    for ending in ("", *_COMPANIONS):
        yield path.with_name(f"{path.name}{ending}")


def _size(count: int) -> str:
    if count >= GIGABYTE:
        return f"{count / GIGABYTE:,.1f} GB"
    return f"{count / MEGABYTE:,.1f} MB"
