"""``swingtrader halt`` and ``resume``: no entries until a person says so.

Both write without the state lock, so that a halt takes effect while a run is at work, which
reads the halts again before every purchase. Neither asks the broker: a halt needs no network,
and is dated by this machine's clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swingtrader.commands.status_rows import halt_row

if TYPE_CHECKING:
    from datetime import datetime

    from swingtrader.adapters.store import Store

BY_HAND = "by hand"
"""Reason of a halt for which none was given."""

LONGEST_REASON = 200
"""Characters."""


def halt(store: Store, reason: str, at: datetime, *, flatten: bool) -> dict[str, Any]:
    """Halt entries; exits and protection go on.

    Parameters
    ----------
    reason : str
        For people. Shortened, without control characters; an empty one is `BY_HAND`. The same
        reason again changes nothing, but that it may flatten.
    at : datetime
        Aware.
    flatten : bool
        Have the next run that may trade sell everything that is managed.

    Returns
    -------
    dict
        Every halt that holds now.
    """
    store.halts.add(_plain(reason), at, flatten=flatten)
    return _told(store, "halt", lifted=0)


def resume(store: Store, at: datetime) -> dict[str, Any]:
    """Lift what a person halted; nothing to lift is no mistake.

    What the program halted for one session (its loss, a lost store) ends with that session and
    is told among the halts.
    """
    return _told(store, "resume", lifted=store.halts.lift_all(at))


def _told(store: Store, command: str, *, lifted: int) -> dict[str, Any]:
    halts = [halt_row(each) for each in store.halts.active(None)]
    return {"command": command, "halts": halts, "lifted": lifted}


def _plain(reason: str) -> str:
    shown = "".join(letter if letter.isprintable() else " " for letter in reason)
    return " ".join(shown.split())[:LONGEST_REASON].rstrip() or BY_HAND
