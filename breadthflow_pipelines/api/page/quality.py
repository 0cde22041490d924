"""What is known of the data's faults, as a page shows it: what fails and holds, what was found, what it means."""

import datetime as dt
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from breadthflow_pipelines.model.gates import GATES, described
from breadthflow_pipelines.reports.page.trust import KINDS
from breadthflow_pipelines.warehouse import holds, quality_listing, verdicts
from breadthflow_pipelines.warehouse.database import Database

NEWEST = 50
DAYS = 365  # until the last session, where no days are named


def quality_view(database: Database, first: dt.date, last: dt.date) -> Mapping[str, Any]:
    """What the template shows of these sessions, and of what fails now."""
    held = sorted(holds.holding(database, GATES), key=lambda hold: hold["gate"])
    return {
        "first": first,
        "last": last,
        "failing": verdicts.failing(database),
        "held": [(gate, described(same)) for gate, same in groupby(held, key=lambda hold: hold["gate"])],
        "accepted": holds.accepted(database),
        "faults": [
            {**row, "means": KINDS.get(row["kind"], "")} for row in quality_listing.faults(database, first, last)
        ],
        "newest": quality_listing.newest(database, first, last, NEWEST),
    }
