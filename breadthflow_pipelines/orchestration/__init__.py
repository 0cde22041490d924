"""What runs when: Dagster assets, checks, partitions and the schedule. Thin: what is computed lives in other rooms."""

import warnings

from breadthflow_pipelines.observability.memory import share_one_heap

# Before anything begins threads, in every process that makes runs or lives long. Polars begins some when imported.
share_one_heap()

# Single-run backfills are beta in Dagster 1.13; they are pinned and tested (docs/decisions/range-runs.md).
# Named by its text alone: importing Dagster for its class would cost `breadthflow up` seconds before anything starts.
warnings.filterwarnings("ignore", message="Parameter `backfill_policy`")
