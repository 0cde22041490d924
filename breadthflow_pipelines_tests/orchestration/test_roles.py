"""The pipeline and everything that reads, each under the login of its database role."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from breadthflow_pipelines import cli
from breadthflow_pipelines.orchestration.catalogue_columns import PRICE_COLUMNS, fit_stored_columns
from breadthflow_pipelines.orchestration.hosting.storage import open_to_roles
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse import recomputations
from breadthflow_pipelines.warehouse.database import Database, upgrade
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines.warehouse.roles import PIPELINE, READER
from breadthflow_pipelines_tests.conftest import administer, as_login
from breadthflow_pipelines_tests.orchestration.conftest import Contents, Store, assert_same, opened
from breadthflow_pipelines_tests.orchestration.small_market import FIRST, LAST, SmallMarket

FreshDatabase = Callable[[str], str]


Ask = Callable[[str], int]


@dataclass
class Shared:
    """A store whose tables belong to one login and that a pipeline's login runs."""

    owner: Database
    run: Store


@pytest.fixture
def shared(
    server: EmbeddedServer,
    fresh_database: FreshDatabase,
    _template: str,
    dagster_template: str,
    small: SmallMarket,
    tmp_path: Path,
) -> Iterator[Shared]:
    """Two databases as ``breadthflow db upgrade`` leaves them, opened by a pipeline's login."""
    make_logins(server)
    url, dagster_url = fresh_database(_template), fresh_database(dagster_template)
    owner = Database(url, None)
    fit_stored_columns(owner)
    open_to_roles(dagster_url)
    with opened(small, tmp_path, as_login(url, "pipeline_login"), as_login(dagster_url, "pipeline_login")) as store:
        yield Shared(owner, store)


@pytest.fixture
def readers(
    server: EmbeddedServer, filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], int]:
    """Gives the exit status of a command, in this process, under a reader's login."""
    make_logins(server)
    open_to_roles(filled.dagster_url)
    monkeypatch.setenv("BREADTHFLOW_DATABASE_URL", as_login(filled.database.url, "reader_login"))
    monkeypatch.setenv("BREADTHFLOW_DAGSTER_DATABASE_URL", as_login(filled.dagster_url, "reader_login"))
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()

    def ask(line: str) -> int:
        with pytest.raises(SystemExit) as end:
            cli.main(line.split())
        return int(end.value.code or 0)

    return ask


def make_logins(server: EmbeddedServer) -> None:
    """One of each role, unless an earlier test made them."""
    for name, role in (("pipeline_login", PIPELINE), ("reader_login", READER)):
        make = f"CREATE ROLE {name} LOGIN IN ROLE {role}; EXCEPTION WHEN duplicate_object THEN"
        administer(server, f"DO $$ BEGIN {make} END $$")


@pytest.mark.slow
def test_a_pipeline_does_all_of_its_work_without_owning_a_table(shared: Shared, one_shot: Contents) -> None:
    report = shared.run.run()
    assert report.exit_status == 0, report
    assert_same(shared.run.contents(), one_shot)
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert shared.run.rows(owners) == [("postgres",)]
    without_statistics = "SELECT relname FROM pg_class WHERE relname LIKE 'bars\\_20__' AND reltuples < 0"
    assert shared.run.rows(without_statistics) == []


@pytest.mark.slow
def test_checks_and_suites_judge_under_a_pipeline_s_login(shared: Shared, frozen: Callable[[dt.date], None]) -> None:
    frozen(LAST)
    shared.run.run()
    report = shared.run.check(suites=True)
    assert report.trouble is None
    assert report.exit_status == 0, [check for check in report.checks if check.status == "failed"]


READING = f"""
breadth --universe small --from {FIRST}
indicators
symbols --universe small
members --universe small
signals
score --date {LAST}
status
accuracy --universe small
calibration --universe small
rejected
holes
backtest --rule breadth_score --universe small --threshold 50
report --universe small --to page.html
export --universe small --to exported
explain ID
explain small:AAA:{LAST}
"""
OF_BARS = ("rejected", "backtest", "explain small:")  # that print what vendors delivered, or compute from it


def test_a_reader_can_ask_everything_and_change_nothing(
    filled: Store, readers: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    signal = filled.rows("SELECT signal_id FROM market_signals ORDER BY session DESC LIMIT 1")[0][0]
    for line in READING.strip().replace("ID", signal).splitlines():
        assert readers(line) == 0, (line, capsys.readouterr().err)
    capsys.readouterr()
    for line in ("release AAA 2023-01-03 --reason r", "accept-hole 2023-01-03 --reason r", "run --again"):
        assert readers(line) != 0
        assert "This database login may not do that" in capsys.readouterr().err, line


@pytest.mark.slow
def test_a_reader_who_may_not_see_bars_can_ask_what_is_made_of_them(
    filled: Store, readers: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    upgrade(filled.database, reader_sees_bars=False)
    signal = filled.rows("SELECT signal_id FROM market_signals ORDER BY session DESC LIMIT 1")[0][0]
    for line in READING.strip().replace("ID", signal).splitlines():
        status, said = readers(line), capsys.readouterr().err
        refused = line.startswith(OF_BARS)
        assert status == (2 if refused else 0), (line, said)
        assert ("permission denied" in said) == refused


@pytest.mark.slow
def test_new_columns_are_the_owner_s_to_make_and_runs_fill_them(shared: Shared) -> None:
    column = PRICE_COLUMNS[0].name
    filled = f"SELECT count({column}), round(sum({column})::numeric, 6) FROM price_indicators"
    shared.run.run()
    before = shared.run.rows(filled)
    with shared.owner.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE price_indicators DROP COLUMN {column}")
    assert shared.run.run().exit_status == 2  # the pipeline may not
    fit_stored_columns(shared.owner)
    assert recomputations.due(shared.owner, "price_indicators").causes == ("new columns",)
    assert shared.run.daily(LAST).exit_status == 0
    assert shared.run.rows(filled) == before != [(0, None)]
