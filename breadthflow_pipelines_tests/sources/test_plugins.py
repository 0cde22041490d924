"""Sources that installed packages bring: found by their entry point, run like ours, and named when they fail."""

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from breadthflow_pipelines.errors import BreadthFlowError, RequestError, SourceError
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.sources.protocol import BAR_SCHEMA, SECURITY_SCHEMA, Outcome, Source
from breadthflow_pipelines.sources.registry import configured_source, source_names

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sources.md"
MONDAY, TUESDAY = dt.date(2024, 3, 4), dt.date(2024, 3, 5)

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Lays a package out as installing it does: a module, and beside it what says which entry points it has."""

    def make(distribution: str, code: str, **sources: str) -> None:
        site = tmp_path / distribution
        about = site / f"{distribution}-1.2.dist-info"
        about.mkdir(parents=True)
        (site / f"{distribution}.py").write_text(code)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        points = "".join(f"{name} = {target}\n" for name, target in sources.items())
        (about / "entry_points.txt").write_text(f"[breadthflow.sources]\n{points}")
        monkeypatch.syspath_prepend(site)

    return make


def chosen(monkeypatch: pytest.MonkeyPatch, name: str, **settings: object) -> Source:
    for key, value in {"source": name, **settings}.items():
        monkeypatch.setenv(f"BREADTHFLOW_{key.upper()}", str(value))
    get_settings.cache_clear()
    return configured_source(get_settings(), exchange_calendar("XNYS"))


def documented() -> tuple[str, dict[str, str]]:
    """The module and the entry point that docs/sources.md shows."""
    text = PAGE.read_text()
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    points = re.findall(r"```toml\n\[project.entry-points.\"breadthflow.sources\"\]\n(\w+) = \"(.*)\"\n```", text)
    return code, dict(points)


def test_the_documented_source_installs_and_runs(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, points = documented()
    assert len(code.splitlines()) < 40
    install("our_bars", code, **points)
    bars = pl.DataFrame(
        [("A", MONDAY, 1.0, 2.0, 0.5, 1.5, 100.0, None), ("B", TUESDAY, 1.0, 2.0, 0.5, 1.5, 100.0, 1.4)],
        schema=BAR_SCHEMA,
        orient="row",
    )
    bars.write_parquet(tmp_path / "bars.parquet")
    source = chosen(monkeypatch, "warehouse", source_path=tmp_path / "bars.parquet")
    assert source_names() == ("demo", "files", "stooq", "yahoo", "warehouse")
    assert (source.describe().symbols, source.describe().last_session) == (2, TUESDAY)
    assert source.securities().schema == SECURITY_SCHEMA
    assert source.securities()["source_key"].to_list() == ["A", "B"]
    assert source.members().is_empty()
    (chunk,) = source.bars(None, MONDAY, MONDAY)
    assert (chunk.bars["symbol"].to_list(), chunk.outcomes) == (["A"], {"A": Outcome.FETCHED})
    (chunk,) = source.bars({"B"}, MONDAY, MONDAY)
    assert chunk.outcomes == {"B": Outcome.ABSENT}
    with pytest.raises(SourceError, match="cannot be read"):
        chosen(monkeypatch, "warehouse", source_path=tmp_path / "none.parquet")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import nothing_of_that_name", r"broken of acme 1\.2 fails: ModuleNotFoundError: No module named"),
        ("def make(settings, calendar):\n    return 1 / 0", r"fails: ZeroDivisionError"),
        ("def make(settings):\n    pass", r"fails: TypeError: make\(\) takes 1 positional argument"),
        ("x = 1", r"fails: AttributeError"),
        ("def make(settings, calendar):\n    return object()", r"of acme 1\.2 has no name, synthetic, describe"),
    ],
    ids=["cannot be imported", "raises", "takes something else", "is not there", "gives no source"],
)
def test_a_package_that_fails_is_named(
    install: Install, monkeypatch: pytest.MonkeyPatch, code: str, message: str
) -> None:
    monkeypatch.delitem(__import__("sys").modules, "acme", raising=False)
    install("acme", code, broken="acme:make")
    with pytest.raises(RequestError, match=message):
        chosen(monkeypatch, "broken")


def test_a_name_must_stand_for_one_source(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("acme_one", "", twice="acme_one:make", files="acme_one:make")
    install("acme_two", "", twice="acme_two:make")
    with pytest.raises(RequestError, match=r"twice stands for more than one source: acme.two 1\.2, acme.one 1\.2"):
        chosen(monkeypatch, "twice")
    with pytest.raises(RequestError, match=r"files stands for more than one source: acme.one 1\.2"):
        chosen(monkeypatch, "files")
    assert chosen(monkeypatch, "demo").name == "demo"  # what was not chosen is not loaded


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("nope", {}, "BREADTHFLOW_SOURCE=nope is unknown; there are: demo, files, stooq, yahoo"),
        ("files", {}, "files needs BREADTHFLOW_SOURCE_PATH"),
        ("files", {"source_path": "https://host/bars.csv"}, "reads a file or a directory"),
        ("stooq", {}, "stooq needs BREADTHFLOW_SOURCE_PATH"),
        ("stooq", {"source_path": "/d.zip", "markets": "mars"}, "mars is not a market of Stooq's"),
        ("yahoo", {}, "yahoo needs symbols: set BREADTHFLOW_UNIVERSE_FILE or BREADTHFLOW_SYMBOLS"),
        (
            "yahoo",
            {"symbols": "AAPL", "source_path": "/bars"},
            "yahoo reads no files. To read /bars, set BREADTHFLOW_SOURCE=f",
        ),
        ("yahoo", {"universe_file": "/none.csv"}, "/none.csv cannot be read"),
    ],
)
def test_what_is_missing_is_said_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, settings: dict[str, str], message: str
) -> None:
    with pytest.raises(BreadthFlowError, match=message):
        chosen(monkeypatch, name, **settings)


def test_yahoo_is_asked_for_members_of_the_universe_the_index_and_symbols_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (
        "u,OUT,2000-01-03,2005-01-03\nu,BACK,2000-01-03,2005-01-03\nu,BACK,2010-01-04,\nv,BACK,1999-01-04,2001-01-02\n"
    )
    (tmp_path / "u.csv").write_text("universe,symbol,valid_from,valid_to\n" + rows)
    settings = {"universe_file": tmp_path / "u.csv", "symbols": "qqq", "index_symbols": "u=SPY", "home": tmp_path}
    source = chosen(monkeypatch, "yahoo", **settings)
    assert source._needed == {  # type: ignore[attr-defined]
        "OUT": (dt.date(2000, 1, 3), dt.date(2005, 1, 3)),
        "BACK": (dt.date(1999, 1, 4), None),
        "QQQ": (None, None),
        "SPY": (None, None),
    }
    assert source.members().is_empty()


def test_the_journal_s_name_tells_stores_apart_and_says_nothing_of_their_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = set()
    for url in ("", "postgresql://u:geheim@h/one", "postgresql://u:geheim@h/two"):
        source = chosen(monkeypatch, "yahoo", symbols="A", home=tmp_path, database_url=url)
        names.add(source.journal.path.name)  # type: ignore[attr-defined]
        assert source.journal.path.parent == tmp_path / "sources" / "yahoo"  # type: ignore[attr-defined]
    assert len(names) == 3
    assert "journal-embedded.jsonl" in names
    assert not any("geheim" in name for name in names)
