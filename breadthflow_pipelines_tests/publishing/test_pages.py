"""Where a page goes: one file whatever the universe is called, replaced at once, left alone where nothing changed."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.evaluation.backtests import TRADES_SCHEMA
from breadthflow_pipelines.publishing import pages
from breadthflow_pipelines.publishing.pages import write_page
from breadthflow_pipelines.publishing.places import page_path
from breadthflow_pipelines.warehouse.contents_listing import PageContents
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines_tests.reports.page.invented import facts

NOWHERE = Database("postgresql://nowhere", None)


def contents(*lacking: str) -> PageContents:
    of = facts(sessions=200)
    returns = {
        **dict.fromkeys(("universe", "segment"), pl.String),
        "session": pl.Date,
        "return": pl.Float64,
        "intraday": pl.Float64,
    }
    return PageContents(
        of.breadth.drop(lacking),
        of.signals,
        of.known_at,
        of.convention,
        of.synthetic,
        sectors=of.sectors,
        faults=of.faults,
        records=of.records,
        returns=pl.DataFrame(schema={**returns, **dict.fromkeys(("contributing", "adjusted"), pl.Int64)}),
        index=pl.DataFrame(schema={"universe": pl.String, "session": pl.Date, "close": pl.Float64}),
        backtests=of.backtests,
        trades=pl.DataFrame(schema=TRADES_SCHEMA),
        years=of.years,
    )


@pytest.fixture(autouse=True)
def _contents(monkeypatch: pytest.MonkeyPatch) -> None:
    held = contents()
    monkeypatch.setattr(pages, "page_contents", lambda database, universe: held)  # noqa: ARG005


@pytest.mark.parametrize(
    "universe",
    [
        "sp500",
        "S&P 500",  # a space stays, for people
        "../../etc/passwd",  # leads nowhere
        "a/b",
        "..",
        "<script>",
        "Börse",
    ],
)
def test_any_name_makes_one_file_in_the_directory(universe: str, tmp_path: Path) -> None:
    path = page_path(tmp_path, universe)
    assert path.parent == tmp_path / "reports"
    assert path.suffix == ".html"
    assert write_page(NOWHERE, universe, path).changed
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == [path]


def test_names_that_differ_make_files_that_differ(tmp_path: Path) -> None:
    names = ("a b", "a/b", "a%2Fb", "a%20b", "a.b")
    assert len({page_path(tmp_path, name) for name in names}) == len(names)


def test_an_equal_page_is_left_alone_and_another_replaced(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    first = write_page(NOWHERE, "small", path)
    stamp = path.stat().st_mtime_ns
    assert (first.changed, first.size) == (True, path.stat().st_size)
    assert not write_page(NOWHERE, "small", path).changed
    assert path.stat().st_mtime_ns == stamp
    path.write_text("something else")
    assert write_page(NOWHERE, "small", path).changed
    assert path.stat().st_size == first.size
    assert list(tmp_path.iterdir()) == [path]


def test_a_store_that_lacks_an_indicator_has_a_page_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = contents("zweig_ema")
    monkeypatch.setattr(pages, "page_contents", lambda database, universe: older)  # noqa: ARG005
    write_page(NOWHERE, "small", tmp_path / "page.html")
    said = "Not drawn, because nothing of it is known here: Zweig"
    assert said in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(("later", "warned"), [(0, False), (1, True), (None, False)])
def test_a_page_that_lacks_the_last_session_says_so(tmp_path: Path, later: int | None, warned: bool) -> None:
    path = tmp_path / "page.html"
    last = write_page(NOWHERE, "small", path).facts.now["session"]
    due = None if later is None else last + dt.timedelta(days=later)
    write_page(NOWHERE, "small", path, due)
    assert (f"This is not the last session: {due} had closed when this page was made" in path.read_text()) is warned


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match=r"file/page\.html cannot be written"):
        write_page(NOWHERE, "small", tmp_path / "file" / "page.html")
