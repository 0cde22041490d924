"""Structured logs to stderr. Numbers that belong to a materialization are metadata, not log lines."""

import logging
import sys

import structlog


def configure(level: str, *, machine: bool) -> None:
    """Send logs of at least ``level`` to stderr, as JSON lines for machines or coloured lines for people."""
    renderer = (
        structlog.processors.JSONRenderer() if machine else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # of the moment: it may be replaced
    )


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger for a module. In a process that configured nothing, such as Dagster's, warnings go to stderr."""
    if not structlog.is_configured():
        configure("WARNING", machine=True)
    return structlog.get_logger(name)  # type: ignore[no-any-return]
