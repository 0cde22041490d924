"""Upkeep of PostgreSQL's own: dead rows reclaimed, statistics for its planner, and what takes up space.

Nothing that the store holds is changed. What of Dagster's records may go is in retention.py.
"""

from __future__ import annotations

from contextlib import closing

from breadthflow_pipelines.warehouse.database import Database, Row, lasting_connection, rows_of

IDLE_FROM = 1 << 20  # bytes of an index from which on it is worth a line

# Partitions count for their table. Dead: what was replaced or deleted and is not yet reclaimed.
_TABLES = """
    SELECT coalesce(pg_partition_root(relid)::oid, relid)::regclass::text AS "table",
        round(sum(pg_total_relation_size(relid)) / 1e6, 1)::float8 AS megabytes,
        round(sum(pg_indexes_size(relid)) / 1e6, 1)::float8 AS in_indexes,
        sum(n_live_tup)::bigint AS rows,
        sum(n_dead_tup)::bigint AS dead_rows
    FROM pg_stat_user_tables GROUP BY 1 ORDER BY 2 DESC, 1
"""
# Constraints need theirs whether it is read or not.
_IDLE_INDEXES = """
    SELECT s.indexrelid::regclass::text AS index, s.relid::regclass::text AS "table",
        round(pg_relation_size(s.indexrelid) / 1e6, 1)::float8 AS megabytes
    FROM pg_stat_user_indexes s JOIN pg_index i USING (indexrelid)
    WHERE s.idx_scan = 0 AND NOT i.indisunique AND pg_relation_size(s.indexrelid) >= %s
    ORDER BY pg_relation_size(s.indexrelid) DESC, 1
"""


def vacuum(url: str) -> None:
    """Reclaim dead rows of all tables and renew the planner's statistics, beside whoever reads and writes."""
    with closing(lasting_connection(url)) as connection, connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")


def table_sizes(url: str) -> list[Row]:
    """Of each table: its size in megabytes, that of its indexes, its rows and its dead rows; the largest first."""
    return rows_of(Database(url, None), _TABLES)


def idle_indexes(url: str) -> list[Row]:
    """Indexes that no query has read since the server's counters began, and what they take up, in megabytes."""
    return rows_of(Database(url, None), _IDLE_INDEXES, (IDLE_FROM,))
