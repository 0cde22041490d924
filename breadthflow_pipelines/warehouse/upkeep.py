"""Upkeep of PostgreSQL's own: dead rows reclaimed, and statistics for its planner.

Nothing that the store holds is changed. What takes up space is in server_listing.py; what of Dagster's records may go
is in retention.py.
"""

from contextlib import closing

from breadthflow_pipelines.warehouse.database import lasting_connection


def vacuum(url: str) -> None:
    """Reclaim dead rows of all tables and renew the planner's statistics, beside whoever reads and writes."""
    with closing(lasting_connection(url)) as connection, connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
