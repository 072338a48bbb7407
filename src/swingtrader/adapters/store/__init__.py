"""The state directory's SQLite database: what the program must still know tomorrow.

A subject is a module with one class: trials, account, runs, intents, positions, fills, orders,
halts, regimes, ranges, scans, decisions, models, sentiment, worth. `Store` has them side by side.
Decimals are kept as text to the last digit, instants as ISO text in UTC, sessions as ISO dates.
"""

from swingtrader.adapters.store.decisions import DecisionRow, LastDecision
from swingtrader.adapters.store.halts import Halt
from swingtrader.adapters.store.models import ModelRow
from swingtrader.adapters.store.opening import STORE_NAME
from swingtrader.adapters.store.regimes import RegimeRow
from swingtrader.adapters.store.runs import RunRecord
from swingtrader.adapters.store.scans import ScanRow
from swingtrader.adapters.store.store import Store
from swingtrader.adapters.store.trials import Trial
from swingtrader.adapters.store.worth import WorthRow

__all__ = [
    "STORE_NAME",
    "DecisionRow",
    "Halt",
    "LastDecision",
    "ModelRow",
    "RegimeRow",
    "RunRecord",
    "ScanRow",
    "Store",
    "Trial",
    "WorthRow",
]
