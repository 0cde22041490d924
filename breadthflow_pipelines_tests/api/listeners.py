"""An application on a port of its own, and somebody who listens to its events as browsers do."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from breadthflow_pipelines_tests.conftest import free_port, wait_until

Event = tuple[int, str, dict[str, Any]]


@contextmanager
def on_a_port(app: FastAPI) -> Iterator[str]:
    """The application served by a real server; its address."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


class Listener:
    """Somebody who listens in a thread of his own until he leaves, which he does at the next line.

    comments: how many lines said only that the stream lives.
    """

    def __init__(self, address: str, token: str | None, last: int | None = None) -> None:
        self.events: list[Event] = []
        self.comments = 0
        self.status: int | None = None
        self._leaving = False
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._headers = headers if last is None else {**headers, "Last-Event-ID": str(last)}
        self._address = address
        self._client = httpx.Client(timeout=60, trust_env=False)
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        wait_until(lambda: self.status is not None)

    @property
    def last(self) -> int:
        """The number of the last event."""
        return self.events[-1][0]

    @property
    def kinds(self) -> list[str]:
        return [kind for _, kind, _ in self.events]

    def leave(self) -> None:
        self._leaving = True
        self._thread.join(30)

    def wait_for(self, events: int) -> list[Event]:
        """The events, once there are so many."""
        wait_until(lambda: len(self.events) >= events)
        return self.events

    def _listen(self) -> None:
        with (
            suppress(httpx.HTTPError),
            self._client.stream("GET", f"{self._address}/v1/events", headers=self._headers) as answer,
        ):
            fields: dict[str, str] = {}
            self.status = answer.status_code
            for line in answer.iter_lines():
                if self._leaving:
                    return
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                else:
                    if "data" in fields:
                        self.events.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
                    fields = {}
