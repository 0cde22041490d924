"""Grafana's dashboards as they are in the repository: every query answers on a filled store, every figure exists."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml

from breadthflow_pipelines.observability.metrics import METRICS, PREFIX
from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.orchestration.small_market import FIRST, LAST

ROOT = Path(__file__).resolve().parents[3]
GRAFANA = ROOT / "docker" / "grafana"
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))}
# Of a store that is well.
MAY_BE_EMPTY = {
    "Checks that fail now",
    "Sessions that are held",
    "Values that sources changed later",
    "Doubted bars",
    "What changed below, and waits to be computed again",
}
FROM, TO = f"'{FIRST}T00:00:00Z'", f"'{LAST}T23:59:59Z'"
# Macros of Grafana's data source, as its documentation says what becomes of them.
MACROS = [
    (r"\$__timeFilter\(([^()]+)\)", rf"\1 BETWEEN {FROM} AND {TO}"),
    (r"\$__timeGroup\(([^,]+), '(\d+)d'\)", r"floor(extract(epoch from \1)/(86400*\2))*(86400*\2)"),
    (r"\$\{universe:sqlstring\}", "'small'"),
]


def queries() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Each board's name, panel and target."""
    for name, board in BOARDS.items():
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                yield name, panel, target


SQL = [(f"{name}: {panel['title']}", panel, target) for name, panel, target in queries() if "rawSql" in target]
PROMQL = [(f"{name}: {panel['title']}", target["expr"]) for name, panel, target in queries() if "expr" in target]


def expanded(sql: str) -> str:
    """The query as Grafana sends it."""
    for macro, instead in MACROS:
        sql = re.sub(macro, instead, sql)
    assert "$" not in sql, "a macro or a variable that this test does not know"
    return sql


def answer(store: Store, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Columns and rows, asked for by a reader of the store, who may not write."""
    limits = "-c role=breadthflow_reader -c default_transaction_read_only=on -c statement_timeout=10s"
    connection = psycopg2.connect(store.database.url, options=limits)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return [column.name for column in cursor.description or ()], cursor.fetchall()
    finally:
        connection.close()


def test_there_is_a_board_for_each_subject() -> None:
    assert BOARDS.keys() == {"health", "quality", "breadth", "signals"}
    assert len({board["uid"] for board in BOARDS.values()}) == 4
    for board in BOARDS.values():
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids) >= 8


def test_every_query_answers_on_a_filled_store(filled: Store) -> None:
    assert len(SQL) > 20
    for name, panel, target in SQL:
        columns, rows = answer(filled, expanded(target["rawSql"]))
        assert rows or panel["title"] in MAY_BE_EMPTY, name
        if target["format"] == "time_series":
            assert columns[0] == "time", name
            times = [row[0] for row in rows]
            assert times == sorted(times), name
            assert all(isinstance(value, float | int) or value is None for *_, value in rows), name


def test_a_figure_is_the_store_s(filled: Store) -> None:
    (target,) = (target for name, _, target in SQL if name == "breadth: Advances and declines")
    _, rows = answer(filled, expanded(target["rawSql"]))
    assert [(row[0].date(), *row[1:]) for row in rows] == filled.rows(
        "SELECT session, advances, declines FROM breadth_counts "
        "WHERE universe = 'small' AND segment = 'ALL' ORDER BY session"
    )


def test_invented_companies_are_called_that(filled: Store) -> None:
    for board in ("breadth", "signals"):
        (target,) = (target for name, _, target in SQL if name == f"{board}: What this is")
        assert answer(filled, expanded(target["rawSql"]))[1] == [("Real prices or counts",)]
        filled.execute("UPDATE securities SET synthetic = true WHERE security_key = 'AAA'")
        ((said,),) = answer(filled, expanded(target["rawSql"]))[1]
        assert said.startswith("SYNTHETIC")
        filled.execute("UPDATE securities SET synthetic = false")


def test_the_choice_of_universes_is_the_store_s(filled: Store) -> None:
    chosen = [variable for board in BOARDS.values() for variable in board["templating"]["list"]]
    assert {variable["name"] for variable in chosen} == {"universe"}
    for variable in chosen:
        assert answer(filled, variable["query"])[1] == [("small",)]


@pytest.mark.parametrize(("name", "expression"), PROMQL)
def test_every_figure_is_one_that_is_exported_with_these_labels(name: str, expression: str) -> None:
    named = re.findall(r"\b([a-z_]+[a-z])\b(?:\{([^}]*)\})?", re.sub(r'"[^"]*"', '""', expression))
    figures = [(metric, labels) for metric, labels in named if metric.startswith(PREFIX)]
    assert figures or expression.startswith("ALERTS"), name
    for metric, matchers in figures:
        declared = METRICS[metric.removeprefix(PREFIX)]
        assert set(re.findall(r"(\w+)=", matchers)) <= set(declared.labels), name


def test_prometheus_can_read_every_expression(tmp_path: Path) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$universe", "small")}
        for number, (_, expression) in enumerate(PROMQL)
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run([program, "check", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_a_panel_asks_is_provisioned_and_mounted() -> None:
    sources = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "breadthflow.yaml").read_text())["datasources"]
    uids = {source["uid"] for source in sources}
    for _, panel, target in queries():
        assert panel["datasource"]["uid"] in uids
        assert target["datasource"]["uid"] in uids
    compose = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
    service = compose["services"]["grafana"]
    mounted = dict(volume.split(":")[:2] for volume in service["volumes"] if volume.startswith("./"))
    provided = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "breadthflow.yaml").read_text())
    (provider,) = provided["providers"]
    assert mounted["./grafana/dashboards"] == provider["options"]["path"]
    home = service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/health.json"
    text = (GRAFANA / "provisioning" / "datasources" / "breadthflow.yaml").read_text()
    assert set(re.findall(r"\$(DASHBOARDS_\w+)", text)) <= set(service["environment"])
    assert set(re.findall(r"/run/secrets/(\w+)", text)) <= set(service["secrets"]) <= set(compose["secrets"])
    prometheus = next(source for source in sources if source["type"] == "prometheus")
    assert prometheus["url"] == "http://prometheus:9090"
