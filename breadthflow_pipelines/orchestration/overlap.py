"""Two things at a time: while one piece is worked on, the next is fetched. What the work is, assets know."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Piece = TypeVar("Piece")
Done = TypeVar("Done")


def overlapped(pieces: Iterable[Piece], work: Callable[[Piece], Done], at_a_time: int = 1) -> Iterator[Done]:
    """What ``work`` gives for each piece, in their order; while it works on some, the next is taken from ``pieces``.

    at_a_time: how many pieces are worked on side by side, at most; one more exists. An error of either side ends both,
    after the pieces under way. It pays where one side waits for the database, or both leave Python's lock: Polars and
    the drivers do. Calls may be nested: read, compute, store.
    """
    with ThreadPoolExecutor(max_workers=at_a_time, thread_name_prefix="overlap") as others:
        under_way: deque[Future[Done]] = deque()
        for piece in pieces:
            if len(under_way) == at_a_time:
                yield under_way.popleft().result()
            under_way.append(others.submit(work, piece))
        while under_way:
            yield under_way.popleft().result()
