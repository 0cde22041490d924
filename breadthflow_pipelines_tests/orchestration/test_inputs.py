"""The inputs of a run are others as soon as anything is that it reads, and unknown where only reading would tell."""

import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from breadthflow_pipelines.orchestration.inputs import inputs_of
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.sources.registry import configured_source
from breadthflow_pipelines.warehouse import publications
from breadthflow_pipelines.warehouse.database import Database

BARS = "date,symbol,open,high,low,close,volume\n2024-01-02,AAA,1,2,1,2,100\n"
MEMBERS = "universe,symbol,valid_from,valid_to\nu,AAA,2020-01-01,\n"
THROUGH = dt.date(2024, 1, 3)

Inputs = Callable[..., str | None]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory of bars, and beside it a universe with its instruments."""
    (tmp_path / "bars").mkdir()
    (tmp_path / "bars" / "a.csv").write_text(BARS)
    (tmp_path / "members.csv").write_text(MEMBERS)
    return tmp_path


@pytest.fixture
def inputs(database: Database, files: Path) -> Inputs:
    """What inputs_of gives of the files, under other settings where some are given."""

    def of(through: dt.date = THROUGH, **changes: object) -> str | None:
        chosen = {"source": "files", "source_path": files / "bars", "universe_file": files / "members.csv", **changes}
        settings = Settings(**chosen)  # type: ignore[arg-type]
        source = configured_source(settings, exchange_calendar(settings.calendar, settings.calendar_changes))
        return inputs_of(settings, source, database, through)

    return of


def test_the_same_is_the_same(inputs: Inputs) -> None:
    assert inputs() == inputs() is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"through": dt.date(2024, 1, 4)},
        {"start": "2017-01"},
        {"coverage_gate": 0.6},
        {"source_columns": {"close": "Last"}},
        {"source": "demo"},
        {"source": "demo", "demo_seed": 7},
    ],
    ids=str,
)
def test_another_day_or_setting_is_another_input(inputs: Inputs, changes: dict[str, object]) -> None:
    assert inputs(**changes) not in (inputs(), None)


def test_another_seed_is_another_market(inputs: Inputs) -> None:
    assert inputs(source="demo") != inputs(source="demo", demo_seed=7)


def test_how_much_is_logged_is_no_input(inputs: Inputs) -> None:
    assert inputs(log_level="DEBUG") == inputs()


def rewritten(path: Path) -> None:
    """The same size, another text, another time."""
    path.write_text(path.read_text().replace("AAA", "BBB"))
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1))


def test_files_of_an_index_and_of_rates_are_inputs(inputs: Inputs, files: Path) -> None:
    for name, of in (
        ("index.csv", {"index_symbols": f"u={files}/index.csv"}),
        ("rf.csv", {"risk_free": files / "rf.csv"}),
    ):
        (files / name).write_text("AAA")
        before = inputs(**of)
        assert before not in (inputs(), None)
        rewritten(files / name)
        assert inputs(**of) != before


@pytest.mark.parametrize(
    "change",
    [
        lambda files: rewritten(files / "bars" / "a.csv"),
        lambda files: (files / "bars" / "b.csv").write_text(BARS.replace("AAA", "CCC")),
        lambda files: (files / "bars" / "a.csv").rename(files / "bars" / "c.csv"),
        lambda files: rewritten(files / "members.csv"),
    ],
    ids=["a file is rewritten", "one comes", "one is renamed", "members change"],
)
def test_other_files_are_another_input(inputs: Inputs, files: Path, change: Callable[[Path], object]) -> None:
    before = inputs()
    change(files)
    assert inputs() != before


def test_published_counts_are_an_input_where_they_are_files_and_unknown_at_an_address(
    inputs: Inputs, files: Path, database: Database
) -> None:
    before = inputs()
    (files / "nyse").mkdir()
    publications.remember(database, "NYSE", files / "nyse")
    remembered = inputs()
    assert remembered != before
    (files / "nyse" / "NYSE_advancing_issues.csv").write_text("2024-01-02,1\n")
    assert inputs() != remembered
    publications.remember(database, "NYSE", "https://vendor.example/NYSE_")
    assert inputs() is None


def test_what_a_vendor_serves_is_not_known_before_it_is_read(inputs: Inputs, files: Path) -> None:
    assert inputs(source="yahoo", source_path=None, home=files / "home") is None
