"""What runs in a child of the tests: the real command line, watched, and killed where asked.

A script of its own: it loads everything once and then forks a child for each line it reads, so
that a kill costs a hundredth of a second and not a start of Python. The children are real
processes all the same, with signals, locks, connections and sockets of their own.

A *step* is one commit of the database or one HTTP request. Steps are counted at the narrow
places through which every one of them goes, whichever module asked for it, so that a new one is
a new point at which to kill without anybody listing it.
"""

import json
import os
import signal
import sqlite3
import sys
import warnings
from datetime import date
from functools import partial
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter

# Loaded once, for every child.
import swingtrader.adapters.alpaca_data
import swingtrader.adapters.alpaca_trading
import swingtrader.commands.connection
import swingtrader.commands.decide
import swingtrader.commands.risk_check
import swingtrader.commands.status  # noqa: F401 - as above
from swingtrader.adapters.calendar import session_before
from swingtrader.cli import main
from swingtrader.commands import trading_command

with warnings.catch_warnings():
    # alpaca-py 0.44 imports a part of websockets that is announced to go; we stream nothing.
    warnings.filterwarnings("ignore", "websockets.legacy is deprecated", DeprecationWarning)
    import alpaca.data.historical
    import alpaca.trading.client  # noqa: F401 - as above

session_before(date(2023, 11, 21))  # and the calendar built

LONGEST_SECONDS = 60
"""Of a child's life; a test must not wait for one that hangs."""

WRITING = ("INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "DROP", "ALTER")


class Steps:
    """Counts steps into a file, a line each, and kills this process before or after one.

    Parameters
    ----------
    path : Path
    kill : (int, str) or None
        A step, counted from 1, and "before" or "after".
    """

    def __init__(self, path, kill):
        self._path = path
        self._kill = kill
        self._number = 0

    def begin(self, what):
        """A step is about to be done."""
        self._number += 1
        with self._path.open("a") as file:
            file.write(f"{what}\n")
        self._die("before")

    def end(self):
        """It is done."""
        self._die("after")

    def _die(self, side):
        if self._kill == (self._number, side):
            os.kill(os.getpid(), signal.SIGKILL)


def watch(steps):
    """Count every commit and every request of this process from now on."""
    real_send = HTTPAdapter.send

    def send(adapter, request, **options):
        steps.begin(f"{request.method} {requests.utils.urlparse(request.url).path}")
        answer = real_send(adapter, request, **options)
        steps.end()
        return answer

    class Watched(sqlite3.Connection):
        def execute(self, statement, *arguments):
            verb = statement.split(None, 1)[0].upper()
            if verb != "COMMIT" and (self.in_transaction or verb not in WRITING):
                return super().execute(statement, *arguments)
            steps.begin(verb)
            cursor = super().execute(statement, *arguments)
            steps.end()
            return cursor

    HTTPAdapter.send = send
    sqlite3.connect = partial(sqlite3.connect, factory=Watched)


def run_command(request):
    """Be ``swingtrader ARGUMENTS`` in this process, and exit as it does."""
    signal.alarm(LONGEST_SECONDS)
    places = (os.devnull, request["out"], request["err"])
    written = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    flags = (os.O_RDONLY, written, written)
    for descriptor, (place, flag) in enumerate(zip(places, flags, strict=True)):
        os.dup2(os.open(place, flag), descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    if request["steps"] is not None:
        kill = request["kill"]
        watch(Steps(Path(request["steps"]), None if kill is None else tuple(kill)))
    if request["lock_wait_seconds"] is not None:
        trading_command.Launch = partial(
            trading_command.Launch, lock_wait_seconds=request["lock_wait_seconds"]
        )
    sys.argv = ["swingtrader", *request["arguments"]]
    main()


def answer_line(line):
    """Fork a child, or wait for one: its process id, or its exit code, negative for a signal."""
    request = json.loads(line)
    if "wait" in request:
        _, status = os.waitpid(request["wait"], 0)
        return os.waitstatus_to_exitcode(status)
    child = os.fork()
    if child == 0:
        try:
            run_command(request)
        except SystemExit as ended:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(ended.code)
        finally:
            os._exit(99)  # never on to the next line
    return child


if __name__ == "__main__":
    for line in sys.stdin:
        print(answer_line(line), flush=True)  # noqa: T201 - to the test
