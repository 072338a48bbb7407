"""What the regime model that serves some sessions said of the sessions before them.

A week's model filters its own past: its P(high volatility) of an earlier session is not what
last week's model said of it. An agent that walks through a month hears one model throughout,
live and in a backtest the one that serves the session decided in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.arrays import frozen

if TYPE_CHECKING:
    from swingtrader.core.arrays import FloatArray


@dataclass(frozen=True, eq=False)
class HighVolatilityPath:
    """Filtered probability of high volatility by one model.

    Attributes
    ----------
    serves : range
        Rows of the sessions decided with the model.
    start : int
        Row of the first session it was filtered on.
    filtered : ndarray of shape (P,)
        After each session from `start` on, up to the one before the last served; empty without
        a model.
    """

    serves: range
    start: int
    filtered: FloatArray

    def before(self, row: int, sessions: int) -> FloatArray:
        """Probabilities after each of the last sessions before `row`, oldest first.

        Parameters
        ----------
        row : int
            One of `serves`.

        Returns
        -------
        ndarray of shape (sessions,)
            NaN before `start`, and everywhere without a model.
        """
        known = self.filtered[: row - self.start][-sessions:]
        path = np.full(sessions, np.nan)
        if len(known):
            path[-len(known) :] = known
        return frozen(path)
