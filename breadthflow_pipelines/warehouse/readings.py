"""Which run read a source last, and of what, where it came to a good end. What a run reads: orchestration/inputs.py."""

from breadthflow_pipelines.warehouse import verdicts
from breadthflow_pipelines.warehouse.database import Database, Row, rows_of


def begin(database: Database, source: str, run_id: str) -> None:
    """Note that a run reads the source; until it is done, nothing says what the store was made from."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO source_readings (source, run_id) VALUES (%s, %s) ON CONFLICT (source) "
            "DO UPDATE SET run_id = excluded.run_id, inputs = NULL, begun_at = now(), ended_at = NULL",
            (source, run_id),
        )


def end(database: Database, source: str, run_id: str, inputs: str) -> None:
    """Note what a run was made from that came to a good end; nothing where another has read the source since."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE source_readings SET inputs = %s, ended_at = now() WHERE source = %s AND run_id = %s",
            (inputs, source, run_id),
        )


def made_from(database: Database, source: str, inputs: str) -> Row | None:
    """The run that made the store from these inputs, where nothing is pending, held or failing: run_id, ended_at."""
    rows = rows_of(
        database,
        "SELECT run_id, ended_at FROM source_readings WHERE source = %s AND inputs = %s "
        "AND NOT EXISTS (SELECT FROM recomputations) AND NOT EXISTS (SELECT FROM holding)",
        [source, inputs],
    )
    if any(check["severity"] == "error" for check in verdicts.failing(database)):
        return None
    return rows[0] if rows else None
