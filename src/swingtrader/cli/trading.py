"""The commands that timers fire, and the two that stop and restart entries."""

from __future__ import annotations

import os
import sys
import time
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from swingtrader.cli.app import AsJson, GlobalOptions, app, console, exit_code_of, print_json
from swingtrader.environment import broker_settings, timers_are_off, trading_mode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swingtrader.adapters.store import Store
    from swingtrader.commands.trading_command import Launch


@app.command()
def decide(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Scan, vote, sell and buy; every 15 minutes of the session.

    Sends no order unless LIVE_TRADING=true.
    """
    options: GlobalOptions = context.obj
    report = timers_off_report(options, "decide") or _decided(options)
    _print_run(report, as_json=as_json or options.as_json)


@app.command("risk-check")
def risk_check(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Look at stop, target and trailing stop of everything held; every 5 minutes.

    Sends no order unless LIVE_TRADING=true.
    """
    options: GlobalOptions = context.obj
    report = timers_off_report(options, "risk-check") or _risk_checked(options)
    _print_run(report, as_json=as_json or options.as_json)


@app.command()
def regime(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Bring the market's regime up to the last completed session; daily before the open."""
    options: GlobalOptions = context.obj
    report = timers_off_report(options, "regime") or _regime_read(options)
    if as_json or options.as_json:
        print_json(report)
        return
    from swingtrader.reports.run_screen import print_regime  # noqa: PLC0415 - not for --json

    print_regime(report, console(sys.stdout))


@app.command()
def halt(
    context: typer.Context,
    *,
    reason: Annotated[str, typer.Option(help="Why, for status to show.")] = "by hand",
    flatten: Annotated[
        bool, typer.Option("--flatten", help="Also sell everything held, now or at the open.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Stop entries until resumed; exits and protection go on."""
    from swingtrader.commands import halts  # noqa: PLC0415 - not for --help

    options: GlobalOptions = context.obj
    now = datetime.now(UTC)
    with _store(options, now) as store:
        told = halts.halt(store, reason, now, flatten=flatten)
    if flatten:
        told = {**told, "risk_check": _risk_checked(options)}
    if as_json or options.as_json:
        print_json(told)
        return
    from swingtrader.reports.run_screen import print_halt, print_run  # noqa: PLC0415 - as above

    print_halt(told, console(sys.stdout))
    if flatten:
        print_run(told["risk_check"], console(sys.stdout))


@app.command()
def resume(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Allow entries again after a halt."""
    from swingtrader.commands import halts  # noqa: PLC0415 - not for --help

    options: GlobalOptions = context.obj
    now = datetime.now(UTC)
    with _store(options, now) as store:
        told = halts.resume(store, now)
    if as_json or options.as_json:
        print_json(told)
        return
    from swingtrader.reports.run_screen import print_resume  # noqa: PLC0415 - as above

    print_resume(told, console(sys.stdout))


def launch_of(options: GlobalOptions, command: str) -> Launch:
    """Everything a run is given from outside; the one reading of the local clock."""
    from swingtrader.commands.connection import AlpacaConnect, pause_for  # noqa: PLC0415 - slow
    from swingtrader.commands.trading_command import Launch  # noqa: PLC0415 - as above
    from swingtrader.log import set_up_log  # noqa: PLC0415 - as above

    set_up_log()
    settings = broker_settings(os.environ)
    pause = pause_for(settings, time.sleep)
    return Launch(
        command=command,
        run_id=uuid.uuid4().hex[:12],
        started_at=datetime.now(UTC),
        places=options.places(),
        settings=settings,
        connect=AlpacaConnect(settings, pause),
        pause=pause,
        elapsed_seconds=time.monotonic,
        exit_code_of=exit_code_of,
    )


def _decided(options: GlobalOptions) -> dict[str, Any]:
    from swingtrader.commands.decide import decide_now  # noqa: PLC0415 - heavy imports
    from swingtrader.config import load_strategy  # noqa: PLC0415 - as above

    launch = launch_of(options, "decide")
    return decide_now(launch, load_strategy(launch.places.config))


def _risk_checked(options: GlobalOptions) -> dict[str, Any]:
    from swingtrader.commands.risk_check import check_risk_now  # noqa: PLC0415 - heavy imports
    from swingtrader.config import load_strategy  # noqa: PLC0415 - as above

    launch = launch_of(options, "risk-check")
    return check_risk_now(launch, load_strategy(launch.places.config))


def _regime_read(options: GlobalOptions) -> dict[str, Any]:
    from swingtrader.commands.regime import read_regime_now  # noqa: PLC0415 - heavy imports
    from swingtrader.config import load_strategy  # noqa: PLC0415 - as above

    launch = launch_of(options, "regime")
    return read_regime_now(launch, load_strategy(launch.places.config))


@contextmanager
def _store(options: GlobalOptions, now: datetime) -> Iterator[Store]:
    """Open the store outside a recorded run, where a warning has no report to stand in."""
    from swingtrader.adapters.store import Store  # noqa: PLC0415 - not for --help

    with Store.open(options.places().state_dir, now=now) as store:
        if store.moved_aside is not None:
            name = store.moved_aside.name
            typer.echo(f"swingtrader: the state database was damaged and is now {name}", err=True)
        yield store


def timers_off_report(options: GlobalOptions, command: str) -> dict[str, Any] | None:
    """Report of a run that a timer fired while ENABLE_CRON=false; None for any other."""
    if not timers_are_off(os.environ):
        return None
    from swingtrader.commands.run_report import (  # noqa: PLC0415 - not for --help
        skipped_regime_report,
        skipped_report,
        skipped_retrain_report,
    )
    from swingtrader.commands.trading_command import TIMERS_OFF  # noqa: PLC0415 - as above

    typer.echo(f"swingtrader: ENABLE_CRON=false: {command} does nothing", err=True)
    now, mode = datetime.now(UTC), trading_mode(os.environ)
    with _store(options, now) as store:
        run_id = uuid.uuid4().hex[:12]
        report = skipped_report(store, run_id, command, mode, TIMERS_OFF, None, None)
    if command == "regime":
        return skipped_regime_report(report)
    return skipped_retrain_report(report) if command == "retrain" else report


def _print_run(report: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(report)
        return
    from swingtrader.reports.run_screen import print_run  # noqa: PLC0415 - not for --json

    print_run(report, console(sys.stdout))
