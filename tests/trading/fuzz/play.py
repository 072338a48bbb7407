"""Playing a schedule from start to rest, with an eye on everything that must hold."""

from __future__ import annotations

import logging
import os
import traceback
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
from tests.trading.fuzz import markets
from tests.trading.fuzz.audit import Audit
from tests.trading.fuzz.books import Books, BrokenError, purpose_of, require
from tests.trading.fuzz.by_hand import traded_by_hand
from tests.trading.fuzz.generator import schedule_of
from tests.trading.fuzz.program import Program, mortal_commits
from tests.trading.fuzz.steps import (
    ByHand,
    Halted,
    Lifted,
    Resumed,
    Run,
    StoreLost,
    Trouble,
)
from tests.trading.fuzz.witness import Witness

from swingtrader.adapters.store import Store
from swingtrader.adapters.store.opening import STORE_NAME
from swingtrader.commands import halts
from swingtrader.config import load_strategy
from swingtrader.simulator.clock import eastern_day
from swingtrader.simulator.exchange import Exchange
from swingtrader.simulator.faults import Fault
from swingtrader.simulator.prices import Split

MEMORY = Path("/dev/shm")  # noqa: S108 - where there is one, commits need not wait for a disk
CLEAN_CHECKS = 2


@dataclass(frozen=True)
class Played:
    """What became of a schedule.

    Attributes
    ----------
    failure : str or None
        What broke, where, and how to see it again.
    counts : Counter
        How often what was met: ends of runs, orders by purpose, faults, hand trades.
    """

    seed: int
    failure: str | None
    counts: Counter


@lru_cache(maxsize=1)
def _strategy():
    return load_strategy(None)


def _strategy_of(schedule):
    strategy = replace(_strategy(), unmanaged=schedule.unmanaged)
    if not schedule.greedy:
        return strategy
    policy = strategy.policy
    limits = replace(policy.limits, gross=1.0, symbol=0.6)
    sizing = replace(policy.sizing, kelly_divisor=0.3, maximum_weight=0.6)
    return replace(strategy, policy=replace(policy, limits=limits, sizing=sizing))


class Player:
    """One schedule being played in a directory of its own."""

    def __init__(self, schedule, home, tell, kind):
        self.schedule = schedule
        self.tell = tell
        self.now_at = "the start"
        self.counts = Counter()
        splits = [Split(each.symbol, each.session, each.ratio) for each in schedule.splits]
        self.exchange = Exchange(
            markets.panel_of(schedule.market),
            markets.timetable(),
            start=schedule.start,
            cash=Decimal(schedule.cash),
            splits=splits,
            settings=schedule.settings,
        )
        symbols = markets.symbols_of(schedule.market)
        self.program = kind(
            self.exchange, home, symbols, mode=schedule.mode, strategy=_strategy_of(schedule)
        )
        self.books = Books(self.exchange, schedule.splits)
        self.audit = Audit(self.program, self.books, schedule)
        self.witness = Witness(self.program, self.books, schedule)
        self.program.witness = self.witness
        self.program.on_meanwhile = self._meanwhile

    def play(self):
        """Take every step, then see the account come to rest."""
        with mortal_commits(self.program), self.program.open_for_trade():
            for number, (at, step) in enumerate(self.schedule.steps, start=1):
                self.now_at = f"step {number}, {at:%Y-%m-%d %H:%M:%S}: {step}"
                self.program.sooner(at)
                self.books.catch_up()
                self.take(step)
            self._comes_to_rest()

    def take(self, step):
        """Take one step."""
        self.tell(f"{self.exchange.now:%m-%d %H:%M:%S}  {step}")
        self.counts[type(step).__name__] += 1
        match step:
            case Run():
                self._run(step)
            case Trouble(what=what):
                if not isinstance(what, Fault):
                    self.witness.conditions.append(what)
                self.exchange.set_fault(what)
            case Lifted():
                self._lift()
            case ByHand():
                traded_by_hand(step, self.program, self.books, self.tell)
            case Halted():
                with self._opened() as store:
                    halts.halt(store, "schedule", self.exchange.now, flatten=step.flatten)
            case Resumed():
                with self._opened() as store:
                    halts.resume(store, self.exchange.now)
                self.witness.lost_on = None
            case StoreLost():
                self._lose_store(step)

    # The program ---------------------------------------------------------------------------

    def _run(self, step):
        life, ran = self._lived(step)
        self.audit.after(step, ran, life)
        return ran

    def _lived(self, step):
        orders = len(self.exchange.all_orders)
        ran, life = self.program.live(step)
        self._tell_of(ran, orders)
        return life, ran

    def _tell_of(self, ran, orders):
        code = "killed" if ran is None else ran.code
        why = "" if ran is None or ran.error is None else type(ran.error).__name__
        self.tell(f"    -> {code} {why}")
        self.counts[f"ended {code}"] += 1
        for warning in () if ran is None else ran.report.get("warnings", ()):
            self.tell(f"       {warning}")
        for order in self.exchange.all_orders[orders:]:
            self.tell(
                f"       {order.client_order_id} {order.symbol} {order.side} {order.qty} "
                f"{order.type} {order.status} filled {order.filled_qty}"
            )
            self.counts[f"{purpose_of(order)} {order.status}"] += 1

    def _meanwhile(self, what):
        """Something comes in between the requests of a run."""
        outer = self.program.life
        self.tell(f"    meanwhile {what}")
        if isinstance(what, ByHand) and what.what == "sell" and not self.exchange_forbids_shorts:
            return  # nobody could keep the program from selling the same shares short
        if not isinstance(what, Run):
            with self.program.outside():
                self.take(what)
            return
        inside = any(
            record.path == "/v2/orders" and record.method == "GET"
            and record.query.get("status") == "open"
            for record in outer.records
        )  # fmt: skip
        life, ran = self._lived(what)
        if inside:
            sent = [record for record in life.records if record.changes_orders]
            require(not sent, "a run acts while another holds the lock", sent)
            idle = ran is None or ran.code in {69, 75} or ran.report["skipped"]
            require(idle, "the lock is not held", ran)
        else:
            self.audit.after(what, ran, replace(life, interfered=True))

    @property
    def exchange_forbids_shorts(self):
        """Whether a sale too many would be refused."""
        return self.schedule.settings.no_shorting

    def _opened(self):
        return Store.open(self.program.places.state_dir, now=self.exchange.now)

    def _lose_store(self, step):
        state = self.program.places.state_dir
        if not (state / STORE_NAME).exists():
            return
        if step.damaged:
            path = state / STORE_NAME
            size = path.stat().st_size
            for ending in ("-wal", "-shm"):
                path.with_name(path.name + ending).unlink(missing_ok=True)
            path.write_bytes(b"\x5a" * max(size, 8192))
        else:
            for path in state.glob(f"{STORE_NAME}*"):
                path.unlink()
        self.audit.forget()
        if self.exchange.all_orders or any(self.books.qty.values()):
            self.witness.lost_on = eastern_day(self.exchange.now)

    # The person and the market -------------------------------------------------------------

    def _lift(self):
        self.exchange.clear_faults()
        self.witness.conditions.clear()

    # The end -------------------------------------------------------------------------------

    def _comes_to_rest(self):
        """With every fault lifted, two checks bring store and account into step.

        Not where a cancellation takes longer than a run waits for it: that goes on for ever.
        """
        self.now_at = "the end, with every fault lifted"
        self._lift()
        self.program.sooner(self.schedule.ends_at)
        if self.schedule.flattens:
            self.take(Halted(flatten=True))
        is_slow = self.schedule.cancels_slowly
        for _ in range(CLEAN_CHECKS):
            self.program.wait(minutes=5)
            self.tell(f"{self.exchange.now:%m-%d %H:%M:%S}  clean risk check")
            ran = self._run(Run("risk-check"))
            require(ran.code == 0 or is_slow, "a clean check does not end well", ran.error)
        if not is_slow:
            self._rests()

    def _rests(self):
        """At the same instant a further check finds nothing to do, and nothing left open."""
        before = len(self.exchange.requests)
        self._run(Run("risk-check"))
        done = self.exchange.requests[before:]
        sent = [each for each in done if each.changes_orders and each.status < 400]
        require(not sent, "the account does not come to rest", sent)
        self.audit.at_rest()
        if self.schedule.flattens:
            self.audit.is_flat()


def play(seed, tell=lambda _line: None, kind=Program):
    """Play the schedule of a seed; `kind` says what a process is."""
    schedule = schedule_of(seed)
    failure = None
    directory = MEMORY if os.access(MEMORY, os.W_OK) else None
    with TemporaryDirectory(dir=directory) as home, _silently():
        player = Player(schedule, Path(home), tell, kind)
        try:
            player.play()
        except BrokenError as error:
            failure = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the seed must be told
            tell(traceback.format_exc())
            failure = f"{type(error).__name__}: {error}"
        player.counts.update(f"met {record.fault}" for record in player.exchange.requests)
    if failure is not None:
        failure = (
            f"schedule {seed} broke at {player.now_at}\n  {failure}\n"
            f"  replay: scripts/fuzz-schedules --seed {seed}"
        )
    return Played(seed, failure, player.counts)


@contextmanager
def _silently():
    """Without log lines: they take longer than the schedule."""
    before = structlog.get_config()
    wrapper = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=wrapper)
    try:
        yield
    finally:
        structlog.configure(**before)
