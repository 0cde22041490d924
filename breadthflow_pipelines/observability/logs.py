"""Structured logs: ours and, in the same form, those of Dagster and other libraries. Numbers of a run are metadata.

What a line looks like is in log_lines.py, imported with the first line that is logged: structlog takes a tenth of a
second, and most commands log nothing.
"""

import logging
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from breadthflow_pipelines.observability.log_lines import Lines

JSON, TEXT, AUTO = "json", "text", "auto"  # AUTO: words where a person looks at a terminal
FORMS = (AUTO, JSON, TEXT)
DAGSTER = ("dagster", "dagster-webserver")  # the loggers to which its programs give handlers of their own


class _Log:
    """Logs an event, and fields that say more about it."""

    def info(self, event: str, **fields: Any) -> None:
        _write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        _write(logging.WARNING, event, fields)


log = _Log()
"""In a process that configured nothing, warnings go to stderr."""


class _Chosen:
    """What is logged, and how. by_command: whether a command chose it."""

    def __init__(self) -> None:
        self.level, self.form, self.secrets = "WARNING", AUTO, frozenset[str]()
        self.by_command = False
        self._lines: Lines | None = None

    def choose(self, level: str, form: str, secrets: Collection[str]) -> None:
        self.level, self.form, self.secrets, self._lines = level, form, frozenset(secrets), None
        _root.setLevel(level)
        if _root not in logging.getLogger().handlers:
            logging.getLogger().addHandler(_root)

    @property
    def lines(self) -> "Lines":
        if self._lines is None:
            from breadthflow_pipelines.observability.log_lines import Lines

            people = self.form == TEXT or (self.form == AUTO and sys.stderr.isatty())
            self._lines = Lines.of(self.level, self.secrets, people=people)
        return self._lines


class _Now(logging.StreamHandler[TextIO]):
    """Writes to the stderr of the moment: it may be replaced."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        return


class InOurForm(logging.Formatter):
    """The lines of libraries, as ours."""

    def format(self, record: logging.LogRecord) -> str:
        return _chosen.lines.of_library(record)


_root = _Now()  # for libraries that log and have no handler
_root.setFormatter(InOurForm())
_chosen = _Chosen()


def configure(level: str, form: str = AUTO, secrets: Collection[str] = ()) -> None:
    """Send logs of at least ``level`` to stderr in one of the FORMS, without these secrets or what looks like one."""
    _chosen.choose(level, form, secrets)
    _chosen.by_command = True


def configure_programs(level: str | None, form: str, secrets: Collection[str]) -> None:
    """The same in Dagster's programs, which have set up their own logs by then; a command's choice is left alone.

    level: None leaves Dagster's own level, INFO, and ours at WARNING.
    """
    if not _chosen.by_command:
        _chosen.choose(level or "WARNING", form, secrets)
    for name in DAGSTER:
        theirs = logging.getLogger(name)
        if level is not None and theirs.handlers:
            theirs.setLevel(level)
        for handler in theirs.handlers:
            handler.setFormatter(InOurForm())


def of_run(level: int) -> logging.Logger:
    """A logger for what Dagster says while it executes a run."""
    made = logging.Logger("dagster", level)
    handler = _Now()
    handler.setFormatter(InOurForm())
    made.addHandler(handler)
    return made


def _write(level: int, event: str, fields: dict[str, Any]) -> None:
    if level >= logging.getLevelNamesMapping()[_chosen.level]:
        _chosen.lines.write(level, event, fields)
