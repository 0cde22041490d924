"""Files from the web: throttled, resumed, and complete or not at all. Their readers judge the content."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import requests

from breadthflow_pipelines.errors import SourceError
from breadthflow_pipelines.locations import shown
from breadthflow_pipelines.sources.throttle import StopAskingError, Throttle, retry_after

TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two pieces of an answer
CHECK_TIMEOUT = 5.0  # seconds, when only checking whether there is an answer
ATTEMPTS = 4
MOST_BYTES = 64 * 2**20  # of an answer that is kept in memory; pages and series are far smaller
PIECE = 2**16  # bytes read at a time; complete pieces are kept when the connection breaks
AGAIN = (408, 425, 429)  # statuses below 500 after which another attempt may succeed
GONE = (404, 410)
UNCHANGED, OUT_OF_RANGE = 304, 416


T = TypeVar("T")


class _TryAgainError(Exception):
    """An attempt that failed and may succeed later. after: seconds that the server asks to wait."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Web:
    """Reads addresses of one vendor. Temporary failures are retried; permanent ones raise SourceError."""

    def __init__(self, throttle: Throttle) -> None:
        self.throttle = throttle
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"BreadthFlow/{version('breadthflow')} (market breadth pipeline)"

    def read(self, url: str) -> bytes | None:
        """The whole content; None if the server says that there is none.

        Raises:
            SourceError: no answer, an incomplete one, one of more than MOST_BYTES, or a permanent error.
        """
        return self._persist(url, lambda: self._read(url))

    def fetch(self, url: str, target: Path) -> bool:
        """Update ``target`` with a file that may be large; False if there is none, and then the target is deleted.

        An unchanged file is not sent again, and an interrupted download is resumed, in this run or a later one, if the
        server names versions (ETag). An incomplete file is kept beside the target.

        Raises:
            SourceError: as ``read`` does.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        return self._persist(url, lambda: self._fetch(url, target))

    def check(self, url: str) -> None:
        """Ask once for the head of an address.

        Raises:
            SourceError: no answer within CHECK_TIMEOUT, or an error.
        """
        try:
            answer = self._session.head(url, timeout=CHECK_TIMEOUT, allow_redirects=True)
        except requests.RequestException as error:
            raise SourceError(f"{shown(url)} cannot be reached: {_words(error)}.") from None
        if answer.status_code >= 400:
            raise SourceError(f"{shown(url)} does not answer as it should: HTTP {answer.status_code}.")

    def _persist(self, url: str, attempt: Callable[[], T]) -> T:
        reason = ""
        for number in range(ATTEMPTS):
            try:
                self.throttle.ask()
                return attempt()
            except _TryAgainError as error:
                reason = str(error)
                if number + 1 < ATTEMPTS:
                    self._rest(url, number, error)
            except StopAskingError as error:
                raise SourceError(f"{shown(url)} was not read: {error}.") from None
        raise SourceError(f"{shown(url)} cannot be read: {reason}, {ATTEMPTS} times; run again later.")

    def _rest(self, url: str, number: int, error: _TryAgainError) -> None:
        try:
            self.throttle.rest(number, error.after)
        except StopAskingError as stop:
            raise SourceError(f"{shown(url)} cannot be read: {error}, and {stop}.") from None

    def _read(self, url: str) -> bytes | None:
        with self._open(url) as answer:
            if answer.status_code in GONE:
                return None
            content = bytearray()
            for piece in answer.iter_content(PIECE):
                content += piece
                if len(content) > MOST_BYTES:
                    raise SourceError(
                        f"{shown(url)} has more than {MOST_BYTES >> 20} MiB; it is not what it should be."
                    )
            return bytes(content)

    def _fetch(self, url: str, target: Path) -> bool:
        part, notes = target.with_name(target.name + ".part"), target.with_name(target.name + ".json")
        known = _noted(notes)
        headers: dict[str, str] = {}
        if known.get("part") and part.exists() and (size := part.stat().st_size):
            headers = {"Range": f"bytes={size}-", "If-Range": known["part"]}
        elif target.exists() and known.get("whole"):
            headers = {"If-None-Match": known["whole"]}
        with self._open(url, headers) as answer:
            if answer.status_code == UNCHANGED:
                return True
            if answer.status_code in GONE:
                target.unlink(missing_ok=True)
                return False
            if answer.status_code == OUT_OF_RANGE:  # our part is not the beginning of the file
                part.unlink(missing_ok=True)
                raise _TryAgainError("the file changed meanwhile", after=0)
            # Resuming needs a version that is equal byte by byte: no weak ETag.
            tag = answer.headers.get("ETag", "")
            notes.write_text(json.dumps({**known, "part": "" if tag.startswith("W/") else tag}), encoding="utf-8")
            with part.open("ab" if answer.status_code == 206 else "wb") as file:
                for piece in answer.iter_content(PIECE):
                    file.write(piece)
        part.replace(target)
        notes.write_text(json.dumps({"whole": tag}), encoding="utf-8")
        return True

    @contextmanager
    def _open(self, url: str, headers: dict[str, str] | None = None) -> Iterator[requests.Response]:
        """One request, its answer not yet read; temporary failures raise _TryAgainError until it is closed."""
        try:
            with self._session.get(url, headers=headers, timeout=TIMEOUT, stream=True) as answer:
                status = answer.status_code
                if status in AGAIN or status >= 500:
                    raise _TryAgainError(f"HTTP {status}", retry_after(answer.headers.get("Retry-After")))
                if status >= 400 and status not in (*GONE, OUT_OF_RANGE):
                    raise SourceError(f"{shown(url)} is refused: HTTP {status}. Correct the address or its account.")
                yield answer
        except requests.exceptions.InvalidURL:
            raise SourceError(f"{shown(url)} is not an address that can be read; correct it.") from None
        except requests.RequestException as error:
            raise _TryAgainError(_words(error)) from None


def is_page(content: bytes) -> bool:
    """Whether it is a web page, which servers may send instead of data."""
    start = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body"))


def _noted(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _words(error: requests.RequestException) -> str:
    """What went wrong, without the address that the library's message contains."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not accepted"
    if isinstance(error, requests.exceptions.ChunkedEncodingError | requests.exceptions.ContentDecodingError):
        return "the answer broke off"
    if isinstance(error, requests.ConnectionError):
        # A time-out while the body is read has this class, too.
        return "no answer in time" if "timed out" in str(error).lower() else "no connection"
    return type(error).__name__
