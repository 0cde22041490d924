"""Rates and verdicts of symbol signals are stored, so that whoever asks for them computes nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The next run fills it from the sums that are stored."""
    op.create_table(
        "symbol_accuracy",
        sa.Column("universe", sa.Text(), nullable=False, comment="name of the universe"),
        sa.Column("horizon", sa.Integer(), autoincrement=False, nullable=False, comment="sessions from the entry"),
        sa.Column(
            "rule", sa.Text(), nullable=False, comment="combined: what the rules say together; or one rule, by its vote"
        ),
        sa.Column(
            "action", sa.Text(), nullable=False, comment="what it said: buy, sell or hold; all: whatever it said"
        ),
        sa.Column("grouped_by", sa.Text(), nullable=False, comment="all: not at all; else confidence or strength"),
        sa.Column("bin", sa.Integer(), autoincrement=False, nullable=False, comment="as in symbol_calibration"),
        sa.Column("signals", sa.BigInteger(), nullable=False, comment="signals whose window has closed"),
        sa.Column("sessions", sa.Integer(), nullable=False, comment="sessions with such signals"),
        sa.Column(
            "hit_rate", sa.DOUBLE_PRECISION(), nullable=True, comment="share of them that were right; null of holds"
        ),
        sa.Column(
            "base_rate", sa.DOUBLE_PRECISION(), nullable=True, comment="the same of all members of the same sessions"
        ),
        sa.Column("lift", sa.DOUBLE_PRECISION(), nullable=True, comment="hit_rate less base_rate"),
        sa.Column(
            "lift_error", sa.DOUBLE_PRECISION(), nullable=True, comment="its standard error, sessions as clusters"
        ),
        sa.Column(
            "relative",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="mean return less that of the session's members, a fraction",
        ),
        sa.Column(
            "relative_error", sa.DOUBLE_PRECISION(), nullable=True, comment="its standard error, sessions as clusters"
        ),
        sa.Column(
            "confidence",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="mean of what was said; of what the rules say together",
        ),
        sa.Column(
            "brier",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="mean squared miss of confidence, as if it were a probability",
        ),
        sa.Column("brier_base", sa.DOUBLE_PRECISION(), nullable=True, comment="that of always saying the base rate"),
        sa.Column("skill", sa.DOUBLE_PRECISION(), nullable=True, comment="1 - brier / brier_base"),
        sa.Column(
            "windows", sa.Integer(), nullable=True, comment="windows that do not overlap; null: nothing was claimed"
        ),
        sa.Column("p", sa.DOUBLE_PRECISION(), nullable=True, comment="how often chance gives as high a lift"),
        sa.Column(
            "p_family",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="the same, of all claims of the universe at once (Holm)",
        ),
        sa.Column("verdict", sa.Text(), nullable=True, comment="of a registered claim; null: none"),
        sa.Column("reason", sa.Text(), nullable=True, comment="why it cannot be judged"),
        sa.Column(
            "computed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the row last changed",
        ),
        sa.CheckConstraint("action IN ('buy', 'sell', 'hold', 'all')", name=op.f("symbol_accuracy_action_known")),
        sa.CheckConstraint("brier > '-Infinity' AND brier < 'Infinity'", name=op.f("symbol_accuracy_brier_finite")),
        sa.CheckConstraint(
            "brier_base > '-Infinity' AND brier_base < 'Infinity'", name=op.f("symbol_accuracy_brier_base_finite")
        ),
        sa.CheckConstraint(
            "grouped_by IN ('all', 'confidence', 'strength')", name=op.f("symbol_accuracy_grouping_known")
        ),
        sa.CheckConstraint("lift > '-Infinity' AND lift < 'Infinity'", name=op.f("symbol_accuracy_lift_finite")),
        sa.CheckConstraint(
            "lift_error > '-Infinity' AND lift_error < 'Infinity'", name=op.f("symbol_accuracy_lift_error_finite")
        ),
        sa.CheckConstraint(
            "relative > '-Infinity' AND relative < 'Infinity'", name=op.f("symbol_accuracy_relative_finite")
        ),
        sa.CheckConstraint(
            "relative_error > '-Infinity' AND relative_error < 'Infinity'",
            name=op.f("symbol_accuracy_relative_error_finite"),
        ),
        sa.CheckConstraint("skill > '-Infinity' AND skill < 'Infinity'", name=op.f("symbol_accuracy_skill_finite")),
        sa.CheckConstraint(
            "verdict IN ('cannot be judged', 'not distinguishable', 'suggestive', 'survives')",
            name=op.f("symbol_accuracy_verdict_known"),
        ),
        sa.CheckConstraint("base_rate BETWEEN 0 AND 1", name=op.f("symbol_accuracy_base_rate_range")),
        sa.CheckConstraint("bin BETWEEN 0 AND 10", name=op.f("symbol_accuracy_bin_range")),
        sa.CheckConstraint("confidence BETWEEN 0 AND 1", name=op.f("symbol_accuracy_confidence_range")),
        sa.CheckConstraint("hit_rate BETWEEN 0 AND 1", name=op.f("symbol_accuracy_hit_rate_range")),
        sa.CheckConstraint("horizon IN (5, 21, 63, 126, 252)", name=op.f("symbol_accuracy_horizon_known")),
        sa.CheckConstraint("p BETWEEN 0 AND 1", name=op.f("symbol_accuracy_p_range")),
        sa.CheckConstraint("p_family BETWEEN 0 AND 1", name=op.f("symbol_accuracy_p_family_range")),
        sa.CheckConstraint("sessions > 0 AND signals >= sessions", name=op.f("symbol_accuracy_not_empty")),
        sa.PrimaryKeyConstraint(
            "universe", "horizon", "rule", "action", "grouped_by", "bin", name=op.f("symbol_accuracy_pkey")
        ),
        comment="How good symbol signals have been, by rule, confidence and strength, beside others of their sessions",
    )


def downgrade() -> None:
    """Everything in it is computed from symbol_calibration."""
    op.drop_table("symbol_accuracy")
