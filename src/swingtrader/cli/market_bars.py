"""``swingtrader data``: the local cache of bars and headlines."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from swingtrader.cli.app import AsJson, GlobalOptions, app, console, print_json
from swingtrader.cli.trading import launch_of

data_app = typer.Typer(no_args_is_help=True, help="The local cache of bars and headlines.")
app.add_typer(data_app, name="data")


@data_app.command()
def pull(
    context: typer.Context,
    *,
    sessions: Annotated[
        int | None,
        typer.Option(min=30, help="Depth of the history. Default: 1300, enough to train on."),
    ] = None,
    news_days: Annotated[int, typer.Option(min=0, help="Days of headlines; 0 for none.")] = 5,
    symbols: Annotated[
        list[str] | None,
        typer.Option("--symbol", help="Also this symbol; may be given more than once."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch what is missing of bars and headlines; may be interrupted and repeated."""
    from swingtrader.commands.data_pull import pull_now  # noqa: PLC0415 - heavy imports
    from swingtrader.config import load_strategy  # noqa: PLC0415 - as above
    from swingtrader.reports.progress import RunProgress  # noqa: PLC0415 - as above

    options: GlobalOptions = context.obj
    launch = launch_of(options, "data pull")
    strategy = load_strategy(launch.places.config)
    with RunProgress(console(sys.stderr)) as progress:
        told = pull_now(
            launch,
            strategy,
            progress,
            sessions=sessions,
            news_days=news_days,
            symbols=tuple(symbols or ()),
        )
    if as_json or options.as_json:
        print_json(told)
        return
    typer.echo(
        f"{told['bars_added']:,} bars of {told['symbols']} symbols and "
        f"{told['headlines_added']:,} headlines added, up to {told['session']}: {told['path']}"
    )


@data_app.command()
def check(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Judge the cache; exit 65 when it must not be traded on."""
    from swingtrader.commands import data_check  # noqa: PLC0415 - heavy imports
    from swingtrader.config import load_strategy  # noqa: PLC0415 - as above
    from swingtrader.reports.data_tables import print_data_check  # noqa: PLC0415 - as above

    options: GlobalOptions = context.obj
    places = options.places()
    checked = data_check.check(
        places.data_dir, load_strategy(places.config), now=datetime.now(UTC)
    )
    if as_json or options.as_json:
        if checked.tradeable:
            print_json(checked.as_json())
    else:
        print_data_check(checked, console(sys.stdout))
    data_check.require_tradeable(checked)
