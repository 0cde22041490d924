"""Two things at a time: while one piece is worked on, the next is fetched. What the work is, assets know."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

Piece = TypeVar("Piece")
Done = TypeVar("Done")


def overlapped(
    pieces: Iterable[Piece],
    work: Callable[[Piece], Done],
    at_a_time: int = 1,
    touched: Callable[[Piece], frozenset[int]] | None = None,
) -> Iterator[Done]:
    """What ``work`` gives for each piece, in their order; while it works on some, the next is taken from ``pieces``.

    at_a_time: how many pieces are worked on side by side, at most; one more exists. touched: what a piece writes to,
    where pieces may write to the same; then they do so one after another, in their order. An error of either side ends
    both, after the pieces under way. It pays where one side waits for the database, or both leave Python's lock: Polars
    and the drivers do. Calls may be nested: read, compute, store.
    """

    def worked(piece: Piece, before: list[Future[Done]]) -> Done:
        wait(before)  # they were given to a thread earlier, so none of them waits for this one
        return work(piece)

    with ThreadPoolExecutor(max_workers=at_a_time, thread_name_prefix="overlap") as others:
        under_way: deque[tuple[Future[Done], frozenset[int]]] = deque()
        for piece in pieces:
            if len(under_way) == at_a_time:
                yield under_way.popleft()[0].result()
            own = touched(piece) if touched else frozenset[int]()
            before = [future for future, written in under_way if own & written]
            under_way.append((others.submit(worked, piece, before), own))
        while under_way:
            yield under_way.popleft()[0].result()
