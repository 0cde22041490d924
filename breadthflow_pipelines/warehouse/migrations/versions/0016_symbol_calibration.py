"""What followed symbol signals, as sums by month, and what their records were."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The next run adds up what followed the signals that are stored."""
    op.create_table(
        "symbol_calibration",
        sa.Column("universe", sa.Text(), nullable=False, comment="name of the universe"),
        sa.Column("month", sa.Date(), nullable=False, comment="first day of the month in which the windows closed"),
        sa.Column("horizon", sa.Integer(), autoincrement=False, nullable=False, comment="sessions from the entry"),
        sa.Column(
            "rule", sa.Text(), nullable=False, comment="combined: what the rules say together; or one rule, by its vote"
        ),
        sa.Column(
            "action", sa.Text(), nullable=False, comment="what it said: buy, sell or hold; all: whatever it said"
        ),
        sa.Column("grouped_by", sa.Text(), nullable=False, comment="all: not at all; else confidence or strength"),
        sa.Column(
            "bin",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="tenth of confidence, 0 to 9, or of the session's strengths, 1 (weakest) to 10; 0: not grouped",
        ),
        sa.Column("sessions", sa.Integer(), nullable=False, comment="sessions with such signals"),
        sa.Column("signals", sa.DOUBLE_PRECISION(), nullable=False, comment="signals whose window closed in the month"),
        sa.Column(
            "hits",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="those right: a buy beat the mean of its session's members, a sell trailed it; else those above",
        ),
        sa.Column(
            "expected",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="hits that as many of any members of the same sessions had",
        ),
        sa.Column(
            "relative",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="sum of their returns less the mean of their session's members",
        ),
        sa.Column(
            "confidence", sa.DOUBLE_PRECISION(), nullable=False, comment="sum of their confidence; 0 of what has none"
        ),
        sa.Column(
            "missed",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="sum of squares of confidence less hit (1) or miss (0); 0 of what has no confidence",
        ),
        sa.Column(
            "signals_squared",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="sum over sessions of the square of their number",
        ),
        sa.Column(
            "lift_squared",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="sum over sessions of the square of hits less expected",
        ),
        sa.Column(
            "lift_signals",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="sum over sessions of hits less expected, times their number",
        ),
        sa.Column(
            "relative_squared",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="sum over sessions of the square of relative",
        ),
        sa.Column(
            "relative_signals",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="sum over sessions of relative, times their number",
        ),
        sa.Column(
            "computed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the row last changed",
        ),
        sa.CheckConstraint("action IN ('buy', 'sell', 'hold', 'all')", name=op.f("symbol_calibration_action_known")),
        sa.CheckConstraint(
            "grouped_by IN ('all', 'confidence', 'strength')", name=op.f("symbol_calibration_grouping_known")
        ),
        sa.CheckConstraint(
            "relative > '-Infinity' AND relative < 'Infinity'", name=op.f("symbol_calibration_relative_finite")
        ),
        sa.CheckConstraint(
            "relative_signals > '-Infinity' AND relative_signals < 'Infinity'",
            name=op.f("symbol_calibration_relative_signals_finite"),
        ),
        sa.CheckConstraint(
            "relative_squared > '-Infinity' AND relative_squared < 'Infinity'",
            name=op.f("symbol_calibration_relative_squared_finite"),
        ),
        sa.CheckConstraint("bin BETWEEN 0 AND 10", name=op.f("symbol_calibration_bin_range")),
        sa.CheckConstraint("extract(day FROM month) = 1", name=op.f("symbol_calibration_month_first_day")),
        sa.CheckConstraint("hits BETWEEN 0 AND signals", name=op.f("symbol_calibration_hits_signals")),
        sa.CheckConstraint("horizon IN (5, 21, 63, 126, 252)", name=op.f("symbol_calibration_horizon_known")),
        sa.CheckConstraint("sessions > 0 AND signals >= sessions", name=op.f("symbol_calibration_not_empty")),
        sa.PrimaryKeyConstraint(
            "universe", "month", "horizon", "rule", "action", "grouped_by", "bin", name=op.f("symbol_calibration_pkey")
        ),
        comment="What followed symbol signals, as sums by month that add up; breadthflow calibration divides them",
    )
    op.create_table(
        "symbol_records",
        sa.Column("universe", sa.Text(), nullable=False, comment="name of the universe"),
        sa.Column("month", sa.Date(), nullable=False, comment="first day of the month of the signals"),
        sa.Column(
            "rule", sa.Text(), nullable=False, comment="combined: what the rules say together; or one rule, by its vote"
        ),
        sa.Column("action", sa.Text(), nullable=False, comment="buy or sell"),
        sa.Column(
            "record_hit_rate",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="share of earlier signals that beat (sell: trailed) their universe",
        ),
        sa.Column(
            "record_base_rate",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="the same of all members of the same sessions",
        ),
        sa.Column(
            "record_n",
            sa.BigInteger(),
            nullable=False,
            comment="earlier signals of all members whose 63 sessions closed before the month",
        ),
        sa.Column("verdict", sa.Text(), nullable=False, comment="as known before the month"),
        sa.Column(
            "computed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the row last changed",
        ),
        sa.CheckConstraint("action IN ('buy', 'sell')", name=op.f("symbol_records_action_known")),
        sa.CheckConstraint(
            "verdict IN ('cannot be judged', 'not distinguishable', 'suggestive', 'survives')",
            name=op.f("symbol_records_verdict_known"),
        ),
        sa.CheckConstraint("extract(day FROM month) = 1", name=op.f("symbol_records_month_first_day")),
        sa.CheckConstraint("record_base_rate BETWEEN 0 AND 1", name=op.f("symbol_records_record_base_rate_range")),
        sa.CheckConstraint("record_hit_rate BETWEEN 0 AND 1", name=op.f("symbol_records_record_hit_rate_range")),
        sa.CheckConstraint("record_n > 0", name=op.f("symbol_records_record_n_positive")),
        sa.PrimaryKeyConstraint("universe", "month", "rule", "action", name=op.f("symbol_records_pkey")),
        comment="The record of symbol signals before each month, by rule and action; no row where it was too short",
    )
    op.execute(
        "INSERT INTO recomputations (asset, first_session, cause) "
        "SELECT 'symbol_calibration', min(session), 'symbol_signals' FROM symbol_signals HAVING count(*) > 0"
    )


def downgrade() -> None:
    """Everything in them is computed from other tables."""
    op.drop_table("symbol_records")
    op.drop_table("symbol_calibration")
