"""Sessions of the page: who logged in with which token, until when. Only a hash of what a browser holds is kept.

That the token is still valid is asked of token_store.py with every request: a revocation ends its sessions.
"""

from breadthflow_pipelines.warehouse.database import Database, rows_of


def begin(database: Database, session_hash: str, token_id: str, hours: float) -> None:
    """Keep a session for so many hours; those that are over are forgotten."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM page_sessions WHERE expires_at <= now()")
        cursor.execute(
            "INSERT INTO page_sessions (session_hash, token_id, expires_at) "
            "VALUES (%s, %s, now() + make_interval(secs => %s))",
            (session_hash, token_id, 3600 * hours),
        )


def token_of(database: Database, session_hash: str) -> str | None:
    """The id of the token that a session was begun with; None where it is over, or never was."""
    query = "SELECT token_id FROM page_sessions WHERE session_hash = %s AND expires_at > now()"
    rows = rows_of(database, query, [session_hash])
    return rows[0]["token_id"] if rows else None


def end(database: Database, session_hash: str) -> None:
    """Forget a session."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM page_sessions WHERE session_hash = %s", (session_hash,))
