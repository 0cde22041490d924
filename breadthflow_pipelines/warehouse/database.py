"""Which database is used, how it is reached, and whether its tables are the ones this code knows.

Opens, prepares and locks; what is read and written is in the other modules of this room.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import psycopg2.errors
from psycopg2 import sql

from breadthflow_pipelines.errors import BusyError, DatabaseError, RequestError
from breadthflow_pipelines.warehouse.addresses import database_name, encrypted, maintenance, normalise, sibling
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines.warehouse.failures import failure, undone, without_password
from breadthflow_pipelines.warehouse.kept_connections import Kept
from breadthflow_pipelines.warehouse.sql import backwards

if TYPE_CHECKING:
    from alembic.config import Config

    from breadthflow_pipelines.settings import Settings

Row = dict[str, Any]  # of an answer, by column

NAME = "breadthflow"
HEAD = "0037"  # the newest migration; kept here because importing Alembic to ask costs most of a second
_MIGRATIONS = Path(__file__).with_name("migrations")
OLDEST_SERVER = 150000


_kept: Kept[psycopg2.extensions.connection] = Kept()


def _is_open(connection: psycopg2.extensions.connection) -> bool:
    """Whether the server is still there: it has said nothing since. One that ends a connection says so, or closes it.

    No question is sent for it, as a server with many readers would be asked twice as often.
    """
    if connection.closed:
        return False
    heard = select.poll()
    heard.register(connection, select.POLLIN)
    return not heard.poll(0)


def _no_text(error: ValueError) -> RequestError | None:
    """What is told of a value that the driver does not send: no text of PostgreSQL."""
    if isinstance(error, UnicodeEncodeError):
        return RequestError("The request has text that is not UTF-8; the store takes UTF-8 only.")
    if "NUL" in str(error):  # the driver has no class for it
        return RequestError("The request has a character NUL in its text; the store takes none.")
    return None


@dataclass(frozen=True)
class Database:
    """A store that can be connected to: ``url`` is a libpq address, and a secret unless embedded."""

    url: str = field(repr=False)
    embedded: EmbeddedServer | None

    @contextmanager
    def connect(self, *, alone: bool = False, single: bool = False) -> Iterator[psycopg2.extensions.connection]:
        """One connection, one transaction: committed at the end, rolled back on an error.

        alone: what is set or made on the connection outlives the transaction, so nobody may use it before or after.
        single: each statement is a transaction by itself, which for one takes a third of the messages.

        Raises:
            DatabaseError: the server cannot be reached.
            DiskFullError: it has no space left.
        """
        connection = (None if alone else _kept.take(self.url, _is_open)) or connect(self.url)
        try:
            connection.autocommit = single
            with nullcontext() if single else connection:
                yield connection
        except BaseException as error:
            passing = undone(connection, error)
            connection.close()
            explained = failure(self.url, error, passing) if isinstance(error, psycopg2.Error) else None
            if isinstance(error, ValueError):
                explained = _no_text(error)
            if explained is None:
                raise
            raise explained from None
        if alone:
            connection.close()
        else:
            _kept.give_back(self.url, connection)

    @contextmanager
    def exclusive(self, what: str) -> Iterator[None]:
        """Hold the right to write ``what``; others wait. Let go by the server itself when this process dies."""
        connection = lasting_connection(self.url)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"breadthflow {what}",))
            yield
        finally:
            connection.close()


def rows_of(
    database: Database, query: str | sql.Composed, values: Sequence[object] | Mapping[str, object] | None = None
) -> list[Row]:
    """The answer to a query with psycopg2's marks, by column.

    Raises:
        DatabaseError: the server did not answer to the end.
        BusyError: it had no more time for it.
    """
    with asking(database, single=True) as connection, connection.cursor() as cursor:
        return answer(cursor, query, values)


def answer(
    cursor: psycopg2.extensions.cursor,
    query: str | sql.Composed,
    values: Sequence[object] | Mapping[str, object] | None = None,
) -> list[Row]:
    """The same through a cursor; four times as fast as the driver's own dictionaries."""
    cursor.execute(query, values)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def last_rows_of(
    database: Database, query: str | sql.Composed, values: Sequence[object], order: str, most: int | None
) -> list[Row]:
    """The last so many rows of the answer, or all of them, in an order; errors as rows_of() has them.

    query: ends before its ORDER BY. order: what stands there.
    """
    asked = query if isinstance(query, sql.Composed) else sql.SQL(query)
    if most is None:
        return rows_of(database, asked + sql.SQL(f" ORDER BY {order}"), values)
    return rows_of(database, asked + sql.SQL(f" ORDER BY {backwards(order)} LIMIT {most:d}"), values)[::-1]


@contextmanager
def asking(database: Database, *, single: bool = False) -> Iterator[psycopg2.extensions.connection]:
    """A connection for several questions of one moment, or a ``single`` one; errors as rows_of() has them."""
    try:
        with database.connect(single=single) as connection:
            yield connection
    except psycopg2.errors.QueryCanceled:
        raise BusyError("The database did not answer in time; ask for less, or later.") from None
    except psycopg2.OperationalError as error:
        raise DatabaseError(f"The database went away: {str(error).strip().splitlines()[0]}") from None


def locate(settings: Settings) -> Database:
    """The store that the settings mean; starts the embedded server where that is what they mean."""
    server = EmbeddedServer(settings.home) if settings.database_url is None else None
    if server is not None:
        server.ensure_running()
    return Database(addresses(settings)[0], server)


def addresses(settings: Settings) -> tuple[str, str]:
    """The addresses of the market's database and of Dagster's. Starts no server and makes no database."""
    if settings.database_url is not None:
        market = _address(settings, "database_url")
    else:
        market = EmbeddedServer(settings.home).url(NAME)
    if settings.dagster_database_url is None:
        return market, sibling(market, "_dagster")
    return market, _address(settings, "dagster_database_url")


def open_database(settings: Settings) -> Database:
    """The store, ready to be used. The embedded one is made and brought up to date on the way.

    Raises:
        RequestError: an external database lacks tables or is of another version; says which command helps.
        DatabaseError: it cannot be reached.
    """
    database = locate(settings)
    if database.embedded is not None:
        ensure_database(database.url)
    elif not exists(database.url):
        raise RequestError(f'Database "{database_name(database.url)}" does not exist: run breadthflow db upgrade')
    found = revision(database)
    if found == HEAD:
        return database
    if database.embedded is None:
        _refuse_newer(found)
        raise RequestError(
            f"The database is at version {found or 'none'}, this program needs {HEAD}: run breadthflow db upgrade"
        )
    upgrade(database, reader_sees_bars=settings.reader_sees_bars, audit_days=settings.keep_audit_days)
    return database


def existing_database(settings: Settings) -> Database:
    """As open_database(), for whoever only reads: an embedded store that nobody has made yet is not made either.

    Raises:
        RequestError: as open_database(), or there is none in the home; names the home and what makes one.
    """
    if settings.database_url is None:
        EmbeddedServer(settings.home).check_made()
    return open_database(settings)


def dagster_url(settings: Settings) -> str:
    """Dagster's own database, made where it is missing."""
    if settings.dagster_database_url is None:
        locate(settings)  # starts the embedded server
    url = addresses(settings)[1]
    ensure_database(url)
    return url


def _address(settings: Settings, name: str) -> str:
    """The address in a setting, with the certificate that its server has to show."""
    variable = f"BREADTHFLOW_{name.upper()}"
    url = normalise(getattr(settings, name).get_secret_value(), variable)
    return url if settings.database_ca is None else encrypted(url, settings.database_ca, variable)


def ensure_database(url: str) -> None:
    """Make the database that ``url`` names unless it is there.

    Raises:
        RequestError: it is missing and this user may not make it.
    """
    if not exists(url):
        _create_database(url)


def table_names(database: Database) -> set[str]:
    """The tables that the database has."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        return {str(name) for (name,) in cursor.fetchall()}


def revision(database: Database) -> str | None:
    """The version of the store's tables, or None where there are none."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('alembic_version') IS NOT NULL")
        if not _one(cursor)[0]:
            return None
        cursor.execute("SELECT max(version_num) FROM alembic_version")
        return _one(cursor)[0]  # type: ignore[no-any-return]


def upgrade(database: Database, *, reader_sees_bars: bool = True, audit_days: int | None = None) -> list[str]:
    """Bring the store's tables to this program's version, and grant the roles what they need; two at once do it once.

    Returns the roles that are missing and that this login may not make. reader_sees_bars, audit_days: as in
    grant_store().

    Raises:
        RequestError: the tables are a newer program's, or the server is too old.
    """
    import sqlalchemy
    from alembic import command

    from breadthflow_pipelines.warehouse.roles import grant_store

    with database.connect() as connection:
        version = connection.server_version
    if version < OLDEST_SERVER:
        raise RequestError(f"The server is PostgreSQL {version // 10000}; BreadthFlow needs 15 or newer.")
    _refuse_newer(revision(database))
    engine = sqlalchemy.create_engine("postgresql+psycopg2" + database.url.removeprefix("postgresql"))
    try:
        with database.exclusive("schema"), engine.connect() as connection:
            command.upgrade(alembic_config(connection), "head")
            with database.connect() as granting, granting.cursor() as cursor:
                return grant_store(cursor, reader_sees_bars=reader_sees_bars, audit_days=audit_days)
    finally:
        engine.dispose()


def alembic_config(connection: object) -> Config:
    """Alembic's configuration for one connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _refuse_newer(found: str | None) -> None:
    if found is not None and found > HEAD:
        raise RequestError(f"The database is at version {found}, newer than this program's {HEAD}: update breadthflow.")


def exists(url: str) -> bool:
    """Whether the database is there.

    Raises:
        DatabaseError: its server cannot be reached.
    """
    try:
        connect(url).close()
    except DatabaseError:
        if _known_missing(url):
            return False
        connect(url).close()  # it was made by somebody else just now, or cannot be reached
    return True


def _known_missing(url: str) -> bool:
    """Whether the server's own list lacks the database; what it refuses with comes in many languages."""
    try:
        connection = connect(maintenance(url))
    except DatabaseError:
        return False
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT NOT EXISTS (SELECT FROM pg_database WHERE datname = %s)", (database_name(url),))
            return bool(_one(cursor)[0])
    finally:
        connection.close()


def connect(url: str, **options: str) -> psycopg2.extensions.connection:
    """A connection of one's own; ``options`` are libpq's. Without a name it has that of PGAPPNAME, or ours.

    Raises:
        DatabaseError: the server cannot be reached, or refuses.
        DiskFullError: because it has no space left.
    """
    named: dict[str, Any] = {"fallback_application_name": "breadthflow", **options}
    try:
        connection: psycopg2.extensions.connection = psycopg2.connect(url, connect_timeout=10, **named)
    except psycopg2.OperationalError as error:
        reason = [line for line in str(error).splitlines() if line[:1].strip()][-1]  # the indented ones guess
        explained = failure(
            url,
            error,
            DatabaseError(
                f"The database cannot be reached: {without_password(url, reason)}. "
                "Check that it runs and that BREADTHFLOW_DATABASE_URL is right."
            ),
        )
        raise explained or error from None
    except psycopg2.ProgrammingError:  # an address that libpq cannot read; its message would repeat it
        raise RequestError("BREADTHFLOW_DATABASE_URL is not an address that PostgreSQL understands.") from None
    return connection


def lasting_connection(url: str) -> psycopg2.extensions.connection:
    """A connection of one's own without transactions, which may hold locks for hours.

    If its machine loses power, the server notices within half a minute and lets go of them.
    """
    connection = connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3")
    return connection


def _create_database(url: str) -> None:
    name = database_name(url)
    connection = connect(maintenance(url))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg2.errors.InsufficientPrivilege:
        raise RequestError(
            f'Database "{name}" is missing and this user may not create it: run createdb {name}'
        ) from None
    except (psycopg2.errors.DuplicateDatabase, psycopg2.errors.UniqueViolation, psycopg2.errors.ObjectInUse):
        time.sleep(0.2)  # another process made it, or holds the template, this very moment
        ensure_database(url)
    finally:
        connection.close()


def _one(cursor: psycopg2.extensions.cursor) -> tuple[Any, ...]:
    row = cursor.fetchone()
    if row is None:
        raise DatabaseError("The database returned no row for a query that always has one.")
    return row
