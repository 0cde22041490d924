"""Figures get the names and labels that are declared; what is not known has no sample."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from breadthflow_pipelines.observability.metrics import METRICS, Figures


class Given(Collector):
    """A collector of these figures."""

    def __init__(self, figures: Figures) -> None:
        self.collect = figures.families  # type: ignore[method-assign]


def exposed(figures: Figures) -> list[str]:
    registry = CollectorRegistry()
    registry.register(Given(figures))
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def test_a_sample_has_its_labels_and_an_unknown_value_has_none() -> None:
    figures = Figures()
    figures.add("coverage_ratio", 0.5, universe="demo", synthetic=True)
    figures.add("coverage_ratio", None, universe="sp500", synthetic=False)
    figures.add("runs_queued", 0)
    assert exposed(figures) == [
        'breadthflow_coverage_ratio{synthetic="true",universe="demo"} 0.5',
        "breadthflow_runs_queued 0.0",
    ]


def test_rows_become_samples_by_the_columns_that_are_labels() -> None:
    figures = Figures()
    rows = [
        {"dagster_job": "daily", "status": "SUCCESS", "runs": 3},
        {"dagster_job": "daily", "status": "FAILURE", "runs": 1},
    ]
    figures.add_each("runs_ended_last_day", rows, "runs")
    assert exposed(figures) == [
        'breadthflow_runs_ended_last_day{dagster_job="daily",status="SUCCESS"} 3.0',
        'breadthflow_runs_ended_last_day{dagster_job="daily",status="FAILURE"} 1.0',
    ]


def test_what_is_not_declared_is_refused() -> None:
    with pytest.raises(KeyError):
        Figures().add("runs_quewed", 1)
    with pytest.raises(KeyError, match=r"holds has the labels \('gate',\)"):
        Figures().add("holds", 1, universe="demo")


def test_units_stand_in_the_names_as_prometheus_wants_them() -> None:
    for metric in METRICS.values():
        assert metric.about[0].isupper()
        assert not metric.name.endswith(("_ms", "_total", "_percent"))
