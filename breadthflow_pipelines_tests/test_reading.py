"""Frames for notebooks: what the store says or said, as pandas or Polars, and errors in the command's words."""

import datetime as dt
import json
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from breadthflow_pipelines import reading
from breadthflow_pipelines.cli import app
from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.evaluation.backtests import Backtests, backtests
from breadthflow_pipelines.evaluation.outcomes import outcomes, windows
from breadthflow_pipelines.indicators.breadth_catalogue import breadth_indicators
from breadthflow_pipelines.indicators.conventions import CONVENTION
from breadthflow_pipelines.model.vocabulary import SIGNAL_RECORD
from breadthflow_pipelines.orchestration.catalogue_columns import BREADTH_COLUMNS
from breadthflow_pipelines.publishing.exports import export
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.signals.market import market_signals
from breadthflow_pipelines.warehouse import breadth_listing, breadth_store, evaluation_store, signal_listing
from breadthflow_pipelines.warehouse.database import Database, rows_of
from breadthflow_pipelines_tests.reports.test_charts import counts

FIRST, LAST = dt.date(2022, 1, 3), dt.date(2022, 6, 1)
OF = counts("small", (LAST - FIRST).days + 1).with_columns(convention=pl.lit(CONVENTION, pl.Int32))


@pytest.fixture
def stored(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A store with five months of a universe, which the settings mean."""
    monkeypatch.setenv("BREADTHFLOW_DATABASE_URL", database.url)
    get_settings.cache_clear()
    store(database, OF)
    return database


def store(database: Database, rows: pl.DataFrame) -> None:
    breadth_store.record_counts(database, rows, FIRST, LAST)
    known = breadth_store.all_counts(database)
    indicators = breadth_indicators(known).with_columns(state=pl.lit("final"))
    breadth_store.record_indicators(database, indicators, BREADTH_COLUMNS)
    breadth_store.record_signals(database, market_signals(known, indicators))


def test_frames_hold_what_the_commands_print(stored: Database) -> None:
    start, end = dt.date(2022, 5, 2), dt.date(2022, 5, 6)
    columns = breadth_listing.breadth_columns(stored)
    rows = breadth_listing.breadth(stored, "small", start, end, "ALL", columns)
    breadth = reading.breadth("small", start, "2022-05-06", frames="polars")
    assert breadth.to_dicts() == rows
    assert breadth["session"].to_list() == [start + dt.timedelta(days=day) for day in range(5)]
    signals = reading.signals("small", start, end, frames="polars")
    listed = signal_listing.signals(stored, start, end, "small", "ALL", None)
    assert [{**row, "evidence": json.loads(row["evidence"])} for row in signals.to_dicts()] == listed
    assert {"conviction"} == {*reading.signals("small", rule="conviction")["rule"]}


@pytest.mark.usefixtures("stored")
def test_pandas_is_the_default_and_has_the_same_figures() -> None:
    frame = reading.breadth("small")
    assert isinstance(frame, pd.DataFrame)
    polars = reading.breadth("small", frames="polars")
    assert len(frame) == polars.height == OF.height
    assert_frame_equal(pl.from_pandas(frame).select("ad_line", "zweig_ema"), polars.select("ad_line", "zweig_ema"))
    assert frame["session"].dt.date.tolist() == OF["session"].to_list()
    assert frame["mcclellan_oscillator"].isna().sum() == polars["mcclellan_oscillator"].null_count() > 0
    assert isinstance(reading.signals("small"), pd.DataFrame)


def test_as_of_gives_what_was_known_then(stored: Database) -> None:
    with stored.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        ((then,),) = cursor.fetchall()
    said = reading.signals("small", frames="polars")
    corrected = OF.with_columns(advances=pl.col("advances") - 1, declines=pl.col("declines") + 1)
    store(stored, corrected)
    assert_frame_equal(reading.signals("small", as_of=then, frames="polars"), said, check_exact=True)
    assert not reading.signals("small", frames="polars").equals(said)
    with pytest.raises(RequestError, match="At 2020-01-01 00:00:00 UTC no signal of small was known"):
        reading.signals("small", as_of="2020-01-01")
    before, now = (
        reading.breadth("small", as_of=moment, frames="polars")["advances"].to_list() for moment in (then, None)
    )
    assert before == OF["advances"].to_list()
    assert now == corrected["advances"].to_list()
    assert reading.breadth("small", as_of=then.isoformat(), frames="polars")["advances"].to_list() == before


def judge_stored(database: Database) -> Backtests:
    """What follows signals in a market that rises, stored as the pipeline stores it."""
    sessions = OF["session"]
    level = pl.DataFrame({"session": sessions, "level": [1.001**i for i in range(sessions.len())]})
    levels = level.select(
        universe=pl.lit("small"),
        segment=pl.lit("ALL"),
        session="session",
        level="level",
        intraday=pl.lit(None, pl.Float64),
        basis=pl.lit("price"),
    )
    calendar = sessions.to_frame().with_row_index("ordinal").with_columns(pl.col("ordinal").cast(pl.Int32))
    given = evaluation_store.market_signals(database)
    evaluation_store.record_outcomes(database, outcomes(given, windows(levels, calendar)))
    kept = backtests(given.filter(segment="ALL"), levels.with_columns(held=pl.lit("index")), levels.clear())
    evaluation_store.record_backtests(database, kept.figures, kept.trades, kept.years)
    return kept


def test_what_came_of_signals_is_there_by_rule_horizon_and_day(stored: Database) -> None:
    kept = judge_stored(stored)
    start = dt.date(2022, 3, 1)
    followed = reading.outcomes("small", start, rule="conviction", horizon=21, frames="polars")
    said = reading.signals("small", start, rule="conviction", frames="polars")
    assert followed["signal_id"].to_list() == said["signal_id"].to_list()
    assert set(followed["horizon"]) == {21}
    closed = followed.drop_nulls("return")
    assert closed["return"].to_list() == pytest.approx([1.001**21 - 1] * closed.height)
    assert 0 < closed.height < followed.height  # the last ones are open
    worth = reading.backtests("small", frames="polars")
    assert_frame_equal(worth.drop("synthetic"), kept.figures, check_row_order=False, check_exact=True)
    assert set(reading.backtests("small", rule="conviction")["rule"]) == {"conviction"}
    trades = reading.trades("small", frames="polars")
    assert trades.height == kept.trades.height > 0
    assert reading.accuracy("small").empty  # nothing was judged here; that is an answer
    for call in (reading.outcomes, reading.accuracy, reading.backtests, reading.trades):
        with pytest.raises(RequestError, match="Universe nope is unknown"):
            call("nope")
        with pytest.raises(RequestError, match="Rule nope is unknown; there are: zweig_breadth_thrust, "):
            call("small", rule="nope")
    for by_horizon in (reading.outcomes, reading.accuracy):
        with pytest.raises(RequestError, match="No horizon has 10 sessions; there are: 5, 21, 63, 126, 252"):
            by_horizon("small", horizon=10)
    for of_days in (reading.outcomes, reading.signals):
        with pytest.raises(RequestError, match="The range ends on 2022-03-01, before it begins on 2022-04-01"):
            of_days("small", "2022-04-01", "2022-03-01")


def _printed(*command: str) -> str:
    """What a command prints."""
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 0, found.output
    return found.stdout


def test_signals_have_the_record_of_then_wherever_they_are_read(stored: Database, tmp_path: Path) -> None:
    ids = sorted(reading.signals("small", frames="polars")["signal_id"])
    known = {
        one: (0.25 + i / 1000, 0.5, 60 + i, ("suggestive", "not distinguishable")[i % 2])
        for i, one in enumerate(ids[::3])
    }
    days = dict(reading.signals("small", frames="polars").select("signal_id", "session").rows())
    rows = [(one, "small", days[one], *record) for one, record in known.items()]
    schema = ["signal_id", "universe", "session", *SIGNAL_RECORD]
    evaluation_store.record_records(
        stored, pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col("record_n").cast(pl.Int32))
    )
    expected = [(one, *known.get(one, (None,) * 4)) for one in ids]
    named = ("signal_id", *SIGNAL_RECORD)

    def told(found: pl.DataFrame) -> list[tuple[object, ...]]:
        return sorted(found.select(named).rows())

    view = rows_of(stored, f"SELECT {', '.join(named)} FROM signals_with_record ORDER BY signal_id", [])
    assert [tuple(row[name] for name in named) for row in view] == expected
    assert told(reading.signals("small", frames="polars")) == expected
    pandas = reading.signals("small").set_index("signal_id")["record_n"].dropna()
    assert pandas.to_dict() == {one: record[2] for one, record in known.items()}
    export(stored, "small", tmp_path / "export")
    exported = tmp_path / "export" / "signals"
    assert told(pl.read_parquet(exported.with_suffix(".parquet"))) == expected
    assert told(pl.read_csv(exported.with_suffix(".csv"), infer_schema_length=None)) == expected
    assert told(pl.read_json(exported.with_suffix(".json"), infer_schema_length=None)) == expected
    printed = {form: _printed("signals", "--universe", "small", "--format", form) for form in ("csv", "json")}
    assert told(pl.read_csv(printed["csv"].encode(), infer_schema_length=None)) == expected
    assert told(pl.read_json(printed["json"].encode(), infer_schema_length=None)) == expected
    one, record = next(iter(known.items()))
    assert f"{record[0]:.0%} of {record[2]}, base 50%: {record[3]}" in _printed("explain", one)


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"universe": "nope"}, "Universe nope is unknown; there are: small"),
        ({"universe": "x' OR true --"}, "is unknown"),  # values are bound, whoever composes the query
        ({"universe": "small", "start": "May"}, "May is not a day; write it as 2024-03-01"),
        ({"universe": "small", "start": "2030-01-01"}, "the store holds 2022-01-03 through 2022-06-01"),
        ({"universe": "small", "segment": "Energy"}, "has no segment Energy; there are: ALL"),
        ({"universe": "small", "as_of": "then"}, "as_of cannot be used: then is not a moment; write it as 2024-03-01"),
        ({"universe": "small", "as_of": "2999-01-01"}, "2999-01-01 lies in the future"),
        ({"universe": "small", "as_of": "2020-01-01"}, "At 2020-01-01 00:00:00 UTC no such breadth"),
    ],
)
def test_what_is_wrong_is_said_as_the_command_says_it(arguments: dict[str, str], words: str) -> None:
    with pytest.raises(RequestError, match=words.replace("(", r"\(")):
        reading.breadth(**arguments)  # type: ignore[call-overload]
