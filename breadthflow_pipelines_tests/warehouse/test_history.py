"""What the store said when: every moment has the rows that were there, and no more is kept."""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.datasets import WITH_HISTORY
from breadthflow_pipelines.model.vocabulary import MARKET_SIGNAL, SIGNAL_RECORD
from breadthflow_pipelines.warehouse import breadth_store, evaluation_store, signal_listing
from breadthflow_pipelines.warehouse.database import Database, Row, rows_of
from breadthflow_pipelines_tests.warehouse.frames import figures

DAY = dt.date(2024, 1, 2)
SIGNALS = {
    **dict.fromkeys(("signal_id", "universe", "segment"), pl.String),
    "session": pl.Date,
    **dict.fromkeys(("rule", "action"), pl.String),
    **dict.fromkeys(("confidence", "value", "threshold"), pl.Float64),
    "calibrated": pl.Boolean,
    "state": pl.String,
    "convention": pl.Int32,
    "evidence": pl.String,
}
RECORDS = {"signal_id": pl.String, "universe": pl.String, "session": pl.Date} | dict(
    zip(SIGNAL_RECORD, (pl.Float64, pl.Float64, pl.Int32, pl.String), strict=True)
)


def signals(values: Sequence[tuple[int, float]]) -> pl.DataFrame:
    """One signal for each number, with that value; 100 and more are of another universe."""
    rows = [
        (f"{n:04}", "u" if n < 100 else "v", "ALL", DAY, f"rule {n}", "buy", 0.5, value, 60.0, True, "final", 1, "{}")
        for n, value in values
    ]
    return pl.DataFrame(rows, schema=SIGNALS, orient="row")


def records(values: Sequence[tuple[int, int]]) -> pl.DataFrame:
    """The record beside the signal of each number: how many there were."""
    rows = [(f"{n:04}", "u", DAY, 0.5, 0.4, told, "suggestive") for n, told in values]
    return pl.DataFrame(rows, schema=RECORDS, orient="row")


def moment(database: Database) -> dt.datetime:
    found: dt.datetime = rows_of(database, "SELECT now() AS now")[0]["now"]
    return found


def told(database: Database, as_of: dt.datetime | None = None) -> list[Row]:
    """What is said of signals, by id."""
    rows = signal_listing.signals(database, None, None, None, None, None, as_of)
    return sorted(rows, key=lambda row: str(row["signal_id"]))


def test_every_moment_has_the_signals_and_records_of_then(database: Database) -> None:
    chance = np.random.default_rng(14)
    breadth_store.record_signals(database, signals([(n, 0.0) for n in range(4)]))
    known = [(moment(database), told(database))]
    for _ in range(25):
        which = chance.permutation(6)[: chance.integers(1, 6)]
        if chance.random() < 0.5:
            breadth_store.record_signals(database, signals([(n, float(chance.integers(3))) for n in which]))
        else:
            evaluation_store.record_records(database, records([(n, int(chance.integers(1, 4))) for n in which]))
        known.append((moment(database), told(database)))
    assert [told(database, at) for at, _ in known] == [rows for _, rows in known]
    assert len({str(rows) for _, rows in known}) > 20
    assert {*known[-1][1][0]} == {*MARKET_SIGNAL, *SIGNAL_RECORD, "synthetic"}


def test_only_rows_that_change_or_go_are_kept(database: Database) -> None:
    kept = "SELECT relation, signal_id, row->'value' AS value, known_from < known_to AS past FROM signal_revisions"
    breadth_store.record_signals(database, signals([(1, 1.0), (2, 2.0), (3, 3.0)]))
    breadth_store.record_signals(database, signals([(1, 1.0), (2, 2.0), (3, 3.0)]))
    assert rows_of(database, kept) == []  # neither what is new nor what comes again
    assert figures(breadth_store.record_signals(database, signals([(1, 1.0), (2, 2.5), (4, 4.0)]))) == (1, 1, 1, 1)
    assert rows_of(database, f"{kept} ORDER BY signal_id") == [
        {"relation": "market_signals", "signal_id": name, "value": value, "past": True}
        for name, value in (("0002", 2.0), ("0003", 3.0))
    ]


def test_a_moment_before_the_first_signal_is_refused_and_one_without_such_signals_is_answered(
    database: Database,
) -> None:
    early = moment(database)
    assert told(database, early) == []  # a store that never knew one has nothing to tell
    breadth_store.record_signals(database, signals([(1, 1.0)]))
    between = moment(database)
    breadth_store.record_signals(database, signals([(1, 2.0), (100, 1.0)]))
    with pytest.raises(RequestError, match=r"^At \S+ \S+ UTC no signal was known; the store's first is of \S+ \S+ UTC"):
        told(database, early)
    with pytest.raises(RequestError, match="no signal of v was known"):
        signal_listing.check_known(database, "v", between)
    assert signal_listing.signals(database, None, None, None, None, "another", between) == []


@pytest.mark.parametrize("relation", sorted({history.kept_in for history in WITH_HISTORY.values()}))
def test_what_was_dropped_is_not_taken_for_what_was_not_there(database: Database, relation: str) -> None:
    breadth_store.record_signals(database, signals([(1, 1.0)]))
    then = moment(database)
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO retentions (relation, dropped_before) VALUES (%s, now())", (relation,))
    if relation == "signal_revisions":
        with pytest.raises(RequestError, match=r"was dropped, as BREADTHFLOW_KEEP_REVISIONS_DAYS says"):
            told(database, then)
    else:
        assert len(told(database, then)) == 1  # another table's
