"""Upkeep of PostgreSQL's own: dead rows reclaimed, and statistics for its planner.

Nothing that the store holds is changed. What takes up space is in server_listing.py; what of Dagster's records may go
is in retention.py.
"""

from contextlib import closing

from breadthflow_pipelines.warehouse.database import Database, lasting_connection, rows_of

# The owner of the database may vacuum all that is in it.
_OF_OTHERS = """
    SELECT count(*) AS tables FROM pg_stat_user_tables JOIN pg_class c ON c.oid = relid
    WHERE c.relkind <> 'p' AND NOT pg_has_role(c.relowner, 'USAGE')
        AND NOT pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE')
"""


def vacuum(url: str) -> int:
    """Reclaim dead rows of all tables and renew the planner's statistics, beside whoever reads and writes.

    Returns how many tables were left out, because this login does not own them; PostgreSQL's autovacuum sees to those.
    """
    with closing(lasting_connection(url)) as connection, connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
    return int(rows_of(Database(url, None), _OF_OTHERS)[0]["tables"])
