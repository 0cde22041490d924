"""Counts, indicators and signals in the store: exactly what was computed, written only where it changed."""

import datetime as dt
import json

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from breadthflow_pipelines.model.counts import PUBLISHED
from breadthflow_pipelines.warehouse import breadth_store, rejection_store
from breadthflow_pipelines.warehouse.bulk import Merged, fetch
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.formula_columns import FormulaColumn
from breadthflow_pipelines.warehouse.security_store import record_members, record_securities
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes

FIRST, LAST = dt.date(2024, 1, 1), dt.date(2024, 1, 31)


def figures(merged: Merged) -> tuple[int, int, int, int]:
    return merged.inserted, merged.updated, merged.unchanged, merged.deleted


def counts(*rows: tuple[str, str, str, int]) -> pl.DataFrame:
    """universe, segment, session, advances of ten priced members."""
    frame = pl.DataFrame(rows, schema=["universe", "segment", "session", "advances"], orient="row")
    rest = {"members": 12, "priced": 10, "unchanged": 0, "no_prior": 0, "gap": 0, "up_volume": 7, "down_volume": 8}
    rest |= {f"{kind}_{n}": 10 for kind in ("able", "above") for n in (20, 50)}
    rest |= {"able_200": 0, "able_252": 3, "new_highs": 3, "new_lows": 0, "unchanged_volume": 0}
    rest |= {"up_dollars": 70, "down_dollars": 80, "able_100": 0, "able_150": 0, "able_252_total_return": 0}
    rest |= {"able_extremes_20": 10, "new_highs_20": 4, "new_lows_20": 1}
    untold = ("above_100", "above_150", "above_200", "new_highs_total_return", "new_lows_total_return")
    return frame.with_columns(
        pl.col("session").str.to_date(),
        declines=10 - pl.col("advances"),
        coverage=pl.lit(10 / 12),
        convention=pl.lit(1, pl.Int32),
        points_gained=pl.lit(1.5),
        points_lost=pl.lit(0.25),
        index_close=pl.lit(None, pl.Float64),
        **{name: pl.lit(None, pl.Int64) for name in untold},  # nobody could tell
        **{name: pl.lit(value, pl.Int64) for name, value in rest.items()},
    )


JANUARY = counts(("u", "ALL", "2024-01-02", 4), ("u", "ALL", "2024-01-03", 5), ("u", "Energy", "2024-01-03", 6))


def test_counts_of_a_range_become_exactly_those_given(database: Database) -> None:
    december = counts(("u", "ALL", "2023-12-29", 1))
    breadth_store.record_counts(database, december, dt.date(2023, 12, 1), dt.date(2023, 12, 31))
    assert figures(breadth_store.record_counts(database, JANUARY, FIRST, LAST)) == (3, 0, 0, 0)
    assert figures(breadth_store.record_counts(database, JANUARY, FIRST, LAST)) == (0, 0, 3, 0)
    changed = counts(("u", "ALL", "2024-01-03", 9), ("v", "ALL", "2024-01-03", 1))
    assert figures(breadth_store.record_counts(database, changed, FIRST, LAST)) == (1, 1, 0, 2)
    stored = breadth_store.counts(database, dt.date(2023, 1, 1), LAST).sort("universe", "session")
    expected = pl.concat([december, changed]).sort("universe", "session")
    assert_frame_equal(stored, expected, check_column_order=False)
    assert breadth_store.counts(database, FIRST, LAST).height == 2


def test_the_index_beside_stored_counts_becomes_exactly_the_one_given(database: Database) -> None:
    breadth_store.record_counts(database, JANUARY, FIRST, LAST)
    second, third = dt.date(2024, 1, 2), dt.date(2024, 1, 3)

    def recorded(levels: dict[dt.date, float], held: dict[str, dt.date] | None = None) -> tuple[int, int, int, int]:
        index = pl.DataFrame(
            {"universe": "u", "session": list(levels), "index_close": list(levels.values())},
            schema={"universe": pl.String, "session": pl.Date, "index_close": pl.Float64},
        )
        return figures(breadth_store.record_index(database, index, held or {}))

    def stored() -> list[tuple[str, dt.date, float | None]]:
        rows = breadth_store.counts(database, FIRST, LAST).sort("segment", "session")
        return rows.select("segment", "session", "index_close").rows()

    assert recorded({second: 0.1 + 0.2, LAST: 9.0}) == (0, 1, 0, 0)  # no counts on its last session
    assert recorded({second: 0.1 + 0.2}) == (0, 0, 0, 0)  # to the last bit
    assert stored() == [("ALL", second, 0.1 + 0.2), ("ALL", third, None), ("Energy", third, None)]
    assert recorded({second: 5.0, third: 6.0}, {"u": third}) == (0, 1, 0, 0)  # what is held stays
    assert stored() == [("ALL", second, 5.0), ("ALL", third, None), ("Energy", third, None)]
    assert recorded({}) == (0, 1, 0, 0)
    assert [level for *_, level in stored()] == [None, None, None]
    kept = "SELECT (row ->> 'index_close')::float8 AS level FROM breadth_revisions ORDER BY known_from"
    assert fetch(database, kept)["level"].to_list() == [None, 0.1 + 0.2, 5.0]


def test_coverage_speaks_of_whole_universes(database: Database) -> None:
    breadth_store.record_counts(database, JANUARY, FIRST, LAST)
    found = breadth_store.coverage(database, dt.date(2024, 1, 3), LAST)
    assert found.rows() == [("u", dt.date(2024, 1, 3), 12, 10, 10 / 12)]  # no segment, nothing before the range


PUBLISHED = pl.DataFrame(
    {"exchange": "X", "session": [dt.date(2024, 1, 2), dt.date(2024, 1, 3)]} | dict.fromkeys(PUBLISHED, 5),
    schema_overrides=dict.fromkeys(PUBLISHED, pl.Int64),
).with_columns(
    new_lows=pl.lit(None, pl.Int64),
    index_close=pl.lit(100.5),
    volume_unit=pl.lit(1000, pl.Int64),
    usual_issues=pl.lit(None, pl.Float64),
    doubts=pl.lit([], pl.List(pl.String)),
    issues_usable=pl.lit(value=True),
    volume_usable=pl.lit(value=True),
)


def test_published_counts_of_one_exchange_replace_its_own_only(database: Database) -> None:
    other = PUBLISHED.with_columns(exchange=pl.lit("Y"))
    breadth_store.record_published(database, other, "Y", "first")
    assert figures(breadth_store.record_published(database, PUBLISHED, "X", "first")) == (2, 0, 0, 0)
    corrected = PUBLISHED.tail(1).with_columns(advances=pl.lit(6, pl.Int64))
    assert figures(breadth_store.record_published(database, corrected, "X", "second")) == (0, 1, 0, 1)
    stored = breadth_store.published(database).sort("exchange", "session")
    assert_frame_equal(stored, pl.concat([corrected, other]), check_column_order=False)


def test_counted_and_published_breadth_stand_in_one_shape(database: Database) -> None:
    breadth_store.record_counts(database, JANUARY, FIRST, LAST)
    breadth_store.record_published(database, PUBLISHED.head(1), "X", "r")
    every = breadth_store.all_counts(database)
    assert every.select("universe", "segment", "session", "members", "advances", "new_lows").rows() == [
        ("X", "ALL", dt.date(2024, 1, 2), None, 5, None),  # an exchange publishes no members
        ("u", "ALL", dt.date(2024, 1, 2), 12, 4, 0),
        ("u", "ALL", dt.date(2024, 1, 3), 12, 5, 0),
        ("u", "Energy", dt.date(2024, 1, 3), 12, 6, 0),
    ]


def test_doubted_counts_are_kept_and_left_out_and_volumes_are_in_shares(database: Database) -> None:
    doubted = PUBLISHED.tail(1).with_columns(
        doubts=pl.lit(["total issues far from their level"]),
        issues_usable=pl.lit(value=False),
        volume_usable=pl.lit(value=False),
    )
    breadth_store.record_published(database, pl.concat([PUBLISHED.head(1), doubted]), "X", "r")
    assert breadth_store.published(database)["advances"].to_list() == [5, 5]
    every = breadth_store.all_counts(database)
    columns = ("advances", "unchanged", "new_highs", "up_volume", "unchanged_volume", "index_close")
    assert every.select(columns).rows() == [(5, 5, 5, 5000, 5000, 100.5), (None, None, None, None, None, 100.5)]
    assert every["doubts"].to_list() == [[], ["total issues far from their level"]]


def test_counts_of_another_list_of_issues_say_what_they_are_to_be_multiplied_by(database: Database) -> None:
    other = PUBLISHED.tail(1).with_columns(usual_issues=pl.lit(12.0))  # of 5 + 5 + 5
    breadth_store.record_published(database, pl.concat([PUBLISHED.head(1), other]), "X", "r")
    breadth_store.record_counts(database, JANUARY.head(1), FIRST, LAST)
    every = breadth_store.all_counts(database).select("universe", "advances", "issue_scale", "up_volume")
    assert every.rows() == [("X", 5, None, 5000), ("X", 5, 0.8, 5000), ("u", 4, None, 7)]
    breadth_store.record_published(database, other.with_columns(issues_usable=pl.lit(value=False)), "X", "r")
    assert breadth_store.all_counts(database).filter(universe="X")["issue_scale"].to_list() == [None]


def test_refused_lines_of_published_counts_are_kept_once(database: Database) -> None:
    refused = pl.DataFrame(
        {
            "series": "advn",
            "line": [7, 8],
            "session": [dt.date(2024, 1, 1), None],
            "value": ["12", None],
            "reason": "no session of XNYS",
        }
    )
    assert rejection_store.record_rejected_counts(database, refused, "X", "first") == 2
    assert rejection_store.record_rejected_counts(database, refused, "X", "second") == 0
    assert rejection_store.record_rejected_counts(database, refused, "Y", "third") == 2  # another exchange's file
    assert rejection_store.record_rejected_counts(database, refused.clear(), "X", "fourth") == 0
    held = fetch(database, "SELECT exchange, run_id, count(*) FROM rejected_counts GROUP BY 1, 2 ORDER BY 1").rows()
    assert held == [("X", "first", 2), ("Y", "third", 2)]


MEASURES = [FormulaColumn("ad_line", "running sum"), FormulaColumn("zweig_ema", "a share", 0, 1)]


def indicators(*sessions: str, ad_line: float) -> pl.DataFrame:
    values = {"zweig_ema": pl.lit(None, pl.Float64), "ad_line": pl.lit(ad_line)}
    return pl.DataFrame({"universe": "u", "segment": "ALL", "session": sessions}).with_columns(
        pl.col("session").str.to_date(),
        state=pl.lit("final"),
        settled=pl.lit(value=False),
        convention=pl.lit(1, pl.Int32),
        **values,
    )


def test_indicators_are_replaced_whole_and_rewritten_only_where_they_differ(database: Database) -> None:
    a_third = 1 / 3  # no short decimal: what comes back must be the same to the last bit
    first = indicators("2024-01-02", "2024-01-03", ad_line=a_third)
    assert figures(breadth_store.record_indicators(database, first, MEASURES)) == (2, 0, 0, 0)
    stamps = "SELECT session, computed_at, xmin::text FROM breadth_indicators ORDER BY session"
    before = fetch(database, stamps).rows()
    second = pl.concat([indicators("2024-01-02", ad_line=a_third), indicators("2024-01-04", ad_line=2.0)])
    assert figures(breadth_store.record_indicators(database, second, MEASURES)) == (1, 0, 1, 1)
    assert fetch(database, stamps).rows()[0] == before[0]
    assert_frame_equal(breadth_store.indicators(database, MEASURES), second, check_column_order=False, check_exact=True)


def signals(evidence: object, **changes: object) -> pl.DataFrame:
    row = {
        "signal_id": "i",
        "universe": "u",
        "segment": "ALL",
        "session": dt.date(2024, 1, 2),
        "rule": "score",
        "action": "buy",
        "confidence": 0.5,
        "value": 61.0,
        "threshold": 60.0,
        "calibrated": False,
        "state": "final",
        "evidence": json.dumps(evidence),
    }
    return pl.DataFrame([row | changes]).with_columns(convention=pl.lit(1, pl.Int32))


@pytest.mark.parametrize(
    "evidence",
    [
        {},
        {"sessions": ["2024-01-02"], "values": [0.1, 1 / 3, 1e-300, -0.5], "none": None, "deep": {"a": [{"b": True}]}},
        {"text": "50 % of \"members\" \\ in 'tech' \n\t {curly} $1 %s été ✓"},  # what SQL and JSON quote
    ],
)
def test_evidence_comes_back_as_it_went_in(database: Database, evidence: dict[str, object]) -> None:
    breadth_store.record_signals(database, signals(evidence))
    stored = breadth_store.all_signals(database)
    assert json.loads(stored["evidence"].item()) == evidence
    assert_frame_equal(
        stored.drop("evidence"), signals(evidence).drop("evidence"), check_column_order=False, check_exact=True
    )


def test_evidence_that_is_only_written_differently_is_no_change(database: Database) -> None:
    breadth_store.record_signals(database, signals({"a": 1, "b": 2.0}))
    reordered = signals({}).with_columns(evidence=pl.lit('{"b":2.0,   "a":1}'))
    assert figures(breadth_store.record_signals(database, reordered)) == (0, 0, 1, 0)
    assert figures(breadth_store.record_signals(database, signals({"a": 1, "b": 3}))) == (0, 1, 0, 0)
    assert figures(breadth_store.record_signals(database, signals({}).clear())) == (0, 0, 0, 1)


def test_universes_with_invented_members_are_known(database: Database) -> None:
    listing = pl.DataFrame(
        {"source_key": ["R", "D"], "symbol": ["R", "D"], "security_id": [1, 2], "name": None, "sector": None}
    ).with_columns(pl.lit(None, pl.Date).alias("valid_from"), pl.lit(None, pl.Date).alias("valid_to"))
    listing = listing.with_columns(pl.col("name", "sector").cast(pl.String))
    record_securities(database, listing.head(1), synthetic=False)
    record_securities(database, listing.tail(1), synthetic=True)
    joined = dt.date(2000, 1, 1)
    record_members(
        database,
        pl.DataFrame(
            {"universe": ["real", "mixed", "mixed"], "security_id": [1, 1, 2], "symbol": ["R", "R", "D"]}
        ).with_columns(valid_from=pl.lit(joined), valid_to=pl.lit(None, pl.Date)),
    )
    assert synthetic_universes(database) == {"mixed"}
