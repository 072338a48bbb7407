"""What a signal was worth in a backtest: how far the result hangs on it, and how sure that is.

Kept apart from the backtest that measures it, since `status` shows it long afterwards, and must
not load numpy for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class SignalWorth:
    """Worth of one signal, by leaving it out and by its rank correlation with what came.

    Attributes
    ----------
    signal : str
        Name of the signal, such as ``quant``.
    sharpe_change : float
        Annual Sharpe ratio without the signal minus that with it; negative where it helped.
        0 for a signal that was never present.
    low, high : float
        Ends of the 95 % interval of `sharpe_change`.
    ic_mean : float
        Mean rank correlation with the 21-session forward return over the sessions on which the
        signal was present; NaN where it never was.
    ic_t : float
        Its t statistic, with errors that allow for overlapping labels; NaN as above.

    Raises
    ------
    ValueError
        The change or an end of its interval is not finite, or the ends are the wrong way round.
    """

    signal: str
    sharpe_change: float
    low: float
    high: float
    ic_mean: float
    ic_t: float

    def __post_init__(self) -> None:
        for name in ("sharpe_change", "low", "high"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be finite, not {getattr(self, name)}")
        if self.low > self.high:
            raise ValueError(f"the interval must not end below its start: {self.low}, {self.high}")

    @property
    def is_distinguishable(self) -> bool:
        """Whether the interval excludes a change of 0."""
        return self.low > 0.0 or self.high < 0.0
