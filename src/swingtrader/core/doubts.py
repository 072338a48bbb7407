"""What may be wrong with bars, in sentences that name the places and the remedy.

``plausibility`` finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMED = 3
"""Places that a sentence names before it counts."""

ANEW = "pull the bars anew"
LONGER = "pull a longer history"
OR_LEAVE = f"{ANEW}, or leave out of the universe what stays so"


class DoubtKind(StrEnum):
    """What speaks against training on the bars."""

    STALE = "stale"
    AHEAD = "ahead"
    SHORT = "short"
    SHRUNK = "shrunk"
    MISSING = "missing"
    IMPOSSIBLE = "impossible"
    CONSTANT = "constant"
    ZERO_VOLUME = "zero_volume"
    JUMPS = "jumps"
    MIXED = "mixed"
    SCALED = "scaled"
    SHIFTED = "shifted"


@dataclass(frozen=True)
class Doubt:
    """One thing that is wrong.

    Attributes
    ----------
    kind : DoubtKind
    sentence : str
        What, where and what to do, without a full stop.
    fatal : bool
        Nothing may be trained. Otherwise it is only to be told.
    """

    kind: DoubtKind
    sentence: str
    fatal: bool


def fatal_doubt(kind: DoubtKind, what: str, remedy: str = ANEW) -> Doubt:
    """Doubt that forbids to train."""
    return Doubt(kind, f"{what}; {remedy}", fatal=True)


def named(places: Sequence[str]) -> str:
    """Return the first few places, and how many more there are."""
    more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
    return ", ".join(places[:NAMED]) + more
