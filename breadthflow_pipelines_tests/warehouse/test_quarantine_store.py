"""What is computed reads sound bars alone; what people decide is signed, kept, and refused where it makes no sense."""

import datetime as dt

import polars as pl
import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.datasets import FOLLOWERS
from breadthflow_pipelines.warehouse import (
    bar_store,
    decisions,
    member_store,
    quarantine_store,
    recomputations,
    rejections,
    security_store,
)
from breadthflow_pipelines.warehouse.bulk import fetch
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines_tests.warehouse.frames import bars, listing, members

ASSETS = FOLLOWERS["bars"]
D1, D2, D3, D4 = (dt.date(2024, 1, n) for n in (2, 3, 4, 5))
TWO = listing((1, "A", "AAA", None, "2024-01-04"), (1, "A", "AX", "2024-01-04", None), (2, "B", "BBB", None, None))


@pytest.fixture
def held(database: Database) -> Database:
    """Two members with four bars each; a rule flagged A's second."""
    security_store.record_securities(database, TWO, synthetic=False)
    security_store.record_members(database, members(("u", 1, "2020-01-01", None), ("u", 2, "2020-01-01", None)))
    rows = bars(*[(n, str(day), 10.0 * n + day.day) for n in (1, 2) for day in (D1, D2, D3, D4)])
    bar_store.load_bars(database, rows, "s", "run 1")
    for asset in ASSETS:
        recomputations.done(database, asset, recomputations.due(database, asset))
    store_finding(database)
    return database


def store_finding(database: Database, state: str = "quarantined", rule: str = "spike", day: dt.date = D2) -> None:
    print_ = quarantine_store.fingerprints(database, pl.DataFrame({"security_id": [1], "session": [day]}))
    row = print_.with_columns(
        rule=pl.lit(rule),
        evidence=pl.lit('{"factor": 3.0}'),
        status=pl.lit(state),
        run_id=pl.lit("run 1"),
    )
    quarantine_store.record_findings(database, row, row.clear())


def sound(database: Database) -> set[tuple[int, dt.date]]:
    return set(fetch(database, "SELECT security_id, session FROM sound_bars").rows())


def execute(database: Database, statement: str) -> None:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    ("state", "left_out"),
    [
        ("proposed", False),
        ("quarantined", True),
        ("doubted", False),
        ("released", False),
        ("confirmed", True),
        ("lapsed", False),
    ],
)
def test_only_what_is_quarantined_or_confirmed_is_left_out(held: Database, state: str, left_out: bool) -> None:
    signed = "now(), 'ann', 'why'" if state in ("released", "confirmed") else "NULL, NULL, NULL"
    execute(held, f"UPDATE quarantined_bars SET status = '{state}', (decided_at, decided_by, reason) = ROW({signed})")
    assert ((1, D2) not in sound(held)) == left_out
    assert len(sound(held)) == (7 if left_out else 8)


def test_whatever_computes_does_not_see_the_bar(held: Database) -> None:
    counted = bar_store.bars_to_count(held, D2, D4, 252, [1, 2])
    assert sorted(counted.filter(security_id=1)["session"]) == [D1, D3, D4]
    assert sorted(bar_store.bars_to_count(held, D4, D4, 2, [1, 2]).filter(security_id=1)["session"]) == [D1, D3, D4]
    histories = bar_store.histories(held, D1, D4, "formulas", 252).sort("security_id")
    assert histories.rows() == [(1, dt.date.min, 3, D1), (2, dt.date.min, 4, D1)]
    assert bar_store.bars_from(held, histories.head(1), D4)["session"].to_list() == [D1, D3, D4]
    index = bar_store.index_closes(held, {"u": "AAA"}, D1, D4)
    assert index["session"].to_list() == [D1]  # AAA's second is out, and from the third on it is AX
    assert bar_store.sessions_held(held, D2, D2, synthetic=False)["bars"].to_list() == [2]  # it is there all the same


def test_members_with_a_quarantined_bar_have_no_close_to_judge(held: Database) -> None:
    execute(
        held,
        "CREATE TABLE price_indicators_2024 PARTITION OF price_indicators "
        "FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"
        "INSERT INTO price_indicators (universe, session, security_id, convention) "
        "SELECT 'u', session, security_id, 1 FROM bars",
    )
    told = member_store.members_with_indicators(held, ["close"], D1, D4)
    assert (1, D2) not in set(told.select("security_id", "session").rows())
    assert told.height == 7


def test_bars_to_judge_are_all_bars_and_those_beside_them(held: Database) -> None:
    judged = quarantine_store.bars_to_judge(held, D3, D3, before=1, after=1).sort("security_id", "session")
    assert judged.select("security_id", "session").rows() == [(n, day) for n in (1, 2) for day in (D2, D3, D4)]
    assert judged.columns == ["security_id", "session", "open", "high", "low", "close", "volume"]


def test_of_a_security_without_a_bar_in_these_days_none_is_judged(held: Database) -> None:
    execute(held, f"DELETE FROM bars WHERE security_id = 2 AND session IN ('{D2}', '{D3}')")
    judged = quarantine_store.bars_to_judge(held, D2, D3, before=1, after=1).sort("security_id", "session")
    assert judged.select("security_id", "session").rows() == [(1, day) for day in (D1, D2, D3, D4)]


def test_a_dividend_is_no_other_bar_and_another_price_is(held: Database) -> None:
    key = pl.DataFrame({"security_id": [1], "session": [D1]})
    before = quarantine_store.fingerprints(held, key)["fingerprint"].item()
    execute(held, f"UPDATE bars SET close_adjusted = 3 WHERE security_id = 1 AND session = '{D1}'")
    assert quarantine_store.fingerprints(held, key)["fingerprint"].item() == before
    execute(held, f"UPDATE bars SET low = low - 0.01 WHERE security_id = 1 AND session = '{D1}'")
    assert quarantine_store.fingerprints(held, key)["fingerprint"].item() != before


def test_storing_the_same_findings_again_changes_nothing(held: Database) -> None:
    settled = quarantine_store.findings(held, D1, D4)
    merged = quarantine_store.record_findings(held, settled, settled.clear())
    assert (merged.inserted, merged.updated, merged.deleted) == (0, 0, 0)


def test_a_released_bar_is_sound_signed_and_to_be_counted_again(held: Database) -> None:
    rows = decisions.decide_bar(held, "AAA", D2, "released", "ann", "a take-over")
    assert [(row["rule"], row["status"], row["due"]) for row in rows] == [("spike", "released", True)]
    assert (1, D2) in sound(held)
    assert {asset for asset in ASSETS if recomputations.due(held, asset).first == D2} == {
        *("breadth_counts", "universe_returns", "price_indicators", "symbol_signals", "symbol_calibration"),
    }
    told = rejections.rejected(held, None, None, status="released")[0]
    assert (told["symbol"], told["decided_by"], told["decision"], told["reason"]) == (
        "AAA",
        "ann",
        "a take-over",
        "spike",
    )


def test_a_decision_is_about_the_bar_whatever_rules_speak_against_it(held: Database) -> None:
    store_finding(held, rule="stale")
    assert len(decisions.decide_bar(held, "AAA", D2, "released", "ann", "why")) == 2
    assert (1, D2) in sound(held)


def test_confirming_what_is_left_out_needs_no_new_count(held: Database) -> None:
    rows = decisions.decide_bar(held, "AAA", D2, "confirmed", "ann", "seen")
    assert [row["due"] for row in rows] == [False]
    assert not any(recomputations.due(held, asset).first for asset in ASSETS)


def test_a_bar_that_no_rule_found_can_be_confirmed_and_released_again(held: Database) -> None:
    for _ in range(2):  # again after the bar changed and the decision lapsed
        rows = decisions.decide_bar(held, "AX", D4, "confirmed", "ann", "no such trade")
        assert [(row["rule"], row["due"]) for row in rows] == [(decisions.BY_HAND, True)]
        assert (1, D4) not in sound(held)
        execute(
            held,
            "UPDATE quarantined_bars SET status = 'lapsed', decided_at = NULL, decided_by = NULL, reason = NULL "
            "WHERE rule = 'by hand'",
        )
    decisions.decide_bar(held, "AX", D4, "confirmed", "ann", "no such trade")
    decisions.decide_bar(held, "AX", D4, "released", "ben", "there was")
    assert (1, D4) in sound(held)


def test_proposals_are_decided_together_or_by_rule(held: Database) -> None:
    store_finding(held, "proposed", "stale", D1)
    store_finding(held, "proposed", "spike", D3)
    rows = decisions.decide_proposals(held, "stale", "confirmed", "ann", "a copied file")
    assert [(row["session"], row["due"]) for row in rows] == [(D1, True)]
    rows = decisions.decide_proposals(held, None, "released", "ann", "a split")
    assert [(row["session"], row["due"]) for row in rows] == [(D3, False)]
    with pytest.raises(RequestError, match="Nothing is proposed by the rule stale"):
        decisions.decide_proposals(held, "stale", "confirmed", "ann", "why")


@pytest.mark.parametrize(
    ("symbol", "day", "decision", "words"),
    [
        ("ZZZ", D2, "released", "Nobody was called ZZZ on 2024-01-03"),
        # its name from the fourth on
        ("AX", D2, "released", "Nobody was called AX on 2024-01-03. AX was AAA until 2024-01-03. Write AAA."),
        ("AAA", dt.date(2023, 12, 29), "confirmed", "AAA has no bar on 2023-12-29"),
        ("BBB", D2, "released", "No rule flags BBB on 2024-01-03"),
    ],
)
def test_what_cannot_be_decided_is_refused(
    held: Database, symbol: str, day: dt.date, decision: str, words: str
) -> None:
    with pytest.raises(RequestError, match=words):
        decisions.decide_bar(held, symbol, day, decision, "ann", "why")


@pytest.mark.parametrize("typed", ["A.A", "A/A", "A A"])
def test_a_bar_is_decided_and_listed_under_any_spelling_of_its_symbol(database: Database, typed: str) -> None:
    security_store.record_securities(database, listing((1, "A-A", "A-A", None, None)), synthetic=False)
    bar_store.load_bars(database, bars((1, str(D1), 10.0)), "s", "run 1")
    decisions.decide_bar(database, typed, D1, "confirmed", "ann", "why")
    assert [row["symbol"] for row in rejections.rejected(database, None, None, symbol=typed)] == ["A-A"]


def test_a_symbol_that_may_be_two_is_named_and_not_guessed(database: Database) -> None:
    both = listing((1, "A-A", "A-A", None, None), (2, "A.A", "A.A", None, None))
    security_store.record_securities(database, both, synthetic=False)
    with pytest.raises(RequestError, match=r"A/A may be A-A or A.A: write it as the source does"):
        decisions.decide_bar(database, "A/A", D1, "confirmed", "ann", "why")


def test_the_list_has_rows_that_broke_the_contract_and_bars_that_rules_speak_against(held: Database) -> None:
    execute(
        held,
        "INSERT INTO rejected_bars (fingerprint, source, symbol, session, low, reasons, run_id) "
        "VALUES ('f', 'other', 'BBB', '2024-01-05', 1, ARRAY['high below low', 'close outside the bar'], 'r')",
    )
    every = rejections.rejected(held, None, None)
    assert [(row["symbol"], row["reason"], row["status"]) for row in every] == [
        ("AAA", "spike", "quarantined"),
        ("BBB", "high below low; close outside the bar", "rejected"),
    ]
    assert every[0]["evidence"] == {"factor": 3.0}
    assert len(rejections.rejected(held, D3, D4)) == 1
    assert len(rejections.rejected(held, None, None, source="other")) == 1
    assert len(rejections.rejected(held, None, None, reason="OUTSIDE")) == 1
    assert len(rejections.rejected(held, None, None, symbol="AAA", status="quarantined")) == 1
    assert rejections.rejected(held, None, None, status="lapsed") == []
    execute(held, "UPDATE quarantined_bars SET status = 'lapsed'")
    assert len(rejections.rejected(held, None, None)) == 1
    assert len(rejections.rejected(held, None, None, status="lapsed")) == 1


def keep_state(database: Database, day: dt.date, formulas: str = "ours") -> None:
    states = pl.DataFrame(
        {"security_id": [1], "session": [day], "states": [[1.0, 2.0]], "formulas": [formulas]},
        schema_overrides={"security_id": pl.Int64},
    )
    days, securities = (dt.date(2024, 1, 1), D4), [1]
    member_store.record_recursion_states(database, states, days=days, securities=securities, and_later=False)


@pytest.mark.parametrize(
    ("state", "formulas", "window", "first", "bars"),
    [
        (D3, "ours", 1, D3, 2),
        (D1, "ours", 1, D1, 3),  # a window that begins later does not help
        (D3, "ours", 2, D1, 3),  # D2 is out, so the second bar before D4 is of D1
        (D3, "ours", 3, dt.date.min, 3),  # less than a window: the history is short
        (D3, "theirs", 1, dt.date.min, 3),  # of other definitions
        (D4, "ours", 1, dt.date.min, 3),  # not before the start
        (D2, "ours", 1, dt.date.min, 3),  # its bar is out
    ],
)
def test_recursions_go_on_from_a_sound_bar_before_the_start(
    held: Database, state: dt.date, formulas: str, window: int, first: dt.date, bars: int
) -> None:
    keep_state(held, state, formulas)
    since = max(first, D1)
    histories = bar_store.histories(held, D4, D4, "ours", window)
    assert histories.filter(security_id=1).rows() == [(1, first, bars, since)]
    known = bar_store.states_before(held, [1, 2], D4, "ours")
    usable = state in (D1, D3) and formulas == "ours"
    assert known.rows() == ([(1, state, [1.0, 2.0])] if usable else [])


def test_what_is_kept_of_recursions_is_what_was_said_last(held: Database) -> None:
    keep_state(held, D1)
    keep_state(held, D3)
    kept = fetch(held, "SELECT session, formulas FROM recursion_states")
    assert kept.rows() == [(D3, "ours")]
