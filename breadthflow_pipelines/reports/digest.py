"""The daily digest: how the store does, in one message. Composes text of facts; reads nothing and sends nothing.

The headline says first whether somebody must act. The parts follow from what matters most to what may be cut off.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from breadthflow_pipelines.model.gates import GATES, described, remedy
from breadthflow_pipelines.reports import bulletin
from breadthflow_pipelines.reports.bulletin import Part, few, number

Row = Mapping[str, Any]
ALL_IS_WELL = "all is well"
EMPTY = "the store is empty"


@dataclass(frozen=True)
class FailedRun:
    """A run that failed. error: the first line of why; command: what to run next.

    made_good: the run that did later what this one was to do; None where none did.
    """

    run_id: str
    job: str
    error: str
    command: str
    made_good: str | None = None


@dataclass(frozen=True)
class Size:
    """Megabytes of a database, now and at the last digest; before is None where there was none."""

    now: float
    before: float | None


@dataclass(frozen=True)
class Digest:
    """What the digest of a day is made of.

    since: of the last digest. day: the exchange's. synthetic: whether its companies are invented. succeeded: runs by
    job. rows: as digest_listing.rows_of_runs gives them. checks: those that fail now, holds: those that nobody
    accepted, as the store lists them. due: the session that should be in. held: the last session of each watched asset,
    None of an empty store. late: the assets without the session. statements: None where nobody counts them. sizes: by
    database.
    """

    day: dt.date
    since: dt.datetime
    synthetic: bool
    succeeded: Mapping[str, int]
    failed: Sequence[FailedRun]
    canceled: int
    unfinished: int
    rows: Sequence[Row]
    checks: Sequence[Row]
    holds: Sequence[Row]
    due: dt.date
    held: Mapping[str, dt.date | None] | None
    late: Sequence[str]
    statements: Sequence[Row] | None
    sizes: Mapping[str, Size]

    @property
    def open_failures(self) -> list[FailedRun]:
        """The failed runs whose work no later run did."""
        return [run for run in self.failed if run.made_good is None]

    @property
    def errors(self) -> list[Row]:
        """Failing checks of severity error, apart from gates whose holds say the same."""
        gates = {hold["gate"] for hold in self.holds}
        return [check for check in self.checks if check["severity"] == "error" and check["check"] not in gates]

    @property
    def warnings(self) -> list[Row]:
        """Failing checks of severity warn."""
        return [check for check in self.checks if check["severity"] != "error"]


def headline(digest: Digest) -> str:
    """Whether somebody must act, in a few words: all is well, or what is not."""
    troubles = [
        f"{number(len(digest.open_failures), 'run')} failed" if digest.open_failures else "",
        f"session {digest.due} is late" if digest.late else "",
        f"held by {', '.join(sorted({hold['gate'] for hold in digest.holds}))}" if digest.holds else "",
        f"{number(len(digest.errors), 'check')} failing" if digest.errors else "",
    ]
    said = ", ".join(filter(None, troubles)) or (EMPTY if digest.held is None else ALL_IS_WELL)
    return f"{said} (synthetic market)" if digest.synthetic else said


def next_command(digest: Digest) -> str:
    """What to run first; what keeps sessions from being computed comes before what only failed once."""
    if digest.holds:
        first = digest.holds[0]
        days = [hold["session"] for hold in digest.holds if hold["gate"] == first["gate"]]
        return remedy(GATES[first["gate"]], first["gate"], min(days), max(days))
    if digest.errors:
        return str(digest.errors[0]["next"])
    if digest.open_failures:
        return digest.open_failures[0].command
    return "breadthflow run" if digest.late or digest.held is None else "nothing"


def parts(digest: Digest) -> list[Part]:
    """Every part of the digest, in the order in which it is read."""
    return [_runs(digest), _freshness(digest), _holds(digest), _checks(digest), _rows(digest), *_server(digest)]


def plain(digest: Digest) -> str:
    """The parts as text, for a message and the terminal."""
    return bulletin.plain(parts(digest))


def text(digest: Digest) -> str:
    """The same with its headline, for the terminal."""
    return bulletin.text(f"{digest.day}: {headline(digest)}", parts(digest), next_command(digest))


def markdown(digest: Digest) -> str:
    """The same with its headline, for the UI."""
    return bulletin.markdown(f"{digest.day}: {headline(digest)}", parts(digest), next_command(digest))


def _runs(digest: Digest) -> Part:
    total = sum(digest.succeeded.values())
    jobs = ", ".join(f"{job} {count}" for job, count in sorted(digest.succeeded.items()))
    ended = [
        f"{total} succeeded ({jobs})" if total else "",
        f"{len(digest.failed)} failed" if digest.failed else "",
        f"{digest.canceled} canceled" if digest.canceled else "",
        f"{digest.unfinished} under way or queued" if digest.unfinished else "",
    ]
    later = {run.run_id: f" (done since by run {run.made_good[:8]})" for run in digest.failed if run.made_good}
    lines = [
        f"run {run.run_id[:8]} of {run.job} failed{later.get(run.run_id, '')}: {run.error}" for run in digest.failed
    ]
    said = ", ".join(filter(None, ended)) or "none"
    return Part(f"Runs since {digest.since.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC", said, few(lines))


def _freshness(digest: Digest) -> Part:
    if digest.held is None:
        return Part("Freshness", "no bars are stored yet")
    by_state: dict[str, list[str]] = {}
    for name, last in sorted(digest.held.items(), key=lambda item: item[1] or dt.date.min, reverse=True):
        state = (f"through {last}" if last else "nothing recent") + (", late" if name in digest.late else "")
        by_state.setdefault(state, []).append(name)
    lines = [f"{state}: {', '.join(names)}" for state, names in by_state.items()]
    said = f"{len(digest.late)} of {len(digest.held)} assets lack it" if digest.late else "no asset lacks it"
    return Part("Freshness", f"session {digest.due} is due; {said}", lines)


def _holds(digest: Digest) -> Part:
    by_gate: dict[str, list[Row]] = {}
    for hold in digest.holds:
        by_gate.setdefault(hold["gate"], []).append(hold)
    lines = [f"{gate}: {described(holds)}" for gate, holds in by_gate.items()]
    return Part("Holds", number(len({hold["session"] for hold in digest.holds}), "session"), few(lines))


def _checks(digest: Digest) -> Part:
    lines = [
        f"{check['asset']}.{check['check']}{mark}: {check['said']}"
        for checks, mark in ((digest.errors, ""), (digest.warnings, " (warning)"))
        for check in checks
    ]
    said = f"{number(len(digest.errors), 'error')}, {number(len(digest.warnings), 'warning')}"
    return Part("Failing checks besides holds" if digest.holds else "Failing checks", said, few(lines))


def _rows(digest: Digest) -> Part:
    totals: dict[str, int] = dict.fromkeys(("rejected", "revised", "quarantined"), 0)
    for row in digest.rows:
        totals[row["what"]] = totals.get(row["what"], 0) + row["rows"]
    lines = []
    for row in digest.rows:
        of = f" of {row['source']}" if row["source"] else ""
        lines.append(f"{row['what']}{of}{' (synthetic)' if row['synthetic'] else ''}: {row['reason']}, {row['rows']:,}")
    return Part("Rows of these runs", ", ".join(f"{count:,} {what}" for what, count in totals.items()), few(lines))


def _server(digest: Digest) -> list[Part]:
    sizes = [f"{name} {size.now:,.1f} MB ({_growth(size)})" for name, size in sorted(digest.sizes.items())]
    if digest.statements is None:
        return [Part("Size", ", ".join(sizes)), Part("Slowest queries", "unknown; pg_stat_statements is not installed")]
    lines = [
        f"{row['seconds'] * 1000:,.0f} ms on average, {row['calls']:,} calls: {row['statement']}"
        for row in digest.statements
    ]
    return [
        Part("Size", ", ".join(sizes)),
        Part("Slowest queries", "since the server counts" if lines else "none yet", lines),
    ]


def _growth(size: Size) -> str:
    return "growth unknown" if size.before is None else f"{size.now - size.before:+,.1f} MB"
