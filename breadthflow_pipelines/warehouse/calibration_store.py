"""What symbol signals are judged by, the sums that come of it, and what their records say: in, and out again."""

import datetime as dt
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import polars as pl

from breadthflow_pipelines.warehouse import tables
from breadthflow_pipelines.warehouse.bulk import Merged, fetch, merge
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.holds import unheld
from breadthflow_pipelines.warehouse.sql import columns_of


def signals(database: Database, votes: Sequence[str], stretches: Sequence[tuple[dt.date, dt.date]]) -> pl.DataFrame:
    """universe, session, security_id, action, confidence, strength and the signs of these votes, in any order.

    stretches: first and last session of each; they do not overlap.
    """
    query = (
        f"SELECT universe, session, security_id, action, confidence, strength, {_in_one(votes)} AS signs "
        "FROM symbol_signals WHERE session BETWEEN $1 AND $2"
    )
    found = pl.concat([fetch(database, query, stretch) for stretch in stretches])
    return found.select(pl.exclude("signs"), *_apart("signs", votes))


def _in_one(votes: Sequence[str]) -> str:
    """The signs of up to 31 votes in one bigint, two bits each: a value takes as long to fetch, however small it is."""
    bits = [f"coalesce(sign({vote})::bigint + 1, {_NO_VOTE}) << {2 * place}" for place, vote in enumerate(votes)]
    return " | ".join(f"({two})" for two in bits)


def _apart(signs: str, votes: Sequence[str]) -> list[pl.Expr]:
    """What _in_one() put together: the sign of each vote, -1, 0 or 1, or null."""
    bits = {vote: (pl.col(signs) // 4**place % 4).cast(pl.Int16) for place, vote in enumerate(votes)}
    return [pl.when(two != _NO_VOTE).then(two - 1).alias(vote) for vote, two in bits.items()]


_NO_VOTE = 3


def closes(database: Database, start: dt.date, end: dt.date) -> pl.DataFrame:
    """security_id, session, close, close_adjusted of the sound bars of whoever ever was a member, start through end."""
    return fetch(
        database,
        "SELECT security_id, session, close, close_adjusted FROM sound_bars WHERE session BETWEEN $1 AND $2 "
        "AND security_id IN (SELECT security_id FROM universe_members)",
        (start, end),
    )


def last_close(database: Database, start: dt.date, end: dt.date) -> dt.date | None:
    """The last session from start through end with one of the bars that ``closes`` gives; None without any."""
    found = fetch(
        database,
        "SELECT max(b.session) AS session FROM (SELECT DISTINCT security_id FROM universe_members) m "
        "CROSS JOIN LATERAL (SELECT session FROM sound_bars b WHERE b.security_id = m.security_id "
        "AND session BETWEEN $1 AND $2 ORDER BY session DESC LIMIT 1) b",
        (start, end),
    )
    last: dt.date | None = found.item()
    return last


def record_sums(
    database: Database,
    sums: pl.DataFrame,
    start: dt.date,
    end: dt.date,
    held: Mapping[str, dt.date] = MappingProxyType({}),
) -> Merged:
    """Make the store hold exactly these sums for the months that begin from start through end.

    held: by universe, the month from which on its rows stay as they are.
    """
    scope, parameters = unheld("month BETWEEN $1 AND $2", (start, end), held, "month")
    return merge(database, tables.symbol_calibration, sums, scope=scope, parameters=parameters)


def sums(database: Database) -> pl.DataFrame:
    """The sums of all months and universes, in order of their key."""
    columns = columns_of(tables.symbol_calibration, "computed_at")
    return fetch(database, f"SELECT {columns} FROM symbol_calibration ORDER BY {', '.join(_KEY)}")


_KEY = [column.name for column in tables.symbol_calibration.primary_key]


def record_accuracy(database: Database, accuracy: pl.DataFrame) -> Merged:
    """Make the store hold exactly these rates and verdicts; only changed rows are written."""
    return merge(database, tables.symbol_accuracy, accuracy, scope="true")


def record_records(database: Database, records: pl.DataFrame) -> Merged:
    """Make the store hold exactly these records; only changed rows are written."""
    return merge(database, tables.symbol_records, records, scope="true")
