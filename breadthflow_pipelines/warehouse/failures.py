"""What errors of the drivers mean to whoever asked: an error of ours, in a line; None where it is a fault of ours.

Of what ADBC raises, arrow_connections.py knows the rest.
"""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg2.extensions

from breadthflow_pipelines.errors import BreadthFlowError, DatabaseError, RequestError
from breadthflow_pipelines.observability.disk import disk_full, full_disk
from breadthflow_pipelines.observability.redaction import Redactor
from breadthflow_pipelines.warehouse.server_log import ran_out_of_space

_FORBIDDEN = "42501"  # SQLSTATE: the login lacks a privilege
# SQLSTATE: no connection (08P01 is a wrong frame), the server goes down; a deadlock, or the like.
GONE, GIVEN_UP = ("0800", "57P"), "40"


def failure(url: str, error: Exception, otherwise: BreadthFlowError | None) -> BreadthFlowError | None:
    """What the error of a driver means: a full disk, even where it shows as a server that is gone; or ``otherwise``.

    Or that the login lacks a privilege.
    """
    if (refused := forbidden(error)) is not None:
        return refused
    parts = urlsplit(url)
    sockets = parse_qs(parts.query).get("host", [""])[0]
    place = Path(sockets) if sockets.startswith("/") else f"the database server {parts.hostname or ''}".rstrip()
    if isinstance(place, Path) and otherwise is not None and ran_out_of_space(place):
        return disk_full(place)
    return full_disk(error, place) or otherwise


def forbidden(error: Exception) -> RequestError | None:
    """The one line for an error of any driver, SQLAlchemy's included, that says that the login lacks a privilege."""
    error = getattr(error, "orig", None) or error
    if _FORBIDDEN not in (getattr(error, "pgcode", None), getattr(error, "sqlstate", None)):
        return None
    reason = str(error).partition("ERROR:")[2] or str(error)
    return RequestError(
        f"This database login may not do that: {reason.strip().splitlines()[0]}. docs/deployment.md says what each "
        "role may do. If breadthflow was updated, the owner has to run breadthflow db upgrade first."
    )


def without_password(url: str, said: str) -> str:
    """What libpq said of an address, without the password in it: libpq repeats the parts that it cannot use."""
    return Redactor({url}, {})(said)


def undone(connection: psycopg2.extensions.connection, error: BaseException) -> DatabaseError | None:
    """What to say of a transaction that may go through another time; None of one that would fail again."""
    code = getattr(error, "pgcode", None) or ""
    if connection.closed or code.startswith(GONE):
        return DatabaseError("The database went away in the middle of a transaction; none of it was kept.")
    if code.startswith(GIVEN_UP):
        return DatabaseError(f"The database gave up a transaction, none of it was kept: {str(error).splitlines()[0]}.")
    return None
