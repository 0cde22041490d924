"""What the last runs could not read, from Dagster's own database: without Dagster, whose import takes seconds.

Its fields are written by orchestration/run_figures.py and stored by run_metadata.py, with every other reader.
"""

import json
from typing import Any

from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.warehouse.database import Database, rows_of, table_names

_PREFIX = "run/"  # of what an asset with months says of its run
# What the run that last materialized an asset said of itself.
_LAST = """
SELECT event FROM event_logs e
 WHERE asset_key = %(key)s AND partition IS NULL
   AND dagster_event_type IN ('ASSET_OBSERVATION', 'ASSET_MATERIALIZATION')
   AND run_id = (SELECT run_id FROM event_logs WHERE asset_key = %(key)s
                    AND dagster_event_type = 'ASSET_MATERIALIZATION' ORDER BY id DESC LIMIT 1)
 ORDER BY id DESC LIMIT 1
"""


def last_problems(dagster_url: str) -> list[str] | None:
    """Symbols, files and places of published counts that could not be read, and why; None before the first run.

    Raises:
        BreadthFlowError: what a run reported cannot be read, as of another version.
    """
    database = Database(dagster_url, None)
    if "event_logs" not in table_names(database):
        return None
    bars, published = (_last_metadata(database, asset) for asset in ("bars", "exchange_breadth"))
    if bars is None and published is None:
        return None
    found: list[str] = []
    if bars is not None:
        found += _field(bars, "problems")
        found += [f"{symbol}: could not be read" for symbol in _field(bars, "symbols_failed")]
    if published is not None:
        found += _field(published, "problems")
    return found


def rejected_now(database: Database) -> int:
    """How many broken rows of bars the sources still have, and how many lines of published counts were refused."""
    bars = "SELECT count(*) FROM rejected_bars WHERE gone_at IS NULL"
    query = f"SELECT ({bars}) + (SELECT count(*) FROM rejected_counts) AS n"
    found: int = rows_of(database, query, [])[0]["n"]
    return found


def _last_metadata(database: Database, asset: str) -> dict[str, Any] | None:
    """The values that are JSON in the metadata of an asset's last run."""
    found = rows_of(database, _LAST, {"key": json.dumps([asset])})
    if not found:
        return None
    said = json.loads(found[0]["event"])["dagster_event"]["event_specific_data"]
    entries = (said.get("asset_observation") or said["materialization"])["metadata_entries"]
    return {entry["label"].removeprefix(_PREFIX): entry["entry_data"].get("data") for entry in entries}


def _field(metadata: dict[str, Any], name: str) -> list[str]:
    value = metadata.get(name)
    if not isinstance(value, list):
        raise BreadthFlowError(
            f"What the last run reported cannot be read: {name} is missing or wrong. Another version wrote it; "
            "breadthflow run writes it again."
        )
    return value
