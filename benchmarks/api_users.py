"""What a user of the API does in the benchmark api.py, as locust runs it; each has a token of its own.

Half of the users leave a page open: they send the date of what they have. The others ask for something each time.
"""

import os
import random
from itertools import cycle
from pathlib import Path

from locust import HttpUser, between, task

TOKENS = cycle(Path(os.environ["BENCHMARK_TOKENS"]).read_text().split())
UNIVERSE, SINCE = os.environ["BENCHMARK_UNIVERSE"], os.environ["BENCHMARK_SINCE"]
PATIENCE = 30  # seconds


class User(HttpUser):
    """Looks at what came for about a second, then asks for more."""

    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        self.client.headers["Authorization"] = f"Bearer {next(TOKENS)}"
        self.watches, self.known = random.random() < 0.5, dict[str, str]()  # noqa: S311 - no secret

    @task(4)
    def signals(self) -> None:
        self._read(f"/v1/signals?universe={UNIVERSE}&segment=ALL&from={SINCE}")

    @task(4)
    def breadth(self) -> None:
        self._read(f"/v1/breadth?universe={UNIVERSE}&segment=ALL&from={SINCE}")

    @task(2)
    def symbols(self) -> None:
        self._read(f"/v1/symbols?universe={UNIVERSE}&limit=200")

    @task(1)
    def records(self) -> None:
        self._read(f"/v1/accuracy?universe={UNIVERSE}&horizon=63")

    @task(1)
    def status(self) -> None:
        self._read("/v1/status")

    def _read(self, path: str) -> None:
        headers = {"If-None-Match": self.known[path]} if self.watches and path in self.known else {}
        answer = self.client.get(path, headers=headers, name=path.partition("?")[0], timeout=PATIENCE)
        self.known[path] = answer.headers.get("ETag", "")
