"""The views that all reading goes through, as the store has them. Migrations make them from frozen texts of their own.

Tables are in tables.py. A view over a table whose columns follow a catalogue follows it (formula_columns.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from breadthflow_pipelines.warehouse.tables import LEFT_OUT, breadth_counts


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


_KEY = ("universe", "segment", "session")
_COUNTS = tuple(
    column.name for column in breadth_counts.columns if column.name not in (*_KEY, "convention", "computed_at")
)

SOUND_BARS = View(
    "sound_bars",
    "SELECT * FROM bars b WHERE NOT EXISTS (SELECT FROM quarantined_bars q WHERE q.security_id = b.security_id "
    f"AND q.session = b.session AND q.status IN ({', '.join(map(repr, LEFT_OUT))}))",
    "The bars that everything is computed from: without those in quarantine",
)

# What exchanges publish, by the count that it is; a doubted row has none.
_ISSUES = ("advances", "declines", "unchanged", "new_highs", "new_lows")
_VOLUMES = ("up_volume", "down_volume", "unchanged_volume")
_PUBLISHED = {
    **{name: f"CASE WHEN issues_usable THEN {name} END" for name in _ISSUES},
    **{name: f"CASE WHEN volume_usable THEN {name} * volume_unit END" for name in _VOLUMES},
    "index_close": "index_close",
}

ALL_COUNTS = View(
    "all_counts",
    f"SELECT {', '.join((*_KEY, *_COUNTS))}, NULL::text[] AS doubts, NULL::double precision AS issue_scale "
    "FROM breadth_counts UNION ALL "
    f"SELECT exchange, 'ALL', session, {', '.join(_PUBLISHED.get(name, 'NULL') for name in _COUNTS)}, doubts, "
    "CASE WHEN issues_usable THEN usual_issues / (advances + declines + unchanged) END FROM exchange_breadth",
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
    columns = (*_KEY, "i.state", *_COUNTS, "doubts", "issue_scale", *indicators)
    return View(
        "breadth",
        f"SELECT {', '.join(columns)} FROM all_counts JOIN breadth_indicators i USING ({', '.join(_KEY)})",
        "Counts and indicators side by side, as breadthflow breadth prints them",
    )


FIXED = (SOUND_BARS, ALL_COUNTS, ACCEPTED_HOLES, HOLDING)  # in the order in which they can be made
FOLLOWING = {"breadth_indicators": (breadth,)}  # by table, those that show whatever columns it has
