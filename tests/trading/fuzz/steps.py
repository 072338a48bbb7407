"""What can happen in a schedule, as values that print as they are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date, datetime
    from decimal import Decimal

    from swingtrader.environment import Mode
    from swingtrader.simulator.conditions import Condition
    from swingtrader.simulator.faults import Fault
    from swingtrader.simulator.settings import ExchangeSettings

LONGEST_CANCELLATION_SECONDS = 9
"""That a run sees through: it waits for ten."""


@dataclass(frozen=True)
class Kill:
    """The process ends at its `nth` request, order or commit, before or after it took effect."""

    where: str
    nth: int
    after: bool


@dataclass(frozen=True)
class ByHand:
    """Something the person does in the broker's own app.

    Attributes
    ----------
    what : str
        "buy", "buy_limit", "sell", "sell_stop", "sell_limit", "cancel_stop", "cancel_own",
        "deliver" or "buy_fraction".
    size : float
        Part of the cash, or of the shares that are free.
    """

    what: str
    symbol: str
    size: float = 0.5


@dataclass(frozen=True)
class Halted:
    """``swingtrader halt``."""

    flatten: bool = False


@dataclass(frozen=True)
class Resumed:
    """``swingtrader resume``."""


@dataclass(frozen=True)
class Meanwhile:
    """At its `nth` request or order another process, or the person, comes in between."""

    where: str
    nth: int
    what: Run | Halted | ByHand


@dataclass(frozen=True)
class Run:
    """One command, whole.

    Attributes
    ----------
    votes : dict
        By symbol, for `decide`.
    atr_fraction : float
        NaN for none.
    slow_seconds : float
        How long signals take before the lock is taken.
    overtaken : bool
        Whether a risk check runs between the signals and the lock.
    """

    command: str
    votes: dict = field(default_factory=dict)
    atr_fraction: float = float("nan")
    slow_seconds: float = 0.0
    overtaken: bool = False
    kill: Kill | None = None
    meanwhile: Meanwhile | None = None


@dataclass(frozen=True)
class Trouble:
    """A fault of the wire or a condition of the market."""

    what: Fault | Condition


@dataclass(frozen=True)
class Lifted:
    """Every fault and condition ends."""


@dataclass(frozen=True)
class StoreLost:
    """The database is deleted, or filled with rubbish."""

    damaged: bool


Step = Run | ByHand | Halted | Resumed | Trouble | Lifted | StoreLost


@dataclass(frozen=True)
class ShareSplitDay:
    """A split over night."""

    symbol: str
    session: date
    ratio: Decimal


@dataclass(frozen=True)
class Schedule:
    """Everything that happens, from one seed.

    Attributes
    ----------
    steps : tuple of (instant, Step)
        In order; several may share an instant.
    ends_at : datetime
        When the faults are lifted and the account must come to rest.
    flattens : bool
        Whether everything must be sold then.
    greedy : bool
        With limits so wide that the cash runs out.
    """

    seed: int
    market: int
    start: datetime
    cash: int
    mode: Mode
    settings: ExchangeSettings
    splits: tuple[ShareSplitDay, ...]
    unmanaged: tuple[str, ...]
    greedy: bool
    steps: tuple[tuple[datetime, Step], ...]
    ends_at: datetime
    flattens: bool

    @property
    def cancels_slowly(self):
        """Whether a cancellation takes longer than a run waits for it."""
        return self.settings.cancel_latency.delay.total_seconds() > LONGEST_CANCELLATION_SECONDS
