"""Records of rules in words: never without their base rate, never without what chance would give.

How they are made: evaluation/.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
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
    return "none: too few such signals had been followed to their end by then"


def verdicts_sentence(verdicts: Iterable[str], level: float) -> str:
    """What became of some records, beside how many would look suggestive if no rule meant anything.

    verdicts: of each record. level: of the test that makes one suggestive.
    """
    found = Counter(verdicts)
    judged = found[CHANCE] + found[SUGGESTIVE] + found[SURVIVES]
    if not judged:
        return f"None of {found[NOT_JUDGED]} records can be judged, for want of signals or of an index."
    survives = f"{found[SURVIVES] or 'none'} {'survives' if found[SURVIVES] < 2 else 'survive'}"
    suggestive = f"{found[SUGGESTIVE]} {'is' if found[SUGGESTIVE] == 1 else 'are'} suggestive"
    return (
        f"Of {judged} record{'s' if judged > 1 else ''} that can be judged, {survives} and {suggestive}; by chance "
        f"alone about {level * judged:.0f} would be. {found[NOT_JUDGED]} cannot be judged."
    )
