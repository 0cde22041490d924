"""Securities, memberships and bars: what the market is made of. Breadth made from it is in breadth.py."""

import datetime as dt
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import polars as pl
import sqlalchemy as sa
from psycopg2.extras import execute_values

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.spelling import meant, spelled
from breadthflow_pipelines.warehouse import tables
from breadthflow_pipelines.warehouse.bulk import Merged, execute, fetch, merge
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.recomputations import noting, noting_of

_OF = ("universe", "symbol")


@dataclass(frozen=True)
class SecuritiesRecorded:
    """What recording a listing did, in securities."""

    securities: Merged
    symbols_changed: int


def known_securities(database: Database) -> pl.DataFrame:
    """security_key, security_id of every security in the store."""
    return fetch(database, "SELECT security_key, security_id FROM securities")


def record_securities(database: Database, numbered: pl.DataFrame, *, synthetic: bool) -> SecuritiesRecorded:
    """Store a listing (SECURITY_SCHEMA and security_id): new names and sectors, and the intervals of its symbols.

    Securities that the listing does not speak of stay as they are. The caller holds ``exclusive("securities")``.

    Raises:
        RequestError: a symbol would belong to two securities at a time, or a security have two; names it.
    """
    companies = numbered.group_by("security_id", maintain_order=True).agg(
        security_key=pl.col("source_key").first(), name=pl.col("name").first(), sector=pl.col("sector").first()
    )
    columns = ["security_id", "symbol", "valid_from", "valid_to"]
    wanted = numbered.select(columns).unique()
    stored = symbol_intervals(database).select(columns)
    held = stored.join(companies, on="security_id", how="semi")
    clashes = _overlapping_symbols(pl.concat([wanted, stored.join(companies, on="security_id", how="anti")]))
    if clashes:
        raise RequestError(
            f"Symbol {clashes[0]} would belong to two securities at a time, or one security to two symbols "
            f"({len(clashes)} such symbols): the listing contradicts itself or what is stored. Use a BREADTHFLOW_HOME "
            "of its own for it."
        )
    moved = _first_of_another_sector(database, companies)
    merged = merge(
        database,
        tables.securities,
        companies.with_columns(synthetic=pl.lit(synthetic)),
        then=lambda _: noting("securities", moved),
    )
    _give_way(database, stored, wanted)
    changed = wanted.join(held, on=columns, how="anti", nulls_equal=True)
    if changed.is_empty() and held.height == wanted.height:
        return SecuritiesRecorded(merged, 0)
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM security_symbols WHERE security_id = ANY(%s)", (companies["security_id"].to_list(),)
        )
        execute_values(
            cursor, "INSERT INTO security_symbols (security_id, symbol, valid_from, valid_to) VALUES %s", wanted.rows()
        )
    return SecuritiesRecorded(merged, changed["security_id"].n_unique())


def _give_way(database: Database, stored: pl.DataFrame, listed: pl.DataFrame) -> None:
    """Take the symbol from securities without bars that are listed by now, in another spelling.

    They were made for members that nobody listed; whoever had their symbol is then found under the listed one.
    """
    spellings = {spelled(symbol) for symbol in listed["symbol"]}
    others = stored.filter(
        ~pl.col("security_id").is_in(listed["security_id"].implode())
        & ~pl.col("symbol").is_in(listed["symbol"].implode())
    )
    outdated = [number for number, symbol, *_ in others.iter_rows() if spelled(symbol) in spellings]
    if outdated:
        with database.connect() as connection, connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM security_symbols s WHERE security_id = ANY(%s) "
                "AND NOT EXISTS (SELECT FROM bars WHERE bars.security_id = s.security_id)",
                (outdated,),
            )


def symbol_intervals(database: Database) -> pl.DataFrame:
    """security_id, symbol, valid_from, valid_to of every symbol of every security."""
    return fetch(database, "SELECT security_id, symbol, valid_from, valid_to FROM security_symbols")


def record_members(database: Database, members: pl.DataFrame) -> Merged:
    """Make the store hold exactly these intervals for the universes that they speak of."""
    universes = members["universe"].unique().sort().to_list()
    marks = ", ".join(f"${i}" for i in range(1, len(universes) + 1))
    scope = f"universe IN ({marks})" if universes else "false"
    columns = ", ".join(members.columns)
    stored = fetch(database, f"SELECT {columns} FROM universe_members WHERE {scope}", universes)
    return merge(
        database,
        tables.universe_members,
        members,
        scope=scope,
        parameters=universes,
        then=lambda _: noting("universe_members", _first_difference(stored, members)),
    )


def members(database: Database) -> pl.DataFrame:
    """universe, security_id, sector, valid_from, valid_to of every membership."""
    return fetch(
        database,
        "SELECT universe, security_id, sector, m.valid_from, m.valid_to "
        "FROM universe_members m JOIN securities USING (security_id)",
    )


def load_bars(database: Database, bars: pl.DataFrame, source: str, run_id: str) -> Merged:
    """Store resolved bars: new ones inserted, changed ones updated with the old values kept in bar_revisions."""
    rows = bar_rows(bars, source, run_id)
    return merge(
        database,
        tables.bars,
        rows,
        first=yearly(tables.bars, rows),
        before_update=keep_revised("correction"),
        then=partial(noting_of, "bars"),
    )


def bar_rows(bars: pl.DataFrame, source: str, run_id: str) -> pl.DataFrame:
    """Resolved bars as the table has them."""
    return bars.select(
        *("security_id", "session", "open", "high", "low", "close"),
        pl.col("volume").round().cast(pl.Int64),
        "close_adjusted",
        source=pl.lit(source),
        run_id=pl.lit(run_id),
    )


def stored_bars(database: Database, securities: pl.Series, start: dt.date, end: dt.date) -> pl.DataFrame:
    """security_id, session, open, high, low, close, close_adjusted of the stored bars from start through end."""
    return fetch(
        database,
        "SELECT security_id, session, open, high, low, close, close_adjusted FROM bars "
        "WHERE session BETWEEN $2 AND $3 AND security_id = ANY(string_to_array($1, ' ')::bigint[])",
        (" ".join(map(str, securities)), start, end),
    )


def record_rejected_bars(database: Database, rejected: pl.DataFrame, source: str, run_id: str) -> tuple[int, list[str]]:
    """Keep rows that broke the contract, once each however often they come; how many are new, and all fingerprints."""
    shown = rejected.select(
        "symbol", "session", "open", "high", "low", "close", "volume", "close_adjusted", "reasons", "raw"
    ).sort(pl.all().exclude("reasons"))
    # Rows without text have the names that they had before text was kept.
    named = shown.with_columns(reasons=pl.concat_list("reasons", "raw").list.drop_nulls()).drop("raw")
    rows = shown.with_columns(source=pl.lit(source), run_id=pl.lit(run_id), fingerprint=fingerprints(named, source))
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
) -> None:
    """Mark broken rows of these days, and those without a day, that the source did not give again; others are back.

    seen: fingerprints of the rows that it just gave. answered: symbols that were read. whole: everything was, so that
    rows of symbols which the source has no more are gone as well.
    """
    gone = (
        "UPDATE rejected_bars SET gone_at = now() WHERE gone_at IS NULL AND source = $1 "
        "AND (session IS NULL OR session BETWEEN $2 AND $3) AND NOT fingerprint = ANY(string_to_array($4, ' ')) "
        "AND ($5 OR symbol IN (SELECT jsonb_array_elements_text(($6::text)::jsonb)))"
    )
    back = (
        "UPDATE rejected_bars SET gone_at = NULL "
        "WHERE gone_at IS NOT NULL AND fingerprint = ANY(string_to_array($1, ' '))"
    )
    names = " ".join(seen)
    execute(database, [(gone, (source, *days, names, whole, json.dumps(sorted(answered)))), (back, (names,))])


def fingerprints(rows: pl.DataFrame, origin: str) -> pl.Series:
    """One stable name per row; equal rows are told apart by their number."""
    seen: dict[str, int] = {}
    names = []
    for row in rows.iter_rows():
        text = json.dumps([origin, *row], default=str)
        seen[text] = seen.get(text, 0) + 1
        names.append(hashlib.sha256(f"{text} {seen[text]}".encode()).hexdigest()[:32])
    return pl.Series("fingerprint", names, dtype=pl.String)


def bars_to_count(database: Database, start: dt.date, end: dt.date, warm_up: int) -> pl.DataFrame:
    """Sound bars of all members from start through end, each security's after its last ``warm_up`` before start.

    Returns security_id, session, high, low, close, volume, close_adjusted. However far back those bars lie they are
    found, so what is computed from them does not depend on how history is cut.
    """
    return fetch(
        database,
        """
        WITH wanted AS (SELECT DISTINCT security_id FROM universe_members)
        SELECT b.security_id, b.session, b.high, b.low, b.close, b.volume, b.close_adjusted
          FROM wanted CROSS JOIN LATERAL (
               SELECT * FROM sound_bars
                WHERE sound_bars.security_id = wanted.security_id AND session < $1 ORDER BY session DESC LIMIT $3) b
        UNION ALL
        SELECT b.security_id, b.session, b.high, b.low, b.close, b.volume, b.close_adjusted
          FROM sound_bars b JOIN wanted USING (security_id) WHERE session BETWEEN $1 AND $2
        """,
        (start, end, warm_up),
    )


def too_large(database: Database, start: dt.date, end: dt.date, close: float, dollars: float) -> pl.DataFrame:
    """symbol, sessions, first, last, close (the greatest) of members with sound bars above either, dearest first."""
    return fetch(
        database,
        "SELECT symbol, count(*) AS sessions, min(session) AS first, max(session) AS last, max(close) AS close "
        "FROM sound_bars b JOIN security_symbols n ON n.security_id = b.security_id "
        "AND daterange(n.valid_from, n.valid_to) @> session "
        "WHERE session BETWEEN $1 AND $2 AND (close > $3 OR close * volume > $4) "
        "AND EXISTS (SELECT FROM universe_members m WHERE m.security_id = b.security_id) "
        "GROUP BY symbol ORDER BY 5 DESC, 1",
        (start, end, close, dollars),
    )


def index_closes(database: Database, symbols: Mapping[str, str], start: dt.date, end: dt.date) -> pl.DataFrame:
    """universe, session, index_close from start through end: the closes of the symbol that is each universe's index.

    A symbol that is spelled otherwise in the store is found, where only one can be meant.
    """
    known = set(fetch(database, "SELECT DISTINCT symbol FROM security_symbols")["symbol"])
    symbols = {universe: names[0] for universe, name in symbols.items() if len(names := meant(name, known)) == 1}
    found = fetch(
        database,
        "SELECT s.symbol, b.session, b.close AS index_close FROM security_symbols s "
        "JOIN sound_bars b USING (security_id) "
        "WHERE daterange(s.valid_from, s.valid_to) @> b.session AND b.session BETWEEN $1 AND $2 "
        "AND s.symbol = ANY(string_to_array($3, ' ')) ORDER BY b.session",
        (start, end, " ".join(symbols.values())),
    )
    of = pl.DataFrame(
        {"universe": list(symbols), "symbol": list(symbols.values())}, schema=dict.fromkeys(_OF, pl.String)
    )
    return of.join(found, on="symbol").drop("symbol")


def histories(database: Database, start: dt.date, end: dt.date) -> pl.DataFrame:
    """security_id, sound bars (through ``end``) of each member on a day from start through end, in order."""
    return fetch(
        database,
        "SELECT security_id, count(*) AS bars FROM sound_bars WHERE session <= $2 AND security_id IN ("
        "SELECT security_id FROM universe_members WHERE daterange(valid_from, valid_to) && daterange($1, $2, '[]')) "
        "GROUP BY security_id ORDER BY security_id",
        (start, end),
    )


def whole_history(database: Database, securities: Sequence[int], through: dt.date) -> pl.DataFrame:
    """security_id, session, high, low, close, volume of every sound bar of these securities through a day, in order."""
    return fetch(
        database,
        "SELECT security_id, session, high, low, close, volume FROM sound_bars "
        "WHERE session <= $2 AND security_id = ANY(string_to_array($1, ' ')::bigint[]) ORDER BY security_id, session",
        (" ".join(map(str, securities)), through),
    )


def sessions_held(database: Database, start: dt.date, end: dt.date, *, synthetic: bool) -> pl.DataFrame:
    """session, bars: how many bars of invented, or of real, companies each session from start through end has."""
    return fetch(
        database,
        "SELECT session, count(*) AS bars FROM bars JOIN securities USING (security_id) "
        "WHERE session BETWEEN $1 AND $2 AND synthetic = $3 GROUP BY session ORDER BY session",
        (start, end, synthetic),
    )


def reach(database: Database, *, synthetic: bool) -> tuple[dt.date, dt.date] | None:
    """The first and the last session with a bar of an invented or of a real company, or None."""
    query = (  # by security, because its first and last bar are the ends of the table's index
        "SELECT min(own.first) AS first, max(own.last) AS last FROM securities s CROSS JOIN LATERAL ("
        "SELECT min(session) AS first, max(session) AS last FROM bars WHERE bars.security_id = s.security_id) own "
        "WHERE synthetic = $1"
    )
    first, last = fetch(database, query, (synthetic,)).row(0)
    return None if first is None else (first, last)


def securities_held(database: Database, *, synthetic: bool) -> int:
    """How many invented, or real, companies have bars."""
    query = (
        "SELECT count(*) FROM securities s WHERE synthetic = $1 "
        "AND EXISTS (SELECT FROM bars WHERE bars.security_id = s.security_id)"
    )
    return int(fetch(database, query, (synthetic,)).item())


def rejected_bars(database: Database, source: str, start: dt.date, end: dt.date) -> pl.DataFrame:
    """The source's broken rows from start through end in whose place no good one came, with the reasons."""
    return fetch(
        database,
        "SELECT symbol, session, open, high, low, close, volume, reasons FROM rejected_bars r "
        "WHERE source = $1 AND session BETWEEN $2 AND $3 AND gone_at IS NULL AND NOT EXISTS ("
        "SELECT FROM security_symbols s JOIN bars b USING (security_id) WHERE s.symbol = r.symbol "
        "AND daterange(s.valid_from, s.valid_to) @> r.session AND b.session = r.session) ORDER BY session, symbol",
        (source, start, end),
    )


def _first_difference(before: pl.DataFrame, after: pl.DataFrame) -> dt.date | None:
    """The first day on which two lists of memberships (universe, security_id, valid_from, valid_to) differ, or None."""
    key = ["universe", "security_id", "valid_from"]
    columns = [*key, "valid_to"]
    old, new = before.select(columns), after.select(columns)
    gone = old.join(new, on=columns, how="anti", nulls_equal=True).with_columns(was=True)
    come = new.join(old, on=columns, how="anti", nulls_equal=True).with_columns(will=True)
    both = pl.col("was") & pl.col("will")  # one that only ends on another day is the same until the earlier one
    first = pl.when(both).then(pl.min_horizontal("valid_to", "valid_to_new")).otherwise("valid_from")
    changes = gone.join(come, on=key, how="full", coalesce=True, suffix="_new")
    day: dt.date | None = changes.select(first.min()).item()
    return day


def _first_of_another_sector(database: Database, companies: pl.DataFrame) -> dt.date | None:
    """The first day in a universe of a stored security whose sector these companies (security_id, sector) change."""
    stored = fetch(
        database,
        "SELECT security_id, sector AS before, min(valid_from) AS first FROM securities "
        "JOIN universe_members USING (security_id) GROUP BY security_id",
    )
    moved = stored.join(companies, on="security_id").filter(pl.col("before").ne_missing(pl.col("sector")))
    day: dt.date | None = moved["first"].min()  # type: ignore[assignment]
    return day


def _overlapping_symbols(intervals: pl.DataFrame) -> list[str]:
    """Symbols that two securities hold at a time, and those that a security holds beside another one; sorted.

    intervals: security_id, symbol, valid_from, valid_to (null: open).
    """
    start, end = pl.col("valid_from").fill_null(dt.date.min), pl.col("valid_to").fill_null(dt.date.max)
    clashes: set[str] = set()
    for holder in ("symbol", "security_id"):
        before_the_last_ended = start < end.cum_max().shift(1)
        clashes.update(intervals.sort(holder, start).filter(before_the_last_ended.over(holder))["symbol"])
    return sorted(clashes)


def yearly(table: sa.Table, rows: pl.DataFrame) -> list[str]:
    """Statements that make the partitions of a table, one for each year, which these rows need."""
    return [
        f"CREATE TABLE IF NOT EXISTS {table.name}_{year:04d} PARTITION OF {table.name} "
        f"FOR VALUES FROM ('{year:04d}-01-01') TO ('{year + 1:04d}-01-01')"
        for year in rows["session"].dt.year().unique().sort().to_list()
    ]


def keep_revised(kind: Literal["restatement", "correction"]) -> str:
    """The statement that keeps the old values of bars that are to change, and what kind of change it is."""
    return (
        "INSERT INTO bar_revisions (security_id, session, kind, run_id, old_run_id, old_ingested_at, "
        + ", ".join(f"old_{c}, new_{c}" for c in tables.REVISABLE)
        + f") SELECT t.security_id, t.session, '{kind}', s.run_id, t.run_id, t.ingested_at, "
        + ", ".join(f"t.{c}, s.{c}" for c in tables.REVISABLE)
        + " FROM {changed}"
    )
