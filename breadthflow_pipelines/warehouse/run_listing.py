"""What Dagster's own database says of runs, the queue, the daemon, and what the last runs of assets came to.

Each question is answered by an index of Dagster's. Reads its tables as its version 1.13 makes them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from breadthflow_pipelines.warehouse.database import Database, Row, rows_of

ENDED = ("SUCCESS", "FAILURE", "CANCELED")
WAITING = ("QUEUED", "NOT_STARTED")
WORKING = ("STARTING", "STARTED", "CANCELING")
LOOKED_AT = 50  # a job's newest runs
MOST_MONTHS = 2  # of a run like every day's; a backfill of years says nothing of how long those take
FEWEST = 5  # runs from which a usual duration is told


def ended_last_day(database: Database) -> list[Row]:
    """Runs that ended within a day: dagster_job, status, runs."""
    return rows_of(
        database,
        "SELECT pipeline_name AS dagster_job, status, count(*) AS runs FROM runs WHERE status = ANY(%s) "
        # The first condition is the index's, in the server's time zone; the second one is exact.
        "AND update_timestamp > localtimestamp - interval '2 days' "
        "AND end_time > extract(epoch FROM now()) - 86400 GROUP BY 1, 2 ORDER BY 1, 2",
        [list(ENDED)],
    )


_RECENT = """
WITH recent AS (
    SELECT dagster_job, r.* FROM unnest(%(jobs)s) AS dagster_job CROSS JOIN LATERAL (
        SELECT id, run_id, status, start_time, end_time FROM runs
         WHERE pipeline_name = dagster_job AND status = ANY(%(ended)s) ORDER BY id DESC LIMIT %(most)s) r)
"""


# A run like every day's: it names no months, or few enough.
_SHORT = """
coalesce((SELECT max(left(value, 4)::int * 12 + right(value, 2)::int)
               - min(left(value, 4)::int * 12 + right(value, 2)::int)
            FROM run_tags t WHERE t.run_id = r.run_id AND value ~ '^[0-9]{4}-[0-9]{2}$'
             AND key IN ('dagster/asset_partition_range_start', 'dagster/asset_partition_range_end')), 0) < %(months)s
"""


def last_ends(database: Database, jobs: Sequence[str]) -> list[Row]:
    """When a run of each job last ended in each way, among its newest runs: dagster_job, status, ended (Unix time)."""
    query = (
        _RECENT
        + "SELECT dagster_job, status, max(end_time) AS ended FROM recent GROUP BY dagster_job, status ORDER BY 1, 2"
    )
    return rows_of(database, query, {"jobs": list(jobs), "ended": list(ENDED), "most": LOOKED_AT})


def durations(database: Database, jobs: Sequence[str]) -> list[Row]:
    """How long successful runs of up to two months take: dagster_job, last and usual (their median), in seconds.

    usual: null of fewer than five runs.
    """
    query = (
        _RECENT
        + "SELECT dagster_job, (array_agg(end_time - start_time ORDER BY id DESC))[1] AS last, "
        + "CASE WHEN count(*) >= %(fewest)s "
        + "THEN percentile_cont(0.5) WITHIN GROUP (ORDER BY end_time - start_time) END AS usual "
        + "FROM recent r WHERE status = 'SUCCESS' AND "
        + _SHORT
        + " GROUP BY dagster_job ORDER BY dagster_job"
    )
    values = {"jobs": list(jobs), "ended": list(ENDED), "most": LOOKED_AT, "months": MOST_MONTHS, "fewest": FEWEST}
    return rows_of(database, query, values)


def queue(database: Database) -> Row:
    """How many runs wait, and for how long the oldest has: runs, seconds."""
    return rows_of(
        database,
        "SELECT count(*) AS runs, coalesce(extract(epoch FROM localtimestamp - min(create_timestamp)), 0)::float8 "
        "AS seconds FROM runs WHERE status = ANY(%s)",
        [list(WAITING)],
    )[0]


def in_progress(database: Database) -> list[Row]:
    """Runs under way: dagster_job, runs, seconds.

    seconds: since the oldest of up to two months began; null where there is none.
    """
    return rows_of(
        database,
        "SELECT pipeline_name AS dagster_job, count(*) AS runs, "
        "extract(epoch FROM now())::float8 - min(start_time) FILTER (WHERE "
        + _SHORT
        + ") AS seconds FROM runs r WHERE status = ANY(%(working)s) GROUP BY 1 ORDER BY 1",
        {"working": list(WORKING), "months": MOST_MONTHS},
    )


def heartbeats(database: Database) -> list[Row]:
    """When each part of the daemon last said that it lives: daemon, seconds (since then, by this server's clock)."""
    return rows_of(
        database,
        "SELECT daemon_type AS daemon, "
        "greatest(extract(epoch FROM now())::float8 - max((body::json ->> 'timestamp')::float8), 0) AS seconds "
        "FROM daemon_heartbeats GROUP BY 1 ORDER BY 1",
    )


def last_figures(database: Database, assets: Mapping[str, bool]) -> dict[str, dict[str, int]]:
    """By asset, the whole numbers that its last run reported. assets: by name, whether it is cut by month.

    An asset with months reports them in an observation, any other one in its materialization.
    """
    query = (
        "SELECT name, event FROM unnest(%s, %s) AS asked (name, type) CROSS JOIN LATERAL ("
        "SELECT event FROM event_logs WHERE asset_key = json_build_array(name)::text AND dagster_event_type = type "
        "AND partition IS NULL ORDER BY id DESC LIMIT 1) AS last"
    )
    types = ["ASSET_OBSERVATION" if monthly else "ASSET_MATERIALIZATION" for monthly in assets.values()]
    found = rows_of(database, query, [list(assets), types])
    return {row["name"]: dict(_whole_numbers(json.loads(row["event"]))) for row in found}


def _whole_numbers(event: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """The entries of an event's metadata that are whole numbers, without the prefix of figures of a run."""
    about = event["dagster_event"]["event_specific_data"]
    said = about.get("materialization") or about.get("asset_observation") or {}
    for entry in said.get("metadata_entries", ()):
        if entry["entry_data"]["__class__"] == "IntMetadataEntryData":
            yield entry["label"].removeprefix("run/"), entry["entry_data"]["value"]
