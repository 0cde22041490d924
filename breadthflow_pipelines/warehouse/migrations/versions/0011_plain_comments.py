"""Comments of tables and columns in plainer words. No table and no row changes."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Table, column (None: of the table itself), the comment before, the comment now.
_COMMENTS = (
    (
        "calendar_changes",
        "change",
        "closed: it is no session; open: it is one",
        "closed: it is not a session; open: it is one",
    ),
    (
        "bar_revisions",
        "kind",
        "restatement, correction; null: changed before they were told apart",
        "restatement or correction; null: changed before the two were distinguished",
    ),
    (
        "breadth_counts",
        "advances",
        "members that closed above the session before; null where nobody could tell",
        "members that closed above the session before; null: unknown",
    ),
    (
        "breadth_indicators",
        None,
        "Breadth indicators, recomputed whole from the counts; null until burn-in and where nobody could tell",
        "Breadth indicators, recomputed whole from the counts; null before burn-in and where unknown",
    ),
    (
        "breadth_revisions",
        "relation",
        "the table that it stood in",
        "the table it was in",
    ),
    (
        "breadth_revisions",
        "known_from",
        "since when the store had said so",
        "since when the store said so",
    ),
    (
        "breadth_revisions",
        "known_to",
        "when it said otherwise, or nothing more",
        "when the store changed or removed it",
    ),
    (
        "calendar_changes",
        None,
        "Days that BREADTHFLOW_CALENDAR_CHANGES closes or opens, as what is stored has them",
        "Days that BREADTHFLOW_CALENDAR_CHANGES closes or opens, as applied to the store",
    ),
    (
        "calendar_changes",
        "applied_at",
        "when what is stored came to know it",
        "when the change was applied to the store",
    ),
    (
        "exchange_breadth",
        "usual_issues",
        "the usual total of issues, where this row's is that of another list; null: it is as usual",
        "the usual total of issues, if this row counts another list; null: it counts the usual one",
    ),
    (
        "exchange_breadth",
        "ingested_at",
        "when that was",
        "when it was written",
    ),
    (
        "holds",
        None,
        "What must not be built on; the view holding has those that nobody accepted",
        "Data that must not be used; the view holding has the holds that nobody accepted",
    ),
    (
        "recomputations",
        None,
        "What is made of bars and members and does not know yet of a change in them; empty after a whole run",
        "Sessions of assets to recompute because of a change below them; empty after a complete run",
    ),
    (
        "recomputations",
        "recomputation_id",
        "in the order in which they became due",
        "in the order of the changes",
    ),
    (
        "recomputations",
        "asset",
        "what is to be made anew",
        "what to recompute",
    ),
    (
        "recomputations",
        "noted_at",
        "when that was",
        "when it changed",
    ),
    (
        "rejected_bars",
        "raw",
        "what could not be read, as it stands in the file; null: nothing",
        "what could not be read, as the file has it; null: everything could",
    ),
    (
        "rejected_bars",
        "gone_at",
        "when the source, read again, did not have it any more; null: it has it",
        "when the source, read again, no longer had it; null: it still has it",
    ),
    (
        "publications",
        None,
        "Where published counts are read from by every run, as breadthflow import-breadth was told",
        "Where every run reads the counts that an exchange publishes, set by breadthflow import-breadth",
    ),
    (
        "securities",
        None,
        "Shares that bars and memberships speak of, each with a number that outlives its symbols",
        "Shares that bars and memberships refer to, each with a number that outlives its symbols",
    ),
    (
        "securities",
        "security_key",
        "the name that never changes; where nobody gives one, the first symbol",
        "the name that never changes; by default the first symbol",
    ),
    (
        "securities",
        "sector",
        "its sector; null where nobody said",
        "its sector; null: unknown",
    ),
    (
        "verdicts",
        None,
        "What each check last said of each month: a check passes where no month that was ever judged fails",
        "What each check last said of each month; a check passes if no month fails",
    ),
    (
        "quarantined_bars",
        "rule",
        "the rule that speaks against it",
        "the rule that found it",
    ),
    (
        "quarantined_bars",
        "run_id",
        "the run that brought the status about; null: somebody decided it",
        "the run that set the status; null: a person did",
    ),
    (
        "quarantined_bars",
        "decided_at",
        "when somebody decided",
        "when a person decided",
    ),
    (
        "restatements",
        None,
        "Securities whose whole history a source gave on another scale: splits and dividends, seen after the fact",
        "Securities whose whole history a source gave on another scale after a split or a dividend",
    ),
    (
        "restatements",
        "compared",
        "bars that were stored and came again when it was noticed",
        "stored bars that came again when it was noticed",
    ),
    (
        "restatements",
        "applied_at",
        "when its history was stored anew; null: not yet",
        "when its history was replaced; null: not yet",
    ),
    (
        "holds",
        "universe",
        "whom it holds; *: every universe that is made of the bars",
        "the universe it holds; *: every universe made from the bars",
    ),
    (
        "holds",
        "session",
        "the first session that must not be built on",
        "the first session that must not be used",
    ),
    (
        "hole_decisions",
        "universe",
        "whom it holds; *: every universe that is made of the bars",
        "the universe it holds; *: every universe made from the bars",
    ),
    (
        "hole_decisions",
        "session",
        "the first session that must not be built on",
        "the first session that must not be used",
    ),
    (
        "hole_decisions",
        "decision",
        "accepted; withdrawn: somebody took that back; lapsed: the hole is no more",
        "accepted; withdrawn: the acceptance was taken back; lapsed: the hole is gone",
    ),
)


def upgrade() -> None:
    """Reword them."""
    for table, column, _, now in _COMMENTS:
        _comment(table, column, now)


def downgrade() -> None:
    """Word them as before."""
    for table, column, before, _ in _COMMENTS:
        _comment(table, column, before)


def _comment(table: str, column: str | None, text: str) -> None:
    place = f"TABLE {table}" if column is None else f"COLUMN {table}.{column}"
    quoted = text.replace("'", "''")
    op.execute(f"COMMENT ON {place} IS '{quoted}'")
