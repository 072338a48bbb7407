"""What we remember of each position, held against what the broker says of it.

Quantity and entry price are the broker's. Marks are ratios to that entry price: a split, which
restates it, leaves them alone; a fill that changes the average rescales them. A purchase without
a stated average forgets them, as does what nothing explains (a transfer, a spin-off): a wrong mark
sells a position, a forgotten one only loosens its trailing stop. What was sold out and bought back
between two looks is a new position.

The broker may list a fill later than the position that it made. So a change is explained by the
newest activities that add up to it, and older ones are taken for known.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from swingtrader.core.exits import Marks
from swingtrader.core.portfolio import Execution, ShareSplit, TrackedPosition

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import date, datetime

    from swingtrader.core.portfolio import BrokerPosition

NOTHING = Decimal(0)

TOLERANCE = Decimal("0.005")
"""Fraction by which a restated entry price may differ for rounding, and for cash paid in place
of a fraction. What passes for the same moves an exit by no more."""

Change = Literal["opened", "adopted", "closed", "split", "added", "reduced", "unexplained"]


@dataclass(frozen=True)
class PositionChange:
    """One fact for the log. `adopted` is a position whose opening nobody saw."""

    symbol: str
    what: Change
    old_qty: Decimal
    new_qty: Decimal


@dataclass(frozen=True)
class Tracking:
    """What there is to remember from now on, and what is new about it.

    Attributes
    ----------
    positions : dict
        Every readable long position by symbol.
    kept : dict
        Positions of the store whose quantity the broker did not state readably, as they were:
        to be remembered and not to be acted on.
    shorts, unreadable : tuple of str
        Symbols held short, and of unreadable quantity.
    changes : tuple of PositionChange
        By symbol.
    """

    positions: dict[str, TrackedPosition]
    kept: dict[str, TrackedPosition] = field(default_factory=dict)
    shorts: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    changes: tuple[PositionChange, ...] = ()

    @property
    def remembered(self) -> tuple[TrackedPosition, ...]:
        """What the store should hold."""
        return (*self.positions.values(), *self.kept.values())

    @property
    def opened(self) -> tuple[str, ...]:
        """Symbols bought from zero since the last look, new or once more."""
        return self._changed("opened")

    @property
    def adopted(self) -> tuple[str, ...]:
        """Symbols that the store did not know, and whose opening was not among the activities."""
        return self._changed("adopted")

    @property
    def closed(self) -> tuple[str, ...]:
        """Symbols of the store that are no longer held long."""
        return self._changed("closed")

    def _changed(self, what: Change) -> tuple[str, ...]:
        return tuple(change.symbol for change in self.changes if change.what == what)


def tracked_positions(
    stored: Mapping[str, TrackedPosition],
    broker: Sequence[BrokerPosition],
    activities: Sequence[Execution | ShareSplit],
    *,
    session: date,
    session_of: Callable[[datetime], date],
    entry_sessions: Mapping[str, date],
    unmanaged: Collection[str],
) -> Tracking:
    """Bring what the store remembers into step with the broker.

    Parameters
    ----------
    stored : mapping
        By symbol, as of the last look.
    activities : sequence
        Of any symbols, those since the last look, oldest first. Older ones do no harm.
    session : date
        Entry session of a position of which nothing else is known.
    session_of : callable
        Session of an execution's instant.
    entry_sessions : mapping
        Of symbols that the store does not know, where `entry_session_of` found one.
    unmanaged : collection of str
        Symbols that the configuration leaves to the person.
    """
    long = {each.symbol for each in broker if each.qty is not None and each.qty > 0}
    unreadable = sorted(each.symbol for each in broker if each.qty is None)
    changes = [
        PositionChange(symbol, "closed", old.qty, NOTHING)
        for symbol, old in stored.items()
        if symbol not in long and symbol not in unreadable
    ]
    positions = {}
    for position in broker:
        symbol, qty = position.symbol, position.qty
        if qty is None or qty <= 0:
            continue
        own = [each for each in activities if each.symbol == symbol]
        before = stored.get(symbol)
        walk = _explanation(before.qty if before else NOTHING, qty, own)
        opened_at = None if walk is None else walk.opened_at
        if before is not None and opened_at is None:
            fills = sum(isinstance(each, Execution) for each in own)
            tracked, news = _continued(before, qty, position.entry_price, walk, fills)
        else:
            opened = session if opened_at is None else session_of(opened_at)
            entry_session = entry_sessions.get(symbol, opened) if before is None else opened
            tracked = TrackedPosition(symbol, qty, position.entry_price, entry_session)
            what: Change = "adopted" if opened_at is None else "opened"
            news = [PositionChange(symbol, what, before.qty if before else NOTHING, qty)]
        changes += news
        positions[symbol] = replace(tracked, managed=symbol not in unmanaged)
    return Tracking(
        dict(sorted(positions.items())),
        kept={symbol: stored[symbol] for symbol in unreadable if symbol in stored},
        shorts=tuple(sorted(each.symbol for each in broker if each.qty and each.qty < 0)),
        unreadable=tuple(unreadable),
        changes=tuple(sorted(changes, key=lambda change: change.symbol)),
    )


def entry_session_of(
    symbol: str,
    qty: Decimal,
    activities: Sequence[Execution | ShareSplit],
    session_of: Callable[[datetime], date],
) -> date | None:
    """Session on which the quantity last left zero; None where the activities do not reach it.

    Walks back from today's quantity, taking back fills and splits, so that activities that begin
    in the middle of the history give the right session or none.

    Parameters
    ----------
    qty : Decimal, shares
        Held long now, after all of the activities.
    activities : sequence
        Of any symbols, oldest first, without a gap.
    session_of : callable
        Session of an execution's instant.
    """
    if qty <= 0:
        return None
    for activity in reversed([each for each in activities if each.symbol == symbol]):
        qty -= _added(activity)
        # A split may be stated as all old shares taken and all new ones given: no zero of ours.
        if isinstance(activity, Execution) and qty <= 0:
            return session_of(activity.at)
    return None


@dataclass(frozen=True)
class _Walk:
    """What activities make of a quantity.

    `split_ratio` is new shares for each old one; `opened_at` the instant of the buy that last
    left zero, None where there was none; `traded` is by fills, `bought` by a buy among them.
    """

    qty: Decimal
    split_ratio: Decimal
    opened_at: datetime | None = None
    traded: bool = False
    bought: bool = False


def _explanation(
    old_qty: Decimal, new_qty: Decimal, activities: Sequence[Execution | ShareSplit]
) -> _Walk | None:
    """Walk along all activities, or as many of the newest as lead from one to the other."""
    walks = (_walked(old_qty, activities[first:]) for first in range(len(activities) + 1))
    return next((walk for walk in walks if walk.qty == new_qty), None)


def _walked(qty: Decimal, activities: Sequence[Execution | ShareSplit]) -> _Walk:
    ratio, opened_at = Decimal(1), None
    for is_split, several in groupby(activities, key=lambda each: isinstance(each, ShareSplit)):
        before = qty
        for activity in several:
            if isinstance(activity, Execution) and qty <= 0 < qty + _added(activity):
                opened_at = activity.at
            qty += _added(activity)
        if is_split and before > 0 and qty > 0:
            ratio *= qty / before
    sides = {each.side for each in activities if isinstance(each, Execution)}
    return _Walk(qty, ratio, opened_at, traded=bool(sides), bought="buy" in sides)


def _added(activity: Execution | ShareSplit) -> Decimal:
    if isinstance(activity, ShareSplit):
        return activity.added
    return activity.qty if activity.side == "buy" else -activity.qty


def _continued(
    before: TrackedPosition,
    qty: Decimal,
    entry_price: Decimal | None,
    walk: _Walk | None,
    fills: int,
) -> tuple[TrackedPosition, list[PositionChange]]:
    """One position further on; `walk` is what led here, None for unknown."""
    old, new = _known(before.entry_price), _known(entry_price)
    if walk is None and old is not None and new is not None and not fills:
        # Restated at the same cost: a split that the broker has not listed yet.
        same_cost = _about_equal(qty * new, before.qty * old)
        walk = _Walk(qty, qty / before.qty) if same_cost else None
    expected = None if old is None or walk is None else old / walk.split_ratio
    unmoved = expected is None or new is None or _about_equal(new, expected)
    tracked = replace(before, qty=qty, entry_price=entry_price)
    if walk is None or not (walk.traded or unmoved):
        tracked = replace(_without_prices(tracked), marks=Marks())
        changes = [PositionChange(before.symbol, "unexplained", before.qty, qty)]
    else:
        # A sale leaves the average alone: that none is stated is no reason to forget the marks.
        if walk.bought or (walk.traded and None not in {expected, new}):
            tracked = replace(tracked, marks=_rescaled(before.marks, expected, new))
        if walk.split_ratio != 1:
            tracked = _without_prices(tracked)
        changes = _explained_changes(before, qty, walk)
    if tracked.marks != before.marks:
        # Levels are ratios too; the next risk check finds new ones.
        tracked = replace(tracked, stop_ratio=None, target_ratio=None)
    return tracked, changes


def _explained_changes(before: TrackedPosition, qty: Decimal, walk: _Walk) -> list[PositionChange]:
    restated, changes = before.qty, []
    if walk.split_ratio != 1:
        restated = (restated * walk.split_ratio).quantize(Decimal("1e-9")) if walk.traded else qty
        changes.append(PositionChange(before.symbol, "split", before.qty, restated))
    if qty != restated:
        what: Change = "added" if qty > restated else "reduced"
        changes.append(PositionChange(before.symbol, what, restated, qty))
    return changes


def _rescaled(marks: Marks, old: Decimal | None, new: Decimal | None) -> Marks:
    """Marks at the same prices in USD, over a new average; as of a new position without both."""
    if old is None or new is None:
        return Marks()
    scale = float(old / new)
    return Marks(max(1.0, marks.high_water * scale), marks.trailing_stop * scale)


def _without_prices(tracked: TrackedPosition) -> TrackedPosition:
    """Without what is counted in shares, or USD a share, that may be no more."""
    return replace(
        tracked,
        price=None,
        price_at=None,
        print_price=None,
        print_at=None,
        resting_qty=NOTHING,
        resting_stop=None,
    )


def _known(price: Decimal | None) -> Decimal | None:
    """Return the price; None for zero, which a broker states for shares from a spin-off."""
    return price if price is not None and price > 0 else None


def _about_equal(one: Decimal, other: Decimal) -> bool:
    return abs(one - other) <= TOLERANCE * other
