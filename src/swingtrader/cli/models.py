"""``swingtrader models``: the model store."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Any

import typer

from swingtrader.cli.app import AsJson, GlobalOptions, app, console, print_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from swingtrader.adapters.store import Store

models_app = typer.Typer(
    no_args_is_help=True, help="The model store: what serves, and since when."
)
app.add_typer(models_app, name="models")

Family = Annotated[str, typer.Argument(help="Such as ranker.")]


@models_app.command("list")
def list_models(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Show every version, and which serves."""
    from swingtrader.commands.models import models_report  # noqa: PLC0415 - not for --help

    options: GlobalOptions = context.obj
    report = models_report(options.places().models_dir, asof=datetime.now(UTC))
    if as_json or options.as_json:
        print_json(report)
        return
    from swingtrader.reports.models_table import print_models  # noqa: PLC0415 - rich

    print_models(report, console(sys.stdout))


@models_app.command()
def promote(
    context: typer.Context,
    family: Family,
    version: Annotated[str, typer.Argument(help="As models list shows it.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Let an installed version serve from now on."""
    from swingtrader.commands.models import promote_model  # noqa: PLC0415 - not for --help

    told = _changed(
        context.obj,
        lambda models_dir, store, now: promote_model(models_dir, store, family, version, now=now),
    )
    _print_change(told, as_json=as_json or context.obj.as_json)


@models_app.command()
def rollback(context: typer.Context, family: Family, *, as_json: AsJson = False) -> None:
    """Let the version serve again that served before."""
    from swingtrader.commands.models import roll_back_model  # noqa: PLC0415 - not for --help

    told = _changed(
        context.obj,
        lambda models_dir, store, now: roll_back_model(models_dir, store, family, now=now),
    )
    _print_change(told, as_json=as_json or context.obj.as_json)


@models_app.command("pull-finbert")
def pull_finbert(
    context: typer.Context,
    *,
    source: Annotated[
        str, typer.Option(metavar="NAME", help="Its name on the hub.")
    ] = "ProsusAI/finbert",
    from_directory: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Take it from here and not from the hub."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch FinBERT, convert and check it."""
    from swingtrader.commands.models import pull_sentiment_model  # noqa: PLC0415 - not for --help
    from swingtrader.reports.progress import RunProgress  # noqa: PLC0415 - rich

    with RunProgress(console(sys.stderr)) as progress:
        told = _changed(
            context.obj,
            lambda models_dir, store, now: pull_sentiment_model(
                models_dir,
                store,
                source=source,
                from_directory=from_directory,
                now=now,
                progress=progress,
            ),
        )
    if as_json or context.obj.as_json:
        print_json(told)
        return
    state = "serves from now on" if told["promoted"] else "serves already"
    figures = ", ".join(f"{name} {value:g}" for name, value in told["validation"].items())
    typer.echo(f"{told['family']} {told['version']} {state}: {figures}")


def _changed(
    options: GlobalOptions, change: Callable[[Path, Store, datetime], dict[str, Any]]
) -> dict[str, Any]:
    """Change what serves, and have the store note it."""
    from swingtrader.adapters.store import Store  # noqa: PLC0415 - not for --help
    from swingtrader.log import set_up_log  # noqa: PLC0415 - as above

    set_up_log()
    places, now = options.places(), datetime.now(UTC)
    with Store.open(places.state_dir, now=now) as store:
        return change(places.models_dir, store, now)


def _print_change(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    before = f"; before it served {told['before']}" if told["before"] else ""
    typer.echo(f"{told['family']} {told['version']} serves from now on{before}")
