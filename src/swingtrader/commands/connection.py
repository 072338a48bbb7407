"""The way to Alpaca, opened when a run first needs it: its library takes half a second to load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from swingtrader.adapters.alpaca_data import AlpacaData
    from swingtrader.adapters.alpaca_trading import AlpacaBroker
    from swingtrader.adapters.alpaca_wire import Connection
    from swingtrader.environment import BrokerSettings

REHEARSAL_PAUSE_SECONDS = 0.002
"""Against a simulator on this machine time is simulated: waiting for it is of no use."""


@dataclass(frozen=True)
class AlpacaConnect:
    """Opens clients for one account.

    Attributes
    ----------
    pause : callable
        Waits so many seconds.
    """

    settings: BrokerSettings
    pause: Callable[[float], None]

    def broker(self) -> AlpacaBroker:
        """Account and orders."""
        from swingtrader.adapters.alpaca_trading import AlpacaBroker  # noqa: PLC0415 - heavy

        return AlpacaBroker(self._connection(), pause=self.pause)

    def data(self, asof: datetime) -> AlpacaData:
        """Prices and bars, as of the run's one instant."""
        from swingtrader.adapters.alpaca_data import AlpacaData  # noqa: PLC0415 - heavy

        return AlpacaData(self._connection(), pause=self.pause, asof=asof)

    def _connection(self) -> Connection:
        from swingtrader.adapters.alpaca_wire import Connection  # noqa: PLC0415 - heavy

        settings = self.settings
        return Connection(
            api_key=settings.api_key,
            secret_key=settings.secret_key,
            trading_url=settings.trading_url,
            data_url=settings.data_url,
            feed=settings.feed,
        )


def pause_for(settings: BrokerSettings, sleep: Callable[[float], None]) -> Callable[[float], None]:
    """How to wait: in earnest, or hardly at all in a rehearsal."""
    if settings.is_rehearsal:
        return lambda seconds: sleep(min(seconds, REHEARSAL_PAUSE_SECONDS))
    return sleep
