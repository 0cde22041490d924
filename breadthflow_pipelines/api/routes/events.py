"""What happens, while it happens: server-sent events. How they come about: event_stream.py."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response, StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from breadthflow_pipelines.api.access import Viewer
from breadthflow_pipelines.api.event_stream import Batch, EventStream, stream_of
from breadthflow_pipelines.api.openapi import problems
from breadthflow_pipelines.model.vocabulary import MISSED
from breadthflow_pipelines.observability.logs import log
from breadthflow_pipelines.warehouse.database import Row

router = APIRouter(prefix="/v1", tags=["events"])

LARGEST = 2**63 - 1  # of the numbers of events
SILENCE = 15.0  # seconds between two comments that keep a connection open where nothing happens
SEND_SECONDS = 30.0  # that a client has to take what is sent
LIFE_SECONDS = 900.0  # of a stream: whoever goes on listening comes again, and shows that he still may
RETRY_MILLISECONDS = 2000

_ABOUT = """
A stream of server-sent events that does not end by itself for a quarter of an hour; clients connect again, as browsers
do. Each event has an `id`, a kind as its `event`, and JSON as its `data`, with `at` (UTC) and what it is about:

| event | data |
| --- | --- |
| `run_queued`, `run_started` | `run_id`, `job` |
| `run_progress` | `run_id`, `job`, `step`, `phase`: started, done, failed or skipped |
| `run_finished` | `run_id`, `job`, `status`: success, failure or canceled |
| `check_failed` | `run_id`, `job`, `asset`, `check`, `severity`, `said` |
| `new_session` | `universe`, `session` (the newest), `first`, `sessions` (how many), `synthetic` |
| `new_signals` | `universe`, `session`, `first`, `signals` (how many), `newest` (those of that session), `synthetic` |
| `missed` | events were dropped before they were asked for: load again whatever is shown |

`Last-Event-ID`, or `after`, goes on after that event without loss or repetition. Without either, the stream begins with
what happens from now on. Sessions and signals are those of whole universes; one transaction gives one event of each
kind for each universe.
"""


@router.get(
    "/events",
    summary="Listen to what happens",
    description=_ABOUT,
    response_class=Response,
    responses={
        200: {"description": "The stream.", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
        **problems(401, 422, 429, 503),
    },
)
async def events(
    request: Request,
    who: Viewer,
    last_event_id: Annotated[
        int | None, Header(ge=0, le=LARGEST, description="The id of the last event that was received.", examples=[17])
    ] = None,
    after: Annotated[
        int | None, Query(ge=0, le=LARGEST, description="The same, where a header cannot be set.", examples=[17])
    ] = None,
) -> Response:
    """A stream; its description is in the OpenAPI document."""
    return _Listening(stream_of(request), who.name, after if last_event_id is None else last_event_id)


class _Listening(Response):
    """The answer to one listener. He has his place exactly as long as it is sent, and is dropped where he is slow."""

    def __init__(self, stream: EventStream, name: str | None, after: int | None) -> None:
        super().__init__(media_type="text/event-stream")
        self._stream, self._name, self._after = stream, name, after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_soon(message: Message) -> None:
            async with asyncio.timeout(SEND_SECONDS):
                await send(message)

        with self._stream.place(self._name):
            begin = await self._stream.begin(self._after)
            answer = StreamingResponse(
                self._lines(begin),
                media_type=self.media_type,
                headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
            )
            try:
                await answer(scope, receive, send_soon)
            except (TimeoutError, ClientDisconnect):  # he goes on where he was when he comes again
                log.info("listener_dropped", who=self._name)

    async def _lines(self, begin: Batch) -> AsyncIterator[str]:
        yield f"retry: {RETRY_MILLISECONDS}\n\n"
        if begin.missed:
            yield _written(MISSED, begin.last, {})
        end = time.monotonic() + LIFE_SECONDS
        async for batch in self._stream.batches(begin.last, SILENCE):
            yield "".join(map(_event, batch.events)) or ": nothing new\n\n"
            if time.monotonic() > end:
                return


def _event(row: Row) -> str:
    return _written(row["kind"], row["event_id"], {"at": row["happened_at"].isoformat(), **row["about"]})


def _written(kind: str, number: int, data: dict[str, object]) -> str:
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"
