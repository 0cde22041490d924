"""The views that all reading goes through, as the store has them. Migrations make them from frozen texts of their own.

Tables are in tables.py. A view over a table whose columns follow a catalogue follows it (formula_columns.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from breadthflow_pipelines.model.counts import COUNT_COLUMNS, COUNTS, DIRECTIONS, Count, Unit
from breadthflow_pipelines.model.vocabulary import ALL, COMBINED, KEY, LEFT_OUT, MARKET_SIGNAL, SIGNAL_RECORD
from breadthflow_pipelines.warehouse.sql import quoted, valid_on


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

_RECORD = ", ".join(f"r.{name}" for name in SIGNAL_RECORD)

SIGNALS_WITH_RECORD = View(
    "signals_with_record",
    f"SELECT {', '.join(f's.{name}' for name in MARKET_SIGNAL)}, {_RECORD} "
    "FROM market_signals s LEFT JOIN signal_records r USING (signal_id)",
    "Market signals, each with what the record of its rule was then, as breadthflow signals prints them",
)


def breadth(indicators: Sequence[str]) -> View:
    """Counts beside these indicators, the columns that the table has now."""
    columns = (*KEY, "i.state", *COUNT_COLUMNS, "doubts", "issue_scale", *indicators)
    return View(
        "breadth",
        f"SELECT {', '.join(columns)} FROM all_counts JOIN breadth_indicators i USING ({', '.join(KEY)})",
        "Counts and indicators side by side, as breadthflow breadth prints them",
    )


# Beside a member's signal, s: the record r of such signals before its month.
RECORD_OF_MEMBERS = (
    f"LEFT JOIN symbol_records r ON r.rule = '{COMBINED}' AND r.universe = s.universe AND r.action = s.action "
    "AND r.month = date_trunc('month', s.session)::date"
)
_MEMBER_SIGNAL = ("security_id", "action", "confidence", "strength", "regime", "gated", "convention")


def symbol_signals_with_record(votes: Sequence[str]) -> View:
    """Signals of members with these votes, and with what the record of such signals was before the month."""
    columns = ", ".join(f"s.{name}" for name in (*_MEMBER_SIGNAL, *votes))
    return View(
        "symbol_signals_with_record",
        f"SELECT s.universe, n.symbol, s.session, {columns}, {_RECORD}, securities.synthetic FROM symbol_signals s "
        f"JOIN security_symbols n ON n.security_id = s.security_id AND {valid_on('n', 's.session')} "
        f"JOIN securities ON securities.security_id = s.security_id {RECORD_OF_MEMBERS}",
        "Signals of members under the symbols of then, each with what the record of such signals was before the month",
    )


FIXED = (SOUND_BARS, ALL_COUNTS, ACCEPTED_HOLES, HOLDING, SIGNALS_WITH_RECORD)  # in the order in which they can be made
# By table, those that show whatever columns it has.
FOLLOWING = {"breadth_indicators": (breadth,), "symbol_signals": (symbol_signals_with_record,)}
