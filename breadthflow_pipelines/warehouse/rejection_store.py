"""Bars and published counts that broke their contract, each kept once. How commands list them: rejections.py."""

import datetime as dt
import hashlib
import json
from collections.abc import Collection

import polars as pl

from breadthflow_pipelines.model.vocabulary import BAR_VALUES
from breadthflow_pipelines.warehouse import tables
from breadthflow_pipelines.warehouse.bulk import execute, fetch, merge
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.sql import any_of, spaced, valid_on


def record_rejected_bars(database: Database, rejected: pl.DataFrame, source: str, run_id: str) -> tuple[int, list[str]]:
    """Keep rows that broke the contract, once each however often they come; how many are new, and all fingerprints."""
    shown = rejected.select("symbol", "session", *BAR_VALUES, "reasons", "raw").sort(pl.all().exclude("reasons"))
    # Rows without text have the names that they had before text was kept.
    named = shown.with_columns(reasons=pl.concat_list("reasons", "raw").list.drop_nulls()).drop("raw")
    rows = shown.with_columns(source=pl.lit(source), run_id=pl.lit(run_id), fingerprint=_fingerprints(named, source))
    new = merge(database, tables.rejected_bars, rows).inserted if rows.height else 0
    return new, rows["fingerprint"].to_list()


def settle_rejected_bars(
    database: Database,
    source: str,
    days: tuple[dt.date, dt.date],
    seen: Collection[str],
    answered: Collection[str],
    *,
    whole: bool,
    latest: bool = False,
    behind: Collection[str] = (),
) -> None:
    """Mark broken rows of these days, and those without a day, that the source did not give again; others are back.

    seen: fingerprints of the rows that it just gave. answered: symbols that were read. whole: everything was, so that
    rows of symbols which the source has no more are gone as well. latest: no later day can be asked for, so that rows
    of days to come were given, too. behind: symbols whose history ends before these days; their rows without a day, or
    of days to come, were not asked for.
    """
    gone = (
        "UPDATE rejected_bars SET gone_at = now() WHERE gone_at IS NULL AND source = $1 "
        "AND (session BETWEEN $2 AND $3 OR ((session IS NULL OR ($7 AND session > $3)) AND (symbol IS NULL "
        "OR symbol NOT IN (SELECT jsonb_array_elements_text(($8::text)::jsonb))))) "
        f"AND NOT {any_of('fingerprint', '$4', 'text')} "
        "AND ($5 OR symbol IN (SELECT jsonb_array_elements_text(($6::text)::jsonb)))"
    )
    back = (
        f"UPDATE rejected_bars SET gone_at = NULL WHERE gone_at IS NOT NULL AND {any_of('fingerprint', '$1', 'text')}"
    )
    names = spaced(seen)
    listed = json.dumps(sorted(answered)), json.dumps(sorted(behind))
    execute(database, [(gone, (source, *days, names, whole, listed[0], latest, listed[1])), (back, (names,))])


def rejected_bars(database: Database, source: str, start: dt.date, end: dt.date) -> pl.DataFrame:
    """The source's broken rows from start through end in whose place no good one came, with the reasons."""
    return fetch(
        database,
        "SELECT symbol, session, open, high, low, close, volume, reasons FROM rejected_bars r "
        "WHERE source = $1 AND session BETWEEN $2 AND $3 AND gone_at IS NULL AND NOT EXISTS ("
        "SELECT FROM security_symbols s JOIN bars b USING (security_id) WHERE s.symbol = r.symbol "
        f"AND {valid_on('s', 'r.session')} AND b.session = r.session) ORDER BY session, symbol",
        (source, start, end),
    )


def record_rejected_counts(database: Database, rejected: pl.DataFrame, exchange: str, run_id: str) -> int:
    """Keep rows of published counts that were refused, once each; returns how many were new."""
    rows = rejected.with_columns(
        exchange=pl.lit(exchange), run_id=pl.lit(run_id), fingerprint=_fingerprints(rejected, exchange)
    )
    return merge(database, tables.rejected_counts, rows).inserted if rows.height else 0


def _fingerprints(rows: pl.DataFrame, origin: str) -> pl.Series:
    """One stable name per row; equal rows are told apart by their number."""
    seen: dict[str, int] = {}
    names = []
    for row in rows.iter_rows():
        text = json.dumps([origin, *row], default=str)
        seen[text] = seen.get(text, 0) + 1
        names.append(hashlib.sha256(f"{text} {seen[text]}".encode()).hexdigest()[:32])
    return pl.Series("fingerprint", names, dtype=pl.String)
