"""Why each symbol was bought, sold or left alone: one code a symbol, one list of codes."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Action(IntEnum):
    """What is done about a symbol; the integers are what arrays and files hold."""

    SELL = -1
    HOLD = 0
    BUY = 1


class Reason(StrEnum):
    """Reason codes, as they appear in logs, files and ``swingtrader why``."""

    # Bought.
    ENTRY_VOTE = "entry_vote"
    # Sold.
    STOP_LOSS = "stop_loss"
    TRAILING_STOP = "trailing_stop"
    TARGET = "target"
    VOTE = "vote"
    MISSED_SCANS = "missed_scans"
    STAGNANT = "stagnant"
    DELISTED = "delisted"
    FLATTEN = "flatten"
    # Left alone: held, or not worth a vote.
    HELD = "held"
    UNMANAGED = "unmanaged"
    NO_BAR = "no_bar"
    SECTOR_NOT_IN_SCAN = "sector_not_in_scan"
    PRICE_BELOW_FLOOR = "price_below_floor"
    ILLIQUID = "illiquid"
    NOT_RANKED = "not_ranked"
    PROBABILITY_TOO_LOW = "probability_too_low"
    TOO_FEW_SIGNALS = "too_few_signals"
    VOTE_TOO_LOW = "vote_too_low"
    # A BUY that a limit refused.
    HALTED = "halted"
    DAILY_LOSS = "daily_loss"
    NEAR_CLOSE = "near_close"
    EXITED_THIS_SESSION = "exited_this_session"
    BOUGHT_THIS_SESSION = "bought_this_session"
    OPEN_ORDER = "open_order"
    NO_QUOTE = "no_quote"
    STALE_QUOTE = "stale_quote"
    SPREAD_TOO_WIDE = "spread_too_wide"
    ORDER_LIMIT = "order_limit"
    POSITION_LIMIT = "position_limit"
    SECTOR_LIMIT = "sector_limit"
    GROSS_LIMIT = "gross_limit"
    VOLUME_LIMIT = "volume_limit"
    NO_CASH = "no_cash"
    LESS_THAN_ONE_SHARE = "less_than_one_share"


REASONS: tuple[Reason, ...] = tuple(Reason)
"""Code at each position; arrays of reasons hold positions in this tuple."""

REASON_NUMBER: dict[Reason, int] = {reason: n for n, reason in enumerate(REASONS)}
