"""A vendor on the loopback interface that speaks the vendors' formats, and misbehaves when it is told to.

``Vendor`` is the server and what every vendor has in common; ``FileVendor`` has files,
``YahooVendor`` answers as Yahoo does. Nothing here
imports what it tests.
"""

import datetime as dt
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from zoneinfo import ZoneInfo

import pytest

NEW_YORK = ZoneInfo("America/New_York")


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """What to send. half: only the first half of the body; silent: nothing at all, until the vendor closes."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    half: bool = False
    silent: bool = False


PAGE = Answer(b"<!DOCTYPE html><html><body>Please verify that you are no robot.</body></html>")
ERROR = Answer(b"<html>Internal Server Error</html>", status=500)
SILENT = Answer(silent=True)


def too_many(after: str | None = None) -> Answer:
    return Answer(b"Too Many Requests", status=429, headers={"Retry-After": after} if after else {})


class Vendor:
    """A server on a port of 127.0.0.1, by default a free one.

    answer: what each request gets. first: per path, what its next requests get before ``answer`` is asked; one use
    each. asked: every request so far, in order.
    """

    def __init__(self, answer: Callable[[Request], Answer], port: int = 0) -> None:
        self.answer = answer
        self.first: dict[str, list[Answer]] = {}
        self.asked: list[Request] = []
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    @contextmanager
    def open(self) -> Iterator["Vendor"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.close()
            thread.join()

    def close(self) -> None:
        """Gone in the middle of everything: connections are refused from now on."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def respond(self, request: Request) -> Answer:
        self.asked.append(request)
        queued = self.first.get(request.path)
        return queued.pop(0) if queued else self.answer(request)

    def wait(self) -> None:
        """Silence until the vendor closes."""
        self._closing.wait(10)


def _handler(vendor: Vendor) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            answer = vendor.respond(Request(self.command, unquote(parts.path), query, dict(self.headers)))
            if answer.silent:
                vendor.wait()
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command == "HEAD":
                return
            self.wfile.write(answer.body[: len(answer.body) // 2] if answer.half else answer.body)
            self.close_connection = self.close_connection or answer.half

        do_HEAD = do_GET  # noqa: N815 - the base class calls it so
        do_POST = do_GET  # noqa: N815

        def handle(self) -> None:
            with suppress(ConnectionError):  # whoever asked has left
                super().handle()

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    return Handler


class FileVendor(Vendor):
    """Files by path, with ETags, ranges and unchanged answers as servers of static files have them."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.files: dict[str, bytes] = {}

    def _answer(self, request: Request) -> Answer:
        content = self.files.get(request.path)
        if content is None:
            return Answer(b"<html>Not Found</html>", status=404)
        tag = f'"{hashlib.sha256(content).hexdigest()[:8]}"'
        headers = {"ETag": tag}
        if request.headers.get("If-None-Match") == tag:
            return Answer(status=304, headers=headers)
        if "Range" in request.headers and request.headers.get("If-Range") == tag:
            start = int(request.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                return Answer(status=416)
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            return Answer(content[start:], status=206, headers=headers | {"Content-Range": span})
        return Answer(content, headers=headers)


@dataclass
class YahooBar:
    """A row of Yahoo's; None is its null."""

    open: float | None = 10.0
    high: float | None = 11.0
    low: float | None = 9.0
    close: float | None = 10.5
    volume: float | None = 1000.0
    adjusted: float | None = 10.1


class YahooVendor(Vendor):
    """Yahoo's chart addresses. bars: symbol, day, row. spelling: other names for keys of the answer.

    killed_by: a symbol; when its history is asked for, the vendor is gone.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__(self._answer, port)
        self.killed_by: str | None = None
        self.bars: dict[str, dict[dt.date, YahooBar]] = {}
        self.spelling: dict[str, str] = {}
        self.faults: dict[str, list[Answer]] = {}

    def give(self, symbol: str, *days: dt.date, **cells: float | None) -> None:
        """Give the symbol the same row on each of these days."""
        self.bars.setdefault(symbol, {}).update({day: YahooBar(**cells) for day in days})

    def fail(self, symbol: str, *answers: Answer) -> None:
        """What the next requests for the symbol's history get."""
        self.faults.setdefault(symbol, []).extend(answers)

    def histories(self) -> list[str]:
        """The symbols whose history was asked for, in order; once for each request."""
        return [request.path.rsplit("/", 1)[1] for request in self.asked if "period1" in request.query]

    def _answer(self, request: Request) -> Answer:
        if request.path == "/v1/test/getcrumb":
            return Answer(b"a.crumb")
        if not request.path.startswith("/v8/finance/chart/"):
            return Answer(status=404, headers={"Set-Cookie": "A3=biscuit; Path=/"})
        symbol = request.path.rsplit("/", 1)[1]
        if "period1" in request.query and symbol == self.killed_by:
            self.close()
            return Answer(silent=True)
        if "period1" in request.query and self.faults.get(symbol):
            return self.faults[symbol].pop(0)
        if symbol not in self.bars:
            return self._error(404, "Not Found", "No data found, symbol may be delisted")
        start, end = float(request.query.get("period1", 0)), float(request.query.get("period2", 1e11))
        rows = {_opening(day): bar for day, bar in self.bars[symbol].items()}
        rows = {stamp: bar for stamp, bar in sorted(rows.items()) if start <= stamp < end}
        if not rows and self.bars[symbol]:
            reason = f"Data doesn't exist for startDate = {start:.0f}, endDate = {end:.0f}"
            return self._error(400, "Bad Request", reason)
        return Answer(json.dumps(self._chart(symbol, rows)).encode(), headers={"Content-Type": "application/json"})

    def _chart(self, symbol: str, rows: dict[int, YahooBar]) -> dict[str, Any]:
        named = self.spelling.get
        quote = {
            named(name, name): [getattr(bar, name) for bar in rows.values()]
            for name in ("open", "high", "low", "close", "volume")
        }
        adjusted = {"adjclose": [bar.adjusted for bar in rows.values()]}
        indicators = {"quote": [quote if rows else {}], named("adjclose", "adjclose"): [adjusted if rows else {}]}
        meta = {
            "currency": "USD",
            "symbol": symbol,
            "exchangeName": "NYQ",
            "instrumentType": "EQUITY",
            "exchangeTimezoneName": "America/New_York",
            "timezone": "EST",
            "gmtoffset": -18000,
            "priceHint": 2,
            "dataGranularity": "1d",
            "range": "",
            "validRanges": ["1d", "5d", "1mo", "max"],
        }
        result = {"meta": meta, "indicators": indicators} | ({"timestamp": list(rows)} if rows else {})
        return {"chart": {"result": [result], "error": None}}

    def _error(self, status: int, code: str, description: str) -> Answer:
        body = {"chart": {"result": None, "error": {"code": code, "description": description}}}
        return Answer(json.dumps(body).encode(), status=status, headers={"Content-Type": "application/json"})


class Clock:
    """Time that passes only while somebody sleeps; waits: how long each sleep was."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.waits: list[float] = []

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.seconds += seconds


def serve(vendor: Vendor) -> Iterator[Vendor]:
    """The body of a fixture: the vendor, open for the length of a test."""
    with pytest.MonkeyPatch.context() as patch, vendor.open():
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield vendor


def _opening(day: dt.date) -> int:
    return int(dt.datetime.combine(day, dt.time(9, 30), NEW_YORK).timestamp())
