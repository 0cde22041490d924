"""A source's answer read by the workers of a cluster: each reads, judges and stores its parts of the files.

What is done with each chunk is the same there and here. How one process reads them all: ingest.py. What a piece of work
is: piecework.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import polars as pl

from breadthflow_pipelines.orchestration.fanout import spread
from breadthflow_pipelines.orchestration.ingest_report import IngestReport
from breadthflow_pipelines.orchestration.intake import Intake
from breadthflow_pipelines.orchestration.partitions import Days
from breadthflow_pipelines.orchestration.piecework import Stage
from breadthflow_pipelines.orchestration.refetching import Compared, RestatedHistories
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.sources.protocol import Chunk, Divisible, Taken
from breadthflow_pipelines.warehouse import bar_store


class Judged(NamedTuple):
    """The bars of a chunk that keep the contract, and what is known of the chunk by then.

    beside: those of sessions next to the days that are read, which are only compared.
    """

    good: pl.DataFrame
    beside: pl.DataFrame
    report: IngestReport

    @property
    def securities(self) -> frozenset[int]:
        """Whose bars those are."""
        return frozenset(pl.concat([self.good["security_id"], self.beside["security_id"]]).unique())


def judge_chunk(intake: Intake, asked: Days, own: Days, chunk: Chunk) -> Judged:
    """Keep the broken rows of a chunk aside. asked: the days that it was asked for; own: those to store bars of."""
    session = pl.col("session")
    next_to = session.is_between(asked.start, asked.end) & ~session.is_between(own.start, own.end)
    next_to = next_to.fill_null(value=False)
    beside = chunk.bars.filter(next_to)
    good, report = intake.judge(chunk.bars.filter(~next_to))
    of_chunk = replace(report, outcomes=chunk.outcomes, problems=chunk.problems, reading=chunk.reading)
    return Judged(good, intake.sound(beside), replace(of_chunk, beside=beside.height))


def store_chunk(
    intake: Intake, histories: RestatedHistories, judged: Judged, *, side_by_side: bool = False
) -> IngestReport:
    """Store the bars of one chunk. side_by_side: while other processes store other bars."""
    good, report = histories.on_the_stored_scale(judged.good, judged.beside), judged.report
    if good.is_empty():
        return report
    merged = bar_store.load_bars(intake.market.store, good, intake.source, intake.run_id, side_by_side=side_by_side)
    last = good.select(pl.col("session").max()).item()
    return replace(report, merged=merged, corrected=merged.updated, last_session=last)


@dataclass
class _Done:
    """What a part came to. compared: which histories were held against the stored ones."""

    report: IngestReport = field(default_factory=IngestReport)
    taken: Taken = field(default_factory=Taken)
    compared: Compared = field(default_factory=Compared)


@dataclass(frozen=True)
class _OfParts:
    """Parts of the source's files, each read and stored chunk by chunk. asked, own: as judge_chunk() takes them."""

    run_id: str
    asked: Days
    own: Days

    @property
    def stages(self) -> Sequence[Stage]:
        return (self._stored,)

    def _stored(self, market: Market, part: Any, _: None) -> _Done:
        source = market.source
        assert isinstance(source, Divisible)  # noqa: S101 - the run's source has the same name
        intake, done = Intake.of(market, self.run_id), _Done()
        histories = RestatedHistories(intake)
        for chunk in source.read(part, done.taken):
            judged = judge_chunk(intake, self.asked, self.own, chunk)
            done.report += store_chunk(intake, histories, judged, side_by_side=True)
        done.compared = histories.compared
        return done


def read_in_parts(
    market: Market, histories: RestatedHistories, asked: Days, own: Days, run_id: str
) -> Iterator[IngestReport]:
    """What each part of these days came to, in the order in which they are done; the last one settles the symbols."""
    source, taken = market.source, list[Taken]()
    assert isinstance(source, Divisible)  # noqa: S101 - the caller asks for it
    parts = source.parts(*asked)
    with market.store.exclusive("bars"):
        bar_store.prepare_bars(market.store, range(own.start.year, own.end.year + 1))
        for _, done in spread(market, "bars", _OfParts(run_id, asked, own), parts):
            taken.append(done.taken)
            histories.learn(done.compared)
            yield done.report
    last = source.settled(asked.start, taken)
    yield IngestReport(outcomes=last.outcomes, problems=last.problems, reading=last.reading)
