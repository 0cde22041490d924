"""A run that is under way while an upgrade adds to its tables goes on, and stores what it would have stored.

That migrations do no more than that is tested in warehouse/test_side_by_side.py.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.datasets import DAILY_JOB
from breadthflow_pipelines.model.run_tags import range_tags
from breadthflow_pipelines.orchestration.execution import execute
from breadthflow_pipelines.orchestration.step_failures import step_failure
from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.sources import files
from breadthflow_pipelines_tests.orchestration.conftest import Contents, Store, answer, assert_same
from breadthflow_pipelines_tests.orchestration.small_market import LAST

DECEMBER = LAST.replace(day=1)
LOST = ("bars", "breadth_counts", "breadth_indicators", "market_signals", "price_indicators", "symbol_signals")
ADDED = "added_by_the_upgrade"


def upgrade(store: Store) -> None:
    """What the next version may do: every table gets columns, there is a new one, and the version is another."""
    tables = store.rows(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
        "AND NOT relispartition AND relname <> 'alembic_version'"
    )
    store.execute(
        "SET LOCAL lock_timeout = '20s'",
        *(f"ALTER TABLE {t} ADD {ADDED} text NOT NULL DEFAULT 'new', ADD more_{ADDED} int" for (t,) in tables),
        "CREATE TABLE another_table (id int PRIMARY KEY)",
        "UPDATE alembic_version SET version_num = '9999'",
    )


@pytest.mark.slow
def test_a_run_goes_on_beside_tables_that_an_upgrade_has_added_to(
    filled: Store, one_shot: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.execute(*(f"DELETE FROM {table} WHERE session >= '{DECEMBER}'" for table in LOST))
    read, upgraded = files.Files.bars, []

    def bars(self: files.Files, *arguments: Any) -> Iterator[Any]:
        if not upgraded:
            upgraded.append(upgrade(filled))
        yield from read(self, *arguments)

    monkeypatch.setattr(files.Files, "bars", bars)
    job = build(get_settings()).resolve_job_def(DAILY_JOB)
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    executed = execute(filled.instance, job, tags=range_tags(DECEMBER, LAST, LAST), run_config=quiet)
    assert upgraded
    assert executed.run.is_success, [step_failure(event) for event in executed.events if event.is_step_failure]
    # Nobody filled the new columns, and their defaults are in every row that the run stored.
    assert filled.rows(f"SELECT DISTINCT {ADDED} FROM bars WHERE session >= '{DECEMBER}'") == [("new",)]
    for (table,) in filled.rows(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
        "AND NOT relispartition AND relname NOT IN ('alembic_version', 'another_table')"
    ):
        filled.execute(f"ALTER TABLE {table} DROP {ADDED}, DROP more_{ADDED}")
    assert_same(filled.contents(), one_shot)
    # What begins afterwards is refused, and is told why.
    with pytest.raises(RequestError, match="newer than this program's"):
        _ = filled.market.store
    assert answer(filled.database, "SELECT count(*) FROM another_table") == [(0,)]
