"""Every kind of write to the store, and a process that is killed in each.

A script of its own, because only a real process can be killed: it takes the directory of a
store, the number of a write and that of a statement, does the write, and kills itself just
before it would begin that statement. Statement 0 stands for the moment after the write.
"""

import os
import signal
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from swingtrader.adapters.store import DecisionRow, Store, Trial
from swingtrader.core.orders import BrokerOrder, Intent, IntentState, OrderType, Purpose
from swingtrader.core.portfolio import Execution, MarketClock, ShareSplit, TrackedPosition
from swingtrader.core.worth import SignalWorth

NOW = datetime(2025, 3, 14, 15, 9, 26, tzinfo=UTC)
OLD = NOW - timedelta(days=200)
SESSION = date(2025, 3, 14)
TEN = Decimal(10)
POSITIONS = [TrackedPosition(symbol, TEN, TEN, SESSION) for symbol in ("KO", "PEP")]
ORDERS = [BrokerOrder(id_, id_, "KO", "sell", "stop", "new", TEN) for id_ in ("b1", "b2")]
FILLS = [
    Execution("f1", NOW, "KO", "buy", TEN, TEN, "b0"),
    ShareSplit("s1", SESSION, "KO", TEN),
]
ROWS = [DecisionRow(symbol, "hold", 0.1, {"quant": 0.5}, "held") for symbol in ("KO", "PEP")]
INTENT = Intent(
    client_order_id="st-1",
    session=SESSION,
    symbol="KO",
    side="sell",
    purpose=Purpose.EXIT,
    qty=TEN,
    type=OrderType.MARKET,
    reason="target",
    run_id="r1",
    written_at=NOW,
)
WORTH = [SignalWorth(name, 0.1, -0.1, 0.2, 0.01, 1.0) for name in ("rl", "quant")]
TRIAL = Trial("f1", NOW, "backtest", "c1", "d1", 7, SESSION, SESSION, 2, 0.1, 0.2, 0.3, 4, "{}")


def _decided(store, run_id, at):
    store.decisions.record(run_id, at.date(), at, {"quant": 0.3}, ROWS, b"known")


# Each builds on those before it; every one changes something.
WRITES = (
    lambda store: store.account.bind("PA3XYZ00AB12", NOW),
    lambda store: store.runs.start("r0", "decide", "paper", OLD),
    lambda store: _decided(store, "r0", OLD),
    lambda store: store.runs.start("r1", "decide", "paper", NOW),
    lambda store: store.runs.saw_clock("r1", MarketClock(NOW, True, NOW, NOW), SESSION),
    lambda store: store.intents.write(INTENT),
    lambda store: store.intents.settle("st-1", state=IntentState.WORKING, at=NOW, status="new"),
    lambda store: store.positions.replace(POSITIONS, NOW),
    lambda store: store.positions.replace(POSITIONS[1:], NOW + timedelta(minutes=1)),
    lambda store: store.orders.replace(ORDERS, NOW),
    lambda store: store.orders.replace(ORDERS[1:], NOW + timedelta(minutes=1)),
    lambda store: store.fills.add(FILLS[:1]),
    lambda store: store.observe(POSITIONS[:1], ORDERS[:1], FILLS, NOW),
    lambda store: store.halts.add("by_hand", NOW),
    lambda store: store.halts.add("by_hand", NOW, flatten=True),
    lambda store: store.halts.lift_all(NOW),
    lambda store: store.regimes.record(SESSION, 0.5, "high_volatility", NOW),
    lambda store: store.ranges.record(SESSION, {"KO": 0.01, "PEP": 0.02}, NOW),
    lambda store: store.scans.record(SESSION, [("KO", 1, 0.9), ("PEP", 2, 0.8)]),
    lambda store: store.scans.record(SESSION, [("V", 1, 0.7)]),
    lambda store: _decided(store, "r1", NOW),
    lambda store: store.models.record("ranker", "v1", NOW, NOW),
    lambda store: store.sentiment.record("m1", {"00" * 32: 0.5, "01" * 32: -0.5}, NOW),
    lambda store: store.sentiment.record("m1", {"02" * 32: 0.5, "01" * 32: 0.1}, NOW, keep=2),
    lambda store: store.worth.replace(WORTH, (SESSION, SESSION), NOW),
    lambda store: store.worth.replace(WORTH[1:], (SESSION, SESSION), NOW),
    lambda store: store.trials.record(TRIAL),
    lambda store: store.runs.finish("r1", NOW, 0, {"orders": []}, None, ["careful"]),
)


def statements_of(store, write):
    """Do a write; return the statements it took, in order."""
    connection = store._connection  # noqa: SLF001 - what is committed when shows nowhere else
    seen = []
    connection.set_trace_callback(seen.append)
    write(store)
    connection.set_trace_callback(None)
    return seen


def _killed_before(statement):
    left = statement

    def count(_statement):
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return count


def main(state_dir, number, statement):
    """Do write `number` and be killed before `statement`, or after all of them for 0."""
    store = Store.open(Path(state_dir), now=NOW)
    connection = store._connection  # noqa: SLF001
    connection.set_trace_callback(_killed_before(int(statement)))
    WRITES[int(number)](store)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    # A fork a line: a kill costs no start of Python.
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            main(*line.split())
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - to the test
