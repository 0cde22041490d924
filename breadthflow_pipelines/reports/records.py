"""A rule's record in one line, never without its base rate. How it is made: evaluation/record.py."""

from collections.abc import Mapping
from typing import Any


def record_line(row: Mapping[str, Any]) -> str | None:
    """What the record of a signal's rule was when it gave the signal; None where it was too short to say."""
    if row["record_n"] is None:
        return None
    hits, base = row["record_hit_rate"], row["record_base_rate"]
    return f"{hits:.0%} of {row['record_n']}, base {base:.0%}: {row['verdict']}"
