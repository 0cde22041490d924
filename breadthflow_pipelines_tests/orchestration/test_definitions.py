"""What Dagster loads: assets that say what they are, their edges, jobs and lineage."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, local

import dagster as dg
import pytest

from breadthflow_pipelines import definitions
from breadthflow_pipelines.indicators.breadth_catalogue import CATALOGUE
from breadthflow_pipelines.indicators.technical import TECHNICAL_COLUMNS
from breadthflow_pipelines.model.datasets import MONTHLY_ASSETS, STORED
from breadthflow_pipelines.orchestration.hosting.instance import configuration_file, show_pools
from breadthflow_pipelines.orchestration.suite_checks import SUITE_NAMES
from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.signals.rules import RULES
from breadthflow_pipelines.signals.symbols import VOTE_COLUMNS
from breadthflow_pipelines.warehouse import tables
from breadthflow_pipelines_tests.orchestration.conftest import Store

DEFINITIONS = build(Settings())
GRAPH = DEFINITIONS.resolve_asset_graph()
EDGES = {
    "securities": set(),
    "universe_members": {"securities"},
    "bars": {"securities"},
    "quarantined_bars": {"bars"},
    "exchange_breadth": set(),
    "breadth_counts": {"bars", "quarantined_bars", "universe_members", "securities"},
    "breadth_indicators": {"breadth_counts", "exchange_breadth"},
    "market_signals": {"breadth_indicators"},
    "universe_returns": {"bars", "quarantined_bars", "universe_members", "securities"},
    "signal_outcomes": {"universe_returns", "exchange_breadth", "market_signals"},
    "signal_stability": {"bars", "breadth_counts", "exchange_breadth", "universe_members"},
    "signal_accuracy": {"signal_outcomes", "breadth_indicators", "signal_stability"},
    "signal_records": {"signal_outcomes", "breadth_indicators"},
    "price_indicators": {"bars", "quarantined_bars", "universe_members"},
    "symbol_signals": {"bars", "price_indicators", "market_signals"},
    "backtests": {"universe_returns", "exchange_breadth", "market_signals"},
    "market_report": {"market_signals", "signal_accuracy", "backtests", "symbol_signals"},
    "symbol_calibration": {"bars", "symbol_signals"},
    "symbol_records": {"symbol_calibration"},
}
GROUPS = {
    "market": {"securities", "universe_members", "bars", "quarantined_bars"},
    "breadth": {"exchange_breadth", "breadth_counts", "breadth_indicators"},
    "signals": {"market_signals", "market_report"},
    "symbols": {"price_indicators", "symbol_signals"},
    "evaluation": {"universe_returns", "signal_outcomes", "signal_accuracy", "signal_records", "backtests"}
    | {"signal_stability", "symbol_calibration", "symbol_records"},
}
# Columns that follow a catalogue, beside those of tables.py.
DERIVED = {
    "breadth_indicators": [*CATALOGUE],
    "price_indicators": [*TECHNICAL_COLUMNS, "relative_strength"],
    "symbol_signals": [*VOTE_COLUMNS],
}
BLOCKING = {
    "universe_has_members": True,
    "bars_keep_contract": True,
    "bars_complete": True,
    "bars_current": False,  # history behind the missing session stays usable
    "last_session_in": False,  # says by the clock what bars_current says of a run
    "every_symbol_answered": False,
    "bars_still_given": False,  # what is stored stays usable
    "quarantine_bounded": True,
    "session_plausible": False,  # the closes of a session without volumes are right
    "histories_plausible": False,  # nobody can tell which side of a jump is right
    "members_have_bars": False,  # coverage says what is missing
    "memberships_still_given": False,  # what is stored stays
    "sums_complete": False,  # the member is counted
    "counts_keep_contract": True,
    "coverage_at_gate": True,
    "coverage_steady": False,
    "published_keep_contract": True,
    "published_plausible": False,  # doubted rows are left out of indicators, so they do no harm
    "publications_answered": False,  # what is stored of it stays
    "indicators_keep_contract": True,
    "members_have_indicators": True,
    "signals_keep_contract": False,  # the contract was kept on the way in; nothing has to be kept from being made
    "members_have_signals": False,  # nothing comes after signals
    "returns_keep_contract": False,  # as of signals
    "outcomes_keep_horizon": False,  # the record would be wrong, and no signal
    "every_rule_listed": False,  # likewise
    "trades_follow_signals": False,  # likewise
    "calibration_adds_up": False,  # likewise
}


def test_assets_and_their_edges() -> None:
    edges = {
        key.to_user_string(): {parent.to_user_string() for parent in GRAPH.get(key).parent_keys}
        for key in GRAPH.get_all_asset_keys()
    }
    assert edges == EDGES
    assert GRAPH.external_asset_keys == set()  # a misspelled dependency would show up here


@pytest.mark.parametrize("name", EDGES)
def test_asset_says_what_it_is(name: str) -> None:
    asset = GRAPH.get(dg.AssetKey(name))
    assert name in GROUPS[asset.group_name or ""]
    assert asset.owners == ["team:breadthflow"]
    assert 0 < len(asset.kinds) <= 3  # more are not shown
    assert asset.tags["domain"] == asset.group_name
    layers = ("source", "quality", "counts", "indicators", "signals", "evaluation", "report")
    assert asset.tags["layer"] in layers
    assert asset.code_version
    assert len(asset.description or "") > 40


@pytest.mark.parametrize("name", STORED)
def test_asset_of_a_table_shows_its_columns(name: str) -> None:
    asset = GRAPH.get(dg.AssetKey(name))
    assert {"postgres", "polars"} <= asset.kinds
    assert asset.metadata["dagster/table_name"] == name
    schema = asset.metadata["dagster/column_schema"]
    assert [column.name for column in schema.columns] == columns_of(name)
    assert all(column.description for column in schema.columns)


@pytest.mark.parametrize("name", STORED)
def test_column_schema_is_that_of_the_filled_store(name: str, filled: Store) -> None:
    query = "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = %s"
    stored = {column: (kind, null == "YES") for column, kind, null in filled.rows(query, name)}
    schema = GRAPH.get(dg.AssetKey(name)).metadata["dagster/column_schema"]
    assert {column.name: column.constraints.nullable for column in schema.columns} == {
        column: null for column, (_, null) in stored.items()
    }
    for column in schema.columns:
        if column.name in DERIVED.get(name, ()):
            assert stored[column.name] == (column.type, True)


def test_months_are_one_run_and_one_run_at_a_time_writes_them() -> None:
    partitioned = {
        "bars",
        "quarantined_bars",
        "breadth_counts",
        "universe_returns",
        "price_indicators",
        "symbol_signals",
    }
    assert set(MONTHLY_ASSETS) == partitioned
    for name in EDGES:
        asset = GRAPH.get(dg.AssetKey(name))
        assert (asset.partitions_def is not None) == (name in partitioned)
        assert asset.pools == ({name} if name in partitioned else set())
        if name != "exchange_breadth":  # `dagster asset materialize --partition-range` asks it of all in a selection
            assert asset.backfill_policy == dg.BackfillPolicy.single_run()


def test_checks_that_protect_signals_block() -> None:
    checks = {key.name: GRAPH.get_check_spec(key).blocking for key in GRAPH.asset_check_keys}
    assert {name: blocks for name, blocks in checks.items() if name not in SUITE_NAMES} == BLOCKING


def test_jobs_run_their_assets_in_the_process_of_the_run() -> None:
    jobs = {
        name: {key.to_user_string() for key in DEFINITIONS.resolve_job_def(name).asset_layer.executable_asset_keys}
        for name in ("bring_up_to_date", "import_published_counts", "rerun_events")
    }
    assert jobs == {
        "bring_up_to_date": EDGES.keys() - {"signal_stability"},
        "rerun_events": {"signal_stability", "signal_accuracy"},
        "import_published_counts": {
            *("exchange_breadth", "breadth_indicators", "market_signals", "market_report"),
            *("signal_outcomes", "signal_accuracy", "signal_records", "backtests"),
        },
    }
    checks = DEFINITIONS.resolve_job_def("run_checks").asset_layer
    assert checks.executable_asset_keys == set()
    assert {key.name for key in checks.asset_graph.asset_check_keys} == (
        BLOCKING.keys() - {"last_session_in"}
    ) | SUITE_NAMES
    assert {job.executor_def.name for job in DEFINITIONS.resolve_all_job_defs()} == {"in_process"}


def test_members_are_checked_once_the_counts_are_made() -> None:
    # Both are made of bars at the same time, and the check compares them.
    spec = GRAPH.get_check_spec(dg.AssetCheckKey(dg.AssetKey("price_indicators"), "members_have_indicators"))
    assert [dep.asset_key.to_user_string() for dep in spec.additional_deps] == ["breadth_counts"]


COMPUTED = {
    "breadth_counts": {*tables.breadth_counts.c.keys()} - {"session", "convention", "computed_at"},
    "breadth_indicators": {*CATALOGUE},
    "market_signals": {"value", "state", "session"},
    "price_indicators": {*TECHNICAL_COLUMNS, "relative_strength"},
    "symbol_signals": {*VOTE_COLUMNS, "regime"},
}


def test_lineage_covers_every_computed_column_and_names_columns_that_exist() -> None:
    key = {"universe", "segment", "session"}
    for asset, columns in COMPUTED.items():
        lineage = GRAPH.get(dg.AssetKey(asset)).metadata["dagster/column_lineage"].deps_by_column
        assert lineage.keys() - key == columns - key
        for column, origins in lineage.items():
            assert origins, (asset, column)
            for origin in origins:
                parent = origin.asset_key.to_user_string()
                assert parent in EDGES[asset], (asset, column, parent)
                assert origin.column_name in columns_of(parent), (asset, column, parent)


@pytest.mark.parametrize(
    ("asset", "column", "origins"),
    [
        # by the published formulas
        ("breadth_indicators", "trin", {"advances", "declines", "up_volume", "down_volume"}),
        ("breadth_indicators", "coppock", {"index_close"}),
        ("price_indicators", "atr_14", {"high", "low", "close"}),
        ("price_indicators", "obv", {"close", "volume"}),
        ("symbol_signals", "vote_rsi", {"rsi_14"}),
        ("symbol_signals", "vote_trend", {"close", "sma_50", "sma_200"}),
    ],
)
def test_lineage_names_what_the_formula_is_made_of(asset: str, column: str, origins: set[str]) -> None:
    said = GRAPH.get(dg.AssetKey(asset)).metadata["dagster/column_lineage"].deps_by_column[column]
    assert {origin.column_name for origin in said} == origins


def test_signals_name_every_indicator_that_a_rule_looks_at() -> None:
    said = GRAPH.get(dg.AssetKey("market_signals")).metadata["dagster/column_lineage"].deps_by_column["value"]
    thrusts = {column for rule in RULES.values() if rule.thrust for column in rule.thrust.columns}
    score = {  # as docs and evidence name its components
        *("zweig_ema", "mcclellan_oscillator_ratio", "pct_above_50", "pct_above_200"),
        *("net_new_highs", "up_volume_share"),
    }
    assert {origin.column_name for origin in said} == thrusts | score


def test_loaded_definitions_are_those_of_the_settings() -> None:
    assert isinstance(definitions.defs, dg.Definitions)
    assert definitions.defs.resolve_asset_graph().get_all_asset_keys() == GRAPH.get_all_asset_keys()


def columns_of(table: str) -> list[str]:
    return [*tables.metadata.tables[table].columns.keys(), *DERIVED.get(table, ())]


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_dagster_accepts_the_workspace() -> None:
    program = Path(sys.executable).with_name("dagster")
    workspace = configuration_file("workspace.yaml")
    done = subprocess.run(
        [program, "definitions", "validate", "-w", workspace], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "breadthflow" in done.stdout + done.stderr


def test_jobs_say_what_they_are_for() -> None:
    jobs = [job for job in DEFINITIONS.get_repository_def().get_all_jobs() if not job.name.startswith("__")]
    assert sorted(job.name for job in jobs) == [
        *("back_up", "bring_up_to_date", "import_published_counts", "look_after_databases", "rerun_events"),
        *("restore_drill", "run_checks", "send_digest", "send_review"),
    ]
    assert not [job.name for job in jobs if len(job.description or "") < 30]


def test_pools_are_listed_from_the_first_command_on_and_a_limit_that_somebody_set_stays(store: Store) -> None:
    used = set().union(*(GRAPH.get(key).pools or () for key in GRAPH.get_all_asset_keys()))
    storage = store.instance.event_log_storage
    assert storage.get_pool_limits() == []
    storage.set_concurrency_slots("bars", 3)
    show_pools(store.instance, MONTHLY_ASSETS)
    limits = {limit.name: limit.limit for limit in storage.get_pool_limits()}
    assert limits == {name: 3 if name == "bars" else 1 for name in MONTHLY_ASSETS}
    assert used == limits.keys()


def test_two_first_commands_at_once_both_find_the_pools(store: Store) -> None:
    """Each sees no pool, as all do before the first of them has made them."""
    together, storage = Barrier(4), store.instance.event_log_storage
    look, seen = storage.get_pool_limits, local()

    def first_together() -> object:
        found = look()
        if not getattr(seen, "before", False):
            seen.before = True
            together.wait(30)
        return found

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(4) as commands:
        patch.setattr(storage, "get_pool_limits", first_together)
        done = [commands.submit(show_pools, store.instance, MONTHLY_ASSETS) for _ in range(4)]
        assert [each.result() for each in done] == [None] * 4
    assert {limit.name for limit in storage.get_pool_limits()} == set(MONTHLY_ASSETS)
