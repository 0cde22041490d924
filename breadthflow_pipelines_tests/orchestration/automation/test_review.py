"""The monthly review on a real store: what it says, where it is sent, and what the UI shows of it."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from breadthflow_pipelines.orchestration.automation.review import as_text
from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.settings import Settings, get_settings
from breadthflow_pipelines_tests.inbox import Inbox
from breadthflow_pipelines_tests.orchestration.conftest import Store

At = Callable[[str], None]
FIRST_OF_JANUARY = "2024-01-01T13:00"


def send(store: Store) -> dict[str, Any]:
    """What the job leaves in the UI."""
    result = build(get_settings()).resolve_job_def("send_review").execute_in_process(instance=store.instance)
    (output,) = [event for event in result.all_events if event.event_type is dg.DagsterEventType.STEP_OUTPUT]
    return {name: value.value for name, value in output.step_output_data.metadata.items()}


def test_a_review_is_sent_and_shown_with_its_figures(filled: Store, alerted: Inbox, at: At) -> None:
    at(FIRST_OF_JANUARY)
    filled.execute(
        "DELETE FROM bars WHERE security_id = (SELECT security_id FROM security_symbols WHERE symbol = 'CCC') "
        "AND session > '2023-12-01'"
    )
    shown = send(filled)
    assert shown["sent"] == "sent"
    (told,) = alerted.texts
    assert told.startswith("BreadthFlow review: ")
    assert "\n  - small CCC: the last bar is of 2023-12-01\n" in told
    # LLL left on the 15th; the universe is that of the small market's file.
    assert "small: 13 members, changed on 2023-12-15, 17 days ago" in shown["review"].replace("\\", "")
    assert shown["members without recent bars"] == 1
    assert (shown["universes"], shown["universes without a change for long"]) == (1, 0)
    assert shown["securities in no universe"] == 0  # the index is nobody's member on purpose
    assert shown["packages"] > 100
    text = as_text(filled.market)
    assert told.splitlines()[1].removeprefix("What   ") in text
    assert len(alerted.messages) == 1  # looking sends nothing


def test_an_empty_store_has_a_review_too(store: Store, at: At) -> None:
    at(FIRST_OF_JANUARY)
    shown = send(store)
    assert (shown["sent"], shown["universes"], shown["members without recent bars"]) == ("no address is set", 0, 0)


def test_it_comes_every_month_of_the_exchange_and_before_the_digest() -> None:
    definitions = build(Settings(calendar="XLON"))
    schedule = definitions.resolve_schedule_def("monthly_review")
    assert (schedule.job_name, schedule.cron_schedule) == ("send_review", "0 8 1 * *")
    assert schedule.execution_timezone == "Europe/London"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
