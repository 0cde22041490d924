"""Two things at a time: while one piece is worked on, the next is fetched. What the work is, assets know."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Piece = TypeVar("Piece")
Done = TypeVar("Done")


def overlapped(pieces: Iterable[Piece], work: Callable[[Piece], Done]) -> Iterator[Done]:
    """What ``work`` gives for each piece, in their order; while it works on one, the next is taken from ``pieces``.

    Pieces are worked on one after another, so at most two exist at a time. An error of either side ends both, after the
    piece under way. It pays where one side waits for the database, or both leave Python's lock: Polars and the drivers
    do. Calls may be nested: read, compute, store.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="overlap") as second:
        under_way: Future[Done] | None = None
        for piece in pieces:
            if under_way is not None:
                yield under_way.result()
            under_way = second.submit(work, piece)
        if under_way is not None:
            yield under_way.result()
