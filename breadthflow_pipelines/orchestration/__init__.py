"""What runs when: Dagster assets, checks, partitions and the schedule. Thin: what is computed lives in other rooms."""

import warnings

import dagster as dg

# Single-run backfills are beta in Dagster 1.13; they are pinned, tested, and said so in docs/decisions/range-runs.md.
warnings.filterwarnings("ignore", message="Parameter `backfill_policy`", category=dg.BetaWarning)
