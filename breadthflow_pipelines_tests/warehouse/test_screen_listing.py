"""Screens hold the last sessions and no others, of the universe as a whole, and are found without reading tables."""

import datetime as dt
from dataclasses import replace

import pytest

from breadthflow_pipelines.errors import BusyError
from breadthflow_pipelines.warehouse import breadth_listing, contents_listing, screen_listing, signal_listing
from breadthflow_pipelines.warehouse.addresses import with_session
from breadthflow_pipelines.warehouse.database import Database, rows_of
from breadthflow_pipelines_tests.api.page.conftest import fill

SESSIONS = 300


@pytest.fixture
def stored(database: Database) -> Database:
    fill(database, ("one", "other"), SESSIONS)
    return database


def test_every_universe_stands_where_its_last_session_is(stored: Database) -> None:
    scores = {(row["universe"], row["rule"]): row for row in signal_listing.last_scores(stored)}
    found = screen_listing.standings(stored)
    assert [row["universe"] for row in found] == ["one", "other"]
    for row in found:
        assert row["session"] == dt.date(2022, 1, 3) + dt.timedelta(days=SESSIONS - 1)
        assert (row["members"], row["priced"], row["coverage"], row["synthetic"]) == (300, 300, 1.0, False)
        for rule, name in (("breadth_score", "score"), ("conviction", "conviction")):
            known = scores[row["universe"], rule]
            assert (row[name], row[f"{name}_action"]) == (known["value"], known["action"])
    assert screen_listing.standings(stored) == found


def test_a_measure_that_lags_is_not_told_of_the_last_session_and_keeps_its_evidence(stored: Database) -> None:
    last = dt.date(2022, 1, 3) + dt.timedelta(days=SESSIONS - 1)
    with stored.connect() as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM market_signals WHERE rule = 'breadth_score' AND session = %s", (last,))
    for row in screen_listing.standings(stored):
        assert (row["session"], row["score"], row["score_action"]) == (last, None, None)
        assert row["conviction"] is not None
    found = screen_listing.screen(stored, "one", 10)
    assert found is not None
    whole = contents_listing.page_contents(stored, "one").signals.iter_rows(named=True)
    for signals in (found.signals, list(whole)):
        told = {row["rule"]: row["session"] for row in signals if row["evidence"] is not None}
        assert told["breadth_score"] == last - dt.timedelta(days=1)
        assert told["conviction"] == last
    with stored.connect() as connection, connection.cursor() as cursor:  # counted again, and signals follow later
        cursor.execute("DELETE FROM breadth_indicators WHERE session = %s", (last,))
    found = screen_listing.screen(stored, "one", 10)
    assert found is not None
    told = {row["rule"]: row["session"] for row in found.signals if row["evidence"] is not None}
    assert {told["breadth_score"], told["conviction"]} == {last - dt.timedelta(days=1)}


def test_an_empty_store_has_no_universe_and_no_screen(database: Database) -> None:
    assert screen_listing.standings(database) == []
    assert screen_listing.screen(database, "one", 10) is None


def test_a_screen_that_takes_too_long_is_refused_as_any_other_question(stored: Database) -> None:
    hasty = replace(stored, url=with_session(stored.url, statement_timeout="1ms"))
    with pytest.raises(BusyError, match="did not answer in time"):
        screen_listing.screen(hasty, "one", None)


@pytest.mark.parametrize(("asked", "given"), [(10, 10), (1, 1), (SESSIONS + 50, SESSIONS), (None, SESSIONS)])
def test_a_screen_holds_the_last_sessions(stored: Database, asked: int | None, given: int) -> None:
    found = screen_listing.screen(stored, "one", asked)
    assert found is not None
    every = breadth_listing.breadth(stored, "one", None, None, "ALL", ["session", "advances", "zweig_ema"])
    shown = [{name: row[name] for name in ("session", "advances", "zweig_ema")} for row in found.breadth]
    assert shown == [{name: row[name] for name in shown[0]} for row in every[-given:]]
    first = shown[0]["session"]
    signals = signal_listing.signals(stored, first, None, "one", "ALL", None)
    assert {row["signal_id"] for row in found.signals} == {row["signal_id"] for row in signals}
    assert {row["segment"] for row in found.sectors} == set(screen_listing.segments(stored, "one")) - {"ALL"}
    assert len(found.sectors) == 2 * given


def test_scores_bring_their_evidence_for_the_last_session_alone(stored: Database) -> None:
    found = screen_listing.screen(stored, "one", None)
    assert found is not None
    scores = [row for row in found.signals if row["rule"] in ("breadth_score", "conviction")]
    last = found.breadth[-1]["session"]
    assert {row["session"] for row in scores if row["evidence"] is not None} == {last}
    assert all(row["evidence"] for row in found.signals if row not in scores)


def test_what_the_screen_says_is_known_since_its_last_change(stored: Database) -> None:
    found = screen_listing.screen(stored, "one", 10)
    assert found is not None
    later = "UPDATE market_signals SET computed_at = now() + interval '1 hour' WHERE universe = 'one' AND session = %s"
    for session, moves in ((dt.date(2022, 1, 10), False), (found.breadth[-1]["session"], True)):
        with stored.connect() as connection, connection.cursor() as cursor:
            cursor.execute(later, (session,))
        again = screen_listing.screen(stored, "one", 10)
        assert again is not None
        assert (again.known_at > found.known_at) == moves


def test_no_table_is_read_whole(stored: Database) -> None:
    with stored.connect() as connection, connection.cursor() as cursor:
        cursor.execute("ANALYZE; SET LOCAL enable_seqscan = off")
        values = {"all": "ALL", "score": "breadth_score", "conviction": "conviction", "universe": "one"}
        values |= {"first": dt.date(2022, 10, 1), "last": dt.date(2022, 10, 29), "before": 9, "era": "all"}  # type: ignore[dict-item]
        for name in ("STANDINGS", "REACH", "BREADTH", "SIGNALS", "SECTORS", "RETURNS", "KNOWN", "SEGMENTS"):
            cursor.execute(f"EXPLAIN {getattr(screen_listing, f'_{name}')}", values)
            plan = "\n".join(line for (line,) in cursor.fetchall())
            for table in ("breadth_indicators", "breadth_counts", "market_signals", "universe_returns"):
                assert f"Seq Scan on {table}" not in plan, f"{name}\n{plan}"


def test_a_list_of_signals_goes_on_where_it_was_left(stored: Database) -> None:
    stored_ids = [
        row["signal_id"]
        for row in rows_of(
            stored,
            "SELECT signal_id FROM market_signals WHERE universe = 'one' AND segment = 'Energy' "
            "ORDER BY session DESC, rule DESC",
        )
    ]
    rules = [row["rule"] for row in rows_of(stored, "SELECT DISTINCT rule FROM market_signals")]
    listed: list[str] = []
    before = None
    while True:
        page = screen_listing.signals_listed(
            stored, "one", "Energy", rules=rules, action=None, first=None, last=None, before=before, most=37
        )
        listed += [row["signal_id"] for row in page]
        if len(page) < 37:
            break
        before = (page[-1]["session"], page[-1]["rule"])
    assert listed == stored_ids
    assert len(stored_ids) > 37
