"""What a log line looks like: JSON for machines, words for people, what is bound to the run in it, and no secret."""

import logging
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from breadthflow_pipelines.observability.redaction import Redactor


@dataclass(frozen=True)
class Lines:
    """Writes lines of ours, and gives those of libraries their form."""

    _level: int
    _processors: list[Processor]
    _theirs: structlog.stdlib.ProcessorFormatter

    @classmethod
    def of(cls, level: str, secrets: Collection[str], *, people: bool) -> "Lines":
        """people: in words, instead of JSON."""
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
        theirs = structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=[structlog.stdlib.add_logger_name, _of_dagster, *shared],
        )
        return cls(logging.getLevelNamesMapping()[level], [*shared, renderer], theirs)

    def write(self, level: int, event: str, fields: dict[str, Any]) -> None:
        """A line of ours, to the stderr of the moment."""
        structlog.wrap_logger(
            structlog.PrintLogger(sys.stderr),
            processors=self._processors,
            wrapper_class=structlog.make_filtering_bound_logger(self._level),
        ).log(level, event, **fields)

    def of_library(self, record: logging.LogRecord) -> str:
        """The line of another library's record."""
        return self._theirs.format(record)


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
