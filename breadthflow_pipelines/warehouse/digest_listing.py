"""What the daily digest asks of the store and of no other listing: what some runs turned away or changed, slow queries.

What a digest says of it is in reports/digest.py.
"""

from collections.abc import Collection

from breadthflow_pipelines.model.vocabulary import LAPSED
from breadthflow_pipelines.warehouse.database import Database, Row, rows_of
from breadthflow_pipelines.warehouse.server_listing import statements_are_counted

MOST_STATEMENTS = 3
LONGEST_STATEMENT = 120  # characters

# Rows carry the run that brought them; by their time, those of a run that was under way would be missed or told twice.
_OF_RUNS = f"""
SELECT * FROM (
    SELECT 'rejected' AS what, source, array_to_string(reasons, '; ') AS reason, NULL::boolean AS synthetic,
           count(*) AS rows
      FROM rejected_bars WHERE run_id = ANY(%(runs)s) GROUP BY 2, 3
    UNION ALL
    SELECT 'rejected', exchange, reason, false, count(*)
      FROM rejected_counts WHERE run_id = ANY(%(runs)s) GROUP BY 2, 3
    UNION ALL
    SELECT 'revised', NULL, coalesce(kind, 'unknown'), synthetic, count(*)
      FROM bar_revisions JOIN securities USING (security_id) WHERE bar_revisions.run_id = ANY(%(runs)s) GROUP BY 3, 4
    UNION ALL
    SELECT status, NULL, rule, synthetic, count(*)
      FROM quarantined_bars JOIN securities USING (security_id)
     WHERE quarantined_bars.run_id = ANY(%(runs)s) AND status <> '{LAPSED}' GROUP BY 1, 3, 4
) AS listed ORDER BY what, rows DESC, source, reason
"""


def rows_of_runs(database: Database, run_ids: Collection[str]) -> list[Row]:
    """What these runs rejected, revised or doubted: what, source, reason, synthetic, rows.

    what: rejected, revised, or a status of the quarantine. source: of rejected rows. synthetic: null where the row has
    no security that would tell.
    """
    return rows_of(database, _OF_RUNS, {"runs": list(run_ids)}) if run_ids else []


def slowest_statements(database: Database) -> list[Row] | None:
    """The statements that take longest on average since the server counts: statement, calls, seconds (the mean).

    Only queries and changes of rows, in whose text the server hides each value; others may hold a password. None where
    pg_stat_statements does not count.
    """
    if not statements_are_counted(database):
        return None
    return rows_of(
        database,
        "SELECT left(regexp_replace(min(query), '\\s+', ' ', 'g'), %(longest)s) AS statement, "
        "sum(calls)::bigint AS calls, "
        "(sum(total_exec_time) / sum(calls) / 1000)::float8 AS seconds FROM pg_stat_statements "
        "WHERE calls > 0 AND query ~* '^\\s*(select|with|insert|update|delete|merge)\\y' "
        "AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "GROUP BY queryid ORDER BY seconds DESC LIMIT %(most)s",
        {"longest": LONGEST_STATEMENT, "most": MOST_STATEMENTS},
    )
