"""What a run is about, as its tags say it: its months, and the last session that it may see.

Whoever asks for a run writes these tags, and whoever runs or lists it reads them.
"""

import datetime as dt
from collections.abc import Mapping

FORMAT = "%Y-%m"  # of a month
THROUGH_TAG = "breadthflow/through"  # the last session a run is about, where that is not the last closed one
SESSION_TAG = "session"  # of a run of all that is due, as every evening's: the last session of it
REQUEST_TAG = "breadthflow/request"  # the request of the API that it answers
RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
PARTITION_TAG = "dagster/partition"


def range_tags(first: dt.date, last: dt.date, through: dt.date | None = None) -> dict[str, str]:
    """The tags of a run over the months from ``first``'s through ``last``'s."""
    tags = {RANGE_START_TAG: first.strftime(FORMAT), RANGE_END_TAG: last.strftime(FORMAT)}
    return tags if through is None else {**tags, THROUGH_TAG: through.isoformat()}


def months_of(tags: Mapping[str, str]) -> tuple[str, str] | None:
    """The first and the last month of a run with these tags; None where it names none, and so is about all of them."""
    first = tags.get(RANGE_START_TAG) or tags.get(PARTITION_TAG)
    return None if first is None else (first, tags.get(RANGE_END_TAG, first))
