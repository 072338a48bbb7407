"""How the simulated exchange is set up: one frozen value, every default an Alpaca habit.

The account starts as Alpaca opens one: margin times two and shorting allowed. A rehearsal of the
program sets `no_shorting` itself, through the account's configuration, as it would in earnest.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Literal


@dataclass(frozen=True)
class Latency:
    """When something asked for takes effect: whichever comes first.

    Attributes
    ----------
    polls : int or None
        At the start of that many-th later request, at least 1; a run whose clock stands still
        can wait by asking. None: however often it is asked, only time helps.
    delay : timedelta or None
        After so much simulated time. None: however late it is, only asking helps.
    """

    polls: int | None = 1
    delay: timedelta | None = timedelta(seconds=1)

    def __post_init__(self) -> None:
        if self.polls is not None and self.polls < 1:
            raise ValueError("polls counts later requests, so it is at least 1")
        if self.polls is None and self.delay is None:
            raise ValueError("with neither polls nor delay nothing would ever happen")


@dataclass(frozen=True)
class ExchangeSettings:
    """Everything about the exchange that is not market data.

    Attributes
    ----------
    seed : int
        Of the intraday paths and of every identifier.
    account_number, api_key, secret_key : str
        What the one account is called and what opens it.
    multiplier : int
        1 is a cash account, which cannot short; 2 and 4 lend.
    no_shorting : bool
        The account's own switch, off at Alpaca until somebody turns it on.
    half_spread_bps : Decimal
        Distance of bid and ask from the last trade, before rounding to the tick.
    volume_share : Decimal or None
        Largest part of a minute's volume that our orders get, all together. None: no limit.
    order_latency, cancel_latency, replace_latency : Latency
        From the answer to the effect of an order, a cancellation, a replacement.
    requests_a_minute : int or None
        Of simulated time, for one key over all processes. None: no limit.
    sip_delay : timedelta
        What the free plan hides of consolidated data; zero for a paid plan.
    iex_volume_share : Decimal
        One exchange's part of the consolidated volume.
    split_treatment : {"adjust", "cancel", "keep"}
        Of open simple orders at a forward split. Groups are never moved, and a reverse split
        cancels every order.
    easy_to_borrow : bool
        Whether assets still carry the field that Alpaca announced to drop in September 2026.
    """

    seed: int = 0
    account_number: str = "PA3SIMULATED"
    api_key: str = "simulated-key"
    secret_key: str = "simulated-secret"  # noqa: S105 - opens nothing but a simulator
    multiplier: int = 2
    no_shorting: bool = False
    half_spread_bps: Decimal = Decimal(2)
    volume_share: Decimal | None = None
    order_latency: Latency = Latency()
    cancel_latency: Latency = Latency()
    replace_latency: Latency = Latency()
    requests_a_minute: int | None = 200
    sip_delay: timedelta = timedelta(minutes=15)
    iex_volume_share: Decimal = Decimal("0.025")
    split_treatment: Literal["adjust", "cancel", "keep"] = "adjust"
    easy_to_borrow: bool = False

    def __post_init__(self) -> None:
        if self.multiplier not in {1, 2, 4}:
            raise ValueError(f"multiplier is 1, 2 or 4, not {self.multiplier}")
