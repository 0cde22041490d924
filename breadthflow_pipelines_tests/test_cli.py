"""The command line's manners: what it prints, where, and with which status it ends. Whole pipelines are in e2e/."""

import csv
import datetime as dt
import getpass
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psycopg2
import pytest

from breadthflow_pipelines import cli
from breadthflow_pipelines.cli import display, judging, reading
from breadthflow_pipelines.evaluation.family import FAMILY
from breadthflow_pipelines.evaluation.walk_forward import walk_forward
from breadthflow_pipelines.indicators.breadth_catalogue import INDICATOR_COLUMNS
from breadthflow_pipelines.indicators.technical import TECHNICAL_COLUMNS
from breadthflow_pipelines.model.counts import COUNT_COLUMNS
from breadthflow_pipelines.model.vocabulary import MARKET_SIGNAL, SIGNAL_RECORD
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse import publications
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines_tests.e2e.conftest import breadthflow, demo_store
from breadthflow_pipelines_tests.evaluation import made
from breadthflow_pipelines_tests.inbox import Inbox

Ask = Callable[..., "Answer"]
MONTH = ("--from", "2026-03-02", "--to", "2026-03-31")


class Answer:
    """What a command left behind."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.out)))


@pytest.fixture(scope="module")
def store(fresh_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Settings of a store with the demo market from 2025 on."""
    return demo_store(tmp_path_factory.mktemp("home"), fresh_database, "2025-01", "--date", "2026-04-10")


@pytest.fixture
def ask(store: dict[str, object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Ask]:
    """The command in this process, on that store or with other settings."""

    monkeypatch.setenv("DAGSTER_HOME", "")  # the command names its own; this puts it back afterwards

    def run(*arguments: object, **settings: object) -> Answer:
        for name, value in {**store, **settings}.items():
            monkeypatch.setenv(f"BREADTHFLOW_{name.upper()}", str(value))
        get_settings.cache_clear()
        with pytest.raises(SystemExit) as end:
            cli.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Answer(int(end.value.code or 0), printed.out, printed.err)

    return run


def test_breadth_as_csv_and_json_carry_every_column_and_agree(ask: Ask) -> None:
    columns = ["universe", "segment", "session", "state", *COUNT_COLUMNS, "doubts", "issue_scale", *INDICATOR_COLUMNS]
    columns.append("synthetic")
    flat = ask("breadth", "--universe", "demo", *MONTH, "--format", "csv")
    assert list(flat.rows[0]) == columns
    deep = json.loads(ask("breadth", "--universe", "demo", *MONTH, "--format", "json").out)
    assert [list(row) for row in deep[:1]] == [columns]
    assert len(deep) == len(flat.rows) == 22 * 12  # sessions of March 2026, ALL and eleven sectors
    for plain, row in zip(flat.rows, deep, strict=True):
        assert [None if text == "" else text for text in plain.values()] == [
            None if value is None else "true" if value is True else str(value) for value in row.values()
        ]


def test_breadth_as_of_now_is_the_breadth_of_now_in_every_column(ask: Ask) -> None:
    where = ("breadth", "--universe", "demo", *MONTH)
    now = dt.datetime.now(dt.UTC).isoformat()
    assert ask(*where, "--as-of", now, "--format", "csv").rows == ask(*where, "--format", "csv").rows
    assert f"as known at {now[:10]} {now[11:19]} UTC" in " ".join(ask(*where, "--as-of", now).out.split())
    before = ask(*where, "--as-of", "2020-01-01T22:00-05:00")
    assert before.status == 2
    assert "At 2020-01-02 03:00:00 UTC no such breadth of demo was known; the store's first is of 20" in before.err


def test_signals_as_of_now_are_the_signals_of_now(ask: Ask) -> None:
    where = ("signals", "--universe", "demo", *MONTH)
    now = dt.datetime.now(dt.UTC).isoformat()
    assert ask(*where, "--as-of", now, "--format", "csv").rows == ask(*where, "--format", "csv").rows
    assert f"as known at {now[:10]} {now[11:19]} UTC" in " ".join(ask(*where, "--as-of", now).out.split())
    before = ask(*where, "--as-of", "2020-01-01")
    assert (before.status, before.out) == (2, "")
    assert "At 2020-01-01 00:00:00 UTC no signal of demo was known; the store's first is of 20" in before.err


def test_breadth_prints_the_columns_that_are_asked_for_in_every_format(ask: Ask) -> None:
    where = ("breadth", "--universe", "demo", *MONTH, "--segment", "ALL", "--columns", "trin, whaley_adt5,trin")
    flat = ask(*where, "--format", "csv")
    assert list(flat.rows[0]) == ["universe", "segment", "session", "state", "trin", "whaley_adt5", "synthetic"]
    every = ask("breadth", "--universe", "demo", *MONTH, "--segment", "ALL", "--format", "csv").rows
    assert [row["trin"] for row in flat.rows] == [row["trin"] for row in every]
    assert "whaley_adt5" in ask(*where).out


def test_indicators_lists_the_whole_catalogue_or_a_family_of_it(ask: Ask) -> None:
    listed = json.loads(ask("indicators", "--format", "json").out)
    names = [row["name"] for row in listed]
    assert {*INDICATOR_COLUMNS, *TECHNICAL_COLUMNS, "relative_strength"} == set(names)
    assert len(names) == len(set(names))
    assert all(row["formula"] and row["source"] and row["verified"] for row in listed)
    family = ask("indicators", "--family", "mcclellan").out
    assert "mcclellan_zero_at" in family
    assert "trin" not in family.split()


def test_symbols_prints_members_of_the_last_session_strongest_first(ask: Ask) -> None:
    rows = ask("symbols", "--universe", "demo", "--format", "csv").rows
    assert {row["session"] for row in rows} == {"2026-04-10"}
    strengths = [float(row["strength"]) for row in rows]
    assert strengths == sorted(strengths, reverse=True)
    assert {"sell", "hold"} <= {row["action"] for row in rows}
    assert {f"vote_{name}" for name in ("trend", "rsi")} | set(TECHNICAL_COLUMNS) < set(rows[0])
    symbol = rows[0]["symbol"]
    own = ask("symbols", "--universe", "demo", *MONTH, "--symbol", symbol, "--format", "json")
    assert {row["symbol"] for row in json.loads(own.out)} == {symbol}
    assert len(json.loads(own.out)) == 22  # sessions of March 2026
    sells = ask("symbols", "--universe", "demo", "--action", "sell", "--format", "csv").rows
    assert sells == [row for row in rows if row["action"] == "sell"]
    assert "synthetic: demo" in ask("symbols", "--universe", "demo").out


def test_of_too_many_rows_a_table_shows_the_strongest_of_the_newest_sessions(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display, "ROWS_SHOWN", 3)
    monkeypatch.setattr(reading, "ROWS_SHOWN", 3)
    everybody = ask("symbols", "--universe", "demo", "--format", "csv").rows
    shown = ask("symbols", "--universe", "demo")
    table = [row["symbol"] for row in everybody if row["symbol"] in shown.out.split()]
    assert table == [row["symbol"] for row in everybody[:3]]
    assert "These are the newest and strongest 3 rows; --format csv has all of them." in shown.err
    assert f"breadthflow explain '{everybody[0]['signal_id']}'" in shown.err
    month = ask("symbols", "--universe", "demo", *MONTH, "--format", "csv").rows
    strongest = next(row for row in month if row["session"] == "2026-03-31")
    days = ask("symbols", "--universe", "demo", *MONTH)
    assert f"breadthflow explain '{strongest['signal_id']}'" in days.err
    assert "2026-03-31" in days.out
    assert "2026-03-30" not in days.out
    alone = ask("symbols", "--universe", "demo", *MONTH, "--symbol", strongest["symbol"]).out
    assert list(dict.fromkeys(re.findall(r"2026-03-\d\d", alone))) == ["2026-03-27", "2026-03-30", "2026-03-31"]


def test_a_member_s_signal_is_explained_by_the_id_that_symbols_prints(ask: Ask) -> None:
    [row] = ask("symbols", "--universe", "demo", "--action", "sell", "--format", "csv").rows[:1]
    assert row["signal_id"] == f"demo:{row['symbol']}:2026-04-10"
    told = ask("explain", row["signal_id"])
    assert (told.status, told.err) == (0, "")
    first, record, strength, *_ = told.out.splitlines()
    assert first == f"SELL demo {row['symbol']} at the close of 2026-04-10 (final) (synthetic: demo)"
    assert record.startswith("Record       ")
    assert strength.startswith(f"Strength     {float(row['strength']):.3f}: ")
    votes = {line.split()[0]: line.split() for line in told.out.splitlines() if "weight" not in line}
    weights = {"trend": 0.25, "momentum": 0.15, "rsi": 0.15, "breakout": 0.15}  # as docs/indicators.md lists them
    weights |= {"relative_strength": 0.2, "volume_confirmation": 0.1}
    cast = {name: float(row[f"vote_{name}"]) for name in weights if row[f"vote_{name}"]}
    assert float(row["strength"]) == pytest.approx(
        sum(weights[name] * vote for name, vote in cast.items()) / sum(weights[name] for name in cast), abs=1e-5
    )
    assert set(weights) <= set(votes)
    assert f"rsi_14 {float(row['rsi_14']):.2f}" in told.out
    other = row["symbol"].replace(".", "-")  # another spelling of the same symbol
    assert ask("explain", f"demo:{other}:2026-04-10").out == told.out


def test_a_symbol_that_looks_like_markup_is_explained_as_it_is(ask: Ask, store: dict[str, object]) -> None:
    [row] = ask("symbols", "--universe", "demo", "--format", "csv").rows[:1]
    change = "UPDATE security_symbols SET symbol = %s WHERE symbol = %s"
    with psycopg2.connect(str(store["database_url"])) as connection, connection.cursor() as cursor:
        cursor.execute(change, ("[red]:A", row["symbol"]))
    told = ask("explain", "demo:[red]:A:2026-04-10")
    listed = ask("symbols", "--universe", "demo").out
    with psycopg2.connect(str(store["database_url"])) as connection, connection.cursor() as cursor:
        cursor.execute(change, (row["symbol"], "[red]:A"))
    assert f"{row['action'].upper()} demo [red]:A at the close of 2026-04-10" in told.out
    assert "demo:[red]:A:2026-04-10" in listed


def test_a_name_of_another_day_leads_to_the_name_of_this_one(ask: Ask, store: dict[str, object]) -> None:
    [row] = ask("symbols", "--universe", "demo", "--format", "csv").rows[:1]
    begin = "UPDATE security_symbols SET valid_from = %s WHERE symbol = %s RETURNING security_id"
    with psycopg2.connect(str(store["database_url"])) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT valid_from FROM security_symbols WHERE symbol = %s", (row["symbol"],))
        [(first,)] = cursor.fetchall()
        cursor.execute(begin, ("2026-04-01", row["symbol"]))
        was = (cursor.fetchall()[0][0], "XWAS.SYN", first, "2026-04-01")
        cursor.execute("INSERT INTO security_symbols VALUES (%s, %s, %s, %s)", was)
    asked = [
        ask("explain", "demo:XWAS-SYN:2026-04-10"),  # in another spelling
        ask("symbols", "--universe", "demo", "--symbol", "XWAS.SYN"),
        ask("symbols", "--universe", "demo", "--symbol", "XWAS.SYN", "--action", row["action"]),
        ask("explain", f"demo:{row['symbol']}:2026-03-31"),
    ]
    before = ask("explain", "demo:XWAS.SYN:2026-03-31")
    with psycopg2.connect(str(store["database_url"])) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM security_symbols WHERE symbol = 'XWAS.SYN'")
        cursor.execute(begin, (first, row["symbol"]))
    became = f"breadthflow: XWAS.SYN became {row['symbol']} on 2026-04-01. Ask for"
    assert [(told.status, told.out, told.err) for told in asked] == [
        (2, "", f"{became} demo:{row['symbol']}:2026-04-10.\n"),
        (2, "", f"{became} {row['symbol']}.\n"),
        (2, "", f"{became} {row['symbol']}.\n"),
        (2, "", f"breadthflow: {row['symbol']} was XWAS.SYN until 2026-03-31. Ask for demo:XWAS.SYN:2026-03-31.\n"),
    ]
    assert before.status == 0
    assert " demo XWAS.SYN at the close of 2026-03-31" in before.out


def test_an_id_is_printed_as_it_is(ask: Ask) -> None:
    assert "demo:A:2026-04-10" in ask("explain", "demo:A:2026-04-10:1").err  # and :A: is not made a picture


def test_members_are_listed_with_the_ends_of_their_membership_and_of_their_bars(ask: Ask) -> None:
    rows = ask("members", "--universe", "demo", "--date", "2026-04-10", "--format", "csv").rows
    assert list(rows[0]) == ["universe", "symbol", "name", "sector", "valid_from", "valid_to", "first_bar", "last_bar"]
    [last] = ask("breadth", "--universe", "demo", "--from", "2026-04-10", "--segment", "ALL", "--format", "csv").rows
    assert len(rows) == int(last["members"])
    assert {row["last_bar"] for row in rows} >= {"2026-04-10"}
    assert "(synthetic: demo)" in ask("members", "--universe", "demo").out
    none = ask("members", "--universe", "demo", "--date", "1900-01-01")
    assert (none.status, "demo has no members on 1900-01-01" in none.err) == (0, True)


def test_members_without_bars_are_none_or_named(ask: Ask, store: dict[str, object]) -> None:
    every = ask("members", "--universe", "demo", "--without-bars", "--format", "csv")
    assert (every.status, every.out) == (0, "universe,symbol,valid_from,valid_to,nearest\n")
    assert "Every member of demo has bars" in every.err
    with psycopg2.connect(str(store["database_url"])) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT symbol FROM security_symbols WHERE symbol LIKE 'X%.SYN' ORDER BY 1 LIMIT 1")
        [like] = cursor.fetchone() or ("",)
        cursor.execute(
            "INSERT INTO securities (security_id, security_key, synthetic) VALUES (99999, 'other', true); "
            "INSERT INTO universe_members VALUES ('demo', 99999, '2026-01-01', NULL, %s)",
            (like.replace("SYN", "US"),),
        )
    try:
        told = ask("members", "--universe", "demo", "--without-bars", "--format", "json")
    finally:
        with psycopg2.connect(str(store["database_url"])) as connection, connection.cursor() as cursor:
            cursor.execute("DELETE FROM universe_members WHERE security_id = 99999")
            cursor.execute("DELETE FROM securities WHERE security_id = 99999")
    assert json.loads(told.out) == [
        {
            "universe": "demo",
            "symbol": like.replace("SYN", "US"),
            "valid_from": "2026-01-01",
            "valid_to": None,
            "nearest": like,
        }
    ]


def test_breadth_as_a_table_says_that_the_market_is_synthetic(ask: Ask) -> None:
    answer = ask("breadth", "--universe", "demo", *MONTH, "--segment", "ALL")
    assert answer.status == 0
    assert "synthetic: demo" in answer.out
    assert answer.out.count("2026-03-") == 22


@pytest.fixture
def beside_real(store: dict[str, object]) -> Iterator[None]:
    """Rows of a real universe in the demo's store: what the demo has of three sessions, under another name."""
    keys = {"breadth_counts": "", "breadth_indicators": "", "market_signals": ", signal_id = 'real' || signal_id"}
    connection = psycopg2.connect(str(store["database_url"]))
    connection.autocommit = True
    with connection.cursor() as cursor:
        for table, more in keys.items():
            cursor.execute(
                f"CREATE TEMP TABLE copied AS SELECT * FROM {table} WHERE session BETWEEN '2026-03-02' AND '2026-03-04'"
            )
            cursor.execute(f"UPDATE copied SET universe = 'real'{more}")
            cursor.execute(f"INSERT INTO {table} SELECT * FROM copied")
            cursor.execute("DROP TABLE copied")
        yield
        for table in keys:
            cursor.execute(f"DELETE FROM {table} WHERE universe = 'real'")
    connection.close()


@pytest.mark.usefixtures("beside_real")
def test_invented_rows_say_so_wherever_they_stand_beside_real_ones(ask: Ask) -> None:
    days = ("--from", "2026-03-02", "--to", "2026-03-04")
    expected = {("demo", "true"), ("real", "false")}
    rows = ask("signals", *days, "--format", "csv").rows
    assert {(row["universe"], row["synthetic"]) for row in rows} == expected
    deep = json.loads(ask("signals", *days, "--format", "json").out)
    assert {(row["universe"], row["synthetic"]) for row in deep} == {("demo", True), ("real", False)}
    for universe, synthetic in expected:
        of_universe = ask("breadth", "--universe", universe, *days, "--format", "csv").rows
        assert {row["synthetic"] for row in of_universe} == {synthetic}
    for table in (ask("signals", *days), ask("score", "--date", "2026-03-03"), ask("status")):
        lines = [line for line in table.out.splitlines() if re.search(r"(^|  )(demo|real)( |$)", line)]
        assert {"real" in line for line in lines} == {True, False}
        assert not [line for line in lines if ("demo" in line) is not ("(synthetic)" in line)]
    members = ask("symbols", "--universe", "demo", "--format", "csv").rows
    assert {row["synthetic"] for row in members} == {"true"}


def test_signals_carry_every_column_and_can_be_explained(ask: Ask) -> None:
    rows = ask("signals", "--universe", "demo", *MONTH, "--format", "csv").rows
    assert list(rows[0]) == [*MARKET_SIGNAL, "synthetic", *SIGNAL_RECORD]
    assert {row["action"] for row in rows} <= {"buy", "sell", "hold"}
    assert all(0 <= float(row["confidence"]) <= 1 for row in rows)
    score = next(row for row in rows if row["rule"] == "breadth_score" and row["segment"] == "ALL")
    parts = json.loads(score["evidence"])["components"]
    there = [part for part in parts.values() if part["z"] is not None]  # the others have too short a past by then
    mean = sum(part["weight"] * part["z"] for part in there) / sum(part["weight"] for part in there)
    assert float(score["value"]) == pytest.approx(50 + 50 * mean / 3, abs=1e-3)  # as the README writes the formula
    told = ask("explain", score["signal_id"])
    assert told.status == 0
    for name in parts:
        assert name in told.out


def test_a_provisional_signal_of_a_final_session_says_what_it_waits_for(ask: Ask) -> None:
    of_whole = ("--universe", "demo", "--segment", "ALL", "--from", "2025-01-02", "--format", "csv")
    assert {row["state"] for row in ask("breadth", *of_whole).rows} == {"final"}
    signals = {row["state"]: row["signal_id"] for row in ask("signals", *of_whole).rows}
    for state, signal_id in signals.items():
        told = " ".join(ask("explain", signal_id).out.split())
        assert ("its indicators still depend on where history begins" in told) is (state == "provisional")
    assert signals.keys() == {"provisional", "final"}


def test_an_event_is_explained_with_the_sessions_that_armed_and_fired_it(ask: Ask) -> None:
    rows = ask("signals", "--universe", "demo", "--rule", "mcclellan_oversold_recovery", "--format", "json")
    event = json.loads(rows.out)[0]
    told = ask("explain", event["signal_id"]).out
    assert event["evidence"]["armed_session"] in told
    sessions = [line for line in told.splitlines() if line.startswith(("2025-", "2026-"))]
    assert sessions[0].startswith(event["evidence"]["armed_session"])
    assert sessions[-1].startswith(event["session"])
    assert len(sessions) == event["evidence"]["gap"] + 1


def test_a_rule_that_never_fired_is_an_empty_answer_with_its_header(ask: Ask) -> None:
    answer = ask("signals", "--rule", "zweig_breadth_thrust", "--segment", "Nowhere", "--format", "csv")
    assert (answer.status, answer.rows) == (0, [])
    assert answer.out.startswith("signal_id,universe")


def test_score_shows_every_segment(ask: Ask) -> None:
    answer = ask("score", "--date", "2026-03-31")
    assert answer.status == 0
    assert {"ALL", "Energy", "Utilities", "breadth_score", "conviction"} <= set(answer.out.split())


def test_status_shows_universe_bars_rejections_and_runs(ask: Ask) -> None:
    out = ask("status").out
    assert "demo (synthetic)" in out
    assert "2026-04-10" in out
    assert "bring_up_to_date  SUCCESS" in out


@pytest.fixture
def bar_on_trial(ask: Ask, store: dict[str, object]) -> Iterator[tuple[str, str]]:
    """A symbol and a session of it, of which whatever was decided is forgotten afterwards."""
    row = ask("symbols", "--universe", "demo", *MONTH, "--format", "csv").rows[0]
    yield row["symbol"], row["session"]
    with psycopg2.connect(str(store["database_url"])) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM quarantined_bars")


def test_a_bar_is_confirmed_listed_and_released_with_what_to_run_next(ask: Ask, bar_on_trial: tuple[str, str]) -> None:
    symbol, session = bar_on_trial
    answer = ask("confirm", symbol, session, "--reason", "no such [trade]", "--by", "ann")
    assert (answer.status, answer.err) == (0, "")
    assert "1 bar confirmed, by ann: no such [trade]" in answer.out
    assert "Everything from 2026-03-02 on is computed again by the next run:  breadthflow run" in answer.out
    listed = ask("rejected", "--symbol", symbol, "--from", session, "--to", session, "--format", "csv").rows
    assert [(row["symbol"], row["session"], row["reason"], row["status"], row["decision"]) for row in listed] == [
        (symbol, session, "by hand", "confirmed", "no such [trade]")
    ]
    assert ask("rejected", "--reason", "HAND", "--status", "released", "--format", "csv").rows == []
    assert "by hand" in ask("status").out
    assert ask("release", symbol, session, "--reason", "there was").status == 0
    rows = json.loads(ask("rejected", "--status", "released", "--format", "json").out)
    assert [(row["decided_by"], row["decision"]) for row in rows] == [(getpass.getuser(), "there was")]


@pytest.fixture
def hole(store: dict[str, object]) -> Iterator[str]:
    """A session of which the store knows that it lacks all bars; what was decided is forgotten afterwards."""
    day = "2026-03-10"
    with psycopg2.connect(str(store["database_url"])) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO holds (gate, universe, synthetic, session, missing, said, run_id) "
            "VALUES ('bars_complete', '*', true, %s, 1, 'no bars', 'r')",
            (day,),
        )
    yield day
    with psycopg2.connect(str(store["database_url"])) as connection, connection.cursor() as cursor:
        for table in ("holds", "hole_decisions", "recomputations"):
            cursor.execute(f"DELETE FROM {table}")
        cursor.execute("UPDATE verdicts SET failing = 0, said = NULL, first_session = NULL, last_session = NULL")


def test_a_hole_is_shown_accepted_and_taken_back_with_what_to_run_next(ask: Ask, hole: str) -> None:
    held = " ".join(ask("status").out.split("Held")[1].split())
    assert f"bars_complete all {hole} 1" in held
    answer = ask("accept-hole", hole, "--reason", "no such [day]", "--by", "ann")
    assert (answer.status, answer.err) == (0, "")
    assert f"no bars on {hole} (bars_complete): accepted, by ann: no such [day]" in answer.out
    assert f"Everything from {hole} on is made by the next run:  breadthflow run" in answer.out
    told = ask("status").out
    assert "Held" not in told
    assert "the session after a missing one counts as gap" in told
    assert "no such [day]" in told
    back = ask("accept-hole", hole, "--undo", "--reason", "there was")
    assert f"Nothing is built from {hole} on until it is accepted or mended." in back.out
    told = ask("status").out
    assert "Checks that fail now" in told
    assert f"bars_complete:  breadthflow backfill --from {hole} --to {hole}; if the source has no more: " in told


def test_rejected_without_a_match_says_so_and_keeps_its_header(ask: Ask) -> None:
    answer = ask("rejected", "--source", "nobody", "--format", "csv")
    assert (answer.status, answer.rows) == (0, [])
    assert answer.out.startswith("session,symbol,source,reason,status")
    assert ",volume,raw,evidence," in answer.out
    assert "No bar matches" in answer.err


@pytest.fixture
def published(store: dict[str, object]) -> Iterator[None]:
    """An exchange whose counts had two lines turned away, and whose list of issues was another one on two days."""
    with psycopg2.connect(str(store["database_url"])) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO rejected_counts (fingerprint, exchange, series, line, session, value, reason, run_id) VALUES "
            "('a', 'OTC', 'decln', 3, NULL, 'date, value', 'not a date', 'r'), "
            "('b', 'OTC', 'advn', 41, '1999-07-05', '1850', 'no session of XNYS', 'r')"
        )
        cursor.execute(
            "INSERT INTO exchange_breadth (exchange, session, advances, declines, unchanged, usual_issues, run_id) "
            "VALUES ('OTC', '1999-07-01', 1500, 1200, 300, NULL, 'r'), "
            "('OTC', '1999-07-02', 2000, 1500, 300, 3010, 'r'), "
            "('OTC', '1999-07-06', 1800, 1700, 302, 3012, 'r'), "
            "('OTC', '1999-07-07', 1400, 1300, 301, NULL, 'r')"
        )
    yield
    with psycopg2.connect(str(store["database_url"])) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM rejected_counts; DELETE FROM exchange_breadth")


@pytest.mark.usefixtures("published")
def test_rejected_lines_of_published_counts_are_listed_with_file_and_line(ask: Ask) -> None:
    rows = ask("rejected", "--exchange", "OTC", "--format", "csv").rows
    assert [(row["file"], row["line"], row["session"], row["value"], row["reason"]) for row in rows] == [
        ("OTC_advn.csv", "41", "1999-07-05", "1850", "no session of XNYS"),
        ("OTC_decln.csv", "3", "", "date, value", "not a date"),
    ]
    assert "OTC_decln.csv" in ask("rejected", "--exchange", "OTC", "--reason", "DATE").out
    assert ask("rejected", "--exchange", "OTC", "--from", "2000-01-01", "--format", "csv").rows == []
    assert "No line matches" in ask("rejected", "--exchange", "OTC", "--reason", "nothing").err
    answer = ask("rejected", "--exchange", "NYSE")
    assert (answer.status, answer.out) == (2, "")
    assert "There are no published counts of NYSE; there are: OTC." in answer.err


@pytest.mark.usefixtures("published")
def test_status_shows_stretches_of_another_list_of_issues(ask: Ask) -> None:
    told = ask("status").out.split("Counts of another list of issues")[1].split("\n\n")[0]
    [line] = [line.split() for line in told.splitlines() if line.startswith("OTC")]
    assert line == ["OTC", "1999-07-02", "1999-07-06", "2", "3,801", "3,011"]


def test_status_shows_which_changes_of_the_calendar_are_known_to_what_is_stored(
    ask: Ask, store: dict[str, object], tmp_path: Path
) -> None:
    file = tmp_path / "changes.csv"
    file.write_text("date,change,reason\n2026-03-03,closed,a [power] cut\n2024-05-01,closed,before history\n")
    with psycopg2.connect(str(store["database_url"])) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO calendar_changes (session, change, reason) VALUES ('2026-03-07', 'open', 'a test')")
    told = ask("status", calendar_changes=file).out.split("Calendar changes")[1].split("\n\n")[0]
    lines = [line for line in told.splitlines() if line.startswith("2026")]
    assert [line.split()[:2] for line in lines] == [["2026-03-03", "closed"], ["2026-03-07", "open"]]
    assert lines[0].rstrip().endswith("a [power] cut  by the next run")
    assert lines[1].rstrip().endswith("taken back by the next run")
    assert "2024-05-01" not in told
    with psycopg2.connect(str(store["database_url"])) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM calendar_changes")


@pytest.fixture
def open_evening(store: dict[str, object]) -> Iterator[tuple[str, str]]:
    """The last final session, and the one after it, which lost bars and is provisional for the length of a test."""
    change = "UPDATE market_signals SET state = %s WHERE session = '2026-04-10' AND state = %s"
    with psycopg2.connect(str(store["database_url"])) as connection, connection.cursor() as cursor:
        cursor.execute(change, ("provisional", "final"))
    yield "2026-04-09", "2026-04-10"
    with psycopg2.connect(str(store["database_url"])) as connection, connection.cursor() as cursor:
        cursor.execute(change, ("final", "provisional"))


def test_a_provisional_score_has_the_last_final_one_beside_it(ask: Ask, open_evening: tuple[str, str]) -> None:
    final, provisional = open_evening
    assert final in ask("score", "--date", provisional).out.split("The last final ones")[1]
    assert "The last final ones" not in ask("score", "--date", final).out
    told = ask("status").out.split("Last scores")[1].split("Bars")[0]
    assert [line.split()[2:4] for line in told.splitlines() if line.startswith("demo")] == [
        *[[final, "final"]] * 2,
        *[[provisional, "provisional"]] * 2,
    ]


def test_report_writes_a_page_and_prints_where_it_is(ask: Ask, store: dict[str, object], tmp_path: Path) -> None:
    assert (Path(str(store["home"])) / "reports" / "demo.html").is_file()  # from the run
    answer = ask("report", "--universe", "demo", "--to", tmp_path / "new" / "page.html")
    assert answer.status == 0
    assert answer.out.strip() == str(tmp_path / "new" / "page.html")
    assert answer.err.startswith("Breadth of demo is ")
    score = ask("signals", "--universe", "demo", "--rule", "breadth_score", "--segment", "ALL", "--format", "csv")
    value = f"{float(score.rows[-1]['value']):.1f}"
    page = (tmp_path / "new" / "page.html").read_text()
    assert f"score {value} of 100" in page
    assert "<title>demo (SYNTHETIC): market breadth, 2026-04-10</title>" in page


@pytest.mark.parametrize("browser", [True, False])
def test_report_is_opened_where_somebody_asks_for_it(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, browser: bool
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: bool(opened.append(address)) or browser)
    answer = ask("report", "--universe", "demo", "--to", tmp_path / "a b.html", "--open")
    assert answer.status == 0
    assert opened == [(tmp_path / "a b.html").as_uri()]
    assert ("No browser could be started here" in answer.err) is not browser


@pytest.mark.parametrize("more", [[], ["--sectors"]])
def test_export_writes_the_universe_and_asked_for_its_sectors(ask: Ask, tmp_path: Path, more: list[str]) -> None:
    answer = ask("export", "--universe", "demo", "--to", tmp_path / "export", *more)
    assert answer.status == 0
    assert answer.out.strip() == str(tmp_path / "export")
    assert "demo (synthetic) through 2026-04-10" in answer.err
    assert ("Left out: 11 sectors; --sectors writes them, too." in answer.err) is not bool(more)
    manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
    assert (manifest["as_of"], manifest["synthetic"]) == ("2026-04-10", True)
    whole = [] if more else ["--segment", "ALL"]
    printed = ask("breadth", "--universe", "demo", *whole, "--format", "csv").rows
    assert manifest["segments"] == sorted({row["segment"] for row in printed})
    assert len(manifest["segments"]) + len(manifest["segments_left_out"]) == 12
    exported = list(csv.DictReader((tmp_path / "export" / "breadth.csv").open()))
    assert len(exported) == len(printed) == manifest["files"]["breadth.csv"]["rows"]
    assert list(exported[0]) == list(printed[0])
    key = ("segment", "session", "advances", "synthetic")
    assert [[row[name] for name in key] for row in exported] == [[row[name] for name in key] for row in printed]
    for file in ("signals", "outcomes"):
        rows = csv.DictReader((tmp_path / "export" / f"{file}.csv").open())
        assert {row["segment"] for row in rows} == set(manifest["segments"])
    signals = ask("signals", "--universe", "demo", *whole, "--format", "csv").rows
    told = list(csv.DictReader((tmp_path / "export" / "signals.csv").open()))
    of = ("record_hit_rate", "record_base_rate", "record_n", "verdict")
    assert {row["signal_id"]: [row[name] for name in of] for row in told} == {
        row["signal_id"]: [row[name] for name in of] for row in signals
    }


def test_csv_of_a_command_holds_no_formula_of_somebody_else_s(ask: Ask, store: dict[str, object]) -> None:
    with psycopg2.connect(str(store["database_url"])) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO rejected_bars (fingerprint, source, symbol, session, reasons, run_id) "
            "VALUES ('f', '@SUM(1)', '=1+1', '2026-03-02', '{\"negative\"}', 'r')"
        )
    [row] = ask("rejected", "--source", "@SUM(1)", "--format", "csv").rows
    [deep] = json.loads(ask("rejected", "--source", "@SUM(1)", "--format", "json").out)
    with psycopg2.connect(str(store["database_url"])) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM rejected_bars WHERE fingerprint = 'f'")
    assert (row["symbol"], row["source"]) == ("'=1+1", "'@SUM(1)")
    assert (deep["symbol"], deep["source"]) == ("=1+1", "@SUM(1)")


def test_sources_says_what_answers(ask: Ask) -> None:
    answer = ask("sources")
    assert answer.status == 0
    assert "not real prices" in answer.out
    assert "BREADTHFLOW_SOURCE_PATH" in answer.out  # what files would need
    assert ask("sources", source="files").status == 2


def test_sources_names_what_files_have_and_is_not_read(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Date,Open,High,Low,Close,Volume,Adj Closing\n2026-03-02,1,3,0.5,2,9,1\n")
    (tmp_path / "b.xlsx").write_text("no table")
    answer = ask("sources", source="files", source_path=tmp_path)
    assert answer.status == 0
    assert f"  1 other file is not read in {tmp_path}: b.xlsx\n" in answer.out
    assert (
        "  columns that look like ours and are not used: Adj Closing (in 1 file); see BREADTHFLOW_SOURCE" in answer.out
    )


@pytest.mark.parametrize(
    ("arguments", "settings", "status", "words"),
    [
        (["breadth", "--universe", "nope"], {}, 2, "Universe nope is unknown; there are: demo"),
        (["breadth", "--universe", "demo", "--segment", "Nope"], {}, 2, "no segment Nope; there are: ALL"),
        (["breadth", "--universe", "demo", "--columns", "zwieg_ema"], {}, 2, "Did you mean zweig_ema"),
        (
            ["breadth", "--universe", "demo", "--columns", "1; DROP TABLE bars"],
            {},
            2,
            "is not a known count or indicator",
        ),
        (
            ["breadth", "--universe", "demo", "--columns", ""],
            {},
            2,
            "--columns is empty: leave it out, or give it a val",
        ),
        (["breadth", "--universe", "demo", "--columns", ""], {}, 2, "as priced,advances,trin; see breadthflow indica"),
        (
            ["breadth", "--universe", "demo", "--columns", ","],
            {},
            2,
            "',' names no count or indicator; there are univer",
        ),
        (["breadth", "--universe", ""], {}, 2, "--universe is empty: give it a value (Name of a universe)."),
        (
            ["signals", "--universe="],
            {},
            2,
            "--universe is empty: leave it out, or give it a value (Name of a universe",
        ),
        (["signals", "--rule", " "], {}, 2, "--rule is empty: leave it out, or give it a value (Name of a rule, such"),
        (["calibration", "--universe", "demo", "--rule", ""], {}, 2, "--rule is empty"),
        (["indicators", "--family", ""], {}, 2, "--family is empty"),
        (["token", "list", "--format", ""], {}, 2, "is not one of"),
        (["indicators", "--family", "nope"], {}, 2, "No family is called nope; there are: Advances and declines"),
        (["symbols", "--universe", "nope"], {}, 2, "Universe nope is unknown; there are: demo"),
        (["symbols", "--universe", "demo", "--symbol", "NOPE"], {}, 2, "NOPE has no signal as a member of demo"),
        (
            ["breadth", "--universe", "demo", "--to", "2010-01-31"],
            {},
            2,
            "the store holds 2025-01-02 through 2026-04-10",
        ),
        (["breadth", "--universe", "demo", "--from", "2026-02-01", "--to", "2026-01-01"], {}, 2, "before it begins"),
        (["breadth", "--universe", "demo", "--from", "2026-02-30"], {}, 2, "2026-02-30"),
        (["breadth", "--universe", "x' OR true --"], {}, 2, "is unknown"),
        (["signals", "--universe", "nope"], {}, 2, "Universe nope is unknown"),
        (["signals", "--rule", "nope"], {}, 2, "there are: zweig_breadth_thrust"),
        (["score", "--date", "2001-01-02"], {}, 2, "No breadth score of 2001-01-02: there are scores from"),
        (["explain", "nope"], {}, 2, "No signal has the id nope"),
        (["explain", "' OR true --"], {}, 2, "No signal has the id ' OR true --"),
        (["explain", ""], {}, 2, "The id is empty: copy one from breadthflow signals"),
        (["explain", "\udcff\udcfe"], {}, 2, "is not UTF-8"),  # bytes that a shell passes on
        (["explain", "demo:\udcff:2026-04-10"], {}, 2, "is not UTF-8"),
        (["signals", "--universe", "\udcff"], {}, 2, "is not UTF-8"),
        (["signals", "--universe", "a\0b"], {}, 2, "NUL"),
        (["report", "--universe", "\udcff"], {}, 2, "is not UTF-8"),
        (["explain", "demo:NOPE:2026-04-10"], {}, 2, "NOPE has no signal as a member of demo on 2026-04-10. It was no"),
        (["explain", "demo:x' OR true --:2026-04-10"], {}, 2, "x' OR true -- has no signal as a member of demo"),
        (["explain", "demo:[red]:2026-04-10"], {}, 2, "[red] has no signal as a member of demo"),
        (["explain", "nope:AAPL:2026-04-10"], {}, 2, "Universe nope is unknown; there are: demo"),
        (["explain", "demo:AAPL:2026-04-13"], {}, 2, "through 2026-04-10, and none on 2026-04-13"),
        (["explain", "demo:AAPL:2026-04-05"], {}, 2, "No member of demo has a signal on 2026-04-05; it may be no"),
        (["explain", "demo:AAPL:2026-04-31"], {}, 2, "is universe:symbol:session, as in sp500:AAPL:2024-03-01"),
        (["breadth", "--universe", "demo", "--as-of", "yesterday"], {}, 2, "--as-of cannot be used: yesterday is not"),
        (["breadth", "--universe", "demo", "--as-of", "2999-01-01"], {}, 2, "lies in the future"),
        (["breadth", "--universe", "nope", "--as-of", "2020-01-01"], {}, 2, "Universe nope is unknown"),
        (["release", "NOPE", "2026-03-02", "--reason", "x"], {}, 2, "Nobody was called NOPE on 2026-03-02"),
        (["release", "NOPE", "--reason", "x"], {}, 2, "Name a bar, as in GNW 2008-09-29"),
        (["confirm", "--reason", "x"], {}, 2, "Name a bar"),
        (["confirm", "NOPE", "2026-03-02", "--proposals", "--reason", "x"], {}, 2, "Name a bar"),
        (["release", "NOPE", "2026-03-02", "--rule", "spike", "--reason", "x"], {}, 2, "--proposals, with --rule"),
        (["release", "--proposals", "--reason", "x"], {}, 2, "Nothing is proposed"),
        (["release", "NOPE", "2026-03-02", "--reason", " "], {}, 2, "--reason is empty"),
        (["release", "NOPE", "2026-03-02"], {}, 2, "--reason"),
        (["accept-hole", "2026-03-10", "--reason", "x"], {}, 2, "Nothing is missing on 2026-03-10; there is no hole"),
        (["accept-hole", "2026-03-10", "--undo", "--reason", "x"], {}, 2, "No hole was accepted on 2026-03-10"),
        (["accept-hole", "2026-03-10", "--to", "2026-03-09", "--reason", "x"], {}, 2, "before it begins"),
        (["accept-hole", "2026-03-10", "--reason", " "], {}, 2, "--reason is empty"),
        (["accept-hole", "2026-03-10"], {}, 2, "--reason"),
        (["accept-hole", "yesterday", "--reason", "x"], {}, 2, "yesterday"),
        (["report", "--universe", "nope"], {}, 2, "Universe nope is unknown; there are: demo"),
        (["report", "--universe", "demo", "--to", "/"], {}, 2, "--to / is a directory; name a file in it"),
        (["report", "--universe", "demo", "--to", "/dev/null/x.html"], {}, 2, "/dev/null/x.html cannot be written"),
        (["export", "--universe", "nope", "--to", "new"], {}, 2, "Universe nope is unknown; there are: demo"),
        (["export", "--universe", "demo", "--to", "/"], {}, 2, "--to / is there already"),
        (["export", "--universe", "demo"], {}, 2, "--to"),
        (["rejected", "--from", "2026-02-01", "--to", "2026-01-01"], {}, 2, "before it begins"),
        (["rejected", "--exchange", "NYSE"], {}, 2, "none were imported: run breadthflow import-breadth"),
        (["rejected", "--exchange", "NYSE", "--symbol", "IBM"], {}, 2, "--source, --symbol and --status are of bars"),
        (["import-breadth", "/nowhere", "--exchange", "NYSE"], {}, 2, "/nowhere"),
        (["import-breadth", "ftp://me:geheim@host/NYSE_", "--exchange", "NYSE"], {}, 2, "ftp:// cannot be read"),
        (["import-breadth", "http://127.0.0.1:1/NYSE_", "--exchange", "../x"], {}, 2, "is not an exchange name"),
        (["fetch-universe", "dax", "dax.csv"], {}, 2, "There is no universe dax to fetch; there is: sp500"),
        (["fetch-universe", "sp500", "x.csv", "--page", "gopher://h/p"], {}, 2, "--page cannot be used: gopher://"),
        (["fetch-universe", "sp500", "x.csv", "--page", "/nowhere.html"], {}, 2, "/nowhere.html cannot be read"),
        (["status"], {"source_path": "ftp://me:geheim@host/x"}, 2, "BREADTHFLOW_SOURCE_PATH"),
        (["check", "--junit", "/nowhere/x.xml"], {}, 2, "/nowhere"),
        (["db", "url"], {}, 2, "may hold a password"),
        (["alert-test"], {}, 2, "BREADTHFLOW_ALERT_URLS is not set"),
        (["alert-test"], {"alert_urls": "geheim"}, 2, "BREADTHFLOW_ALERT_URLS cannot be used"),
        (["up"], {"alert_urls": "json://h/x, slak://geheim/b"}, 2, "does not understand address 2 (slak://***) of 2"),
        (["status"], {"request_rate": "0"}, 2, 'write a number from 0.001 to 50. It is set to "0".'),
        (["status"], {"start": "January"}, 2, "BREADTHFLOW_START"),
        (
            ["sources"],
            {"calendar_changes": "/nowhere.csv"},
            2,
            "BREADTHFLOW_CALENDAR_CHANGES=/nowhere.csv cannot be read",
        ),
        (["status"], {"database_url": "mysql://u:geheim@h/d"}, 2, "BREADTHFLOW_DATABASE_URL"),
        (["status"], {"database_url": "postgresql://u:geheim@127.0.0.1:1/d"}, 3, "cannot be reached"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line_and_a_status(
    ask: Ask, arguments: list[str], settings: dict[str, str], status: int, words: str
) -> None:
    answer = ask(*arguments, **settings)
    assert answer.status == status
    assert words in " ".join(answer.err.split())
    assert "Traceback" not in answer.err
    assert "geheim" not in answer.err + answer.out
    assert answer.out == ""


TODAY = dt.datetime.now(dt.UTC).date()
SATURDAY = TODAY + dt.timedelta(days=12 - TODAY.weekday())  # of next week


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (["backfill", "--from", "2024-12-30", "--to", "2025-01-31"], {}, "BREADTHFLOW_START=2024-12"),
        (["backfill", "--from", "2025-02-01", "--to", "2025-01-31"], {}, "before it begins"),
        (["backfill", "--from", "2099-01-01", "--to", "2099-01-31"], {}, "after the last closed session"),
        (["backfill", "--from", "2025-01-04", "--to", "2025-01-05"], {}, "no session"),  # a weekend
        (["run", "--date", "2099-01-05"], {}, "has not closed yet"),
        (["run", "--date", f"{SATURDAY}"], {}, f"{SATURDAY} is no session of XNYS"),
        (["run", "--date", "2015-01-05"], {}, "2015-01-05 lies before the first month of history"),
        (["db", "backup", ""], {}, "Say where the backup goes"),  # "$UNSET" in a crontab
        (["run"], {"source": "files"}, "BREADTHFLOW_SOURCE_PATH"),
        (["run"], {"source": "files", "source_path": "/nowhere"}, "/nowhere"),
        (["run"], {"source": "carrier-pigeon"}, "there are: demo, files"),
        (["run"], {"universe_file": "/nowhere.csv"}, "BREADTHFLOW_UNIVERSE_FILE cannot be used: /nowhere.csv"),
        (["run"], {"calendar_changes": "/etc/hostname"}, "has to begin with the line date,change,reason"),
        (["check", "--select", "nope"], {}, "there are: backtests, bars,"),
    ],
)
def test_a_run_that_cannot_be_is_refused_with_the_reason(
    ask: Ask, arguments: list[str], settings: dict[str, str], words: str
) -> None:
    answer = ask(*arguments, **settings)
    assert answer.status == 2, answer.err
    assert words in " ".join(answer.err.split())
    assert "Traceback" not in answer.err


def test_check_writes_junit_and_ends_with_0_on_a_healthy_selection(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "checks.xml"
    chosen = "breadth_counts,signals_keep_contract"
    answer = ask("check", "--quick", "--select", chosen, "--junit", file)
    assert answer.status == 0, answer.err
    assert 'tests="5"' in file.read_text()
    assert 'failures="0"' in file.read_text()


def test_alert_test_says_which_address_took_the_message_and_shows_none(ask: Ask, inbox: Inbox) -> None:
    answer = ask("alert-test", alert_urls=inbox.url)
    assert answer.status == 0
    assert "1 json://***" in answer.out
    assert "this is what an alert looks like" in inbox.texts[0]
    answer = ask("alert-test", alert_urls=f"{inbox.url}, form://127.0.0.1:1/planted-token")
    assert answer.status == 3
    assert "2 form://***" in answer.out
    assert "no connection" in answer.out
    assert "planted" not in answer.out + answer.err
    assert len(inbox.texts) == 2


def test_digest_prints_what_would_be_sent_and_sends_nothing(ask: Ask, inbox: Inbox) -> None:
    answer = ask("digest", alert_urls=inbox.url)
    assert answer.status == 0, answer.err
    first, *lines = answer.out.splitlines()
    assert first.endswith(" is late (synthetic market)")  # the store ends in April 2026
    assert any(line.startswith("Freshness: session ") for line in lines)
    assert lines[-1].startswith("Next: breadthflow ")
    assert inbox.texts == []


def test_table_has_the_last_rows_of_what_the_machine_formats_have(ask: Ask) -> None:
    every = [row["signal_id"] for row in ask("signals", "--format", "csv").rows]
    shown = ask("signals")
    lines = [line.split() for line in shown.out.splitlines()[2:]]
    assert [line[-1] for line in lines] == every[-100:]
    assert "These are the last 100 rows; --format csv has all of them." in shown.err


def test_table_of_members_has_the_strongest_of_the_last_sessions(ask: Ask) -> None:
    asked = ("symbols", "--universe", "demo", "--from", "2025-01-02")
    by_session: dict[str, list[str]] = {}
    for row in ask(*asked, "--format", "csv").rows:
        by_session.setdefault(row["session"], []).append(row["signal_id"])
    *_, before, last = by_session.values()  # each from the strongest to the weakest
    assert len(last) < 100 < len(before) + len(last)
    shown = ask(*asked)
    lines = [line.split() for line in shown.out.splitlines()[2:]]
    assert [line[-1] for line in lines] == [*before[: 100 - len(last)], *last]
    assert "These are the newest and strongest 100 rows; --format csv has all of them." in shown.err


def test_table_of_few_rows_says_nothing_of_others(ask: Ask) -> None:
    shown = ask("breadth", "--universe", "demo", "--segment", "ALL", *MONTH)
    assert len(shown.out.splitlines()) == 2 + 22
    assert "last" not in shown.err


def test_review_prints_what_would_be_sent_and_sends_nothing(ask: Ask, inbox: Inbox) -> None:
    answer = ask("review", alert_urls=inbox.url)
    assert answer.status == 0, answer.err
    first, *lines = answer.out.splitlines()
    assert first.endswith(" to look after")  # what, depends on when the packages of today were tested
    assert any(line.startswith("  - demo (synthetic): ") and " members, changed on " in line for line in lines)
    assert lines[-1].startswith("Next: ")
    assert inbox.texts == []


READING: dict[str, set[str]] = {  # what it may import of the heavy ones: rules and indicators are polars expressions
    "breadth --universe demo": set(),
    "symbols --universe demo": set(),
    "members --universe demo": set(),
    "members --without-bars": set(),
    "signals": set(),
    "score --date 2026-03-31": set(),
    "rejected": set(),
    "holes": set(),
    "status": set(),
    "indicators": {"polars"},
    "explain {signal}": {"polars"},
    "explain {member}": {"polars"},
    "signals --rule zweig_breadth_thrust": {"polars"},
}


def test_reading_commands_import_nothing_heavy_when_they_run(store: dict[str, object]) -> None:
    # Each command runs in a copy of a process that has imported the command line and nothing else.
    code = """
import os, sys
from breadthflow_pipelines import cli
for line in sys.argv[1:]:
    sys.stdout.flush()
    if child := os.fork():
        os.waitpid(child, 0)
        continue
    try:
        cli.main(line.split())
    except SystemExit as end:
        heavy = {"dagster", "great_expectations", "pandas", "polars"} & set(sys.modules)
        print("heavy", line, end.code, *sorted(heavy), sep="|", flush=True)
        os._exit(0)
"""
    with psycopg2.connect(str(store["database_url"])) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT min(signal_id) FROM market_signals")
        [(signal,)] = cursor.fetchall()
        cursor.execute(  # under the name of that session: some of the demo's companies change theirs
            "SELECT session, symbol FROM symbol_signals JOIN security_symbols USING (security_id) "
            "WHERE session >= valid_from AND (valid_to IS NULL OR session < valid_to) ORDER BY 1 DESC, 2 LIMIT 1"
        )
        [(last, symbol)] = cursor.fetchall()
    connection.close()
    given = os.environ | {f"BREADTHFLOW_{name.upper()}": str(value) for name, value in store.items()}
    member = f"demo:{symbol}:{last}"
    lines = {line.format(signal=signal, member=member): line for line in READING}
    ran = subprocess.run([sys.executable, "-c", code, *lines], capture_output=True, text=True, env=given, check=True)
    found = {}
    for told in ran.stdout.splitlines():
        if told.startswith("heavy|"):
            _, line, status, *heavy = told.split("|")
            found[lines[line]] = (status, set(heavy))
    assert found == {line: ("0", heavy) for line, heavy in READING.items()}


def test_debug_shows_the_traceback(store: dict[str, object]) -> None:
    answer = breadthflow("--debug", "explain", "nope", **store)
    assert "Traceback" in answer.stderr
    assert answer.returncode == 1


# From here on runs fail in the store of this module, as its digest would say.
@pytest.mark.slow
def test_a_month_that_the_source_does_not_have_ends_with_1_and_says_which_session_is_missing(
    store: dict[str, object], tmp_path: Path
) -> None:
    (tmp_path / "aapl.us.txt").write_text(
        "Date,Open,High,Low,Close,Volume,OpenInt\n2025-01-02,1,1,1,1,1,0\n2025-01-03,1,1,1,1,1,0\n"
    )
    files = {"source": "files", "source_path": tmp_path}
    answer = breadthflow("backfill", "--from", "2025-03-03", "--to", "2025-03-31", **{**store, **files})
    assert answer.returncode == 1
    assert "no bars on 2025-03-31; " in answer.stderr
    assert "Signals stay as they were" in answer.stderr


@pytest.mark.slow
def test_published_counts_need_no_bar_source_and_are_remembered_until_once(
    ask: Ask, store: dict[str, object], tmp_path: Path
) -> None:
    days = [f"2026-03-{day:02}" for day in (2, 3, 4, 5, 6, 9, 10)]
    for series, count in (("advn", 1500), ("decln", 1200), ("unchn", 70)):
        lines = [f"{day.replace('-', '')}, {count + i}\n" for i, day in enumerate(days)]
        (tmp_path / f"XX_{series}.csv").write_text("".join(lines))
    (tmp_path / "XX_upvol.csv").write_text("20260302, 1\n")
    without_bars = {"source": "files", "source_path": "/nowhere"}
    imported = ask("import-breadth", tmp_path, "--exchange", "XX", **without_bars)
    assert imported.status == 0, imported.err
    assert "Every run reads XX from there again" in " ".join(imported.err.split())
    assert "Not read: XX_upvol.csv. Series are advn, decln, unchn, advv, declv, unchv, newhi," in imported.err
    assert _publications(store) == [("XX", str(tmp_path))]
    elsewhere = ask("import-breadth", tmp_path, "--exchange", "XX", exchange_breadth="XX=/elsewhere", **without_bars)
    assert "Runs read XX from /elsewhere, which BREADTHFLOW_EXCHANGE_BREADTH names" in " ".join(elsewhere.err.split())
    once = ask("import-breadth", tmp_path, "--exchange", "XX", "--once", exchange_breadth="", **without_bars)
    assert (once.status, _publications(store)) == (0, [])
    assert len(ask("breadth", "--universe", "XX", "--format", "csv").rows) == len(days)
    (tmp_path / "XX_unchn.csv").unlink()
    refused = ask("import-breadth", tmp_path, "--exchange", "XX", **without_bars)
    assert (refused.status, _publications(store)) == (2, [])
    assert "XX_unchn.csv is not there any more" in " ".join(refused.err.split())
    replaced = ask("import-breadth", tmp_path, "--exchange", "XX", "--replace", **without_bars)
    assert (replaced.status, _publications(store)) == (0, [("XX", str(tmp_path))])
    rows = ask("breadth", "--universe", "XX", "--format", "csv").rows
    assert {row["unchanged"] for row in rows} == {""}


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("https://host/XX_", ["https://host/XX_"]),
        ("https://me:geheim@host/XX_", []),
        ("https://host/counts/?key=geheim", []),
    ],
)
def test_an_address_with_an_account_or_a_query_is_not_kept(
    where: str, kept: list[str], database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.sources._remember_publication(database, "XX", where)
    assert [str(place) for place in publications.remembered(database).values()] == kept
    said = capsys.readouterr().err
    assert "geheim" not in said
    assert kept or "BREADTHFLOW_EXCHANGE_BREADTH=XX=" in said


def _publications(store: dict[str, object]) -> list[tuple[str, str]]:
    connection = psycopg2.connect(str(store["database_url"]))
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT exchange, place FROM publications ORDER BY 1")
        found = cursor.fetchall()
    connection.close()
    return found


def test_accuracy_lists_every_rule_with_the_columns_that_a_reader_needs(ask: Ask) -> None:
    rows = ask("accuracy", "--universe", "demo", "--format", "csv").rows
    needed = {"rule", "universe", "horizon", "era", "events", "episodes", "hit_rate", "base_rate", "lift"}
    needed |= {"p_rotation", "p_family", "verdict"}
    assert needed <= rows[0].keys()
    assert {claim.rule for claim in FAMILY.claims} <= {row["rule"] for row in rows}
    assert {row["era"] for row in rows} >= {"all"}
    rates = [float(row[name]) for row in rows for name in ("hit_rate", "base_rate") if row[name]]
    assert rates
    assert all(0 <= rate <= 1 for rate in rates)
    assert {row["reason"] == "" for row in rows if row["verdict"] == "cannot be judged"} == {False}
    one = ask("accuracy", "--universe", "demo", "--rule", "breadth_score", "--horizon", "63", "--format", "csv").rows
    assert {(row["rule"], row["horizon"]) for row in one} == {("breadth_score", "63")}
    table = ask("accuracy", "--universe", "demo", "--horizon", "63").out
    assert "Records of demo (synthetic: demo)" in table


def test_calibration_has_the_base_rate_of_the_same_sessions_beside_each_rate(ask: Ask) -> None:
    rows = ask("calibration", "--universe", "demo", "--format", "csv").rows
    assert {"hit_rate", "base_rate", "lift", "lift_error", "relative", "brier", "skill", "verdict"} <= rows[0].keys()
    assert {row["synthetic"] for row in rows} == {"true"}
    assert {(row["rule"], row["horizon"]) for row in rows} >= {("combined", "5"), ("rsi", "5")}
    rates = [float(row[name]) for row in rows for name in ("hit_rate", "base_rate") if row[name]]
    assert rates
    assert all(0 <= rate <= 1 for rate in rates)
    own = ask("calibration", "--universe", "demo", "--rule", "trend", "--horizon", "5", "--format", "csv").rows
    assert {(row["rule"], row["horizon"], row["grouped_by"]) for row in own} == {("trend", "5", "all")}
    table = ask("calibration", "--universe", "demo", "--horizon", "5").out
    assert "Symbol signals of demo (synthetic: demo): right beside other members of the same sessions" in table
    assert "By confidence" in table
    assert "By strength" in table


def test_symbols_have_the_record_that_such_signals_had_before_the_month(ask: Ask, store: dict[str, object]) -> None:
    rows = ask("symbols", "--universe", "demo", "--format", "csv").rows
    sell = next(row for row in rows if row["action"] == "sell")
    assert {sell[name] for name in ("record_hit_rate", "record_base_rate", "record_n", "verdict")} == {""}
    month = sell["session"][:7] + "-01"
    with psycopg2.connect(str(store["database_url"])) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO symbol_records VALUES ('demo', %s, 'combined', 'sell', 0.44, 0.48, 9876, 'suggestive'), "
            "('demo', %s, 'trend', 'sell', 0.1, 0.2, 3, 'survives')",
            [month, month],
        )
    try:
        told = ask("symbols", "--universe", "demo").out
        assert "44% of 9,876, base 48%: suggestive" in told
        assert "survives" not in told  # of one rule, and not of what they say together
        again = ask("symbols", "--universe", "demo", "--action", "sell", "--format", "csv").rows[0]
        assert (again["record_n"], again["verdict"]) == ("9876", "suggestive")
    finally:
        with connection, connection.cursor() as cursor:
            cursor.execute("DELETE FROM symbol_records")
        connection.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("calibration", "--universe", "demo", "--horizon", "64"), "5, 21, 63, 126, 252"),
        (("calibration", "--universe", "demo", "--rule", "conviction"), "there are: combined, "),
        (("calibration", "--universe", "nothing"), "nothing"),
        (("accuracy", "--universe", "demo", "--horizon", "64"), "5, 21, 63, 126, 252"),
        (("accuracy", "--universe", "nothing"), "nothing"),
        (("backtest", "--universe", "demo", "--rule", "whaley_adt5_capitulation"), "no signal|claims nothing"),
        (("backtest", "--universe", "demo", "--rule", "whaley_adt5", "--threshold", "1"), "no value for each session"),
        (("backtest", "--universe", "demo", "--rule", "breadth_score", "--leave", "50"), "--threshold"),
        (("backtest", "--universe", "demo", "--rule", "breadth_score", "--from", "2030-01-01"), "No two levels"),
        (("backtest", "--universe", "demo", "--rule", "breadth_score", "--costs", "nan"), "--costs nan cannot be used"),
        (("backtest", "--universe", "demo", "--rule", "breadth_score", "--threshold", "inf"), "--threshold inf cannot"),
    ],
)
def test_what_cannot_be_judged_or_followed_is_said(ask: Ask, arguments: tuple[str, ...], said: str) -> None:
    answer = ask(*arguments)
    assert answer.status == 2
    assert re.search(said, answer.err)


@pytest.mark.parametrize("command", ["backtest", "accuracy"])
def test_a_universe_without_a_benchmark_is_not_traded_or_judged_by_it(ask: Ask, command: str) -> None:
    asked = (command, "--universe", "demo", "--rule", "breadth_score", "--on-benchmark")
    refused = ask(*asked)
    assert (refused.status, "demo has no benchmark" in refused.err) == (2, True)
    refused = ask(*asked, index_symbols="demo=NOPE")
    assert (refused.status, "NOPE, has no close in the store" in refused.err) == (2, True)


def test_a_trade_leads_to_its_signal(ask: Ask) -> None:
    trades = ask("backtest", "--universe", "demo", "--rule", "breadth_score", "--costs", "0", "--format", "csv").rows
    assert trades
    signals = {row["signal_id"]: row for row in ask("signals", "--universe", "demo", "--format", "csv").rows}
    for trade in trades:
        signal = signals[trade["signal_id"]]
        assert (signal["rule"], signal["action"]) == ("breadth_score", "buy")
        assert signal["session"] < trade["entry_session"]
    dear = ask("backtest", "--universe", "demo", "--rule", "breadth_score", "--costs", "25", "--format", "csv").rows
    assert all(float(d["return"]) < float(t["return"]) for d, t in zip(dear, trades, strict=True))


def test_a_backtest_stands_beside_what_needs_no_rule(ask: Ask) -> None:
    answer = ask("backtest", "--universe", "demo", "--rule", "breadth_score", "--threshold", "55", "--leave", "50")
    for told in ("(synthetic: demo)", "buy and hold", "same exposure", "1,000 runs at random times", "earns nothing"):
        assert told in answer.out
    for costs in ("10", "7"):
        figures = ask("backtest", "--universe", "demo", "--rule", "breadth_score", "--costs", costs).out
        table, _, rest = figures.partition("\nhit_rate: ")
        assert (
            table.rstrip().splitlines()[-1].startswith("same exposure")
        )  # the line stands under the table it is about
        assert rest.splitlines()[0].startswith(
            "of the sessions that earned something else than cash, those that earned more, at the cost of"
        )
        assert "accuracy counts events" in rest.splitlines()[0]
        assert rest.splitlines()[0].endswith(f"Random times, months and trades: at a cost of {costs}.")


def test_walk_forward_prints_what_followed_and_not_what_chose(capsys: pytest.CaptureFixture[str]) -> None:
    number = np.arange(2_000)
    scores = made.scores((50 + 25 * np.sin(number / 40)).tolist())
    level = made.levels(made.walk(np.random.default_rng(5), 2_000))
    choices, tested = walk_forward(scores, level, [50.0, 60.0])
    assert tested is not None
    judging._show(tested, choices.to_dicts())
    printed = capsys.readouterr().out
    assert "out_of_sample" in printed
    assert "in_sample" not in printed
    assert all(str(last) in printed for last in choices["sample_to"])


def test_a_backtest_is_held_beside_the_index_and_the_interest_that_settings_name(ask: Ask, tmp_path: Path) -> None:
    scores = ask("signals", "--universe", "demo", "--rule", "breadth_score", "--from", "2025-01-01", "--format", "csv")
    days = dict.fromkeys(row["session"] for row in scores.rows)  # of the whole and of sectors
    (tmp_path / "index.csv").write_text("date,close\n" + "".join(f"{day},{100 + i}\n" for i, day in enumerate(days)))
    (tmp_path / "rates.csv").write_text("session,rate\n2015-01-02,4.0\n")
    asked = ("backtest", "--universe", "demo", "--rule", "breadth_score")
    settings = {"index_symbols": f"demo={tmp_path / 'index.csv'}", "risk_free": tmp_path / "rates.csv"}
    answer = ask(*asked, **settings)
    for told in ("Benchmark: index.csv (price)", "Cash earns the risk-free rate", "benchmark"):
        assert told in answer.out
    traded = ask(*asked, "--on-benchmark", **settings)
    assert "Traded: index.csv (price), after costs" in traded.out
    assert f"{min(days)}" < traded.out.split(", ")[1][:10]  # from the second of its closes that a signal could precede
    assert "benchmark" not in traded.out.partition("Figures")[2]
    assert (
        "Records of demo by index.csv (price)"
        in ask("accuracy", "--universe", "demo", "--on-benchmark", **settings).out
    )
    judged = ask(
        "accuracy", "--universe", "demo", "--horizon", "5", "--on-benchmark", "--format", "csv", **settings
    ).rows
    assert {row["horizon"] for row in judged} == {"5"}
    [score] = [row for row in judged if (row["rule"], row["action"], row["era"]) == ("breadth_score", "buy", "all")]
    assert (score["hit_rate"], score["base_rate"], score["p_family"], score["basis"]) == ("1.0", "1.0", "", "price")
    # By hand: it stands at 100 + i on day i, so five sessions from day i + 1 on return 5 / (101 + i).
    assert 5 / (100 + len(days)) < float(score["mean"]) <= 5 / 101
    (tmp_path / "rates.csv").write_text("day,rate\n")
    refused = ask(*asked, **settings)
    assert (refused.status, "rates.csv has no columns session and rate" in refused.err) == (2, True)


def test_audit_lists_what_was_done_and_privacy_exports_and_erases_a_name(ask: Ask) -> None:
    me = getpass.getuser()
    launched = ask("audit", "--action", "launched", "--format", "csv").rows
    assert (launched[0]["who"], launched[0]["via"]) == (me, "command")
    assert launched[0]["what"].startswith("bring_up_to_date, 2025-01 to ")
    assert ask("audit", "--user", "nobody").err == "No entry matches.\n"
    unknown = ask("audit", "--action", "deleted")
    assert (unknown.status, "there are: launched, released" in unknown.err) == (2, True)

    exported = json.loads(ask("privacy", "export", me).out)
    assert {"table", "row"} == set(exported[0])
    refused = ask("privacy", "erase", me)
    assert (refused.status, "say --yes" in refused.err) == (2, True)
    assert ask("token", "create", me).status == 0
    erased = ask("privacy", "erase", me, "--yes")
    named, *said = erased.out.splitlines()
    assert re.fullmatch(rf"\d+ rows named {me}; now they name erased-[0-9a-f]{{8}}\.", named)
    assert said[-1] == "1 valid token of that user revoked."
    assert me not in {row["who"] for row in ask("audit", "--format", "csv").rows}
    shared = ask("privacy", "erase", "postgres", "--yes")
    assert (shared.status, "it is a database login that several users" in shared.err.replace("\n", " ")) == (2, True)
    assert ask("privacy", "export", me).status == 2
