"""Backups put back: into databases beside the present ones, compared row by row, and only then given their names.

So nothing is changed by a backup that does not come back whole. What a backup is, backups.py says; what is taken over
from the store whose place it takes, carrying_over.py.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import errors, sql

from breadthflow_pipelines.errors import BreadthFlowError, RequestError
from breadthflow_pipelines.model.vocabulary import RESTORED
from breadthflow_pipelines.observability.logs import log
from breadthflow_pipelines.warehouse import postgres_programs
from breadthflow_pipelines.warehouse.addresses import database_name, maintenance, sibling
from breadthflow_pipelines.warehouse.audit_store import present_user, record
from breadthflow_pipelines.warehouse.backups import MARKET, Backup, Dump, feed, read_through
from breadthflow_pipelines.warehouse.carrying_over import CarriedOver, carry_over
from breadthflow_pipelines.warehouse.database import Database, connect, exists, table_names
from breadthflow_pipelines.warehouse.fingerprints import difference, fingerprints
from breadthflow_pipelines.warehouse.presence import Claim
from breadthflow_pipelines.warehouse.sealing import Key

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class under a lower-case name

_MOST_JOBS = 4
_OF_ITS_OWN = {"alembic_version", "secondary_indexes", "store_changes"}  # have rows as soon as there are tables


@dataclass(frozen=True)
class Restored:
    """A database that came back.

    kept_as: the name under which the rows before it stay, or None if there were none. carried_over: from those.
    """

    name: str
    rows: int
    kept_as: str | None
    carried_over: CarriedOver


def restore(backup: Backup, urls: Mapping[str, str], key: Key | None, *, replace: bool) -> list[Restored]:
    """Put each database of a backup where the addresses say. replace: also where there are rows, which are kept.

    Raises:
        RequestError: a database has rows, is in use, is being restored by others, or is on an older server; the key is
            missing or wrong.
        BreadthFlowError: the backup is damaged, or what came back is not what was saved.
    """
    read_through(backup, key)
    with _alone_with(urls[name] for name in backup.dumps):
        return _restore(backup, urls, key, replace=replace)


def _restore(backup: Backup, urls: Mapping[str, str], key: Key | None, *, replace: bool) -> list[Restored]:
    filled = {name for name in backup.dumps if exists(urls[name]) and _has_rows(urls[name])}
    if filled and not replace:
        names = " and ".join(f'"{database_name(urls[name])}"' for name in sorted(filled))
        raise RequestError(
            f"There are rows in {names}. To put the backup in their place and keep them under another name, "
            "add --replace."
        )
    for name in backup.dumps:
        _refuse_used(urls[name])
    scratch = _fill_all(backup, urls, key)
    for name, url in scratch.items():
        _keep_out(urls[name], url)
    carried = {MARKET: carry_over(urls[MARKET], scratch[MARKET])} if MARKET in filled else {}
    stamp = f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}"
    kept = {name: f"{database_name(urls[name])}_before_{stamp}" for name in filled}
    _swap(urls, scratch, kept)
    _note(Database(urls[MARKET], None), backup)
    return [
        Restored(database_name(urls[name]), dump.rows, kept.get(name), carried.get(name, CarriedOver()))
        for name, dump in backup.dumps.items()
    ]


def _note(market: Database, backup: Backup) -> None:
    """Write down in the store that came back who brought it back, and log everybody out of its page.

    Whoever has logged out since the backup would be in again. A store of an earlier version may lack either table.
    """
    tables = table_names(market)
    with market.connect() as connection, connection.cursor() as cursor:
        if "audit" in tables:
            record(cursor, RESTORED, f"the store from {backup.path.name}", who=present_user())
        if "page_sessions" in tables:
            cursor.execute("DELETE FROM page_sessions")


def rehearse(backup: Backup, urls: Mapping[str, str], key: Key | None) -> None:
    """Restore a backup into databases of its own, compare them, and drop them.

    Raises:
        RequestError: others restore one into the same databases.
        BreadthFlowError: it does not come back as it was saved.
    """
    read_through(backup, key)
    with _alone_with(urls[name] for name in backup.dumps):
        _fill_all(backup, urls, key)


@contextmanager
def _alone_with(urls: Iterable[str]) -> Iterator[None]:
    """Be the only one who restores these databases. The server lets others do it as soon as this process is gone.

    So what is unfinished at first was left by one that was killed. It is dropped, as is what this one leaves.

    Raises:
        RequestError: somebody else restores one of them now.
    """
    with ExitStack() as held:
        for url in urls:
            claim = Claim(
                maintenance(url),
                f"restore of {database_name(url)}",
                f"breadthflow restore, process {os.getpid()} on {socket.gethostname()}",
            )
            held.callback(claim.release)
            if (other := claim.hold()) is not None:
                raise RequestError(
                    f'Another restore or drill of "{database_name(url)}" is under way ({other}). Wait for it to end.'
                )
            _drop_unfinished(url)
            held.callback(_drop_unfinished, url)
        yield


def _drop_unfinished(url: str) -> None:
    """Drop the databases that restores of this one fill, and the empty ones whose place they took.

    One that was empty and is not any more stays: somebody wrote into it in the last moment.
    """
    with suppress(BreadthFlowError, psycopg2.Error):  # the server is gone; the next restore looks again
        for suffix in _unfinished(url):
            left = sibling(url, suffix)
            try:
                if not (suffix.endswith("_empty") and _has_rows(left)):
                    _administer(left, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)"))
            except (BreadthFlowError, psycopg2.Error) as error:  # it may be another login's
                log.warning("unfinished_restore_stays", database=database_name(left), reason=str(error).strip())


def _unfinished(url: str) -> list[str]:
    """What the names of the databases that restores of this one make have behind its own."""
    made = re.compile(re.escape(database_name(url)) + r"(_restoring_[0-9]+(_empty)?)")
    with closing(connect(maintenance(url))) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database ORDER BY 1")
        found = [made.fullmatch(name) for (name,) in cursor.fetchall()]
    return [name[1] for name in found if name]


def _fill_all(backup: Backup, urls: Mapping[str, str], key: Key | None) -> dict[str, str]:
    """The addresses of new databases with the backup's rows, proven equal. They are dropped unless they are renamed."""
    scratch = {name: sibling(urls[name], f"_restoring_{os.getpid()}") for name in backup.dumps}
    for name, dump in backup.dumps.items():
        _fill(backup, dump, scratch[name], key)
    return scratch


def _fill(backup: Backup, dump: Dump, url: str, key: Key | None) -> None:
    with closing(connect(maintenance(url))) as connection:
        server = connection.server_version // 10000
    if server < dump.server:
        raise RequestError(f"The backup is of PostgreSQL {dump.server}; this server is older, {server}.")
    try:
        _administer(url, sql.SQL("CREATE DATABASE {} TEMPLATE template0"))
    except errors.InsufficientPrivilege:
        raise RequestError("To restore, this user needs the right to create databases (CREATEDB).") from None
    write = feed(backup, dump, key)
    # Roles are the server's, and not in the backup.
    options = ["--no-owner", "--no-privileges", "--exit-on-error"]
    if write is None:
        options += [f"--jobs={min(os.cpu_count() or 1, _MOST_JOBS)}", str(backup.path / dump.file)]
    postgres_programs.run([postgres_programs.program("pg_restore", server), *options], url, backup.path, write)
    with closing(connect(url)) as connection:
        found = fingerprints(connection)
        if differs := difference(dump.tables, found):
            raise BreadthFlowError(f"{backup.path / dump.file} did not come back as it was saved: {differs}.")
        with connection.cursor() as cursor:
            _close_routines(cursor)
            cursor.execute("ANALYZE")
        connection.commit()


def _close_routines(cursor: Cursor) -> None:
    """Keep everybody but the owner from what runs as the owner, until the next upgrade grants it to roles again.

    That they are not everybody's is among the privileges, which are not restored.
    """
    cursor.execute(
        "SELECT format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', oid::regprocedure) FROM pg_proc "
        "WHERE prosecdef AND pronamespace = 'public'::regnamespace"
    )
    for (statement,) in cursor.fetchall():
        cursor.execute(statement)


def _keep_out(url: str, fresh: str) -> None:
    """Close a database to everybody where the one before it is: logins are let in again by name."""
    with closing(connect(maintenance(url))) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT privilege FROM pg_database, unnest(ARRAY['CONNECT', 'TEMPORARY']) AS privilege "
            "WHERE datname = %s AND NOT has_database_privilege('public', oid, privilege)",
            (database_name(url),),
        )
        for (privilege,) in cursor.fetchall():
            revoking = sql.SQL(f"REVOKE {privilege} ON DATABASE {{}} FROM PUBLIC")
            cursor.execute(revoking.format(sql.Identifier(database_name(fresh))))


def _has_rows(url: str) -> bool:
    with closing(connect(url)) as connection:
        found = fingerprints(connection)
    return any(table.rows for name, table in found.items() if name not in _OF_ITS_OWN)


def _refuse_used(url: str) -> None:
    """Raise if somebody is connected."""
    with closing(connect(maintenance(url))) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT coalesce(nullif(application_name, ''), 'without a name') FROM pg_stat_activity "
            "WHERE datname = %s AND backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY 1",
            (database_name(url),),
        )
        users = [name for (name,) in cursor.fetchall()]
    if users:
        raise _used(f'"{database_name(url)}"', f" ({', '.join(users)})")


def _used(database: str, by: str) -> RequestError:
    return RequestError(
        f"The database {database} is in use{by}. Stop breadthflow up, its runs and other clients first."
    )


def _swap(urls: Mapping[str, str], scratch: Mapping[str, str], kept: Mapping[str, str]) -> None:
    """Give the restored databases their names: all of a server in one transaction."""
    for server in sorted({maintenance(url) for url in scratch.values()}):
        names = [name for name, url in scratch.items() if maintenance(url) == server]
        try:
            with closing(connect(server)) as connection, connection, connection.cursor() as cursor:
                for name in names:
                    present, fresh = database_name(urls[name]), database_name(scratch[name])
                    if name in kept:
                        cursor.execute(_renaming(present, kept[name]))
                    elif exists(urls[name]):
                        cursor.execute(_renaming(present, f"{fresh}_empty"))
                    cursor.execute(_renaming(fresh, present))
        except errors.ObjectInUse:  # by somebody who has just come
            raise _used(" or ".join(f'"{database_name(urls[name])}"' for name in names), "") from None


def _renaming(old: str, new: str) -> sql.Composed:
    return sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new))


def _administer(url: str, statement: sql.SQL) -> None:
    """Run a statement about the database that an address names, from outside of it."""
    connection = connect(maintenance(url))
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(statement.format(sql.Identifier(database_name(url))))
