"""When a position is sold for its price: stop, target and trailing stop.

Everything is kept as a ratio to the broker's average entry price, because the broker restates
that price on a split; a stored dollar price would then sell the position by mistake.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swingtrader.core.policy import ExitRules


@dataclass(frozen=True)
class ExitDistances:
    """Fractions of the entry price (`stop`, `target`) and of the high-water mark (`trail`)."""

    stop: float
    target: float
    trail: float


@dataclass(frozen=True)
class Marks:
    """What a position remembers of its prices, as ratios to its average entry price.

    Attributes
    ----------
    high_water : float
        Highest confirmed price since entry; at least 1.
    trailing_stop : float
        Highest level the trailing stop has had; it never moves down. 0 before the first.
    """

    high_water: float = 1.0
    trailing_stop: float = 0.0


@dataclass(frozen=True)
class ExitLevels:
    """Ratios to the entry price at which the position is sold."""

    stop: float
    target: float
    trailing_stop: float

    @property
    def floor(self) -> float:
        """The higher of stop and trailing stop: the one a falling price meets first."""
        return max(self.stop, self.trailing_stop)

    @property
    def floor_reason(self) -> str:
        """Which of the two the floor is."""
        return "trailing_stop" if self.trailing_stop > self.stop else "stop_loss"


def exit_distances(atr_fraction: float, rules: ExitRules) -> ExitDistances:
    """Distances from the ATR, each within its clamp; the static ones without a fresh ATR.

    Parameters
    ----------
    atr_fraction : float
        ATR(14) over the close of the last completed session; NaN where there is none.
    """
    if not math.isfinite(atr_fraction):
        return ExitDistances(rules.stop, rules.target, rules.trail)

    def clamped(multiple: float, static: float) -> float:
        low, high = rules.clamp_low * static, rules.clamp_high * static
        return min(max(multiple * atr_fraction, low), high)

    return ExitDistances(
        stop=clamped(rules.atr_stop, rules.stop),
        target=clamped(rules.atr_target, rules.target),
        trail=clamped(rules.atr_trail, rules.trail),
    )


def raised_marks(marks: Marks, price_ratio: float, distances: ExitDistances) -> Marks:
    """Marks after a confirmed price: neither the high-water mark nor the stop comes down.

    Parameters
    ----------
    price_ratio : float
        Confirmed price over average entry price.
    """
    high_water = max(marks.high_water, price_ratio)
    return Marks(high_water, max(marks.trailing_stop, high_water * (1.0 - distances.trail)))


def exit_levels(marks: Marks, distances: ExitDistances) -> ExitLevels:
    """Levels that `marks` and today's distances give."""
    trailing = raised_marks(marks, marks.high_water, distances).trailing_stop
    return ExitLevels(1.0 - distances.stop, 1.0 + distances.target, trailing)


def price_exit(price_ratio: float, levels: ExitLevels) -> str | None:
    """Reason to sell at this price, or None. A floor comes before the target."""
    if price_ratio <= levels.floor:
        return levels.floor_reason
    if price_ratio >= levels.target:
        return "target"
    return None


def decide_exit(
    *,
    price_ratio: float,
    atr_fraction: float,
    vote: float,
    sell_at: float,
    misses: int,
    age_sessions: int,
    rules: ExitRules,
) -> str | None:
    """Reason for the 15-minute job to sell, beyond what the risk check looks at.

    Parameters
    ----------
    price_ratio : float
        Confirmed price over average entry price; NaN when no price is confirmed, which
        silences the rules that need one.
    vote : float
        NaN when no signal is present.
    misses : int
        Consecutive sessions outside the scan, this one included.
    age_sessions : int
        Sessions since the entry session.
    """
    if not math.isfinite(atr_fraction):
        if price_ratio <= 1.0 - rules.decide_stop:
            return "stop_loss"
        if price_ratio >= 1.0 + rules.decide_target:
            return "target"
    if vote <= sell_at:
        return "vote"
    if misses >= rules.missed_sessions:
        return "missed_scans"
    if age_sessions > rules.stagnant_sessions and price_ratio < 1.0 + rules.stagnant_return:
        return "stagnant"
    return None


def counted_misses(misses: int, counted_session: object, session: object, *, missed: bool) -> int:
    """Consecutive missed sessions, however often the job runs in one session.

    Parameters
    ----------
    misses : int
        Count as stored.
    counted_session, session : date or None
        Session the symbol was last counted in, hit or miss, and this one.
    missed : bool
        The symbol is outside this session's scan.
    """
    if not missed:
        return 0
    return misses if counted_session == session else misses + 1
