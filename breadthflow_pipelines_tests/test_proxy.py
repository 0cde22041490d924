"""The proxy of docker/nginx with a real nginx: who may do what, cell by cell, and what reaches which webserver."""

import base64
import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from breadthflow_pipelines.warehouse.audit_listing import audited
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines_tests.conftest import free_port, wait_until

CONFIGURATION = Path(__file__).resolve().parents[1] / "docker" / "nginx" / "nginx.conf"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
OPENSSL = shutil.which("openssl")

pytestmark = [
    pytest.mark.skipif(NGINX is None, reason="there is no nginx program; Debian's package nginx-light has one"),
    pytest.mark.skipif(OPENSSL is None, reason="there is no openssl program, which makes the certificate"),
]

PASSWORDS = {"olga": "of the operator", "vera": "of the viewer", "Olga": "of another viewer"}
NOBODY, WRONG, VIEWER, OPERATOR = None, ("olga", "guessed"), ("vera", "of the viewer"), ("olga", "of the operator")
Login = tuple[str, str] | None


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Proxy:
    """A running nginx with the configuration of the containers, on a port of its own."""

    port: int
    log: Path
    directory: Path
    api_port: int

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.port}"

    def ask(
        self,
        login: Login,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        port: int | None = None,
    ) -> Answer:
        """One request on a connection of its own; the path is sent as it stands here."""
        given = dict(headers or {})
        if login is not None:
            given["Authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
        context = ssl.create_default_context(cafile=str(self.directory / "secrets" / "certificate.pem"))
        connection = http.client.HTTPSConnection("localhost", port or self.port, context=context, timeout=20)
        try:
            connection.request(method, path, body=body, headers=given)
            answer = connection.getresponse()
            content = b"" if answer.status == 101 else answer.read()
            return Answer(answer.status, dict(answer.headers), content)
        finally:
            connection.close()


@contextmanager
def proxied(directory: Path, webserver: int, readonly: int) -> Iterator[Proxy]:
    """The proxy before the webservers on these two ports."""
    secrets, port, api_port = directory / "secrets", free_port(), free_port()
    secrets.mkdir()
    made = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost")
    made += ("-addext", "subjectAltName=DNS:localhost")
    files = ("-keyout", str(secrets / "key.pem"), "-out", str(secrets / "certificate.pem"))
    subprocess.run([str(OPENSSL), *made, *files], check=True, capture_output=True)
    hashed = {
        name: subprocess.run(
            [str(OPENSSL), "passwd", "-6", password], check=True, capture_output=True, text=True
        ).stdout.strip()
        for name, password in PASSWORDS.items()
    }
    (secrets / "htpasswd").write_text("".join(f"{name}:{hash_}\n" for name, hash_ in hashed.items()))
    (secrets / "operators").write_text(f"~^olga$ 127.0.0.1:{webserver};\n")
    text = CONFIGURATION.read_text()
    for there, here in (
        ("/tmp/", f"{directory}/"),  # noqa: S108 - as the configuration has it
        ("/run/secrets", str(secrets)),
        ("webserver-readonly:3000", f"127.0.0.1:{readonly}"),
        ("listen 8443", f"listen 127.0.0.1:{port}"),
        ("listen 8444", f"listen 127.0.0.1:{api_port}"),
        ("api:8000", f"127.0.0.1:{webserver}"),  # whoever stands for it remembers what came
    ):
        assert there in text
        text = text.replace(there, here)
    account = "user root;\n" if os.geteuid() == 0 else ""  # the workers read the secrets of this test
    (directory / "nginx.conf").write_text(account + text)
    log = directory / "log"
    with log.open("wb") as output:
        command = [str(NGINX), "-c", str(directory / "nginx.conf"), "-p", str(directory)]
        process = subprocess.Popen(command, stdout=output, stderr=output)
    proxy = Proxy(port, log, directory, api_port)
    try:
        wait_until(lambda: process.poll() is not None or _answers(proxy))
        assert process.poll() is None, log.read_text()
        yield proxy
    finally:
        process.terminate()
        process.wait(20)


def _answers(proxy: Proxy) -> bool:
    try:
        return proxy.ask(NOBODY, "GET", "/health").status == 204
    except OSError:
        return False


@dataclass
class Webserver:
    """Stands for one of Dagster's: takes everything, and remembers it."""

    server: ThreadingHTTPServer
    seen: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])


@contextmanager
def webserver() -> Iterator[Webserver]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            stand_in.seen.append((self.command, self.path, dict(self.headers)))
            upgraded = self.headers.get("Upgrade") == "websocket"
            self.send_response(101 if upgraded else 200)
            if upgraded:
                self.send_header("Upgrade", "websocket")
                self.send_header("Connection", "Upgrade")
                self.close_connection = True
            else:
                self.send_header("Content-Length", "0")
                self.send_header("X-Dagster-Call-Counts", "{}")
            self.end_headers()

        do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = do_TRACE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    stand_in = Webserver(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
    threading.Thread(target=stand_in.server.serve_forever, daemon=True).start()
    try:
        yield stand_in
    finally:
        stand_in.server.shutdown()
        stand_in.server.server_close()


@dataclass
class Deployment:
    """The proxy and what stands behind it."""

    proxy: Proxy
    full: Webserver
    readonly: Webserver

    def reached(self) -> str | None:
        """Which webserver the last requests came to; both forget them."""
        names = {"full": self.full, "readonly": self.readonly}
        found = [name for name, server in names.items() if server.seen]
        for server in names.values():
            server.seen.clear()
        assert len(found) < 2
        return found[0] if found else None


@contextmanager
def deployed(directory: Path) -> Iterator[Deployment]:
    with webserver() as full, webserver() as readonly, proxied(directory, full.port, readonly.port) as proxy:
        yield Deployment(proxy, full, readonly)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deployed(tmp_path_factory.mktemp("proxy")) as found:
        yield found


JSON = {"Content-Type": "application/json"}
OWN, FOREIGN = {"Origin": "OWN"}, {"Origin": "https://evil.example"}
SOCKET = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "eA=="}
MUTATION = "query=mutation%7BsetConcurrencyLimit(concurrencyKey:%22x%22,limit:3)%7D"
BODY = b'{"query": "mutation { x }"}'

# What is asked: method, path, headers, body.
Request = tuple[str, str, dict[str, str], bytes | None]
TAKEN: dict[str, tuple[Request, str]] = {  # with the path that the webserver gets to see
    "a page": (("GET", "/runs?q=1", {}, None), "/runs?q=1"),
    "the head of a page": (("HEAD", "/", {}, None), "/"),
    "logs": (("GET", "/logs/a/b/stderr", {}, None), "/logs/a/b/stderr"),
    "a query of a program": (("POST", "/graphql", JSON, BODY), "/graphql"),
    "a query of the page": (("POST", "/graphql", {**JSON, **OWN, "Sec-Fetch-Site": "same-origin"}, BODY), "/graphql"),
    "a query in UTF-8": (("POST", "/graphql", {"Content-Type": "application/json; charset=UTF-8"}, BODY), "/graphql"),
    "a query with a mutation in its address": (("POST", f"/graphql?{MUTATION}", JSON, BODY), "/graphql"),
    "a query to another spelling": (("POST", "//x/..//%67raphql", JSON, BODY), "/graphql"),
    "the page's socket": (("GET", "/graphql", {**SOCKET, **OWN}, None), "/graphql"),
}
REFUSED: dict[str, tuple[Request, int]] = {  # with the status
    "a mutation by GET": (("GET", f"/graphql?{MUTATION}", {}, None), 403),
    "by HEAD": (("HEAD", f"/graphql?{MUTATION}", {}, None), 403),
    "by PUT": (("PUT", "/graphql", JSON, BODY), 403),
    "a preflight": (("OPTIONS", "/graphql", {**FOREIGN, "Access-Control-Request-Method": "POST"}, None), 403),
    "by a form": (("POST", f"/graphql?{MUTATION}", {"Content-Type": "application/x-www-form-urlencoded"}, b"a=b"), 403),
    "by a form with files": (("POST", "/graphql", {"Content-Type": "multipart/form-data; boundary=x"}, b"--x--"), 403),
    "as plain text": (("POST", "/graphql", {"Content-Type": "text/plain"}, BODY), 403),
    "as plain text that names JSON": (
        ("POST", "/graphql", {"Content-Type": "text/plain; application/json"}, BODY),
        403,
    ),
    "as graphql": (("POST", "/graphql", {"Content-Type": "application/graphql"}, b"mutation { x }"), 403),
    "as nothing": (("POST", f"/graphql?{MUTATION}", {}, b""), 403),
    "from another origin": (("POST", "/graphql", {**JSON, **FOREIGN}, BODY), 403),
    "from no origin": (("POST", "/graphql", {**JSON, "Origin": "null"}, BODY), 403),
    "from an origin that begins as ours": (("POST", "/graphql", {**JSON, "Origin": "OWN.evil.example"}, BODY), 403),
    "from this origin without TLS": (("POST", "/graphql", {**JSON, "Origin": "PLAIN"}, BODY), 403),
    "from another site": (("POST", "/graphql", {**JSON, "Sec-Fetch-Site": "cross-site"}, BODY), 403),
    "from a neighbour": (("POST", "/graphql", {**JSON, "Sec-Fetch-Site": "same-site"}, BODY), 403),
    "a socket from another origin": (("GET", "/graphql", {**SOCKET, **FOREIGN}, None), 403),
    "a socket from no origin": (("GET", "/graphql", SOCKET, None), 403),
    "a socket by POST": (("POST", "/graphql", {**SOCKET, **OWN, **JSON}, BODY), 403),
    "another protocol": (("GET", "/graphql", {**SOCKET, **OWN, "Upgrade": "h2c"}, None), 403),
    "two slashes": (("GET", f"//graphql?{MUTATION}", {}, None), 403),
    "a slash at the end": (("GET", f"/graphql/?{MUTATION}", {}, None), 403),
    "an escaped letter": (("GET", f"/%67raphql?{MUTATION}", {}, None), 403),
    "a detour": (("GET", f"/runs/../graphql?{MUTATION}", {}, None), 403),
    "an escaped detour": (("GET", f"/runs/%2e%2e/graphql?{MUTATION}", {}, None), 403),
    "a dot": (("GET", f"/./graphql?{MUTATION}", {}, None), 403),
    "other letters": (("GET", f"/GraphQL?{MUTATION}", {}, None), 403),
    "an escaped slash": (("GET", f"/graphql%2f?{MUTATION}", {}, None), 403),
    "a parameter": (("GET", f"/graphql;x?{MUTATION}", {}, None), 403),
    "a whole address": (("GET", f"https://localhost/graphql?{MUTATION}", {}, None), 403),
    "out of the root": (("GET", "/../../etc/passwd", {}, None), 400),
    "a zero byte": (("GET", "/%00", {}, None), 400),
    "a report of an asset": (("POST", "/report_asset_materialization/bars", JSON, b"{}"), 403),
    "a report of a check": (("POST", "/report_asset_check/bars", JSON, b"{}"), 403),
    "a notebook": (("GET", "/notebook?path=/x.ipynb&repoLocName=breadthflow", {}, None), 403),
    "a notebook by its old name": (("GET", "/dagit/notebook?path=/x.ipynb", {}, None), 403),
    "a form to a page": (("POST", "/runs", {"Content-Type": "application/x-www-form-urlencoded"}, b"a=b"), 405),
    "a deletion": (("DELETE", "/runs", {}, None), 405),
}
REACHES = {NOBODY: None, WRONG: None, VIEWER: "readonly", OPERATOR: "full"}


def ask(deployment: Deployment, login: Login, request: Request) -> Answer:
    method, path, headers, body = request
    own = deployment.proxy.origin
    spelled = {"OWN": own, "PLAIN": own.replace("https", "http"), "OWN.evil.example": f"{own}.evil.example"}
    return deployment.proxy.ask(
        login, method, path, {name: spelled.get(value, value) for name, value in headers.items()}, body
    )


@pytest.mark.parametrize("login", REACHES, ids=["nobody", "wrong", "viewer", "operator"])
@pytest.mark.parametrize("what", TAKEN)
def test_who_comes_where_with_what_is_taken(deployment: Deployment, what: str, login: Login) -> None:
    request, path = TAKEN[what]
    answer = ask(deployment, login, request)
    expected = REACHES[login]
    seen = [*deployment.full.seen, *deployment.readonly.seen]
    assert deployment.reached() == expected
    if expected is None:
        assert answer.status == 401
        return
    assert answer.status == (101 if "Upgrade" in request[2] else 200)
    assert [(method, where) for method, where, _ in seen] == [(request[0], path)]
    assert login is not None
    headers = {name.lower(): value for name, value in seen[0][2].items()}
    assert headers["x-forwarded-user"] == login[0]
    assert "authorization" not in headers


@pytest.mark.parametrize("login", REACHES, ids=["nobody", "wrong", "viewer", "operator"])
@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_reaches_no_webserver_whoever_asks(deployment: Deployment, what: str, login: Login) -> None:
    request, status = REFUSED[what]
    assert ask(deployment, login, request).status in ({status} if login in (VIEWER, OPERATOR) else {status, 401})
    assert deployment.reached() is None


def test_a_name_in_other_letters_is_another_user(deployment: Deployment) -> None:
    assert deployment.proxy.ask(("Olga", PASSWORDS["Olga"]), "GET", "/").status == 200
    assert deployment.reached() == "readonly"
    assert deployment.proxy.ask(("OLGA", PASSWORDS["olga"]), "GET", "/").status == 401


def test_nobody_says_himself_who_he_is(deployment: Deployment) -> None:
    forged = {"X-Forwarded-User": "olga", "X-Forwarded-For": "127.0.0.1", "x_forwarded_user": "olga"}
    deployment.proxy.ask(VIEWER, "GET", "/", forged)
    [(_, _, headers)] = deployment.readonly.seen
    assert headers["X-Forwarded-User"] == "vera"
    assert "olga" not in headers.values()
    deployment.reached()


def test_the_api_gets_tokens_and_addresses_and_needs_no_login(deployment: Deployment) -> None:
    sent = {"Authorization": "Bearer bft_x", "X-Forwarded-For": "203.0.113.7", "Accept": "text/csv"}
    answer = deployment.proxy.ask(NOBODY, "POST", "/v1/runs?x=1", sent, b"{}", port=deployment.proxy.api_port)
    [(method, path, headers)] = deployment.full.seen
    deployment.reached()
    assert (answer.status, method, path) == (200, "POST", "/v1/runs?x=1")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert (headers["Authorization"], headers["Accept"]) == ("Bearer bft_x", "text/csv")
    assert (headers["X-Forwarded-For"], headers["X-Forwarded-Proto"]) == ("127.0.0.1", "https")
    assert headers["Host"] == f"localhost:{deployment.proxy.api_port}"
    large = deployment.proxy.ask(NOBODY, "POST", "/v1/runs", {}, b"x" * 70_000, port=deployment.proxy.api_port)
    assert (large.status, deployment.reached()) == (413, None)


WANTED = {
    "Strict-Transport-Security": "max-age=31536000",
    "Content-Security-Policy": "frame-ancestors 'none'; base-uri 'self'; form-action 'self'; object-src 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@pytest.mark.parametrize(
    ("login", "method", "path", "status"),
    [
        (OPERATOR, "GET", "/", 200),
        (NOBODY, "GET", "/", 401),
        (OPERATOR, "GET", "/graphql", 403),
        (OPERATOR, "POST", "/", 405),
    ],
)
def test_every_answer_has_the_headers_that_browsers_obey(
    deployment: Deployment, login: Login, method: str, path: str, status: int
) -> None:
    answer = deployment.proxy.ask(login, method, path)
    deployment.reached()
    assert answer.status == status
    assert {name: answer.headers.get(name) for name in WANTED} == WANTED
    assert answer.headers["Server"] == "nginx"  # and no version
    assert "X-Dagster-Call-Counts" not in answer.headers


@pytest.mark.parametrize(
    ("path", "headers", "body", "statuses"),
    [
        ("/graphql", JSON, b'{"query": "' + b"x" * 300_000 + b'"}', {413}),
        ("/" + "x" * 20_000, {}, None, {414}),
        ("/", {"X-Long": "x" * 20_000}, None, {400, 431, 494}),
    ],
)
def test_what_is_too_large_is_refused(
    deployment: Deployment, path: str, headers: dict[str, str], body: bytes | None, statuses: set[int]
) -> None:
    method = "GET" if body is None else "POST"
    assert deployment.proxy.ask(OPERATOR, method, path, headers, body).status in statuses
    assert deployment.reached() is None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_encryption_and_none_are_refused(deployment: Deployment, version: ssl.TLSVersion) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSVersion"):
        context.minimum_version, context.maximum_version = version, version
    context.set_ciphers("ALL:@SECLEVEL=0")
    old = http.client.HTTPSConnection("localhost", deployment.proxy.port, context=context, timeout=10)
    with pytest.raises(ssl.SSLError):
        old.request("GET", "/health")
    plain = http.client.HTTPConnection("localhost", deployment.proxy.port, timeout=10)
    plain.request("GET", "/")
    assert plain.getresponse().status == 400
    plain.close()


def test_the_log_has_who_and_what_and_no_secret(deployment: Deployment) -> None:
    deployment.proxy.ask(OPERATOR, "GET", "/runs/1?token=hunter2")
    deployment.proxy.ask(("olga", "hunter2"), "GET", "/")
    deployment.reached()
    log = deployment.proxy.log
    wait_until(lambda: "GET /runs/1 200" in log.read_text(), 10)
    text = log.read_text()
    assert re.search(r"^127\.0\.0\.1 olga \[\S+\] GET /runs/1 200 ", text, re.MULTILINE)
    assert "hunter2" not in text
    assert base64.b64encode(b"olga:of the operator").decode() not in text


@pytest.mark.slow
def test_a_flood_is_held_back_and_passes(tmp_path: Path) -> None:
    with deployed(tmp_path) as deployment:
        began = time.monotonic()
        statuses = [deployment.proxy.ask(NOBODY, "POST", "/graphql", JSON, BODY).status for _ in range(150)]
        seconds = time.monotonic() - began
        let_in = statuses.count(401)  # guesses of passwords are counted as well
        assert statuses.count(429) + let_in == 150
        assert let_in <= 61 + 20 * seconds + 1
        if seconds < 3:  # slower than that is no flood
            assert statuses[-1] == 429
        time.sleep(1)
        assert deployment.proxy.ask(VIEWER, "POST", "/graphql", JSON, BODY).status == 200


GRAPHQL: dict[str, str] = {
    "launch": """mutation { launchRun(executionParams: {selector: {
        repositoryLocationName: "breadthflow_pipelines.definitions", repositoryName: "__repository__",
        jobName: "run_checks"}, runConfigData: {}}) { __typename } }""",
    "limit": """mutation { setConcurrencyLimit(concurrencyKey: "planted", limit: 3) }""",
    "limits": """{ instance { concurrencyLimits { concurrencyKey slotCount } } }""",
}


@pytest.mark.slow
def test_dagster_s_own_webservers_obey_operators_alone(tmp_path: Path, fresh_database: Callable[[], str]) -> None:
    home = tmp_path / "home"
    given = {
        "BREADTHFLOW_HOME": str(home),
        "BREADTHFLOW_DATABASE_URL": fresh_database(),
        "BREADTHFLOW_DAGSTER_DATABASE_URL": fresh_database(),
        "BREADTHFLOW_USER_HEADER": "X-Forwarded-User",
        "DAGSTER_HOME": str(home / "dagster"),
    }
    environment = {**os.environ, **given}
    (home / "dagster").mkdir(parents=True)
    shutil.copy(CONFIGURATION.parents[2] / "dagster.yaml", home / "dagster")
    programs = Path(sys.executable).parent
    subprocess.run([programs / "breadthflow", "db", "upgrade"], env=environment, check=True, capture_output=True)
    with ExitStack() as stack:
        ports = []
        for served in (["-m", "breadthflow_pipelines.definitions"], ["--empty-workspace", "--read-only"]):
            ports.append(free_port())
            command = [programs / "dagster-webserver", "--port", str(ports[-1]), *served]
            log = stack.enter_context((tmp_path / f"webserver{len(ports)}").open("wb"))
            process = subprocess.Popen(command, env=environment, cwd=home, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.kill)
        proxy = stack.enter_context(proxied(tmp_path, *ports))
        wait_until(lambda: {proxy.ask(who, "GET", "/server_info").status for who in (VIEWER, OPERATOR)} == {200}, 240)

        def asked(login: Login, what: str, headers: Mapping[str, str] = JSON) -> Any:
            body = json.dumps({"query": GRAPHQL[what]}).encode()
            answer = proxy.ask(login, "POST", "/graphql", headers, body)
            said_by_dagster = answer.body.startswith(b"{")  # also with 500, where it refuses
            return json.loads(answer.body) if said_by_dagster else answer.status

        def limits() -> list[str]:
            found = asked(VIEWER, "limits")["data"]["instance"]["concurrencyLimits"]
            return [limit["concurrencyKey"] for limit in found]

        assert asked(VIEWER, "launch")["data"]["launchRun"]["__typename"] == "UnauthorizedError"
        assert asked(OPERATOR, "launch")["data"]["launchRun"]["__typename"] == "LaunchRunSuccess"
        launched = audited(Database(given["BREADTHFLOW_DATABASE_URL"], None), None, None, None)
        assert [(row["who"], row["action"], row["what"], row["via"]) for row in launched] == [
            ("olga", "launched", "run_checks", "ui")
        ]
        assert asked(NOBODY, "launch") == asked(WRONG, "launch") == 401
        assert "UnauthorizedError" in asked(VIEWER, "limit")["errors"][0]["message"]
        for login in (VIEWER, OPERATOR):
            by_get = "/graphql?query=mutation{setConcurrencyLimit(concurrencyKey:%22planted%22,limit:3)}"
            assert proxy.ask(login, "GET", by_get).status == 403
            assert asked(login, "limit", {**JSON, **FOREIGN}) == 403
            assert proxy.ask(login, "POST", "/report_asset_materialization/planted", JSON, b"{}").status == 403
        assert "planted" not in limits()
        assert asked(OPERATOR, "limit")["data"]["setConcurrencyLimit"] is True
        assert "planted" in limits()
        # The webserver itself would take a report from any page, which is why the proxy refuses all of them.
        with closing(http.client.HTTPConnection("127.0.0.1", ports[0], timeout=20)) as past:
            past.request("POST", "/report_asset_materialization/planted", body=b"{}", headers={**JSON, **FOREIGN})
            assert past.getresponse().status == 200
        page = proxy.ask(VIEWER, "GET", "/")
        assert b"<html" in page.body
        assert page.headers["X-Frame-Options"] == "DENY"
