"""What each check last said of each month of its asset. By rows: they are few, and commands read them too.

A check is true of its asset and not of one run: it passes where no month that was ever judged fails.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from psycopg2.extras import execute_values

from breadthflow_pipelines.model.gates import GATES, Hold, described, remedy
from breadthflow_pipelines.warehouse.database import Database, Row, rows_of
from breadthflow_pipelines.warehouse.holds import holding

ALL = "all"  # the month of a verdict about the whole table


@dataclass(frozen=True)
class Fault:
    """What fails in a month: how many sessions or rows, from which session to which (None: not known), in words."""

    failing: int
    said: str
    first: dt.date | None = None
    last: dt.date | None = None


Faults = Mapping[str, Fault]  # by month


def record(
    database: Database,
    asset: str,
    check: str,
    months: Iterable[str],
    faults: Faults,
    *,
    run_id: str | None,
    severity: str = "error",
) -> None:
    """Store what a check says of these months; those without a fault pass."""
    rows = [_row(month, faults.get(month)) for month in {*months, *faults}]
    if not rows:
        return
    with database.connect() as connection, connection.cursor() as cursor:
        execute_values(cursor, _RECORD, [(asset, check, severity, run_id, *row) for row in sorted(rows)])


# A verdict that changes from or to passing is new; one that stays keeps since when it holds.
_RECORD = """
INSERT INTO verdicts (asset, check_name, severity, run_id, month, failing, first_session, last_session, said)
VALUES %s ON CONFLICT (asset, check_name, month) DO UPDATE
   SET severity = EXCLUDED.severity, run_id = EXCLUDED.run_id, failing = EXCLUDED.failing,
       first_session = EXCLUDED.first_session, last_session = EXCLUDED.last_session, said = EXCLUDED.said,
       judged_at = now(),
       since = CASE WHEN (verdicts.failing > 0) = (EXCLUDED.failing > 0) THEN verdicts.since ELSE now() END
"""


def record_gate(
    database: Database,
    gate: str,
    months: Collection[str] | None = None,
    *,
    run_id: str | None,
    besides: Faults | None = None,
) -> None:
    """Store what a gate says of these months and of all that hold, from the holds that stand.

    months: None for those that held when they were judged last. besides: faults that hold nothing.
    """
    faults = {**(besides or {}), **faults_of(holding(database, [gate]))}
    if months is None:
        query = "SELECT month FROM verdicts WHERE check_name = %s AND failing > 0 AND first_session IS NOT NULL"
        months = [row["month"] for row in rows_of(database, query, [gate])]
    record(database, GATES[gate], gate, months, faults, run_id=run_id)


def faults_of(holds: Iterable[Hold]) -> Faults:
    """The holds of one gate by month."""
    by_month: dict[str, list[Hold]] = {}
    for hold in holds:
        by_month.setdefault(f"{hold['session']:%Y-%m}", []).append(hold)
    return {
        month: Fault(len(group), described(group), group[0]["session"], group[-1]["session"])
        for month, group in by_month.items()
    }


def by_check(database: Database, checks: Collection[str]) -> dict[str, list[Row]]:
    """By check, all that it last said, by month: month, severity, failing, first_session, ..., judged_at."""
    found: dict[str, list[Row]] = {}
    query = "SELECT * FROM verdicts WHERE check_name = ANY(%s) ORDER BY check_name, month"
    for row in rows_of(database, query, [list(checks)]):
        found.setdefault(row["check_name"], []).append(row)
    return found


def judged_months(database: Database, check: str) -> set[str]:
    """The months that a check ever judged."""
    return {row["month"] for row in rows_of(database, "SELECT month FROM verdicts WHERE check_name = %s", [check])}


def last_judged(database: Database) -> dt.datetime | None:
    """When a verdict was last stored."""
    last: dt.datetime | None = rows_of(database, "SELECT max(judged_at) AS last FROM verdicts")[0]["last"]
    return last


def failing(database: Database) -> list[Row]:
    """The checks that fail now, errors first: asset, check, severity, since, months, failing, first, said, next."""
    rows = rows_of(
        database,
        """
        SELECT asset, check_name AS check, min(severity) AS severity, min(since) AS since, count(*) AS months,
               sum(failing)::bigint AS failing, min(first_session) AS first, max(last_session) AS last,
               (array_agg(said ORDER BY month))[1] AS said
          FROM verdicts v
         WHERE failing > 0 AND (check_name <> %s OR month = (SELECT max(month) FROM verdicts w
                                                             WHERE w.check_name = v.check_name))
         GROUP BY asset, check_name ORDER BY 3, 4, 1, 2
        """,
        [NEWEST],
    )
    return [{**row, "next": remedy(row["asset"], row["check"], row["first"], row["last"])} for row in rows]


NEWEST = "bars_current"  # the one check that is about the newest month alone


def _row(month: str, fault: Fault | None) -> tuple[object, ...]:
    if fault is None:
        return (month, 0, None, None, None)
    return (month, fault.failing, fault.first, fault.last, fault.said)
