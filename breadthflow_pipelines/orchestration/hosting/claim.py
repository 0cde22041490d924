"""One `breadthflow up` for each home: a lock file that its holder's death releases, with who holds it.

The same for a database that two homes share is in warehouse/presence.py.
"""

import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from breadthflow_pipelines.errors import RequestError

LOCK = "up.lock"


@dataclass(frozen=True)
class Holder:
    """Who holds a home. token: what all processes of this `up` carry; started: local time, to the second."""

    token: str
    pid: int
    port: int
    host: str
    started: str

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def claimed(home: Path, port: int) -> Iterator[tuple[Holder, Holder | None]]:
    """Hold the home until the block ends: who we are, and who held it last and died without ending its processes.

    Raises:
        RequestError: another `up` holds it; says where that one answers.
    """
    try:
        file = (home / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise RequestError(f"BREADTHFLOW_HOME={home} is not writable for you: {error.strerror}.") from None
    with file:
        try:
            # The kernel releases it when this process ends, however it ends; no process number has to be trusted.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RequestError(_taken(home, _read(file))) from None
        before = _read(file)
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        me = Holder(secrets.token_hex(8), os.getpid(), port, socket.gethostname(), started)
        _write(file, json.dumps(asdict(me)))
        yield me, before
        _write(file, "")  # nothing is left behind; an error on the way here leaves the token to the next one


def _taken(home: Path, holder: Holder | None) -> str:
    if holder is None:
        return f"BreadthFlow is starting on {home} this very moment; look again in a few seconds."
    return (
        f"BreadthFlow already runs on {home}: {holder.address}, process {holder.pid}, since {holder.started}. "
        f"To stop it, press Ctrl-C there, or: kill {holder.pid}"
    )


def _read(file: TextIO) -> Holder | None:
    file.seek(0)
    try:
        return Holder(**json.loads(file.read()))
    except (ValueError, TypeError):  # empty, or cut short by a full disk
        return None


def _write(file: TextIO, text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()
