"""What errors say to people: also those of others, as they are recorded."""

import pytest

from breadthflow_pipelines.errors import INTERRUPTED, in_words


@pytest.mark.parametrize(
    ("recorded", "told"),
    [
        ("dagster._core.errors.DagsterExecutionInterruptedError\n", INTERRUPTED),
        ("KeyboardInterrupt", INTERRUPTED),
        (
            'Execution of run for "bring_up_to_date" failed. Execution was interrupted unexpectedly. No user initiated '
            "termination request was found, treating as failure.",
            INTERRUPTED,
        ),
        ("breadthflow_pipelines.errors.SourceError: feed.example: no answer\n", "feed.example: no answer"),
        ("dagster._core.errors.DagsterInvalidConfigError: Missing entry\nops", "Missing entry\nops"),
        ("psycopg2.errors.UndefinedTable: relation bars is missing", "relation bars is missing"),
        ("dagster._core.errors.DagsterSubprocessError", "it failed without saying why (DagsterSubprocessError)"),
        ("KeyError: 'surprise'", "KeyError: 'surprise'"),  # the name alone would say nothing
        ("feed.example: no answer", "feed.example: no answer"),  # a host is no class
        ("It was ended by Interrupted Ltd", "It was ended by Interrupted Ltd"),
        ("", ""),
    ],
)
def test_a_recorded_error_of_others_is_told_in_words(recorded: str, told: str) -> None:
    assert in_words(recorded) == told
