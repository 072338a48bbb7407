"""The command line: options, the one reading of the clock, and exit codes.

Imports here are few and cheap, because ``--help`` and ``status`` must answer at once; a command
imports what it needs when it runs. Errors become one line on stderr and an exit code of the
contract here, and nowhere else.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.exceptions import TyperException

from swingtrader import __version__
from swingtrader.errors import (
    ConfigurationError,
    DataError,
    LockHeld,
    SwingtraderError,
    UsageError,
)

if TYPE_CHECKING:
    from swingtrader.config import Environment

EXIT_CODES: dict[type[SwingtraderError], int] = {
    UsageError: 2,
    DataError: 65,
    LockHeld: 75,
    ConfigurationError: 78,
}
EXIT_USAGE = 2
EXIT_BUG = 70
EXIT_INTERRUPTED = 130
LARGEST_SEED = 2**32 - 1  # numpy's

JSON_HELP = "Print one JSON object on stdout and nothing else."

app = typer.Typer(
    name="swingtrader",
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class RlMode(StrEnum):
    """Where a backtest's reinforcement-learning signal comes from."""

    OFF = "off"
    FROZEN = "frozen"
    WALK_FORWARD = "walk-forward"


@dataclass(frozen=True)
class GlobalOptions:
    """Options that stand before the command; None where they were not given."""

    as_json: bool
    config: Path | None
    state_dir: Path | None
    models_dir: Path | None

    def environment(self) -> Environment:
        """Where things live: these options before the environment before the defaults."""
        from swingtrader.config import load_environment  # noqa: PLC0415 - pydantic is slow

        return load_environment(
            config=self.config, state_dir=self.state_dir, models_dir=self.models_dir
        )


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer passes it so
    if wanted:
        typer.echo(f"swingtrader {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    *,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
    config: Annotated[
        Path | None, typer.Option(help="Strategy TOML; also SWINGTRADER_CONFIG.")
    ] = None,
    state_dir: Annotated[
        Path | None, typer.Option(help="Default ./state; also SWINGTRADER_STATE_DIR.")
    ] = None,
    models_dir: Annotated[
        Path | None, typer.Option(help="Default ./models; also SWINGTRADER_MODELS_DIR.")
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback acts
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Swing-trades US equities through Alpaca, unattended, on one small machine."""
    if context.invoked_subcommand is None:
        # A failure says nothing on stdout, which with --json somebody may be parsing.
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(EXIT_USAGE)
    context.obj = GlobalOptions(as_json, config, state_dir, models_dir)


def _day(text: str) -> date:
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
            parser=_day,
            metavar="YYYY-MM-DD",
            help="First day to trade. Default: the first with enough history to train on.",
        ),
    ] = None,
    end: Annotated[
        date | None,
        typer.Option(
            parser=_day, metavar="YYYY-MM-DD", help="Last day to trade. Default: the last bar's."
        ),
    ] = None,
    cash: Annotated[float, typer.Option(help="Starting cash in USD.")] = 100_000.0,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")] = Path(
        "backtest-report"
    ),
    rl: Annotated[
        RlMode, typer.Option(help="Reinforcement learning. This version has no agents: off only.")
    ] = RlMode.OFF,
    half_spread_bps: Annotated[
        float | None, typer.Option(help="Default 2, or the configuration's.")
    ] = None,
    slippage_bps: Annotated[
        float | None, typer.Option(help="Default 3, or the configuration's.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=LARGEST_SEED, help="Of training and bootstrap.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Trade a file of daily bars with the live decisions, honestly costed.

    Writes fills.csv, trades.csv, equity.csv, decisions.parquet, metrics.json and report.html.
    """
    if rl is not RlMode.OFF:
        raise UsageError(f"--rl {rl}: this version has no agents; leave it off")
    from swingtrader.commands import backtest as command  # noqa: PLC0415 - heavy imports
    from swingtrader.commands.backtest_inputs import BacktestOptions  # noqa: PLC0415 - as above
    from swingtrader.config import load_strategy, with_costs  # noqa: PLC0415 - as above
    from swingtrader.reports.progress import RunProgress  # noqa: PLC0415 - as above
    from swingtrader.reports.terminal import print_summary  # noqa: PLC0415 - as above

    options: GlobalOptions = context.obj
    environment = options.environment()
    strategy = with_costs(
        load_strategy(environment.config, universe),
        half_spread_bps=half_spread_bps,
        slippage_bps=slippage_bps,
    )
    asked = BacktestOptions(
        bars=bars or environment.bars_file,
        news=news,
        intraday=intraday,
        start=start,
        end=end,
        cash_usd=cash,
        out=out,
        seed=seed,
        state_dir=environment.state_dir,
        models_dir=environment.models_dir,
        now=datetime.now(UTC),
    )
    _set_up_log()
    with RunProgress(_console(sys.stderr)) as progress:
        result = command.run_backtest(asked, strategy, progress)
    if as_json or options.as_json:
        _print_json({"command": "backtest", "out": str(out.resolve()), **result.metrics})
        return
    print_summary(result, _console(sys.stdout))
    typer.echo(f"\nThe files are in {out.resolve()}; open report.html in a browser.")


def _set_up_log() -> None:
    from swingtrader.log import set_up_log  # noqa: PLC0415 - only a command logs

    set_up_log()


def _console(stream: Any) -> Any:
    from rich.console import Console  # noqa: PLC0415 - not for --help

    return Console(file=stream, highlight=False)


def _print_json(content: dict[str, Any]) -> None:
    import json  # noqa: PLC0415 - not for --help

    typer.echo(json.dumps(content, allow_nan=False))


_COMMANDS = {command.callback.__name__ for command in app.registered_commands if command.callback}


def main() -> None:
    """Run the command line and exit with a code of the contract."""
    if sys.argv[1:] == ["--version"]:
        # Answered before typer builds its commands, which takes longer than all the rest.
        print(f"swingtrader {__version__}")  # noqa: T201 - typer.echo, but sooner
        sys.exit(0)
    # Stopped by systemd or by hand, a run cleans up alike.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code.

    A person's mistake is one line on stderr. A bug keeps its traceback: somebody must read it.
    """
    # Before numpy is imported: on two shared processors a second BLAS thread makes the small
    # matrices here slower, many times so when both are busy.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        code = app(arguments, prog_name="swingtrader", standalone_mode=False)
    except TyperException as error:
        return _refused(error.format_message() + _hint(arguments), EXIT_USAGE)
    except SwingtraderError as error:
        kinds = (EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)
        return _refused(str(error), next(kinds, EXIT_BUG))
    except Exception:  # noqa: BLE001 - the outermost frame: whatever is left is our bug
        import traceback  # noqa: PLC0415 - only for a bug

        traceback.print_exc()
        return _refused("this is a bug in swingtrader; please report the lines above", EXIT_BUG)
    if code == EXIT_INTERRUPTED:
        return _refused("interrupted; nothing was left half-written", EXIT_INTERRUPTED)
    return code if isinstance(code, int) else 0


def _hint(arguments: list[str]) -> str:
    """Say where a global option belongs, if one stands after a command."""
    command = next((n for n, word in enumerate(arguments) if word in _COMMANDS), len(arguments))
    late = [word.split("=")[0] for word in arguments[command:]]
    found = [option for option in ("--config", "--state-dir", "--models-dir") if option in late]
    return f" {found[0]} goes before the command." if found else ""


def _refused(message: str, code: int) -> int:
    line = " ".join(message.split())
    typer.echo(f"swingtrader: {line}", err=True)
    return code
