"""The daily digest on a real store: what it says of good days and bad ones, and that it comes once."""

import datetime as dt
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest

from breadthflow_pipelines.errors import SourceError
from breadthflow_pipelines.orchestration.automation.digest import as_text
from breadthflow_pipelines.orchestration.run_reports import RunReport
from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.settings import Settings, get_settings
from breadthflow_pipelines.sources import files
from breadthflow_pipelines_tests.inbox import Inbox
from breadthflow_pipelines_tests.orchestration.conftest import Store, ended
from breadthflow_pipelines_tests.orchestration.small_market import BROKEN, LAST

At = Callable[[str], None]
MORNING = "2024-01-02T13:15"  # 08:15 in New York; the last session was on December 29
NEXT_MORNING = "2024-01-03T13:15"  # that of January 2 was due at 20:30 the evening before


def send(store: Store, tags: dict[str, str] | None = None) -> dict[str, Any]:
    """What the job leaves in the UI."""
    job = build(get_settings()).resolve_job_def("send_digest")
    result = job.execute_in_process(instance=store.instance, tags=tags)
    (output,) = [event for event in result.all_events if event.event_type is dg.DagsterEventType.STEP_OUTPUT]
    return {name: value.value for name, value in output.step_output_data.metadata.items()}


def test_all_is_well_is_said_too_once_and_with_what_came_in(filled: Store, alerted: Inbox, at: At) -> None:
    at(MORNING)
    shown = send(filled)
    assert shown["sent"] == "sent"
    (told,) = alerted.texts
    lines = told.splitlines()
    assert lines[0] == "BreadthFlow digest: all is well"
    assert lines[1] == "What   Runs since 2024-01-01 13:15 UTC: 1 succeeded (bring_up_to_date 1)"
    assert "Freshness: session 2023-12-29 is due; no asset lacks it" in lines
    assert f"Rows of these runs: {len(BROKEN)} rejected, 0 revised, 0 quarantined" in lines
    for row, reason in BROKEN.values():
        assert f"  - rejected of files: {reason}, 1" in lines, row
    assert "Holds: no sessions" in lines
    assert "growth unknown" in told
    assert "Slowest queries: unknown; pg_stat_statements is not installed" in lines
    assert lines[-1] == "Next   nothing"
    assert shown["digest"].startswith("**2024-01-02: all is well**\n\n**Runs since 2024-01-01 13:15 UTC**: 1 succeeded")


def test_the_next_digest_begins_where_the_last_one_ended(filled: Store, alerted: Inbox, at: At) -> None:
    at("2024-01-02T13:10")
    send(filled)
    ended(filled, "2024-01-02T12:00")
    at(MORNING)
    looked = as_text(filled.instance, filled.market)
    assert looked == as_text(filled.instance, filled.market)  # looking changes nothing
    assert len(alerted.messages) == 1
    send(filled)
    told = alerted.texts[1]
    assert "Runs since 2024-01-02 13:10 UTC: none\n" in told
    assert "Rows of these runs: 0 rejected, 0 revised, 0 quarantined\n" in told
    assert "growth unknown" not in told
    assert told.splitlines()[1].removeprefix("What   ") in looked


def test_a_run_that_failed_is_told_with_its_first_line_and_without_secrets(
    filled: Store, alerted: Inbox, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENDOR_API_KEY", "planted-key")

    def bars(*_: object) -> Iterator[object]:
        raise SourceError("https://feed.example/bars?crumb=planted is away: planted-key\nand a second line")
        yield

    monkeypatch.setattr(files.Files, "bars", bars)
    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", lambda self, attempt: 0.01 * attempt)  # noqa: ARG005
    run = filled.run(dt.date(2023, 12, 1), LAST)
    at(MORNING)
    shown = send(filled)
    (told,) = alerted.texts
    assert told.startswith("BreadthFlow digest: 1 run failed\n")
    assert "1 succeeded (bring_up_to_date 1), 1 failed\n" in told
    line = f"run {run.run_id[:8]} of bring_up_to_date failed: bars: https://feed.example/bars?*** is away: ***\n"
    assert f"  - {line}" in told
    assert told.endswith("then: breadthflow backfill --from 2023-12-01 --to 2023-12-31")
    everything = told + str(shown) + as_text(filled.instance, filled.market)
    assert "planted" not in everything
    assert "second line" not in everything


def interrupted(store: Store, run: Callable[[], RunReport], monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a run that Ctrl-C ends while it reads bars."""

    def bars(*_: object) -> Iterator[object]:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)  # the handler interrupts it
        yield

    with monkeypatch.context() as patch:
        patch.setattr(files.Files, "bars", bars)
        assert "bars was interrupted" in str(run().trouble)
    return store.instance.get_runs()[0].run_id


def test_ctrl_c_is_told_in_words_until_another_run_did_the_work(
    filled: Store, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    daily = interrupted(filled, lambda: filled.daily(LAST), monkeypatch)
    at(MORNING)
    told = as_text(filled.instance, filled.market)
    assert told.startswith("2024-01-02: 1 run failed\n")
    assert f"  - run {daily[:8]} of bring_up_to_date failed: bars: interrupted by Ctrl-C, or because" in told
    assert "Error" not in told
    assert told.splitlines()[-1] == "Next: breadthflow run"
    month = interrupted(filled, lambda: filled.run(dt.date(2023, 6, 1), dt.date(2023, 6, 30)), monkeypatch)
    done = filled.daily(LAST)
    assert done.trouble is None
    told = as_text(filled.instance, filled.market)
    assert f"run {daily[:8]} of bring_up_to_date failed (done since by run {done.run_id[:8]}): bars: inter" in told
    # What is due does not include what somebody wanted to be read again.
    assert told.startswith("2024-01-02: 1 run failed\n")
    assert f"run {month[:8]} of bring_up_to_date failed: bars: interrupted" in told
    assert told.splitlines()[-1] == "Next: breadthflow backfill --from 2023-06-01 --to 2023-06-30"
    assert filled.run(dt.date(2023, 5, 1), dt.date(2023, 7, 31)).trouble is None
    told = as_text(filled.instance, filled.market)
    assert told.startswith("2024-01-02: all is well\n")
    assert told.splitlines()[-1] == "Next: nothing"


def test_a_late_session_is_told_with_who_lacks_it(filled: Store, alerted: Inbox, at: At) -> None:
    at(NEXT_MORNING)
    send(filled)
    (told,) = alerted.texts
    assert told.startswith("BreadthFlow digest: session 2024-01-02 is late\n")
    assert (
        "session 2024-01-02 is due; 6 of 6 assets lack it\n  - through 2023-12-29, late: bars, breadth_counts, " in told
    )
    assert told.endswith("\nNext   breadthflow run")


def test_a_held_session_and_a_revised_bar_are_told(filled: Store, at: At) -> None:
    filled.execute(
        "INSERT INTO holds (gate, universe, synthetic, session, missing, said, run_id) "
        "VALUES ('bars_complete', '*', false, '2023-06-15', 1, 'no bars', 'earlier')"
    )
    filled.execute(
        "INSERT INTO bar_revisions SELECT security_id, session, now(), run_id, open, open, high, high, low, low, "
        "close, close + 1, volume, volume, close_adjusted, close_adjusted, source, source, run_id, ingested_at, "
        "'correction' FROM bars WHERE session = '2023-06-16' LIMIT 2"
    )
    at(MORNING)
    text = as_text(filled.instance, filled.market)
    assert text.startswith("2024-01-02: held by bars_complete\n")
    assert "Holds: 1 session\n  - bars_complete: no bars on 2023-06-15\n" in text
    assert "2 revised" in text
    assert "  - revised: correction, 2\n" in text
    assert text.splitlines()[-1].startswith("Next: breadthflow backfill --from 2023-06-15 --to 2023-06-15")


def test_of_nothing_at_all_it_says_so(store: Store, alerted: Inbox, at: At) -> None:
    at(MORNING)
    send(store)
    (told,) = alerted.texts
    assert told.startswith("BreadthFlow digest: the store is empty\nWhat   Runs since 2024-01-01 13:15 UTC: none\n")
    assert "Freshness: no bars are stored yet\n" in told
    assert told.endswith("\nNext   breadthflow run")


def test_it_is_shown_where_no_address_is_set_and_tried_again_where_none_takes_it(
    store: Store, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, at: At
) -> None:
    at(MORNING)
    shown = send(store)
    assert (shown["sent"], "the store is empty" in shown["digest"]) == ("no address is set", True)
    monkeypatch.setenv("BREADTHFLOW_ALERT_URLS", inbox.url)
    get_settings.cache_clear()
    inbox.status = 500
    assert send(store)["sent"] == "no address took it"
    inbox.status = 200
    late_sessions = build(get_settings()).resolve_sensor_def("late_sessions")
    late_sessions(dg.build_sensor_context(store.instance))
    (told,) = inbox.texts
    assert "not taken then" in told


def test_a_run_that_is_tried_again_sends_it_once(store: Store, alerted: Inbox) -> None:
    tags = {"dagster/retry_number": "1", "dagster/root_run_id": "0000"}
    assert [send(store, tags)["sent"] for _ in range(2)] == ["sent", "already sent"]
    assert len(alerted.messages) == 1


def test_it_comes_every_morning_of_the_exchange() -> None:
    schedule = build(Settings(calendar="XLON")).resolve_schedule_def("daily_digest")
    assert (schedule.job_name, schedule.cron_schedule) == ("send_digest", "15 8 * * *")
    assert schedule.execution_timezone == "Europe/London"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
