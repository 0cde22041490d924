"""How PostgreSQL itself is doing: sizes, clients, slow statements. What the tables hold is elsewhere in this room.

Everything comes from the server's own accounts and the sizes of its files; no table is read.
"""

from breadthflow_pipelines.warehouse.database import Database, Row, rows_of

MOST_STATEMENTS = 5
IDLE_FROM = 1 << 20  # bytes of an index from which on it is worth a line


def size(database: Database) -> int:
    """Bytes of the database on the server's disk."""
    return int(rows_of(database, "SELECT pg_database_size(current_database()) AS bytes")[0]["bytes"])


def version(database: Database) -> str:
    """The version of the server, as it writes it."""
    return str(rows_of(database, "SELECT current_setting('server_version') AS version")[0]["version"])


def table_sizes(database: Database) -> list[Row]:
    """Of each table, its partitions included: bytes, index_bytes among them, rows and dead_rows; the largest first.

    Dead rows were replaced or deleted and are not yet reclaimed.
    """
    return rows_of(
        database,
        'SELECT coalesce(pg_partition_root(relid)::oid, relid)::regclass::text AS "table", '
        "sum(pg_total_relation_size(relid))::bigint AS bytes, sum(pg_indexes_size(relid))::bigint AS index_bytes, "
        "sum(n_live_tup)::bigint AS rows, sum(n_dead_tup)::bigint AS dead_rows "
        "FROM pg_stat_user_tables GROUP BY 1 ORDER BY 2 DESC, 1",
    )


def idle_indexes(database: Database) -> list[Row]:
    """Indexes that no query has read since the server's counters began: index, table, bytes; the largest first.

    Without small ones, and without those of constraints, which are needed whether they are read or not.
    """
    return rows_of(
        database,
        'SELECT s.indexrelid::regclass::text AS index, s.relid::regclass::text AS "table", '
        "pg_relation_size(s.indexrelid) AS bytes "
        "FROM pg_stat_user_indexes s JOIN pg_index i USING (indexrelid) "
        "WHERE s.idx_scan = 0 AND NOT i.indisunique AND pg_relation_size(s.indexrelid) >= %s ORDER BY bytes DESC, 1",
        [IDLE_FROM],
    )


def connections(database: Database) -> list[Row]:
    """Clients of the server by what they do, who asks included: state, clients."""
    return rows_of(
        database,
        "SELECT coalesce(state, 'not shown') AS state, count(*) AS clients FROM pg_stat_activity "
        "WHERE backend_type = 'client backend' GROUP BY 1 ORDER BY 1",
    )


def connections_limit(database: Database) -> int:
    """How many clients the server takes."""
    return int(rows_of(database, "SELECT current_setting('max_connections') AS limit")[0]["limit"])


def longest_statement(database: Database) -> float:
    """Seconds since the oldest statement under way began; 0 if none is."""
    query = (
        "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - query_start)), 0)::float8 AS seconds "
        "FROM pg_stat_activity WHERE state = 'active' AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    return float(rows_of(database, query)[0]["seconds"])


def archive_fails(database: Database) -> bool | None:
    """Whether the last attempt to copy a piece of the server's log to its archive failed; None where it has none.

    Without the copies the log stays beside the data, until the disk is full.
    """
    query = (
        "SELECT coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AS fails "
        "FROM pg_stat_archiver WHERE current_setting('archive_mode') <> 'off'"
    )
    found = rows_of(database, query)
    return bool(found[0]["fails"]) if found else None


def statements_are_counted(database: Database) -> bool:
    """Whether pg_stat_statements is there, and its library loaded: without that, reading it is an error."""
    # The setting exists only where the library is loaded.
    query = (
        "SELECT to_regclass('pg_stat_statements') IS NOT NULL "
        "AND current_setting('pg_stat_statements.max', true) IS NOT NULL AS counted"
    )
    return bool(rows_of(database, query)[0]["counted"])


def slowest_statements(database: Database) -> list[Row]:
    """The slowest statements on average: statement (its number, as its text may hold data), calls, seconds.

    None where they are not counted.
    """
    if not statements_are_counted(database):
        return []
    return rows_of(
        database,
        "SELECT queryid AS statement, sum(calls)::bigint AS calls, "
        "(sum(total_exec_time) / sum(calls) / 1000)::float8 AS seconds FROM pg_stat_statements "
        "WHERE queryid IS NOT NULL AND calls > 0 AND dbid = "
        "(SELECT oid FROM pg_database WHERE datname = current_database()) "
        "GROUP BY queryid ORDER BY seconds DESC LIMIT %s",
        [MOST_STATEMENTS],
    )
