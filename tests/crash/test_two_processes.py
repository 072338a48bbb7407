"""Two runs at once: neither sells what the other sells, and a dead one stands in nobody's way."""

from __future__ import annotations

import os
import signal

import pytest
from tests.crash.conftest import DROPPED, disagreements

from swingtrader.simulator.faults import silence

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 0.05
"""For the lock, of a run that is to give up."""

HELD = {"AAPL": 20, "JPM": 30, DROPPED: 25}


def started_together(stage, begin, commands):
    """Start runs that reach the broker at the same instant, and see them end."""
    with stage.exchange.lock:  # no request is answered before all of them are on their way
        runs = [begin(command) for command in commands]
    return [run.ended() for run in runs]


def assert_sold_once(stage):
    sold = stage.filled("sell")
    assert sold[DROPPED] == [HELD[DROPPED]]
    assert sold.get("JPM", [HELD["JPM"]]) == [HELD["JPM"]]
    assert disagreements(stage) == []


@pytest.mark.parametrize(
    "commands",
    [
        ("decide", "risk-check"),
        ("risk-check", "decide"),
        ("risk-check", "risk-check"),
        ("decide", "decide"),
        ("risk-check", "decide", "risk-check", "decide"),
    ],
    ids=" ".join,
)
def test_runs_at_once_wait_for_each_other_and_sell_and_buy_once(stage, commands):
    ended = started_together(stage, stage.begin, commands)
    assert [each.code for each in ended] == [0] * len(commands)
    assert_sold_once(stage)
    if "decide" in commands:
        assert stage.held.keys() == {"AAPL", "MSFT", "ORCL"}


@pytest.mark.parametrize("commands", [("decide", "risk-check"), ("risk-check", "risk-check")])
def test_so_do_two_programs_that_share_nothing(stage, commands):
    ended = started_together(stage, stage.begin_afresh, commands)
    assert [each.code for each in ended] == [0, 0], ended
    assert_sold_once(stage)


def test_a_run_that_will_not_wait_exits_75_and_the_other_does_the_work(stage):
    ended = started_together(
        stage,
        lambda command: stage.begin(command, lock_wait_seconds=0),
        ["risk-check", "risk-check"],
    )
    assert {each.code for each in ended} <= {0, 75}
    assert 0 in [each.code for each in ended]
    assert all(each.out == "" for each in ended if each.code == 75)
    assert_sold_once(stage)


class Stuck:
    """A run in its critical section that waits for an answer which does not come."""

    def __init__(self, stage, home, *, method="GET", path="/v2/positions", accepted=False):
        stage.exchange.set_fault(silence(method, path, accepted=accepted))
        pipe = home / "steps"
        os.mkfifo(pipe)
        # For reading and writing: so it does not end between two lines, nor block who writes.
        self._steps = os.fdopen(os.open(pipe, os.O_RDWR), encoding="utf-8")
        self._run = stage.begin("risk-check", steps=pipe)
        wanted = f"{method} {path.rstrip('*')}"
        assert any(step.startswith(wanted) for step in self._steps)
        met(stage.exchange)

    def ended_by(self, number):
        """Send it a signal, and see it end."""
        os.kill(self._run.pid, number)
        ended = self._run.ended()
        self._steps.close()
        return ended


def met(exchange):
    """Wait until a request has met its fault, and so been acted on if it is to be."""
    while not any(request.fault for request in exchange.requests):
        os.sched_yield()


@pytest.mark.parametrize("command", ["decide", "risk-check"])
def test_a_run_that_finds_the_lock_held_exits_75_and_asks_the_broker_for_nothing(
    stage, tmp_path, command
):
    stuck = Stuck(stage, tmp_path)
    before = stage.held
    late = stage.run(command, lock_wait_seconds=PATIENCE_SECONDS)
    assert (late.code, late.out) == (75, "")
    assert "lock" in late.err.splitlines()[-1]
    assert (stage.held, stage.order_requests) == (before, [])
    with stage.store() as store:
        assert store.runs.last(command).exit_code == 75
    assert stuck.ended_by(signal.SIGKILL).code == -signal.SIGKILL
    # The lock died with its holder; its file, which is still there, means nothing.
    assert (stage.state / "swingtrader.lock").exists()
    assert stage.run(command, lock_wait_seconds=0).code == 0
    assert_sold_once(stage)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 130), (signal.SIGKILL, -9)])
@pytest.mark.parametrize(
    ("method", "path", "accepted"),
    [
        ("GET", "/v2/positions", False),
        ("GET", "/v2/positions/GS", False),
        ("DELETE", "/v2/orders/*", False),
        ("DELETE", "/v2/orders/*", True),
        ("POST", "/v2/orders", False),
        ("POST", "/v2/orders", True),
    ],
)
def test_a_run_stopped_in_its_critical_section_is_put_right_by_the_next(
    stage, tmp_path, number, code, method, path, accepted
):
    stuck = Stuck(stage, tmp_path, method=method, path=path, accepted=accepted)
    stopped = stuck.ended_by(number)
    assert (stopped.code, stopped.out) == (code, "")
    if code == 130:
        assert stopped.err.splitlines()[-1].startswith("swingtrader: interrupted")
        with stage.store() as store:
            assert store.runs.last("risk-check").exit_code == 130
    stage.wait(minutes=5)
    assert stage.run("risk-check").code == 0
    assert_sold_once(stage)


def test_a_program_told_to_stop_by_systemd_exits_130(stage):
    stage.exchange.set_fault(silence("GET", "/v2/clock", accepted=False))
    run = stage.begin_afresh("decide")
    met(stage.exchange)
    os.kill(run.pid, signal.SIGTERM)
    ended = run.ended()
    assert (ended.code, ended.out) == (130, "")
    assert stage.order_requests == []
