"""The views that all reading goes through, as the store has them. Migrations make them from frozen texts of their own.

Tables are in tables.py. A view over a table whose columns follow a catalogue follows it (formula_columns.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from breadthflow_pipelines.model.counts import COUNT_COLUMNS, COUNTS, DIRECTIONS, Count, Unit
from breadthflow_pipelines.model.vocabulary import ALL, KEY, LEFT_OUT
from breadthflow_pipelines.warehouse.sql import quoted


@dataclass(frozen=True)
class View:
    """A view: its name, its query, and what it says of itself."""

    name: str
    query: str
    comment: str

    @property
    def statement(self) -> str:
        """What creates it."""
        return f"CREATE VIEW {self.name} AS {self.query}"


SOUND_BARS = View(
    "sound_bars",
    "SELECT * FROM bars b WHERE NOT EXISTS (SELECT FROM quarantined_bars q WHERE q.security_id = b.security_id "
    f"AND q.session = b.session AND q.status IN ({quoted(LEFT_OUT)}))",
    "The bars that everything is computed from: without those in quarantine",
)


def _as_published(count: Count) -> str:
    """A count as an exchange published it; a doubted row has none, and volumes are in shares."""
    if count.series is None:
        return "NULL"
    if count.unit == Unit.ISSUES:
        return f"CASE WHEN issues_usable THEN {count.name} END"
    if count.unit == Unit.SHARES:
        return f"CASE WHEN volume_usable THEN {count.name} * volume_unit END"
    return count.name


ALL_COUNTS = View(
    "all_counts",
    f"SELECT {', '.join((*KEY, *COUNT_COLUMNS))}, NULL::text[] AS doubts, NULL::double precision AS issue_scale "
    "FROM breadth_counts UNION ALL "
    f"SELECT exchange, '{ALL}', session, {', '.join(map(_as_published, COUNTS))}, doubts, "
    f"CASE WHEN issues_usable THEN usual_issues / ({' + '.join(DIRECTIONS)}) END FROM exchange_breadth",
    "Counts from bars and counts that an exchange published, in one shape",
)

ACCEPTED_HOLES = View(
    "accepted_holes",
    "SELECT * FROM hole_decisions d WHERE decision = 'accepted' AND NOT EXISTS (SELECT FROM hole_decisions later "
    "WHERE (later.gate, later.universe, later.synthetic, later.session) = (d.gate, d.universe, d.synthetic, d.session) "
    "AND later.decision_id > d.decision_id)",
    "Holes that somebody accepted, by the decision that stands",
)

HOLDING = View(
    "holding",
    "SELECT * FROM holds h WHERE NOT EXISTS (SELECT FROM accepted_holes a "
    "WHERE (a.gate, a.universe, a.synthetic, a.session) = (h.gate, h.universe, h.synthetic, h.session) "
    "AND h.missing <= a.missing + 0.000001)",
    "Holds that nobody accepted, or of which more is missing than was accepted",
)


def breadth(indicators: Sequence[str]) -> View:
    """Counts beside these indicators, the columns that the table has now."""
    columns = (*KEY, "i.state", *COUNT_COLUMNS, "doubts", "issue_scale", *indicators)
    return View(
        "breadth",
        f"SELECT {', '.join(columns)} FROM all_counts JOIN breadth_indicators i USING ({', '.join(KEY)})",
        "Counts and indicators side by side, as breadthflow breadth prints them",
    )


FIXED = (SOUND_BARS, ALL_COUNTS, ACCEPTED_HOLES, HOLDING)  # in the order in which they can be made
FOLLOWING = {"breadth_indicators": (breadth,)}  # by table, those that show whatever columns it has
