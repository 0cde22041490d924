"""Whatever is stored is a dataset or the machinery's own, and each dataset is what its entry says."""

import pytest

from breadthflow_pipelines.model.datasets import (
    BREADTH_REVISIONS,
    CALENDAR,
    DATASETS,
    FOLLOWERS,
    STORED,
    WITH_HISTORY,
    Dataset,
)
from breadthflow_pipelines.model.gates import GATES, HELD_BY
from breadthflow_pipelines.model.vocabulary import MARKET_SIGNAL
from breadthflow_pipelines.quality.suites import suites
from breadthflow_pipelines.warehouse import tables

# Tables that no asset fills under its own name, by who writes them.
INTERNAL = {
    "security_symbols": "with securities",
    "rejected_bars": "with bars",
    "bar_revisions": "with bars",
    "restatements": "with bars",
    "rejected_counts": "with published counts",
    "breadth_revisions": "with whatever keeps its history",
    "signal_revisions": "with signals and the records beside them",
    "symbol_accuracy": "with symbol_calibration",
    "backtest_trades": "with backtests",
    "backtest_years": "with backtests",
    "publications": "the command that imports published counts",
    "recomputations": "whoever changes what others follow",
    "calendar_changes": "each run that finds the calendar changed",
    "computed_months": "with each asset that keeps to what changed",
    "computed_sessions": "with each asset that keeps to what changed",
    "source_readings": "with bars, and the command that ran them",
    "recursion_states": "with price_indicators",
    "universe_medians": "with price_indicators",
    "verdicts": "the checks",
    "holds": "the gates",
    "hole_decisions": "people",
    "audit": "people, and whatever launches runs",
    "retentions": "what drops old rows once a day",
    "api_tokens": "people",
    "page_sessions": "whoever logs in to the page",
    "store_changes": "whatever changes what the API shows",
    "events": "whoever listens first, and numbers them",
    "pending_events": "with new sessions and signals",
    "event_marks": "with events, and what drops old rows once a day",
    "run_requests": "people, by API",
}


def test_every_table_is_a_dataset_or_the_machinery_s_own() -> None:
    assert {*STORED} | INTERNAL.keys() == tables.metadata.tables.keys()
    assert not DATASETS.keys() & INTERNAL.keys()
    assert DATASETS.keys() - {*STORED} == {"market_report"}  # it writes files


@pytest.mark.parametrize("dataset", [DATASETS[name] for name in STORED], ids=lambda dataset: dataset.name)
def test_a_dataset_is_what_its_entry_says(dataset: Dataset) -> None:
    columns = tables.metadata.tables[dataset.name].c
    assert ("session" in columns) or not (dataset.monthly or dataset.watched)
    earlier = list(DATASETS)[: list(DATASETS).index(dataset.name)]
    assert {*dataset.follows} <= {CALENDAR, *earlier}  # so that nothing follows itself, over whatever detour
    # What is made whole follows everything anyway; that of symbol signals is summed by month, and keeps to what is due.
    assert dataset.monthly or not dataset.follows or dataset.name == "symbol_calibration"
    if dataset.history is not None:
        assert {dataset.history.stamp, dataset.history.universe} <= set(columns.keys())
        assert (dataset.history.segment or "session") in columns


def test_histories_are_those_of_breadth_and_of_signals() -> None:
    of_breadth = {"breadth_counts", "exchange_breadth", "breadth_indicators"}
    assert WITH_HISTORY.keys() == {*of_breadth, "market_signals", "signal_records"}
    assert {name for name, history in WITH_HISTORY.items() if history.kept_in == BREADTH_REVISIONS} == of_breadth


def test_what_follows_bars_follows_those_who_decide_which_bars_are_sound() -> None:
    of_sound_bars = {"breadth_counts", "universe_returns", "price_indicators", "symbol_signals", "symbol_calibration"}
    assert set(FOLLOWERS["quarantined_bars"]) == set(FOLLOWERS["universe_members"]) == of_sound_bars
    assert set(FOLLOWERS["bars"]) == set(FOLLOWERS[CALENDAR]) == {"quarantined_bars", *of_sound_bars}
    assert FOLLOWERS["symbol_signals"] == ("symbol_calibration",)
    assert FOLLOWERS["securities"] == ("breadth_counts", "universe_returns")


def test_gates_and_suites_are_of_datasets() -> None:
    assert {*GATES.values(), *HELD_BY} <= {*STORED}
    assert {suite.table for suite in suites()} <= {*STORED}


def test_a_market_signal_is_a_row_of_its_table() -> None:
    assert tuple(tables.market_signals.c.keys()) == (*MARKET_SIGNAL, "computed_at")
