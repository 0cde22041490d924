"""Pieces in this process, and what a process must have in common with a run before it does a piece of it."""

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from breadthflow_pipelines.errors import DatabaseError, RequestError, UnreachableError
from breadthflow_pipelines.orchestration import cluster
from breadthflow_pipelines.orchestration.fanout import spread
from breadthflow_pipelines.orchestration.piecework import Order, Stage, terms_of
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse.pieces import spreading, store_identity
from breadthflow_pipelines_tests.conftest import free_port
from breadthflow_pipelines_tests.orchestration.conftest import Store

SECONDS = 10  # more than any of it takes


@dataclass(frozen=True)
class Noted:
    """Work that notes which piece was at which stage; three stages make 10, 11 and 22 of a piece 1."""

    notes: list[tuple[str, int]] = field(default_factory=list)

    @property
    def stages(self) -> Sequence[Stage]:
        return self._read, self._computed, self._stored

    def _read(self, market: Market, piece: int, before: None) -> int:  # noqa: ARG002
        self.notes.append(("read", piece))
        return piece * 10

    def _computed(self, market: Market, piece: int, read: int) -> int:  # noqa: ARG002
        return read + piece

    def _stored(self, market: Market, piece: int, computed: int) -> int:  # noqa: ARG002
        self.notes.append(("stored", piece))
        return computed * 2


def order(store: Store, run: str) -> Order:
    """What a worker is sent by a run with the settings of this process."""
    return Order("price_indicators", Noted(), run, terms_of(store.market), store_identity(store.database))


def test_here_pieces_pass_all_stages_in_their_order(store: Store) -> None:
    work = Noted()
    assert list(spread(store.market, "price_indicators", work, [1, 2, 3])) == [(1, 22), (2, 44), (3, 66)]
    assert [piece for what, piece in work.notes if what == "stored"] == [1, 2, 3]


def test_here_work_of_any_number_of_stages_is_done(store: Store) -> None:
    @dataclass(frozen=True)
    class Cut(Noted):
        stages: Sequence[Stage] = ()

    work = Noted()
    one, two = Cut(stages=work.stages[:1]), Cut(stages=(work.stages[0], work.stages[2]))
    assert list(spread(store.market, "price_indicators", one, [1, 2])) == [(1, 10), (2, 20)]
    assert list(spread(store.market, "price_indicators", two, [1, 2])) == [(1, 20), (2, 40)]
    assert list(spread(store.market, "price_indicators", work, [])) == []


def test_here_a_piece_is_read_while_the_one_before_is_stored(store: Store) -> None:
    """Neither gets on without the other."""
    next_read, storing = threading.Event(), threading.Event()

    class Meeting(Noted):
        def _read(self, market: Market, piece: int, before: None) -> int:
            if piece == 3:  # the first is stored while the second is computed
                assert storing.wait(SECONDS)
                next_read.set()
            return super()._read(market, piece, before)

        def _stored(self, market: Market, piece: int, computed: int) -> int:
            if piece == 1:
                storing.set()
                assert next_read.wait(SECONDS)
            return super()._stored(market, piece, computed)

    assert len(list(spread(store.market, "price_indicators", Meeting(), [1, 2, 3]))) == 3


def test_a_worker_like_the_run_does_its_piece(store: Store) -> None:
    with spreading(store.database, "price_indicators") as run:
        assert order(store, run).do(2) == 44


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BREADTHFLOW_START", "2020-01", "BREADTHFLOW_START: 2020-01 there, 2022-11 here"),
        ("BREADTHFLOW_DATABASE_URL", "", "store: embedded in .+ there, at BREADTHFLOW_DATABASE_URL here"),
    ],
)
def test_a_worker_of_other_settings_refuses_and_opens_no_store(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    with spreading(store.database, "price_indicators") as run:
        sent = order(store, run)
        monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        with pytest.raises(RequestError, match=said):
            sent.do(1)
    assert not (get_settings().home / "postgres").exists()
    assert sent.work.notes == []  # type: ignore[attr-defined]


def test_a_worker_of_another_version_refuses(store: Store) -> None:
    with spreading(store.database, "price_indicators") as run:
        sent = order(store, run)
        other = replace(sent, terms={**sent.terms, "version of breadthflow": "0.0.9"})
        with pytest.raises(RequestError, match=r"version of breadthflow: [\d.]+ there, 0\.0\.9 here"):
            other.do(1)


def test_a_worker_of_another_store_refuses(store: Store) -> None:
    with spreading(store.database, "price_indicators") as run:
        other = replace(order(store, run), store="database breadthflow of server 1")
        with pytest.raises(RequestError, match=r"wrote nothing: its store is database test_\d+ of server \d+"):
            other.do(1)


def test_a_piece_of_a_run_that_is_over_is_not_done(store: Store) -> None:
    with spreading(store.database, "price_indicators") as run:
        sent = order(store, run)
    with pytest.raises(DatabaseError, match="price_indicators was not written: the run that asked for it is over"):
        sent.do(1)
    assert sent.work.notes == []  # type: ignore[attr-defined]


def test_a_piece_whose_run_ends_meanwhile_is_not_stored(store: Store) -> None:
    running = spreading(store.database, "price_indicators")
    run = running.__enter__()

    class Outlived(Noted):
        def _computed(self, market: Market, piece: int, read: int) -> int:
            running.__exit__(None, None, None)
            return super()._computed(market, piece, read)

    work = Outlived()
    with pytest.raises(DatabaseError, match="not written"):
        replace(order(store, run), work=work).do(1)
    assert work.notes == [("read", 1)]


def test_the_next_run_waits_for_a_piece_that_is_under_way(store: Store) -> None:
    first, release, second_began = threading.Event(), threading.Event(), threading.Event()

    class Slow(Noted):
        def _stored(self, market: Market, piece: int, computed: int) -> int:
            first.set()
            assert release.wait(SECONDS)
            assert not second_began.is_set()
            return super()._stored(market, piece, computed)

    work = Slow()
    with spreading(store.database, "price_indicators") as run:
        sent = replace(order(store, run), work=work)
        piece = threading.Thread(target=sent.do, args=(1,))
        piece.start()
        assert first.wait(SECONDS)
    # The run is gone, its piece is not.
    with spreading(store.database, "symbol_signals"):
        pass  # another asset's pieces wait for nobody

    def begin() -> None:
        with spreading(store.database, "price_indicators"):
            second_began.set()

    second = threading.Thread(target=begin)
    second.start()
    assert not second_began.wait(0.3)
    release.set()
    assert second_began.wait(SECONDS)
    piece.join()
    second.join()
    assert ("stored", 1) in work.notes


def test_a_scheduler_that_does_not_answer_is_said_to_be_unreachable(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREADTHFLOW_CLUSTER", f"tcp://127.0.0.1:{free_port()}")
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.3)
    get_settings.cache_clear()
    with pytest.raises(UnreachableError, match=r"The scheduler at tcp://127\.0\.0\.1:\d+ cannot be reached") as refusal:
        list(spread(store.market, "price_indicators", Noted(), [1]))
    assert refusal.value.exit_status == 3
    assert "\n" not in str(refusal.value)


def test_a_cluster_without_the_extra_is_said_in_one_line(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREADTHFLOW_CLUSTER", "tcp://127.0.0.1:8786")
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, cluster.__name__)
    get_settings.cache_clear()
    with pytest.raises(RequestError, match=r"distributed is not installed: run pip install \"breadthflow\[scale\]\""):
        list(spread(store.market, "price_indicators", Noted(), [1]))


def test_missing_certificates_are_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CA", "CERT", "KEY"):
        monkeypatch.setenv(f"BREADTHFLOW_CLUSTER_{name}", f"/nowhere/{name}.pem")
    monkeypatch.setenv("BREADTHFLOW_CLUSTER", f"tls://127.0.0.1:{free_port()}")
    get_settings.cache_clear()
    with pytest.raises(RequestError, match=r"BREADTHFLOW_CLUSTER_CA cannot be used: there is no file /nowhere/CA\.pem"):
        list(spread(store.market, "price_indicators", Noted(), [1]))
