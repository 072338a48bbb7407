"""How a held position fares inside a daily bar, when only four prices are known.

The order of high and low is unknown. Where both the floor (stop or trailing stop) and the
target lie in the bar, the floor was met first. A high-water mark that the bar itself raised
cannot trigger in the bar's earlier part; it triggers only where the path must have crossed the
raised trailing stop, that is between the bar's high and a close below it. A low under the raised
stop with a close above it is taken to have come before the high: the one case in which the path
assumed is not the worse one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from swingtrader.core.exits import exit_levels, raised_marks

if TYPE_CHECKING:
    from swingtrader.core.exits import ExitDistances, Marks


@dataclass(frozen=True)
class BarExit:
    """A sale inside the bar: price as a ratio to the entry price, before costs."""

    price_ratio: float
    reason: str


def bar_exit(
    marks: Marks,
    distances: ExitDistances,
    *,
    open_ratio: float,
    high_ratio: float,
    low_ratio: float,
    close_ratio: float,
) -> tuple[Marks, BarExit | None]:
    """Walk one bar.

    Parameters
    ----------
    marks : Marks
        As they stood at the open, the open included.
    open_ratio, high_ratio, low_ratio, close_ratio : float
        The bar over the position's average entry price.

    Returns
    -------
    marks : Marks
        Raised by the bar's high.
    exit : BarExit or None
        Never at a better price than the open for a floor already passed there.
    """
    levels = exit_levels(marks, distances)
    # Rounded adjustment may leave a close below the low; it was traded all the same.
    low_ratio = min(low_ratio, close_ratio)
    raised = raised_marks(marks, high_ratio, distances)
    if low_ratio <= levels.floor:
        return raised, BarExit(min(levels.floor, open_ratio), levels.floor_reason)
    if high_ratio >= levels.target:
        return raised, BarExit(max(levels.target, open_ratio), "target")
    if close_ratio <= raised.trailing_stop:
        return raised, BarExit(raised.trailing_stop, "trailing_stop")
    return raised, None
