"""Prometheus' and Alertmanager's files: their own programs accept them, every alert fires and has a runbook.

Debian packages the programs as prometheus and prometheus-alertmanager; without them those tests are skipped.
"""

import datetime as dt
import json
import re
import shutil
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from breadthflow_pipelines.observability.metrics import METRICS, PREFIX
from breadthflow_pipelines.sessions import due_session, exchange_calendar
from breadthflow_pipelines_tests.conftest import free_port, wait_until
from breadthflow_pipelines_tests.e2e.conftest import breadthflow
from breadthflow_pipelines_tests.e2e.test_metrics import exporter
from breadthflow_pipelines_tests.orchestration.hosting.test_dashboards import PROMQL

ROOT = Path(__file__).resolve().parents[1]
FILES = ROOT / "docker" / "prometheus"
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load((FILES / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
}


def program(name: str) -> str:
    """The path of one of Debian's programs; the test is skipped where it is missing."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install prometheus prometheus-alertmanager")
    return found


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("promtool", ["check", "config", "prometheus.yml"]),
        ("promtool", ["check", "rules", "rules.yml"]),
        ("promtool", ["test", "rules", "rules.test.yml"]),
        ("amtool", ["check-config", "alertmanager.yml"]),
    ],
)
def test_their_own_programs_accept_the_files(name: str, arguments: list[str]) -> None:
    done = subprocess.run([program(name), *arguments], cwd=FILES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_to_fire_and_not_to() -> None:
    cases = [
        (case["alertname"], bool(case.get("exp_alerts")))
        for test in yaml.safe_load((FILES / "rules.test.yml").read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    assert set(cases) == {(alert, fires) for alert in RULES for fires in (True, False)}


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    runbook = (ROOT / "docs" / "operations.md").read_text().partition("\n## Runbook\n")[2].partition("\n## ")[0]
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", runbook, re.MULTILINE | re.DOTALL))
    assert sections.keys() == RULES.keys()
    for alert, rule in RULES.items():
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{alert.lower()}"
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert re.findall(r"^\*\*(\w+)\*\*", sections[alert], re.MULTILINE) == ["Means", "Look", "Do"]


def test_rules_ask_for_figures_that_exist_by_labels_that_they_have() -> None:
    for rule in RULES.values():
        for name, matchers in re.findall(rf"\b{PREFIX}(\w+)(?:{{([^}}]*)}})?", rule["expr"]):
            assert name in METRICS
            labels = set(re.findall(r"(\w+)=", matchers)) - {"job"}
            assert labels <= set(METRICS[name].labels)


def test_containers_mount_the_files_that_are_tested() -> None:
    services = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]
    config = yaml.safe_load((FILES / "prometheus.yml").read_text())
    mounted = [
        volume.split(":")[:2]
        for name in ("prometheus", "alertmanager")
        for volume in services[name]["volumes"]
        if volume.startswith("./")
    ]
    for source, target in mounted:
        assert (ROOT / "docker" / source).is_file()
        assert Path(source).name == Path(target).name
    assert {Path(source).name for source, _ in mounted} == {"prometheus.yml", "rules.yml", "alertmanager.yml"}
    (target,) = config["scrape_configs"][0]["static_configs"][0]["targets"]
    name, _, port = target.partition(":")
    command = services[name]["command"]
    assert command[command.index("--port") + 1] == port
    receiver = yaml.safe_load((FILES / "alertmanager.yml").read_text())["receivers"][0]["slack_configs"][0]
    assert [f"/run/secrets/{name}" for name in services["alertmanager"]["secrets"]] == [receiver["api_url_file"]]


@contextmanager
def webhook() -> Iterator[tuple[str, list[str]]]:
    """An address that takes Slack's messages, and the texts of those that came."""
    texts: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            texts.extend(f"{part['title']}\n{part['text']}" for part in message["attachments"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the parent's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", texts
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def running(*command: object, log: Path) -> Iterator[None]:
    """A program that is ended at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output)
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


def copied(directory: Path, replacements: dict[str, str]) -> Path:
    """The files of the repository, with these texts replaced; each must be there."""
    directory.mkdir()
    texts = {path.name: path.read_text() for path in FILES.glob("*.yml")}
    for old, new in replacements.items():
        assert any(old in text for text in texts.values()), old
        texts = {name: text.replace(old, new) for name, text in texts.items()}
    for name, text in texts.items():
        (directory / name).write_text(text)
    return directory


def firing(port: int) -> set[str]:
    """The alerts that Prometheus has firing."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/alerts", timeout=10) as answer:
        alerts = json.load(answer)["data"]["alerts"]
    return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


# Figures that the store of the test below need not have, and why.
WITHOUT_SERIES = {
    "daemon_heartbeat_age_seconds": "no daemon ever ran on it",
    "run_age_seconds": "no run is under way",
    "usual_run_duration_seconds": "from five runs on",
    "statement_mean_seconds": "the embedded server has no pg_stat_statements",
    "signal_lift_low": "of a little more than a year there are too few events for an interval",
    "signal_lift_high": "the same",
    "signal_recent_hit_rate": "only of rules that have an interval",
}


def without_series(port: int, universe: str) -> set[str]:
    """The figures that dashboards ask for and Prometheus has no series of; it understands every expression."""
    empty = set()
    for name, expression in PROMQL:
        asked = urllib.parse.urlencode({"query": expression.replace("$universe", universe)})
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{asked}", timeout=10) as answer:
            found = json.load(answer)
        assert found["status"] == "success", name
        if not found["data"]["result"]:
            empty |= set(re.findall(rf"\b{PREFIX}(\w+)", expression)) or {expression}
    return empty


@pytest.mark.slow
def test_a_store_made_stale_reaches_people_by_the_files_that_containers_mount(
    home: Path, tmp_path: Path, fresh_database: Callable[[], str]
) -> None:
    prometheus, alertmanager = program("prometheus"), program("prometheus-alertmanager")
    calendar = exchange_calendar("XNYS")
    week_ago = calendar.back(calendar.last_closed(), 5)
    settings: dict[str, object] = {
        "home": home,
        "database_url": fresh_database(),
        "dagster_database_url": fresh_database(),
        "start": f"{calendar.back(week_ago, 300):%Y-%m}",
    }
    assert breadthflow("db", "upgrade", **settings).returncode == 0
    ran = breadthflow("run", "--date", week_ago, **settings)
    assert ran.returncode == 0, ran.stderr

    ports = {name: free_port() for name in ("metrics", "prometheus", "alertmanager")}
    hook_file = tmp_path / "webhook"
    files = copied(
        tmp_path / "files",
        {
            "metrics:9464": f"127.0.0.1:{ports['metrics']}",
            "alertmanager:9093": f"127.0.0.1:{ports['alertmanager']}",
            "/run/secrets/alert_webhook": str(hook_file),
            "scrape_interval: 30s": "scrape_interval: 5s",
            "scrape_timeout: 25s": "scrape_timeout: 5s",
            "evaluation_interval: 30s": "evaluation_interval: 1s",
            "for: 5m": "for: 1s",
            "for: 2m": "for: 1s",
            "group_wait: 30s": "group_wait: 1s",
            "group_interval: 5m": "group_interval: 1s",
        },
    )
    listen = "--web.listen-address=127.0.0.1"
    with (
        webhook() as (address, texts),
        exporter(ports["metrics"], **settings) as exporting,
        running(
            *(alertmanager, f"--config.file={files}/alertmanager.yml", f"--storage.path={tmp_path}/alertmanager"),
            *(f"{listen}:{ports['alertmanager']}", "--cluster.listen-address="),
            log=tmp_path / "alertmanager.log",
        ),
        running(
            *(prometheus, f"--config.file={files}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/prometheus"),
            f"{listen}:{ports['prometheus']}",
            log=tmp_path / "prometheus.log",
        ),
    ):
        hook_file.write_text(address)
        wait_until(lambda: any("SessionMissing" in text for text in texts), 120)
        told = next(text for text in texts if "SessionMissing" in text)
        overdue = calendar.between(week_ago, due_session(calendar, dt.timedelta(hours=2)))[1:]
        assert f"furthest behind lacks {len(overdue)} session(s)" in told
        assert "Runbook: docs/operations.md#sessionmissing" in told
        alerts = firing(ports["prometheus"])
        assert {"SessionMissing", "PipelineDown"} <= alerts  # no daemon ever ran on this store
        assert not {"ExporterDown", "DatabaseDown", "RunErrors", "RunSlow"} & alerts

        assert breadthflow("run", **settings).returncode == 0
        wait_until(lambda: "SessionMissing" not in firing(ports["prometheus"]), 120)
        empty = without_series(ports["prometheus"], "demo")
        assert empty <= {*WITHOUT_SERIES}, "no figure"
        assert all(name in METRICS for name in WITHOUT_SERIES)

        exporting.kill()
        wait_until(lambda: "ExporterDown" in firing(ports["prometheus"]), 120)
        wait_until(lambda: any("ExporterDown" in text for text in texts), 120)
