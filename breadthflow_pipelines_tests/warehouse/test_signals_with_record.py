"""Signals of members beside the record of such signals before their month, as SQL and commands read them."""

import datetime as dt

import polars as pl

from breadthflow_pipelines.model.vocabulary import SIGNAL_RECORD
from breadthflow_pipelines.warehouse import (
    breadth_store,
    calibration_store,
    member_store,
    security_store,
    symbol_listing,
)
from breadthflow_pipelines.warehouse.database import Database, rows_of
from breadthflow_pipelines.warehouse.formula_columns import FormulaColumn
from breadthflow_pipelines_tests.warehouse.frames import listing, members

DAYS = [dt.date(2024, month, day) for month in (1, 2, 3) for day in (2, 29) if (month, day) != (2, 29)]
RENAMED = dt.date(2024, 2, 1)
VOTE = FormulaColumn("trend", "a vote")
SIGNALS = {
    "universe": pl.String,
    "session": pl.Date,
    "security_id": pl.Int64,
    "action": pl.String,
    "confidence": pl.Float64,
    "strength": pl.Float64,
    "regime": pl.Float64,
    "gated": pl.Boolean,
    "convention": pl.Int32,
    "trend": pl.Float64,
}


def test_a_member_s_signal_has_the_record_of_such_signals_before_its_month(database: Database) -> None:
    companies = listing(
        (1, "A", "OLD", None, str(RENAMED)), (1, "A", "NEW", str(RENAMED), None), (2, "B", "B", None, None)
    )
    security_store.record_securities(database, companies, synthetic=True)
    security_store.record_members(database, members(("u", 1, "2023-01-01", None), ("u", 2, "2023-01-01", None)))
    signals = pl.DataFrame(
        [
            ("u", day, member, action, 0.5, 0.25, None, False, 1, float(member))
            for number, day in enumerate(DAYS)
            for member, action in ((1, ("buy", "sell", "hold")[number % 3]), (2, "buy"))
        ],
        schema=SIGNALS,
        orient="row",
    )
    span = (DAYS[0], DAYS[-1])
    with member_store.symbol_signals_prepared(database, [VOTE], span, once=False):  # a vote that no view knows yet
        member_store.record_symbol_signals(database, signals, [VOTE], days=span)
    indicators = signals.select("universe", "session", "security_id", "convention")
    with member_store.price_indicators_prepared(database, [], span, once=False):
        member_store.record_price_indicators(database, indicators, [], days=span)
    breadth = pl.DataFrame({"universe": "u", "segment": "ALL", "session": DAYS, "state": "final", "convention": 1})
    breadth = breadth.with_columns(pl.col("convention").cast(pl.Int32), settled=True)
    breadth_store.record_indicators(database, breadth, [])
    known = [
        ("u", dt.date(2024, 2, 1), "combined", "buy", 0.5, 0.4, 70, "not distinguishable"),
        ("u", dt.date(2024, 2, 1), "trend", "buy", 0.9, 0.1, 71, "survives"),  # of one rule alone
        ("u", dt.date(2024, 3, 1), "combined", "buy", 0.6, 0.4, 80, "suggestive"),
        ("u", dt.date(2024, 3, 1), "combined", "sell", 0.3, 0.4, 60, "not distinguishable"),
        ("other", dt.date(2024, 1, 1), "combined", "buy", 0.7, 0.4, 90, "survives"),
    ]
    schema = ["universe", "month", "rule", "action", *SIGNAL_RECORD]
    calibration_store.record_records(database, pl.DataFrame(known, schema=schema, orient="row"))

    def record(day: dt.date, action: str) -> tuple[object, ...]:
        found = [row[4:] for row in known if row[:4] == ("u", day.replace(day=1), "combined", action)]
        return found[0] if found else (None,) * 4

    expected = [
        (
            "NEW" if member == 1 and day >= RENAMED else "OLD" if member == 1 else "B",
            day,
            action,
            trend,
            *record(day, action),
        )
        for _, day, member, action, *_, trend in signals.rows()
    ]
    view = rows_of(database, "SELECT * FROM symbol_signals_with_record ORDER BY session, security_id", [])
    named = ("symbol", "session", "action", "trend", *SIGNAL_RECORD)
    assert [tuple(row[name] for name in named) for row in view] == expected
    assert {row["synthetic"] for row in view} == {True}
    assert {row[4:] for row in expected} == {(None,) * 4, known[0][4:], known[2][4:], known[3][4:]}
    listed = symbol_listing.symbol_signals(database, "u", DAYS[0], DAYS[-1], None, None)
    assert sorted(tuple(row[name] for name in named) for row in listed) == sorted(expected)
    one = symbol_listing.symbol_signal(database, symbol_listing.address_of(f"u:NEW:{DAYS[-1]}"))
    assert tuple(one[name] for name in named) == expected[-2]
