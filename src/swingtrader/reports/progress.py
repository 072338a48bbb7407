"""How far a run is, on stderr: bars on a terminal, one line a long phase elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import structlog
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import Console
    from rich.progress import TaskID


class RunProgress:
    """A context manager that draws phases while they last.

    Parameters
    ----------
    console : Console
        On stderr. Where it is no terminal, a phase of several steps is one log line when it
        begins; a phase of one step is silent, so that a refusal stands alone.
    """

    def __init__(self, console: Console) -> None:
        self._log = structlog.get_logger()
        self._bars = Progress(
            TextColumn("{task.description:<24}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._console = console

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def phase(self, name: str, total: int = 1) -> Callable[[int], None]:
        """Begin a phase; the returned function is told how much of `total` is done."""
        if total > 1 and not self._console.is_terminal:
            self._log.info("phase.started", phase=name, steps=total)
        task: TaskID = self._bars.add_task(name, total=total)
        return lambda done: self._bars.update(task, completed=done)

    def warn(self, event: str, **facts: object) -> None:
        """Log a warning; on a terminal it appears above the bars."""
        self._log.warning(event, **facts)
