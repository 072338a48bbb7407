"""``swingtrader retrain`` on the command line."""

from __future__ import annotations

import os
import sys
import uuid
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated, Any

import typer

from swingtrader.cli.app import AsJson, GlobalOptions, app, console, print_json
from swingtrader.cli.backtesting import LARGEST_SEED, day_of
from swingtrader.cli.trading import launch_of, timers_off_report
from swingtrader.environment import trading_mode
from swingtrader.errors import UsageError


class Only(StrEnum):
    """What a retraining may be confined to."""

    RANKER = "ranker"
    REGIME = "regime"
    RL = "rl"


@app.command()
def retrain(  # noqa: PLR0913 - one parameter an option
    context: typer.Context,
    *,
    only: Annotated[
        Only | None, typer.Option(help="Train this alone. Default: ranker, regime and rl.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Train and compare, but install nothing.")
    ] = False,
    bars: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Train on this file, without a broker, as on the evening of its last session.",
        ),
    ] = None,
    as_of: Annotated[
        date | None,
        typer.Option(
            parser=day_of, metavar="YYYY-MM-DD", help="With --bars: the last day to know of."
        ),
    ] = None,
    timesteps: Annotated[
        int | None, typer.Option(min=1000, help="Of each agent. Default: 50000.")
    ] = None,
    agent_seeds: Annotated[
        int | None,
        typer.Option(min=1, max=20, help="Times the agents are trained. Default: 5."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Of all training.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Train new models, and let those serve that are not worse than what serves; weekly.

    Sends no order.
    """
    if as_of is not None and bars is None:
        raise UsageError("--as-of goes with --bars FILE: a live retraining knows what is known")
    options: GlobalOptions = context.obj
    asked: dict[str, Any] = {
        "families": None if only is None else (str(only),),
        "timesteps": timesteps,
        "agent_seeds": agent_seeds,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    report = timers_off_report(options, "retrain")
    if report is None:
        report = _retrained(options, bars, as_of, dry_run=dry_run, seed=seed, **given)
    if as_json or options.as_json:
        print_json(report)
        return
    from swingtrader.reports.retrain_screen import print_retrain  # noqa: PLC0415 - not for --json

    print_retrain(report, console(sys.stdout))


def _retrained(
    options: GlobalOptions, bars: Path | None, as_of: date | None, **given: Any
) -> dict[str, Any]:
    from swingtrader.commands import retrain as command  # noqa: PLC0415 - heavy imports
    from swingtrader.commands.retraining import RetrainOptions  # noqa: PLC0415 - as above
    from swingtrader.config import load_strategy  # noqa: PLC0415 - as above
    from swingtrader.log import set_up_log  # noqa: PLC0415 - as above
    from swingtrader.reports.progress import RunProgress  # noqa: PLC0415 - as above

    asked = RetrainOptions(**given)
    places = options.places()
    strategy = load_strategy(places.config)
    if bars is None:
        # On record under a name of its own: it does not do the week's work.
        launch = launch_of(options, "retrain --dry-run" if asked.dry_run else "retrain")
        with RunProgress(console(sys.stderr)) as progress:
            return command.retrain_now(launch, strategy, asked, progress)
    set_up_log()
    with RunProgress(console(sys.stderr)) as progress:
        return command.retrain_on_file(
            places, bars, strategy, asked, progress,
            as_of=as_of, now=datetime.now(UTC), run_id=uuid.uuid4().hex[:12],
            mode=str(trading_mode(os.environ)),
        )  # fmt: skip
