"""Records of rules in words: never without their base rate, never without what chance would give.

How they are made: evaluation/.
"""

from collections.abc import Mapping
from typing import Any

from breadthflow_pipelines.model.vocabulary import ALL, CHANCE, HOLD, NOT_JUDGED, SUGGESTIVE, SURVIVES


def record_line(row: Mapping[str, Any]) -> str | None:
    """What the record of a signal's rule was when it gave the signal; None where it was too short to say."""
    if row["record_n"] is None:
        return None
    hits, base = row["record_hit_rate"], row["record_base_rate"]
    return f"{hits:.0%} of {row['record_n']:,}, base {base:.0%}: {row['verdict']}"


def record_told(row: Mapping[str, Any], horizon: int) -> str:
    """The same in the explanation of a signal; where there is no record, why. horizon: sessions that were followed."""
    if line := record_line(row):
        return f"{line} ({horizon} sessions, as known then)"
    if row["action"] == HOLD:
        return "none: a hold claims nothing"
    if row.get("segment", ALL) != ALL:
        return "none: only universes as a whole are judged"
    return "none: too few such signals had come to their end by then"


def verdicts_sentence(universe: str, found: Mapping[str, int], level: float) -> str:
    """What became of a universe's records, beside how many would look suggestive if no rule meant anything.

    found: how many records have each verdict. level: of the test that makes one suggestive.
    """
    judged = found[CHANCE] + found[SUGGESTIVE] + found[SURVIVES]
    if not judged:
        return f"**{universe}**: none of {found[NOT_JUDGED]} records can be judged, for want of signals or of an index."
    some = "none" if not found[SURVIVES] else str(found[SURVIVES])
    return (
        f"**{universe}**: of {judged} records that can be judged, {some} survives and {found[SUGGESTIVE]} are "
        f"suggestive; by chance alone about {level * judged:.0f} would be. {found[NOT_JUDGED]} cannot be judged."
    )
