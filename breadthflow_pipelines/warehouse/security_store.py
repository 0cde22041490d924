"""Securities, their symbols, and who is a member of which universe. Their bars are in bar_store.py."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl
from psycopg2.extras import execute_values

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.vocabulary import YEAR
from breadthflow_pipelines.spelling import spelled
from breadthflow_pipelines.warehouse import tables
from breadthflow_pipelines.warehouse.bulk import Merged, fetch, merge
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.recomputations import change_notes
from breadthflow_pipelines.warehouse.sql import has_bars

_BAR_BYTES = 130  # of a stored bar, at least; most take 150


@dataclass(frozen=True)
class SecuritiesRecorded:
    """What recording a listing did, in securities."""

    securities: Merged
    symbols_changed: int


def security_numbers(database: Database) -> pl.DataFrame:
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
        then=lambda _: change_notes("securities", moved),
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
                f"DELETE FROM security_symbols s WHERE security_id = ANY(%s) AND NOT {has_bars('s')}",
                (outdated,),
            )


def symbol_intervals(database: Database) -> pl.DataFrame:
    """security_id, symbol, valid_from, valid_to of every symbol of every security."""
    return fetch(database, "SELECT security_id, symbol, valid_from, valid_to FROM security_symbols")


def securities_held(database: Database, *, synthetic: bool) -> int:
    """How many invented, or real, companies have bars."""
    query = f"SELECT count(*) FROM securities s WHERE synthetic = $1 AND {has_bars('s')}"
    return int(fetch(database, query, (synthetic,)).item())


def has_real_bars(database: Database) -> bool:
    """Whether any company with bars is a real one."""
    query = f"SELECT EXISTS (SELECT FROM securities s WHERE NOT synthetic AND {has_bars('s')})"
    return bool(fetch(database, query).item())


def memberships(database: Database, universes: Sequence[str]) -> pl.DataFrame:
    """universe, security_id, valid_from, valid_to, symbol of every membership of these universes."""
    columns = "universe, security_id, valid_from, valid_to, symbol"
    return fetch(database, f"SELECT {columns} FROM universe_members WHERE {_among(universes)}", universes)


def record_members(database: Database, members: pl.DataFrame) -> Merged:
    """Make the store hold exactly these intervals for the universes that they speak of."""
    universes = members["universe"].unique().sort().to_list()
    stored = memberships(database, universes)
    return merge(
        database,
        tables.universe_members,
        members,
        scope=_among(universes),
        parameters=universes,
        then=lambda _: change_notes("universe_members", _first_difference(stored, members)),
    )


def listed(database: Database, years: Iterable[int]) -> dict[int, int]:
    """About how many securities have bars in each year, and rather more: so large a piece of it can get.

    Taken from the sizes of the partitions, which are known at once. As the first and the last year may have bars of a
    few months only, a year counts for as much as those on either side; where they have none, for all securities.
    """
    total = int(fetch(database, "SELECT count(*) FROM securities").item())
    sizes = fetch(
        database,
        "SELECT right(relname, 4)::int AS year, pg_relation_size(c.oid) AS bytes FROM pg_inherits "
        "JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'bars'::regclass",
    )
    full = {year: size // (_BAR_BYTES * YEAR) + 1 for year, size in sizes.iter_rows() if size}
    found = {}
    for year in years:
        beside = [full[other] for other in (year - 1, year + 1) if other in full]
        found[year] = min(total, max([full.get(year, 0), *beside])) if beside else total
    return found


def members(database: Database) -> pl.DataFrame:
    """universe, security_id, sector, valid_from, valid_to of every membership."""
    return fetch(
        database,
        "SELECT universe, security_id, sector, m.valid_from, m.valid_to "
        "FROM universe_members m JOIN securities USING (security_id)",
    )


def _among(universes: Sequence[str]) -> str:
    """A condition: the row is of one of these universes, which are bound to ``$1``, ``$2``, ..."""
    marks = ", ".join(f"${i}" for i in range(1, len(universes) + 1))
    return f"universe IN ({marks})" if universes else "false"


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
