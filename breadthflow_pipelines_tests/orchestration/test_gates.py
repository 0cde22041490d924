"""What must not be built on is refused by every asset that reads, whoever runs it; what is mended goes on by itself.

Assets are run alone and without their checks, as a backfill from the UI runs them that does not wait for checks.
"""

import datetime as dt
from collections.abc import Callable

import dagster as dg
import polars as pl
import pytest

from breadthflow_pipelines.errors import HeldError, RequestError
from breadthflow_pipelines.model.run_tags import range_tags
from breadthflow_pipelines.orchestration import gates, planning, runs
from breadthflow_pipelines.orchestration.partitions import Span
from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse import bar_store, decisions, holds, rejections, verdicts
from breadthflow_pipelines_tests.orchestration.conftest import Contents, Prepare, Store, assert_same
from breadthflow_pipelines_tests.orchestration.small_market import BROKEN, FIRST, LAST, SESSIONS
from breadthflow_pipelines_tests.orchestration.test_quarantine import plant

DAY = dt.date(2023, 6, 15)
BEFORE, AFTER = SESSIONS[SESSIONS.index(DAY) - 1], SESSIONS[SESSIONS.index(DAY) + 1]
JUNE = dt.date(2023, 6, 1)
MAY = dt.date(2023, 5, 31)
WHOLE = (FIRST, LAST)
TO_COUNTS = ("bars", "quarantined_bars", "breadth_counts", "price_indicators")
CHAIN = ("breadth_counts", "price_indicators", "breadth_indicators", "market_signals", "symbol_signals")


def alone(store: Store, *assets: str, months: tuple[dt.date, dt.date] | None = None) -> str | None:
    """Make assets and nothing else, no check among it; returns what the run failed with, None where it went through."""
    selection = dg.AssetSelection.assets(*assets).without_checks()
    job = dg.define_asset_job("alone", selection, executor_def=dg.in_process_executor)
    definitions = dg.Definitions.merge(build(get_settings()), dg.Definitions(jobs=[job]))
    ran = definitions.resolve_job_def("alone").execute_in_process(
        instance=store.instance, tags=range_tags(*months) if months else {}, raise_on_error=False
    )
    if ran.success:
        return None
    error = next(event for event in ran.all_events if event.is_step_failure).step_failure_data.error
    while error is not None and error.cls_name != HeldError.__name__:
        error = error.cause
    assert error is not None, "it failed for another reason"
    return error.message.partition(": ")[2].strip()


def made(store: Store, asset: str) -> set[str]:
    """The months that Dagster takes for made."""
    return store.instance.get_materialized_partitions(dg.AssetKey(asset))


def last_of(store: Store, table: str, universe: str = "small") -> dt.date | None:
    return store.rows(f"SELECT max(session) FROM {table} WHERE universe = %s", universe)[0][0]


def without(store: Store, *days: dt.date) -> None:
    """Take these sessions out of the source's files."""
    for symbol, rows in store.small.rows.items():
        store.small.rows[symbol] = [row for row in rows if row[0] not in map(str, days)]
    store.small.write()


def held(store: Store) -> list[tuple[object, ...]]:
    return store.rows("SELECT gate, universe, session FROM holding ORDER BY gate, session")


def accept(store: Store, day: dt.date = DAY) -> None:
    holds.accept(store.database, day, day, None, "ann", "the vendor has none")


@pytest.fixture
def with_a_thin_universe(prepared: Prepare) -> Store:
    """Of a second universe, 20 members of June 2023 never had a bar; the first month of July they are out again."""

    def make(store: Store) -> None:
        rows = "".join(f"wide,GONE{number},2023-06-01,2023-07-01\n" for number in range(20))
        with store.small.universe.open("a") as file:
            file.write(f"wide,AAA,2022-11-01,\n{rows}")
        assert alone(store, "securities", "universe_members") is None
        assert alone(store, *TO_COUNTS, months=WHOLE) is None

    return prepared("a thin universe", make)


@pytest.fixture
def with_a_hole(prepared: Prepare) -> Store:
    """A store with bars alone, of which the source lacks a session."""

    def make(store: Store) -> None:
        without(store, DAY)
        assert alone(store, "securities", "universe_members") is None
        assert alone(store, "bars", "quarantined_bars", months=WHOLE) is None

    return prepared("bars with a hole", make)


class TestCoverage:
    """Counts below the gate hold their universe from there on."""

    def test_every_asset_refuses_them_makes_what_lies_before_and_lets_other_universes_go_on(
        self, with_a_thin_universe: Store, one_shot: Contents
    ) -> None:
        store = with_a_thin_universe
        assert {row[:2] for row in held(store)} == {("coverage_at_gate", "wide")}
        first = min(row[2] for row in held(store))  # type: ignore[type-var]
        assert first == JUNE
        for asset in ("breadth_indicators", "market_signals"):
            said = alone(store, asset) or ""
            assert said.startswith(f"{asset} of wide is held from 2023-06-01 on: wide: 1 of 21 members priced (4.8 %,")
            assert "gate 50 %) on 2023-06-01, 2023-06-02" in said
            assert "\nNext: breadthflow backfill --from 2023-06-01 --to 2023-06-30; if the source has no more: " in said
            assert "breadthflow accept-hole 2023-06-01 --to 2023-06-30 --reason" in said
        assert last_of(store, "breadth_indicators", "wide") == MAY
        assert (last_of(store, "market_signals", "wide") or dt.date.min) <= MAY
        said = alone(store, "symbol_signals", months=WHOLE) or ""
        assert said.startswith("symbol_signals of wide is held from 2023-06-01 on")
        found = store.contents()
        for table in ("breadth_indicators", "market_signals"):
            assert [row for row in found[table] if "small" in row] == one_shot[table], table
        signals = [row for row in found["symbol_signals"] if row[0] == "small"]  # with other numbers of securities
        assert sorted(map(repr, _unnumbered(signals))) == sorted(map(repr, _unnumbered(one_shot["symbol_signals"])))
        assert made(store, "symbol_signals") == {month for month in made(store, "bars") if month < "2023-06"}

    def test_a_range_before_the_hold_goes_through(self, with_a_thin_universe: Store) -> None:
        store = with_a_thin_universe
        alone(store, "breadth_indicators")
        alone(store, "market_signals")
        assert alone(store, "symbol_signals", months=(FIRST, MAY)) is None

    def test_a_lower_gate_lifts_them(self, with_a_thin_universe: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        store = with_a_thin_universe
        assert alone(store, "breadth_indicators") is not None
        monkeypatch.setenv("BREADTHFLOW_COVERAGE_GATE", "0.04")
        get_settings.cache_clear()
        assert alone(store, "breadth_indicators") is None
        assert held(store) == []
        assert last_of(store, "breadth_indicators", "wide") == LAST

    @pytest.mark.slow
    def test_a_run_of_everything_lets_other_universes_go_on_and_ends_as_held(
        self, with_a_thin_universe: Store, one_shot: Contents
    ) -> None:
        # As the daily run does it: of its own months nothing fails.
        report = with_a_thin_universe.run(dt.date(2023, 12, 1), LAST)
        assert report.exit_status == 1
        assert str(report.trouble).startswith("symbol_signals of wide is held from 2023-06-01 on")
        assert {"breadth_indicators", "market_signals"} <= report.figures.keys()
        signals = [row for row in with_a_thin_universe.contents()["market_signals"] if row[1] == "small"]
        assert signals == one_shot["market_signals"]
        assert {check.name: check.status for check in report.checks}["coverage_at_gate"] == "warned"

    def test_published_counts_are_imported_whatever_holds_others(
        self, with_a_thin_universe: Store, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        files = tmp_path_factory.mktemp("published")
        for series, value in (("advn", 1500), ("decln", 1400)):
            lines = [f"{day:%Y%m%d}, {value + number % 7}\n" for number, day in enumerate(SESSIONS)]
            (files / f"XX_{series}.csv").write_text("".join(lines))
        report = runs.run_import(with_a_thin_universe.instance, str(files), "XX")
        assert (report.exit_status, report.trouble) == (0, None)
        assert last_of(with_a_thin_universe, "breadth_indicators", "XX") == LAST
        assert last_of(with_a_thin_universe, "breadth_indicators", "wide") == MAY

    def test_a_thin_session_can_be_accepted_and_holds_again_when_more_is_missing(
        self, with_a_thin_universe: Store
    ) -> None:
        store = with_a_thin_universe
        holds.accept(store.database, JUNE, dt.date(2023, 6, 30), "wide", "ann", "so small is it")
        assert alone(store, "breadth_indicators") is None
        assert last_of(store, "breadth_indicators", "wide") == LAST
        states = (
            "SELECT DISTINCT state FROM breadth_indicators "
            "WHERE universe = 'wide' AND segment = 'ALL' AND session BETWEEN %s AND %s"
        )
        assert store.rows(states, JUNE, dt.date(2023, 6, 30)) == [("provisional",)]
        store.execute(
            "UPDATE breadth_counts SET members = 42, coverage = 1.0 / 42 "
            f"WHERE universe = 'wide' AND segment = 'ALL' AND session = '{DAY}'"
        )
        assert "1 of 42 members priced" in (alone(store, "breadth_indicators") or "")


class TestHoles:
    """A session without bars holds all that is made of bars."""

    def test_every_asset_refuses_what_follows_and_months_before_are_made(self, with_a_hole: Store) -> None:
        store = with_a_hole
        assert held(store) == [("bars_complete", "*", DAY)]
        for asset in CHAIN:
            months = WHOLE if asset in ("breadth_counts", "price_indicators", "symbol_signals") else None
            said = alone(store, asset, months=months) or ""
            assert said.startswith(f"{asset} is held from {DAY} on: no bars on {DAY} (bars_complete).")
            assert f"Next: breadthflow backfill --from {DAY} --to {DAY}; if the source has no more: " in said
            assert f'breadthflow accept-hole {DAY} --reason "..."' in said
            if months:
                assert made(store, asset) == {f"{day:%Y-%m}" for day in SESSIONS if day < JUNE}
        for table in ("breadth_counts", "price_indicators", "breadth_indicators"):
            assert last_of(store, table) == BEFORE

    @pytest.mark.slow
    def test_what_lies_before_is_what_it_is_without_a_hold(self, with_a_hole: Store, one_shot: Contents) -> None:
        for asset in CHAIN:
            alone(with_a_hole, asset, months=WHOLE if asset != "breadth_indicators" else None)
        found = with_a_hole.contents()
        for table in ("breadth_counts", "price_indicators", "market_signals", "symbol_signals"):
            rows = [row for row in one_shot[table] if next(c for c in row if isinstance(c, dt.date)) < DAY]
            assert found[table] == rows, table

    def test_a_range_before_the_hole_goes_through(self, with_a_hole: Store) -> None:
        assert alone(with_a_hole, "breadth_counts", "price_indicators", months=(FIRST, MAY)) is None

    @pytest.mark.slow
    def test_rows_that_were_there_stay_as_they_were(self, filled: Store) -> None:
        before = filled.contents()
        filled.execute(f"DELETE FROM bars WHERE session = '{DAY}'")
        filled.check("bars_complete")
        filled.execute(
            "INSERT INTO recomputations (asset, first_session, cause) VALUES ('breadth_counts', '2022-11-01', 'x')"
        )
        for asset in CHAIN:
            months = WHOLE if asset in ("breadth_counts", "price_indicators", "symbol_signals") else None
            assert alone(filled, asset, months=months) is not None
        after = filled.contents()
        for table in (*CHAIN, "quarantined_bars"):
            assert after[table] == before[table], table

    @pytest.mark.slow
    def test_a_run_about_later_months_is_held_and_says_how_to_go_on(self, with_a_hole: Store) -> None:
        report = with_a_hole.run(dt.date(2023, 12, 1), LAST)
        assert report.exit_status == 1
        assert str(report.trouble).startswith(f"breadth_counts is held from {DAY} on: no bars on {DAY}")
        assert with_a_hole.rows("SELECT count(*) FROM market_signals") == [(0,)]
        run = with_a_hole.instance.get_run_by_id(report.run_id)
        assert run is not None
        assert run.status is dg.DagsterRunStatus.FAILURE
        statuses = {check.name: check.status for check in report.checks}
        assert statuses["bars_complete"] == "warned"  # it is not a fault of this run's months

    @pytest.mark.slow
    def test_an_accepted_hole_is_built_on_the_day_after_it_is_a_gap_and_the_check_says_so(
        self, with_a_hole: Store, one_shot: Contents
    ) -> None:
        store = with_a_hole
        assert store.run().exit_status == 1
        accept(store)
        report = store.run()
        assert (report.exit_status, report.trouble) == (0, None)
        priced, gap, advances = store.rows(
            "SELECT priced, gap, advances FROM breadth_counts WHERE segment = 'ALL' AND session = %s", AFTER
        )[0]
        assert priced == gap > 0
        assert advances is None
        said = next(check.detail for check in report.checks if check.name == "bars_complete")
        assert f"; accepted: no bars on {DAY}, the session after each counts as gap" in said
        assert last_of(store, "symbol_signals") == LAST
        log = "SELECT session, decision, decided_by, reason FROM hole_decisions"
        assert store.rows(log) == [(DAY, "accepted", "ann", "the vendor has none")]

        store.small.rows = type(store.small)(store.small.universe.parent / "again").rows  # they come later
        store.small.write()
        assert store.run(JUNE, dt.date(2023, 6, 30)).exit_status == 0
        assert_same(store.contents(), one_shot)  # what follows was computed again
        assert [row[0] for row in store.rows("SELECT decision FROM hole_decisions ORDER BY 1")] == [
            "accepted",
            "lapsed",
        ]

    def test_an_acceptance_that_is_taken_back_holds_again(self, with_a_hole: Store) -> None:
        store = with_a_hole
        accept(store)
        assert alone(store, "breadth_counts", months=WHOLE) is None
        holds.withdraw(store.database, DAY, DAY, None, "bob", "they will send it")
        assert "is held from" in (alone(store, "breadth_counts", months=WHOLE) or "")
        assert last_of(store, "breadth_counts") == LAST  # what was made stays
        assert [row["decision"] for row in _log(store)] == ["accepted", "withdrawn"]

    def test_what_is_no_hole_cannot_be_accepted(self, with_a_hole: Store) -> None:
        with pytest.raises(RequestError, match=f"Nothing is missing on {AFTER}; there is: {DAY}"):
            accept(with_a_hole, AFTER)
        with pytest.raises(RequestError, match="No hole was accepted"):
            holds.withdraw(with_a_hole.database, DAY, DAY, None, "ann", "x")

    @pytest.mark.slow
    def test_many_holes_are_counted_and_the_first_five_named(self, store: Store) -> None:
        days = [day for day in SESSIONS if (day.year, day.month) == (2023, 6)][3:12]
        without(store, *days)
        report = store.run()
        detail = next(check.detail for check in report.checks if check.name == "bars_complete")
        assert f"no bars on {', '.join(map(str, days[:5]))} and 4 more" in detail
        assert f"breadthflow accept-hole {days[0]} --to {days[-1]} --reason" in detail
        assert len(holds.accept(store.database, days[0], days[-1], None, "ann", "a strike")) == 9
        assert store.run().exit_status == 0


class TestFindingHoles:
    """Where holes are noticed, and who asks for them again."""

    @pytest.mark.slow
    def test_months_that_were_never_run_between_others_are_holes(self, store: Store) -> None:
        assert store.run(FIRST, dt.date(2022, 11, 30)).trouble is None
        report = store.run(dt.date(2023, 2, 1), dt.date(2023, 2, 28))
        assert str(report.trouble).startswith("breadth_counts is held from 2022-12-01 on: no bars on 2022-12-01, ")
        assert store.run(dt.date(2022, 12, 1), dt.date(2023, 1, 31)).exit_status == 0  # they come
        assert held(store) == []

    @pytest.mark.slow
    def test_the_last_session_of_a_month_is_missing_once_the_next_month_is_there(self, store: Store) -> None:
        last = max(day for day in SESSIONS if (day.year, day.month) == (2023, 3))
        without(store, last)
        store.run(FIRST, dt.date(2023, 3, 31))
        assert held(store) == []  # nobody knows yet that it will not come
        report = store.run(dt.date(2023, 4, 3), dt.date(2023, 4, 28))
        assert held(store) == [("bars_complete", "*", last)]
        assert str(report.trouble).startswith(f"breadth_counts is held from {last} on")

    @pytest.mark.slow
    def test_bars_deleted_behind_its_back_are_found_at_night_and_fetched_by_the_next_run(
        self, filled: Store, frozen: Callable[[dt.date], None], one_shot: Contents
    ) -> None:
        frozen(LAST)
        filled.execute(f"DELETE FROM bars WHERE session = '{DAY}'")
        assert filled.daily(LAST).exit_status == 0  # it looks at its own month
        night = filled.check()
        assert {check.name for check in night.checks if check.status == "failed"} == {"bars_complete"}
        assert held(filled) == [("bars_complete", "*", DAY)]
        assert filled.daily(LAST).exit_status == 0
        assert held(filled) == []
        frozen(dt.date(2024, 1, 31))
        filled.daily(LAST)
        assert_same(filled.contents(), one_shot)

    @pytest.mark.slow
    def test_a_hole_that_the_source_cannot_fill_is_asked_for_once_a_day(
        self, filled: Store, frozen: Callable[[dt.date], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        frozen(LAST)
        without(filled, DAY)
        filled.execute(f"DELETE FROM bars WHERE session = '{DAY}'")
        filled.check("bars_complete")
        source = type(filled.market.source)
        asked, read = [], source.bars
        monkeypatch.setattr(source, "bars", lambda self, *what: (asked.append(what[1:]), read(self, *what))[1])
        december = (dt.date(2023, 11, 16), LAST)  # with ten sessions before it, which are only compared
        for expected in ([december, (DAY, DAY)], [december]):
            asked.clear()
            assert planning.first_day_due(filled.instance, filled.market, LAST) == dt.date(2023, 12, 26)
            report = filled.daily(LAST)
            assert str(report.trouble).startswith(f"breadth_counts is held from {DAY} on")
            assert asked == expected
        filled.execute("UPDATE holds SET tried_at = now() - interval '21 hours'")
        filled.daily(LAST)
        assert asked == [december, december, (DAY, DAY)][1:] or (DAY, DAY) in asked

    def test_a_run_about_a_month_of_the_past_asks_for_that_month_alone(
        self, filled: Store, frozen: Callable[[dt.date], None]
    ) -> None:
        frozen(LAST)
        filled.execute(f"DELETE FROM bars WHERE session = '{DAY}'")
        filled.check("bars_complete")
        august = Span(dt.date(2023, 8, 1), dt.date(2023, 8, 31), LAST)
        december = Span(dt.date(2023, 12, 1), LAST, LAST)
        assert gates.to_ask_for_again(filled.market, august) == []
        assert gates.to_ask_for_again(filled.market, december) == [(DAY, DAY)]

    def test_a_store_that_is_held_reads_no_month_again_for_what_it_cannot_make(
        self, with_a_hole: Store, frozen: Callable[[dt.date], None]
    ) -> None:
        frozen(LAST)
        assert planning.first_day_due(with_a_hole.instance, with_a_hole.market, LAST) == dt.date(2023, 12, 26)
        accept(with_a_hole)
        assert planning.first_day_due(with_a_hole.instance, with_a_hole.market, LAST) == FIRST


class TestOtherGates:
    """Proposals, broken rows, and members without indicators."""

    @pytest.mark.slow
    def test_proposals_hold_from_the_first_of_them_until_people_decide(self, filled: Store) -> None:
        for symbol in ("AAA", "CCC", "DDD", "EEE"):
            plant(filled.small, symbol, DAY)
        assert alone(filled, "bars", "quarantined_bars", months=(JUNE, dt.date(2023, 6, 30))) is None
        assert held(filled) == [("quarantine_bounded", "*", DAY)]
        said = alone(filled, "breadth_counts", months=WHOLE) or ""
        assert "4 bars proposed (spike 4) in 2023-06 (quarantine_bounded)" in said
        assert "breadthflow confirm --proposals" in said
        decisions.decide_proposals(filled.database, None, "confirmed", "ann", "the vendor's file is wrong")
        assert held(filled) == []
        assert alone(filled, "breadth_counts", months=WHOLE) is None

    @pytest.mark.slow
    def test_a_month_with_too_many_broken_rows_holds_from_the_first_of_them(self, store: Store) -> None:
        good = store.small.rows["AAA"]
        store.small.rows["AAA"] = [(*row[:5], -1) if str(row[0])[:7] == "2023-08" else row for row in good]
        store.small.write()
        assert alone(store, "securities", "universe_members") is None
        assert alone(store, "bars", "quarantined_bars", months=WHOLE) is None
        assert held(store) == [("bars_keep_contract", "*", dt.date(2023, 8, 1))]
        said = alone(store, "breadth_counts", months=WHOLE) or ""
        ((bars,),) = store.rows("SELECT count(*) FROM bars WHERE session BETWEEN '2023-08-01' AND '2023-08-31'")
        assert f"23 of {bars + 23} rows rejected ({100 * 23 / (bars + 23):.1f} %, allowed 1 %) in 2023-08" in said
        assert "breadthflow rejected --from 2023-08-01" in said
        assert last_of(store, "breadth_counts") == dt.date(2023, 7, 31)
        store.small.rows["AAA"] = good
        store.small.write()
        assert alone(store, "bars", months=(dt.date(2023, 8, 1), dt.date(2023, 8, 31))) is None
        assert held(store) == []

    @pytest.mark.slow
    @pytest.mark.parametrize("away", [True, False])
    def test_broken_rows_hold_nothing_once_the_source_has_them_no_more(self, store: Store, *, away: bool) -> None:
        """A file that is taken away, or mended, is as if it had never been: its rows stay on record alone."""
        good = store.small.rows.pop("AAA")
        store.small.write()
        broken = store.small.bars / ("junk.csv" if away else "aaa.csv")
        lines = [",".join(map(str, row)) for row in good]
        header = (store.small.bars / "bbb.csv").read_text().splitlines()[0]
        broken.write_text("\n".join([header, *(line.replace(line.split(",")[1], "-1", 1) for line in lines)]))
        assert store.run().exit_status == 1
        assert {gate for gate, _, _ in held(store)} == {"bars_keep_contract"}
        count = "SELECT count(*) FROM rejected_bars WHERE gone_at IS NULL"
        if away:
            broken.unlink()
        else:
            store.small.rows["AAA"] = good
            store.small.write()
        assert store.run().exit_status == 0
        assert held(store) == []
        ((after,),) = store.rows(count)
        assert after == len(BROKEN)
        gone = rejections.rejected(store.database, None, None, status="gone")
        assert len(gone) == len(good)
        assert {row["symbol"] for row in gone} == {"JUNK" if away else "AAA"}
        assert store.run().rows_changed == 0

    @pytest.mark.slow
    def test_members_without_indicators_have_no_signals_made(
        self, filled: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        signals = filled.contents()["symbol_signals"]
        whole = bar_store.bars_from
        with monkeypatch.context() as patch:
            patch.setattr(bar_store, "bars_from", lambda *what: whole(*what).filter(pl.col("security_id") > 3))
            assert alone(filled, "price_indicators", months=(JUNE, dt.date(2023, 6, 30))) is None
        said = alone(filled, "symbol_signals", months=WHOLE) or ""
        assert said.startswith("symbol_signals of small is held from 2023-06-01 on: small: ")
        assert "priced members have indicators" in said
        assert filled.contents()["symbol_signals"] == signals
        assert alone(filled, "price_indicators", months=(JUNE, dt.date(2023, 6, 30))) is None
        assert alone(filled, "symbol_signals", months=WHOLE) is None


def _unnumbered(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    return [(*row[:2], *row[3:]) for row in rows]


def _log(store: Store) -> list[dict[str, object]]:
    return holds.rows_of(store.database, "SELECT * FROM hole_decisions ORDER BY decision_id")


def test_status_knows_which_checks_fail_since_when_and_what_helps(with_a_hole: Store) -> None:
    failing = verdicts.failing(with_a_hole.database)
    assert [(row["check"], row["months"], row["failing"], row["first"]) for row in failing] == [
        ("bars_complete", 1, 1, DAY)
    ]
    assert failing[0]["said"] == f"no bars on {DAY}"
    assert failing[0]["next"].startswith(f"breadthflow backfill --from {DAY} --to {DAY}")
    since = failing[0]["since"]
    with_a_hole.check("bars_complete")
    assert verdicts.failing(with_a_hole.database)[0]["since"] == since
