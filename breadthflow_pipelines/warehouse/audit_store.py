"""What was done by whom, written down in the transaction that does it. Read for people: audit_listing.py.

Rows come and stay: neither a pipeline's login nor, by mistake, the owner changes them (roles.py, migration 0021).
"""

from __future__ import annotations

import getpass
import os
import socket
from typing import TYPE_CHECKING

from breadthflow_pipelines.errors import printable

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class under a lower-case name

API, COMMAND = "api", "command"
LONGEST = 200  # characters of a name that a request brings


def record(
    cursor: Cursor,
    action: str,
    what: str,
    *,
    who: str | None,
    via: str = COMMAND,
    behalf: str | None = None,
    reason: str | None = None,
    run_id: str | None = None,
) -> None:
    """Write down that somebody did something, in the cursor's transaction.

    who: None where it is not known, or no person. behalf: in whose name or about whom, where that is somebody else.
    what: names nobody, as a name in it would not be erased. via: how it was asked for.
    """
    named = None if who is None else printable(who)[:LONGEST]
    other = None if behalf in (None, who) else behalf
    cursor.execute(
        "INSERT INTO audit (who, behalf, action, what, reason, run_id, via, host) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (named, other, action, what, reason, run_id, via, socket.gethostname()),
    )


def is_noted(cursor: Cursor, run_id: str) -> bool:
    """Whether it was written down who launched a run."""
    cursor.execute("SELECT EXISTS (SELECT FROM audit WHERE run_id = %s)", (run_id,))
    return bool((cursor.fetchone() or (False,))[0])


def present_user() -> str:
    """Who runs this process, as the system knows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())
