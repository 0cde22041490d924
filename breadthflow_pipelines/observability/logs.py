"""Structured logs: ours and, in the same form, those of Dagster and other libraries. Numbers of a run are metadata.

Lines are JSON for machines and words for people. Each has what is bound at that moment, such as the run and its
session, and none has a secret.
"""

import logging
import sys
from collections.abc import Callable, Collection, Iterable
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from breadthflow_pipelines.observability.redaction import Redactor

JSON, TEXT, AUTO = "json", "text", "auto"  # AUTO: words where a person looks at a terminal
FORMS = (AUTO, JSON, TEXT)
DAGSTER = ("dagster", "dagster-webserver")  # the loggers to which its programs give handlers of their own


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


_root = _Now()  # for libraries that log and have no handler
_chosen: list[str] = []  # the level that a command chose; empty: none did


def configure(level: str, form: str = AUTO, secrets: Collection[str] = ()) -> None:
    """Send logs of at least ``level`` to stderr in one of the FORMS, without these secrets or what looks like one."""
    _chosen[:] = [level]
    _configure(level, form, secrets)


def configure_programs(level: str | None, form: str, secrets: Collection[str]) -> None:
    """The same in Dagster's programs, which have set up their own logs by then; a command's choice is left alone.

    level: None leaves Dagster's own level, INFO, and ours at WARNING.
    """
    if not _chosen:
        _configure(level or "WARNING", form, secrets)
    for name in DAGSTER:
        theirs = logging.getLogger(name)
        if level is not None and theirs.handlers:
            theirs.setLevel(level)
        for handler in theirs.handlers:
            handler.setFormatter(_root.formatter)


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger for a module. In a process that configured nothing, warnings go to stderr."""
    if not structlog.is_configured():
        _configure("WARNING", AUTO, ())
    return structlog.get_logger(name)  # type: ignore[no-any-return]


def of_run(level: int) -> logging.Logger:
    """A logger for what Dagster says while it executes a run."""
    logger("dagster")
    made = logging.Logger("dagster", level)
    handler = _Now()
    handler.setFormatter(_root.formatter)
    made.addHandler(handler)
    return made


def _configure(level: str, form: str, secrets: Collection[str]) -> None:
    people = form == TEXT or (form == AUTO and sys.stderr.isatty())
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if people
        else structlog.processors.JSONRenderer(default=str)
    )
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _without(Redactor(secrets)),
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # of the moment: it may be replaced
    )
    _root.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=[structlog.stdlib.add_logger_name, _of_dagster, *shared],
        )
    )
    _root.setLevel(level)
    if _root not in logging.getLogger().handlers:
        logging.getLogger().addHandler(_root)


def _of_dagster(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Run, job and step as fields, where Dagster puts them into the text and beside it."""
    about = getattr(event["_record"], "dagster_meta", None)
    if about:
        event["event"] = about["orig_message"]
        fields = {"run_id": about["run_id"], "job": about["job_name"], "step": about["step_key"]}
        if about["dagster_event"] is not None:
            fields["type"] = about["dagster_event"].event_type_value
        event.update({name: value for name, value in fields.items() if value is not None})
    return event


def _without(redact: Callable[[str], str]) -> Processor:
    """Hides secrets in every text of an event, inside lists and mappings too."""

    def clean(value: object) -> object:
        if isinstance(value, str):
            return redact(value)
        if isinstance(value, dict):
            return {key: clean(each) for key, each in value.items()}
        if isinstance(value, Iterable) and not isinstance(value, bytes):
            return [clean(each) for each in value]
        return value if isinstance(value, int | float | None) else redact(str(value))

    def process(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        return {key: value if key.startswith("_") else clean(value) for key, value in event.items()}

    return process
