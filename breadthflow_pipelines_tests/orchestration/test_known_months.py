"""A month is computed again where its rows, or what they are made of, changed by whatever hand; and else it is not."""

import datetime as dt

import polars as pl
import pytest

from breadthflow_pipelines.orchestration import known_months
from breadthflow_pipelines.orchestration.holds import AssetHolds
from breadthflow_pipelines.orchestration.partitions import Span
from breadthflow_pipelines.warehouse import computed_months
from breadthflow_pipelines_tests.orchestration.conftest import Contents, Store, assert_same
from breadthflow_pipelines_tests.orchestration.small_market import FIRST, LAST, SESSIONS

ASKING = ("quarantined_bars", "price_indicators", "symbol_signals", "symbol_calibration")
WHOLE = Span(FIRST, LAST, LAST)
MONTHS = len(WHOLE.months)
SOME = "(SELECT max(security_id) FROM price_indicators)"


@pytest.fixture
def known(filled: Store) -> Store:
    """A filled store of which every month is known; of a copy nothing is, for it is another database."""
    for asset in ASKING:
        assert left_of(filled, asset) == FIRST
        known_months.known_months(filled.market, asset, WHOLE, AssetHolds(asset), None).record(filled.market)
    return filled


def test_what_did_not_change_is_not_computed_and_the_run_says_so(known: Store) -> None:
    assert {known.metadata(asset)["months_unchanged"] for asset in ASKING} == {0}  # of the run that filled it
    report = known.run()
    assert (report.exit_status, report.rows_changed) == (0, 0)
    for asset in ASKING:
        said = known.metadata(asset)
        assert (said["months_unchanged"], said["computed"], said["rows_read"]) == (MONTHS, "nothing", 0)


@pytest.mark.parametrize(
    ("asset", "by_hand", "first_left"),
    [
        pytest.param(
            "price_indicators",
            f"UPDATE price_indicators SET rsi_14 = 1 WHERE session = '2023-06-05' AND security_id = {SOME}",
            dt.date(2023, 6, 1),
            id="a value",
        ),
        pytest.param(
            "price_indicators",
            f"UPDATE price_indicators SET rsi_14 = rsi_14 WHERE session = '2023-06-05' AND security_id = {SOME}",
            dt.date(2023, 6, 1),
            id="written again with the same value",
        ),
        pytest.param(
            "symbol_signals",
            "DELETE FROM symbol_signals WHERE session = '2023-12-05'",
            dt.date(2023, 12, 1),
            id="rows that are gone",
        ),
        pytest.param(
            "price_indicators",
            "ALTER TABLE price_indicators DROP COLUMN rsi_14; ALTER TABLE price_indicators ADD rsi_14 double precision",
            FIRST,
            id="a column that is another one of the same name",
        ),
        pytest.param(
            "price_indicators",
            "UPDATE recursion_states SET states[1] = 1 WHERE session >= '2023-10-01'",
            dt.date(2023, 11, 1),
            id="what recursions go on from",
        ),
        pytest.param(
            "symbol_calibration",
            "UPDATE symbol_calibration SET hits = 0 WHERE month = '2023-11-01'",
            dt.date(2023, 11, 1),
            id="sums of a month",
        ),
        pytest.param(
            "symbol_signals",
            "UPDATE market_signals SET value = value WHERE rule = 'breadth_score' AND session = '2023-09-05'",
            dt.date(2023, 9, 1),
            id="a row that others are made of",
        ),
        pytest.param(
            "price_indicators",
            "UPDATE universe_members SET valid_to = valid_to WHERE valid_to IS NOT NULL",
            FIRST,
            id="who is a member",
        ),
        pytest.param(
            "quarantined_bars",
            "UPDATE bars SET close = close WHERE session = '2023-12-04'",
            FIRST,
            id="a later bar decides whether one before it was right",
        ),
    ],
)
def test_a_change_by_hand_leaves_its_month_and_those_after_it(
    asset: str, by_hand: str, first_left: dt.date, known: Store
) -> None:
    assert left_of(known, asset) is None
    known.execute(by_hand)
    assert left_of(known, asset) == first_left


@pytest.mark.slow
def test_rows_that_were_changed_by_hand_are_made_good_by_a_backfill(known: Store, one_shot: Contents) -> None:
    known.execute(
        f"UPDATE price_indicators SET relative_strength = 0 WHERE session = '2023-07-05' AND security_id = {SOME}",
        "DELETE FROM symbol_signals WHERE session = '2023-11-20'",
    )
    report = known.run()
    assert report.exit_status == 0
    assert known.metadata("price_indicators")["computed"].startswith("2023-07-01 to 2023-12-")
    assert_same(known.contents(), one_shot)
    assert known.run().rows_changed == 0
    assert known.metadata("symbol_signals")["months_unchanged"] == MONTHS


def test_another_program_computes_everything(known: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_months, "program", lambda: "other formulas")
    assert {left_of(known, asset) for asset in ASKING} == {FIRST}


def test_what_is_due_is_computed_though_its_rows_are_as_they_were(known: Store) -> None:
    due = dt.date(2023, 8, 15)
    assert left_of(known, "price_indicators", due) == due.replace(day=1)


OCTOBER, NOVEMBER, DECEMBER = (dt.date(2023, month, 1) for month in (10, 11, 12))
LAST_BUT_ONE = max(session for session in SESSIONS if session < LAST)


def test_of_a_few_months_the_sessions_of_the_newest_two_are_known(known: Store) -> None:
    assert left_of(known, "price_indicators", first=dt.date(2023, 9, 1)) is None  # four months, asked by month
    for asset in ("price_indicators", "symbol_signals", "symbol_calibration"):
        assert left_of(known, asset, first=OCTOBER) == OCTOBER
        assert left_of(known, asset, first=NOVEMBER) is None
        assert left_of(known, asset, first=DECEMBER) is None
    # Whether a bar is right is seen in those after it, so it is asked every day.
    assert left_of(known, "quarantined_bars", first=DECEMBER) == DECEMBER


@pytest.mark.parametrize(
    ("asset", "by_hand", "first_left"),
    [
        pytest.param(
            "price_indicators",
            f"UPDATE price_indicators SET rsi_14 = rsi_14 WHERE session = '2023-12-05' AND security_id = {SOME}",
            dt.date(2023, 12, 5),
            id="a value",
        ),
        pytest.param(
            "price_indicators",
            "UPDATE universe_medians SET median_roc = 0 WHERE session = '2023-11-14'",
            dt.date(2023, 11, 14),
            id="what they were held against",
        ),
        pytest.param(
            "symbol_signals",
            "DELETE FROM symbol_signals WHERE session = '2023-12-05'",
            dt.date(2023, 12, 5),
            id="rows that are gone",
        ),
        pytest.param(
            "price_indicators",
            "UPDATE bars SET close = close WHERE session = '2023-12-04' AND security_id = 1",
            dt.date(2023, 12, 4),
            id="a bar",
        ),
        pytest.param(
            "symbol_signals",
            "UPDATE market_signals SET value = value WHERE rule = 'breadth_score' AND session = '2023-11-15'",
            dt.date(2023, 11, 15),
            id="a row that others are made of",
        ),
        pytest.param(
            "symbol_calibration",
            "UPDATE symbol_calibration SET hits = 0 WHERE month = '2023-12-01'",
            dt.date(2023, 12, 1),
            id="sums of a month",
        ),
        pytest.param(
            "symbol_signals",
            "UPDATE universe_members SET valid_to = valid_to WHERE valid_to IS NOT NULL",
            NOVEMBER,
            id="who is a member",
        ),
        pytest.param(
            "price_indicators",
            "ALTER TABLE price_indicators DROP COLUMN rsi_14; ALTER TABLE price_indicators ADD rsi_14 double precision",
            NOVEMBER,
            id="a column that is another one of the same name",
        ),
        pytest.param("price_indicators", "DELETE FROM computed_sessions", NOVEMBER, id="nothing is known"),
        pytest.param(
            "price_indicators",
            "DELETE FROM computed_sessions WHERE session = '2023-11-03'",
            dt.date(2023, 11, 3),
            id="of one session nothing is known",
        ),
    ],
)
def test_a_change_by_hand_leaves_its_session_and_those_after_it_to_a_daily_run(
    asset: str, by_hand: str, first_left: dt.date, known: Store
) -> None:
    assert left_of(known, asset, first=NOVEMBER) is None
    known.execute(by_hand)
    assert left_of(known, asset, first=NOVEMBER) == first_left


def test_a_new_session_alone_is_left_to_a_daily_run(known: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    known.execute(f"DELETE FROM computed_sessions WHERE session = '{LAST}'")
    assert left_of(known, "symbol_signals", first=DECEMBER) == LAST
    due = dt.date(2023, 12, 6)
    assert left_of(known, "symbol_signals", due, first=DECEMBER) == due
    monkeypatch.setattr(known_months, "program", lambda: "other formulas")
    assert left_of(known, "symbol_signals", first=DECEMBER) == DECEMBER


def test_daily_runs_compute_new_sessions_and_make_good_what_was_changed_by_hand(
    store: Store, one_shot: Contents
) -> None:
    assert store.run(last=LAST_BUT_ONE).exit_status == 0
    store.execute("UPDATE price_indicators SET relative_strength = 0 WHERE session = '2023-12-05'")
    assert store.daily(LAST).exit_status == 0
    assert store.metadata("price_indicators")["computed"].startswith("2023-12-05 to ")
    assert_same(store.contents(), one_shot)
    assert store.daily(LAST).rows_changed == 0
    for asset in ("price_indicators", "symbol_signals", "symbol_calibration"):
        assert (store.metadata(asset)["computed"], store.metadata(asset)["rows_read"]) == ("nothing", 0)


def test_of_a_month_only_the_days_that_were_computed_are_known(known: Store) -> None:
    assert left_of(known, "price_indicators", last=LAST - dt.timedelta(days=1)) == dt.date(2023, 12, 1)


def left_of(
    store: Store, asset: str, due: dt.date | None = None, first: dt.date = FIRST, last: dt.date = LAST
) -> dt.date | None:
    """The first day that a backfill from first to last would compute; None: nothing."""
    left = known_months.known_months(store.market, asset, Span(first, last, LAST), AssetHolds(asset), due).left
    return None if left.is_empty else left.start


def test_a_large_table_is_counted_again_after_somebody_wrote_to_it_and_only_then(filled: Store) -> None:
    store, names = filled.market.store, ["bars", "price_indicators"]

    def counted_months(counted: computed_months.Counted) -> list[computed_months.ByDay]:
        return computed_months.writers_by_month(store, names, LAST, counted)

    counted: computed_months.Counted = {}
    first = counted_months(counted)
    assert len(counted) == 2
    made_up = pl.DataFrame({"month": [FIRST], "writers": ["made up"]})
    counted.update({statement: (state, made_up) for statement, (state, _) in counted.items()})
    assert counted_months(counted) == [{FIRST: "made up"}] * 2  # nobody counted
    filled.execute(f"UPDATE price_indicators SET rsi_14 = rsi_14 WHERE security_id = {SOME}")
    again = counted_months(counted)
    assert again == counted_months({})
    assert (again[0] == first[0], again[1] == first[1]) == (True, False)
    filled.execute("ALTER TABLE price_indicators DROP COLUMN rsi_14; ALTER TABLE price_indicators ADD rsi_14 float8")
    assert counted_months(counted) == counted_months({}) != again
