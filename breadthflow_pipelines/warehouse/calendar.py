"""Which changes of the exchange's calendar what is stored knows of, and bringing it to those that hold now."""

import datetime as dt
from collections.abc import Callable, Collection

import polars as pl

from breadthflow_pipelines.calendar_file import Change
from breadthflow_pipelines.model.datasets import CALENDAR
from breadthflow_pipelines.warehouse import tables
from breadthflow_pipelines.warehouse.bulk import Merged, Statement, fetch, merge
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.recomputations import change_notes, session_notes
from breadthflow_pipelines.warehouse.rejection_store import record_rejected_bars
from breadthflow_pipelines.warehouse.sql import any_of, spaced, valid_on

IsSession = Callable[[dt.date], bool]
_SCHEMA = {"session": pl.Date, "change": pl.String, "reason": pl.String}
_KEY = ["session", "change"]
_DAYS = any_of("session", "$1", "date")


def unapplied_days(database: Database, changes: Collection[Change], since: dt.date) -> list[dt.date]:
    """The days from ``since`` on that these changes make other ones than what is stored knows, in order."""
    return _unlike(_rows(changes), _applied(database), _KEY, since)


def apply_changes(
    database: Database, changes: Collection[Change], since: dt.date, is_session: IsSession, rule: str
) -> list[dt.date]:
    """Let what is stored know these changes, of days from ``since`` on; gives the days that it did not know.

    All that is made of bars becomes due from the first of them on. Bars of a day that is not a session any more go to
    ``rejected_bars``, by this rule. Those of a day that became one were turned away before: they are due to be read.
    """
    wanted, applied = _rows(changes), _applied(database)
    days = _unlike(wanted, applied, list(_SCHEMA), since)  # with those whose reason alone is another
    if not days:
        return []
    changed = _unlike(wanted, applied, _KEY, since)
    gone = [day for day in changed if not is_session(day)]
    _put_aside(database, gone, rule)

    def then(_: Merged) -> list[Statement]:
        return [
            (f"DELETE FROM bars WHERE {_DAYS}", (spaced(gone),)),
            *change_notes(CALENDAR, min(changed, default=None)),
            *session_notes("bars", (day for day in changed if is_session(day)), CALENDAR),
        ]

    rows = wanted.filter(pl.col("session").is_in(days))
    merge(database, tables.calendar_changes, rows, scope=_DAYS, parameters=(spaced(days),), then=then)
    return changed


def _put_aside(database: Database, days: Collection[dt.date], rule: str) -> None:
    """Bars of these days as rejected rows, each the one that it would have been had it been turned away."""
    bars = fetch(
        database,
        "SELECT symbol, session, open, high, low, close, volume::float8, close_adjusted, source, run_id FROM bars "
        "LEFT JOIN security_symbols n ON n.security_id = bars.security_id "
        f"AND {valid_on('n', 'session')} WHERE {_DAYS}",
        (spaced(days),),
    ).with_columns(reasons=pl.lit([rule]), raw=pl.lit(None, pl.String))
    for (source, run_id), rows in bars.group_by("source", "run_id"):
        record_rejected_bars(database, rows, str(source), str(run_id))


def _rows(changes: Collection[Change]) -> pl.DataFrame:
    return pl.DataFrame([(change.date, change.change, change.reason) for change in changes], _SCHEMA, orient="row")


def _applied(database: Database) -> pl.DataFrame:
    return fetch(database, "SELECT session, change, reason FROM calendar_changes")


def _unlike(wanted: pl.DataFrame, applied: pl.DataFrame, columns: list[str], since: dt.date) -> list[dt.date]:
    """The days of which the two do not say the same in these columns."""
    either = (wanted.join(applied, on=columns, how="anti"), applied.join(wanted, on=columns, how="anti"))
    return sorted({day for day in pl.concat(either)["session"] if day >= since})
