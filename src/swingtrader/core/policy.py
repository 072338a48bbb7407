"""The rules of trading as numbers: every threshold, weight and limit, with its default.

These are plain values. ``swingtrader.config`` reads them from the operator's TOML; tests and
the backtest build them directly. Fractions are fractions (0.02, not 2), lookbacks are sessions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np

from swingtrader.core.arrays import FloatArray, frozen

SIGNALS = ("market", "quant", "rl", "sentiment", "momentum", "regime")
"""The six signals, in the order of every array and file that holds them."""


def _require(condition: bool, message: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not condition:
        raise ValueError(message)


def _require_fractions(rules: object, *names: str) -> None:
    for name in names:
        value = getattr(rules, name)
        _require(0 < value <= 1, f"{name} must be above 0 and at most 1, not {value}")


@dataclass(frozen=True)
class VoteRules:
    """Weights of the six signals and the thresholds of the vote."""

    market: float = 0.20
    quant: float = 0.30
    rl: float = 0.15
    sentiment: float = 0.10
    momentum: float = 0.15
    regime: float = 0.10
    buy_at: float = 0.20
    sell_at: float = -0.15
    minimum_present_weight: float = 0.5

    def __post_init__(self) -> None:
        for name in SIGNALS:
            _require(getattr(self, name) >= 0, f"the weight of {name} must not be negative")
        _require(sum(self.weights) > 0, "at least one signal needs a weight above 0")
        _require(-1 <= self.sell_at < self.buy_at <= 1, "needs -1 <= sell_at < buy_at <= 1")
        _require(0 <= self.minimum_present_weight <= 1, "minimum_present_weight must be in [0, 1]")

    @cached_property
    def weights(self) -> FloatArray:
        """Weights in the order of `SIGNALS`, summing to what the operator wrote: shape (6,)."""
        return frozen(np.array([getattr(self, name) for name in SIGNALS], dtype=np.float64))


@dataclass(frozen=True)
class ScanRules:
    """Which symbols are worth a vote."""

    top_sectors: int = 3
    minimum_candidates: int = 15
    minimum_price_usd: float = 5.0
    minimum_dollar_volume_usd: float = 20_000_000.0
    minimum_probability: float = 0.40

    def __post_init__(self) -> None:
        _require(self.top_sectors >= 1, "top_sectors must be at least 1")
        _require(0 <= self.minimum_probability < 1, "minimum_probability must be in [0, 1)")
        for name in ("minimum_candidates", "minimum_price_usd", "minimum_dollar_volume_usd"):
            _require(getattr(self, name) >= 0, f"{name} must not be negative")


@dataclass(frozen=True)
class ExitRules:
    """When a held position is sold.

    With a fresh ATR the distances are its multiples, each held within
    [`clamp_low`, `clamp_high`] times the static threshold; without one the static thresholds
    apply. `decide_stop` and `decide_target` are the 15-minute job's own static thresholds,
    used only where there is no ATR, or they would override the ATR stop. `resident_stop` is the
    distance below the entry price of the stop that rests at the broker. That one sells on a
    single print, so it must lie beyond the widest stop that waits for a confirmed price.
    """

    stop: float = 0.025
    target: float = 0.04
    trail: float = 0.03
    atr_stop: float = 1.5
    atr_target: float = 2.5
    atr_trail: float = 2.0
    clamp_low: float = 0.5
    clamp_high: float = 2.0
    decide_stop: float = 0.03
    decide_target: float = 0.05
    missed_sessions: int = 3
    stagnant_sessions: int = 10
    stagnant_return: float = 0.01
    resident_stop: float = 0.06

    def __post_init__(self) -> None:
        _require_fractions(self, "stop", "target", "trail", "decide_stop", "decide_target")
        _require(0 < self.resident_stop < 1, "resident_stop must be between 0 and 1")
        for name in ("atr_stop", "atr_target", "atr_trail"):
            _require(getattr(self, name) > 0, f"{name} must be above 0")
        _require(self.stagnant_sessions >= 0, "stagnant_sessions must not be negative")
        _require(0 < self.clamp_low <= self.clamp_high, "needs 0 < clamp_low <= clamp_high")
        _require(
            self.clamp_high * max(self.stop, self.trail) < 1,
            "clamp_high times stop or trail reaches a price of zero",
        )
        # Without an ATR the static stop applies, which a clamp_high below 1 does not narrow.
        widest = max(self.clamp_high, 1.0) * self.stop
        _require(
            self.resident_stop > widest,
            f"resident_stop must exceed clamp_high times stop ({widest:g}), "
            f"not be {self.resident_stop:g}",
        )
        _require(self.missed_sessions >= 1, "missed_sessions must be at least 1")


@dataclass(frozen=True)
class SizingRules:
    """How much of the equity an entry takes."""

    prior_win_rate: float = 0.55
    prior_payoff: float = 1.6
    prior_trades: float = 50.0
    maximum_payoff: float = 5.0
    kelly_divisor: float = 4.0
    minimum_weight: float = 0.02
    maximum_weight: float = 0.15
    full_vote_above_threshold: float = 0.30
    limit_collar_bps: float = 20.0

    def __post_init__(self) -> None:
        _require(0 < self.prior_win_rate < 1, "prior_win_rate must be between 0 and 1")
        _require(
            0 < self.prior_payoff <= self.maximum_payoff,
            "needs 0 < prior_payoff <= maximum_payoff",
        )
        _require(self.prior_trades > 0, "prior_trades must be above 0")
        _require(self.kelly_divisor > 0, "kelly_divisor must be above 0")
        _require(self.full_vote_above_threshold > 0, "full_vote_above_threshold must be above 0")
        _require(self.limit_collar_bps >= 0, "limit_collar_bps must not be negative")
        _require(
            0 < self.minimum_weight <= self.maximum_weight <= 1,
            "needs 0 < minimum_weight <= maximum_weight <= 1",
        )


@dataclass(frozen=True)
class Limits:
    """What no entry may exceed. Exits and protection are never blocked by any of these."""

    symbol: float = 0.15
    sector: float = 0.30
    gross: float = 0.80
    positions: int = 10
    dollar_volume: float = 0.01
    orders_per_session: int = 20
    daily_loss: float = 0.03
    minutes_before_close: float = 15.0
    quote_age_seconds: float = 60.0
    spread_bps: float = 50.0

    def __post_init__(self) -> None:
        _require_fractions(self, "symbol", "sector", "gross", "dollar_volume", "daily_loss")
        _require(self.positions >= 1, "positions must be at least 1")
        for name in (
            "orders_per_session",
            "minutes_before_close",
            "quote_age_seconds",
            "spread_bps",
        ):
            _require(getattr(self, name) >= 0, f"{name} must not be negative")


@dataclass(frozen=True)
class Policy:
    """All rules together."""

    vote: VoteRules = field(default_factory=VoteRules)
    scan: ScanRules = field(default_factory=ScanRules)
    exits: ExitRules = field(default_factory=ExitRules)
    sizing: SizingRules = field(default_factory=SizingRules)
    limits: Limits = field(default_factory=Limits)


def policy_sections() -> dict[str, type]:
    """Section name to rule class, in the order of the TOML."""
    return {f.name: type(getattr(Policy(), f.name)) for f in fields(Policy)}
