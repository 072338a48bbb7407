"""The command line: options, the one reading of the local clock, and exit codes.

Imports here are few and cheap, because ``--help`` and ``status`` must answer at once; a command
imports what it needs when it runs. Errors become one line on stderr and an exit code of the
contract in `app`, and nowhere else.
"""

from swingtrader.cli import backtesting, learning, looking, market_bars, models, trading
from swingtrader.cli.app import app, main, run

__all__ = [
    "app",
    "backtesting",
    "learning",
    "looking",
    "main",
    "market_bars",
    "models",
    "run",
    "trading",
]
