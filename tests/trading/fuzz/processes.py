# ruff: noqa: D102 - as in the test world, methods are named for what they do
"""The program as real processes: forked, talking over loopback, and killed by the kernel.

What the play in one process only claims is so here: the lock is the kernel's, the database is
opened by several processes, and a SIGKILL leaves what it leaves. A child asks its parent, which
keeps the exchange, before each request and for the time; so a schedule is the same schedule.
"""

from __future__ import annotations

import os
import signal
import time
import warnings
from contextlib import contextmanager
from multiprocessing import Pipe
from types import SimpleNamespace

from requests.adapters import HTTPAdapter
from requests.exceptions import ReadTimeout
from tests.trading.fuzz.program import SILENCE_SECONDS, Killed, Life, Program

from swingtrader.adapters.alpaca_wire import Connection
from swingtrader.simulator.server import serve

READ_SECONDS = 0.5
"""Before a silent peer is given up; the exchange's clock is moved by what it stands for."""

EXIT_RAN, EXIT_BROKE = 0, 1


class MortalLife(Life):
    """A life that ends by SIGKILL."""

    def reaches(self, where, *, after):
        try:
            super().reaches(where, after=after)
        except Killed:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)  # it does not come back


class Socket(HTTPAdapter):
    """A child's way to the exchange: it asks its parent before, and tells it afterwards."""

    def __init__(self, program):
        super().__init__()
        self._program = program

    def send(self, request, *args, **options):
        program, life = self._program, self._program.life
        life.asks(request, after=False)
        program.asked("sees", request.method, request.url, request.body)
        try:
            return super().send(request, *args, **options)
        except ReadTimeout:
            program.asked("waits", SILENCE_SECONDS)
            raise
        finally:
            program.asked("was answered")
            life.asks(request, after=True)


class Processes(Program):
    """`Program`, each run of which is a process of its own."""

    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        self._url = None
        self._pipe = None

    @contextmanager
    def open_for_trade(self):
        """Serve the exchange while the block lasts."""
        with serve(self.exchange) as server:
            self._url = server.url
            yield

    def live(self, step):
        life = Life(self.exchange.now, step.kill, step.meanwhile)
        ours, theirs = Pipe()
        with warnings.catch_warnings():
            # Python 3.12 warns of forking beside threads; the server's wait, and hold no lock.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            self._become(step, life, theirs)
        theirs.close()
        self.lives.append(life)
        try:
            ran = self._accompanied(ours, life)
        except BaseException:
            os.kill(child, signal.SIGKILL)
            raise
        finally:
            self.lives.pop()
            ours.close()
            _, status = os.waitpid(child, 0)
        if ran is None and not (os.WIFSIGNALED(status) and step.kill):
            raise RuntimeError(f"a child ended with {status} and without a word")
        return ran, life

    # The child's side ----------------------------------------------------------------------

    def _become(self, step, life, pipe):
        self._pipe = pipe
        self.lives.append(MortalLife(life.began_at, step.kill))
        self._steps.append(step)
        code = EXIT_BROKE
        try:
            pipe.send(("ended", self.run_alone(step)))
            code = EXIT_RAN
        except BaseException as error:  # noqa: BLE001 - the parent judges it
            pipe.send(("broke", f"{type(error).__name__}: {error}"))
        finally:
            os._exit(code)

    def asked(self, *question):
        if self._pipe is None:
            return self._answer(question)
        self._pipe.send(question)
        return self._pipe.recv()

    def connection(self):
        urls = {"trading_url": self._url, "data_url": self._url}
        return Connection(*self._keys, **urls, read_seconds=READ_SECONDS)

    def _put_through(self, session):
        session.trust_env = False
        session.mount(self._url, Socket(self))

    def seconds(self):
        return self.asked("is it")

    def wait(self, **delta):
        self.asked("waits", *delta.values()) if "seconds" in delta else super().wait(**delta)

    def launch(self, command):
        launch = super().launch(command)
        self.asked("is called", launch.run_id)
        return launch

    def overtaken_by(self, step):
        self.asked("is overtaken by", step)

    # The parent's side ---------------------------------------------------------------------

    def _accompanied(self, pipe, life):
        """Answer a child until it ends; None when it was killed."""
        while True:
            try:
                question = pipe.recv()
            except (EOFError, ConnectionResetError):
                return None
            if question[0] == "ended":
                return question[1]
            if question[0] == "broke":
                raise RuntimeError(question[1])
            if question[0] == "sees":
                life.counts["request"] += 1
                life.counts["order"] += question[1] == "POST"
            pipe.send(self._answer(question))

    def _answer(self, question):
        match question:
            case ("sees", method, url, body):
                self.witness.sees(SimpleNamespace(method=method, url=url, body=body), self.life)
                self.interrupt(self.life)
            case ("was answered",):
                self.life.records.append(self.exchange.requests[-1])
            case ("waits", seconds):
                Program.wait(self, seconds=seconds)
            case ("is called", run_id):
                self.life.run_id = run_id
                self._runs += 1
            case ("is overtaken by", step):
                self.on_meanwhile(step)
            case ("is it",):
                return self.exchange.now.timestamp()
        return None
