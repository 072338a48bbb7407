# ruff: noqa: D102 - as in the test world, methods are named for what they do
"""The program as processes that can die: the real commands over the real client, in process.

What a kill leaves must be what it would leave in earnest. So once a process is dead, every
further request, pause and commit of its own dies as well: the `finally` blocks that Python still
runs change nothing, neither at the broker nor in the store. The lock ends with its holder, as
the kernel would have it; a transaction that was not committed is gone.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from requests.exceptions import ReadTimeout
from tests.trading.conftest import Forecast, World

from swingtrader.adapters.store import Store, database
from swingtrader.environment import Mode
from swingtrader.simulator import in_process

SILENCE_SECONDS = 20
"""What a silent peer costs: the client's own time-out."""

if TYPE_CHECKING:
    from datetime import datetime

    from tests.trading.fuzz.steps import Kill


class Killed(BaseException):
    """The process is no more; nothing that anybody may catch."""


@dataclass
class Life:
    """One process, from start to end or kill."""

    began_at: datetime
    kill: Kill | None = None
    meanwhile: object = None
    records: list = field(default_factory=list)
    run_id: str = ""
    counts: dict = field(default_factory=lambda: dict.fromkeys(("request", "order", "commit"), 0))
    dead: bool = False
    entered: dict = field(default_factory=dict)
    """Whether a stop was sent since, by symbol that this run has tried to buy."""
    interfered: bool = False

    def reaches(self, where, *, after):
        """Come to the next request or commit; die there if it is the one."""
        if self.dead:
            raise Killed
        if not after:
            self.counts[where] += 1
        kill = self.kill
        if kill and (kill.where, kill.nth, kill.after) == (where, self.counts[where], after):
            self.dead = True
            raise Killed

    def asks(self, request, *, after):
        self.reaches("request", after=after)
        if request.method == "POST":
            self.reaches("order", after=after)

    def lives(self):
        if self.dead:
            raise Killed


class Line(in_process.InProcessAdapter):
    """The way to the exchange, on which a process may die or another come in between."""

    def __init__(self, program):
        super().__init__(program.exchange)
        self._program = program

    def send(self, request, *args, **options):
        program, life = self._program, self._program.life
        life.asks(request, after=False)
        program.witness.sees(request, life)
        program.interrupt(life)
        try:
            return super().send(request, *args, **options)
        except ReadTimeout:
            program.wait(seconds=SILENCE_SECONDS)
            raise
        finally:
            life.records.append(program.exchange.requests[-1])
            life.asks(request, after=True)


class Program(World):
    """The commands on a simulated account, with time that passes while they wait.

    Attributes
    ----------
    witness
        Its `sees` is told of every request before it is sent.
    on_meanwhile : callable
        Does what comes in between.
    """

    def __init__(self, exchange, home, symbols, *, mode, strategy):
        super().__init__(exchange, home, symbols, mode=mode, strategy=strategy)
        self.witness = None
        self.on_meanwhile = None
        self.lives = []
        self._steps = []

    @property
    def life(self):
        return self.lives[-1]

    @property
    def sends_orders(self):
        return self.mode is not Mode.DRY_RUN

    def broker(self):
        broker = super().broker()
        self._put_through(broker.session)
        return broker

    def data(self, asof):
        data = super().data(asof)
        for session in data.sessions:
            self._put_through(session)
        return data

    def _put_through(self, session):
        session.trust_env = False
        session.mount(in_process.URL, Line(self))

    def launch(self, command):
        launch = super().launch(command)
        self.life.run_id = launch.run_id
        return replace(
            launch,
            pause=self._pause,
            elapsed_seconds=self.seconds,
            lock_wait_seconds=0.0,
        )

    def seconds(self):
        return self.exchange.now.timestamp()

    def _pause(self, seconds):
        self.life.lives()
        self.wait(seconds=seconds)

    def live(self, step):
        """Run one command as a process of its own: what it came to, None when killed, and it."""
        life = Life(self.exchange.now, step.kill, step.meanwhile)
        self.lives.append(life)
        self._steps.append(step)
        try:
            ran = self.run_alone(step)
        except Killed:
            ran = None
        finally:
            self.lives.pop()
            self._steps.pop()
            structlog.contextvars.clear_contextvars()
        return ran, life

    def run_alone(self, step):
        return self.run(step.command, Forecast(step.votes, atr_fraction=step.atr_fraction))

    @contextmanager
    def open_for_trade(self):
        """Nothing needs to be opened: the exchange is in this process."""
        yield

    def _prepared(self, forecast):
        prepare, step = super()._prepared(forecast), self._steps[-1]

        def slowly(*known):
            prepared = prepare(*known)
            self.wait(seconds=step.slow_seconds)
            if step.overtaken:
                check = replace(step, command="risk-check", kill=None, meanwhile=None)
                self.overtaken_by(replace(check, slow_seconds=0.0, overtaken=False))
            return prepared

        return slowly

    def overtaken_by(self, step):
        self.on_meanwhile(step)

    def interrupt(self, life):
        due = life.meanwhile
        if due is not None and due.nth == life.counts[due.where]:
            life.meanwhile = None
            life.interfered = True
            self.on_meanwhile(due.what)

    @contextmanager
    def outside(self):
        """What is done in here is done by another process, which nobody kills."""
        self.lives.append(Life(self.exchange.now))
        try:
            yield
        finally:
            self.lives.pop()

    def last_report(self, run_id):
        self.life.lives()
        return super().last_report(run_id)

    def store(self):
        """Look into the store, without looking for damage."""
        return Store.open(self.places.state_dir, now=self.exchange.now, checked=False)

    def sooner(self, at):
        """Move to an instant, unless it is over."""
        self.exchange.advance_to(max(at, self.exchange.now))

    def wait(self, **delta):
        self.exchange.advance_to(self.exchange.now + timedelta(**delta))


@contextmanager
def mortal_commits(program):
    """Let every commit of the store be a place to die at: all of them pass through one door."""
    commit = database.transaction

    @contextmanager
    def transaction(connection):
        if not program.lives:
            with commit(connection):
                yield
            return
        life = program.life
        life.lives()
        with commit(connection):
            yield
            life.reaches("commit", after=False)
        life.reaches("commit", after=True)

    database.transaction = transaction
    try:
        yield
    finally:
        database.transaction = commit
