"""Histories that a source gave on another scale: which were noticed, and storing them again.

How one is told from a correction is said in trust/restatements.py.
"""

import polars as pl

from breadthflow_pipelines.model.vocabulary import BAR_VALUES
from breadthflow_pipelines.warehouse import tables
from breadthflow_pipelines.warehouse.bar_store import bar_rows, keep_bar_revisions
from breadthflow_pipelines.warehouse.bulk import Merged, Statement, fetch, merge, yearly_partitions, years_of
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.recomputations import merge_notes
from breadthflow_pipelines.warehouse.sql import any_of, spaced, valid_on

_OF_THESE = any_of("security_id", "$1", "bigint")
LEFT_BEHIND = "on the scale before a restatement"


def pending(database: Database) -> pl.DataFrame:
    """security_id, price_ratio, adjusted_ratio, symbols, first, last of each whose history is to be fetched.

    symbols: all that the security ever had, one to a line, today's last. first, last: the ends of its stored bars.
    """
    return fetch(
        database,
        "SELECT security_id, price_ratio, adjusted_ratio, n.symbols, b.first, b.last FROM restatements r "
        "CROSS JOIN LATERAL (SELECT string_agg(symbol, chr(10) ORDER BY valid_to NULLS LAST) AS symbols "
        "FROM security_symbols s WHERE s.security_id = r.security_id) n "
        "CROSS JOIN LATERAL (SELECT min(session) AS first, max(session) AS last "
        "FROM bars WHERE bars.security_id = r.security_id) b "
        "WHERE applied_at IS NULL ORDER BY security_id",
    )


def note(database: Database, noticed: pl.DataFrame, run_id: str) -> None:
    """Write down what was noticed (security_id, price_ratio, adjusted_ratio, compared), unless it is pending anyway."""
    if noticed.is_empty():
        return
    with database.exclusive("restatements"):
        held = fetch(database, "SELECT security_id FROM restatements WHERE applied_at IS NULL")
        new = noticed.join(held, on="security_id", how="anti")
        merge(database, tables.restatements, new.with_columns(run_id=pl.lit(run_id)))


def record_restated(database: Database, bars: pl.DataFrame, source: str, run_id: str) -> Merged:
    """Make the store hold exactly these bars of their securities, old values kept, and end what was pending of them.

    A stored bar that the history lacks would stay on the old scale: it goes to ``rejected_bars``.
    """
    rows = bar_rows(bars, source, run_id)
    securities = spaced(rows["security_id"].unique().sort())

    def then(merged: Merged) -> list[Statement]:
        applied = f"UPDATE restatements SET applied_at = now() WHERE applied_at IS NULL AND {_OF_THESE}"
        return [*merge_notes("bars", merged), (applied, (securities,))]

    return merge(
        database,
        tables.bars,
        rows,
        scope=_OF_THESE,
        parameters=(securities,),
        first=yearly_partitions(tables.bars, years_of(rows)),
        before_update=keep_bar_revisions("restatement"),
        before_delete=_REJECT,
        then=then,
    )


_VALUES = ("session", *BAR_VALUES)
_REJECT = (
    f"INSERT INTO rejected_bars (fingerprint, source, symbol, {', '.join(_VALUES)}, reasons, run_id) "
    "SELECT md5(concat_ws(' ', t.source, t.security_id, " + ", ".join(f"t.{name}" for name in _VALUES) + ")), "
    "t.source, (SELECT symbol FROM security_symbols n WHERE n.security_id = t.security_id "
    f"AND {valid_on('n', 't.session')}), "
    + ", ".join(f"t.{name}" for name in _VALUES)
    + f", ARRAY['{LEFT_BEHIND}'], t.run_id "
    "FROM {gone} ON CONFLICT DO NOTHING"
)
