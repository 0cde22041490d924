"""Why a step failed, as Dagster's chain of errors has it: whose error it is, what it says, which exit status it has."""

import dagster as dg
import pytest
from dagster._core.execution.plan.objects import StepFailureData
from dagster_shared.error import SerializableErrorInfo

from breadthflow_pipelines.errors import (
    INTERRUPTED,
    BreadthFlowError,
    DiskFullError,
    RequestError,
    SourceError,
    UnreachableError,
)
from breadthflow_pipelines.orchestration.step_failures import StepFailure, step_failure

WRAPPER = ("DagsterExecutionStepExecutionError", "Error occurred while executing op bars")
OURS = ("SourceError", "breadthflow_pipelines.errors.SourceError: feed.example: no answer\n")
FOREIGN = ("KeyError", "KeyError: 'surprise'\n")


def failed(*chain: tuple[str, str]) -> StepFailure:
    """A failure of the step bars with these classes and messages, the last one raised first."""
    error = None
    for name, message in reversed(chain):
        error = SerializableErrorInfo(message, [], name, error)
    event = dg.DagsterEvent(
        event_type_value=dg.DagsterEventType.STEP_FAILURE.value,
        job_name="bring_up_to_date",
        step_key="bars",
        event_specific_data=StepFailureData(error, None),
    )
    return step_failure(event)


@pytest.mark.parametrize(
    ("chain", "kind", "message"),
    [
        # ours below Dagster's: its text is what it was raised with, colons and all
        ((WRAPPER, OURS), SourceError, "feed.example: no answer"),
        # ours above another one: what the code said of it, not what it came from
        ((WRAPPER, OURS, FOREIGN), SourceError, "feed.example: no answer"),
        # a retry that was used up
        ((("RetryRequested", "retry"), OURS), SourceError, "feed.example: no answer"),
        # a bug
        ((WRAPPER, FOREIGN), BreadthFlowError, "bars failed: KeyError: 'surprise'"),
        (
            (WRAPPER, ("DagsterExecutionInterruptedError", "")),
            BreadthFlowError,
            "bars was interrupted; run it again",
        ),
        ((), BreadthFlowError, "bars was interrupted; run it again"),
        # not ours, and a full disk all the same
        ((WRAPPER, ("OSError", "OSError: [Errno 28] No space left on device")), DiskFullError, ""),
    ],
)
def test_failure_becomes_the_error_that_says_what_to_do(
    chain: tuple[tuple[str, str], ...], kind: type[BreadthFlowError], message: str
) -> None:
    error = failed(*chain).as_error()
    assert type(error) is kind
    assert message in str(error)


def test_alerts_read_the_same_cause() -> None:
    failure = failed(WRAPPER, OURS, FOREIGN)
    assert (failure.step, failure.class_name, failure.message) == ("bars", "SourceError", "feed.example: no answer")
    assert failed(WRAPPER, FOREIGN).class_name == "KeyError"
    assert failed().message == "it failed without saying why"


def test_classes_of_dagster_are_told_in_words() -> None:
    interrupt = ("DagsterExecutionInterruptedError", "dagster._core.errors.DagsterExecutionInterruptedError\n")
    assert failed(WRAPPER, interrupt).message == INTERRUPTED
    odd = ("DagsterInvariantViolationError", "dagster._core.errors.DagsterInvariantViolationError: odd")
    assert failed(WRAPPER, odd).message == "odd"
    assert failed(WRAPPER, FOREIGN).message == "KeyError: 'surprise'"


def test_kind_is_known_by_every_error_of_the_chain() -> None:
    failure = failed(WRAPPER, OURS)
    assert failure.is_a(SourceError)
    assert failure.is_a(UnreachableError)
    assert not failure.is_a(RequestError)


def test_failed_check_is_no_error_of_a_step() -> None:
    assert failed(("DagsterAssetCheckFailedError", "1 blocking check failed")).is_failed_check
    assert not failed(WRAPPER, OURS).is_failed_check
