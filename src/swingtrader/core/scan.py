"""Which symbols are worth a vote this session.

Strongest sectors first, then floors on price and liquidity, then the ranker's probability. A
symbol without a sector passes the first step: nothing is known about its sector that could
keep it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swingtrader.core.reasons import REASON_NUMBER, Reason
from swingtrader.core.universe import NO_SECTOR

if TYPE_CHECKING:
    from swingtrader.core.arrays import BoolArray, FloatArray, IntArray
    from swingtrader.core.policy import ScanRules


@dataclass(frozen=True, eq=False)
class Scan:
    """Outcome for N symbols.

    Attributes
    ----------
    rank : ndarray of shape (N,), int
        1 for the highest probability; 0 outside the scan.
    reasons : ndarray of shape (N,), int8
        Why a symbol is outside; meaningless inside.
    made : bool
        Whether the ranker had a view of any symbol. Without one nothing was scanned, and
        nobody can have missed it.
    """

    rank: IntArray
    reasons: IntArray
    made: bool


def chosen_sectors(
    sector_strength: FloatArray, candidates_per_sector: IntArray, others: int, rules: ScanRules
) -> BoolArray:
    """Return the strongest sectors, widened until they hold enough candidates.

    Parameters
    ----------
    sector_strength : ndarray of shape (S,)
        NaN sorts last.
    candidates_per_sector : ndarray of shape (S,)
        Symbols above the floors.
    others : int
        Candidates without a sector; they count.

    Returns
    -------
    ndarray of shape (S,)
    """
    strongest_first = np.argsort(-sector_strength, kind="stable")  # NaN sorts last
    reached = others + np.cumsum(candidates_per_sector[strongest_first])
    enough = int(np.searchsorted(reached, rules.minimum_candidates)) + 1
    chosen = np.zeros(len(sector_strength), dtype=bool)
    chosen[strongest_first[: max(rules.top_sectors, enough)]] = True
    return chosen


def scan(
    *,
    probability: FloatArray,
    close: FloatArray,
    dollar_volume_usd: FloatArray,
    sector: IntArray,
    sector_strength: FloatArray,
    rules: ScanRules,
) -> Scan:
    """Scan N symbols in S sectors.

    Parameters
    ----------
    probability : ndarray of shape (N,)
        NaN where the ranker has no view.
    close, dollar_volume_usd : ndarray of shape (N,)
        Of the last completed session; NaN fails the floor.
    sector : ndarray of shape (N,)
    sector_strength : ndarray of shape (S,)
    """
    priced = close >= rules.minimum_price_usd
    liquid = dollar_volume_usd >= rules.minimum_dollar_volume_usd
    above_floors = priced & liquid
    housed = sector != NO_SECTOR
    per_sector = np.bincount(sector[above_floors & housed], minlength=len(sector_strength))
    others = int(np.count_nonzero(above_floors & ~housed))
    chosen = chosen_sectors(sector_strength, per_sector, others, rules)
    # A last entry of True gives the index NO_SECTOR, -1, its pass.
    in_sector = np.append(chosen, np.True_)[sector]
    ranked = ~np.isnan(probability)
    likely = probability > rules.minimum_probability
    inside = in_sector & above_floors & likely

    reasons = np.zeros(len(close), dtype=np.int8)
    for outside, reason in (
        (~likely, Reason.PROBABILITY_TOO_LOW),
        (~ranked, Reason.NOT_RANKED),
        (~liquid, Reason.ILLIQUID),
        (~priced, Reason.PRICE_BELOW_FLOOR),
        (~in_sector, Reason.SECTOR_NOT_IN_SCAN),
        (np.isnan(close), Reason.NO_BAR),
    ):
        reasons[outside] = REASON_NUMBER[reason]
    rank = np.zeros(len(close), dtype=np.int64)
    columns = np.flatnonzero(inside)
    rank[columns[np.argsort(-probability[columns], kind="stable")]] = np.arange(
        1, len(columns) + 1
    )
    return Scan(rank, reasons, made=bool(ranked.any()))
