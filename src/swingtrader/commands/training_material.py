"""What models are trained from: bars up to the last completed session, and their factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from swingtrader.core.signals import market_view
from swingtrader.core.walkforward import forward_returns, top_quartile, usable_rows
from swingtrader.errors import DataError

if TYPE_CHECKING:
    from swingtrader.config import Strategy
    from swingtrader.core.arrays import BoolArray, FloatArray
    from swingtrader.core.market import Panel
    from swingtrader.core.signals import MarketView


@dataclass(frozen=True, eq=False)
class Material:
    """What a ranker is trained from, over T sessions and N stocks.

    Attributes
    ----------
    panel : Panel
        Stocks and context up to the last completed session.
    forward, labels : ndarray of shape (T, N)
    usable : ndarray of shape (T, N), bool
    """

    panel: Panel
    view: MarketView
    forward: FloatArray
    labels: FloatArray
    usable: BoolArray

    @property
    def known(self) -> int:
        """Row of the last completed session."""
        return len(self.panel.sessions) - 1


def material_of(panel: Panel, strategy: Strategy, *, known: int) -> Material:
    """Derive from bars what training needs; rows after `known` are not read.

    Raises
    ------
    DataError
        Nothing in the bars may be traded.
    """
    seen = panel.rows(0, known + 1)
    try:
        view = market_view(seen, strategy.universe, listed_only=strategy.listed_only)
    except ValueError as error:
        raise DataError(f"{error}; add stocks or change the universe") from error
    forward = forward_returns(view.stocks.close)
    labels = top_quartile(forward)
    return Material(seen, view, forward, labels, usable_rows(view.factors, labels))
