"""What the assets say of themselves, and what becomes of rows that are broken, missing or restated."""

import datetime as dt
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import exchange_calendars
import pytest

from breadthflow_pipelines.model.datasets import MARKET_ASSETS, MONTHLY_ASSETS, STORED
from breadthflow_pipelines.orchestration import runs
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines_tests.orchestration.conftest import Contents, Store
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


@pytest.mark.slow
def test_every_line_of_the_files_is_accounted_for_and_what_cannot_be_read_is_kept(store: Store) -> None:
    first, last = dt.date(2023, 12, 1), LAST
    own = store.small.bars / "aaa.csv"
    text = own.read_text()
    header, day = text.splitlines()[0], str(DECEMBER[3])
    (row,) = [line for line in text.splitlines() if line.startswith(day)]
    open_, *prices, volume = row.split(",")[1:]
    thousands = f"{day},{open_},{','.join(prices)},{volume[:-3]},{volume[-3:]}"  # no quotation marks around it
    dollars = f"{DECEMBER[4]},${open_},{','.join(prices)},2.07M"
    own.write_text(text.replace(row, thousands) + f"\n{header}\n{dollars}\n,,,,,\n")
    wide = store.small.bars / "bbb.csv"
    head, *rest = wide.read_text().splitlines()
    wide.write_text("\n".join([f"Trade Date,Adj High,{head}", *(f"x,1,{line}" for line in rest)]))
    (store.small.bars / "notes.md").write_text("no bars")
    report = store.run(first, last)

    said = store.metadata("bars")
    lines = sum(len(path.read_text().splitlines()) for path in store.small.bars.glob("*.csv"))
    assert said["lines_read"] == lines
    kinds = ("lines_of_rows", "lines_rejected", "lines_blank", "lines_headers", "lines_continued")
    assert sum(said[kind] for kind in kinds) == lines
    assert (said["lines_blank"], said["lines_headers"], said["lines_rejected"]) == (2, len(SYMBOLS) + 1, 1)
    assert said["lines_of_rows"] + said["lines_rejected"] == said["rows_read"] + said["rows_outside"]
    assert said["rows_read"] == sum(said[part] for part in ("rows_inserted", "rows_rejected"))
    assert said["files_read"] == len(SYMBOLS)
    assert said["columns_unused"] == {"Trade Date": 1, "Adj High": 1}
    assert said["files_not_read"] == ["1 other file is not read in the directory: notes.md"]
    kept = store.rows("SELECT symbol, session::text, reasons, raw FROM rejected_bars WHERE raw IS NOT NULL ORDER BY 2")
    assert kept == [
        ("AAA", day, ["7 cells under a header of 6"], thousands),
        ("AAA", str(DECEMBER[4]), ["open, volume cannot be read"], f"open=${open_}, volume=2.07M"),
    ]
    assert report.problems == ()


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
        assert (said["rows_inserted"], said["rows_revised"], said["rows_removed"]) == (by_month[month], 0, 0)
        rejected = sum(str(row[0])[:7] == month for row in broken)
        assert (said["rows_read"], said["rows_rejected"]) == (by_month[month] + rejected, rejected)
        assert said["synthetic"] is False
        assert filled.metadata("breadth_counts", month)["sessions"] == len(sessions)
        priced = filled.rows(
            "SELECT sum(priced)::int FROM breadth_counts WHERE segment = 'ALL' AND session BETWEEN %s AND %s",
            *(sessions[0], sessions[-1]),
        )[0][0]
        of_members = filled.metadata("price_indicators", month)
        assert (of_members["members"], of_members["sessions"]) == (priced, len(sessions))
        assert of_members["rows_inserted"] == priced
        actions = dict(
            filled.rows(
                "SELECT action, count(*) FROM symbol_signals WHERE session BETWEEN %s AND %s GROUP BY action",
                *(sessions[0], sessions[-1]),
            )
        )
        signals = filled.metadata("symbol_signals", month)
        assert signals["signals"] == signals["rows_inserted"] == sum(actions.values())
        assert (signals["buys"], signals["sells"]) == (actions.get("buy", 0), actions.get("sell", 0))
    assert signals["signals"] > signals["buys"] + signals["sells"] > 0  # at the end, all three actions are there


@pytest.mark.parametrize("asset", MONTHLY_ASSETS)
def test_totals_of_a_run_are_kept_once_and_in_no_month(asset: str, filled: Store) -> None:
    key = dg.AssetKey(asset)
    (observed,) = filled.instance.fetch_observations(key, limit=10).records
    assert observed.asset_observation is not None
    totals = observed.asset_observation.metadata
    assert {name.partition("/")[0] for name in totals} == {"run"}  # or the UI would plot both under one name
    months = filled.instance.fetch_materializations(key, limit=50).records
    assert len(months) == 14
    for month in months:
        assert month.asset_materialization is not None
        assert not [name for name in month.asset_materialization.metadata if name.startswith("run/")]
        assert not {"range", "computed", "symbols", "problems"} & month.asset_materialization.metadata.keys()
    read = [month.asset_materialization.metadata["rows_inserted"].value for month in months if month]  # type: ignore[union-attr]
    assert sum(read) == totals["run/rows_inserted"].value  # type: ignore[arg-type]


@pytest.mark.slow
def test_month_of_which_no_session_has_closed_is_run_and_stays_empty(
    filled: Store, frozen: Callable[[dt.date], None]
) -> None:
    # The UI offers the month from its first day on.
    frozen(LAST)
    before = filled.contents()
    report = filled.run(dt.date(2024, 1, 1), dt.date(2024, 1, 2))
    assert (report.exit_status, report.trouble) == (0, None)
    assert report.figures.keys() == {*MARKET_ASSETS} & {*STORED}
    for asset in MONTHLY_ASSETS:
        assert not any(report.figures[asset].values()), asset
    after = filled.contents()
    for table in MONTHLY_ASSETS:
        assert after[table] == before[table]


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
def test_an_adjusted_close_that_cannot_be_used_is_null_counted_and_costs_no_bar(store: Store) -> None:
    rows = [(*row, float(row[4]) * 0.9) for row in store.small.rows["AAA"]]
    for place, wrong in ((30, -0.749), (40, 0.0), (50, 1.7e308)):
        rows[place] = (*rows[place][:-1], wrong)
    header, lines = "session,open,high,low,close,volume,adj_close", (",".join(map(str, row)) for row in rows)
    (store.small.bars / "aaa.csv").write_text("\n".join([header, *lines]) + "\n")
    report = store.run()
    assert (report.trouble, report.exit_status) == (None, 0)
    said = store.metadata("bars")
    assert (said["adjusted_closes_unusable"], said["adjusted_closes_unusable_of"]) == (3, {"AAA": 3})
    assert report.figures["bars"]["rows_inserted"] == store.small.good_rows()
    of_aaa = "FROM bars JOIN security_symbols USING (security_id) WHERE symbol = 'AAA'"
    held = store.rows(f"SELECT count(*), count(close_adjusted), min(close_adjusted) > 0 {of_aaa}")
    assert held == [(len(rows) - 1, len(rows) - 4, True)]  # one row is broken in this market


@pytest.mark.slow
def test_a_price_and_a_volume_without_measure_cost_their_own_sums(store: Store, one_shot: Contents) -> None:
    """Prices as before eight reverse splits, and a volume of some ten thousand times the usual."""
    store.small.rows["AAA"] = [
        (row[0], *(float(price) * 2**46 for price in row[1:5]), row[5]) for row in store.small.rows["AAA"]
    ]
    place = next(i for i, row in enumerate(store.small.rows["MMM"]) if row[0] == "2023-06-15")
    store.small.rows["MMM"][place] = (*store.small.rows["MMM"][place][:5], 10**9)
    store.small.write()
    report = store.run()
    assert (report.trouble, report.exit_status) == (None, 0)
    moved = ("points_gained", "points_lost", "up_dollars", "down_dollars", "up_volume", "down_volume")
    names = [name for (name,) in store.rows(COLUMNS) if name != "computed_at"]
    plain = [place for place, name in enumerate(names) if name not in moved]
    counted = store.contents()["breadth_counts"]
    assert [[row[i] for i in plain] for row in counted] == [
        [row[i] for i in plain] for row in one_shot["breadth_counts"]
    ]
    most = store.rows(f"SELECT {', '.join(f'max({name})' for name in moved)} FROM breadth_counts")[0]
    assert max(most[:2]) < 99  # points of the others, none of which moves by as much as ten
    assert 1e10 < max(most[2:4]) < 1e12
    assert 1e9 <= max(most[4:]) < 2e9
    assert max(row[0] for row in store.rows("SELECT dollar_volume FROM price_indicators")) > 1e18
    told = next(check for check in report.checks if check.name == "sums_complete")
    sessions = len(store.small.rows["AAA"]) - 1  # one row is broken in this market
    assert told.status == "warned"
    assert (
        f"AAA is too large for sums of points and dollars ({sessions} sessions, 2022-11-01 to 2023-12-29, up to "
        in told.detail
    )


COLUMNS = (
    "SELECT column_name FROM information_schema.columns WHERE table_name = 'breadth_counts' ORDER BY ordinal_position"
)


@pytest.mark.slow
@pytest.mark.parametrize("since", ["0001-01-01", "1900-01-01"])
def test_a_member_since_ever_costs_no_year_without_bars(store: Store, one_shot: Contents, since: str) -> None:
    members = store.small.universe.read_text()
    store.small.universe.write_text(members.replace(",2022-11-01,", f",{since},"))
    assert store.run().trouble is None
    for asset in ("breadth_counts", "price_indicators", "symbol_signals"):
        assert store.metadata(asset)["computed"].startswith("2022-01-01 to 2023-12-29")  # not two thousand years
    counts = store.contents()["breadth_counts"]
    assert counts == one_shot["breadth_counts"]


@pytest.mark.slow
def test_file_that_cannot_be_read_is_named_and_the_others_load(store: Store) -> None:
    whole = (store.small.bars / "ddd.csv").read_text()
    (store.small.bars / "ddd.csv").write_text("this,is,no\nbar,file,at all\n")
    report = store.run()
    assert report.trouble is None
    assert [problem for problem in report.problems if "ddd.csv" in problem and "session" in problem]
    assert store.metadata("bars")["symbols_failed"] == ["DDD"]
    assert {check.name: check.status for check in report.checks if check.status != "passed"} == {
        "every_symbol_answered": "warned",
        "members_have_bars": "warned",
    }
    assert report.exit_status == 0
    held = store.rows("SELECT DISTINCT symbol FROM bars JOIN security_symbols USING (security_id) ORDER BY 1")
    assert held == [(symbol,) for symbol in SYMBOLS if symbol != "DDD"]

    (store.small.bars / "ddd.csv").write_text(whole)
    again = store.run()
    assert again.problems == ()
    assert again.figures["bars"]["rows_inserted"] == len(store.small.rows["DDD"])


@pytest.mark.slow
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
    for asset in ("breadth_counts", "breadth_indicators", "price_indicators", "symbol_signals"):
        assert report.figures[asset]["rows_revised"] > 0
        assert report.figures[asset]["rows_inserted"] == report.figures[asset]["rows_removed"] == 0
    assert filled.daily(LAST).rows_changed == 0


def test_indicators_and_signals_begin_with_words_and_a_picture_that_show_without_a_click(filled: Store) -> None:
    for asset, miniature in (("breadth_indicators", "mcclellan_lately"), ("market_signals", "score_lately")):
        said = filled.metadata(asset)
        assert list(said)[:3] == ["now", miniature, "charts"]
        assert said["now"].startswith("**small**, 2023-12-29: ")
        for name in ("now", miniature):
            assert len(said[name]) < 1000
        assert said["charts"].startswith("![small: ")


def test_what_is_worth_a_plot_is_a_number_and_is_named_for_its_universe(filled: Store) -> None:
    query = (
        "SELECT advances - declines, mcclellan_oscillator_ratio, pct_above_50, pct_above_200, priced, coverage "
        "FROM breadth WHERE universe = 'small' AND segment = 'ALL' AND session = %s"
    )
    names = ("net_advances", "mcclellan_oscillator", "pct_above_50", "pct_above_200", "members_priced", "coverage")
    said = filled.metadata("breadth_indicators")
    assert tuple(said[f"small: {name}"] for name in names) == filled.rows(query, LAST)[0]
    score = filled.rows(
        "SELECT value FROM market_signals WHERE rule = 'breadth_score' AND segment = 'ALL' AND session = %s", LAST
    )
    assert filled.metadata("market_signals")["small: breadth_score"] == score[0][0]


def test_charts_and_totals_are_not_stored_with_the_outputs_of_steps_as_well(filled: Store) -> None:
    run_id = filled.instance.get_runs(limit=1)[0].run_id
    outputs = filled.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_OUTPUT)
    assert len(outputs) > len(MARKET_ASSETS)
    assert [entry.dagster_event.step_output_data.metadata for entry in outputs if entry.dagster_event] == [{}] * len(
        outputs
    )


@pytest.fixture
def forgotten(filled: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A real market, seen by a command that does not know its settings."""
    for name in ("SOURCE", "SOURCE_PATH", "UNIVERSE_FILE", "INDEX_SYMBOLS"):
        monkeypatch.delenv(f"BREADTHFLOW_{name}")
    get_settings.cache_clear()
    yield filled
    get_settings.cache_clear()


def test_a_forgotten_setting_does_not_put_the_demo_beside_a_real_market(forgotten: Store) -> None:
    before = forgotten.contents()
    report = forgotten.run(DECEMBER[0], LAST)
    assert report.exit_status == 2
    assert "The store has bars of real companies, and BREADTHFLOW_SOURCE is not set" in str(report.trouble)
    assert forgotten.contents() == before


@pytest.mark.slow
def test_whoever_asks_for_the_demo_beside_a_real_market_gets_it(
    forgotten: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = forgotten.rows("SELECT count(*) FROM securities WHERE NOT synthetic")
    monkeypatch.setenv("BREADTHFLOW_SOURCE", "demo")
    get_settings.cache_clear()
    assert forgotten.run(DECEMBER[0], LAST).trouble is None
    assert forgotten.rows("SELECT count(*) FROM securities WHERE NOT synthetic") == before
    assert forgotten.rows("SELECT count(*) > 50 FROM securities WHERE synthetic") == [(True,)]


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


HALVED = 400  # the row of which only half of the issues were published
IN_THOUSANDS = 250  # the row from which on volumes are published in thousands of shares


def _published(store: Store, *, in_thousands: int | None = None) -> tuple[Path, list[dt.date]]:
    """Twenty-six months of an exchange with 3,000 issues and an index, and one row with half of its issues."""
    chance, files = random.Random(2019), store.small.universe.parent / "published"  # noqa: S311
    files.mkdir(exist_ok=True)
    calendar = exchange_calendars.get_calendar("XNYS")
    days = [stamp.date() for stamp in calendar.sessions_in_range("2019-01-01", "2021-02-26")]
    series: dict[str, list[str]] = {name: [] for name in ("advn", "decln", "unchn", "advv", "declv", "index")}
    for i, _ in enumerate(days):
        up = 1000 + i * 37 % 800
        issues = [up, 2900 - up, 100]
        thousands = [round(count * chance.uniform(0.95, 1.05) * 100) for count in issues[:2]]
        published = in_thousands is not None and i >= in_thousands
        volumes = [volume if published else volume * 1000 for volume in thousands]
        level = round(3000 + 400 * math.sin(i / 40) + i, 2)
        shown = [count // 2 for count in issues] if i == HALVED else issues
        for name, value in zip(series, [*shown, *volumes, level], strict=True):
            series[name].append(f"{days[i]:%Y%m%d}, {value}\n")
    for name, lines in series.items():
        (files / f"XX_{name}.csv").write_text("".join(lines))
    return files, days


def test_doubted_rows_are_kept_with_the_reason_and_left_out_of_indicators(store: Store) -> None:
    files, days = _published(store)
    report = runs.run_import(store.instance, str(files), "XX")
    assert (report.exit_status, report.trouble) == (0, None)

    doubted = days[HALVED]
    stored = "SELECT session, doubts, advances, issues_usable, volume_usable FROM exchange_breadth WHERE doubts <> '{}'"
    halved = (1000 + HALVED * 37 % 800) // 2
    reason = "total issues far from their level"
    assert store.rows(stored) == [(doubted, [reason], halved, False, False)]

    query = (
        "SELECT session, net_advances, rana, up_volume_share FROM breadth_indicators WHERE universe = 'XX' ORDER BY 1"
    )
    indicators = {session: values for session, *values in store.rows(query)}
    assert list(indicators) == days
    assert indicators[doubted] == [None, None, None]
    assert all(None not in values for session, values in indicators.items() if session != doubted)
    assert indicators[days[0]][0] == 1000 - 1900
    assert store.rows("SELECT count(*) FROM market_signals WHERE session = %s AND rule = 'breadth_score'", doubted) == [
        (0,)
    ]

    said = store.metadata("exchange_breadth")
    assert said["rows_doubted"] == 1
    assert [(record.data["session"], record.data["doubts"]) for record in said["doubted"].records] == [
        (str(doubted), reason)
    ]
    warned = [check for check in report.checks if check.status == "warned"]
    assert [(check.asset, check.name) for check in warned] == [("exchange_breadth", "published_plausible")]
    assert warned[0].detail.startswith(f"1 of {len(days)} rows doubted: XX {reason} 1 (since ")


@pytest.mark.slow
def test_exchanged_files_of_volumes_reach_no_indicator_and_are_told_with_what_to_do(store: Store) -> None:
    files, days = _published(store)
    (files / "XX_advv.csv").rename(files / "kept")
    (files / "XX_declv.csv").rename(files / "XX_advv.csv")
    (files / "kept").rename(files / "XX_declv.csv")
    report = runs.run_import(store.instance, str(files), "XX")
    contrary = "SELECT min(session) FROM exchange_breadth WHERE %s = ANY(doubts)"
    first = store.rows(contrary, "up and down volume contrary to issues for weeks")[0][0]
    assert first <= days[20]
    for name in ("up_volume_share", "trin", "whaley_udt2", "day_90_volume"):
        query = f"SELECT count({name}) FROM breadth_indicators WHERE universe = 'XX' AND session >= %s"
        assert store.rows(query, first) == [(0,)]
    assert store.rows("SELECT count(net_advances) FROM breadth_indicators WHERE universe = 'XX'") == [(len(days) - 1,)]
    (warned,) = (check for check in report.checks if check.name == "published_plausible")
    assert warned.status == "warned"
    since = f"from {first} or up to 21 rows before to {days[-1]}"
    assert f"XX: up and down volume may be exchanged, {since}, in the files (XX_advv.csv, " in warned.detail
    assert "or in the mapping that wrote them" in warned.detail
    assert warned.detail.count("breadthflow import-breadth DIRECTORY --exchange XX") == 1


@pytest.mark.slow
def test_unit_of_published_volumes_does_not_reach_indicators(store: Store) -> None:
    files, days = _published(store, in_thousands=IN_THOUSANDS)
    assert runs.run_import(store.instance, str(files), "XX").exit_status == 0
    said = store.metadata("exchange_breadth")["volume_units"].records
    assert [(row.data["volume_unit"], row.data["first"], row.data["last"]) for row in said] == [
        ("1", str(days[0]), str(days[IN_THOUSANDS - 1])),
        ("1000", str(days[IN_THOUSANDS]), str(days[-1])),
    ]
    least, most = store.rows("SELECT min(up_volume), max(up_volume) FROM breadth WHERE universe = 'XX'")[0]
    assert most / least < 3  # as the issues behind them

    # The same volumes, all of them in single shares: the store's counts change, what is made of them does not.
    files, _ = _published(store)
    again = runs.run_import(store.instance, str(files), "XX")
    assert again.figures["exchange_breadth"]["rows_revised"] == len(days) - IN_THOUSANDS
    for asset in ("breadth_indicators", "market_signals"):
        assert again.figures[asset]["rows_unchanged"] == again.figures[asset]["rows_read"] > 0


def test_index_beside_published_counts_gives_its_trend_and_coppocks_curve(store: Store) -> None:
    files, days = _published(store)
    assert runs.run_import(store.instance, str(files), "XX").exit_status == 0
    levels = dict(store.rows("SELECT session, index_close FROM exchange_breadth"))
    written = [float(line.split(",")[1]) for line in (files / "XX_index.csv").read_text().splitlines()]
    assert levels == dict(zip(days, written, strict=True))  # of the doubted row as well: its level is not its issues

    query = "SELECT session, index_trend_50, coppock FROM breadth_indicators WHERE universe = 'XX' ORDER BY 1"
    told = store.rows(query)
    # A mean of 50 rises where what enters it is more than what leaves it.
    assert [trend for _, trend, _ in told[:50]] == [None] * 50
    assert [trend for _, trend, _ in told[50:]] == [
        float(written[i] > written[i - 50]) for i in range(50, len(written))
    ]
    # Coppock, by hand: month ends, 14- and 11-month rates of change, weights 10 to 1.
    assert {session for session, _, curve in told if curve is None} == {
        day for day in days if day < dt.date(2020, 12, 1)
    }
    ends = [
        level
        for (day, level), (after, _) in pairwise([*zip(days, written, strict=True), (dt.date.max, 0)])
        if (day.year, day.month) != (after.year, after.month)
    ]
    rates = [100 * (ends[i] / ends[i - 14] - 1) + 100 * (ends[i] / ends[i - 11] - 1) for i in range(14, len(ends))]
    curve = sum(weight * rate for weight, rate in zip(range(1, 11), rates[-10:], strict=True)) / 55
    assert told[-1][2] == pytest.approx(curve)


def _of(store: Store, session: object) -> tuple[Any, ...]:
    query = (
        "SELECT advances, declines, value FROM breadth_counts JOIN market_signals USING (universe, segment, session) "
        "WHERE segment = 'ALL' AND rule = 'breadth_score' AND session = %s"
    )
    return store.rows(query, session)[0]
