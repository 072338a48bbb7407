"""The commands that only look: status, why, doctor."""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from swingtrader.cli.app import AsJson, GlobalOptions, app, console, print_json
from swingtrader.environment import timers_are_on, trading_mode

if TYPE_CHECKING:
    from swingtrader.commands.status import LiveView

EXIT_FOUND = 1


@app.command()
def status(
    context: typer.Context,
    *,
    live: Annotated[bool, typer.Option("--live", help="Ask the broker first.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 when anything needs a person.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show mode, market, positions, orders, jobs, models, halts and warnings."""
    from swingtrader.adapters.store import Store  # noqa: PLC0415 - not for --help
    from swingtrader.commands.status import needs_person, status_report  # noqa: PLC0415 - slow

    options: GlobalOptions = context.obj
    now = datetime.now(UTC)
    view = _asked_broker(options) if live else None
    state_dir = options.places().state_dir
    with Store.open(state_dir, now=now, checked=False) as store:
        report = status_report(
            store,
            mode=str(trading_mode(os.environ)),
            asof=now,
            live=view,
            expects_timers=timers_are_on(os.environ),
        )
    if as_json or options.as_json:
        print_json(report)
    else:
        from swingtrader.reports.status_screen import print_status  # noqa: PLC0415 - rich

        print_status(report, console(sys.stdout), now)
    if check and (found := needs_person(report)):
        typer.echo(f"swingtrader: {'; '.join(found)}", err=True)
        raise typer.Exit(EXIT_FOUND)


@app.command()
def why(
    context: typer.Context,
    symbol: Annotated[str, typer.Argument(help="Such as AAPL.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show the last decision on a symbol: signals, weights, vote, and the rule that fired."""
    from swingtrader.adapters.store import Store  # noqa: PLC0415 - not for --help
    from swingtrader.commands.why import why_report  # noqa: PLC0415 - as above

    options: GlobalOptions = context.obj
    state_dir = options.places().state_dir
    with Store.open(state_dir, now=datetime.now(UTC), checked=False) as store:
        report: dict[str, Any] = why_report(store, symbol)
    if as_json or options.as_json:
        print_json(report)
        return
    from swingtrader.config import load_strategy  # noqa: PLC0415 - pydantic, for the screen only
    from swingtrader.reports.why_screen import print_why  # noqa: PLC0415 - rich

    vote = load_strategy(options.places().config).policy.vote
    print_why(report, console(sys.stdout), thresholds=(vote.buy_at, vote.sell_at))


@app.command()
def doctor(
    context: typer.Context,
    *,
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what can be mended without harm.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check configuration, credentials, clock, disk, permissions, models and data."""
    from swingtrader.commands import doctor as checks  # noqa: PLC0415 - heavy imports
    from swingtrader.commands.connection import AlpacaConnect, pause_for  # noqa: PLC0415 - slow
    from swingtrader.log import set_up_log  # noqa: PLC0415 - not for --help
    from swingtrader.reports.doctor_screen import print_findings  # noqa: PLC0415 - as above

    set_up_log()
    options: GlobalOptions = context.obj
    began = time.monotonic()
    findings = checks.examine(
        checks.Visit(
            environment=os.environ,
            places=options.places(),
            started_at=datetime.now(UTC),
            elapsed_seconds=lambda: time.monotonic() - began,
            connect=lambda settings: AlpacaConnect(settings, pause_for(settings, time.sleep)),
            fix=fix,
        )
    )
    if as_json or options.as_json:
        # It is complete even where the exit code says that something is wrong.
        print_json(checks.report_of(findings))
    else:
        print_findings(findings, console(sys.stdout))
    checks.require_health(findings)


def _asked_broker(options: GlobalOptions) -> LiveView:
    """Ask the broker for what `status --live` shows."""
    from swingtrader.cli.trading import launch_of  # noqa: PLC0415 - heavy
    from swingtrader.commands.status import LiveView  # noqa: PLC0415 - as above

    broker = launch_of(options, "status").connect.broker()
    open_orders = broker.open_orders()
    return LiveView(broker.clock(), broker.account(), broker.positions(), open_orders)
