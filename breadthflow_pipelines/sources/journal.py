"""The requests to a vendor and their outcomes, symbol by symbol, so that an interrupted run can be resumed.

A journal exists only while something is missing: a call that got everything leaves none, and the next one requests
everything again, because earlier answers may have been corrected. One line of JSON for each settled symbol; a line that
a killed process left incomplete is ignored.
"""

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.locations import shown
from breadthflow_pipelines.sources.protocol import Outcome
from breadthflow_pipelines.sources.unreadable import refusing

BELIEVED = dt.timedelta(days=7)  # older answers are requested again, older failures are not retried any more
SETTLED = (Outcome.FETCHED, Outcome.ABSENT)  # not worth another request within a few days


@dataclass(frozen=True)
class Entry:
    """The outcome for one symbol from start through end. since: when it first had that outcome."""

    symbol: str
    start: dt.date
    end: dt.date
    outcome: Outcome
    since: dt.datetime


class Journal:
    """The journal of one vendor and one store, kept in the file ``path``; ``now`` gives the present in UTC."""

    def __init__(self, path: Path, now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> None:
        self.path = path
        self._now = now
        self._settled: dict[str, Entry] = {}
        self._failed: dict[str, Entry] = {}
        for entry in _read(path):
            if entry.since > now() - BELIEVED:
                self._take(entry)

    def settled(self, symbol: str, start: dt.date, end: dt.date) -> Outcome | None:
        """The outcome of the symbol for a range that includes this one; None if it has to be requested."""
        entry = self._settled.get(symbol)
        return entry.outcome if entry and entry.start <= start and end <= entry.end else None

    def unfinished_since(self) -> dt.date | None:
        """The first day of requests that failed recently and have not succeeded since; None if there are none."""
        return min((entry.start for entry in self._failed.values()), default=None)

    def note(self, outcomes: Mapping[str, Outcome], start: dt.date, end: dt.date) -> None:
        """Record the outcomes of symbols that were requested from start through end."""
        entries = [self._entry(symbol, outcome, start, end) for symbol, outcome in outcomes.items()]
        for entry in entries:
            self._take(entry)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(_line(entry) for entry in entries)

    def close(self) -> None:
        """The call has ended: delete the journal if nothing failed, else keep one line for each symbol."""
        if self._failed:
            part = self.path.with_name(self.path.name + ".part")
            lines = [_line(entry) for entry in (*self._settled.values(), *self._failed.values())]
            part.write_text("".join(lines), encoding="utf-8")
            part.replace(self.path)
        else:
            self._settled.clear()
            self.path.unlink(missing_ok=True)

    def _entry(self, symbol: str, outcome: Outcome, start: dt.date, end: dt.date) -> Entry:
        before = self._failed.get(symbol)
        if outcome is Outcome.FAILED and before is not None:
            return Entry(symbol, min(start, before.start), max(end, before.end), outcome, before.since)
        return Entry(symbol, start, end, outcome, self._now())

    def _take(self, entry: Entry) -> None:
        if entry.outcome is Outcome.FAILED:
            self._failed[entry.symbol] = entry
            return
        before = self._failed.get(entry.symbol)
        if before and entry.start <= before.start:
            del self._failed[entry.symbol]
        if entry.outcome in SETTLED:
            self._settled[entry.symbol] = entry


def _line(entry: Entry) -> str:
    return json.dumps(asdict(entry), default=str) + "\n"


def _read(path: Path) -> list[Entry]:
    try:
        with refusing(shown(path), RequestError):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    except RequestError as error:
        raise RequestError(f"{error} Delete it: it only records what need not be requested again.") from None
    return [entry for line in lines if (entry := _entry(line)) is not None]


def _entry(line: str) -> Entry | None:
    """The entry of a line; None for an incomplete one."""
    try:
        cells = json.loads(line)
        entry = Entry(
            symbol=cells["symbol"],
            start=dt.date.fromisoformat(cells["start"]),
            end=dt.date.fromisoformat(cells["end"]),
            outcome=Outcome(cells["outcome"]),
            since=dt.datetime.fromisoformat(cells["since"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return entry if isinstance(entry.symbol, str) and entry.since.tzinfo is not None else None
