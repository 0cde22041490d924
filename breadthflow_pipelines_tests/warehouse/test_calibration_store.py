"""What symbol signals are judged by, as it comes out of the store."""

import datetime as dt
from itertools import product

import polars as pl

from breadthflow_pipelines.warehouse import calibration_store, member_store, security_store
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.formula_columns import FormulaColumn
from breadthflow_pipelines_tests.warehouse.frames import listing, members

DAY = dt.date(2024, 1, 2)
VOTES = ("trend", "momentum", "volume")
CAST = {-0.75: -1, 0.0: 0, 1.0: 1, None: None}  # a vote, and its sign


def test_signals_have_the_sign_of_each_vote_in_its_own_column(database: Database) -> None:
    each = list(product(CAST, repeat=len(VOTES)))
    companies = [(number, f"S{number}", f"S{number}", None, None) for number in range(len(each))]
    security_store.record_securities(database, listing(*companies), synthetic=True)
    of = [("u", number, "2023-01-01", None) for number in range(len(each))]
    security_store.record_members(database, members(*of))
    rows = pl.DataFrame(
        {
            "universe": "u",
            "session": DAY,
            "security_id": range(len(each)),
            "action": "hold",
            "confidence": 0.5,
            "strength": 0.25,
            "gated": False,
            "convention": pl.Series([1] * len(each), dtype=pl.Int32),
        }
        | {vote: pl.Series([votes[place] for votes in each], dtype=pl.Float64) for place, vote in enumerate(VOTES)}
    )
    columns = [FormulaColumn(vote, "a vote", -1, 1) for vote in VOTES]
    with member_store.symbol_signals_prepared(database, columns, (DAY, DAY), once=False):
        member_store.record_symbol_signals(database, rows, columns, days=(DAY, DAY))

    found = calibration_store.signals(database, VOTES, [(DAY, DAY)]).sort("security_id")
    assert found.select(VOTES).rows() == [tuple(CAST[vote] for vote in votes) for votes in each]
    assert found.columns == ["universe", "session", "security_id", "action", "confidence", "strength", *VOTES]
