"""What Dagster loads: assets that say what they are, their edges, jobs and lineage."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from breadthflow_pipelines import definitions
from breadthflow_pipelines.orchestration.instance import configuration_file
from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.warehouse import tables
from breadthflow_pipelines_tests.orchestration.conftest import Store

DEFINITIONS = build(Settings())
GRAPH = DEFINITIONS.resolve_asset_graph()
EDGES = {
    "securities": set(),
    "universe_members": {"securities"},
    "bars": {"securities"},
    "exchange_breadth": set(),
    "breadth_counts": {"bars", "universe_members", "securities"},
    "breadth_indicators": {"breadth_counts", "exchange_breadth"},
    "market_signals": {"breadth_indicators"},
}
BLOCKING = {
    "universe_has_members": True,
    "bars_keep_contract": True,
    "bars_complete": True,
    "bars_current": False,  # history behind the missing session stays usable
    "last_session_in": False,  # says by the clock what bars_current says of a run
    "every_symbol_answered": False,
    "counts_keep_contract": True,
    "coverage_at_gate": True,
    "coverage_steady": False,
    "published_keep_contract": True,
    "indicators_keep_contract": True,
    "signals_keep_contract": False,  # nothing comes after signals
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
    assert asset.group_name in ("market", "breadth", "signals")
    assert asset.owners == ["team:breadthflow"]
    assert {"postgres", "polars"} <= asset.kinds
    assert asset.code_version
    assert len(asset.description or "") > 40
    schema = asset.metadata["dagster/column_schema"]
    assert [column.name for column in schema.columns] == [
        column.name for column in tables.metadata.tables[name].columns
    ]
    assert all(column.description for column in schema.columns)


def test_months_are_one_run_and_one_run_at_a_time_writes_them() -> None:
    partitioned = {"bars", "breadth_counts"}
    for name in EDGES:
        asset = GRAPH.get(dg.AssetKey(name))
        assert (asset.partitions_def is not None) == (name in partitioned)
        assert asset.pools == ({name} if name in partitioned else set())
        if name != "exchange_breadth":  # `dagster asset materialize --partition-range` asks it of all in a selection
            assert asset.backfill_policy == dg.BackfillPolicy.single_run()


def test_checks_that_protect_signals_block() -> None:
    assert {key.name: GRAPH.get_check_spec(key).blocking for key in GRAPH.asset_check_keys} == BLOCKING


def test_jobs_run_their_assets_in_the_process_of_the_run() -> None:
    jobs = {
        name: {key.to_user_string() for key in DEFINITIONS.resolve_job_def(name).asset_layer.executable_asset_keys}
        for name in ("bring_up_to_date", "import_published_counts")
    }
    assert jobs == {
        "bring_up_to_date": EDGES.keys() - {"exchange_breadth"},
        "import_published_counts": {"exchange_breadth", "breadth_indicators", "market_signals"},
    }
    checks = DEFINITIONS.resolve_job_def("run_checks").asset_layer
    assert checks.executable_asset_keys == set()
    assert {key.name for key in checks.asset_graph.asset_check_keys} == BLOCKING.keys() - {"last_session_in"}
    assert {job.executor_def.name for job in DEFINITIONS.resolve_all_job_defs()} == {"in_process"}


def test_lineage_covers_every_computed_column_and_names_columns_that_exist(filled: Store) -> None:
    key = {"universe", "segment", "session"}
    computed = {
        "breadth_counts": {*tables.breadth_counts.c.keys()} - {"session", "convention", "computed_at"},
        "breadth_indicators": set(tables.INDICATORS),
        "market_signals": {"value", "state", "session"},
    }
    for asset, columns in computed.items():
        lineage = filled.metadata(asset)["dagster/column_lineage"].deps_by_column
        assert lineage.keys() - key == columns - key
        for origins in lineage.values():
            for origin in origins:
                assert origin.asset_key in GRAPH.get(dg.AssetKey(asset)).parent_keys
                assert origin.column_name in tables.metadata.tables[origin.asset_key.to_user_string()].columns


def test_loaded_definitions_are_those_of_the_settings() -> None:
    assert isinstance(definitions.defs, dg.Definitions)
    assert definitions.defs.resolve_asset_graph().get_all_asset_keys() == GRAPH.get_all_asset_keys()


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
