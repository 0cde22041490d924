"""Pieces are worked on while the next is made: in order, so many at a time, errors of either side end both."""

import threading
from collections.abc import Iterator

import pytest

from breadthflow_pipelines.orchestration.overlap import overlapped

SECONDS = 10  # more than any of it takes


def test_results_come_in_the_order_of_the_pieces() -> None:
    assert list(overlapped(range(5), lambda piece: piece * 10)) == [0, 10, 20, 30, 40]
    assert list(overlapped([], lambda piece: piece)) == []


def test_the_next_piece_is_made_while_one_is_stored() -> None:
    """Neither side gets on without the other: storing the first piece waits until the second is made."""
    second_made, first_under_way = threading.Event(), threading.Event()

    def pieces() -> Iterator[int]:
        yield 1
        assert first_under_way.wait(SECONDS)
        second_made.set()
        yield 2

    def store(piece: int) -> int:
        first_under_way.set()
        assert second_made.wait(SECONDS)
        return piece

    assert list(overlapped(pieces(), store)) == [1, 2]


def test_pieces_are_stored_one_after_another_and_two_exist_at_most() -> None:
    made, stored, most, storing = 0, 0, 0, threading.Lock()

    def pieces() -> Iterator[int]:
        nonlocal made, most
        for piece in range(20):
            made += 1
            most = max(most, made - stored)
            yield piece

    def store(piece: int) -> int:
        nonlocal stored
        assert storing.acquire(blocking=False), "another piece is being stored"
        stored += 1
        storing.release()
        return piece

    assert list(overlapped(pieces(), store)) == list(range(20))
    assert most <= 2


def test_so_many_pieces_are_stored_side_by_side_and_one_more_exists() -> None:
    """Neither of the first two is stored before the other is under way; results stay in order."""
    made, stored, most, both = 0, 0, 0, threading.Barrier(2, timeout=SECONDS)

    def pieces() -> Iterator[int]:
        nonlocal made, most
        for piece in range(10):
            made += 1
            most = max(most, made - stored)
            yield piece

    def store(piece: int) -> int:
        nonlocal stored
        both.wait()
        with counting:
            stored += 1
        return piece

    counting = threading.Lock()
    assert list(overlapped(pieces(), store, at_a_time=2)) == list(range(10))
    assert most <= 3


def test_pieces_that_write_to_the_same_follow_each_other_and_others_do_not_wait() -> None:
    """Of 1, 2, 1, 1, 3 the first two are under way together; each 1 begins when the one before it is stored."""
    both, counting = threading.Barrier(2, timeout=SECONDS), threading.Lock()
    under_way: list[int] = []
    order = []

    def store(piece: tuple[int, int]) -> tuple[int, int]:
        place, written = piece
        with counting:
            assert written not in under_way
            under_way.append(written)
            order.append(piece)
        if place < 2:
            both.wait()
        with counting:
            under_way.remove(written)
        return piece

    pieces = list(enumerate([1, 2, 1, 1, 3]))
    assert list(overlapped(pieces, store, at_a_time=2, touched=lambda piece: frozenset({piece[1]}))) == pieces
    assert [piece for piece in order if piece[1] == 1] == [(0, 1), (2, 1), (3, 1)]


def test_an_error_of_storing_ends_the_making() -> None:
    made = []

    def pieces() -> Iterator[int]:
        for piece in range(100):
            made.append(piece)
            yield piece

    def store(piece: int) -> int:
        if piece == 1:
            raise ValueError("no space")
        return piece

    with pytest.raises(ValueError, match="no space"):
        list(overlapped(pieces(), store))
    assert made[-1] <= 3


def test_an_error_of_making_comes_after_what_is_under_way_is_stored() -> None:
    stored = []

    def pieces() -> Iterator[int]:
        yield 1
        raise ValueError("a broken file")

    with pytest.raises(ValueError, match="a broken file"):
        list(overlapped(pieces(), stored.append))
    assert stored == [1]
    assert [thread for thread in threading.enumerate() if thread.name.startswith("overlap")] == []
