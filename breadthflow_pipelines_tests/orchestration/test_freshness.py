"""Which assets have lights, and who switches them. That they turn red and green is tested with the sensor."""

import datetime as dt

import dagster as dg
import pytest

from breadthflow_pipelines.model.datasets import MARKET_ASSETS
from breadthflow_pipelines.orchestration.freshness import with_freshness
from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines_tests.orchestration.conftest import Store

DEFINITIONS = build(Settings())
GRAPH = DEFINITIONS.resolve_asset_graph()
LIT = {key.asset_key.to_user_string() for key in GRAPH.asset_check_keys if key.name == "last_session_in"}


def test_every_asset_has_a_policy_and_published_counts_which_come_by_hand_a_longer_one() -> None:
    policies = {key.to_user_string(): GRAPH.get(key).freshness_policy for key in GRAPH.get_all_asset_keys()}
    daily, by_hand = (dg.FreshnessPolicy.time_window(dt.timedelta(days=days)) for days in (5, 35))
    assert policies == {**dict.fromkeys(MARKET_ASSETS, daily), "exchange_breadth": by_hand, "signal_stability": by_hand}


def test_every_asset_of_sessions_has_a_check_by_the_clock() -> None:
    # Those have no sessions, or are no table; on a good day nothing is in quarantine; records go as far as signals do.
    assert set(MARKET_ASSETS) - LIT == {
        *("securities", "universe_members", "quarantined_bars", "market_report"),
        *("universe_returns", "signal_outcomes", "signal_accuracy", "signal_records", "backtests"),
        *("symbol_calibration", "symbol_records"),
    }


@pytest.mark.parametrize("job", ["bring_up_to_date", "run_checks", "import_published_counts"])
def test_no_job_judges_by_the_clock(job: str) -> None:
    keys = DEFINITIONS.resolve_job_def(job).asset_layer.asset_graph.asset_check_keys
    assert len(keys) > 3
    assert "last_session_in" not in {key.name for key in keys}


@pytest.mark.parametrize(("exchange", "days"), [("XNYS", 5), ("XTKS", 12)])
def test_no_holiday_of_the_exchange_trips_the_policy(exchange: str, days: int) -> None:
    @dg.asset
    def bars() -> None: ...

    (lit,) = with_freshness([bars], exchange_calendar(exchange))
    assert isinstance(lit, dg.AssetsDefinition)
    policy = lit.get_asset_spec().freshness_policy
    assert policy == dg.FreshnessPolicy.time_window(dt.timedelta(days=days))


def test_dagster_evaluates_the_policies(store: Store) -> None:
    assert store.instance.get_settings("freshness") == {"enabled": True}
