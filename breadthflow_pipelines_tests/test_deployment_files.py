"""The files for one machine without containers and for Kubernetes: they keep their programs' rules and compose.yaml's.

Neither is started here.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from breadthflow_pipelines.orchestration.hosting import serve
from breadthflow_pipelines.settings import DOTENV, Settings

ROOT = Path(__file__).resolve().parents[1]
UNIT = (ROOT / "docker" / "breadthflow.service").read_text()
VALUES: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "kubernetes" / "values.yaml").read_text())
UPGRADE = yaml.safe_load((ROOT / "docker" / "kubernetes" / "upgrade.yaml").read_text())
API, API_SERVICE = yaml.safe_load_all((ROOT / "docker" / "kubernetes" / "api.yaml").read_text())
SERVICES = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
(CODE,) = VALUES["dagster-user-deployments"]["deployments"]
PODS = {"code location": CODE, "webserver": VALUES["dagsterWebserver"], "daemon": VALUES["dagsterDaemon"]}
# Names that Dagster's chart knows, of the parts that are set here: typed by hand from its schema (1.13).
_OF_PODS = {
    *("image", "env", "envConfigMaps", "envSecrets", "volumes", "volumeMounts", "resources", "schedulerName"),
    *("podSecurityContext", "securityContext", "nodeSelector", "affinity", "tolerations", "annotations", "labels"),
    *("livenessProbe", "readinessProbe", "startupProbe"),
}
CHART = {
    "": {
        *("dagsterWebserver", "dagster-user-deployments", "postgresql", "generatePostgresqlPasswordSecret"),
        *("generateCeleryConfigSecret", "rabbitmq", "redis", "flower", "ingress", "imagePullSecrets"),
        *("computeLogManager", "scheduler", "runLauncher", "pythonLogs", "dagsterDaemon", "busybox", "migrate"),
        *("telemetry", "serviceAccount", "global", "retention", "concurrency", "additionalInstanceConfig"),
    },
    "dagsterWebserver": {
        *_OF_PODS,
        *("replicaCount", "nameOverride", "service", "workspace", "deploymentLabels", "enableReadOnly", "pathPrefix"),
        *("dbStatementTimeout", "dbPoolRecycle", "logLevel"),
    },
    "dagsterDaemon": {
        *_OF_PODS,
        *("enabled", "heartbeatTolerance", "runCoordinator", "deploymentLabels", "runMonitoring", "runRetries"),
        *("sensors", "schedules"),
    },
    "dagster-user-deployments": {"enabled", "enableSubchart", "imagePullSecrets", "deployments"},
    "postgresql": {
        *("enabled", "image", "service", "postgresqlScheme", "postgresqlHost", "postgresqlUsername"),
        *("postgresqlPassword", "postgresqlDatabase", "postgresqlParams"),
    },
    "runLauncher": {"type", "config"},
    "telemetry": {"enabled"},
    "global": {"postgresqlSecretName", "dagsterHome", "serviceAccountName", "celeryConfigSecretName"},
}
DEPLOYMENT = {*_OF_PODS, "name", "port", "dagsterApiGrpcArgs", "codeServerArgs", "includeConfigInLaunchedRuns"}
MOST_EXPOSED = 20  # tenths; systemd calls up to 4 OK


def said(name: str) -> str:
    (value,) = re.findall(rf"^{name}=(.*)$", UNIT, re.M)
    return str(value)


@pytest.mark.parametrize(
    "question", [("verify",), ("security", "--offline=true", f"--threshold={MOST_EXPOSED}")], ids=["verify", "security"]
)
def test_the_unit_is_one_that_systemd_takes_and_lets_do_little(question: tuple[str, ...], tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "breadthflow.service"
    unit.write_text(UNIT.replace("/opt/breadthflow/bin/breadthflow up", "/bin/true up"))
    asked = subprocess.run([program, *question, unit], capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert "Unknown" not in asked.stderr


def test_the_unit_waits_until_up_has_stopped_everything_and_does_not_repeat_a_refusal() -> None:
    by_itself = serve.DAEMON_STOP + serve.RUNS_STOP + serve.WEBSERVER_STOP + serve.CODE_SERVER_STOP + serve.LEFT_STOP
    by_itself += serve.API_STOP
    assert int(said("TimeoutStopSec")) > by_itself + 60  # in which PostgreSQL may write its last checkpoint
    assert said("KillMode") == "mixed"  # up is asked alone, and asks its processes in order
    assert (said("Restart"), said("RestartPreventExitStatus")) == ("on-failure", "2")
    assert said("User") != "root"


BACKUPS = "/mnt/backups"


def test_the_unit_serves_figures_and_may_write_where_backups_go() -> None:
    command = said("ExecStart").split()
    targets = yaml.safe_load((ROOT / "docker" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0]
    assert command[command.index("--metrics-port") + 1] == targets["static_configs"][0]["targets"][0].split(":")[1]
    assert said("ReadWritePaths") == f"-{BACKUPS}"
    assert (
        f"install -d -o {said('User')} -g {said('Group')} -m 0750 /var/lib/{said('StateDirectory')} {BACKUPS}\n"
        in (ROOT / "docs" / "deployment.md").read_text()
    )


def test_the_unit_and_commands_read_the_same_settings() -> None:
    home = f"/var/lib/{said('StateDirectory')}"
    assert (said("WorkingDirectory"), said("AssertPathExists")) == (home, f"{home}/{DOTENV}")
    assert "BREADTHFLOW_" not in said("Environment")
    installing = (ROOT / "docs" / "deployment.md").read_text()
    settings = f"BREADTHFLOW_HOME={home}\\nBREADTHFLOW_BACKUP_FOLDER={BACKUPS}\\n"
    assert f"printf '{settings}' |\n    install -o {said('User')} -m 0600 /dev/stdin {home}/{DOTENV}" in installing
    assert f"sudo -u {said('User')} env -C {home} /opt/breadthflow/bin/breadthflow status" in installing


def test_no_value_is_misspelt() -> None:
    given = {name: value for name, value in VALUES.items() if not name.startswith("x-")}  # those are YAML's anchors
    assert given.keys() <= CHART[""]
    for name, values in given.items():
        if isinstance(values, dict):
            assert values.keys() <= CHART[name], name
    assert CODE.keys() <= DEPLOYMENT


@pytest.mark.parametrize("name", PODS)
def test_a_pod_runs_as_the_image_and_compose_have_it(name: str) -> None:
    pod = PODS[name]
    assert pod["podSecurityContext"]["runAsUser"] == int(SERVICES["daemon"]["user"].split(":")[0]) > 0
    container = pod["securityContext"]
    assert (container["readOnlyRootFilesystem"], container["capabilities"]) == (True, {"drop": ["ALL"]})
    assert pod["resources"]["limits"]["memory"] == SERVICES[name.replace(" ", "-")]["mem_limit"].upper() + "i"
    environment = {each["name"]: each["value"] for each in pod["env"]}
    assert f"DAGSTER_HOME={environment['DAGSTER_HOME']} " in DOCKERFILE  # where dagster.yaml is copied to
    assert f"COPY dagster.yaml docker/workspace.yaml {environment['DAGSTER_HOME']}/" in DOCKERFILE
    settings = {name.removesuffix("_FILE") for name in environment if name.startswith("BREADTHFLOW_")}
    assert settings <= {f"BREADTHFLOW_{field.upper()}" for field in Settings.model_fields}
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in pod["volumes"]}
    assert environment["BREADTHFLOW_DATABASE_PASSWORD_FILE"] == f"{mounts['secret']}/postgresql-password"
    assert mounts["tmp"] == "/tmp"  # noqa: S108 - the root file system is read-only


def test_the_code_location_is_the_same_as_in_compose() -> None:
    command = SERVICES["code-location"]["command"]
    assert command[:3] == ["dagster", "api", "grpc"]  # as the chart starts one by dagsterApiGrpcArgs
    assert CODE["dagsterApiGrpcArgs"] == command[command.index("--module-name") :]
    assert str(CODE["port"]) == command[command.index("--port") + 1]
    (server,) = VALUES["dagsterWebserver"]["workspace"]["servers"]
    assert (server["host"], server["port"]) == (CODE["name"], CODE["port"])
    assert server["name"] == command[command.index("--location-name") + 1]
    written = {mount["mountPath"] for mount in CODE["volumeMounts"]} - {"/tmp", "/etc/breadthflow/secret"}  # noqa: S108
    assert written == {volume.split(":")[1] for volume in SERVICES["code-location"]["volumes"] if "$" not in volume}


def test_the_launcher_is_that_of_dagster_yaml_and_no_password_is_written_down() -> None:
    launcher = VALUES["runLauncher"]["config"]["customRunLauncher"]
    ours = yaml.safe_load((ROOT / "dagster.yaml").read_text())["run_launcher"]
    assert (launcher["module"], launcher["class"]) == (ours["module"], ours["class"])
    assert VALUES["postgresql"]["enabled"] is VALUES["generatePostgresqlPasswordSecret"] is False
    assert "postgresqlPassword" not in VALUES["postgresql"]
    assert not re.findall(r"://[^/\s@]*:[^/\s@]*@", str(VALUES) + str(UPGRADE) + str(API))


def test_viewers_have_a_webserver_that_refuses_mutations() -> None:
    assert "--read-only" in SERVICES["webserver-readonly"]["command"]
    assert VALUES["dagsterWebserver"]["enableReadOnly"] is True


WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
TESTING = {
    name: [step.get("run", "") for step in job["steps"]]
    for name, job in WORKFLOW.items()
    if {".ci/run", "make test-all"} & {step.get("run") for step in job["steps"]}
}
PROGRAMS = {"nginx-light", "pgbouncer", "prometheus", "prometheus-alertmanager"}  # without them their tests are skipped


@pytest.mark.parametrize("name", TESTING)
def test_the_workflow_has_the_programs_whose_tests_would_be_skipped(name: str) -> None:
    commands = TESTING[name]
    (place,) = (place for place, command in enumerate(commands) if "apt-get install" in command)
    assert set(commands[place].split()) >= PROGRAMS
    assert place < next(place for place, command in enumerate(commands) if command in (".ci/run", "make test-all"))
    # Debian's packages start their services, at ports that tests may be given.
    assert re.search(r"systemctl stop nginx pgbouncer prometheus prometheus-alertmanager$", commands[place], re.M)


def test_the_upgrade_runs_what_compose_runs_before_anything_else() -> None:
    pod = UPGRADE["spec"]["template"]["spec"]
    (market,), (dagster,) = pod["initContainers"], pod["containers"]
    assert [market["command"], dagster["command"]] == [
        SERVICES["migrate"]["command"],
        SERVICES["migrate-dagster"]["command"],
    ]
    assert market["image"] == dagster["image"] == "{repository}:{tag}".format(**CODE["image"])


def test_the_api_is_the_one_of_compose_beside_the_pods_of_the_chart() -> None:
    pod = API["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"] == SERVICES["api"]["command"]
    assert container["image"] == "{repository}:{tag}".format(**CODE["image"])
    assert container["securityContext"] == CODE["securityContext"]
    assert pod["securityContext"].items() <= CODE["podSecurityContext"].items()
    assert container["resources"]["limits"]["memory"] == SERVICES["api"]["mem_limit"].upper() + "i"
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in pod["volumes"]}
    environment = {each["name"]: each["value"] for each in container["env"]}
    assert environment["BREADTHFLOW_DATABASE_PASSWORD_FILE"] == f"{mounts['secret']}/postgresql-password"
    settings = {name.removesuffix("_FILE") for name in environment}
    assert settings <= {f"BREADTHFLOW_{field.upper()}" for field in Settings.model_fields}
    # What it reads and where history begins are those of the code location; only it needs the rest.
    others = {each["name"]: each["value"] for each in CODE["env"] if each["name"] in environment}
    assert others.items() <= environment.items()
    assert environment.keys() - others.keys() == {"BREADTHFLOW_WEBSERVER_URL", "BREADTHFLOW_API_PROXIES"}


def test_requests_find_the_api_and_the_api_finds_the_webserver() -> None:
    (container,) = API["spec"]["template"]["spec"]["containers"]
    (port,), command = container["ports"], container["command"]
    assert str(port["containerPort"]) == command[command.index("--port") + 1]
    labels = API["spec"]["template"]["metadata"]["labels"]
    assert API_SERVICE["spec"]["selector"].items() <= labels.items() == API["spec"]["selector"]["matchLabels"].items()
    assert {each["targetPort"] for each in API_SERVICE["spec"]["ports"]} == {port["name"]}
    probe = container["readinessProbe"]["httpGet"]
    assert (probe["path"], probe["port"]) == ("/health", port["name"])
    assert '"GET", "/health"' in SERVICES["api"]["healthcheck"]["test"][-1]
    environment = {each["name"]: each["value"] for each in container["env"]}
    webserver = VALUES["dagsterWebserver"]
    service = (
        f"breadthflow-{webserver['nameOverride']}:{webserver['service']['port']}"  # release, name: as the chart does
    )
    assert environment["BREADTHFLOW_WEBSERVER_URL"] == f"http://{service}"
