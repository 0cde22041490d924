"""What runs when: Dagster assets, checks, partitions and the schedule. Thin: what is computed lives in other rooms."""
