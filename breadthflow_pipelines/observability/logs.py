"""Structured logs to stderr. Numbers that belong to a materialization are metadata, not log lines.

structlog is imported with the first line that is logged: that takes a tenth of a second, and most commands log nothing.
"""

import logging
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class _Wanted:
    level: int
    machine: bool


# In a process that configured nothing, such as Dagster's, warnings go to stderr.
_state = {"wanted": _Wanted(logging.WARNING, machine=True)}


def configure(level: str, *, machine: bool) -> None:
    """Send logs of at least ``level`` to stderr, as JSON lines for machines or coloured lines for people."""
    _state["wanted"] = _Wanted(logging.getLevelNamesMapping()[level], machine)


class _Log:
    """Logs an event, and fields that say more about it."""

    def info(self, event: str, **fields: Any) -> None:
        _write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        _write(logging.WARNING, event, fields)


log = _Log()


def _write(level: int, event: str, fields: dict[str, Any]) -> None:
    wanted = _state["wanted"]
    if level < wanted.level:
        return
    import structlog

    renderer = (
        structlog.processors.JSONRenderer()
        if wanted.machine
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),  # of the moment: it may be replaced
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(wanted.level),
    ).log(level, event, **fields)
