"""``swingtrader backtest`` on the command line."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from swingtrader.cli.app import AsJson, GlobalOptions, app, console, print_json
from swingtrader.commands.rl_mode import RlMode  # noqa: TC001 - typer reads it at run time

LARGEST_SEED = 2**32 - 1  # numpy's


def day_of(text: str) -> date:
    """Day that an option names."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' is no date; write it as 2019-12-31") from error


@app.command()
def backtest(  # noqa: PLR0913 - one parameter an option
    context: typer.Context,
    *,
    bars: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Daily bars, Parquet or CSV: symbol, date, open, high, low, close, volume. "
            "Default: the local cache in the state directory.",
        ),
    ] = None,
    news: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Headlines: ts, symbols, headline."),
    ] = None,
    intraday: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Bars of 5 minutes or a multiple: symbol, ts, open, high, low, close, volume.",
        ),
    ] = None,
    universe: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Universe TOML; only its stocks are then traded."),
    ] = None,
    start: Annotated[
        date | None,
        typer.Option(
            parser=day_of,
            metavar="YYYY-MM-DD",
            help="First day to trade. Default: the first with enough history to train on.",
        ),
    ] = None,
    end: Annotated[
        date | None,
        typer.Option(
            parser=day_of, metavar="YYYY-MM-DD", help="Last day to trade. Default: the last bar's."
        ),
    ] = None,
    cash: Annotated[float, typer.Option(help="Starting cash in USD.")] = 100_000.0,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")] = Path(
        "backtest-report"
    ),
    rl: Annotated[
        RlMode,
        typer.Option(
            help="Reinforcement learning: none, agents trained once before the first session, or "
            "every quarter."
        ),
    ] = "off",
    half_spread_bps: Annotated[
        float | None, typer.Option(help="Default 2, or the configuration's.")
    ] = None,
    slippage_bps: Annotated[
        float | None, typer.Option(help="Default 3, or the configuration's.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=LARGEST_SEED, help="Of training and bootstrap.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Trade a file of daily bars with the live decisions, honestly costed.

    Writes fills.csv, trades.csv, equity.csv, decisions.parquet, metrics.json and report.html.
    """
    from swingtrader.commands import backtest as command  # noqa: PLC0415 - heavy imports
    from swingtrader.commands.backtest_inputs import BacktestOptions  # noqa: PLC0415 - as above
    from swingtrader.config import load_strategy, with_costs  # noqa: PLC0415 - as above
    from swingtrader.log import set_up_log  # noqa: PLC0415 - as above
    from swingtrader.reports.progress import RunProgress  # noqa: PLC0415 - as above
    from swingtrader.reports.terminal import print_summary  # noqa: PLC0415 - as above

    options: GlobalOptions = context.obj
    places = options.places()
    strategy = with_costs(
        load_strategy(places.config, universe),
        half_spread_bps=half_spread_bps,
        slippage_bps=slippage_bps,
    )
    asked = BacktestOptions(
        bars=bars or places.bars_file,
        news=news,
        intraday=intraday,
        start=start,
        end=end,
        cash_usd=cash,
        out=out,
        seed=seed,
        state_dir=places.state_dir,
        models_dir=places.models_dir,
        now=datetime.now(UTC),
        rl=rl,
    )
    set_up_log()
    with RunProgress(console(sys.stderr)) as progress:
        result = command.run_backtest(asked, strategy, progress)
    if as_json or options.as_json:
        print_json({"command": "backtest", "out": str(out.resolve()), **result.metrics})
        return
    print_summary(result, console(sys.stdout))
    typer.echo(f"\nThe files are in {out.resolve()}; open report.html in a browser.")
