"""Where each exchange's published counts are read from by every run. What is in them: breadth_store.py."""

from pathlib import Path

from breadthflow_pipelines.locations import location
from breadthflow_pipelines.warehouse.database import Database


def remembered(database: Database) -> dict[str, Path | str]:
    """By exchange, the directory or address that `breadthflow import-breadth` was given last."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT exchange, place FROM publications ORDER BY exchange")
        return {exchange: location(where) for exchange, where in cursor.fetchall()}


def remember(database: Database, exchange: str, where: Path | str) -> None:
    """Have every run read an exchange's counts from there. where: never an address that holds a secret."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO publications (exchange, place) VALUES (%s, %s) ON CONFLICT (exchange) "
            "DO UPDATE SET place = excluded.place, remembered_at = now()",
            (exchange, str(where)),
        )


def forget(database: Database, exchange: str) -> None:
    """Have no run read an exchange's counts by itself; those that are stored stay."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM publications WHERE exchange = %s", (exchange,))
