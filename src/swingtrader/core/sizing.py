"""How much to buy: a quarter of a shrunken Kelly fraction, scaled by conviction and regime.

`whole_shares` is the one place where dollars become shares; it rounds toward no trade.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swingtrader.core.policy import SizingRules


@dataclass(frozen=True)
class TradeRecord:
    """Closed trades of the walk-forward record that lie before a decision.

    Attributes
    ----------
    wins, losses : int
        Trades with a positive return, and the others.
    sum_of_wins, sum_of_losses : float
        Sums of their simple returns; the second is zero or negative.
    """

    wins: int = 0
    losses: int = 0
    sum_of_wins: float = 0.0
    sum_of_losses: float = 0.0

    @property
    def trades(self) -> int:
        """Number of closed trades."""
        return self.wins + self.losses

    def with_trade(self, simple_return: float) -> TradeRecord:
        """Return the record after one more closed trade."""
        if simple_return > 0:
            return TradeRecord(
                self.wins + 1, self.losses, self.sum_of_wins + simple_return, self.sum_of_losses
            )
        return TradeRecord(
            self.wins, self.losses + 1, self.sum_of_wins, self.sum_of_losses + simple_return
        )


def kelly_fraction(record: TradeRecord, rules: SizingRules) -> float:
    """Kelly fraction p - (1 - p) / b, win rate and payoff shrunk toward the prior.

    Kelly (1956) for a bet that wins b with probability p and else loses 1. Win rate p and
    payoff b (mean win over mean loss) are averaged with a prior worth `prior_trades` trades.
    A record without both wins and losses has no payoff of its own and keeps the prior's; one
    with a single tiny loss would show a huge payoff, so it is bounded.
    """
    weight = record.trades + rules.prior_trades
    win_rate = (record.wins + rules.prior_trades * rules.prior_win_rate) / weight
    payoff = rules.prior_payoff
    if record.sum_of_wins > 0 and record.sum_of_losses < 0:
        own = (record.sum_of_wins / record.wins) / (-record.sum_of_losses / record.losses)
        own = min(own, rules.maximum_payoff)
        payoff = (record.trades * own + rules.prior_trades * rules.prior_payoff) / weight
    return win_rate - (1.0 - win_rate) / payoff


def entry_weight(
    kelly: float, vote: float, buy_at: float, exposure_scale: float, rules: SizingRules
) -> float:
    """Fraction of the equity an entry takes, before any limit.

    A quarter of the Kelly fraction within its bounds; half of it at the threshold of a BUY,
    all of it from `full_vote_above_threshold` beyond; scaled down in high volatility. A
    fraction of zero or less keeps the lower bound: the caller warns that no edge is on record.
    """
    base = min(max(kelly / rules.kelly_divisor, rules.minimum_weight), rules.maximum_weight)
    conviction = min(1.0, max(0.0, vote - buy_at) / rules.full_vote_above_threshold)
    return base * (0.5 + 0.5 * conviction) * exposure_scale


def limit_price(ask: float, rules: SizingRules) -> float:
    """Price of a marketable limit: the ask plus a collar, up to the next cent.

    Below one dollar exchanges quote in hundredths of a cent, so it rounds to those.
    """
    collared = ask * (1.0 + rules.limit_collar_bps / 10_000.0)
    scale = 100.0 if collared >= 1.0 else 10_000.0
    # The tolerance keeps a price that is already on the grid from being pushed a step up.
    return math.ceil(collared * scale - 1e-6) / scale


def whole_shares(budget_usd: float, price_usd: float) -> int:
    """Whole shares that `budget_usd` buys at `price_usd`, rounded down; 0 when in doubt."""
    if not (math.isfinite(budget_usd) and math.isfinite(price_usd)) or price_usd <= 0:
        return 0
    # `//` divides exactly; a quotient rounded up to the next whole would overspend.
    return max(0, int(budget_usd // price_usd))
