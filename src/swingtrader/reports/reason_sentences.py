"""Reason codes as sentences for people. Thresholds are configuration, so none is named here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swingtrader.core.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

SENTENCES: Mapping[str, str] = {
    Reason.ENTRY_VOTE: "The vote reached the threshold for buying, and no limit stood against it.",
    Reason.STOP_LOSS: "The price fell to the stop below the entry price.",
    Reason.TRAILING_STOP: "The price fell to the trailing stop below the highest since entry.",
    Reason.TARGET: "The price rose to the target above the entry price.",
    Reason.VOTE: "The vote fell to the threshold for selling.",
    Reason.MISSED_SCANS: "It was outside the scan for too many sessions in a row.",
    Reason.STAGNANT: "It was held for too many sessions with too little to show for it.",
    Reason.DELISTED: "It stopped trading.",
    Reason.FLATTEN: "A halt asked for everything to be sold.",
    Reason.HELD: "It is held, and no rule asks for its sale.",
    Reason.UNMANAGED: "It is held, and the configuration leaves it to you.",
    Reason.NO_BAR: "The bar of the last completed session is missing.",
    Reason.SECTOR_NOT_IN_SCAN: "Its sector is not among the strongest, which alone are scanned.",
    Reason.PRICE_BELOW_FLOOR: "Its price is below the scan's floor.",
    Reason.ILLIQUID: "Too few dollars of it change hands in a session.",
    Reason.NOT_RANKED: "The ranker has no opinion on it.",
    Reason.PROBABILITY_TOO_LOW: "The ranker gives it too little chance of a top-quartile return.",
    Reason.TOO_FEW_SIGNALS: "Too few signals have a view, or the quant signal has none.",
    Reason.VOTE_TOO_LOW: "The vote is below the threshold for buying.",
    Reason.HALTED: "It would be bought, but entries are halted, or the account is not known.",
    Reason.DAILY_LOSS: "It would be bought, but the session's loss has reached its limit.",
    Reason.NEAR_CLOSE: "It would be bought, but the session is about to close.",
    Reason.EXITED_THIS_SESSION: "It would be bought, but it was sold in this session.",
    Reason.BOUGHT_THIS_SESSION: "It would be bought, but it was bought in this session already.",
    Reason.OPEN_ORDER: "It would be bought, but an order on it is open or its outcome is unknown.",
    Reason.NO_QUOTE: "It would be bought, but nobody quotes a price.",
    Reason.STALE_QUOTE: "It would be bought, but its quote is too old.",
    Reason.SPREAD_TOO_WIDE: "It would be bought, but bid and ask are too far apart.",
    Reason.ORDER_LIMIT: "It would be bought, but the session's number of orders is used up.",
    Reason.POSITION_LIMIT: "It would be bought, but as many positions are held as may be.",
    Reason.SECTOR_LIMIT: "It would be bought, but its sector has its full share of the equity.",
    Reason.GROSS_LIMIT: "It would be bought, but all positions together have their full share.",
    Reason.VOLUME_LIMIT: "It would be bought, but even one share is too much of its volume.",
    Reason.NO_CASH: "It would be bought, but the cash that is left does not buy a share.",
    Reason.LESS_THAN_ONE_SHARE: "It would be bought, but its weight comes to less than one share.",
}
"""By code."""

HALT_SENTENCES: Mapping[str, str] = {
    Reason.DAILY_LOSS: "the session's loss has reached its limit",
    "store_rebuilt": "the state was lost and is rebuilt from the broker",
}
"""Halts that the program itself sets, by code; a person's reason is a sentence already."""


def reason_sentence(code: str) -> str:
    """Sentence for a reason code; a code of another version is shown as it is."""
    return SENTENCES.get(code, f"This version has no sentence for '{code}'.")


def halt_sentence(reason: str) -> str:
    """Sentence for why entries are halted."""
    return HALT_SENTENCES.get(reason, reason)
