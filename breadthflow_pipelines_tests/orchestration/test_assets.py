"""What the assets say of themselves, and what becomes of rows that are broken, missing or restated."""

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from breadthflow_pipelines.orchestration import runs
from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.orchestration.small_market import BROKEN, LAST, SESSIONS, SYMBOLS

DECEMBER = [day for day in SESSIONS if (day.year, day.month) == (2023, 12)]


def test_every_row_read_is_accounted_for(filled: Store) -> None:
    said = filled.metadata("bars")
    lines = sum(len(path.read_text().splitlines()) - 1 for path in filled.small.bars.iterdir())
    assert said["rows_read"] == lines
    parts = ("rows_inserted", "rows_revised", "rows_unchanged", "rows_rejected")
    assert sum(said[part] for part in parts) == lines
    assert said["rows_rejected"] == said["rows_rejected_new"] == len(BROKEN)
    assert said["rejected_by_reason"] == {reason: 1 for _, reason in BROKEN.values()}
    assert said["symbols"] == {"fetched": len(SYMBOLS), "absent": 0, "failed": 0, "not_yet": 0}
    assert (said["synthetic"], said["source"], said["problems"]) == (False, "files", [])


def test_each_month_has_figures_of_its_own(filled: Store) -> None:
    broken = [row for row, _ in BROKEN.values()]
    by_month = Counter(str(row[0])[:7] for rows in filled.small.rows.values() for row in rows if row not in broken)
    for month in ("2022-11", "2023-02", "2023-06", "2023-12"):
        sessions = [day for day in SESSIONS if day.strftime("%Y-%m") == month]
        said = filled.metadata("bars", month)
        assert (said["bars"], said["sessions"], said["last_session"]) == (
            by_month[month],
            len(sessions),
            str(sessions[-1]),
        )
        assert (said["month_inserted"], said["month_updated"], said["month_deleted"]) == (by_month[month], 0, 0)
        assert filled.metadata("breadth_counts", month)["sessions"] == len(sessions)


def test_broken_rows_are_kept_aside_with_the_reason_and_the_run(filled: Store) -> None:
    run = filled.instance.get_runs()[0].run_id
    rows = filled.rows("SELECT symbol, session::text, high, reasons, source, run_id FROM rejected_bars ORDER BY symbol")
    assert rows == [
        (symbol, row[0], float(row[2]), [reason], "files", run) for symbol, (row, reason) in sorted(BROKEN.items())
    ]


def test_row_of_a_day_without_a_session_is_put_aside_and_moved_to_no_other_day(filled: Store) -> None:
    saturday = BROKEN["CCC"][0]
    friday, monday = (
        next(row for row in filled.small.rows["CCC"] if row[0] == day) for day in ("2023-06-30", "2023-07-03")
    )
    held = filled.rows(
        "SELECT session::text, open, high, low, close, volume FROM bars JOIN security_symbols USING (security_id) "
        "WHERE symbol = 'CCC' AND session BETWEEN '2023-06-30' AND '2023-07-03' ORDER BY session"
    )
    assert held == [friday, monday]
    assert filled.rows("SELECT session::text, reasons FROM rejected_bars WHERE symbol = 'CCC'") == [
        (saturday[0], [BROKEN["CCC"][1]])
    ]


@pytest.mark.slow
def test_file_that_cannot_be_read_is_named_and_the_others_load(store: Store) -> None:
    whole = (store.small.bars / "ddd.csv").read_text()
    (store.small.bars / "ddd.csv").write_text("this,is,no\nbar,file,at all\n")
    report = store.run()
    assert report.trouble is None
    assert [problem for problem in report.problems if "ddd.csv" in problem and "session" in problem]
    assert store.metadata("bars")["symbols_failed"] == ["DDD"]
    assert {check.name: check.status for check in report.checks if check.status != "passed"} == {
        "every_symbol_answered": "warned"
    }
    assert report.exit_status == 0
    held = store.rows("SELECT DISTINCT symbol FROM bars JOIN security_symbols USING (security_id) ORDER BY 1")
    assert held == [(symbol,) for symbol in SYMBOLS if symbol != "DDD"]

    (store.small.bars / "ddd.csv").write_text(whole)
    again = store.run()
    assert again.problems == ()
    assert again.figures["bars"]["rows_inserted"] == len(store.small.rows["DDD"])


def test_restated_bar_is_kept_as_it_was_and_changes_what_follows(filled: Store) -> None:
    # AAA's close becomes one cent below that of the session before, if it was not below it anyway.
    closes = {row[0]: float(row[4]) for row in filled.small.rows["AAA"]}
    session, before = next(
        (day, earlier) for earlier, day in pairwise(DECEMBER) if closes[str(day)] > closes[str(earlier)]
    )
    new = round(closes[str(before)] - 0.01, 2)
    old = filled.small.restate("AAA", session, new)
    advances, declines, score = _of(filled, session)

    report = filled.daily(LAST)

    assert report.figures["bars"]["rows_revised"] == 1
    assert report.figures["bars"]["rows_inserted"] == 0
    run_before = filled.instance.get_runs()[1].run_id
    assert filled.rows("SELECT session, old_close, new_close, old_run_id, run_id FROM bar_revisions") == [
        (session, old, new, run_before, report.run_id)
    ]
    now_advances, now_declines, now_score = _of(filled, session)
    assert (now_advances, now_declines) == (advances - 1, declines + 1)
    assert now_score != score
    for asset in ("breadth_counts", "breadth_indicators"):
        assert report.figures[asset]["rows_revised"] > 0
        assert report.figures[asset]["rows_inserted"] == report.figures[asset]["rows_removed"] == 0
    assert filled.daily(LAST).rows_changed == 0


def test_indicators_and_signals_carry_charts_beside_words_that_show_without_a_click(filled: Store) -> None:
    for asset, pictures in (
        ("breadth_indicators", ("advances_and_declines", "mcclellan", "participation")),
        ("market_signals", ("zweig", "score")),
    ):
        said = filled.metadata(asset)
        assert "2023-12-29" in said["words"]
        assert len(said["words"]) < 1000
        for picture in pictures:
            assert said[picture].startswith("![small: ")
            assert "](data:image/png;base64," in said[picture]


def test_published_counts_become_a_universe(store: Store) -> None:
    files = store.small.universe.parent / "published"
    files.mkdir()
    days = SESSIONS[:60]
    (files / "XX_advn.csv").write_text("".join(f"{day:%Y%m%d}, {1000 + i}\n" for i, day in enumerate(days)))
    (files / "XX_decln.csv").write_text("".join(f"{day:%Y%m%d}, 900\n" for day in days) + "20221225, 5\n")
    report = runs.run_import(store.instance, str(files), "XX")
    assert report.exit_status == 0
    assert report.figures["exchange_breadth"]["rows_inserted"] == 60
    assert store.rows("SELECT series, reason, run_id FROM rejected_counts") == [
        ("decln", "no session of XNYS", report.run_id)
    ]
    line = store.rows("SELECT ad_line FROM breadth_indicators WHERE universe = 'XX' ORDER BY session")
    assert line[-1] == (sum(100 + i for i in range(60)),)
    assert store.rows("SELECT count(*) FROM bars") == [(0,)]


def _of(store: Store, session: object) -> tuple[Any, ...]:
    query = (
        "SELECT advances, declines, value FROM breadth_counts JOIN market_signals USING (universe, segment, session) "
        "WHERE segment = 'ALL' AND rule = 'breadth_score' AND session = %s"
    )
    return store.rows(query, session)[0]
