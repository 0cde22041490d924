"""Events found again in the store: without members as if they had never been, and shown with the records."""

import csv
import datetime as dt
import io
from collections.abc import Callable
from functools import partial

import polars as pl
import pytest

from breadthflow_pipelines import cli
from breadthflow_pipelines.evaluation.stability import dropouts
from breadthflow_pipelines.indicators.breadth_catalogue import breadth_indicators
from breadthflow_pipelines.indicators.counts import count_breadth
from breadthflow_pipelines.indicators.thrusts import threshold_events
from breadthflow_pipelines.orchestration import runs
from breadthflow_pipelines.orchestration.assets import signal_stability
from breadthflow_pipelines.signals.rules import EVENTS
from breadthflow_pipelines.warehouse import bar_store, security_store
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
    bars = bar_store.bars_to_count(filled.market.store, FIRST, LAST, 0)
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
