"""Addresses, versions and locks of the store, on a server that really runs."""

import os
import re
import signal
import threading
import traceback
from collections.abc import Callable

import psycopg2
import pytest
import sqlalchemy
from alembic.script import ScriptDirectory

from breadthflow_pipelines.errors import BreadthFlowError, DatabaseError, RequestError
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.warehouse import database as module
from breadthflow_pipelines.warehouse.addresses import database_name, normalise, sibling
from breadthflow_pipelines.warehouse.bulk import fetch
from breadthflow_pipelines.warehouse.database import (
    HEAD,
    Database,
    alembic_config,
    dagster_url,
    ensure_database,
    locate,
    open_database,
    revision,
    upgrade,
)
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines_tests.conftest import administer, start_python, wait_until

FreshDatabase = Callable[[str], str]


@pytest.fixture
def external(fresh_database: FreshDatabase) -> Database:
    """An empty database that BreadthFlow did not make, as somebody else's server would hold it."""
    return Database(fresh_database("template1"), None)


def settings_for(database: Database) -> Settings:
    return Settings(database_url=database.url)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgresql://u:p@h:5/d", "postgresql://u:p@h:5/d"),
        ("postgres://u@h/d", "postgresql://u@h/d"),  # as hosting providers write it; SQLAlchemy refuses it
        ("postgresql+psycopg2://u@h/d", "postgresql://u@h/d"),  # as SQLAlchemy writes it; libpq refuses it
        (" postgresql://h/d\n", "postgresql://h/d"),  # pasted
        ("postgresql:///d?host=/run/postgresql", "postgresql:///d?host=/run/postgresql"),  # a socket
        ("postgresql://u:p%40w@h/d?sslmode=require", "postgresql://u:p%40w@h/d?sslmode=require"),
        ("postgresql://u@[::1]:5/d", "postgresql://u@[::1]:5/d"),
        ("postgresql://u@[::1]/d", "postgresql://u@[::1]/d"),
        ("postgresql:///d", "postgresql:///d"),  # libpq's own socket
        ("postgresql://u:p:q@h:/d", "postgresql://u:p:q@h:/d"),  # libpq takes both
        ("postgresql://u@a,b/d?port=5432,5433", "postgresql://u@a,b/d?port=5432,5433"),  # whichever answers
        ("postgresql://h:65535/d", "postgresql://h:65535/d"),
    ],
)
def test_addresses_as_people_paste_them_become_libpq_s(given: str, expected: str) -> None:
    assert normalise(given, "BREADTHFLOW_DATABASE_URL") == expected


@pytest.mark.parametrize(
    "address",
    [
        "mysql://u:hunter2@h/d",
        "hunter2",
        "postgresql://u:hunter2@h",  # no database
        "postgresql://u:hunter2@h/",
        "postgresql://u:hunter2@[h/d",  # a bracket that is never closed
        "postgresql://u:hun@ter2@h/d",  # libpq would take ter2@h for the host, and print it
        "postgresql://u:ter2/hun@h/d",  # it would take ter2 for the port, and print it
        "postgresql://u:ter2?hun@h/d",
        "postgresql://u:ter2#hun@h/d",
        "postgresql://u:hun%ter2@127.0.0.1:1/d",  # an escape that is none
        "postgresql://u:hunter2@127.0.0.1:1/d",  # nobody listens
        "postgresql://u:hunter2@nobody.invalid/d",
        "postgresql://u:hunter2@127.0.0.1:99999/d",
        "postgresql://u:hunter2/d",  # the host is forgotten: libpq takes hunter2 for the port, and prints it
        "postgresql://u@h:hunter2/d",
        "postgresql://u:hunter2@h:abc/d",
        "postgresql://u:a:hunter2@h:abc/d",
        "postgresql://u:hunter2@h:0/d",
        "postgresql://u:hunter2@h:5432,i:5432/d",  # SQLAlchemy takes all of it for the port
        "postgresql://u:hunter2@h:\u0665/d",  # a digit to Python, and not to libpq
        "postgresql://u:hun/ter2/d",
        "postgresql://u:[hunter2@h/d",
        "postgresql://u:hunter2%@127.0.0.1:1/d",
        "postgresql://u:hunter2%00@127.0.0.1:1/d",
        "postgresql:///d?password=hunter2&port=abc",
        "postgresql:///d?password=hunter2",  # it would be in the list of processes while a backup is made
        "postgresql:///d?port=hunter2",
        "postgresql:///d?host=a,b&port=1,hunter2",
        "host=x password=hunter2 port=abc",
        "postgresql://u:hunter2@127.0.0.1:1/d?sslmode=hunter2",  # libpq prints what it cannot use
        "postgresql://u:h%75nter2@127.0.0.1:1/d?sslmode=hunter2",
        "postgresql://u:hunter2@127.0.0.1:1/d?no_such_option=1",
    ],
)
def test_no_refusal_repeats_any_part_of_a_password(address: str) -> None:
    with pytest.raises(BreadthFlowError) as refusal:
        open_database(Settings(database_url=address))
    shown = "".join(traceback.format_exception(refusal.value))  # what --debug prints
    assert "ter2" not in shown
    assert "hun" not in shown
    assert "BREADTHFLOW_DATABASE_URL" in shown


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("postgresql://u:hunter2/d", "what stands behind the : of its host is no port, 1 to 65535"),
        ("postgresql://u:p@h:65536/d", "what stands behind the : of its host is no port, 1 to 65535"),
        ("postgresql://u:p%zz@h/d", "it has a % that begins no escape; write a % of a password as %25"),
        ("postgresql:///d?port=abc", "its parameter port is no port"),
        ("postgresql:///d?password=p", "write it before the @, or as BREADTHFLOW_DATABASE_PASSWORD"),
        ("postgresql://u:p@q@h/d", "write it as postgresql://user:password@host:port/database, and @ / ? # [ ] %"),
        ("host=x password=p port=5", "write it as postgresql://user:password@host:port/database"),
    ],
)
def test_what_is_wrong_with_an_address_is_said_in_a_line(address: str, why: str) -> None:
    with pytest.raises(RequestError, match=rf"^BREADTHFLOW_DATABASE_URL cannot be used: .*{re.escape(why)}") as refusal:
        open_database(Settings(database_url=address))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("written", ["hunter2", "h%75nter2"])
def test_no_driver_s_error_repeats_the_password(written: str) -> None:
    """Whatever libpq cannot use it repeats: here a parameter that has the password by mistake."""
    database = Database(f"postgresql://u:{written}@127.0.0.1:1/d?sslmode=hunter2", None)
    for ask in (lambda: revision(database), lambda: fetch(database, "SELECT 1")):
        with pytest.raises(DatabaseError, match=re.escape('"***"')) as failure:
            ask()
        assert "hunter2" not in "".join(traceback.format_exception(failure.value))


def test_a_server_that_does_not_answer_is_named_and_may_be_asked_again() -> None:
    with pytest.raises(DatabaseError, match=r'"127\.0\.0\.1", port 1 failed: Connection refused\. Check') as failure:
        open_database(Settings(database_url="postgresql://u:hunter2@127.0.0.1:1/d"))
    assert failure.value.exit_status == 3
    with pytest.raises(DatabaseError, match="Connection refused"):
        fetch(Database("postgresql://u:hunter2@127.0.0.1:1/d", None), "SELECT 1")


def test_a_server_that_goes_away_in_the_middle_is_a_database_that_cannot_be_reached(
    database: Database, server: EmbeddedServer
) -> None:
    def lose_the_server() -> None:
        with database.connect() as connection, connection.cursor() as cursor:
            administer(server, f"SELECT pg_terminate_backend({connection.info.backend_pid}, 5000)")
            cursor.execute("SELECT 1")

    with pytest.raises(DatabaseError):
        lose_the_server()


def test_of_two_that_wait_for_each_other_one_is_told_to_try_again(database: Database) -> None:
    with database.connect() as connection:
        connection.cursor().execute("CREATE TABLE numbers AS SELECT n, 0 AS times FROM generate_series(1, 2) n")
    both_hold_one = threading.Barrier(2, timeout=30)
    errors: list[Exception] = []

    def add_to(first: int, second: int) -> None:
        try:
            with database.connect() as connection, connection.cursor() as cursor:
                cursor.execute("UPDATE numbers SET times = times + 1 WHERE n = %s", (first,))
                both_hold_one.wait()
                cursor.execute("UPDATE numbers SET times = times + 1 WHERE n = %s", (second,))
        except Exception as error:  # noqa: BLE001 - looked at below
            errors.append(error)

    others = [threading.Thread(target=add_to, args=pair) for pair in ((1, 2), (2, 1))]
    for other in others:
        other.start()
    for other in others:
        other.join(30)
    [error] = errors
    assert isinstance(error, DatabaseError)
    assert str(error) == "The database gave up a transaction, none of it was kept: deadlock detected."
    assert fetch(database, "SELECT times FROM numbers ORDER BY n")["times"].to_list() == [1, 1]


def test_an_address_that_hides_its_password_when_shown() -> None:
    assert "hunter2" not in repr(Database("postgresql://u:hunter2@h/d", None))


@pytest.mark.parametrize(
    ("address", "name", "beside"),
    [
        ("postgresql://u:p@h:5/d?sslmode=require", "d", "postgresql://u:p@h:5/d_dagster?sslmode=require"),
        ("postgresql://h/a%20b", "a b", "postgresql://h/a%20b_dagster"),
    ],
)
def test_the_sibling_lies_on_the_same_server(address: str, name: str, beside: str) -> None:
    assert database_name(address) == name
    assert sibling(address, "_dagster") == beside


def test_an_external_database_without_tables_is_left_alone_and_the_way_out_is_named(external: Database) -> None:
    with pytest.raises(RequestError, match="run breadthflow db upgrade") as refusal:
        open_database(settings_for(external))
    assert refusal.value.exit_status == 2
    assert revision(external) is None

    upgrade(locate(settings_for(external)))
    assert open_database(settings_for(external)).url == external.url
    assert revision(external) == HEAD


@pytest.mark.parametrize("embedded", [True, False])
def test_tables_of_a_newer_program_are_refused(database: Database, server: EmbeddedServer, embedded: bool) -> None:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE alembic_version SET version_num = '9999'")
    message = f"version 9999, newer than this program's {HEAD}: update breadthflow"
    if not embedded:
        with pytest.raises(RequestError, match=message):
            open_database(settings_for(database))
    with pytest.raises(RequestError, match=message):
        upgrade(Database(database.url, server if embedded else None))
    assert revision(database) == "9999"


def test_an_external_server_that_is_too_old_is_refused(external: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OLDEST_SERVER", 990000)  # no server of an older version can be had here
    with pytest.raises(RequestError, match=r"^The server is PostgreSQL \d\d; BreadthFlow needs"):
        upgrade(external)
    assert revision(external) is None


def test_the_embedded_store_is_made_and_brought_up_to_date_by_being_opened(server: EmbeddedServer) -> None:
    database = open_database(Settings(home=server.home))
    assert revision(database) == HEAD
    assert database.embedded is not None
    assert database.embedded.home == server.home


UPGRADE = """
import sys
from breadthflow_pipelines.warehouse.database import Database, upgrade
sys.stdin.readline()
upgrade(Database(sys.argv[1], None))
"""


@pytest.mark.slow
def test_two_upgrades_at_once_do_it_once(external: Database) -> None:
    upgrades = [start_python(UPGRADE, external.url, stdin=-1) for _ in range(2)]
    for process in upgrades:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60) for process in upgrades]
    assert [process.returncode for process in upgrades] == [0, 0], answers
    with external.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT version_num FROM alembic_version")
        assert cursor.fetchall() == [(HEAD,)]


def test_the_version_this_program_needs_is_that_of_its_newest_migration(database: Database) -> None:
    engine = sqlalchemy.create_engine("postgresql+psycopg2" + database.url.removeprefix("postgresql"))
    with engine.connect() as connection:
        script = ScriptDirectory.from_config(alembic_config(connection))
    engine.dispose()
    assert script.get_current_head() == HEAD


def test_dagster_gets_a_database_of_its_own_beside_the_store(external: Database) -> None:
    settings = settings_for(external)
    url = dagster_url(settings)
    assert database_name(url) == database_name(external.url) + "_dagster"
    psycopg2.connect(url).close()
    assert dagster_url(settings) == url  # there already: no error
    elsewhere = external.url.replace(database_name(external.url), "chosen_for_dagster")
    assert dagster_url(Settings(database_url=external.url, dagster_database_url=elsewhere)) == elsewhere
    psycopg2.connect(elsewhere).close()


def test_a_user_who_may_not_make_the_database_is_told_how(server: EmbeddedServer) -> None:
    administer(server, "DROP ROLE IF EXISTS reader")
    administer(server, "CREATE ROLE reader LOGIN")
    url = re.sub("//postgres@", "//reader@", server.url("not made yet"))
    with pytest.raises(RequestError, match='"not made yet" is missing and this user may not create it: run createdb'):
        ensure_database(url)


def test_many_who_make_one_database_at_once_all_find_it(server: EmbeddedServer) -> None:
    url = server.url("made_by_many")
    failures: list[BaseException] = []

    def make() -> None:
        try:
            ensure_database(url)
        except BaseException as error:  # noqa: BLE001 - a thread would swallow it
            failures.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    psycopg2.connect(url).close()


HOLD = """
import sys, time
from breadthflow_pipelines.warehouse.database import Database
with Database(sys.argv[1], None).exclusive("bars 2024-01"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_right_to_write_excludes_others_until_its_holder_lets_go_or_is_killed(database: Database) -> None:
    entered = threading.Event()

    def enter(what: str) -> None:
        with database.exclusive(what):
            entered.set()

    def waiting() -> int:
        with database.connect() as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) "
                "WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"
            )
            return int(cursor.fetchone()[0])  # type: ignore[index]

    def wait_in_vain() -> threading.Thread:
        entered.clear()
        thread = threading.Thread(target=enter, args=("bars 2024-01",))
        thread.start()
        wait_until(waiting)
        assert not entered.is_set()
        return thread

    with database.exclusive("bars 2024-01"):
        enter("bars 2024-02")  # another right is free
        assert entered.is_set()
        waiter = wait_in_vain()
    waiter.join(20)
    assert entered.is_set()

    holder = start_python(HOLD, database.url)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    waiter = wait_in_vain()
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    waiter.join(20)
    assert entered.is_set()


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.connect() as connection:
            connection.cursor().execute("INSERT INTO securities VALUES (1, 'A', NULL, NULL, false)")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert fetch(database, "SELECT * FROM securities").is_empty()
