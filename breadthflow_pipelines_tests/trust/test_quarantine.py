"""What becomes of findings: bounded by rule and month, decisions kept for the values that they were made for."""

import datetime as dt

import polars as pl
import pytest

from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.trust.quarantine import excessive, settle, turned, undecided

DAYS = exchange_calendar("XNYS").between(dt.date(2024, 1, 2), dt.date(2024, 2, 29))
DAY, MONTH = DAYS[5], dt.date(2024, 1, 1)
EARLIER, NOW = dt.datetime(2024, 3, 1, 20, tzinfo=dt.UTC), dt.datetime(2024, 3, 2, 20, tzinfo=dt.UTC)
STORED = {
    "security_id": pl.Int64,
    "session": pl.Date,
    "rule": pl.String,
    "evidence": pl.String,
    "fingerprint": pl.String,
    "status": pl.String,
    "run_id": pl.String,
    "found_at": pl.Datetime("us", "UTC"),
    "decided_at": pl.Datetime("us", "UTC"),
    "decided_by": pl.String,
    "reason": pl.String,
}
FOUND = {name: STORED[name] for name in ("security_id", "session", "rule", "evidence")}
NO_EXCESS = pl.DataFrame(schema={"rule": pl.String, "month": pl.Date})
TOO_MANY = pl.DataFrame({"rule": ["spike"], "month": [MONTH]})


def findings(*bars: tuple[str, dt.date]) -> pl.DataFrame:
    """rule, session, security_id of each, every one of another security."""
    found = pl.DataFrame(list(bars), schema={"rule": pl.String, "session": pl.Date}, orient="row")
    return found.with_row_index("security_id")


def sessions(bars: int) -> pl.DataFrame:
    return pl.DataFrame({"session": DAYS, "bars": [bars] * len(DAYS)})


JANUARY = [day for day in DAYS if day.month == 1]  # 21 sessions
FEBRUARY = [day for day in DAYS if day.month == 2]


@pytest.mark.parametrize(
    ("found", "bars", "expected"),
    [
        ([("spike", day) for day in JANUARY[:5]], 10, []),  # few, in a small market
        ([("spike", day) for day in JANUARY[:6]], 10, [("spike", MONTH)]),
        ([("spike", day) for day in JANUARY[:6]], 500, []),  # 0.1 % of 10,500 bars are 10
        ([("spike", day) for day in JANUARY[:11]], 500, [("spike", MONTH)]),
        ([("spike", DAY)] * 3, 10, []),  # few in one session
        ([("spike", DAY)] * 4, 10, [("spike", MONTH)]),
        ([("spike", DAY)] * 5, 500, []),  # 1 % of 500
        ([("spike", DAY)] * 6, 500, [("spike", MONTH)]),
        ([("spike", day) for day in (*JANUARY[-4:], *FEBRUARY[:4])], 10, []),  # each month by itself
        ([(rule, DAY) for rule in ("spike", "stale") for _ in range(3)], 10, []),  # each rule by itself
        ([("spike", DAY), *[("stale", DAY)] * 4], 10, [("stale", MONTH)]),
        ([], 10, []),
    ],
)
def test_a_rule_that_finds_too_many_is_named_with_the_month(
    found: list[tuple[str, dt.date]], bars: int, expected: list[tuple[str, dt.date]]
) -> None:
    assert excessive(findings(*found), sessions(bars)).rows() == expected


def test_one_security_that_repeats_itself_all_month_is_one_fault() -> None:
    one = findings(*[("stale", day) for day in JANUARY]).with_columns(security_id=pl.lit(1))
    assert excessive(one, sessions(10)).is_empty()
    six = pl.concat([one.with_columns(security_id=pl.lit(number)) for number in range(6)])
    assert excessive(six, sessions(10)).rows() == [("stale", MONTH)]


def stored(status: str, fingerprint: str = "a", *, rule: str = "spike") -> pl.DataFrame:
    decided = (EARLIER, "ann", "looked it up") if status in ("released", "confirmed") else (None, None, None)
    row = (1, DAY, rule, '{"old": 1}', fingerprint, status, "run 1", EARLIER, *decided)
    return pl.DataFrame([row], schema=STORED, orient="row")


NOTHING_STORED = pl.DataFrame(schema=STORED)
IS_FOUND = pl.DataFrame([(1, DAY, "spike", '{"new": 2}')], schema=FOUND, orient="row")
NOT_FOUND = pl.DataFrame(schema=FOUND)


def settled(found: pl.DataFrame, before: pl.DataFrame, bar: str | None, excess: pl.DataFrame = NO_EXCESS) -> dict:  # type: ignore[type-arg]
    values = pl.DataFrame({"security_id": [1], "session": [DAY], "fingerprint": [bar]}).drop_nulls()
    rows = settle(found, before, values, excess, run_id="run 2", now=NOW)
    assert rows.columns == list(STORED)
    return rows.row(0, named=True)


@pytest.mark.parametrize(
    ("found", "before", "bar", "excess", "status", "changes"),
    [
        (IS_FOUND, NOTHING_STORED, "a", NO_EXCESS, "quarantined", True),  # new
        (IS_FOUND, NOTHING_STORED, "a", TOO_MANY, "proposed", False),  # nothing of the rule is applied
        (IS_FOUND, stored("quarantined"), "a", NO_EXCESS, "quarantined", False),  # found again
        (IS_FOUND, stored("quarantined"), "b", NO_EXCESS, "quarantined", False),  # other values, as false as before
        (IS_FOUND, stored("quarantined"), "a", TOO_MANY, "proposed", True),  # the month's others came later
        (IS_FOUND, stored("proposed"), "a", NO_EXCESS, "quarantined", True),
        (NOT_FOUND, stored("quarantined"), "b", NO_EXCESS, "lapsed", True),  # the source corrected it
        (NOT_FOUND, stored("quarantined"), "a", NO_EXCESS, "lapsed", True),  # or a bar beside it
        (NOT_FOUND, stored("quarantined"), None, NO_EXCESS, "lapsed", True),  # the bar is gone
        (NOT_FOUND, stored("proposed"), "b", NO_EXCESS, "lapsed", False),
        (NOT_FOUND, stored("lapsed"), "b", NO_EXCESS, "lapsed", False),
        (IS_FOUND, stored("lapsed"), "b", NO_EXCESS, "quarantined", True),  # and brought the false value back
        (IS_FOUND, stored("released"), "a", NO_EXCESS, "released", False),  # decided for these values
        (IS_FOUND, stored("released"), "a", TOO_MANY, "released", False),
        (IS_FOUND, stored("released"), "b", NO_EXCESS, "quarantined", True),  # for others
        (IS_FOUND, stored("confirmed"), "a", TOO_MANY, "confirmed", False),
        (NOT_FOUND, stored("confirmed"), "a", NO_EXCESS, "confirmed", False),  # no rule has to agree
        (NOT_FOUND, stored("confirmed"), "b", NO_EXCESS, "lapsed", True),
        (NOT_FOUND, stored("released"), "a", NO_EXCESS, "released", False),
        (NOT_FOUND, stored("released"), "b", NO_EXCESS, "lapsed", False),
    ],
)
def test_a_finding_meets_what_is_stored(
    found: pl.DataFrame, before: pl.DataFrame, bar: str | None, excess: pl.DataFrame, status: str, changes: bool
) -> None:
    row = settled(found, before, bar, excess)
    assert row["status"] == status
    after = pl.DataFrame([list(row.values())], schema=STORED, orient="row")
    assert turned(before, after).rows() == ([(1, DAY)] if changes else [])
    signed = status in ("released", "confirmed")
    assert [row[name] is not None for name in ("decided_at", "decided_by", "reason")] == [signed] * 3


def test_a_rule_that_only_doubts_leaves_nothing_out_and_can_be_decided() -> None:
    doubt, values = IS_FOUND.with_columns(rule=pl.lit("scale")), pl.DataFrame({"security_id": [1], "session": [DAY]})
    prints = values.with_columns(fingerprint=pl.lit("a"))
    for before, excess, status in (
        (NOTHING_STORED, NO_EXCESS, "doubted"),
        (stored("doubted", rule="scale"), NO_EXCESS, "doubted"),
        (stored("released", rule="scale"), NO_EXCESS, "released"),
        (stored("confirmed", rule="scale"), NO_EXCESS, "confirmed"),
        (NOTHING_STORED, TOO_MANY.with_columns(rule=pl.lit("scale")), "proposed"),  # a feed that changed its unit
    ):
        rows = settle(doubt, before, prints, excess, run_id="run 2", now=NOW, doubts=("scale",))
        assert rows["status"].to_list() == [status]
    assert turned(NOTHING_STORED, stored("doubted", rule="scale")).is_empty()
    assert turned(stored("doubted", rule="scale"), stored("confirmed", rule="scale")).rows() == [(1, DAY)]


def test_a_finding_keeps_its_date_and_what_changed_has_its_run() -> None:
    again = settled(IS_FOUND, stored("quarantined"), "a")
    assert (again["found_at"], again["evidence"], again["run_id"]) == (EARLIER, '{"new": 2}', "run 2")
    changed = settled(IS_FOUND, stored("quarantined"), "b")
    assert (changed["found_at"], changed["fingerprint"]) == (NOW, "b")
    gone = settled(NOT_FOUND, stored("quarantined"), "b")
    assert (gone["found_at"], gone["fingerprint"], gone["evidence"]) == (EARLIER, "a", '{"old": 1}')
    decided = settled(IS_FOUND, stored("released"), "a")
    assert (decided["evidence"], decided["run_id"], decided["decided_by"]) == ('{"old": 1}', "run 1", "ann")


def test_a_bar_that_another_rule_speaks_against_too_changes_nothing_for_what_is_made_of_it() -> None:
    one, other = stored("quarantined"), stored("confirmed", rule="stale")
    assert turned(one, pl.concat([one, other])).is_empty()
    assert turned(pl.concat([one, other]), other).is_empty()
    assert turned(one, other.with_columns(status=pl.lit("released"))).rows() == [(1, DAY)]


def test_decided_findings_do_not_count_against_the_bound() -> None:
    found = IS_FOUND.with_columns(fingerprint=pl.lit("a"))
    assert undecided(found, stored("confirmed")).is_empty()
    assert undecided(found, stored("released")).is_empty()
    assert undecided(found, stored("released", "b")).height == 1
    assert undecided(found, stored("quarantined")).height == 1
    assert undecided(found, stored("released", rule="stale")).height == 1
