"""Encrypted connections to an external database: taken where its certificate is right, refused where it is not."""

import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from breadthflow_pipelines.errors import DatabaseError, RequestError
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.warehouse.addresses import database_name
from breadthflow_pipelines.warehouse.bulk import fetch
from breadthflow_pipelines.warehouse.database import Database, locate, rows_of, upgrade
from breadthflow_pipelines.warehouse.embedded import SOCKET_NAME, EmbeddedServer

SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # a client's first words where it wants encryption; PostgreSQL's protocol
OPENSSL = shutil.which("openssl")

pytestmark = pytest.mark.skipif(OPENSSL is None, reason="certificates are made with openssl, which is missing")


def openssl(*arguments: object) -> None:
    subprocess.run([str(OPENSSL), *map(str, arguments)], check=True, capture_output=True)


class Authority:
    """A self-made authority: its certificate, and the servers' certificates that it signs."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory, self.certificate, self._key = directory, directory / "ca.pem", directory / "ca.key"
        made = ("-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", self._key, "-out", self.certificate)
        openssl("req", *made, "-subj", "/CN=test authority")

    def context(self, name: str) -> ssl.SSLContext:
        """What a server of that name shows."""
        key, request, certificate, names = (self._directory / f"{name}.{end}" for end in ("key", "csr", "pem", "ext"))
        names.write_text(f"subjectAltName=DNS:{name}")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        signed = ("-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial")
        openssl("x509", *signed, "-days", "2", "-extfile", names, "-out", certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context


class EncryptingServer:
    """The tests' PostgreSQL behind an address of its own, encrypted as the real one does it, or (None) not at all.

    The server in the wheel is built without OpenSSL, so its words pass through here.
    """

    def __init__(self, behind: Path, context: ssl.SSLContext | None) -> None:
        self._behind, self._context = behind, context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=self._listening.accept()[:1], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), closing(client), socket.socket(socket.AF_UNIX) as server:
            first = client.recv(8)
            server.connect(str(self._behind))
            if first == SSL_REQUEST:
                client.sendall(b"S" if self._context else b"N")
                client = self._context.wrap_socket(client, server_side=True) if self._context else client
            else:
                server.sendall(first)
            threading.Thread(target=_pass_on, args=(server, client), daemon=True).start()
            _pass_on(client, server)


def _pass_on(giver: socket.socket, taker: socket.socket) -> None:
    with suppress(OSError):
        while words := giver.recv(65536):
            taker.sendall(words)
        taker.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ours")


Serve = Callable[[ssl.SSLContext | None], str]


@pytest.fixture
def serve(server: EmbeddedServer, database: Database) -> Iterator[Serve]:
    """Gives the address of the store behind a server that shows this certificate."""
    started: list[EncryptingServer] = []

    def start(context: ssl.SSLContext | None) -> str:
        started.append(EncryptingServer(server.socket_directory() / SOCKET_NAME, context))
        return f"postgresql://postgres@localhost:{started[-1].port}/{database_name(database.url)}"

    yield start
    for one in started:
        one.close()


def test_a_server_with_the_right_certificate_is_reached_by_every_driver(authority: Authority, serve: Serve) -> None:
    settings = Settings(database_url=serve(authority.context("localhost")), database_ca=authority.certificate)
    store = locate(settings)
    assert rows_of(store, "SELECT count(*) AS bars FROM bars", []) == [{"bars": 0}]
    assert fetch(store, "SELECT count(*) AS bars FROM bars")["bars"].to_list() == [0]
    assert upgrade(store) == []  # SQLAlchemy's connection, as Dagster's storage has it
    again = Settings(database_url=store.url, database_ca=authority.certificate)  # as a process of `up` is given it
    assert locate(again).url == store.url


@pytest.mark.parametrize(
    ("whose", "name", "reason"),
    [
        ("others", "localhost", "certificate verify failed"),  # signed by an authority that is not ours
        ("ours", "elsewhere", "does not match host name"),  # stolen from another server
        (None, "localhost", "does not support SSL"),  # somebody in between who would rather read along
    ],
)
def test_a_server_that_is_not_who_it_should_be_is_refused(
    authority: Authority, serve: Serve, tmp_path: Path, whose: str | None, name: str, reason: str
) -> None:
    signer = {"ours": lambda: authority, "others": lambda: Authority(tmp_path / "others"), None: lambda: None}[whose]()
    address = serve(signer.context(name) if signer else None)
    store = locate(Settings(database_url=address, database_ca=authority.certificate))
    with pytest.raises(DatabaseError, match=reason):
        rows_of(store, "SELECT 1", [])
    with pytest.raises(DatabaseError, match=reason):
        fetch(store, "SELECT 1")


def test_what_contradicts_the_setting_is_refused(authority: Authority, tmp_path: Path) -> None:
    address = "postgresql://postgres@localhost:1/d?sslmode=disable"
    with pytest.raises(RequestError, match="BREADTHFLOW_DATABASE_URL has an sslmode or sslrootcert"):
        locate(Settings(database_url=address, database_ca=authority.certificate))
    with pytest.raises(RequestError, match=r"BREADTHFLOW_DATABASE_CA cannot be used: there is no file .*none\.pem"):
        locate(Settings(database_url="postgresql://postgres@localhost:1/d", database_ca=tmp_path / "none.pem"))
