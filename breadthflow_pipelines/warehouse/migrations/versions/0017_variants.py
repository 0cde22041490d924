"""What entering at the next open gives, and how many of a rule's events stay when something is otherwise."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_COLUMNS = {
    "universe_returns": {
        "intraday": "mean return of those contributing from the session's open to its close; null: there are none",
    },
    "signal_outcomes": {
        "return_from_open": "as return, from the open of the entry session; null where it has no opens",
    },
    "signal_accuracy": {
        "hit_rate_from_open": "hit_rate of entries at the open of the entry session; null: not all opens are known",
        "base_rate_from_open": "the same of all eligible sessions",
        "mean_from_open": "mean return after the events, from that open",
    },
}
_CHECKS = {
    "universe_returns": {"intraday_range": "intraday >= -1 AND intraday < 'Infinity'"},
    "signal_outcomes": {"return_from_open_range": "return_from_open >= -1 AND return_from_open < 'Infinity'"},
    "signal_accuracy": {
        "hit_rate_from_open_range": "hit_rate_from_open BETWEEN 0 AND 1",
        "base_rate_from_open_range": "base_rate_from_open BETWEEN 0 AND 1",
        "mean_from_open_finite": "mean_from_open > '-Infinity' AND mean_from_open < 'Infinity'",
    },
}

_KEPT = {
    "kept_dropout": "events that stay, without 5 % of the members at random, a share; null: not computed",
    "kept_deadline": "events that stay, with a session less to fire in; null: not computed, or it has no limit",
    "kept_closes": "events that stay, with highs and lows of closes; null: not computed, or it looks at none",
    "kept_total_return": "events that stay, with dividends in highs and lows; null: as of closes, or none are known",
}


def upgrade() -> None:
    """The next run computes all returns again, from bars that are stored; the weekly job fills what stays."""
    for table, columns in _COLUMNS.items():
        for name, comment in columns.items():
            op.add_column(table, sa.Column(name, sa.DOUBLE_PRECISION(), nullable=True, comment=comment))
        for name, condition in _CHECKS[table].items():
            op.create_check_constraint(op.f(f"{table}_{name}"), table, condition)
    op.execute(
        "INSERT INTO recomputations (asset, first_session, cause) "
        "SELECT 'universe_returns', min(session), 'bars' FROM universe_returns HAVING count(*) > 0"
    )

    op.create_table(
        "signal_stability",
        sa.Column("universe", sa.Text(), nullable=False, comment="name of the universe"),
        sa.Column("rule", sa.Text(), nullable=False, comment="the rule"),
        sa.Column(
            "variation",
            sa.Text(),
            nullable=False,
            comment="what was otherwise: dropout, deadline, closes or total_return",
        ),
        sa.Column("reruns", sa.Integer(), nullable=False, comment="how often its events were found again"),
        sa.Column("events", sa.Integer(), nullable=False, comment="events that there are as things are"),
        sa.Column(
            "kept",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="share of them that a rerun has on the same session, on average",
        ),
        sa.Column("kept_least", sa.DOUBLE_PRECISION(), nullable=False, comment="of the worst rerun"),
        sa.Column(
            "jaccard",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="events in both of the events in either, on average",
        ),
        sa.Column(
            "computed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the row last changed",
        ),
        sa.CheckConstraint(
            "variation IN ('dropout', 'deadline', 'closes', 'total_return')",
            name=op.f("signal_stability_variation_known"),
        ),
        sa.CheckConstraint("jaccard BETWEEN 0 AND 1", name=op.f("signal_stability_jaccard_range")),
        sa.CheckConstraint("kept BETWEEN 0 AND 1", name=op.f("signal_stability_kept_range")),
        sa.CheckConstraint("kept_least BETWEEN 0 AND 1", name=op.f("signal_stability_kept_least_range")),
        sa.CheckConstraint("reruns > 0 AND events > 0", name=op.f("signal_stability_something_to_keep")),
        sa.PrimaryKeyConstraint("universe", "rule", "variation", name=op.f("signal_stability_pkey")),
        comment="How many of a rule's events stay when data or conventions are a little otherwise; made once a week",
    )
    for name, comment in _KEPT.items():
        op.add_column("signal_accuracy", sa.Column(name, sa.DOUBLE_PRECISION(), nullable=True, comment=comment))
        op.create_check_constraint(op.f(f"signal_accuracy_{name}_range"), "signal_accuracy", f"{name} BETWEEN 0 AND 1")


def downgrade() -> None:
    """Everything in them is computed from other tables."""
    for name in _KEPT:
        op.drop_column("signal_accuracy", name)
    op.drop_table("signal_stability")
    for table, columns in _COLUMNS.items():
        for name in columns:
            op.drop_column(table, name)
