"""What signals are held against, what followed them, and what their records say."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The next run fills the tables."""
    op.create_table(
        "universe_returns",
        sa.Column("universe", sa.Text(), nullable=False, comment="name of the universe"),
        sa.Column("segment", sa.Text(), nullable=False, comment="ALL, or a sector"),
        sa.Column("session", sa.Date(), nullable=False, comment="the exchange's own date"),
        sa.Column(
            "return",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="mean return of those contributing since their last bar, a fraction; null: there are none",
        ),
        sa.Column(
            "members",
            sa.BigInteger(),
            nullable=False,
            comment="members on the session before, who could be held from its close on",
        ),
        sa.Column(
            "contributing",
            sa.BigInteger(),
            nullable=False,
            comment="of them, those with a bar on the session and one at most 21 sessions earlier",
        ),
        sa.Column(
            "missing",
            sa.BigInteger(),
            nullable=False,
            comment="of them, those without a bar on the session; they contribute nothing",
        ),
        sa.Column("first", sa.BigInteger(), nullable=False, comment="of them, those whose first bar it is"),
        sa.Column(
            "gap", sa.BigInteger(), nullable=False, comment="of them, those whose last bar is more than 21 sessions old"
        ),
        sa.Column(
            "adjusted",
            sa.BigInteger(),
            nullable=False,
            comment="of those contributing, those whose return includes dividends",
        ),
        sa.Column(
            "computed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the row last changed",
        ),
        sa.CheckConstraint("return >= -1 AND return < 'Infinity'", name=op.f("universe_returns_return_range")),
        sa.CheckConstraint(
            "(return IS NULL) = (contributing = 0)", name=op.f("universe_returns_return_of_contributing")
        ),
        sa.CheckConstraint("adjusted <= contributing", name=op.f("universe_returns_adjusted_contribute")),
        sa.CheckConstraint("adjusted >= 0", name=op.f("universe_returns_adjusted_not_negative")),
        sa.CheckConstraint(
            "contributing + missing + first + gap = members", name=op.f("universe_returns_every_member_once")
        ),
        sa.CheckConstraint("contributing >= 0", name=op.f("universe_returns_contributing_not_negative")),
        sa.CheckConstraint("first >= 0", name=op.f("universe_returns_first_not_negative")),
        sa.CheckConstraint("gap >= 0", name=op.f("universe_returns_gap_not_negative")),
        sa.CheckConstraint("members >= 0", name=op.f("universe_returns_members_not_negative")),
        sa.CheckConstraint("missing >= 0", name=op.f("universe_returns_missing_not_negative")),
        sa.PrimaryKeyConstraint("universe", "segment", "session", name=op.f("universe_returns_pkey")),
        comment="Equal-weight return of each universe's members; its signals are held against it",
    )
    op.create_table(
        "signal_outcomes",
        sa.Column("signal_id", sa.Text(), nullable=False, comment="the signal, in market_signals"),
        sa.Column("horizon", sa.Integer(), autoincrement=False, nullable=False, comment="sessions from the entry"),
        sa.Column("universe", sa.Text(), nullable=False, comment="name of the universe"),
        sa.Column("segment", sa.Text(), nullable=False, comment="ALL, or a sector"),
        sa.Column("session", sa.Date(), nullable=False, comment="the signal's"),
        sa.Column("rule", sa.Text(), nullable=False, comment="the rule that fired"),
        sa.Column("action", sa.Text(), nullable=False, comment="what the signal said: buy, sell or hold"),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment="closed; open: the exit is still to come; unpriced: entry or exit has no level",
        ),
        sa.Column(
            "entry_session",
            sa.Date(),
            nullable=True,
            comment="the session after the signal's, at whose close one enters",
        ),
        sa.Column(
            "exit_session", sa.Date(), nullable=True, comment="horizon sessions after it, at whose close one leaves"
        ),
        sa.Column(
            "return", sa.DOUBLE_PRECISION(), nullable=True, comment="from entry to exit, a fraction; null unless closed"
        ),
        sa.Column(
            "base_return",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="mean of all windows of the horizon closed before this one; null before a year of them",
        ),
        sa.Column("excess", sa.DOUBLE_PRECISION(), nullable=True, comment="return less base_return"),
        sa.Column(
            "drawdown",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="the deepest fall on the way from the highest close since the entry, 0 or less",
        ),
        sa.Column(
            "hit",
            sa.Boolean(),
            nullable=True,
            comment="a buy that rose, a sell whose excess is below 0; null of a hold, and while it is not known",
        ),
        sa.Column(
            "basis",
            sa.Text(),
            nullable=False,
            comment="what the return is made of: total return, price, partly total return",
        ),
        sa.Column(
            "computed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the row last changed",
        ),
        sa.CheckConstraint("(state = 'closed') = (return IS NOT NULL)", name=op.f("signal_outcomes_closed_has_return")),
        sa.CheckConstraint("action IN ('buy', 'sell', 'hold')", name=op.f("signal_outcomes_action_known")),
        sa.CheckConstraint(
            "base_return > '-Infinity' AND base_return < 'Infinity'", name=op.f("signal_outcomes_base_return_finite")
        ),
        sa.CheckConstraint(
            "basis IN ('total return', 'price', 'partly total return')", name=op.f("signal_outcomes_basis_known")
        ),
        sa.CheckConstraint("excess > '-Infinity' AND excess < 'Infinity'", name=op.f("signal_outcomes_excess_finite")),
        sa.CheckConstraint("return >= -1 AND return < 'Infinity'", name=op.f("signal_outcomes_return_range")),
        sa.CheckConstraint("state IN ('closed', 'open', 'unpriced')", name=op.f("signal_outcomes_state_known")),
        sa.CheckConstraint("drawdown BETWEEN -1 AND 0", name=op.f("signal_outcomes_drawdown_range")),
        sa.CheckConstraint(
            "entry_session > session AND exit_session > entry_session", name=op.f("signal_outcomes_in_order")
        ),
        sa.CheckConstraint("horizon IN (5, 21, 63, 126, 252)", name=op.f("signal_outcomes_horizon_known")),
        sa.PrimaryKeyConstraint("signal_id", "horizon", name=op.f("signal_outcomes_pkey")),
        comment="What followed each signal of the market at each horizon",
    )
    op.create_table(
        "signal_accuracy",
        sa.Column("universe", sa.Text(), nullable=False, comment="name of the universe"),
        sa.Column("rule", sa.Text(), nullable=False, comment="the rule"),
        sa.Column("action", sa.Text(), nullable=False, comment="the side that is judged; hold: it claims nothing"),
        sa.Column("horizon", sa.Integer(), autoincrement=False, nullable=False, comment="sessions from the entry"),
        sa.Column("era", sa.Text(), nullable=False, comment="all, or a part of history by the session of the signal"),
        sa.Column(
            "verdict",
            sa.Text(),
            nullable=False,
            comment="cannot be judged, not distinguishable, suggestive or survives",
        ),
        sa.Column("reason", sa.Text(), nullable=True, comment="why it cannot be judged"),
        sa.Column("first_session", sa.Date(), nullable=True, comment="the first eligible session"),
        sa.Column("last_session", sa.Date(), nullable=True, comment="the last one"),
        sa.Column(
            "eligible",
            sa.Integer(),
            nullable=False,
            comment="sessions on which the rule could speak and whose window has closed",
        ),
        sa.Column("events", sa.Integer(), nullable=False, comment="of them, those on which it did"),
        sa.Column("episodes", sa.Integer(), nullable=False, comment="groups of events at most 20 sessions apart"),
        sa.Column("effective_n", sa.Integer(), nullable=False, comment="windows of the events that do not overlap"),
        sa.Column(
            "open", sa.Integer(), nullable=True, comment="events whose window has not closed; null of parts of history"
        ),
        sa.Column(
            "left_out",
            sa.Integer(),
            nullable=True,
            comment="signals of other sessions, or without a price; null of parts of history",
        ),
        sa.Column("hit_rate", sa.DOUBLE_PRECISION(), nullable=True, comment="events of which the claim came true"),
        sa.Column("base_rate", sa.DOUBLE_PRECISION(), nullable=True, comment="the same of all eligible sessions"),
        sa.Column(
            "detectable",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="the smallest hit rate that effective_n could tell from the base rate; null: not even 1",
        ),
        sa.Column(
            "p_rotation",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="share of all rotations of the events with as high a hit rate",
        ),
        sa.Column(
            "p_mean",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="share of all rotations with as high a mean return (sell: as low)",
        ),
        sa.Column(
            "base_matched",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="hit rate of sessions with the events' trailing drawdowns",
        ),
        sa.Column(
            "p_matched",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="p_rotation of hits less what sessions of the same drawdown give",
        ),
        sa.Column(
            "p_family",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="p_rotation that holds for all members of the family at once; null of parts of history",
        ),
        sa.Column(
            "p_holm", sa.DOUBLE_PRECISION(), nullable=True, comment="Holm's adjustment of p_rotation within the family"
        ),
        sa.Column("lift", sa.DOUBLE_PRECISION(), nullable=True, comment="hit_rate less base_rate"),
        sa.Column("lift_low", sa.DOUBLE_PRECISION(), nullable=True, comment="lower end of its 95 % interval"),
        sa.Column("lift_high", sa.DOUBLE_PRECISION(), nullable=True, comment="upper end of it"),
        sa.Column("mean", sa.DOUBLE_PRECISION(), nullable=True, comment="mean return after the events, a fraction"),
        sa.Column("base_mean", sa.DOUBLE_PRECISION(), nullable=True, comment="the same after all eligible sessions"),
        sa.Column("median", sa.DOUBLE_PRECISION(), nullable=True, comment="median return after the events"),
        sa.Column("base_median", sa.DOUBLE_PRECISION(), nullable=True, comment="the same after all eligible sessions"),
        sa.Column(
            "p10", sa.DOUBLE_PRECISION(), nullable=True, comment="a tenth of the returns after the events lies below"
        ),
        sa.Column("p90", sa.DOUBLE_PRECISION(), nullable=True, comment="a tenth of them lies above"),
        sa.Column(
            "drawdown",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="median deepest fall on the way after the events, 0 or less",
        ),
        sa.Column(
            "base_drawdown", sa.DOUBLE_PRECISION(), nullable=True, comment="the same after all eligible sessions"
        ),
        sa.Column("family", sa.Text(), nullable=True, comment="what it was judged among; null: it was not"),
        sa.Column("family_members", sa.Integer(), nullable=True, comment="how many were"),
        sa.Column("basis", sa.Text(), nullable=True, comment="what returns are made of; null: there are none"),
        sa.Column(
            "computed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the row last changed",
        ),
        sa.CheckConstraint(
            "(verdict = 'cannot be judged') = (p_rotation IS NULL)", name=op.f("signal_accuracy_judged_by_chance")
        ),
        sa.CheckConstraint(
            "(verdict = 'cannot be judged') = (reason IS NOT NULL)", name=op.f("signal_accuracy_says_why_not")
        ),
        sa.CheckConstraint("action IN ('buy', 'sell', 'hold')", name=op.f("signal_accuracy_action_known")),
        sa.CheckConstraint(
            "base_mean > '-Infinity' AND base_mean < 'Infinity'", name=op.f("signal_accuracy_base_mean_finite")
        ),
        sa.CheckConstraint(
            "base_median > '-Infinity' AND base_median < 'Infinity'", name=op.f("signal_accuracy_base_median_finite")
        ),
        sa.CheckConstraint(
            "basis IN ('total return', 'price', 'partly total return')", name=op.f("signal_accuracy_basis_known")
        ),
        sa.CheckConstraint(
            "lift_high > '-Infinity' AND lift_high < 'Infinity'", name=op.f("signal_accuracy_lift_high_finite")
        ),
        sa.CheckConstraint(
            "lift_low > '-Infinity' AND lift_low < 'Infinity'", name=op.f("signal_accuracy_lift_low_finite")
        ),
        sa.CheckConstraint("mean > '-Infinity' AND mean < 'Infinity'", name=op.f("signal_accuracy_mean_finite")),
        sa.CheckConstraint("median > '-Infinity' AND median < 'Infinity'", name=op.f("signal_accuracy_median_finite")),
        sa.CheckConstraint("p10 > '-Infinity' AND p10 < 'Infinity'", name=op.f("signal_accuracy_p10_finite")),
        sa.CheckConstraint("p90 > '-Infinity' AND p90 < 'Infinity'", name=op.f("signal_accuracy_p90_finite")),
        sa.CheckConstraint(
            "verdict IN ('cannot be judged', 'not distinguishable', 'suggestive', 'survives')",
            name=op.f("signal_accuracy_verdict_known"),
        ),
        sa.CheckConstraint("base_drawdown BETWEEN -1 AND 0", name=op.f("signal_accuracy_base_drawdown_range")),
        sa.CheckConstraint("base_matched BETWEEN 0 AND 1", name=op.f("signal_accuracy_base_matched_range")),
        sa.CheckConstraint("base_rate BETWEEN 0 AND 1", name=op.f("signal_accuracy_base_rate_range")),
        sa.CheckConstraint("detectable BETWEEN 0 AND 1", name=op.f("signal_accuracy_detectable_range")),
        sa.CheckConstraint("drawdown BETWEEN -1 AND 0", name=op.f("signal_accuracy_drawdown_range")),
        sa.CheckConstraint("effective_n <= events", name=op.f("signal_accuracy_effective_n_events")),
        sa.CheckConstraint("effective_n >= 0", name=op.f("signal_accuracy_effective_n_not_negative")),
        sa.CheckConstraint("eligible >= 0", name=op.f("signal_accuracy_eligible_not_negative")),
        sa.CheckConstraint("episodes <= events AND events <= eligible", name=op.f("signal_accuracy_events_eligible")),
        sa.CheckConstraint("episodes >= 0", name=op.f("signal_accuracy_episodes_not_negative")),
        sa.CheckConstraint("events >= 0", name=op.f("signal_accuracy_events_not_negative")),
        sa.CheckConstraint("hit_rate BETWEEN 0 AND 1", name=op.f("signal_accuracy_hit_rate_range")),
        sa.CheckConstraint("horizon IN (5, 21, 63, 126, 252)", name=op.f("signal_accuracy_horizon_known")),
        sa.CheckConstraint("left_out >= 0", name=op.f("signal_accuracy_left_out_not_negative")),
        sa.CheckConstraint("lift BETWEEN -1 AND 1", name=op.f("signal_accuracy_lift_range")),
        sa.CheckConstraint("open >= 0", name=op.f("signal_accuracy_open_not_negative")),
        sa.CheckConstraint("p_family BETWEEN 0 AND 1", name=op.f("signal_accuracy_p_family_range")),
        sa.CheckConstraint("p_holm BETWEEN 0 AND 1", name=op.f("signal_accuracy_p_holm_range")),
        sa.CheckConstraint("p_matched BETWEEN 0 AND 1", name=op.f("signal_accuracy_p_matched_range")),
        sa.CheckConstraint("p_mean BETWEEN 0 AND 1", name=op.f("signal_accuracy_p_mean_range")),
        sa.CheckConstraint("p_rotation BETWEEN 0 AND 1", name=op.f("signal_accuracy_p_rotation_range")),
        sa.PrimaryKeyConstraint("universe", "rule", "action", "horizon", "era", name=op.f("signal_accuracy_pkey")),
        comment="The record of each rule held against chance, per universe, side, horizon and era",
    )
    op.create_table(
        "signal_records",
        sa.Column("signal_id", sa.Text(), nullable=False, comment="the signal, in market_signals"),
        sa.Column("universe", sa.Text(), nullable=False, comment="name of the universe"),
        sa.Column("session", sa.Date(), nullable=False, comment="the signal's"),
        sa.Column(
            "record_hit_rate",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="share of the rule's earlier signals that were right",
        ),
        sa.Column(
            "record_base_rate",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="the same of all sessions on which it could speak",
        ),
        sa.Column(
            "record_n",
            sa.Integer(),
            nullable=False,
            comment="earlier signals whose 63 sessions had closed before the signal's session",
        ),
        sa.Column("verdict", sa.Text(), nullable=False, comment="of the rule, as known before the signal's year"),
        sa.Column(
            "computed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the row last changed",
        ),
        sa.CheckConstraint(
            "verdict IN ('cannot be judged', 'not distinguishable', 'suggestive', 'survives')",
            name=op.f("signal_records_verdict_known"),
        ),
        sa.CheckConstraint("record_base_rate BETWEEN 0 AND 1", name=op.f("signal_records_record_base_rate_range")),
        sa.CheckConstraint("record_hit_rate BETWEEN 0 AND 1", name=op.f("signal_records_record_hit_rate_range")),
        sa.CheckConstraint("record_n > 0", name=op.f("signal_records_record_n_positive")),
        sa.PrimaryKeyConstraint("signal_id", name=op.f("signal_records_pkey")),
        comment="What a rule's record was when it gave a signal; no row where it was too short",
    )


def downgrade() -> None:
    """Everything in them is computed from other tables."""
    op.drop_table("signal_records")
    op.drop_table("signal_accuracy")
    op.drop_table("signal_outcomes")
    op.drop_table("universe_returns")
