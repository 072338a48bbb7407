"""The program itself: global options, help, errors and exit codes."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup, TyperOption
from typer.exceptions import TyperException

from swingtrader import __version__
from swingtrader.environment import places
from swingtrader.errors import (
    BrokerError,
    ConfigurationError,
    CredentialsRefused,
    DataError,
    HubUnreachable,
    LockHeld,
    SwingtraderError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swingtrader.environment import Places

EXIT_CODES: dict[type[SwingtraderError], int] = {
    UsageError: 2,
    DataError: 65,
    BrokerError: 69,
    HubUnreachable: 69,
    LockHeld: 75,
    CredentialsRefused: 77,
    ConfigurationError: 78,
}
EXIT_USAGE = 2
EXIT_BUG = 70
EXIT_INTERRUPTED = 130
JSON_HELP = "Print one JSON object on stdout and nothing else."

AsJson = Annotated[bool, typer.Option("--json", help=JSON_HELP)]
"""Understood after a command as well as before it."""


class _PathOption(TyperOption):
    """A path as it was typed, or None.

    typer builds a converter also for what was not given, and loads pydantic for it: a quarter of
    what `status` takes.
    """

    def process_value(self, ctx: Any, value: Any) -> Path | None:  # noqa: ARG002 - typer's own
        """Convert without typer."""
        return None if value is None else Path(value)


class _Root(TyperGroup):
    """The program, whose own options are flags and paths."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for option in self.params:
            if isinstance(option, TyperOption) and not option.is_flag:
                option.__class__ = _PathOption


app = typer.Typer(
    name="swingtrader",
    cls=_Root,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={
        "help_option_names": ["-h", "--help"],
        # A flag with a value needs no converter; typer gives --help none. See `_PathOption`.
        "default_map": {"help": False, "status": {"help": False}},
    },
)


@dataclass(frozen=True)
class GlobalOptions:
    """Options that stand before the command; None where they were not given."""

    as_json: bool
    config: Path | None
    state_dir: Path | None
    models_dir: Path | None

    def places(self) -> Places:
        """Where things live: these options before the environment before the defaults."""
        return places(
            os.environ,
            config=self.config,
            state_dir=self.state_dir,
            models_dir=self.models_dir,
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


def console(stream: Any) -> Any:
    """Console that adds no colours of its own."""
    from rich.console import Console  # noqa: PLC0415 - not for --help

    return Console(file=stream, highlight=False)


def print_json(content: Mapping[str, Any]) -> None:
    """Print the one object of ``--json``."""
    import json  # noqa: PLC0415 - not for --help

    typer.echo(json.dumps(content, allow_nan=False))


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
        return _refused(str(error), exit_code_of(error))
    except Exception:  # noqa: BLE001 - the outermost frame: whatever is left is our bug
        import traceback  # noqa: PLC0415 - only for a bug

        traceback.print_exc()
        return _refused("this is a bug in swingtrader; please report the lines above", EXIT_BUG)
    if code == EXIT_INTERRUPTED:
        return _refused("interrupted; nothing was left half-written", EXIT_INTERRUPTED)
    return code if isinstance(code, int) else 0


def exit_code_of(error: BaseException) -> int:
    """Exit code of the contract for what ended a run."""
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return EXIT_INTERRUPTED
    return next((EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES), EXIT_BUG)


def _hint(arguments: list[str]) -> str:
    """Say where a global option belongs, if one stands after a command."""
    commands = {
        *(command.name or command.callback.__name__ for command in app.registered_commands
          if command.callback),
        *(group.name for group in app.registered_groups),
    }  # fmt: skip
    command = next((n for n, word in enumerate(arguments) if word in commands), len(arguments))
    late = [word.split("=")[0] for word in arguments[command:]]
    found = [option for option in ("--config", "--state-dir", "--models-dir") if option in late]
    return f" {found[0]} goes before the command." if found else ""


def _refused(message: str, code: int) -> int:
    line = " ".join(message.split())
    typer.echo(f"swingtrader: {line}", err=True)
    return code
