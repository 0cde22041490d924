"""Pieces of a run on the workers of a Dask cluster: the only module that knows Dask. What workers do: piecework.py.

Dask is called directly, and only to hand out pieces: workers read from the store and write to it, so nothing but plain
values and figures passes through the scheduler (docs/decisions/scaling.md).
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from distributed import Client, Future, Security
from distributed.scheduler import KilledWorker, NoWorkerError

from breadthflow_pipelines.errors import BreadthFlowError, RequestError, UnreachableError
from breadthflow_pipelines.orchestration.piecework import Order, Piece
from breadthflow_pipelines.settings import Settings

CONNECT_SECONDS = 10.0
NO_WORKER_SECONDS = 30.0  # without any worker, be it at the start or later
ASKED_EVERY = 1.0  # seconds between two questions to the scheduler about its workers
LOOKED_EVERY = 0.02  # seconds between two looks at which pieces are done
PER_THREAD = 2  # pieces that the scheduler has at a time, so that none waits for its next and few lie in its memory


def done_on_cluster(settings: Settings, order: Order, pieces: Iterable[Piece]) -> Iterator[tuple[Piece, Any]]:
    """Each piece with what the worker that did it gives back, in the order in which they are done.

    Raises:
        UnreachableError: the scheduler cannot be reached or was lost, or it has no workers.
        BreadthFlowError: a piece ended every worker that had it.
    """
    ahead, waiting = iter(pieces), dict[Future, Piece]()
    with _client(settings) as client:
        try:
            for threads in _watched(client, settings):
                for piece in islice(ahead, max(0, PER_THREAD * threads - len(waiting))):
                    waiting[client.submit(order.do, piece, pure=False)] = piece
                if threads and not waiting:
                    return
                for future in [future for future in waiting if future.status != "pending"]:
                    piece = waiting.pop(future)
                    yield piece, _result(future, f"{order.asset}, {piece}")
        finally:
            with suppress(Exception):  # the scheduler may be gone; the store's locks keep what it left in order
                client.cancel(list(waiting))


def _watched(client: Client, settings: Settings) -> Iterator[int]:
    """How many threads the workers have by now, again and again."""
    threads, asked, seen = 0, float("-inf"), time.monotonic()
    while True:
        now = time.monotonic()
        if client.status != "running":
            raise _lost(settings)
        if now - asked >= ASKED_EVERY:
            try:
                threads, asked = sum(client.nthreads().values()), now
            except OSError:
                raise _lost(settings) from None
        if threads:
            seen = now
        elif now - seen > NO_WORKER_SECONDS:
            raise UnreachableError(
                f"The cluster at {settings.cluster} has had no workers for {NO_WORKER_SECONDS:g} seconds: "
                "start some (docs/scaling.md), or unset BREADTHFLOW_CLUSTER to compute here."
            )
        yield threads
        time.sleep(LOOKED_EVERY)


def _result(future: Future, called: str) -> Any:
    if future.status == "finished":
        return future.result()
    if future.status != "error":  # cancelled, or lost with the scheduler
        raise UnreachableError(f"The cluster lost a piece ({called}); the next attempt does it again.")
    error = future.exception()
    if isinstance(error, KilledWorker):
        raise BreadthFlowError(
            f"A piece ({called}) ended {error.allowed_failures + 1} workers, so it is not tried again: "
            "see their logs; most often they have too little memory."
        ) from None
    if isinstance(error, NoWorkerError):
        raise UnreachableError(f"No worker of the cluster took a piece ({called}).") from None
    return future.result()  # raises what the piece raised


def _lost(settings: Settings) -> UnreachableError:
    return UnreachableError(f"The scheduler at {settings.cluster} was lost; what pieces had stored stays.")


@contextmanager
def _client(settings: Settings) -> Iterator[Client]:
    try:
        client = Client(settings.cluster, security=_security(settings), timeout=CONNECT_SECONDS, set_as_default=False)
    except OSError as error:
        raise UnreachableError(
            f"The scheduler at {settings.cluster} cannot be reached: {str(error).splitlines()[0]}. "
            "Check that it runs and that BREADTHFLOW_CLUSTER and its certificates are right."
        ) from None
    try:
        yield client
    finally:
        with suppress(Exception):
            client.close(timeout=2)


def _security(settings: Settings) -> Security:
    files = {
        "tls_ca_file": settings.cluster_ca,
        "tls_client_cert": settings.cluster_cert,
        "tls_client_key": settings.cluster_key,
    }
    given = {name: str(path) for name, path in files.items() if path is not None}
    for variable, path in zip(("CA", "CERT", "KEY"), given.values(), strict=False):
        if not Path(path).is_file():
            raise RequestError(f"BREADTHFLOW_CLUSTER_{variable} cannot be used: there is no file {path}.")
    return Security(require_encryption=bool(given), **given)
