"""Backups: what comes back is what was saved, and what cannot come back changes nothing."""

import json
import os
import subprocess
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from breadthflow_pipelines.errors import BreadthFlowError, DiskFullError, RequestError
from breadthflow_pipelines.warehouse import backups, postgres_programs, privacy, restoring, session_store, token_store
from breadthflow_pipelines.warehouse.addresses import database_name
from breadthflow_pipelines.warehouse.audit_listing import audited
from breadthflow_pipelines.warehouse.audit_store import present_user
from breadthflow_pipelines.warehouse.backups import DAGSTER, MARKET, Backup, back_up, backups_in, read
from breadthflow_pipelines.warehouse.carrying_over import CarriedOver
from breadthflow_pipelines.warehouse.database import Database, rows_of, upgrade
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines.warehouse.fingerprints import fingerprints
from breadthflow_pipelines.warehouse.restoring import rehearse, restore
from breadthflow_pipelines.warehouse.roles import PIPELINE
from breadthflow_pipelines.warehouse.sealing import Key, new_key
from breadthflow_pipelines_tests.conftest import administer, as_login, start_python, wait_until
from breadthflow_pipelines_tests.warehouse.conftest import SmallDisk

Rows = dict[str, list[Any]]


@pytest.fixture
def urls(database: Database, fresh_database: Callable[[], str]) -> dict[str, str]:
    """The market's database with some rows, and one that stands for Dagster's."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO publications (exchange, place) VALUES ('NYSE', '/data/nyse'), ('ÆX', '/data/a''b')")
        cursor.execute(
            "INSERT INTO securities (security_id, security_key, synthetic) "
            "SELECT n, 'S' || n, true FROM generate_series(1, 500) n"
        )
    dagster = fresh_database()
    execute(dagster, "CREATE TABLE runs (run_id text, started timestamptz, share float8)")
    execute(dagster, "INSERT INTO runs VALUES ('one', now(), 0.1 + 0.2), ('two', NULL, 'nan')")
    return {MARKET: database.url, DAGSTER: dagster}


@pytest.fixture
def key(tmp_path: Path) -> Key:
    new_key(tmp_path / "key")
    return Key(tmp_path / "key")


def execute(url: str, statement: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)


def rows(urls: dict[str, str]) -> Rows:
    """Every row of every table, in order; but for the audit, which says that the store was restored."""
    found: Rows = {}
    for name, url in urls.items():
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT relname FROM pg_class "
                "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'audit'"
            )
            for (table,) in cursor.fetchall():
                cursor.execute(f'SELECT t::text FROM "{table}" t ORDER BY 1')
                found[f"{name} {table}"] = cursor.fetchall()
    return found


def schema(url: str) -> list[Any]:
    """Columns of tables and views, triggers, functions, indexes, constraints, comments, as the server writes them."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name || column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' "
            "UNION ALL SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal "
            "UNION ALL SELECT proname, pg_get_functiondef(oid) FROM pg_proc "
            "WHERE pronamespace = 'public'::regnamespace AND prokind IN ('f', 'p') "
            "UNION ALL SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' "
            "UNION ALL SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE connamespace = 'public'::regnamespace "
            "UNION ALL SELECT objoid::regclass::text, description FROM pg_description "
            "WHERE classoid = 'pg_class'::regclass AND objoid >= 16384 ORDER BY 1, 2"
        )
        return cursor.fetchall()


def databases(server: EmbeddedServer) -> set[str]:
    with closing(psycopg2.connect(server.url("postgres"))) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database")
        return {name for (name,) in cursor.fetchall()}


def drop(server: EmbeddedServer, urls: dict[str, str]) -> None:
    for url in urls.values():
        administer(server, f'DROP DATABASE "{database_name(url)}" WITH (FORCE)')


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_store_that_was_destroyed_comes_back_row_by_row(
    server: EmbeddedServer, urls: dict[str, str], tmp_path: Path, key: Key, encrypted: bool
) -> None:
    used = key if encrypted else None
    before = rows(urls)
    assert len(before["market securities"]) == 500
    declared = schema(urls[MARKET])
    assert len(declared) > 200
    made = back_up(urls, tmp_path / "backups", used, None)
    assert {path.stat().st_mode & 0o777 for path in made.path.glob("*.dump*")} == {0o600}
    assert (b"/data/nyse" in (made.path / made.dumps[MARKET].file).read_bytes()) is False  # compressed, or encrypted
    drop(server, urls)
    restored = restore(made, urls, used, replace=False)
    assert rows(urls) == before
    assert schema(urls[MARKET]) == declared
    with closing(psycopg2.connect(urls[MARKET])) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT action, what, who IS NOT NULL FROM audit")
        assert cursor.fetchall() == [("restored", f"the store from {made.path.name}", True)]
    assert {each.name: each.kept_as for each in restored} == dict.fromkeys(map(database_name, urls.values()))


def test_an_encrypted_store_of_many_tables_is_backed_up_and_its_contents_are_listed(
    urls: dict[str, str], tmp_path: Path, key: Key
) -> None:
    """The list of a store with many years is longer than a pipe holds, and is written while the archive is read."""
    table = f"CREATE TABLE {'t' * 50}"
    execute(urls[MARKET], f"DO $$ BEGIN FOR i IN 1..1200 LOOP EXECUTE '{table}' || i || ' ()'; END LOOP; END $$")
    made = back_up(urls, tmp_path / "backups", key, None)
    dump = made.dumps[MARKET]
    archive = made.path / dump.file
    listed = postgres_programs.listing(archive, dump.server, lambda to: key.open(archive, to))
    assert len(listed) > 2 * 65_536
    assert listed.count(" TABLE public tttt") == 1200


def test_an_encrypted_archive_is_opened_by_its_key_alone_and_holds_nothing_in_the_clear(
    urls: dict[str, str], tmp_path: Path, key: Key
) -> None:
    made = back_up(urls, tmp_path / "backups", key, None)
    archive = made.path / made.dumps[MARKET].file
    assert archive.read_bytes().startswith(b"age-encryption.org/v1\n")  # so the program age opens it as well
    assert b"PGDMP" not in archive.read_bytes()  # how archives of pg_dump begin
    with (tmp_path / "plain").open("wb") as plain:
        key.open(archive, plain)
    assert (tmp_path / "plain").read_bytes().startswith(b"PGDMP")


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def rewrite(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """A manifest that is whole and does not fit its archive."""
    said = json.loads(file.read_text())
    del said["sha256"]
    change(said)
    file.write_text(json.dumps({**said, "sha256": backups._digest(said)}))


def claim_another_row(file: Path) -> None:
    rewrite(file, lambda said: said["dumps"][MARKET]["tables"]["publications"].update(rows=3))


def claim_a_newer_server(file: Path) -> None:
    rewrite(file, lambda said: said["dumps"][MARKET].update(server=99))


def claim_newer_tables(file: Path) -> None:
    rewrite(file, lambda said: said.update(schema="9999"))


@pytest.mark.parametrize(
    ("what", "how", "told"),
    [
        ("market", cut_short, "was changed or cut short"),
        ("dagster", flip, "was changed or cut short"),
        ("market", Path.unlink, "is missing"),
        ("manifest", flip, "was changed or cut short"),
        ("manifest", cut_short, "was changed or cut short"),
        ("manifest", Path.unlink, "is no backup"),
        ("manifest", claim_another_row, "publications: 3 rows were saved, 2 rows came back"),
        ("manifest", claim_a_newer_server, "PostgreSQL 99"),
        ("manifest", claim_newer_tables, "newer BreadthFlow"),
    ],
)
def test_a_damaged_backup_is_refused_and_nothing_is_changed(
    server: EmbeddedServer,
    urls: dict[str, str],
    tmp_path: Path,
    key: Key,
    what: str,
    how: Callable[[Path], None],
    told: str,
) -> None:
    path = back_up(urls, tmp_path / "backups", key, None).path
    (file,) = path.glob(f"{what}.*")
    how(file)
    before, there = rows(urls), databases(server)
    with pytest.raises(BreadthFlowError, match=told):
        restore(read(path), urls, key, replace=True)
    assert (rows(urls), databases(server)) == (before, there)


def test_another_key_and_none_are_refused_and_nothing_is_changed(
    server: EmbeddedServer, urls: dict[str, str], tmp_path: Path, key: Key
) -> None:
    made = back_up(urls, tmp_path / "backups", key, None)
    new_key(tmp_path / "another")
    before, there = rows(urls), databases(server)
    with pytest.raises(RequestError, match="was encrypted for another key"):
        restore(made, urls, Key(tmp_path / "another"), replace=True)
    with pytest.raises(RequestError, match="is encrypted: set BREADTHFLOW_BACKUP_KEY"):
        restore(made, urls, None, replace=True)
    assert (rows(urls), databases(server)) == (before, there)


def test_a_store_with_rows_is_kept_under_another_name_and_only_where_that_was_said(
    server: EmbeddedServer, urls: dict[str, str], tmp_path: Path
) -> None:
    before = rows(urls)
    made = back_up(urls, tmp_path / "backups", None, None)
    execute(urls[MARKET], "DELETE FROM publications WHERE exchange = 'NYSE'")
    later = rows(urls)
    with pytest.raises(RequestError, match="add --replace"):
        restore(made, urls, None, replace=False)
    assert rows(urls) == later
    kept = {each.name: each.kept_as for each in restore(made, urls, None, replace=True)}
    assert rows(urls) == before
    old = {name: server.url(str(kept[database_name(url)])) for name, url in urls.items()}
    assert rows(old) == later
    drop(server, old)


def test_tokens_stay_revoked_and_names_erased_where_the_store_that_knew_is_kept(
    server: EmbeddedServer, urls: dict[str, str], tmp_path: Path
) -> None:
    store, store_name = Database(urls[MARKET], None), database_name(urls[MARKET])
    for token_id, holder in (("aaaaaaaaaaaa", "alice"), ("bbbbbbbbbbbb", "bob"), ("cccccccccccc", "carol")):
        token_store.add(store, token_id, holder, "viewer", "hash", None, "dave")
    token_store.revoke(store, "cccccccccccc", "dave")
    early = privacy.erase(store, "carol").pseudonym
    session_store.begin(store, "of a browser", "aaaaaaaaaaaa", hours=8)
    made = back_up(urls, tmp_path / "backups", None, None)
    session_store.end(store, "of a browser")
    token_store.revoke(store, "bbbbbbbbbbbb", "dave")
    [revoked] = [row for row in token_store.tokens(store) if row["held_by"] == "bob"]
    late = [privacy.erase(store, name).pseudonym for name in ("alice", "dave")]
    market, other = sorted(restore(made, urls, None, replace=True), key=lambda each: each.name != store_name)
    assert (market.carried_over, other.carried_over) == (CarriedOver(tokens=2, names=2), CarriedOver())
    assert session_store.token_of(store, "of a browser") is None
    tokens = token_store.tokens(store)
    assert [(row["held_by"], row["valid"]) for row in tokens] == [(late[0], False), ("bob", False), (early, False)]
    assert (tokens[1]["revoked_at"], tokens[1]["revoked_by"]) == (revoked["revoked_at"], late[1])
    rows = audited(store, None, None, None)
    assert {row["who"] for row in rows} == {late[1], present_user()}
    why = "as before the store was restored"
    last = [(row["action"], row["behalf"], row["reason"]) for row in rows[-5:]]
    assert sorted(last[:2]) == [("revoked", holder, why) for holder in ("bob", late[0])]
    assert last[2:] == [*[("erased", None, why)] * 2, ("restored", None, None)]
    everything = "SELECT a::text AS row FROM audit a UNION ALL SELECT t::text FROM api_tokens t"
    assert not [row for row in rows_of(store, everything) if "alice" in row["row"] or "dave" in row["row"]]
    drop(server, {each.name: server.url(str(each.kept_as)) for each in (market, other)})


def test_a_store_without_tokens_or_audit_gives_and_takes_nothing(
    server: EmbeddedServer, urls: dict[str, str], tmp_path: Path
) -> None:
    """As one of an early version has neither."""
    made = back_up(urls, tmp_path / "backups", None, None)
    execute(urls[MARKET], "DROP TABLE page_sessions, api_tokens, audit")
    restored = restore(made, urls, None, replace=True)
    assert {each.carried_over for each in restored} == {CarriedOver()}
    drop(server, {each.name: server.url(str(each.kept_as)) for each in restored})


def test_a_store_that_was_only_upgraded_is_empty(urls: dict[str, str], tmp_path: Path) -> None:
    execute(urls[DAGSTER], "CREATE TABLE secondary_indexes (name text)")  # Dagster fills it when it makes its tables
    execute(urls[DAGSTER], "INSERT INTO secondary_indexes VALUES ('run_partitions')")
    before = rows(urls)
    made = back_up(urls, tmp_path / "backups", None, None)
    execute(urls[MARKET], "DELETE FROM publications")
    execute(urls[MARKET], "DELETE FROM securities")
    execute(urls[DAGSTER], "DELETE FROM runs")
    restored = restore(made, urls, None, replace=False)
    assert [each.kept_as for each in restored] == [None, None]
    assert rows(urls) == before


def test_a_database_that_somebody_uses_is_left_alone(
    server: EmbeddedServer, urls: dict[str, str], tmp_path: Path
) -> None:
    made = back_up(urls, tmp_path / "backups", None, None)
    notebook = psycopg2.connect(urls[MARKET], application_name="a notebook")
    with closing(notebook), pytest.raises(RequestError, match=r"in use \(a notebook\)"):
        restore(made, urls, None, replace=True)
    assert not [name for name in databases(server) if "_restoring_" in name or "_before_" in name]


@pytest.mark.slow
def test_who_comes_while_the_backup_is_put_back_keeps_the_database_as_it_is(
    server: EmbeddedServer, urls: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = back_up(urls, tmp_path / "backups", None, None)
    execute(urls[MARKET], "DELETE FROM publications")
    before, there = rows(urls), databases(server)
    monkeypatch.setattr(restoring, "_refuse_used", lambda _: None)
    with closing(psycopg2.connect(urls[MARKET])), pytest.raises(RequestError, match=r"is in use\. Stop breadthflow up"):
        restore(made, urls, None, replace=True)
    assert (rows(urls), databases(server)) == (before, there)


def test_a_server_that_ends_idle_transactions_does_not_end_a_backup(urls: dict[str, str], tmp_path: Path) -> None:
    name = database_name(urls[MARKET])
    execute(urls[MARKET], f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '20ms'")
    assert back_up(urls, tmp_path, None, None).dumps[MARKET].rows > 500


def test_a_rehearsal_leaves_no_database_and_finds_what_does_not_come_back(
    server: EmbeddedServer, urls: dict[str, str], tmp_path: Path
) -> None:
    there = databases(server)
    made = back_up(urls, tmp_path / "backups", None, None)
    rehearse(made, urls, None)
    claim_another_row(made.path / "manifest.json")
    with pytest.raises(BreadthFlowError, match="did not come back as it was saved: publications"):
        rehearse(read(made.path), urls, None)
    assert databases(server) == there


LEFT_BY_A_KILLED_ONE = """
import sys, time
from pathlib import Path
from breadthflow_pipelines.warehouse import restoring
from breadthflow_pipelines.warehouse.backups import read
restoring.fingerprints = lambda _: (print("filled", flush=True), time.sleep(600))
restoring.rehearse(read(Path(sys.argv[1])), {"market": sys.argv[2], "dagster": sys.argv[3]}, None)
"""


def test_what_a_killed_drill_left_goes_with_the_next_and_not_while_it_works(
    server: EmbeddedServer, urls: dict[str, str], tmp_path: Path
) -> None:
    there = databases(server)
    made = back_up(urls, tmp_path / "backups", None, None)
    working = start_python(LEFT_BY_A_KILLED_ONE, made.path, urls[MARKET], urls[DAGSTER])
    try:
        assert working.stdout is not None
        assert working.stdout.readline() == "filled\n"
        [left] = databases(server) - there
        assert left.endswith(f"_restoring_{working.pid}")
        for another in (rehearse, partial(restore, replace=True)):
            with pytest.raises(RequestError, match=rf"under way \(breadthflow restore, process {working.pid} on "):
                another(made, urls, None)
        assert databases(server) == {*there, left}
    finally:
        working.kill()
        working.communicate()
    assert left in databases(server)
    wait_until(lambda: _rehearsed(made, urls))  # the server notices within moments that the one before is gone
    assert databases(server) == there


def _rehearsed(made: Backup, urls: dict[str, str]) -> bool:
    try:
        rehearse(made, urls, None)
    except RequestError:
        return False
    return True


def test_only_databases_of_unfinished_restores_are_dropped(
    server: EmbeddedServer, urls: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before others are filled; and one that was empty and gave up its place, unless somebody wrote into it since."""
    made = back_up(urls, tmp_path / "backups", None, None)
    name = database_name(urls[MARKET])
    there = databases(server)
    gone = [f"{name}_restoring_4711", f"{name}_restoring_4711_empty"]
    stay = [
        *(f"{name}_restoring_4712_empty", f"{name}_restoring_mine", f"{name}_restoring_1_before"),
        *(f"x{name}_restoring_1", f"{name}x_restoring_1", f"{name}_before_20260105T020000Z"),
    ]
    for each in (*gone, *stay):
        administer(server, f'CREATE DATABASE "{each}" STRATEGY FILE_COPY')
    execute(server.url(stay[0]), "CREATE TABLE runs AS SELECT 1 AS run")
    seen: list[set[str]] = []
    monkeypatch.setattr(restoring, "_fill", lambda *_: seen.append(databases(server)))
    rehearse(made, urls, None)
    assert (seen[0], databases(server)) == ({*there, *stay}, {*there, *stay})
    drop(server, {each: server.url(each) for each in stay})


def test_a_pipeline_s_login_makes_backups_and_rehearses_them_where_it_may_make_databases(
    urls: dict[str, str], server: EmbeddedServer, tmp_path: Path
) -> None:
    login = "backup_login"
    make = f"CREATE ROLE {login} LOGIN IN ROLE {PIPELINE}"
    administer(server, f"DO $$ BEGIN {make}; EXCEPTION WHEN duplicate_object THEN END $$")
    execute(urls[DAGSTER], f"GRANT SELECT ON runs TO {PIPELINE}")
    logins = {name: as_login(url, login) for name, url in urls.items()}
    # One partition from before the rights on it are granted, and one that the login itself asks for.
    execute(urls[MARKET], "CREATE TABLE bars_2023 PARTITION OF bars FOR VALUES FROM ('2023-01-01') TO ('2024-01-01')")
    upgrade(Database(urls[MARKET], None))
    execute(logins[MARKET], "CALL add_yearly_partition('bars', 2024)")
    execute(
        logins[MARKET],
        "INSERT INTO bars (security_id, session, open, high, low, close, volume, source, run_id) "
        "SELECT 1, day, 1, 1, 1, 1, 1, 's', 'r' FROM unnest(ARRAY['2023-01-03', '2024-01-02']::date[]) AS day",
    )
    backup = back_up(logins, tmp_path, None, None)
    assert backup.dumps[MARKET].tables["bars"].rows == 2
    with pytest.raises(RequestError, match="CREATEDB"):
        rehearse(backup, logins, None)
    administer(server, f"ALTER ROLE {login} CREATEDB")
    try:
        before = databases(server)
        rehearse(backup, logins, None)
        assert databases(server) == before
    finally:
        administer(server, f"ALTER ROLE {login} NOCREATEDB")


def at(folder: Path, moment: str, manifest: str) -> Path:
    place = folder / f"breadthflow-{moment}"
    place.mkdir(parents=True)
    (place / "manifest.json").write_text(manifest)
    return place


def test_the_oldest_go_and_what_is_no_backup_stays(urls: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    oldest, older = at(folder, "20250101T000000Z", "{}"), at(folder, "20250201T000000Z", "{}")
    (folder / "breadthflow-20240101T000000Z").mkdir()  # no manifest: not ours
    (folder / "notes.txt").write_text("keep me")
    killed = folder / ".partial-breadthflow-20240101T000000Z"
    killed.mkdir()
    made = back_up(urls, folder, None, 2)
    assert backups_in(folder) == [older, made.path]
    assert not oldest.exists()
    assert not killed.exists()
    assert (folder / "notes.txt").exists()
    assert (folder / "breadthflow-20240101T000000Z").exists()


def test_a_backup_that_fails_leaves_nothing_and_removes_nothing(
    urls: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "backups"
    old = at(folder, "20250101T000000Z", "{}")
    monkeypatch.setattr(postgres_programs, "program", lambda *_, **__: Path("/bin/false"))
    with pytest.raises(BreadthFlowError, match="false failed"):
        back_up(urls, folder, None, 1)
    assert sorted(path.name for path in folder.iterdir()) == [".lock", old.name]


def test_two_backups_into_one_folder_at_once_are_one_too_many(urls: dict[str, str], tmp_path: Path) -> None:
    with backups._alone_in(tmp_path), pytest.raises(RequestError, match="Another backup is being made"):
        back_up(urls, tmp_path, None, None)


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_full_disk_is_told_and_leaves_nothing(
    urls: dict[str, str], small_disk: SmallDisk, key: Key, encrypted: bool
) -> None:
    execute(urls[DAGSTER], "CREATE TABLE noise AS SELECT md5(random()::text) FROM generate_series(1, 100000)")
    folder = small_disk.place / "backups"
    small_disk.fill(leave=1)
    with pytest.raises(DiskFullError, match=str(folder)):
        back_up(urls, folder, key if encrypted else None, None)
    assert [path.name for path in folder.iterdir()] == [".lock"]


def test_a_password_is_not_among_the_arguments_that_everybody_can_read(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho "$*" > "$0.arguments"\necho "$PGPASSWORD" > "$0.password"\n')
    program.chmod(0o755)
    url = "postgresql://me:p%40ss@db.example:5433/market?sslmode=require"
    postgres_programs.run([program, "--list"], url, tmp_path)
    given = (tmp_path / "program.arguments").read_text().split()
    assert given == ["--no-password", "--dbname=postgresql://me@db.example:5433/market?sslmode=require", "--list"]
    assert (tmp_path / "program.password").read_text() == "p@ss\n"


def test_a_program_of_another_version_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = postgres_programs.program("pg_dump", 18)
    assert subprocess.run([own, "--version"], capture_output=True, text=True, check=True).stdout.split()[2][:3] == "18."
    other = tmp_path / "pg_dump"
    other.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 16.4 (Debian 16.4-1)'\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert postgres_programs.program("pg_dump", 16) == other
    assert postgres_programs.program("pg_dump", 16, newer=True) == own
    with pytest.raises(RequestError, match=r"no pg_dump of PostgreSQL 12 here.*postgresql-client-12"):
        postgres_programs.program("pg_dump", 12)


@pytest.mark.parametrize("content", ["", "hello", "AGE-SECRET-KEY-1NOTAKEY"])
def test_a_file_that_is_no_key_is_refused_without_being_shown(tmp_path: Path, content: str) -> None:
    file = tmp_path / "file"
    file.write_text(content)
    with pytest.raises(RequestError, match="holds no key of age") as refused:
        Key(file)
    assert not content or content not in str(refused.value)
    with pytest.raises(RequestError, match="is never overwritten"):
        new_key(file)


def test_a_fingerprint_knows_every_value_and_no_order(fresh_database: Callable[[], str]) -> None:
    url = fresh_database()
    execute(url, "CREATE TABLE a (n int, x float8); INSERT INTO a VALUES (1, 0.1), (2, NULL)")
    execute(url, "CREATE TABLE b (n int, x float8); INSERT INTO b VALUES (2, NULL), (1, 0.1)")
    execute(url, "CREATE TABLE c (n int, x float8); INSERT INTO c VALUES (1, 0.1), (2, 0)")
    execute(url, "CREATE TABLE d (n int, x float8); INSERT INTO d VALUES (1, 0.1), (2, NULL), (2, NULL)")
    with closing(psycopg2.connect(url)) as connection:
        found = fingerprints(connection)
    assert found["a"] == found["b"]
    assert len({found[table] for table in "acd"}) == 3


def test_a_manifest_says_what_is_in_the_backup(urls: dict[str, str], tmp_path: Path) -> None:
    made: Backup = back_up(urls, tmp_path, None, None)
    assert read(made.path) == made
    assert made.dumps[MARKET].tables["securities"].rows == 500
    assert made.dumps[DAGSTER].rows == 2
    assert made.size == sum(file.stat().st_size for file in made.path.glob("*.dump"))
