"""Two things at a time: one piece is stored while the next is read and computed. What a piece is, assets know."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Piece = TypeVar("Piece")
Stored = TypeVar("Stored")


def stored_meanwhile(pieces: Iterable[Piece], store: Callable[[Piece], Stored]) -> Iterator[Stored]:
    """What ``store`` gives for each piece, in their order; while it stores one, the next is taken from ``pieces``.

    Pieces are stored one after another, so at most two exist at a time. An error of either side ends both, after the
    piece under way. The database works while this process computes, and the drivers let other threads run meanwhile.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="store") as second:
        under_way: Future[Stored] | None = None
        for piece in pieces:
            if under_way is not None:
                yield under_way.result()
            under_way = second.submit(store, piece)
        if under_way is not None:
            yield under_way.result()
