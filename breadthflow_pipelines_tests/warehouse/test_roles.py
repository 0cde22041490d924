"""What each database role may do, cell by cell; where roles come from, and what happens without them."""

from collections.abc import Callable
from pathlib import Path

import psycopg2
import psycopg2.errors
import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.vocabulary import BAR_VALUES
from breadthflow_pipelines.warehouse import personal, tables
from breadthflow_pipelines.warehouse.addresses import database_name
from breadthflow_pipelines.warehouse.backups import MARKET, Backup, back_up
from breadthflow_pipelines.warehouse.bulk import fetch
from breadthflow_pipelines.warehouse.database import Database, ensure_database, rows_of, upgrade
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines.warehouse.formula_columns import FormulaColumn, fit
from breadthflow_pipelines.warehouse.restoring import restore
from breadthflow_pipelines.warehouse.roles import grant_dagster
from breadthflow_pipelines.warehouse.store_retention import forget_audit
from breadthflow_pipelines_tests.conftest import administer, as_login

PIPELINE, READER = "breadthflow_pipeline", "breadthflow_reader"
VIEWS = {
    *("sound_bars", "all_counts", "accepted_holes", "holding", "breadth"),
    *("signals_with_record", "symbol_signals_with_record"),
}
PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
WRITES = {"SELECT", "INSERT", "UPDATE", "DELETE"}
READS = {"SELECT"}


@pytest.fixture
def logins(server: EmbeddedServer, database: Database) -> dict[str, Database]:
    """The store as its owner, as a pipeline, as a reader and as a stranger reaches it."""
    login(server, "pipeline_login", PIPELINE)
    login(server, "reader_login", READER)
    login(server, "stranger", None)
    users = {"owner": "postgres", "pipeline": "pipeline_login", "reader": "reader_login", "stranger": "stranger"}
    return {name: Database(as_login(database.url, user), None) for name, user in users.items()}


def login(server: EmbeddedServer, name: str, role: str | None) -> None:
    """Make a login, a member of the role, unless an earlier test did."""
    member = f" IN ROLE {role}" if role else ""
    administer(server, f"DO $$ BEGIN CREATE ROLE {name} LOGIN{member}; EXCEPTION WHEN duplicate_object THEN END $$")


def allowed(database: Database, role: str) -> dict[str, set[str]]:
    """What a role may do with each table and view as a whole; without those it may do nothing with."""
    rows = rows_of(
        database,
        "SELECT relname, privilege FROM pg_class, unnest(%s) AS privilege WHERE relnamespace = 'public'::regnamespace "
        "AND relkind IN ('r', 'p', 'v') AND has_table_privilege(%s, oid, privilege)",
        (list(PRIVILEGES), role),
    )
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["relname"], set()).add(row["privilege"])
    return found


def test_a_pipeline_may_write_every_table_and_read_every_view(database: Database) -> None:
    written = dict.fromkeys({*tables.metadata.tables} - {"audit"}, WRITES)
    assert allowed(database, PIPELINE) == {**written, **dict.fromkeys((*VIEWS, "alembic_version", "audit"), READS)}


UNSEEN = {  # names of users, and hashes of what lets them in
    *("audit", "api_tokens", "page_sessions", "run_requests"),
}
NAMELESS = {"quarantined_bars", "hole_decisions", "accepted_holes"}  # of which readers do not see who decided


def test_a_reader_may_read_all_but_who_did_what_and_nothing_else(database: Database) -> None:
    read = {*tables.metadata.tables, *VIEWS, "alembic_version"} - UNSEEN - NAMELESS
    assert allowed(database, READER) == dict.fromkeys(read, READS)
    rows = rows_of(database, WITHHELD, [READER])
    assert {(row["relation"], row["attname"]) for row in rows if row["relation"] not in UNSEEN} == {
        (relation, "decided_by") for relation in NAMELESS
    }


NAMED = [(table, column) for table, columns in personal.NAMED.items() for column in columns]


@pytest.mark.parametrize(("table", "column"), NAMED)
def test_a_reader_sees_no_user(logins: dict[str, Database], table: str, column: str) -> None:
    rows_of(logins["pipeline"], f"SELECT {column} FROM {table}", [])
    for query in (f"SELECT {column} FROM {table}", f"SELECT * FROM {table}", f"SELECT t FROM {table} t"):
        with pytest.raises(RequestError, match="permission denied"):
            rows_of(logins["reader"], query, [])


def test_no_view_shows_a_reader_a_column_with_names(logins: dict[str, Database]) -> None:
    """Whatever it calls it: each column of a view that reads one is compared with what is in it."""
    owner = logins["owner"]
    put_a_bar(owner)
    with owner.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO quarantined_bars (security_id, session, rule, evidence, fingerprint, status, decided_at, "
            "decided_by, reason) VALUES (1, '2024-01-03', 'r', '{}', 'f', 'released', now(), 'alice', 'r')"
        )
        cursor.execute(
            "INSERT INTO hole_decisions (gate, universe, synthetic, session, missing, decision, decided_by, reason) "
            "VALUES ('g', '*', false, '2024-01-04', 1, 'accepted', 'alice', 'r')"
        )
        cursor.execute("INSERT INTO run_requests (request_id, who, body_hash) VALUES ('1', 'alice', 'h')")
    seen = {}
    for row in rows_of(owner, RELATIONS, []):
        columns = rows_of(
            owner,
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped "
            "AND has_column_privilege(%s, attrelid, attnum, 'SELECT')",
            [row["relation"], READER],
        )
        names = ", ".join(f'"{column["attname"]}"' for column in columns)
        seen[row["relation"]] = names and str(rows_of(logins["reader"], f"SELECT {names} FROM {row['relation']}", []))
    assert "2024, 1, 4" in seen["accepted_holes"]
    assert not [relation for relation, found in seen.items() if "alice" in found]


RELATIONS = """
SELECT oid::regclass::text AS relation FROM pg_class
 WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition
"""
WITHHELD = """
SELECT attrelid::regclass::text AS relation, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
 WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition AND attnum > 0
   AND NOT attisdropped AND NOT has_column_privilege(%s, attrelid, attnum, 'SELECT')
"""


def test_a_stranger_may_nothing(logins: dict[str, Database]) -> None:
    assert allowed(logins["owner"], "stranger") == {}


def test_neither_role_can_log_in_or_owns_anything(database: Database) -> None:
    rows = rows_of(database, "SELECT * FROM pg_roles WHERE rolname LIKE 'breadthflow%%' ORDER BY rolname", [])
    assert [row["rolname"] for row in rows] == [PIPELINE, READER]
    rights = ("rolsuper", "rolcreaterole", "rolcreatedb", "rolcanlogin", "rolreplication", "rolbypassrls")
    assert not any(row[right] for row in rows for right in rights)
    owned = "SELECT FROM pg_class JOIN pg_roles r ON r.oid = relowner WHERE rolname LIKE 'breadthflow%%'"
    assert rows_of(database, owned, []) == []


BAR = "security_id, session, open, high, low, close, volume, source, run_id) VALUES (1, '2024-01-02', 1, 1, 1, 1, 1"
WHOLE_YEAR = "; ".join(
    f"CALL {routine}('symbol_signals', {year})"
    for routine, year in (("add_year_apart", "2025"), ("close_years_apart", "'{2025}'"), ("join_years", "'{2025}'"))
)
ATTEMPTS = {  # what is tried, and who succeeds
    "SELECT count(*) FROM bars": {"owner", "pipeline", "reader"},
    "SELECT count(*) FROM breadth": {"owner", "pipeline", "reader"},
    # As pg_dump does; readers through the table it belongs to, and not past it.
    "SELECT count(*) FROM bars_2024": {"owner", "pipeline"},
    f"INSERT INTO bars ({BAR}, 's', 'r')": {"owner", "pipeline"},
    f"INSERT INTO bars_2024 ({BAR}, 's', 'r')": {"owner", "pipeline"},  # it writes many rows at a time like this
    f"INSERT INTO bars_2024 ({BAR.replace('(1,', '(77,')}, 's', 'r')": set(),  # of nobody
    "UPDATE bars_2024 SET source = 'x'": {"owner"},
    "UPDATE securities SET name = 'x'": {"owner", "pipeline"},
    "DELETE FROM holds": {"owner", "pipeline"},
    "INSERT INTO audit (action, what, via, host) VALUES ('erased', 'x', 'y', 'z')": {"owner", "pipeline"},
    "INSERT INTO audit (action, what, via, host, login) VALUES ('erased', 'x', 'y', 'z', 'me')": {"owner"},
    "SELECT count(*) FROM audit": {"owner", "pipeline"},
    "SELECT forget_audit(90)": {"owner"},
    "SELECT forget_audit(89)": set(),
    "CREATE OR REPLACE FUNCTION audit_days() RETURNS integer LANGUAGE sql RETURN 90": {"owner"},
    "INSERT INTO alembic_version VALUES ('x')": {"owner"},
    "TRUNCATE bars": {"owner"},
    "DROP TABLE recursion_states": {"owner"},
    "ALTER TABLE bars ADD COLUMN x int": {"owner"},
    "CREATE TABLE bars_2025 PARTITION OF bars FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')": {"owner"},
    "CREATE TABLE mine (x int)": {"owner"},
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql RETURN 1": {"owner"},
    "CREATE OR REPLACE VIEW breadth AS SELECT 1": set(),  # columns of a view cannot be dropped, whoever tries
    "CREATE ROLE somebody": {"owner"},
    f"GRANT {PIPELINE} TO reader_login": {"owner"},
    "ALTER TABLE bars OWNER TO pipeline_login": {"owner"},
    "CALL add_yearly_partition('bars', 2025)": {"owner", "pipeline"},
    "CALL add_yearly_partition('securities', 2025)": set(),  # one that has no partitions
    "CALL add_yearly_partition('bars', 0)": set(),
    "CALL add_yearly_partition('bars; DROP TABLE bars', 2025)": set(),
    "CALL add_year_apart('price_indicators', 2025)": {"owner", "pipeline"},
    "CALL add_year_apart('bars', 2025)": set(),
    "CALL add_year_apart('price_indicators', 0)": set(),
    "CALL join_years('price_indicators', ARRAY[2025])": set(),  # nothing of it is apart
    "CALL join_years('bars', ARRAY[2024])": set(),
    "CALL close_years_apart('securities', ARRAY[2024])": set(),
    WHOLE_YEAR: {"owner", "pipeline"},
    "CALL gather_as_the_table('bars_2024')": {"owner"},
    "CALL analyze_new('bars', ARRAY['security_id'])": {"owner", "pipeline"},
    "CALL let_partition_look('bars_2024')": {"owner"},
    "CALL analyze_new('bars', ARRAY['session); DROP TABLE holds; --'])": set(),
    "COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'": {"owner"},
    "SELECT pg_read_file('/etc/hostname')": {"owner"},
    "SELECT pg_terminate_backend(pg_backend_pid()) WHERE false": {"owner", "pipeline", "reader", "stranger"},
}


def put_a_bar(store: Database) -> None:
    with store.connect() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO securities VALUES (1, 'A', NULL, NULL, false)")
        cursor.execute("CALL add_yearly_partition('bars', 2024)")
        cursor.execute(f"INSERT INTO bars ({BAR.replace('01-02', '01-03')}, 's', 'r')")


def who_succeeds(logins: dict[str, Database], statement: str) -> set[str]:
    succeeded = set()
    for name, database in logins.items():
        connection = psycopg2.connect(database.url)
        try:
            connection.cursor().execute(statement)
            succeeded.add(name)
        except psycopg2.Error:
            pass
        finally:
            connection.close()  # and nothing of it stays
    return succeeded


@pytest.mark.parametrize("statement", ATTEMPTS)
def test_who_succeeds_with_what(logins: dict[str, Database], statement: str) -> None:
    put_a_bar(logins["owner"])
    assert who_succeeds(logins, statement) == ATTEMPTS[statement]


def audit_of(store: Database) -> list[tuple[str, str]]:
    """What is in the audit: action and what."""
    return [(row["action"], row["what"]) for row in rows_of(store, "SELECT action, what FROM audit ORDER BY audit_id")]


def test_a_pipeline_drops_of_the_audit_what_the_owner_lets_go_and_that_is_written_down(
    logins: dict[str, Database], capsys: pytest.CaptureFixture[str]
) -> None:
    owner, pipeline = logins["owner"], logins["pipeline"]
    upgrade(owner, audit_days=100)
    with owner.connect() as connection, connection.cursor() as cursor:
        for age in (150, 95, 1):
            cursor.execute(
                "INSERT INTO audit (action, what, via, host, done_at) "
                "VALUES ('launched', %s, 'command', 'here', now() - make_interval(days => %s))",
                (f"{age} days ago", age),
            )
    with pipeline.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT forget_audit(90)")
        assert cursor.fetchone() == (1,)
    gone = ("forgotten", "1 rows older than 100 days")
    assert audit_of(owner) == [("launched", "95 days ago"), ("launched", "1 days ago"), gone]
    assert forget_audit(pipeline, 90) == 0  # and nothing is written down where nothing goes
    assert forget_audit(owner, 90) == 1
    assert audit_of(owner) == [("launched", "1 days ago"), gone, ("forgotten", "1 rows older than 90 days")]

    upgrade(owner)  # the owner lets nothing go any more
    assert forget_audit(pipeline, 90) == 0
    assert "the owner lets pipelines drop none of it" in capsys.readouterr().err


PUBLIC_ROUTINES = """
SELECT oid::regprocedure::text AS routine FROM pg_proc
 WHERE prosecdef AND pronamespace = 'public'::regnamespace AND has_function_privilege('public', oid, 'EXECUTE')
"""
GRANTED = """
SELECT 'relation' AS kind, oid::regclass::text AS name, acl.* FROM pg_class,
       aclexplode(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, relowner))) AS acl
 WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'S')
UNION ALL
SELECT 'routine', oid::regprocedure::text, acl.* FROM pg_proc,
       aclexplode(coalesce(proacl, acldefault('f', proowner))) AS acl WHERE pronamespace = 'public'::regnamespace
UNION ALL
SELECT 'schema', nspname, acl.* FROM pg_namespace, aclexplode(nspacl) AS acl WHERE nspname = 'public'
UNION ALL
SELECT 'database', '', acl.* FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) AS acl
 WHERE datname = current_database()
ORDER BY kind, name, grantor, grantee, privilege_type
"""


def put_back(server: EmbeddedServer, made: Backup, urls: dict[str, str]) -> None:
    """Restore a backup, and drop what was there."""
    for restored in restore(made, urls, None, replace=True):
        administer(server, f'DROP DATABASE "{restored.kept_as}"')


def test_everybody_may_the_same_in_a_store_that_was_put_back(
    server: EmbeddedServer, logins: dict[str, Database], tmp_path: Path
) -> None:
    """Privileges are not in a backup, nor is it that something was taken from everybody."""
    owner = logins["owner"]
    put_a_bar(owner)
    upgrade(owner)
    granted = rows_of(owner, GRANTED)
    assert len(granted) > 300
    urls = {MARKET: owner.url}
    put_back(server, back_up(urls, tmp_path, None, None), urls)
    assert rows_of(owner, PUBLIC_ROUTINES) == []  # before the upgrade, too
    with owner.connect() as connection, connection.cursor() as cursor:
        cursor.execute("GRANT EXECUTE ON FUNCTION forget_audit TO PUBLIC")  # as other programs restore it
    upgrade(owner)
    assert rows_of(owner, PUBLIC_ROUTINES) == []
    assert rows_of(owner, GRANTED) == granted
    found = {}
    for year, statement in enumerate(ATTEMPTS, 1900):
        with owner.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CALL add_yearly_partition('bars', {year})")  # without statistics, for analyze_new()
        found[statement] = who_succeeds(logins, statement)
    assert found == ATTEMPTS


def test_a_database_that_is_closed_stays_so_when_it_is_put_back(
    server: EmbeddedServer, logins: dict[str, Database], tmp_path: Path
) -> None:
    owner = logins["owner"]
    put_a_bar(owner)
    urls = {MARKET: owner.url}
    made = back_up(urls, tmp_path, None, None)
    assert who_succeeds(logins, "SELECT 1") == {*logins}
    with owner.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"REVOKE CONNECT ON DATABASE {database_name(owner.url)} FROM PUBLIC")
    put_back(server, made, urls)
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        psycopg2.connect(logins["stranger"].url)
    upgrade(owner)  # which lets the roles in
    rows_of(logins["reader"], "SELECT count(*) FROM bars", [])
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        psycopg2.connect(logins["stranger"].url)


def test_a_refused_login_is_told_so_in_one_line_by_either_driver(logins: dict[str, Database]) -> None:
    message = r"^This database login may not do that: permission denied for table bars. docs/deployment.md"
    with pytest.raises(RequestError, match=message) as refusal:
        rows_of(logins["stranger"], "SELECT * FROM bars", [])
    assert "\n" not in str(refusal.value)
    with pytest.raises(RequestError, match=message):
        fetch(logins["stranger"], "SELECT * FROM bars")


def test_where_readers_see_no_bars_they_see_whose_there_are_and_when(logins: dict[str, Database]) -> None:
    assert upgrade(logins["owner"], reader_sees_bars=False) == []
    hidden = {
        "bars": set(BAR_VALUES),
        "sound_bars": set(BAR_VALUES),
        "bar_revisions": {f"{when}_{name}" for when in ("old", "new") for name in BAR_VALUES},
        "rejected_bars": {*BAR_VALUES, "raw"},
        "quarantined_bars": {"evidence", "decided_by"},
        "hole_decisions": {"decided_by"},
        "accepted_holes": {"decided_by"},
    }
    rows = rows_of(logins["owner"], WITHHELD, [READER])
    assert {(row["relation"], row["attname"]) for row in rows if row["relation"] not in UNSEEN} == {
        (relation, column) for relation, columns in hidden.items() for column in columns
    }
    assert rows_of(logins["reader"], "SELECT max(session) AS last FROM bars", []) == [{"last": None}]
    for query in ("SELECT close FROM bars", "SELECT * FROM sound_bars", "SELECT b FROM bars b"):
        with pytest.raises(RequestError, match="permission denied"):
            rows_of(logins["reader"], query, [])
    assert allowed(logins["owner"], PIPELINE)["bars"] == WRITES

    assert upgrade(logins["owner"]) == []
    assert rows_of(logins["reader"], "SELECT close FROM bars", []) == []


def test_a_view_that_follows_new_columns_can_still_be_read(logins: dict[str, Database]) -> None:
    fit(logins["owner"], tables.breadth_indicators, [FormulaColumn("trin", "a ratio of ratios", 0)])
    for name in ("pipeline", "reader"):
        assert rows_of(logins[name], "SELECT trin FROM breadth", []) == []
    with pytest.raises(RequestError, match="must be owner of view breadth"):
        fit(logins["pipeline"], tables.breadth_indicators, [])


def test_tables_that_dagster_adds_later_are_the_pipeline_s_to_write(logins: dict[str, Database]) -> None:
    columns = "id serial, run_id text, pipeline_name text, status text, start_time float, end_time float, run_body text"
    with logins["owner"].connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE runs ({columns})")
        grant_dagster(cursor, ["runs"])
        cursor.execute("CREATE TABLE later (id serial, what text)")
    with logins["pipeline"].connect() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO runs (run_id) VALUES ('r')")
        cursor.execute("INSERT INTO later (what) VALUES ('x')")
    assert rows_of(logins["reader"], "SELECT run_id, status FROM runs", []) == [{"run_id": "r", "status": None}]
    for query in ("SELECT run_body FROM runs", "SELECT what FROM later", "SELECT nextval('later_id_seq')"):
        with pytest.raises(RequestError, match="permission denied"):
            rows_of(logins["reader"], query, [])


@pytest.fixture
def managed(home: Path) -> EmbeddedServer:
    """A server of its own with a login that owns two databases and may not make roles, as a hosting provider has it."""
    own = EmbeddedServer(home)
    own.ensure_running()
    administer(own, "CREATE ROLE migrator LOGIN")
    for name in ("first", "second"):
        administer(own, f"CREATE DATABASE {name} OWNER migrator")
    return own


def test_without_the_right_to_make_roles_an_administrator_makes_them(managed: EmbeddedServer) -> None:
    first, second = (Database(as_login(managed.url(name), "migrator"), None) for name in ("first", "second"))
    assert upgrade(first) == [PIPELINE, READER]
    assert rows_of(first, "SELECT count(*) AS bars FROM bars", []) == [{"bars": 0}]  # the owner needs no roles

    administer(managed, "CREATE ROLE breadthflow_reader NOLOGIN")
    assert upgrade(first) == [PIPELINE]
    assert allowed(first, READER)["breadth"] == {"SELECT"}

    administer(managed, "CREATE ROLE breadthflow_pipeline NOLOGIN")
    assert upgrade(first) == upgrade(second) == []
    for database in (first, second):
        assert allowed(database, PIPELINE)["bars"] == WRITES
    login(managed, "second_only", PIPELINE)
    administer(managed, "REVOKE CONNECT ON DATABASE first FROM PUBLIC, breadthflow_pipeline")
    with psycopg2.connect(as_login(managed.url("second"), "second_only")) as connection:
        connection.cursor().execute("DELETE FROM holds")
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        psycopg2.connect(as_login(managed.url("first"), "second_only"))


def test_on_an_old_server_s_schema_nobody_but_the_owner_makes_tables(
    server: EmbeddedServer, fresh_database: Callable[[str], str]
) -> None:
    database = Database(fresh_database("template1"), None)
    ensure_database(database.url)
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")  # as before PostgreSQL 15
    upgrade(database)
    login(server, "stranger", None)
    with pytest.raises(RequestError, match="permission denied for schema public"):
        rows_of(Database(as_login(database.url, "stranger"), None), "CREATE TABLE mine (x int)", [])
