"""How PostgreSQL itself is doing: sizes, clients, slow statements. What the tables hold is elsewhere in this room.

Everything comes from the server's own accounts and the sizes of its files; no table is read.
"""

from collections.abc import Sequence

from breadthflow_pipelines.warehouse.database import Database, Row, rows_of

MOST_STATEMENTS = 5


def size(database: Database) -> int:
    """Bytes of the database on the server's disk."""
    return int(rows_of(database, "SELECT pg_database_size(current_database()) AS bytes")[0]["bytes"])


def table_sizes(database: Database, tables: Sequence[str]) -> list[Row]:
    """Bytes of each table with its indexes and partitions: table, bytes."""
    return rows_of(
        database,
        'SELECT name AS "table", sum(pg_total_relation_size(part.relid))::bigint AS bytes '
        "FROM unnest(%s) AS name CROSS JOIN LATERAL ("
        "SELECT relid FROM pg_partition_tree(to_regclass(name)) "
        "UNION SELECT to_regclass(name)) AS part GROUP BY name ORDER BY name",
        [list(tables)],
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
