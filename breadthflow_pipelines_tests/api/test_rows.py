"""Every list of rows: what it holds is what the store has, in all formats, and pages put together are the whole."""

import csv
import datetime as dt
import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from breadthflow_pipelines.api import shapes
from breadthflow_pipelines.warehouse import (
    breadth_listing,
    breadth_store,
    evaluation_store,
    signal_listing,
    symbol_listing,
)
from breadthflow_pipelines.warehouse.database import rows_of, upgrade
from breadthflow_pipelines.warehouse.rejections import rejected
from breadthflow_pipelines_tests.api.conftest import Served
from breadthflow_pipelines_tests.orchestration.small_market import LAST, SESSIONS

ARROW = "application/vnd.apache.arrow.stream"
LISTS = {
    "/v1/sessions": shapes.SESSION,
    "/v1/breadth?universe=small&segment=Energy&from=2023-06-01": shapes.BREADTH,
    "/v1/signals?segment=ALL&from=2023-06-01": shapes.SIGNAL,
    "/v1/symbols?universe=small&from=2023-12-01": shapes.SYMBOL,
    "/v1/outcomes?segment=ALL&horizon=63": shapes.OUTCOME,
    "/v1/accuracy": shapes.ACCURACY,
    "/v1/backtests": shapes.BACKTEST,
    "/v1/rejected": shapes.REJECTED,
}
every_list = pytest.mark.parametrize("path", LISTS)


def all_pages(client: TestClient, path: str, limit: int) -> list[dict[str, Any]]:
    """The rows of every page."""
    address, rows = f"{path}{'&' if '?' in path else '?'}limit={limit}", []
    while True:
        answer = client.get(address)
        assert answer.status_code == 200, answer.text
        rows += answer.json()["rows"]
        assert len(answer.json()["rows"]) <= limit
        following = answer.links.get("next")
        assert (following is None) == (answer.json()["next"] is None)
        if following is None:
            return rows
        address = following["url"]


def plain(rows: list[dict[str, Any]], names: list[str]) -> list[dict[str, Any]]:
    """Rows of the store as JSON has them."""

    def value(each: Any) -> Any:
        return each.isoformat() if isinstance(each, dt.date) else each

    return [{name: value(row[name]) for name in names} for row in rows]


@every_list
def test_pages_put_together_are_the_whole_without_repeats(viewer: TestClient, path: str) -> None:
    whole = all_pages(viewer, path, 5000)
    assert len(whole) > 2
    assert all_pages(viewer, path, max(2, len(whole) // 3)) == whole
    key = LISTS[path].key
    assert len({tuple(row[name] for name in key) for row in whole}) == len(whole)


@every_list
def test_every_format_says_the_same(viewer: TestClient, path: str) -> None:
    answer = viewer.get(path)
    rows, shape = answer.json()["rows"], LISTS[path]
    assert list(rows[0]) == shape.names
    flat = viewer.get(path, headers={"Accept": "text/csv"})
    assert flat.headers["Content-Type"] == "text/csv; charset=utf-8"
    lines = list(csv.DictReader(io.StringIO(flat.text, newline="")))
    assert list(lines[0]) == shape.names
    stream = viewer.get(path, headers={"Accept": ARROW})
    assert stream.headers["Content-Type"] == ARROW
    table = pa.ipc.open_stream(stream.content).read_all()
    assert table.schema.names == shape.names
    for each in shape.fields:
        from_json, from_text, from_arrow = READ[each.kind]
        said = [None if row[each.name] is None else from_json(row[each.name]) for row in rows]
        assert [None if line[each.name] == "" else from_text(line[each.name]) for line in lines] == said
        assert [None if value is None else from_arrow(value) for value in table[each.name].to_pylist()] == said


def _same(value: Any) -> Any:
    return value


# By type, how a value is read from JSON, from CSV and from Arrow.
READ: dict[type, tuple[Callable[[Any], Any], Callable[[str], Any], Callable[[Any], Any]]] = {
    str: (_same, _same, _same),
    bool: (_same, "true".__eq__, _same),
    int: (_same, int, _same),
    float: (float, float, _same),
    dt.date: (dt.date.fromisoformat, dt.date.fromisoformat, _same),
    dt.datetime: (dt.datetime.fromisoformat, dt.datetime.fromisoformat, _same),
    list: (_same, json.loads, _same),
    dict: (_same, json.loads, json.loads),
}


@every_list
def test_columns_are_those_that_are_asked_for_beside_the_key(viewer: TestClient, path: str) -> None:
    shape = LISTS[path]
    one = next(name for name in shape.names if name not in shape.key)
    joined = f"{path}{'&' if '?' in path else '?'}columns={one}"
    rows, whole = viewer.get(joined).json()["rows"], viewer.get(path).json()["rows"]
    wanted = [name for name in shape.names if name in (*shape.key, one)]
    assert rows == [{name: row[name] for name in wanted} for row in whole]


@every_list
def test_an_answer_is_not_sent_again_as_long_as_nothing_changes(viewer: TestClient, path: str) -> None:
    first = viewer.get(path)
    again = viewer.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert viewer.get(path, headers={"If-None-Match": '"another", W/"date"'}).status_code == 200
    flat = viewer.get(path, headers={"If-None-Match": first.headers["ETag"], "Accept": "text/csv"})
    assert flat.status_code == 200  # the same rows, written otherwise


def test_breadth_is_what_the_command_prints(shared: Served, viewer: TestClient) -> None:
    start, end = dt.date(2023, 12, 1), dt.date(2023, 12, 29)
    rows = viewer.get(f"/v1/breadth?universe=small&segment=Energy&from={start}&to={end}").json()["rows"]
    columns = breadth_listing.breadth_columns(shared.owner)
    stored = breadth_listing.breadth(shared.owner, "small", start, end, "Energy", columns)
    assert rows == plain(stored, [*columns, "synthetic"])
    assert [row["session"] for row in rows] == [str(day) for day in SESSIONS if day >= start]


def test_breadth_of_a_moment_is_what_was_known_then(own: Served) -> None:
    client = own.client(own.viewer)
    path = "/v1/breadth?universe=small&segment=ALL&columns=advances,declines"
    before = client.get(path).json()["rows"]
    [[then]] = [row.values() for row in rows_of(own.owner, "SELECT now() AS then")]
    with own.owner.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO breadth_revisions (relation, universe, segment, session, known_from, known_to, row) "
            "SELECT 'breadth_counts', universe, segment, session, computed_at, now(), to_jsonb(c) "
            "FROM breadth_counts c WHERE session = %s AND segment = 'ALL'",
            (LAST,),
        )
        cursor.execute(
            "UPDATE breadth_counts SET advances = advances - 1, declines = declines + 1, computed_at = DEFAULT "
            "WHERE session = %s AND segment = 'ALL' AND advances > 0",
            (LAST,),
        )
        assert cursor.rowcount == 1
    assert client.get(path).json()["rows"] != before
    assert client.get(f"{path}&as_of={then:%Y-%m-%dT%H:%M:%S.%fZ}").json()["rows"] == before
    assert client.get(f"{path}&as_of={then:%Y-%m-%dT%H:%M:%S.%f}+00:00").json()["rows"] == before  # a plus as it is
    early = client.get(f"{path}&as_of=2020-01-01T00:00Z")
    assert early.status_code == 400
    assert "At 2020-01-01 00:00:00 UTC no such breadth of small was known" in early.json()["detail"]


def now(served: Served) -> str:
    """The store's clock, as a parameter."""
    [row] = rows_of(served.owner, "SELECT now() AS now")
    return f"{row['now'].astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def change(served: Served, *statements: str) -> None:
    with served.owner.connect() as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def test_signals_of_a_moment_are_what_was_said_then_page_by_page(own: Served) -> None:
    client = own.client(own.viewer)
    path = "/v1/signals?universe=small&segment=ALL&from=2023-12-01"
    before, then = all_pages(client, path, 5000), now(own)
    first = client.get(f"{path}&limit=7&as_of={then}").json()
    breadth_store.record_signals(own.owner, breadth_store.all_signals(own.owner).filter(pl.col("action") != "hold"))
    evaluation_store.record_records(own.owner, RECORD.with_columns(signal_id=pl.lit(before[0]["signal_id"])))
    assert all_pages(client, path, 5000) != before
    assert all_pages(client, f"{path}&as_of={then}", 7) == before
    second = client.get(f"{path}&limit=7&as_of={then}&cursor={first['next']}").json()["rows"]
    assert first["rows"] + second == before[:14]
    assert client.get(f"{path}&limit=7&as_of={now(own)}&cursor={first['next']}").status_code == 400  # another moment's
    early = client.get(f"{path}&as_of=2020-01-01T00:00Z")
    assert early.status_code == 400
    assert "At 2020-01-01 00:00:00 UTC no signal of small was known" in early.json()["detail"]


RECORD = pl.DataFrame(
    {
        "universe": ["small"],
        "session": [LAST],
        "record_hit_rate": [0.5],
        "record_base_rate": [0.5],
        "verdict": ["survives"],
    }
).with_columns(record_n=pl.lit(60, pl.Int32))


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("/v1/symbols?universe=small", "symbol_signals"),
        ("/v1/symbols?universe=small", "price_indicators"),  # of two tables, either
        ("/v1/outcomes?horizon=63", "signal_outcomes"),
        ("/v1/accuracy?universe=small", "signal_accuracy"),
        ("/v1/backtests?universe=small", "backtests"),
    ],
)
def test_a_list_without_a_history_answers_since_its_last_change_and_says_when_that_was(
    own: Served, path: str, table: str
) -> None:
    client = own.client(own.viewer)
    rows, then = client.get(path).json()["rows"], now(own)
    change(own, "UPDATE securities SET name = name", "UPDATE breadth_counts SET priced = priced")  # what others show
    assert client.get(f"{path}&as_of={then}").json()["rows"] == rows
    change(own, f"UPDATE {table} SET computed_at = now()")
    refused = client.get(f"{path}&as_of={then}")
    assert refused.status_code == 400
    said = refused.json()["detail"]
    assert said.startswith(f"What this list said at {then[:10]} {then[11:19]} UTC is not kept: it changed at 20")
    assert refused.json()["next"].startswith("Leave as_of out for what it says now; ")
    assert client.get(f"{path}&as_of={now(own)}").json()["rows"] == rows


def test_rejected_rows_of_a_moment_are_those_that_were_found_by_then(own: Served) -> None:
    client = own.client(own.viewer)
    flag = (
        "INSERT INTO quarantined_bars (security_id, session, rule, evidence, fingerprint, status, run_id) "
        "SELECT security_id, session, '{}', '{{}}', 'f', 'quarantined', 'r' FROM bars ORDER BY 2 DESC, 1 LIMIT 1"
    )
    change(own, flag.format("spike"))
    before, then = client.get("/v1/rejected").json()["rows"], now(own)
    change(
        own,
        "UPDATE rejected_bars SET gone_at = now() WHERE symbol = 'AAA'",
        "UPDATE quarantined_bars SET status = 'released', run_id = NULL, decided_at = now(), decided_by = 'alice', "
        "reason = 'right' WHERE rule = 'spike'",
        flag.format("stale"),
        "INSERT INTO rejected_bars (fingerprint, source, symbol, reasons, run_id) VALUES ('1', 's', 'NEW', '{x}', 'r')",
    )

    def told(parameters: str) -> dict[str, str | None]:
        return {row["rejected_id"]: row["status"] for row in client.get(f"/v1/rejected{parameters}").json()["rows"]}

    was = {row["rejected_id"]: row["status"] for row in before}
    spike = next(name for name in was if name.endswith(":spike"))
    assert told(f"?as_of={then}") == {**was, spike: None}  # what it was before somebody decided is not kept
    assert told(f"?as_of={then}&status=rejected") == {name: said for name, said in was.items() if said == "rejected"}
    since = told(f"?as_of={now(own)}")
    assert since[spike] == "released"
    assert len(since) == len(told("")) == len(was) - len(told("?status=gone")) + 2
    assert told("?as_of=2020-01-01T00:00Z") == {}
    change(own, "INSERT INTO retentions (relation, dropped_before) VALUES ('rejected_bars', now())")
    refused = client.get(f"/v1/rejected?as_of={then}")
    assert (refused.status_code, "BREADTHFLOW_KEEP_REJECTED_DAYS" in refused.json()["detail"]) == (400, True)


def test_refused_lines_of_a_moment_are_those_that_were_refused_by_then(own: Served) -> None:
    client = own.client(own.viewer)
    line = "INSERT INTO rejected_counts (fingerprint, exchange, series, line, value, reason, run_id) VALUES ('{}'"
    line += ", 'NYSE', 'advn', 7, 'x', 'not a number', 'r')"
    change(own, line.format("early"))
    then = now(own)
    change(own, line.format("late"))
    found = [client.get(f"/v1/rejected/counts{asked}").json()["rows"] for asked in ("", f"?as_of={then}")]
    assert [[row["rejected_id"] for row in rows] for rows in found] == [["early", "late"], ["early"]]


def test_signals_are_those_of_the_store_by_every_filter(shared: Served, viewer: TestClient) -> None:
    stored = signal_listing.signals(shared.owner, None, None, "small", None, None)
    names = shapes.SIGNAL.names
    found = viewer.get("/v1/signals?limit=5000").json()["rows"]
    assert {row["signal_id"]: row for row in found} == {row["signal_id"]: row for row in plain(stored, names)}
    for name in ("segment", "rule", "action", "state"):
        value = stored[len(stored) // 2][name]
        some = viewer.get("/v1/signals", params={name: value, "limit": 5000}).json()["rows"]
        assert {row["signal_id"] for row in some} == {row["signal_id"] for row in stored if row[name] == value}
        assert some
    none = viewer.get("/v1/signals?from=2030-01-01")
    assert (none.status_code, none.json()) == (200, {"rows": [], "next": None})


def test_symbols_are_those_of_the_last_session_without_days(shared: Served, viewer: TestClient) -> None:
    stored = symbol_listing.symbol_signals(shared.owner, "small", None, None, None, None)
    found = viewer.get("/v1/symbols?universe=small").json()["rows"]
    assert {row["session"] for row in found} == {str(LAST)}
    by_id = {row["signal_id"]: row for row in plain(stored, shapes.SYMBOL.names)}
    assert {row["signal_id"]: row for row in found} == by_id
    one = viewer.get("/v1/symbols?universe=small&symbol=AAA&from=2023-12-01").json()["rows"]
    assert {row["symbol"] for row in one} == {"AAA"}
    assert len(one) == len([day for day in SESSIONS if day >= dt.date(2023, 12, 1)])


def test_symbols_of_a_segment_are_its_sector_s_members(shared: Served, viewer: TestClient) -> None:
    query = "SELECT sector, symbol FROM securities JOIN security_symbols USING (security_id)"
    sectors = {row["symbol"]: row["sector"] for row in rows_of(shared.owner, query)}
    whole = viewer.get("/v1/symbols?universe=small").json()["rows"]
    chosen = next(sectors[row["symbol"]] for row in whole if sectors[row["symbol"]])
    some = viewer.get("/v1/symbols", params={"universe": "small", "segment": chosen}).json()["rows"]
    assert some == [row for row in whole if sectors[row["symbol"]] == chosen]
    assert 0 < len(some) < len(whole)
    assert viewer.get("/v1/symbols?universe=small&segment=ALL").json()["rows"] == whole


def test_a_member_is_asked_for_by_the_name_of_the_day(own: Served) -> None:
    with own.owner.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE security_symbols SET valid_from = %s WHERE symbol = 'AAA' RETURNING security_id", (LAST,)
        )
        [(security,)] = cursor.fetchall()
        cursor.execute("INSERT INTO security_symbols VALUES (%s, 'WAS', '2020-01-01', %s)", (security, LAST))
    with own.client(own.viewer) as client:
        said = f"WAS became AAA on {LAST}. Ask for "
        answers = {
            "/v1/symbols?universe=small&symbol=WAS": (400, f"{said}AAA."),
            f"/v1/signals/small:WAS:{LAST}": (404, f"{said}small:AAA:{LAST}."),
            f"/v1/rejected?symbol=WAS&from={LAST}": (400, f"{said}AAA."),
        }
        for path, (status, told) in answers.items():
            found = client.get(path)
            assert (found.status_code, found.json()["detail"]) == (status, told), found.text


def test_pages_of_the_last_session_stay_with_it_when_another_one_comes(own: Served) -> None:
    client = own.client(own.viewer)
    path = "/v1/symbols?universe=small&limit=4"
    whole = client.get("/v1/symbols?universe=small").json()["rows"]
    first = client.get(path).json()
    with own.owner.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CALL add_yearly_partition('symbol_signals', 2024)")
        cursor.execute(
            "INSERT INTO symbol_signals (universe, session, security_id, action, confidence, strength, gated, "
            "convention) SELECT universe, session + 5, security_id, action, confidence, strength, gated, convention "
            "FROM symbol_signals WHERE session = %s",
            (LAST,),
        )
    rows, following = first["rows"], first["next"]
    while following is not None:
        page = client.get(f"{path}&cursor={following}").json()
        rows, following = rows + page["rows"], page["next"]
    assert rows == whole


def test_a_moment_that_is_none_is_refused_by_its_name_and_a_day_is_its_midnight(viewer: TestClient) -> None:
    refused = viewer.get("/v1/signals?as_of=yesterday")
    assert refused.status_code == 422
    assert "query.as_of: Value error, yesterday is not a moment; write it as 2024-03-01, " in refused.json()["detail"]
    early = viewer.get("/v1/signals?universe=small&as_of=2020-01-01")
    assert (early.status_code, early.json()["detail"][:26]) == (400, "At 2020-01-01 00:00:00 UTC")


def test_a_range_that_ends_before_it_begins_is_refused_as_everywhere(viewer: TestClient) -> None:
    found = viewer.get("/v1/signals?from=2023-02-02&to=2023-02-01")
    assert found.status_code == 400
    assert found.json()["detail"] == "The range ends on 2023-02-01, before it begins on 2023-02-02."


@pytest.mark.parametrize("what", ["signals", "outcomes", "accuracy", "backtests"])
def test_a_rule_that_does_not_exist_is_refused(viewer: TestClient, what: str) -> None:
    found = viewer.get(f"/v1/{what}?rule=nope")
    assert found.status_code == 400
    assert found.json()["detail"].startswith("Rule nope is unknown; there are: zweig_breadth_thrust, ")


@pytest.mark.parametrize("what", ["outcomes", "accuracy", "backtests"])
def test_what_became_of_signals_is_in_the_store(shared: Served, viewer: TestClient, what: str) -> None:
    table, shape = {
        "outcomes": ("signal_outcomes", shapes.OUTCOME),
        "accuracy": ("signal_accuracy", shapes.ACCURACY),
        "backtests": ("backtests", shapes.BACKTEST),
    }[what]
    found = all_pages(viewer, f"/v1/{what}", 5000)
    stored = plain(rows_of(shared.owner, f"SELECT *, false AS synthetic FROM {table}"), shape.names)
    assert sorted(map(str, found)) == sorted(map(str, stored))
    rule = stored[0]["rule"]
    some = all_pages(viewer, f"/v1/{what}?rule={rule}&universe=small", 5000)
    assert len(some) == len([row for row in stored if row["rule"] == rule])
    if what != "backtests":
        quarter = all_pages(viewer, f"/v1/{what}?horizon=63", 5000)
        assert len(quarter) == len([row for row in stored if row["horizon"] == 63]) > 0


def test_rejected_rows_are_listed_with_their_reasons(shared: Served, viewer: TestClient) -> None:
    found = viewer.get("/v1/rejected").json()["rows"]
    shown = [name for name in shapes.REJECTED.names if name not in ("rejected_id", "found_at")]
    stored = plain(rejected(shared.owner, None, None), shown)
    assert sorted(map(str, ({name: row[name] for name in shown} for row in found))) == sorted(map(str, stored))
    [high] = viewer.get("/v1/rejected?reason=HIGH BELOW&symbol=AAA").json()["rows"]
    assert (high["session"], high["high"], high["low"]) == ("2023-02-10", 40.0, 60.0)
    assert viewer.get("/v1/rejected?status=gone").json()["rows"] == []
    assert viewer.get("/v1/rejected?universe=nope").status_code == 400


def test_rejected_rows_of_a_universe_are_those_of_its_members(own: Served) -> None:
    client = own.client(own.viewer)
    of_members = client.get("/v1/rejected?universe=small").json()["rows"]
    row = (
        "INSERT INTO rejected_bars (fingerprint, source, symbol, reasons, run_id) VALUES ('1', 's', '{}', '{{x}}', 'r')"
    )
    change(own, row.format("OTHER"))
    assert client.get("/v1/rejected?universe=small").json()["rows"] == of_members
    assert len(client.get("/v1/rejected").json()["rows"]) > len(of_members) > 0
    change(own, "UPDATE security_symbols SET symbol = 'OTHER' WHERE symbol = 'AAA'")  # a member under another name
    assert "OTHER" in {row["symbol"] for row in client.get("/v1/rejected?universe=small").json()["rows"]}


def test_readers_who_may_see_no_bars_see_reasons_without_values(own: Served) -> None:
    upgrade(own.owner, reader_sees_bars=False)
    settings = own.service.settings.model_copy(update={"reader_sees_bars": False})
    client = replace(own, service=replace(own.service, settings=settings)).client(own.viewer)
    rows = client.get("/v1/rejected").json()["rows"]
    assert rows
    assert all(row["reason"] for row in rows)
    assert {row[name] for row in rows for name in ("open", "high", "low", "close", "volume", "raw")} == {None}


def test_sessions_say_how_much_of_each_is_there(shared: Served, viewer: TestClient) -> None:
    rows = all_pages(viewer, "/v1/sessions?universe=small", 100)
    assert [row["session"] for row in rows] == [str(day) for day in SESSIONS]
    stored = rows_of(
        shared.owner, "SELECT members, priced, coverage FROM breadth_counts WHERE segment = 'ALL' ORDER BY session"
    )
    assert [{name: row[name] for name in ("members", "priced", "coverage")} for row in rows] == stored


def test_invented_companies_are_labelled_in_every_row(own: Served) -> None:
    client = own.client(own.viewer)
    lists = [path for path, shape in LISTS.items() if "synthetic" in shape.names]
    assert {row["synthetic"] for path in lists for row in client.get(path).json()["rows"]} == {False}
    with own.owner.connect() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE securities SET synthetic = true")
    for path in lists:
        assert {row["synthetic"] for row in client.get(path).json()["rows"]} == {True}


def test_lines_of_published_counts_that_were_refused(own: Served) -> None:
    client = own.client(own.viewer)
    assert client.get("/v1/rejected/counts").json() == {"rows": [], "next": None}
    with own.owner.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO rejected_counts (fingerprint, exchange, series, line, session, value, reason, run_id) "
            "VALUES ('a', 'NYSE', 'advn', 3, '2023-01-03', '-1', 'below zero', 'r'), "
            "('b', 'NYSE', 'advn', 2, NULL, NULL, 'no date', 'r')"
        )
    rows = client.get("/v1/rejected/counts").json()["rows"]
    assert [(row["file"], row["line"], row["reason"]) for row in rows] == [
        ("NYSE_advn.csv", 2, "no date"),
        ("NYSE_advn.csv", 3, "below zero"),
    ]
    assert client.get("/v1/rejected/counts?exchange=NASDAQ").json()["rows"] == []
    assert [row["line"] for row in client.get("/v1/rejected/counts?reason=ZERO").json()["rows"]] == [3]
