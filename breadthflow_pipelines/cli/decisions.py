"""Commands about data that is left out or held: rejected and quarantined bars, holes, and decisions on them."""

import datetime as dt
from typing import Annotated

import typer

from breadthflow_pipelines.cli.app import app
from breadthflow_pipelines.cli.display import err, most_rows, out, write_rows
from breadthflow_pipelines.cli.options import (
    DecidedBy,
    DecidedDate,
    DecidedReason,
    DecidedRule,
    DecidedSymbol,
    Format,
    From,
    Proposals,
    Shape,
    To,
    day_range,
)
from breadthflow_pipelines.cli.store import existing_store
from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.gates import GATES, described, remedy, whom
from breadthflow_pipelines.model.vocabulary import CONFIRMED, PRICES, RELEASED, Status
from breadthflow_pipelines.warehouse import holds, rejections, standing, verdicts
from breadthflow_pipelines.warehouse.audit_store import present_user
from breadthflow_pipelines.warehouse.privacy import sees_names

_BAR = (*PRICES, "volume", "raw", "evidence")
_REJECTED_SHORT = (
    "session",
    "symbol",
    "reason",
    "status",
    *_BAR,
    "decision",
)
_REJECTED_COLUMNS = (
    "session",
    "symbol",
    "source",
    "reason",
    "status",
    *_BAR,
    "found_at",
    "decided_at",
    "decided_by",
    "decision",
    "run_id",
)
_REJECTED_LINE = ("session", "exchange", "file", "line", "value", "reason", "rejected_at", "run_id")


@app.command()
def rejected(
    source: Annotated[str | None, typer.Option(help="Name of a source; all of them without it.")] = None,
    reason: Annotated[str | None, typer.Option(help="Part of a reason or a rule, such as decimal.")] = None,
    symbol: Annotated[str | None, typer.Option(help="One symbol, as the source writes it.")] = None,
    exchange: Annotated[
        str | None, typer.Option(help="Lines of the counts that this exchange published, instead of bars.")
    ] = None,
    start: From = None,
    end: To = None,
    status: Annotated[Status | None, typer.Option(help="Only this status; by default all but lapsed and gone.")] = None,
    shape: Shape = Format.TABLE,
) -> None:
    """Print the rows that broke the contract of bars, which are left out, and the bars that rules flag.

    A good bar that was stored before its row came broken stays counted; the check bars_still_given warns of it.

    Example: breadthflow rejected --reason decimal --from 2010-01-01
    """
    if exchange is not None and (source or symbol or status):
        raise RequestError("--exchange lists lines of published counts; --source, --symbol and --status are of bars.")
    database = existing_store()
    if exchange is not None:
        lines = rejections.rejected_counts(database, exchange, *day_range(start, end), reason)
        if not lines:
            err.print("No line matches.")
        short = _REJECTED_LINE[:-2]
        write_rows(
            lines, _REJECTED_LINE, short, shape, f"Lines of {exchange} that broke the contract of published counts"
        )
        return
    rows = rejections.rejected(
        database,
        *day_range(start, end),
        source=source,
        symbol=symbol,
        reason=reason,
        status=status and status.value,
        most=most_rows(shape),
    )
    if not rows and not rejections.any_bars(database):
        raise RequestError(standing.why_nothing(database))
    if not rows:
        err.print("No bar matches.")
    write_rows(rows, _REJECTED_COLUMNS, _REJECTED_SHORT, shape, "Rejected, quarantined and doubted bars")


@app.command()
def release(
    symbol: DecidedSymbol = None,
    date: DecidedDate = None,
    *,
    reason: DecidedReason,
    proposals: Proposals = False,
    rule: DecidedRule = None,
    by: DecidedBy = None,
) -> None:
    """Let a bar out of quarantine: it is right. Holds until the source changes the bar.

    Example: breadthflow release GNW 2008-09-29 --reason "first day after the rescue failed"
    """
    _decide(RELEASED, symbol, date, reason, by, proposals=proposals, rule=rule)


@app.command()
def confirm(
    symbol: DecidedSymbol = None,
    date: DecidedDate = None,
    *,
    reason: DecidedReason,
    proposals: Proposals = False,
    rule: DecidedRule = None,
    by: DecidedBy = None,
) -> None:
    """Leave a bar out for good, found by a rule or not: it is wrong. Holds until the source changes the bar.

    Example: breadthflow confirm LOW 2009-02-05 --reason "no trade at 53.58 in the exchange's own record"
    """
    _decide(CONFIRMED, symbol, date, reason, by, proposals=proposals, rule=rule)


def _decide(
    status: str,
    symbol: str | None,
    date: dt.datetime | None,
    reason: str,
    by: str | None,
    *,
    proposals: bool,
    rule: str | None,
) -> None:
    from breadthflow_pipelines.observability.logs import log
    from breadthflow_pipelines.warehouse import decisions

    _check_reason(reason)
    if proposals == (symbol is not None) or (symbol is None) != (date is None) or (rule is not None and not proposals):
        raise RequestError("Name a bar, as in GNW 2008-09-29, or say --proposals, with --rule for those of one rule.")
    database = existing_store()
    if not rejections.any_bars(database):
        raise RequestError(standing.why_nothing(database))
    who = by or present_user()
    with database.exclusive("quarantined_bars"):
        if symbol is not None and date is not None:
            rows = decisions.decide_bar(database, symbol, date.date(), status, who, reason)
        else:
            rows = decisions.decide_proposals(database, rule, status, who, reason)
    for row in rows:
        log.info("bar_decided", **{name: str(value) for name, value in row.items()}, by=who, reason=reason)
    bars = {(row["security_id"], row["session"]) for row in rows}
    out.print(f"{len(bars)} bar{'s' if len(bars) > 1 else ''} {status}, by {who}: {reason}", markup=False)
    due = [row["session"] for row in rows if row["due"]]
    if due:
        out.print(f"Everything from {min(due)} on is computed again by the next run:  breadthflow run")


@app.command("accept-hole")
def accept_hole(
    session: Annotated[dt.datetime, typer.Argument(formats=["%Y-%m-%d"], help="The session with the hole.")],
    end: To = None,
    universe: Annotated[str | None, typer.Option(help="Only this universe's holes; all without it.")] = None,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the decision.")],
    by: DecidedBy = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take an acceptance back: the hole holds again.")] = False,
) -> None:
    """Accept missing or rejected bars of a session, or every hole through --to, and build on. Lapses when they come.

    Example: breadthflow accept-hole 1970-11-16 --reason "the vendor has no bar of that day"
    """
    from breadthflow_pipelines.observability.logs import log

    _check_reason(reason)
    first, last = day_range(session, end or session)
    assert first is not None  # noqa: S101 - the argument is required
    assert last is not None  # noqa: S101 - it is the same where none is given
    database = existing_store()
    who = by or present_user()
    decide = holds.withdraw if undo else holds.accept
    rows = decide(database, first, last, universe, who, reason)
    for gate in sorted({row["gate"] for row in rows}):
        mine = [row for row in rows if row["gate"] == gate]
        months = {f"{row['session']:%Y-%m}" for row in mine}
        verdicts.record_gate(database, gate, months, run_id=None)
        log.info("hole_decided", gate=gate, sessions=len(mine), undo=undo, by=who, reason=reason)
        what = "holds again" if undo else "accepted"
        out.print(f"{described(mine)} ({gate}): {what}, by {who}: {reason}", markup=False)
    if undo:
        out.print(f"Nothing is built from {rows[0]['session']} on until it is accepted or mended.")
    elif message := standing.why_held(database, universe, "symbol_signals"):
        out.print(f"Something else still holds: {message}", markup=False, soft_wrap=True)
    else:
        out.print(f"Everything from {rows[0]['session']} on is made by the next run:  breadthflow run")


@app.command()
def holes(
    gate: Annotated[str | None, typer.Option(help="Only what this check holds, such as bars_complete.")] = None,
    shape: Shape = Format.TABLE,
) -> None:
    """Print every session that must not be built on, with the reason, and who accepted it where somebody did.

    Example: breadthflow holes --gate bars_complete --format csv
    """
    if gate is not None and gate not in GATES:
        raise RequestError(f"{gate} is not a gate; there are: {', '.join(GATES)}.")
    database = existing_store()
    rows = [*holds.holding(database, GATES), *holds.accepted(database, with_names=sees_names(database))]
    rows = [
        {**row, "universe": whom(row["universe"])}
        for row in sorted(rows, key=lambda row: (row["session"], row["gate"], row["universe"]))
        if gate in (None, row["gate"])
    ]
    if not rows:
        err.print("Nothing is held.")
    columns = ("session", "gate", "universe", "said", "since", "decided_by", "decided_at", "reason")
    write_rows(rows, columns, columns, shape, "Sessions that must not be built on, and those that somebody accepted")
    open_ = [row for row in rows if row.get("decided_at") is None]
    for name in sorted({row["gate"] for row in open_}):
        days = [row["session"] for row in open_ if row["gate"] == name]
        err.print(f"{name}:  {remedy(GATES[name], name, days[0], days[-1])}", markup=False, soft_wrap=True)


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise RequestError("--reason is empty: say why, for the person who reads it in a year.")
