"""Why a step failed, read from the chain of errors that Dagster recorded. What is tried again: retries.py."""

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from breadthflow_pipelines import errors
from breadthflow_pipelines.errors import INTERRUPTED, BreadthFlowError, in_words
from breadthflow_pipelines.observability.disk import disk_full, says_full
from breadthflow_pipelines.settings import get_settings

_OF_DRIVERS = frozenset({"OperationalError", "InterfaceError", "AdminShutdown"})  # where Dagster's own storage was away


@dataclass(frozen=True)
class RecordedError:
    """One error of a chain. kind: its class where it is one of ours; text: its message, without the class there."""

    class_name: str
    text: str
    kind: type[BreadthFlowError] | None


@dataclass(frozen=True)
class StepFailure:
    """A step that failed, and its errors from the last one raised to the one that caused all others."""

    step: str
    errors: tuple[RecordedError, ...]

    @property
    def cause(self) -> RecordedError | None:
        """The error that says what to do: ours, if there is one, or the one that caused all others."""
        return next((error for error in self.errors if error.kind), self.errors[-1] if self.errors else None)

    @property
    def class_name(self) -> str:
        """The class of the cause; empty where nothing was recorded."""
        return self.cause.class_name if self.cause else ""

    @property
    def message(self) -> str:
        """The message of the cause, in words."""
        if self.cause is None:
            return "it failed without saying why"
        if self.is_interrupt:
            return INTERRUPTED
        return self.cause.text if self.cause.kind else in_words(self.cause.text)

    @property
    def is_failed_check(self) -> bool:
        """Whether only a blocking asset check ended the step."""
        return any("CheckFailed" in error.class_name for error in self.errors)

    @property
    def is_interrupt(self) -> bool:
        """Whether somebody interrupted the step; a failure without a recorded error counts as that."""
        return self.cause is None or (self.cause.kind is None and "Interrupt" in self.cause.class_name)

    @property
    def may_pass(self) -> bool:
        """Whether it comes from the state of a database or a disk, which may be another one in a minute.

        Sources are asked again by what knows their sessions (automation/catch_up.py).
        """
        if self.is_a(errors.SourceError):
            return False
        of_drivers = any(error.class_name in _OF_DRIVERS for error in self.errors)
        return of_drivers or self.is_a(errors.UnreachableError) or self.is_a(errors.DiskFullError)

    def is_a(self, kind: type[BreadthFlowError]) -> bool:
        """Whether an error of the chain is of this kind."""
        return any(error.kind is not None and issubclass(error.kind, kind) for error in self.errors)

    def as_error(self) -> BreadthFlowError:
        """The failure as an error of ours, with the exit status of its kind."""
        cause = self.cause
        if cause is not None and cause.kind is not None:
            return cause.kind(cause.text)
        if self.is_interrupt:
            return BreadthFlowError(f"{self.step} was interrupted; run it again to go on.")
        if says_full(self.message):
            return disk_full(get_settings().home)
        return BreadthFlowError(f"{self.step} failed: {self.message}")


def step_failure(event: dg.DagsterEvent) -> StepFailure:
    """The failure that an event of a failed step records."""
    return StepFailure(str(event.step_key), tuple(_chain(event.step_failure_data.error)))


def _chain(error: SerializableErrorInfo | None) -> Iterator[RecordedError]:
    while error is not None:
        kind = _kind(error)
        # Dagster records "module.Class: message".
        text = error.message.partition(": ")[2] if kind else error.message
        yield RecordedError(error.cls_name or "", text.strip(), kind)
        error = error.cause


def _kind(error: SerializableErrorInfo) -> type[BreadthFlowError] | None:
    kind = getattr(errors, error.cls_name or "", None)
    return kind if isinstance(kind, type) and issubclass(kind, BreadthFlowError) else None
