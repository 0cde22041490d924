"""Days that a file closes or opens, and published counts of another list of issues."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KEY = "universe, segment, session"
_COUNTS = (
    "members, priced, coverage, advances, declines, unchanged, no_prior, gap, "
    "up_volume, down_volume, unchanged_volume, up_dollars, down_dollars, points_gained, points_lost, "
    "above_20, able_20, above_50, able_50, above_100, able_100, above_150, able_150, above_200, able_200, "
    "new_highs, new_lows, able_252, new_highs_20, new_lows_20, able_extremes_20, "
    "new_highs_total_return, new_lows_total_return, able_252_total_return, index_close"
)
_OWN = ("universe", "segment", "session", "state", "settled", "convention", "computed_at")


def _all_counts(of_bars: str, of_exchanges: str) -> str:
    """The view, with columns at its end that counts of bars and published counts have in a form of their own."""
    return f"""
CREATE VIEW all_counts AS
    SELECT {_KEY}, {_COUNTS}, NULL::text[] AS doubts{of_bars}
      FROM breadth_counts
    UNION ALL
    SELECT exchange, 'ALL', session, NULL, NULL, NULL,
           CASE WHEN issues_usable THEN advances END, CASE WHEN issues_usable THEN declines END,
           CASE WHEN issues_usable THEN unchanged END, NULL, NULL,
           CASE WHEN volume_usable THEN up_volume * volume_unit END,
           CASE WHEN volume_usable THEN down_volume * volume_unit END,
           CASE WHEN volume_usable THEN unchanged_volume * volume_unit END, NULL, NULL, NULL, NULL,
           NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
           CASE WHEN issues_usable THEN new_highs END, CASE WHEN issues_usable THEN new_lows END, NULL,
           NULL, NULL, NULL, NULL, NULL, NULL, index_close, doubts{of_exchanges}
      FROM exchange_breadth;
COMMENT ON VIEW all_counts IS 'Counts from bars and counts that an exchange published, in one shape';
"""


# What the row's issues are to be multiplied by, so that they can be compared with those of other sessions.
_SCALE = ", CASE WHEN issues_usable THEN usual_issues / (advances + declines + unchanged) END"


def upgrade() -> None:
    """Published counts are judged again by the next import; until then none is of another list."""
    op.create_table(
        "calendar_changes",
        sa.Column("session", sa.Date(), nullable=False, comment="the day"),
        sa.Column("change", sa.Text(), nullable=False, comment="closed: it is no session; open: it is one"),
        sa.Column("reason", sa.Text(), nullable=False, comment="why, as the file says"),
        sa.Column(
            "applied_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when what is stored came to know it",
        ),
        sa.CheckConstraint("change IN ('closed', 'open')", name=op.f("calendar_changes_change_known")),
        sa.PrimaryKeyConstraint("session", "change", name=op.f("calendar_changes_pkey")),
        comment="Days that BREADTHFLOW_CALENDAR_CHANGES closes or opens, as what is stored has them",
    )
    op.add_column(
        "exchange_breadth",
        sa.Column(
            "usual_issues",
            sa.Double(),
            nullable=True,
            comment="the usual total of issues, where this row's is that of another list; null: it is as usual",
        ),
    )
    op.create_check_constraint(
        op.f("exchange_breadth_usual_issues_positive"),
        "exchange_breadth",
        "usual_issues > 0 AND usual_issues < 'Infinity'",
    )
    _remake_views(_all_counts(", NULL::double precision AS issue_scale", _SCALE), ", issue_scale")


def downgrade() -> None:
    """The calendar is the library's again."""
    _remake_views(_all_counts("", ""), "")
    op.drop_constraint(op.f("exchange_breadth_usual_issues_positive"), "exchange_breadth")
    op.drop_column("exchange_breadth", "usual_issues")
    op.drop_table("calendar_changes")


def _remake_views(all_counts: str, beside: str) -> None:
    """Both views, the second with whatever indicators the store has."""
    found = op.get_bind().execute(
        sa.text(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = 'breadth_indicators'::regclass AND attnum > 0 "
            "AND NOT attisdropped ORDER BY attnum"
        )
    )
    indicators = "".join(f", {name}" for (name,) in found if name not in _OWN)
    op.execute("DROP VIEW breadth; DROP VIEW all_counts")
    op.execute(all_counts)
    op.execute(
        f"CREATE VIEW breadth AS SELECT {_KEY}, i.state, {_COUNTS}, doubts{beside}{indicators} "
        f"FROM all_counts JOIN breadth_indicators i USING ({_KEY}); "
        "COMMENT ON VIEW breadth IS 'Counts and indicators side by side, as breadthflow breadth prints them'"
    )
