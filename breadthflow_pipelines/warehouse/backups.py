"""Copies of the store's databases in a directory: written, proven readable, and the oldest of them removed.

A backup is a directory named for its moment, which appears under that name only when it is whole: one archive of
pg_dump for each database, and `manifest.json` with what must come back. Restoring is in restoring.py.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from psycopg2 import extensions

from breadthflow_pipelines.errors import BreadthFlowError, RequestError
from breadthflow_pipelines.observability.disk import full_disk
from breadthflow_pipelines.warehouse import postgres_programs
from breadthflow_pipelines.warehouse.database import HEAD, connect, dagster_url, locate
from breadthflow_pipelines.warehouse.fingerprints import Fingerprint, fingerprints
from breadthflow_pipelines.warehouse.sealing import Key

if TYPE_CHECKING:
    from breadthflow_pipelines.settings import Settings

MANIFEST = "manifest.json"
FORMAT = 1  # of the manifest
MARKET, DAGSTER = "market", "dagster"
_NAME = re.compile(r"breadthflow-\d{8}T\d{6}Z")
_PARTIAL = ".partial-"


@dataclass(frozen=True)
class Dump:
    """One database in a backup. server: its major version; bytes, sha256: of the file."""

    file: str
    bytes: int
    sha256: str
    server: int
    tables: Mapping[str, Fingerprint]

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables.values())


@dataclass(frozen=True)
class Backup:
    """A backup as its manifest describes it. schema: the version of the market's tables."""

    path: Path
    made_at: str
    schema: str
    encrypted: bool
    dumps: Mapping[str, Dump]

    @property
    def size(self) -> int:
        """Its bytes on disk."""
        return sum(dump.bytes for dump in self.dumps.values())


def targets(settings: Settings) -> dict[str, str]:
    """The addresses of what a backup holds: the market's database and Dagster's."""
    return {MARKET: locate(settings).url, DAGSTER: dagster_url(settings)}


def key_of(settings: Settings) -> Key | None:
    """The key that backups are encrypted for, if one is set.

    Raises:
        RequestError: its file is no key.
    """
    return None if settings.backup_key is None else Key(settings.backup_key)


def back_up(urls: Mapping[str, str], folder: Path, key: Key | None, keep: int | None) -> Backup:
    """Copy each database into a new directory in ``folder``, and read the copy again to its end.

    urls: by MARKET and DAGSTER. keep: how many backups stay there, this one included; None keeps all.

    Raises:
        RequestError: the folder cannot be written to, or another backup is being made there.
        DiskFullError: there was no space. Nothing of a backup that failed stays.
    """
    with _alone_in(folder):
        for left in folder.glob(f"{_PARTIAL}*"):
            shutil.rmtree(left)  # of one that was killed
        moment = dt.datetime.now(dt.UTC)
        final = folder / f"breadthflow-{moment:%Y%m%dT%H%M%SZ}"
        if final.exists():
            raise RequestError(f"{final} exists, and no backup is overwritten; try again in a second.")
        fresh = folder / f"{_PARTIAL}{final.name}"
        try:
            fresh.mkdir(mode=0o700)
            # Dagster's first: what it then says was made is in the copy of the market.
            dumps = {name: _dump(urls[name], fresh, name, key) for name in sorted(urls)}
            backup = Backup(fresh, moment.isoformat(timespec="seconds"), HEAD, key is not None, dumps)
            _write_manifest(backup)
            read_through(read(fresh), key)
            fresh.rename(final)
            _flush(folder)
        except OSError as error:
            raise full_disk(error, folder) or error from None
        finally:
            shutil.rmtree(fresh, ignore_errors=True)  # a whole one has its own name by now
        if keep is not None:
            for old in backups_in(folder)[:-keep]:
                shutil.rmtree(old)
    return read(final)


def backups_in(folder: Path) -> list[Path]:
    """The backups in a folder, oldest first."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if _NAME.fullmatch(path.name) and (path / MANIFEST).is_file())


def read(path: Path) -> Backup:
    """A backup's manifest.

    Raises:
        RequestError: there is no backup, or one of a newer program.
        BreadthFlowError: the manifest was changed.
    """
    try:
        said = json.loads((path / MANIFEST).read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise RequestError(f"{path} is no backup: it has no {MANIFEST}.") from None
    except ValueError:
        raise BreadthFlowError(f"{path / MANIFEST} was changed or cut short.") from None
    if not isinstance(said, dict) or said.pop("sha256", None) != _digest(said):
        raise BreadthFlowError(f"{path / MANIFEST} was changed or cut short.")
    if said["format"] > FORMAT or said["schema"] > HEAD:
        raise RequestError(
            f"{path} was made by a newer BreadthFlow, with tables of version {said['schema']}; this one knows {HEAD}."
        )
    dumps = {
        name: Dump(**{**dump, "tables": {table: Fingerprint(**each) for table, each in dump["tables"].items()}})
        for name, dump in said["dumps"].items()
    }
    return Backup(path, said["made_at"], said["schema"], said["encrypted"], dumps)


def read_through(backup: Backup, key: Key | None) -> None:
    """Prove that every archive is the one that was written, and can be read to its end with this key.

    Raises:
        RequestError: it is encrypted, and the key is missing or another one.
        BreadthFlowError: a file is missing, was changed or cut short.
    """
    for dump in backup.dumps.values():
        file = backup.path / dump.file
        if not file.is_file():
            raise BreadthFlowError(f"{file} is missing; this backup is of no use.")
        if file.stat().st_size != dump.bytes or _sha256(file) != dump.sha256:
            raise BreadthFlowError(f"{file} was changed or cut short since it was written; use another backup.")
        listed = postgres_programs.listing(file, dump.server, feed(backup, dump, key))
        lacking = [table for table in dump.tables if f" TABLE public {table} " not in listed]
        if lacking:
            raise BreadthFlowError(f"{file} lacks the table {lacking[0]}.")


def feed(backup: Backup, dump: Dump, key: Key | None) -> Callable[[IO[bytes]], None] | None:
    """What writes an encrypted archive in the clear, into a pipe and never to a disk; None for one that is no secret.

    Raises:
        RequestError: it is encrypted, and there is no key.
    """
    if not backup.encrypted:
        return None
    if key is None:
        raise RequestError(f"{backup.path} is encrypted: set BREADTHFLOW_BACKUP_KEY to the file of its key.")
    return partial(key.open, backup.path / dump.file)


def _dump(url: str, fresh: Path, name: str, key: Key | None) -> Dump:
    file = fresh / (f"{name}.dump.age" if key else f"{name}.dump")
    with closing(connect(url)) as connection:
        connection.set_session(isolation_level=extensions.ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
        with connection.cursor() as cursor:
            cursor.execute("SET idle_in_transaction_session_timeout = 0")  # while pg_dump works, this only waits
            cursor.execute("SELECT pg_export_snapshot()")
            (snapshot,) = cursor.fetchone() or ("",)
        server = connection.server_version // 10000
        # The lightest compression: others take longer than the disk does. Tables that a migration holds are not waited
        # for without end. What an administrator installed, such as pg_stat_statements, other servers may lack.
        command: list[str | Path] = [
            *(postgres_programs.program("pg_dump", server), "--format=custom", "--compress=1"),
            *(f"--snapshot={snapshot}", "--lock-wait-timeout=120s", "--extension=plpgsql"),
        ]
        if key is None:
            postgres_programs.run([*command, f"--file={file}"], url, fresh)
        else:
            with postgres_programs.output_of(command, url, fresh) as plain, file.open("wb") as sealed:
                key.seal(plain, sealed, fresh)
        tables = fingerprints(connection)  # in the snapshot that was copied
    file.chmod(0o600)
    _flush(file)
    return Dump(file.name, file.stat().st_size, _sha256(file), server, tables)


def _write_manifest(backup: Backup) -> None:
    said = {"format": FORMAT, **asdict(backup)}
    del said["path"]
    file = backup.path / MANIFEST
    file.write_text(json.dumps({**said, "sha256": _digest(said)}, indent=1) + "\n")
    _flush(file)


def _digest(said: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """Have the disk itself hold a file, or a directory's names."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise full_disk(error, folder) or RequestError(
            f"{folder} cannot hold backups: {error.strerror}. Choose another folder."
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RequestError(f"Another backup is being made in {folder}; wait for it.") from None
        yield
