"""Events found again in the store: without members as if they had never been, and shown with the records."""

import csv
import datetime as dt
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from breadthflow_pipelines import cli
from breadthflow_pipelines.evaluation.stability import dropouts
from breadthflow_pipelines.indicators.breadth_catalogue import breadth_indicators
from breadthflow_pipelines.indicators.counts import count_breadth
from breadthflow_pipelines.indicators.thrusts import threshold_events
from breadthflow_pipelines.orchestration import runs
from breadthflow_pipelines.orchestration.assets import signal_stability
from breadthflow_pipelines.orchestration.beside import published_beside
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.signals.rules import EVENTS
from breadthflow_pipelines.sources.exchange_breadth import read_published_counts
from breadthflow_pipelines.trust.count_guards import judge_published
from breadthflow_pipelines.warehouse import bar_store, breadth_store, security_store
from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.orchestration.small_market import FIRST, LAST

Lists = dict[str, set[dt.date]]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two draws of three members, for the market is small."""
    monkeypatch.setattr(signal_stability, "dropouts", partial(dropouts, draws=2, share=0.2))


def by_rule(bars: pl.DataFrame, members: pl.DataFrame, sessions: pl.DataFrame) -> Lists:
    counts = count_breadth(bars, members, sessions).filter(segment="ALL")
    found = threshold_events(breadth_indicators(counts.with_columns(issue_scale=pl.lit(None, pl.Float64))), EVENTS)
    lists: Lists = {}
    for rule, session in found.select("rule", "session").iter_rows():
        lists.setdefault(rule, set()).add(session)
    return lists


def shares(own: Lists, reruns: list[Lists]) -> dict[str, float]:
    return {
        rule: sum(len(days & again.get(rule, set())) / len(days) for again in reruns) / len(reruns)
        for rule, days in own.items()
    }


def stored(store: Store, variation: str) -> dict[str, float]:
    return dict(store.rows("SELECT rule, kept FROM signal_stability WHERE variation = %s", variation))


def test_what_stays_is_what_a_market_without_these_members_has(filled: Store) -> None:
    report = runs.run_stability(filled.instance)
    assert report.exit_status == 0
    members = security_store.members(filled.market.store)
    bars = bar_store.bars_to_count(filled.market.store, FIRST, LAST, 0, members["security_id"].unique())
    sessions = filled.market.calendar.frame().with_columns(counted=pl.col("session").is_between(FIRST, LAST))
    own = by_rule(bars, members, sessions)
    assert sum(map(len, own.values())) > 10

    gone = [missing["security_id"].unique().to_list() for missing in dropouts(members, draws=2, share=0.2)]
    left = [~pl.col("security_id").is_in(ids) for ids in gone]
    reruns = [by_rule(bars.filter(stays), members.filter(stays), sessions) for stays in left]
    assert stored(filled, "dropout") == pytest.approx(shares(own, reruns))
    assert min(shares(own, reruns).values()) < 1

    closes = by_rule(bars.with_columns(high="close", low="close"), members, sessions)
    expected = shares(own, [closes])
    told = stored(filled, "closes")
    assert told == pytest.approx({rule: expected[rule] for rule in told})
    of_highs = ("new_high_surge", "record_high_surge", "hindenburg_omen")
    assert set(told) == {rule for rule in own if rule.startswith(of_highs)}
    assert stored(filled, "total_return") == {}  # nobody knows a dividend here


@pytest.mark.slow
def test_records_show_it_and_a_daily_run_does_not_pay_for_it(filled: Store) -> None:
    query = (
        "SELECT rule, kept_dropout FROM signal_accuracy WHERE era = 'all' AND horizon = 5 AND kept_dropout IS NOT NULL"
    )
    assert filled.rows(query) == []
    assert runs.run_stability(filled.instance).figures.keys() == {"signal_stability", "signal_accuracy"}
    shown = dict(filled.rows(query))
    assert shown == {rule: kept for rule, kept in stored(filled, "dropout").items() if rule in shown}
    assert shown
    report = filled.daily(LAST)
    assert "signal_stability" not in report.figures
    assert dict(filled.rows(query)) == shown  # until next week


def test_the_command_finds_them_again_and_the_records_show_it(
    filled: Store, capsys: pytest.CaptureFixture[str], frozen: Callable[[dt.date], None]
) -> None:
    frozen(LAST)
    assert ended(["stability"]) == 0
    capsys.readouterr()
    assert ended(["accuracy", "--universe", "small", "--horizon", "5", "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    told = {row["rule"]: float(row["kept_dropout"]) for row in rows if row["kept_dropout"]}
    assert told == pytest.approx(stored(filled, "dropout"))


SWAPPED_FROM = dt.date(2023, 10, 30)


@pytest.fixture
def beside(filled: Store, tmp_path: Path) -> Store:
    """A store with two exchanges: SAME published what was counted, and OTHER swapped rises and falls from a day on.

    Both of issues, volumes and highs and lows, for no exchange publishes moving averages.
    """
    names = {"advances": "advn", "declines": "decln", "unchanged": "unchn", "up_volume": "advv", "down_volume": "declv"}
    names |= {"new_highs": "newhi", "new_lows": "newlo"}
    opposite = {"advances": "declines", "up_volume": "down_volume", "new_highs": "new_lows"}
    opposite |= {other: name for name, other in opposite.items()}
    (tmp_path / "published").mkdir()
    for exchange in ("SAME", "OTHER"):
        for name, series in names.items():
            swapped = opposite.get(name, name) if exchange == "OTHER" else name
            rows = filled.rows(
                f"SELECT session, CASE WHEN session < %s THEN {name} ELSE {swapped} END FROM breadth_counts "
                "WHERE segment = 'ALL'",
                SWAPPED_FROM,
            )
            lines = [f"{session:%Y%m%d}, {count:.0f}\n" for session, count in rows if count is not None]
            (tmp_path / "published" / f"{exchange}_{series}.csv").write_text("".join(lines))
        read = read_published_counts(tmp_path / "published", exchange, filled.market.calendar)
        judged = judge_published(read.counts.with_columns(exchange=pl.lit(exchange)))
        breadth_store.record_published(filled.market.store, judged, exchange, "r")
    return filled


def compared(store: Store, exchange: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What stays of each rule's events with the counts of the exchange."""
    monkeypatch.setenv("BREADTHFLOW_PUBLISHED_BESIDE", f"small={exchange}")
    get_settings.cache_clear()
    assert ended(["stability"]) == 0
    return stored(store, "published")


@pytest.mark.slow
def test_published_counts_keep_the_events_that_counting_gives(
    beside: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    frozen: Callable[[dt.date], None],
) -> None:
    frozen(LAST)
    same = compared(beside, "SAME", monkeypatch)
    assert {"appel_time_trend", "whaley_adt20", "two_to_one_thrust", "new_high_surge"} <= set(same)
    assert set(same.values()) == {1.0}
    assert not {"surge_above_50", "twenty_day_high_thrust"} & set(same)  # nobody published what they look at
    query = "SELECT DISTINCT rule, kept_published FROM signal_accuracy WHERE universe = 'small' AND era = 'all'"
    shown = dict(beside.rows(f"{query} AND kept_published IS NOT NULL"))
    assert shown == {rule: kept for rule, kept in same.items() if rule in shown}
    assert shown
    told = capsys.readouterr()
    assert "kept_published" not in told.err
    assert [line.split()[1:] for line in told.out.splitlines() if " published " in line] == [
        ["published", str(len(same)), "14", "1.00", "1.00"]
    ]

    # By hand: fires on 2023-09-29 and 2023-12-27, of which the 20 sessions before the latter are swapped.
    other = compared(beside, "OTHER", monkeypatch)
    assert other["whaley_adt20"] == pytest.approx(1 / 2)
    assert other["appel_time_trend"] == pytest.approx(4 / 5)  # the fifth fires on 2023-12-14
    assert other["two_to_one_thrust"] == 0  # has that one only


@pytest.mark.parametrize(
    ("setting", "pairs", "why"),
    [
        ({}, {}, "kept_published of small is unknown: no published counts stand beside. If an exchange publishes"),
        ({"nope": "SAME"}, {}, "names nope, which is not counted from members; there are: small."),
        ({"small": "X"}, {}, "the store has no published counts of it: breadthflow import-breadth DIR --exchange X"),
        ({"small": "SAME"}, {"small": "SAME"}, None),
    ],
)
def test_what_cannot_be_compared_has_a_reason(
    beside: Store, setting: dict[str, str], pairs: dict[str, str], why: str | None
) -> None:
    found = published_beside(get_settings().model_copy(update={"published_beside": setting}), beside.market.store)
    assert found.pairs == pairs
    assert (why is None) == (found.missing == [])
    assert why is None or why in found.missing[0]


def test_a_name_is_one_universe_counted_or_published(beside: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each session would have two rows, and nothing could be computed of either."""
    before = beside.rows("SELECT count(*) FROM all_counts")
    monkeypatch.setenv("BREADTHFLOW_EXCHANGE_BREADTH", f"small={beside.small.bars}")
    get_settings.cache_clear()
    universe = beside.small.universe
    universe.write_text(universe.read_text().replace("small,", "SAME,"))
    report = beside.daily(LAST)
    [problem] = report.problems
    assert "small is counted from members, so published counts cannot have that name." in problem
    assert report.exit_status == 2
    assert "SAME has published counts, so members cannot be a universe of that name." in str(report.trouble)
    assert beside.rows("SELECT count(*) FROM all_counts") == before


def test_the_command_says_where_there_is_nothing(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(["stability"]) == 2
    assert "The store is empty.\nNext: breadthflow run" in capsys.readouterr().err
    assert store.rows("SELECT count(*) FROM signal_stability") == [(0,)]


def ended(command: list[str]) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(command)
    return int(end.value.code or 0)


def test_of_an_empty_store_there_is_nothing_to_find_again(store: Store) -> None:
    assert runs.run_stability(store.instance).exit_status == 0
    assert store.rows("SELECT count(*) FROM signal_stability") == [(0,)]
