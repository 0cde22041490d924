"""Exports: whole or not at all, the same in every format, and no text in CSV that a spreadsheet would run."""

import csv
import hashlib
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.publishing import exports
from breadthflow_pipelines.publishing.exports import csv_safe, export
from breadthflow_pipelines.warehouse.contents_listing import ExportContents
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines_tests.reports.page.invented import KNOWN, facts

STARTS_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # as OWASP lists them under CSV injection
HOSTILE = "=cmd|'/C calc'!A0"
NOWHERE = Database("postgresql://nowhere", None)


@pytest.fixture
def contents(monkeypatch: pytest.MonkeyPatch) -> ExportContents:
    """What the store is made to say, of a universe with a hostile name."""
    of = facts(HOSTILE, sessions=300)
    breadth = of.breadth.with_columns(doubts=pl.lit(["issues far from their level", "copied"]))
    trades = pl.DataFrame(
        {"universe": HOSTILE, "rule": "r", "session": breadth["session"].head(2), "return": [0.1, -0.1]}
    )
    held = ExportContents(
        breadth, of.signals, KNOWN, 3, synthetic=True, judged={"trades": trades}, segments=["ALL", "Energy"]
    )
    monkeypatch.setattr(exports, "universe_contents", lambda database, universe, sectors: held)  # noqa: ARG005
    return held


def test_the_three_formats_say_the_same_and_the_manifest_what_they_are(
    contents: ExportContents, tmp_path: Path
) -> None:
    place = tmp_path / "new" / "export"
    manifest = export(NOWHERE, HOSTILE, place)
    assert json.loads((place / "manifest.json").read_text()) == manifest
    last = contents.breadth.row(-1, named=True)
    about = ("universe", "synthetic", "as_of", "known_at", "coverage", "members", "state", "convention")
    assert [manifest[name] for name in about] == [
        *(HOSTILE, True, str(last["session"]), "2024-05-06T21:30:00+00:00", 1.0, 300, "final", 3)
    ]
    assert manifest["program"].startswith("breadthflow ")
    assert (manifest["segments"], manifest["segments_left_out"]) == (["ALL"], ["Energy"])
    assert manifest["left_out"].startswith("bars, indicators and signals of single members")
    assert {path.name for path in place.iterdir()} == {*manifest["files"], "manifest.json"}
    for name, file in manifest["files"].items():
        content = (place / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file["bytes"], file["sha256"])
    judged = contents.judged.items()
    for what, rows in (("breadth", contents.breadth), ("signals", contents.signals), *judged):
        marked = rows.with_columns(synthetic=pl.lit(value=True))
        assert_frame_equal(pl.read_parquet(place / f"{what}.parquet"), marked)
        plain = json.loads((place / f"{what}.json").read_text())
        assert [str(row["session"]) for row in plain] == [str(day) for day in rows["session"]]
        lines = list(csv.DictReader((place / f"{what}.csv").open()))
        assert len(lines) == len(plain) == manifest["files"][f"{what}.csv"]["rows"] == rows.height
        for line, row in zip(lines, plain, strict=True):
            assert line["universe"] == f"'{HOSTILE}" == f"'{row['universe']}"
            assert line["session"] == row["session"]
    numbers = pl.read_csv(place / "breadth.csv", infer_schema_length=None)["mcclellan_oscillator_ratio"]
    assert numbers.to_list() == contents.breadth["mcclellan_oscillator_ratio"].to_list()  # to the last bit
    assert (numbers < 0).any()


@given(st.lists(st.text(max_size=8) | st.sampled_from(STARTS_FORMULA).flatmap(lambda c: st.just(c + "1")), min_size=1))
def test_no_text_starts_a_formula_and_none_is_lost(texts: list[str]) -> None:
    safe = csv_safe(pl.DataFrame({"text": texts}, schema={"text": pl.String}))["text"].to_list()
    assert not [text for text in safe if text.startswith(STARTS_FORMULA)]
    for before, after in zip(texts, safe, strict=True):
        assert after == (f"'{before}" if before.startswith(STARTS_FORMULA) else before)


def test_numbers_days_and_unknown_stay_what_they_are_and_lists_are_texts() -> None:
    rows = pl.DataFrame(
        {"number": [-1.5, None], "list": [["=1", "b"], None], "day": ["2024-01-02", None]},
        schema={"number": pl.Float64, "list": pl.List(pl.String), "day": pl.String},
    )
    assert csv_safe(rows).rows() == [(-1.5, "'=1; b", "2024-01-02"), (None, None, None)]


@pytest.mark.usefixtures("contents")
def test_a_directory_with_something_in_it_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(RequestError, match="is there already"):
        export(NOWHERE, HOSTILE, tmp_path)
    with pytest.raises(RequestError, match="is there already"):
        export(NOWHERE, HOSTILE, tmp_path / "mine.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.usefixtures("contents")
def test_an_export_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(rows: pl.DataFrame, path: Path) -> None:  # noqa: ARG001
        path.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(exports, "WRITERS", {**exports.WRITERS, "json": killed})
    with pytest.raises(KeyboardInterrupt):
        export(NOWHERE, HOSTILE, tmp_path / "export")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("contents")
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="cannot be written"):
        export(NOWHERE, HOSTILE, tmp_path / "file" / "export")
