"""One watcher for all who listen in this process: it waits for news, and keeps the newest events at hand.

Each listener goes on from the last number that he has seen, from what is at hand or else from the store, so that a slow
one takes up no memory and nothing is sent twice. What events are, and who numbers them: warehouse/event_log.py.
"""

import asyncio
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import dropwhile

from fastapi import Request

from breadthflow_pipelines.api.problems import Problem
from breadthflow_pipelines.api.service import Service
from breadthflow_pipelines.errors import DatabaseError
from breadthflow_pipelines.observability.logs import log
from breadthflow_pipelines.warehouse.database import Database, Row, addresses
from breadthflow_pipelines.warehouse.event_log import EventLog, events_after, listening, reach

MOST_LISTENERS, MOST_OF_ONE = 100, 10  # in this process, and of one user
AT_HAND = 1000  # events
PAGE = 200  # events that a listener gets at a time
LOOK_SECONDS = 1.0  # between two looks into Dagster's log, which sends no notices
AGAIN_SECONDS = 3.0  # after a failure
PATIENCE = 15.0  # seconds that the first listener waits for the watcher


@dataclass(frozen=True)
class Batch:
    """What a listener gets. missed: some were dropped before he asked; last: where he goes on from."""

    events: list[Row]
    last: int
    missed: bool = False


class EventStream:
    """The listeners of this process, and what they are told. All of it is used on the event loop but the watcher."""

    def __init__(self, service: Service) -> None:
        self._store = service.store
        self._log = EventLog(
            service.ledger, Database(addresses(service.settings)[1], None), service.settings.keep_events_days
        )
        self._listeners: Counter[str | None] = Counter()
        self._watcher: _Watcher | None = None

    @contextmanager
    def place(self, name: str | None) -> Iterator[None]:
        """A place among the listeners; the watcher lives as long as there is one.

        Raises:
            Problem: 429, there are too many already, or too many of this name.
        """
        if self._listeners.total() >= MOST_LISTENERS or self._listeners[name] >= MOST_OF_ONE:
            many = f"{MOST_OF_ONE} of yours" if self._listeners[name] >= MOST_OF_ONE else str(MOST_LISTENERS)
            raise Problem(
                429,
                f"Too many listeners: {many} are connected.",
                "Close one, or ask GET /v1/runs and /v1/status now and then.",
                headers={"Retry-After": "60"},
            )
        self._listeners[name] += 1
        try:
            if self._watcher is None:
                self._watcher = _Watcher(self._store, self._log, asyncio.get_running_loop())
            yield
        finally:
            self._listeners[name] -= 1
            if not self._listeners.total() and self._watcher is not None:
                self._watcher.end()
                self._watcher = None

    async def begin(self, after: int | None) -> Batch:
        """Where a listener begins: after the last event that he has seen, or with what comes from now on.

        Raises:
            DatabaseError: the watcher does not come to an answer.
        """
        watcher = self._watching()
        await watcher.ready(PATIENCE)
        if after is None:
            return Batch([], watcher.last)
        dropped, newest = await asyncio.to_thread(reach, self._store)
        if after < dropped or after > newest:
            return Batch([], dropped if after < dropped else newest, missed=True)
        return Batch([], after)

    async def batches(self, after: int, silence: float) -> AsyncIterator[Batch]:
        """What comes after that event, for ever; an empty batch after each so many seconds without any.

        A database that is away is waited for.
        """
        while True:
            watcher = self._watching()
            news = watcher.news
            found = await self._after(watcher, after)
            if not found:
                try:
                    async with asyncio.timeout(silence):
                        await news.wait()
                    continue
                except TimeoutError:
                    pass
            after = found[-1]["event_id"] if found else after
            yield Batch(found, after)

    def _watching(self) -> "_Watcher":
        assert self._watcher is not None  # noqa: S101 - whoever asks has a place
        return self._watcher

    async def _after(self, watcher: "_Watcher", after: int) -> list[Row]:
        if after >= watcher.last:
            return []
        at_hand = watcher.at_hand
        if at_hand and at_hand[0]["event_id"] <= after + 1:
            return list(dropwhile(lambda event: event["event_id"] <= after, at_hand))[:PAGE]
        try:
            return await asyncio.to_thread(events_after, self._store, after, PAGE)
        except DatabaseError:
            await asyncio.sleep(AGAIN_SECONDS)
            return []


class _Watcher:
    """A thread with the one connection that listens, while anybody does. Its answers are changed on the loop alone."""

    def __init__(self, store: Database, log: EventLog, loop: asyncio.AbstractEventLoop) -> None:
        self.last = 0
        self.at_hand: deque[Row] = deque(maxlen=AT_HAND)
        self.news = asyncio.Event()
        self._began = asyncio.Event()
        self._store, self._log, self._loop = store, log, loop
        self._over = threading.Event()
        threading.Thread(target=self._watch, name="events", daemon=True).start()

    def end(self) -> None:
        """Let the thread end, within a second."""
        self._over.set()

    async def ready(self, seconds: float) -> None:
        """Wait until it is known where the events end.

        Raises:
            DatabaseError: it takes longer.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._began.wait()
        except TimeoutError:
            raise DatabaseError("The latest events could not be read from the database; try again.") from None

    def _watch(self) -> None:
        last: int | None = None
        while not self._over.is_set():
            try:
                with listening(self._store) as notices:
                    while not self._over.is_set():
                        last = self._look(last)
                        notices.wait(LOOK_SECONDS)
            except Exception as error:  # noqa: BLE001 - whatever it is, listeners wait for the next look
                log.warning("events_interrupted", reason=str(error))
                self._over.wait(AGAIN_SECONDS)

    def _look(self, last: int | None) -> int:
        """Tell the loop of what came after ``last``; at first, where events end. Gives the number of the last one."""
        self._log.number()
        if last is None:
            _, last = reach(self._store)
            self._tell(self._begin, last)
        while found := events_after(self._store, last, PAGE):
            last = found[-1]["event_id"]
            self._tell(self._publish, found)
        return last

    def _tell(self, what: Callable[..., None], *values: object) -> None:
        with suppress(RuntimeError):  # the loop has ended, and this thread is about to
            self._loop.call_soon_threadsafe(what, *values)

    def _begin(self, newest: int) -> None:
        self.last = newest
        self._began.set()

    def _publish(self, found: list[Row]) -> None:
        self.at_hand.extend(found)
        self.last = found[-1]["event_id"]
        self.news.set()
        self.news = asyncio.Event()


def stream_of(request: Request) -> EventStream:
    """The stream of the app that a request came to, made when it is first asked for."""
    state = request.app.state
    if not hasattr(state, "event_stream"):
        state.event_stream = EventStream(state.service)
    stream: EventStream = state.event_stream
    return stream
