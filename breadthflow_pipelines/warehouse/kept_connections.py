"""Connections that are used again while a run lasts. How one is opened and used, the module of its driver knows.

A new connection takes 4 ms, and its server process learns the catalogue from nothing: a run over ten years has three
hundred transactions.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    """What can be closed."""

    def close(self) -> None:
        """Close it."""


Connection = TypeVar("Connection", bound=Closable)

_lock = threading.Lock()
_holders = 0
_all: list["Kept"] = []  # type: ignore[type-arg]


class Kept(Generic[Connection]):
    """The connections of one driver that are between two transactions, by the address of their database."""

    def __init__(self) -> None:
        self._idle: dict[str, list[Connection]] = {}
        _all.append(self)

    def take(self, url: str, answers: Callable[[Connection], bool]) -> Connection | None:
        """A connection that still answers; None where there is none. Those whose server has gone are closed."""
        while True:
            with _lock:
                idle = self._idle.get(url)
                connection = idle.pop() if idle else None
            if connection is None or answers(connection):
                return connection
            connection.close()

    def give_back(self, url: str, connection: Connection) -> None:
        """Keep a connection that is in no transaction for the next one; close it where nobody wants any kept."""
        with _lock:
            if _holders:
                self._idle.setdefault(url, []).append(connection)
                return
        connection.close()

    def close_all(self) -> None:
        """Close what is kept."""
        with _lock:
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()


@contextmanager
def connections_kept() -> Iterator[None]:
    """Keep connections until the end of this. Several may want it at a time: the last one's end closes them."""
    global _holders
    with _lock:
        _holders += 1
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            last = _holders == 0
        if last:
            for kept in _all:
                kept.close_all()
