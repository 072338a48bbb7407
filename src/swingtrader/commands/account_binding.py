"""Whose account this is: the one the store belongs to, and for real money the one that was named.

A store that knows no account yet is either new or was lost. Where the account shows any trace of
trading it counts as lost: nothing is bought until the next session, because what was already
done in this one is no longer known for sure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swingtrader.commands.trading_run import log
from swingtrader.errors import ConfigurationError

if TYPE_CHECKING:
    from datetime import date

    from swingtrader.adapters.store import Store
    from swingtrader.core.portfolio import MarketClock
    from swingtrader.environment import BrokerSettings
    from swingtrader.ports import Broker

STORE_REBUILT = "store_rebuilt"
"""Reason of the halt for the rest of the session in which the store was found empty."""


def bind_account(
    store: Store, broker: Broker, settings: BrokerSettings, clock: MarketClock, session: date
) -> str:
    """Make sure that store, settings and broker speak of one account; return its number.

    Raises
    ------
    ConfigurationError
        They do not.
    """
    number = broker.account().number
    if not settings.paper and settings.live_account != number:
        raise ConfigurationError(
            "ALPACA_PAPER=false, and the keys open another account than LIVE_ACCOUNT names; "
            "set LIVE_ACCOUNT to the number that the broker's website shows for these keys"
        )
    # The halt comes first: killed in between, the next run must find the store still unbound.
    if (
        store.account.number() is None
        and clock.is_open
        and (broker.has_ever_ordered() or broker.positions())
    ):
        store.halts.add(STORE_REBUILT, clock.at, session=session)
        log.warning("store.rebuilt", why="the store was empty, and the account is not")
    store.account.bind(number, clock.at)
    return number
