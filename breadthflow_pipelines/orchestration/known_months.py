"""Which days of an asset need no computing: what they are made of is as it was, and so are their rows.

A backfill asks by month, and a daily run by session of its own months. How it is seen that rows are as they were:
warehouse/computed_months.py. Why: docs/decisions/fingerprints.md.
"""

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import takewhile

from breadthflow_pipelines.model.datasets import DATASETS, Dataset
from breadthflow_pipelines.orchestration.holds import AssetHolds
from breadthflow_pipelines.orchestration.inputs import program
from breadthflow_pipelines.orchestration.partitions import Span
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.warehouse import computed_months
from breadthflow_pipelines.warehouse.pieces import store_identity

FEW = 3  # months: for the daily run's own, it would take too long to look at all rows before them
NEWEST = 2  # months, of which sessions are known
_COMPUTED_BY = ("polars", "numpy")


@dataclass(frozen=True)
class KnownMonths:
    """What is known of an asset's days in a span before it is computed. left: the days that are to be computed.

    made_of: by month, what it is made of; empty where nobody asked. known: how many months need no computing.
    sessions: by session of the newest months, what it is made of; empty where nobody asked.
    """

    asset: str
    left: Span
    made_of: Mapping[dt.date, str] = field(default_factory=dict)
    known: int = 0
    sessions: Mapping[dt.date, str] = field(default_factory=dict)

    def record(self, market: Market) -> None:
        """Note that the rows of the days that were left are what they are made of now."""
        if self.left.is_empty:
            return
        if self.made_of:
            now = _own_writers(market, self.asset, self.left.end)
            computed = [month for month in self.made_of if month >= self.left.start.replace(day=1)]
            found = {month: (self.made_of[month], now.get(month, "")) for month in computed}
            computed_months.record(market.store, self.asset, found)
        if self.sessions:
            by = _own_writers_by_session(market, self.asset, self.sessions)
            found = {session: (made_of, by[session]) for session, made_of in self.sessions.items()}
            computed_months.record_sessions(market.store, self.asset, found)


def known_months(market: Market, asset: str, span: Span, holds: AssetHolds, due: dt.date | None) -> KnownMonths:
    """What of a span is left to compute: from the first day on whose rows may not be what their inputs give.

    Of a long span this is the first day of a month, of a short one a session. Windows and recursions look back, so
    all days after it are left too. due: the day from which on something is.
    """
    if not DATASETS[asset].made_of or span.is_empty:
        return KnownMonths(asset, span)
    if len(span.months) <= FEW:
        return _known_sessions(market, asset, span, holds, due)
    newest = dt.date.fromisoformat(f"{span.months[-NEWEST]}-01")
    sessions = _sessions_made_of(market, asset, Span(newest, span.end, span.through), holds)
    made_of = _made_of(market, asset, span, holds)
    recorded = computed_months.recorded(market.store, asset)
    stored = _own_writers(market, asset, span.end) if recorded else {}
    known = list(takewhile(lambda month: recorded.get(month) == (made_of[month], stored.get(month, "")), made_of))
    if due is not None:
        known = [month for month in known if month < due.replace(day=1)]
    first = next((month for month in made_of if month not in known), span.end + dt.timedelta(days=1))
    return KnownMonths(asset, Span(max(span.start, first), span.end, span.through), made_of, len(known), sessions)


def _known_sessions(market: Market, asset: str, span: Span, holds: AssetHolds, due: dt.date | None) -> KnownMonths:
    made_of = _sessions_made_of(market, asset, span, holds)
    recorded = computed_months.recorded_sessions(market.store, asset, *span.days)
    if not made_of or not recorded:
        return KnownMonths(asset, span, sessions=made_of)
    stored = _own_writers_by_session(market, asset, made_of)
    known = takewhile(lambda session: recorded.get(session) == (made_of[session], stored[session]), made_of)
    right = {session for session in known if due is None or session < due}
    left = (session for session in made_of if session not in right)
    first = next(left, span.end + dt.timedelta(days=1)) if right else span.start
    return KnownMonths(asset, Span(first, span.end, span.through), sessions=made_of)


def _made_of(market: Market, asset: str, span: Span, holds: AssetHolds) -> dict[dt.date, str]:
    """By month of the span, in order: a hash of all that decides the asset's rows on its days.

    That is this program and what computes for it; what is held; the exchange's sessions; and the rows of the tables
    that the asset is made of, through the month.
    """
    dataset, store = DATASETS[asset], market.store
    cut = [] if dataset.looks_ahead else _with_sessions(dataset)
    head = _whole(market, holds, [name for name in dataset.made_of if name not in cut])
    by_table = computed_months.writers_by_month(store, cut, _month_end(span.end), market.counted)
    sessions = defaultdict(list)
    for day in market.calendar.between(market.calendar.first, span.end):
        sessions[day.replace(day=1)].append(f"{day:%d}")
    asked = {dt.date.fromisoformat(f"{month}-01") for month in span.months}
    months, text = {}, hashlib.sha256("\n".join(head).encode())
    for month in sorted(asked.union(sessions, *by_table)):
        rows = [f"{name} {by_month.get(month)}" for name, by_month in zip(cut, by_table, strict=True)]
        text.update("\n".join([f"{month}", *sessions[month], *rows]).encode())
        if month in asked:
            days = f"{max(month, span.start)} to {min(_month_end(month), span.end)}"
            months[month] = f"{text.hexdigest()}, {days}"
    return months


def _sessions_made_of(market: Market, asset: str, span: Span, holds: AssetHolds) -> dict[dt.date, str]:
    """By session of the span, in order: the same of the rows of that session alone; what lies before is due if changed.

    Empty where later rows decide as well.
    """
    dataset, store = DATASETS[asset], market.store
    if dataset.looks_ahead:
        return {}
    cut = _with_sessions(dataset)
    head = "\n".join(_whole(market, holds, [name for name in dataset.made_of if name not in cut]))
    by_table = computed_months.writers_by_session(store, cut, *span.days)
    return {
        session: _hash(head, *(f"{name} {by.get(session)}" for name, by in zip(cut, by_table, strict=True)))
        for session in market.calendar.between(*span.days)
    }


def _with_sessions(dataset: Dataset) -> list[str]:
    return [name for name in dataset.made_of if "session" in computed_months.columns_of(name)]


def _whole(market: Market, holds: AssetHolds, tables: Sequence[str]) -> list[str]:
    """What decides all rows of an asset alike. tables: of which all rows decide."""
    return [
        program(),
        *(version(package) for package in _COMPUTED_BY),
        store_identity(market.store),
        f"synthetic {market.source.synthetic}",
        *(f"{universe} held from {first}" for universe, first in sorted(holds.first_sessions.items())),
        *(f"{name} {computed_months.writers(market.store, name, market.counted)}" for name in tables),
    ]


def _own_writers_by_session(market: Market, asset: str, sessions: Iterable[dt.date]) -> dict[dt.date, str]:
    """By session, the writers of the asset's rows; where those are of months, of its month's."""
    days = sorted(sessions)
    names = [asset, *DATASETS[asset].beside]
    by_table = computed_months.writers_by_session(market.store, names, days[0], days[-1])
    return {day: _hash(*(by_session.get(day, "none") for by_session in by_table)) for day in days}


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _own_writers(market: Market, asset: str, through: dt.date) -> dict[dt.date, str]:
    """By month, the writers of the asset's rows, and of what it keeps beside them."""
    names = [asset, *DATASETS[asset].beside]
    by_table = computed_months.writers_by_month(market.store, names, _month_end(through), market.counted)
    months: set[dt.date] = set().union(*by_table)
    return {month: " ".join(by_month.get(month, "none") for by_month in by_table) for month in months}


def _month_end(day: dt.date) -> dt.date:
    return Span(day, day, day).of_whole_months().end
