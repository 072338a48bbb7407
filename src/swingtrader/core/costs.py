"""What a simulated execution costs: half-spread, slippage, regulatory fees, and its size limit.

Every rounding goes against us, so a backtest can only be too pessimistic by it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

BPS = 10_000.0
_GRID = 10_000.0  # executions are booked in hundredths of a cent


@dataclass(frozen=True)
class Costs:
    """Assumptions about executions.

    Attributes
    ----------
    half_spread_bps, slippage_bps : float
        Paid on every fill, on top of each other.
    sec_fee_rate : float
        Section 31 fee per dollar sold: 27.80 USD a million, as on Alpaca's page of regulatory
        fees in 2024. It is set anew every year and was zero for a part of 2025.
    taf_per_share_usd, taf_cap_usd : float
        FINRA trading activity fee per share sold, and its cap per trade (same source). The fee
        for the consolidated audit trail, below 0.01 cent a share, is left out.
    participation : float
        Largest share of a session's volume that is ours.
    """

    half_spread_bps: float = 2.0
    slippage_bps: float = 3.0
    sec_fee_rate: float = 27.80e-6
    taf_per_share_usd: float = 0.000166
    taf_cap_usd: float = 8.30
    participation: float = 0.025

    def __post_init__(self) -> None:
        for name in ("half_spread_bps", "slippage_bps"):
            value = getattr(self, name)
            if not 0 <= value < BPS / 2:
                raise ValueError(f"{name} must be at least 0 and below 5000, not {value}")
        for name in ("sec_fee_rate", "taf_per_share_usd", "taf_cap_usd"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} must be at least 0, not {value}")
        if not 0 < self.participation <= 1:
            raise ValueError(f"participation must be in (0, 1], not {self.participation}")

    def buy_price(self, price: float) -> float:
        """Price paid for a buy at `price`, rounded up."""
        paid = price * (1.0 + (self.half_spread_bps + self.slippage_bps) / BPS)
        return math.ceil(paid * _GRID - 1e-6) / _GRID

    def sell_price(self, price: float) -> float:
        """Price received for a sell at `price`, rounded down; never negative."""
        received = price * (1.0 - (self.half_spread_bps + self.slippage_bps) / BPS)
        return max(0.0, math.floor(received * _GRID + 1e-6) / _GRID)

    def sell_fees_usd(self, qty: float, price: float) -> float:
        """Regulatory fees of a sale, each rounded up to the cent."""
        sec = qty * price * self.sec_fee_rate
        taf = min(qty * self.taf_per_share_usd, self.taf_cap_usd)
        return (_cents_up(sec) + _cents_up(taf)) / 100.0

    def tradable_shares(self, session_volume: float) -> int:
        """Shares of one session's volume that may be ours; 0 where nothing was traded."""
        return int(self.participation * session_volume) if session_volume > 0 else 0


def _cents_up(usd: float) -> int:
    return math.ceil(usd * 100.0 - 1e-9)
