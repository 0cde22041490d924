"""What runs when: Dagster assets, checks, partitions and the schedule. Thin: what is computed lives in other rooms."""

import warnings

# Single-run backfills are beta in Dagster 1.13; they are pinned and tested (docs/decisions/range-runs.md).
# Named by its text alone: importing Dagster for its class would cost `breadthflow up` seconds before anything starts.
warnings.filterwarnings("ignore", message="Parameter `backfill_policy`")
