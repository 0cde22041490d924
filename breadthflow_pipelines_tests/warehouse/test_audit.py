"""What is written down of people: it stays, it can be listed, and a name can be taken out of it."""

import datetime as dt

import psycopg2
import pytest
import sqlalchemy
from alembic import command

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.vocabulary import AUDITED, CONFIRMED, RELEASED
from breadthflow_pipelines.warehouse import personal, privacy, tables, token_store
from breadthflow_pipelines.warehouse.audit_listing import audited
from breadthflow_pipelines.warehouse.audit_store import present_user, record
from breadthflow_pipelines.warehouse.database import Database, alembic_config, rows_of
from breadthflow_pipelines.warehouse.decisions import decide_bar
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines_tests.conftest import administer, as_login

DAY = dt.date(2024, 1, 3)


def note(database: Database, action: str = "launched", who: str | None = "alice", **more: str) -> None:
    with database.connect() as connection, connection.cursor() as cursor:
        record(cursor, action, "bring_up_to_date", who=who, **more)


@pytest.fixture
def decided(listed: Database) -> Database:
    """A store in which alice released a bar and bob, in her name, confirmed it."""
    with listed.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CALL add_yearly_partition('bars', 2024)")
        cursor.execute(
            "INSERT INTO bars (security_id, session, open, high, low, close, volume, source, run_id) "
            "SELECT security_id, %s, 1, 1, 1, 1, 1, 's', 'r' FROM security_symbols WHERE symbol = 'A'",
            (DAY,),
        )
    decide_bar(listed, "A", DAY, CONFIRMED, "alice", "wrong, says alice")
    decide_bar(listed, "A", DAY, RELEASED, present_user(), "right after all")
    return listed


def test_a_decision_is_written_down_with_who_typed_it_and_in_whose_name(decided: Database) -> None:
    rows = audited(decided, None, None, None)
    assert [(row["who"], row["behalf"], row["action"], row["what"], row["reason"], row["via"]) for row in rows] == [
        (present_user(), "alice", "confirmed", f"A {DAY}", "wrong, says alice", "command"),
        (present_user(), None, "released", f"A {DAY}", "right after all", "command"),
    ]
    assert {row["login"] for row in rows} == {"postgres"}
    with pytest.raises(RequestError):
        decide_bar(decided, "ZZZ", DAY, CONFIRMED, "alice", "no such symbol")
    assert audited(decided, None, None, None) == rows  # what was not done is not written down


def test_rows_are_found_by_day_user_and_action(database: Database) -> None:
    note(database)
    note(database, who=None, via="schedule after_the_close")
    note(database, "restored", who="bob", behalf="alice")
    today = dt.datetime.now(dt.UTC).date()
    assert [row["who"] for row in audited(database, today, None, None)] == ["alice", None, "bob"]
    assert [row["who"] for row in audited(database, None, "alice", None)] == ["alice", "bob"]
    assert [row["who"] for row in audited(database, None, None, "restored")] == ["bob"]
    assert audited(database, today + dt.timedelta(days=1), None, None) == []


def test_every_action_is_known_to_the_store_and_no_other(database: Database) -> None:
    for action in AUDITED:
        note(database, action)
    with pytest.raises(psycopg2.errors.CheckViolation):
        note(database, "watched")


@pytest.fixture
def pipeline(server: EmbeddedServer, database: Database) -> Database:
    make = "CREATE ROLE pipeline_login LOGIN IN ROLE breadthflow_pipeline; EXCEPTION WHEN duplicate_object THEN"
    administer(server, f"DO $$ BEGIN {make} END $$")
    return Database(as_login(database.url, "pipeline_login"), None)


CHANGES = (
    "UPDATE audit SET who = 'mallory'",
    "DELETE FROM audit",
    "TRUNCATE audit",
    "DELETE FROM audit WHERE false",
)


@pytest.mark.parametrize("statement", CHANGES)
@pytest.mark.parametrize("opened", [False, True])
def test_who_may_change_what_was_written_down(
    database: Database, pipeline: Database, statement: str, opened: bool
) -> None:
    """Nobody but the owner, and the owner only after saying so."""
    note(pipeline)
    for login, may in ((database, opened), (pipeline, False)):
        with psycopg2.connect(login.url) as connection, connection.cursor() as cursor:
            cursor.execute(f"SET breadthflow.audit = '{'open' if opened else ''}'")
            if may:
                cursor.execute(statement)
            else:
                with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    cursor.execute(statement)
            connection.rollback()
    assert [row["who"] for row in audited(database, None, None, None)] == ["alice"]


@pytest.mark.parametrize("column", ["done_at", "login"])
def test_a_pipeline_cannot_say_when_it_was_or_under_which_login(pipeline: Database, column: str) -> None:
    note(pipeline)
    assert audited(pipeline, None, None, None)[0]["login"] == "pipeline_login"
    with pytest.raises(RequestError, match="permission denied for table audit"), pipeline.connect() as connection:
        connection.cursor().execute(
            f"INSERT INTO audit (who, action, what, via, host, {column}) "
            "VALUES ('a', 'launched', 'x', 'ui', 'h', now())"
        )


def test_names_from_outside_are_cut_and_made_printable(database: Database) -> None:
    note(database, who="a\x00b\n" + "x" * 1000)
    [row] = audited(database, None, None, None)
    assert row["who"] == "a\\0b\\n" + "x" * 194


def test_every_column_with_a_name_is_known_as_one() -> None:
    """A column for users has one of these names; where another table gets one, personal.py must know it."""
    names = {"who", "behalf", "login", "decided_by"}
    found = {(table.name, column.name) for table in tables.metadata.sorted_tables for column in table.c}
    known = {(table, column) for table, columns in personal.NAMED.items() for column in columns}
    assert known == {(table, column) for table, column in found if column in names or column.endswith("_by")} - {
        ("signal_stability", "grouped_by"),
        ("symbol_accuracy", "grouped_by"),
        ("symbol_calibration", "grouped_by"),
    }


def test_no_hash_in_these_tables_is_exported() -> None:
    found = {column.name for name in personal.NAMED for column in tables.metadata.tables[name].c}
    assert {name for name in found if "hash" in name} == {*personal.HASHES}


def test_an_erased_name_stands_nowhere_and_the_rows_still_belong_together(decided: Database) -> None:
    note(decided, who="alice")
    note(decided, who="alicent")  # another user
    before = audited(decided, None, None, None)
    erased = privacy.erase(decided, "alice")
    after = audited(decided, None, None, None)
    # Decided in her name, launched by her; the bar itself was decided again since, so one reason says "says alice".
    assert erased.replaced == privacy.Replaced(rows=2, reasons=1, login_stays=False)
    swapped = [
        {
            name: value.replace("alice", erased.pseudonym) if name in ("who", "behalf", "reason") and value else value
            for name, value in row.items()
        }
        for row in before
        if row["who"] != "alicent"
    ]
    assert [row for row in after[:-1] if row["who"] != "alicent"] == swapped
    assert (after[-1]["action"], after[-1]["who"]) == ("erased", present_user())
    assert erased.pseudonym in after[-1]["what"]
    assert [row["who"] for row in after[:-1]].count("alicent") == 1
    with pytest.raises(RequestError, match="No row names alice"):
        privacy.erase(decided, "alice")
    note(decided, who="alice")
    assert privacy.erase(decided, "alice").pseudonym != erased.pseudonym  # which one was hers is kept nowhere


REASONS = [  # a reason, and what stands there once ann was erased
    ("Ann says so; ANN's file, (ann)", "X says so; X's file, (X)"),  # in any case
    ("ask ann@example.com or @ann.", "ask X@example.com or @X."),
    ("annual planning, channel ann2, ann_b", None),  # other words
    ("ann-marie, mary-ann, ann.smith and jo.ann", None),  # other users
    ("Zoëann", None),  # not every server's C locale knows this letter
]


@pytest.mark.parametrize(("reason", "expected"), REASONS)
def test_in_reasons_the_name_is_replaced_as_a_word(decided: Database, reason: str, expected: str | None) -> None:
    decide_bar(decided, "A", DAY, CONFIRMED, "ann", reason)
    with decided.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO hole_decisions (gate, universe, synthetic, session, missing, decision, decided_by, reason) "
            "VALUES ('bars_complete', '*', false, %s, 1, 'accepted', 'bob', %s)",
            (DAY, reason),
        )
    erased = privacy.erase(decided, "ann")
    said = reason if expected is None else expected.replace("X", erased.pseudonym)
    assert erased.replaced.reasons == (0 if expected is None else 3)
    every = " UNION ALL ".join(f"SELECT reason FROM {table}" for table in personal.REASONS)
    assert [row["reason"] for row in rows_of(decided, every)].count(said) == 3


def test_a_subject_with_the_word_in_it_is_counted_and_stays(database: Database) -> None:
    """A user may be called as a symbol is."""
    note(database, who="Bring")
    with database.connect() as connection, connection.cursor() as cursor:
        record(cursor, "released", "BRING 2024-01-03", who="bob")
    assert privacy.erase(database, "Bring").subjects == 1  # bring_up_to_date is another word
    assert [row["what"] for row in audited(database, None, "bob", None)] == ["BRING 2024-01-03"]


def test_whoever_is_erased_has_no_access_from_then_on(database: Database) -> None:
    for token_id, holder, expires in (
        ("a" * 12, "alice", None),
        ("b" * 12, "alice", dt.datetime(2024, 1, 1, tzinfo=dt.UTC)),  # it let nobody in any more
        ("c" * 12, "bob", None),
    ):
        token_store.add(database, token_id, holder, "operator", "hash", expires, "bob")
    erased = privacy.erase(database, "alice")
    assert erased.tokens == 1
    assert token_store.valid(database, "a" * 12) is None
    assert token_store.valid(database, "c" * 12) is not None
    [row] = audited(database, None, None, "revoked")
    assert (row["who"], row["behalf"], row["what"], row["reason"]) == (
        *(present_user(), erased.pseudonym, f"token {'a' * 12}", "its holder was erased"),
    )


def under_login(database: Database, login: str, *users: str | None) -> None:
    """Write down that these did something under a login."""
    with database.connect() as connection, connection.cursor() as cursor:
        for user in users:
            cursor.execute(
                "INSERT INTO audit (who, action, what, via, host, login) VALUES (%s, 'launched', 'x', 'ui', 'h', %s)",
                (user, login),
            )


SHARED = [
    ("daily", ("alice", "bob")),  # several users
    ("daily", (None,)),  # a schedule
    ("daily", ("alice", None)),
    ("postgres", ("alice",)),  # whoever erases is the owner, and others will be
]


@pytest.mark.parametrize(("login", "users"), SHARED)
def test_a_login_that_is_no_single_person_s_is_neither_erased_nor_exported(
    database: Database, login: str, users: tuple[str | None, ...]
) -> None:
    under_login(database, login, *users)
    before = audited(database, None, None, None)
    for ask in (privacy.erase, privacy.rows_about):
        with pytest.raises(RequestError, match=f"^No row names a user {login}; it is a database login"):
            ask(database, login)
    assert audited(database, None, None, None) == before
    under_login(database, "other", login)  # a user who is called as the login
    erased = privacy.erase(database, login)
    assert erased.replaced == privacy.Replaced(rows=1, reasons=0, login_stays=True)
    assert [row["login"] for row in audited(database, None, None, None)][: len(users)] == [login] * len(users)


def test_a_person_s_own_login_is_erased(database: Database) -> None:
    under_login(database, "alice_db", "alice", "alice")
    assert privacy.erase(database, "alice_db").replaced.rows == 2
    assert privacy.erase(database, "alice").replaced.rows == 2
    assert not [row for row in texts(database) if "alice" in row]


def texts(store: Database) -> list[str]:
    """Every row of the audit and of the tokens, as text."""
    rows = rows_of(store, "SELECT a::text AS row FROM audit a UNION ALL SELECT t::text FROM api_tokens t")
    return [row["row"] for row in rows]


def test_a_holder_of_tokens_is_erased_and_exported_with_what_was_written_down_of_them(database: Database) -> None:
    token_store.add(database, "0123456789ab", "alice", "viewer", "hash", None, "bob")
    token_store.revoke(database, "0123456789ab", "alice")
    found = privacy.rows_about(database, "alice")
    assert [(row["table"], row["row"].get("action")) for row in found] == [
        *(("audit", "granted"), ("audit", "revoked")),
        ("api_tokens", None),
    ]
    assert found[-1]["row"].keys() >= {"token_id", "held_by", "role", "created_at"}
    assert "hash" not in str(found)
    erased = privacy.erase(database, "alice")
    assert (erased.replaced.rows, erased.subjects) == (4, 0)  # the export is written down as well
    assert not [row for row in texts(database) if "alice" in row]


def test_names_that_an_earlier_version_wrote_beside_tokens_go_to_where_they_are_erased(database: Database) -> None:
    """Also those of users who were erased before: their tokens know the pseudonym."""
    engine = sqlalchemy.create_engine("postgresql+psycopg2" + database.url.removeprefix("postgresql"))
    with engine.connect() as connection:
        command.downgrade(alembic_config(connection), "0034")
    token_store.add(database, "0123456789ab", "alice", "viewer", "hash", None, "bob")
    token_store.add(database, "ba9876543210", "to of, to carol", "operator", "hash", None, "to of, to carol")
    token_store.revoke(database, "0123456789ab", "bob")
    note(database, who="alice")
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL breadthflow.audit = 'open'")
        cursor.execute("UPDATE audit SET behalf = NULL, what = what || ', to alice' WHERE what LIKE '%0123%viewer'")
        cursor.execute("UPDATE audit SET behalf = NULL, what = what || ' of alice' WHERE action = 'revoked'")
        cursor.execute("UPDATE audit SET what = what || ', to to of, to carol' WHERE what LIKE '%operator'")
    erased = privacy.erase(database, "alice")
    assert erased.subjects == 2
    with engine.connect() as connection:
        command.upgrade(alembic_config(connection), "head")
    engine.dispose()
    rows = audited(database, None, None, None)
    assert [(row["who"], row["behalf"], row["what"]) for row in rows[:4]] == [
        ("bob", erased.pseudonym, "token 0123456789ab, viewer"),
        ("to of, to carol", None, "token ba9876543210, operator"),
        ("bob", erased.pseudonym, "token 0123456789ab"),
        (erased.pseudonym, None, "bring_up_to_date"),
    ]
    assert not [row for row in texts(database) if "alice" in row]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege), psycopg2.connect(database.url) as changing:
        changing.cursor().execute("DELETE FROM audit")  # it is closed again


def test_a_user_who_erases_himself_is_not_named_by_that(decided: Database) -> None:
    me = present_user()
    token_store.add(decided, "0123456789ab", me, "viewer", "hash", None, me)
    erased = privacy.erase(decided, me)
    names = {row[name] for row in audited(decided, None, None, None) for name in ("who", "behalf", "login")}
    assert me not in names
    assert erased.pseudonym in names
    assert rows_of(decided, "SELECT decided_by FROM quarantined_bars", []) == [{"decided_by": erased.pseudonym}]


def test_only_the_owner_erases(database: Database, pipeline: Database) -> None:
    note(database)
    with pytest.raises(RequestError, match="permission denied for table audit"):
        privacy.erase(pipeline, "alice")


def test_an_export_has_every_row_with_the_name_and_is_written_down(decided: Database) -> None:
    note(decided, who="alice")
    rows = privacy.rows_about(decided, "alice")
    assert [(row["table"], row["row"]["who"], row["row"]["behalf"]) for row in rows] == [
        ("audit", present_user(), "alice"),
        ("audit", "alice", None),
    ]
    last = audited(decided, None, None, "exported")
    assert [(row["who"], row["behalf"], row["what"]) for row in last] == [
        (present_user(), "alice", "2 rows about a user")
    ]
    with pytest.raises(RequestError, match="No row names nobody"):
        privacy.rows_about(decided, "nobody")


def test_runs_that_somebody_tagged_with_a_name_are_counted(database: Database) -> None:
    assert privacy.tagged_runs(database.url, "alice") == 0  # Dagster was never used
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE run_tags (run_id text, key text, value text)")
        cursor.execute("INSERT INTO run_tags VALUES ('1', 'a', 'alice'), ('1', 'b', 'alice'), ('2', 'a', 'bob')")
    assert privacy.tagged_runs(database.url, "alice") == 1
