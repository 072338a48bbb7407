"""A run is killed before and after everything it does, and the next one puts it right.

The points are found by watching a run that nobody harms. Without SWINGTRADER_ALL_KILL_POINTS=1
a run is killed right after each step that changed something, here or at the broker, since
between two of these nothing differs but what the killed process itself knew. With it there are
more scenes, and in each the run is killed before and after every step, is followed by a risk
check or by itself, and by a risk check that is killed as well. That takes half an hour.
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.crash.conftest import DROPPED, TODAY, Kept, disagreements

from swingtrader.adapters.store import STORE_NAME
from swingtrader.core.orders import Intent, OrderType, Purpose
from swingtrader.simulator.conditions import PartialFills
from swingtrader.simulator.settings import Latency

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY = "SWINGTRADER_ALL_KILL_POINTS" in os.environ


@dataclass(frozen=True)
class Scene:
    """A state of things, and the command that is to be killed in it.

    Attributes
    ----------
    wait : mapping
        Simulated time from one run to the next.
    settings : mapping
        Of the exchange.
    """

    command: str
    prepare: Callable
    may_buy: bool = True
    wait: dict[str, float] = field(default_factory=lambda: {"minutes": 5})
    settings: dict[str, Any] = field(default_factory=dict)


def _morning(stage):
    stage.move_to(TODAY, 10)


def _a_purchase_fills_in_part(stage):
    stage.move_to(TODAY, 10)
    stage.exchange.set_fault(PartialFills(Decimal("0.4"), "ORCL", "buy"))


def _all_fills_in_part(stage):
    stage.move_to(TODAY, 10)
    stage.exchange.set_fault(PartialFills(Decimal("0.4")))


def _much_left_undone(stage):
    """Leave a purchase by hand without stop, a sale that was never sent, and such a purchase."""
    stage.move_to(TODAY, 9, 45)
    stage.by_hand("CRM", "buy", 11)
    stage.by_hand("ORCL", "buy", 8)
    stage.wait(minutes=15)
    intent = Intent(
        client_order_id=f"st-{TODAY:%Y%m%d}-ORCL-sell-exit-1",
        session=TODAY,
        symbol="ORCL",
        side="sell",
        purpose=Purpose.EXIT,
        qty=Decimal(8),
        type=OrderType.MARKET,
        reason="vote",
        run_id="killed",
        written_at=stage.exchange.now,
    )
    purchase = Intent(
        client_order_id=f"st-{TODAY:%Y%m%d}-MA-buy-entry-2",
        session=TODAY,
        symbol="MA",
        side="buy",
        purpose=Purpose.ENTRY,
        qty=Decimal(5),
        type=OrderType.LIMIT,
        reason="entry_vote",
        run_id="killed",
        written_at=stage.exchange.now,
        limit_price=Decimal(200),
    )
    with stage.store() as store:
        store.intents.write(intent)
        store.intents.write(purchase)


def _store_lost(stage):
    stage.move_to(TODAY, 10)
    for path in stage.state.glob(f"{STORE_NAME}*"):
        path.unlink()


def _cancel_stop(stage, symbol):
    (stop,) = [o for o in stage.exchange.all_orders if o.symbol == symbol and o.is_open]
    stage.exchange.cancel_order(stop.id)


def _everything_must_go(stage):
    stage.move_to(TODAY, 9, 45)
    _cancel_stop(stage, "JPM")
    stage.wait(minutes=15)
    while stage.resting("JPM"):
        stage.exchange.clock()
    stage.by_hand("JPM", "sell", 10, type="limit", limit_price="500", time_in_force="gtc")
    with stage.store() as store:
        store.halts.add("by_hand", stage.exchange.now, flatten=True)


SLOW = {
    "order_latency": Latency(polls=3, delay=None),
    "cancel_latency": Latency(polls=4, delay=None),
}

SCENES = {
    "decide": Scene("decide", _a_purchase_fills_in_part),
    "risk-check": Scene("risk-check", _much_left_undone),
    "store lost": Scene("risk-check", _store_lost, may_buy=False),
}
if EVERY:
    SCENES |= {
        "decide, nothing amiss": Scene("decide", _morning),
        "decide, store lost": Scene("decide", _store_lost, may_buy=False),
        "decide, filled in part": Scene("decide", _all_fills_in_part),
        "risk-check, filled in part": Scene("risk-check", _all_fills_in_part),
        "decide, slow broker": Scene("decide", _morning, wait={"seconds": 30}, settings=SLOW),
        "flatten": Scene("risk-check", _everything_must_go, may_buy=False),
        "flatten, slow broker": Scene(
            "risk-check", _everything_must_go, may_buy=False, wait={}, settings=SLOW
        ),
    }


@pytest.fixture(params=SCENES, scope="module")
def scene(request, eve, eve_with, forks, tmp_path_factory):
    """Scene, ready to be begun, and the steps of its command when nobody harms it."""
    scene = SCENES[request.param]
    home = tmp_path_factory.mktemp("scene")
    begun = eve_with(**scene.settings) if scene.settings else eve
    with begun.stage(home / "prepared", forks) as stage:
        scene.prepare(stage)
        ready = Kept.of(stage, home / "ready")
        steps = home / "steps"
        ended = stage.run(scene.command, steps=steps)
        assert ended.code == 0, ended.err
        return scene, ready, steps.read_text().splitlines()


def _courses(scene, steps):
    """Yield what is to happen, the kills first: commands, each with where it is to be killed."""
    for number, step in enumerate(steps, start=1):
        if not EVERY:
            if not step.startswith("GET"):
                then = "risk-check" if number % 2 else scene.command
                yield (scene.command, (number, "after")), (then, None)
            continue
        for side in ("before", "after"):
            killed = (scene.command, (number, side))
            yield killed, ("risk-check", None), (scene.command, None)
            yield killed, (scene.command, None), ("risk-check", None)
            again = ("risk-check", (number * 7 % 40 + 1, side))
            yield killed, again, (scene.command, None), ("risk-check", None)


def test_a_run_that_is_killed_anywhere_is_put_right_by_the_next(
    scene, forks, more_forks, tmp_path
):
    scene, ready, steps = scene
    assert {step.split()[0] for step in steps} >= {"GET", "POST", "DELETE", "COMMIT"}
    courses = list(_courses(scene, steps))
    workers = (forks, more_forks)

    def taken(worker):
        home = tmp_path / str(worker)
        return [
            f"{course}: {found}"
            for course in courses[worker :: len(workers)]
            if (found := _wrong_after(course, scene, ready, home, workers[worker]))
        ]

    with ThreadPoolExecutor(len(workers)) as pool:
        wrong = [line for lines in pool.map(taken, range(len(workers))) for line in lines]
    assert not wrong, "\n".join(wrong)


def _wrong_after(course, scene, ready, home, forks):
    """Return what was wrong after each of the runs that nobody killed."""
    found = []
    with ready.stage(home / "stage", forks) as stage:
        for command, kill in course:
            ended = stage.run(command, steps=home / "stage" / "steps" if kill else None, kill=kill)
            if kill is None:
                found += [f"after {command}: {each}" for each in disagreements(stage)]
                if ended.code != 0:
                    found.append(f"{command} ended with {ended.code}: {ended.err[-1500:]}")
                elif "without a fill" in ended.out:
                    found.append(f"{command} lost track: {ended.report['warnings']}")
            stage.wait(**scene.wait)
        if not scene.may_buy and stage.filled("buy"):
            found.append(f"bought {stage.filled('buy')}")
        status = stage.run("status")
        if {row["symbol"] for row in status.report["positions"]} != set(stage.held):
            found.append(f"status shows {status.report['positions']}")
    shutil.rmtree(home / "stage")
    return found


def test_a_stop_that_a_killed_run_left_on_its_way_out_is_renewed_by_the_next(
    eve_with, forks, tmp_path
):
    slow = {"cancel_latency": Latency(polls=8, delay=None)}
    with eve_with(**slow).stage(tmp_path / "home", forks) as stage:
        stage.move_to(TODAY, 10)
        # Nothing else happens in that run.
        (stage.home / "strategy.toml").write_text(f"[account]\nunmanaged = ['{DROPPED}']\n")
        _cancel_stop(stage, "JPM")
        ended = stage.run("risk-check")
        assert ended.code == 0, ended.err
        assert stage.resting("JPM") == stage.held["JPM"]
        assert disagreements(stage) == []
