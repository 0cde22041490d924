"""Pieces of an asset's work: one after another in this process, or side by side on a cluster (docs/scaling.md).

What a piece and its work are: piecework.py. How pieces reach a cluster: cluster.py, imported where one is set.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.observability.memory import give_back
from breadthflow_pipelines.orchestration.overlap import overlapped
from breadthflow_pipelines.orchestration.piecework import Order, Piece, Stage, Work, terms_of
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.warehouse.pieces import spreading, store_identity

WRITERS = 2  # pieces that are written at a time: a server process fills one core, and computing a piece takes less


def spread(market: Market, asset: str, work: Work, pieces: Iterable[Piece]) -> Iterator[tuple[Piece, Any]]:
    """Do the work on each piece; gives the piece and what the last stage made, as soon as it is done.

    Here, pieces are done in their order: while one is at one stage the next is at the stage before, and WRITERS of them
    at the last stage, which writes. On a cluster each is done by some worker. The caller holds ``exclusive(asset)``;
    pieces that an earlier run left are waited for.

    Raises:
        UnreachableError: the cluster or its workers cannot be reached, or were lost.
        RequestError: a worker has another store, version or settings than this process, or Dask is not installed.
    """
    with spreading(market.store, asset) as run:
        if market.settings.cluster is None:
            for done in _here(market, work, pieces):
                give_back()
                yield done
        else:
            try:
                from breadthflow_pipelines.orchestration.cluster import done_on_cluster
            except ModuleNotFoundError as error:
                raise RequestError(
                    f"BREADTHFLOW_CLUSTER is set, but {error.name} is not installed: "
                    'run pip install "breadthflow[scale]", or unset it to compute here.'
                ) from None

            order = Order(asset, work, run, terms_of(market), store_identity(market.store))
            yield from done_on_cluster(market.settings, order, pieces)


def done_once(market: Market) -> bool:
    """Whether no piece is done again; on a cluster one is if its worker is lost after it stored it."""
    return market.settings.cluster is None


def _here(market: Market, work: Work, pieces: Iterable[Piece]) -> Iterator[tuple[Piece, Any]]:
    done: Iterable[tuple[Piece, Any]] = ((piece, None) for piece in pieces)
    *before, last = (partial(_at_stage, market, stage) for stage in work.stages)
    for number, stage in enumerate(before):
        # The first stage has nobody to overlap with: it runs where the pieces are taken.
        done = overlapped(done, stage) if number else map(stage, done)
    return iter(overlapped(done, last, WRITERS) if before else map(last, done))


def _at_stage(market: Market, stage: Stage, reached: tuple[Piece, Any]) -> tuple[Piece, Any]:
    piece, made = reached
    return piece, stage(market, piece, made)
