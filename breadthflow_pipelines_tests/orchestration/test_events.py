"""What listeners are told of a run: each new session and signal of a universe once, and how the run went."""

import datetime as dt
from collections.abc import Callable

import pytest

from breadthflow_pipelines.model.datasets import DAILY_JOB
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse.database import Database, Row
from breadthflow_pipelines.warehouse.event_log import EventLog, events_after
from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.orchestration.small_market import LAST, SESSIONS

Told = Callable[[], list[Row]]


@pytest.fixture
def told(store: Store) -> Told:
    """Gives what came since it was last asked."""
    log = EventLog(store.database, Database(store.dagster_url, None), get_settings().keep_events_days)
    log.number()
    last = 0

    def events() -> list[Row]:
        nonlocal last
        log.number()
        found = events_after(store.database, last, 10_000)
        last = found[-1]["event_id"] if found else last
        return found

    return events


def of_kind(events: list[Row], kind: str) -> list[dict[str, object]]:
    return [row["about"] for row in events if row["kind"] == kind]


@pytest.mark.slow
def test_a_run_is_told_from_its_beginning_to_its_end(
    store: Store, told: Told, frozen: Callable[[dt.date], None]
) -> None:
    before = SESSIONS[SESSIONS.index(LAST) - 1]
    frozen(before)
    run_id = store.run(last=before).run_id
    events = told()
    assert {row["about"]["run_id"] for row in events if "run_id" in row["about"]} == {run_id}
    assert of_kind(events, "run_started") == [{"run_id": run_id, "job": DAILY_JOB}]
    assert of_kind(events, "run_finished") == [{"run_id": run_id, "job": DAILY_JOB, "status": "success"}]
    steps = [(about["step"], about["phase"]) for about in of_kind(events, "run_progress")]
    assert steps.index(("bars", "started")) < steps.index(("bars", "done")) < steps.index(("market_signals", "done"))
    kinds = [row["kind"] for row in events if "run_id" in row["about"]]
    assert (kinds[0], kinds[-1]) == ("run_started", "run_finished")

    # By hand, from the tables: a year of sessions is one event for each universe, and not one for each session.
    rows = store.rows(
        "SELECT universe, max(session), min(session), count(*) FROM breadth_indicators WHERE segment = 'ALL' "
        "GROUP BY universe ORDER BY universe"
    )
    assert of_kind(events, "new_session") == [
        {"universe": universe, "session": str(newest), "first": str(oldest), "sessions": number, "synthetic": False}
        for universe, newest, oldest, number in rows
    ]
    rows = store.rows(
        "SELECT universe, count(*) FROM market_signals WHERE segment = 'ALL' GROUP BY universe ORDER BY 1"
    )
    assert [(about["universe"], about["signals"]) for about in of_kind(events, "new_signals")] == rows

    frozen(LAST)
    store.daily(LAST)
    events = told()
    assert {(about["first"], about["session"], about["sessions"]) for about in of_kind(events, "new_session")} == {
        (str(LAST), str(LAST), 1)
    }
    for about in of_kind(events, "new_signals"):
        rows = store.rows(
            "SELECT signal_id, rule, action, confidence, state FROM market_signals "
            "WHERE segment = 'ALL' AND universe = %s AND session = %s ORDER BY rule",
            *(about["universe"], LAST),
        )
        names = ("signal_id", "rule", "action", "confidence", "state")
        assert about["newest"] == [dict(zip(names, row, strict=True)) for row in rows]

    store.daily(LAST)
    events = told()
    assert of_kind(events, "run_finished")
    assert of_kind(events, "new_session") == of_kind(events, "new_signals") == []


def test_invented_universes_are_said_to_be(store: Store, told: Told) -> None:
    store.execute(
        "INSERT INTO securities (security_id, security_key, name, synthetic) VALUES (1, 'x', 'X', true)",
        "INSERT INTO universe_members (universe, security_id, symbol, valid_from) "
        "VALUES ('demo', 1, 'X', '2023-01-01')",
        "INSERT INTO breadth_indicators (universe, segment, session, state, settled, convention) VALUES "
        "('demo', 'ALL', '2023-01-03', 'final', true, 1), ('demo', 'Energy', '2023-01-04', 'final', true, 1), "
        "('NYSE', 'ALL', '2023-01-04', 'final', true, 1)",
    )
    found = {about["universe"]: about for about in of_kind(told(), "new_session")}
    assert {universe: about["synthetic"] for universe, about in found.items()} == {"NYSE": False, "demo": True}
    assert found["demo"]["session"] == "2023-01-03"  # a sector is no universe
