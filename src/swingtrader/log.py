"""Log lines: facts with fields, on stderr, never on stdout."""

from __future__ import annotations

import logging
import sys

import structlog


def set_up_log(*, as_json: bool = False) -> None:
    """Send every event to stderr: as aligned text, or one JSON object a line.

    Nothing in a field is rendered as markup. There is no clock here: journald stamps lines.
    """
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(sort_keys=True)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # Looked up at each event: a progress display takes sys.stderr over while it draws, and
        # what goes past it would be wiped with the next redraw.
        logger_factory=lambda: structlog.PrintLogger(sys.stderr),
    )
