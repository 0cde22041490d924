"""The first tables: securities, memberships, bars, published counts, breadth, indicators, signals."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Range types make "no two intervals of one symbol overlap" a constraint without any extension.
_OVERLAPS = """
CREATE TYPE textrange AS RANGE (subtype = text);
ALTER TABLE security_symbols
    ADD CONSTRAINT security_symbols_one_security_at_a_time
        EXCLUDE USING gist (textrange(symbol, symbol, '[]') WITH &&, daterange(valid_from, valid_to) WITH &&)
        DEFERRABLE INITIALLY DEFERRED,
    ADD CONSTRAINT security_symbols_one_symbol_at_a_time
        EXCLUDE USING gist (int8range(security_id, security_id, '[]') WITH &&, daterange(valid_from, valid_to) WITH &&)
        DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE universe_members
    ADD CONSTRAINT universe_members_no_overlap
        EXCLUDE USING gist (
            textrange(universe, universe, '[]') WITH &&,
            int8range(security_id, security_id, '[]') WITH &&,
            daterange(valid_from, valid_to) WITH &&
        ) DEFERRABLE INITIALLY DEFERRED;
"""

_VIEWS = """
CREATE VIEW all_counts AS
    SELECT universe, segment, session, members, priced, coverage, advances, declines, unchanged, no_prior, gap,
           up_volume, down_volume, above_20, able_20, above_50, able_50, above_200, able_200,
           new_highs, new_lows, able_252
      FROM breadth_counts
    UNION ALL
    SELECT exchange, 'ALL', session, NULL, NULL, NULL, advances, declines, unchanged, NULL, NULL,
           up_volume, down_volume, NULL, NULL, NULL, NULL, NULL, NULL,
           new_highs, new_lows, NULL
      FROM exchange_breadth;
COMMENT ON VIEW all_counts IS 'Counts from bars and counts that an exchange published, in one shape';
CREATE VIEW breadth AS
    SELECT universe, segment, session, i.state, members, priced, coverage, advances, declines, unchanged, no_prior, gap,
           up_volume, down_volume, above_20, able_20, above_50, able_50, above_200, able_200,
           new_highs, new_lows, able_252,
           net_advances, ad_line, rana, mcclellan_oscillator, mcclellan_summation,
           mcclellan_oscillator_ratio, mcclellan_summation_ratio, zweig_ema, trin, up_volume_share,
           pct_above_20, pct_above_50, pct_above_200, net_new_highs
      FROM all_counts JOIN breadth_indicators i USING (universe, segment, session);
COMMENT ON VIEW breadth IS 'Counts and indicators side by side, as breadthflow breadth prints them';
"""


def upgrade() -> None:
    """Make the tables, the constraints over intervals, and the views."""
    op.create_table(
        "bar_revisions",
        sa.Column("security_id", sa.BigInteger(), nullable=False, comment="whose bar"),
        sa.Column("session", sa.Date(), nullable=False, comment="which session"),
        sa.Column(
            "revised_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it changed",
        ),
        sa.Column("run_id", sa.Text(), nullable=False, comment="the run that brought the new values"),
        sa.Column("old_open", sa.DOUBLE_PRECISION(), nullable=False, comment="open before"),
        sa.Column("new_open", sa.DOUBLE_PRECISION(), nullable=False, comment="open after"),
        sa.Column("old_high", sa.DOUBLE_PRECISION(), nullable=False, comment="high before"),
        sa.Column("new_high", sa.DOUBLE_PRECISION(), nullable=False, comment="high after"),
        sa.Column("old_low", sa.DOUBLE_PRECISION(), nullable=False, comment="low before"),
        sa.Column("new_low", sa.DOUBLE_PRECISION(), nullable=False, comment="low after"),
        sa.Column("old_close", sa.DOUBLE_PRECISION(), nullable=False, comment="close before"),
        sa.Column("new_close", sa.DOUBLE_PRECISION(), nullable=False, comment="close after"),
        sa.Column("old_volume", sa.BigInteger(), nullable=False, comment="volume before"),
        sa.Column("new_volume", sa.BigInteger(), nullable=False, comment="volume after"),
        sa.Column("old_close_adjusted", sa.DOUBLE_PRECISION(), nullable=True, comment="close_adjusted before"),
        sa.Column("new_close_adjusted", sa.DOUBLE_PRECISION(), nullable=True, comment="close_adjusted after"),
        sa.Column("old_source", sa.Text(), nullable=False, comment="source before"),
        sa.Column("new_source", sa.Text(), nullable=False, comment="source after"),
        sa.Column("old_run_id", sa.Text(), nullable=False, comment="the run that had written the old values"),
        sa.Column(
            "old_ingested_at", sa.DateTime(timezone=True), nullable=False, comment="since when they had been known"
        ),
        sa.PrimaryKeyConstraint("security_id", "session", "revised_at", name=op.f("bar_revisions_pkey")),
        comment="Every value of a bar that a source changed later, old and new",
    )
    op.create_table(
        "breadth_counts",
        sa.Column("universe", sa.Text(), nullable=False, comment="name of the universe"),
        sa.Column("segment", sa.Text(), nullable=False, comment="ALL, or a sector"),
        sa.Column("session", sa.Date(), nullable=False, comment="the exchange's own date"),
        sa.Column("members", sa.BigInteger(), nullable=False, comment="members of the universe on that session"),
        sa.Column("priced", sa.BigInteger(), nullable=False, comment="members with a bar"),
        sa.Column("coverage", sa.DOUBLE_PRECISION(), nullable=False, comment="priced / members"),
        sa.Column(
            "advances",
            sa.BigInteger(),
            nullable=True,
            comment="members that closed above the session before; null where nobody could tell",
        ),
        sa.Column("declines", sa.BigInteger(), nullable=True, comment="members that closed below it"),
        sa.Column("unchanged", sa.BigInteger(), nullable=True, comment="members that closed exactly at it"),
        sa.Column("no_prior", sa.BigInteger(), nullable=False, comment="priced members with no earlier bar"),
        sa.Column(
            "gap",
            sa.BigInteger(),
            nullable=False,
            comment="priced members whose last bar is older than the session before",
        ),
        sa.Column("up_volume", sa.BigInteger(), nullable=True, comment="shares traded in advancing members"),
        sa.Column("down_volume", sa.BigInteger(), nullable=True, comment="shares traded in declining members"),
        sa.Column(
            "above_20",
            sa.BigInteger(),
            nullable=True,
            comment="members that closed above the mean of their last 20 closes",
        ),
        sa.Column("able_20", sa.BigInteger(), nullable=False, comment="priced members with 20 bars"),
        sa.Column(
            "above_50",
            sa.BigInteger(),
            nullable=True,
            comment="members that closed above the mean of their last 50 closes",
        ),
        sa.Column("able_50", sa.BigInteger(), nullable=False, comment="priced members with 50 bars"),
        sa.Column(
            "above_200",
            sa.BigInteger(),
            nullable=True,
            comment="members that closed above the mean of their last 200 closes",
        ),
        sa.Column("able_200", sa.BigInteger(), nullable=False, comment="priced members with 200 bars"),
        sa.Column(
            "new_highs",
            sa.BigInteger(),
            nullable=True,
            comment="members whose high is above that of their prior 252 bars",
        ),
        sa.Column(
            "new_lows",
            sa.BigInteger(),
            nullable=True,
            comment="members whose low is below that of their prior 252 bars",
        ),
        sa.Column("able_252", sa.BigInteger(), nullable=False, comment="priced members with 252 earlier bars"),
        sa.Column("convention", sa.Integer(), nullable=False, comment="version of the definitions"),
        sa.Column(
            "computed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the row last changed",
        ),
        sa.CheckConstraint(
            "priced BETWEEN 1 AND members OR (priced = 0 AND segment <> 'ALL')",
            name=op.f("breadth_counts_priced_members"),
        ),
        sa.CheckConstraint("able_20 >= 0", name=op.f("breadth_counts_able_20_not_negative")),
        sa.CheckConstraint("able_200 >= 0", name=op.f("breadth_counts_able_200_not_negative")),
        sa.CheckConstraint("able_252 >= 0", name=op.f("breadth_counts_able_252_not_negative")),
        sa.CheckConstraint("able_50 >= 0", name=op.f("breadth_counts_able_50_not_negative")),
        sa.CheckConstraint("above_20 <= able_20 AND able_20 <= priced", name=op.f("breadth_counts_above_20_able")),
        sa.CheckConstraint("above_200 <= able_200 AND able_200 <= priced", name=op.f("breadth_counts_above_200_able")),
        sa.CheckConstraint("above_50 <= able_50 AND able_50 <= priced", name=op.f("breadth_counts_above_50_able")),
        sa.CheckConstraint("advances >= 0", name=op.f("breadth_counts_advances_not_negative")),
        sa.CheckConstraint(
            "num_nulls(advances, declines, unchanged) IN (0, 3)", name=op.f("breadth_counts_directions_told_together")
        ),
        sa.CheckConstraint(
            "abs(coverage * members - priced) < 0.000001", name=op.f("breadth_counts_coverage_as_stated")
        ),
        sa.CheckConstraint(
            "coalesce(advances + declines + unchanged, 0) + no_prior + gap = priced",
            name=op.f("breadth_counts_every_priced_member_once"),
        ),
        sa.CheckConstraint("coverage BETWEEN 0 AND 1", name=op.f("breadth_counts_coverage_range")),
        sa.CheckConstraint("declines >= 0", name=op.f("breadth_counts_declines_not_negative")),
        sa.CheckConstraint("down_volume >= 0", name=op.f("breadth_counts_down_volume_not_negative")),
        sa.CheckConstraint("gap >= 0", name=op.f("breadth_counts_gap_not_negative")),
        sa.CheckConstraint(
            "greatest(new_highs, new_lows) <= able_252 AND able_252 <= priced",
            name=op.f("breadth_counts_extremes_able"),
        ),
        sa.CheckConstraint("members >= 0", name=op.f("breadth_counts_members_not_negative")),
        sa.CheckConstraint("new_highs >= 0", name=op.f("breadth_counts_new_highs_not_negative")),
        sa.CheckConstraint("new_lows >= 0", name=op.f("breadth_counts_new_lows_not_negative")),
        sa.CheckConstraint("no_prior >= 0", name=op.f("breadth_counts_no_prior_not_negative")),
        sa.CheckConstraint("priced >= 0", name=op.f("breadth_counts_priced_not_negative")),
        sa.CheckConstraint("unchanged >= 0", name=op.f("breadth_counts_unchanged_not_negative")),
        sa.CheckConstraint("up_volume >= 0", name=op.f("breadth_counts_up_volume_not_negative")),
        sa.PrimaryKeyConstraint("universe", "segment", "session", name=op.f("breadth_counts_pkey")),
        comment="Breadth counted from bars, per universe, segment and session",
    )
    op.create_table(
        "breadth_indicators",
        sa.Column("universe", sa.Text(), nullable=False, comment="name of the universe"),
        sa.Column("segment", sa.Text(), nullable=False, comment="ALL, or a sector"),
        sa.Column("session", sa.Date(), nullable=False, comment="the exchange's own date"),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment="provisional: coverage is poor or the bars may still change; else final",
        ),
        sa.Column("net_advances", sa.DOUBLE_PRECISION(), nullable=True, comment="advances - declines, issues"),
        sa.Column("ad_line", sa.DOUBLE_PRECISION(), nullable=True, comment="running sum of net advances, issues"),
        sa.Column(
            "rana", sa.DOUBLE_PRECISION(), nullable=True, comment="1000 * (advances - declines) / (advances + declines)"
        ),
        sa.Column(
            "mcclellan_oscillator",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="10% trend - 5% trend of net advances, issues",
        ),
        sa.Column(
            "mcclellan_summation",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="1000 + 19 * (5% trend) - 9 * (10% trend), issues; neutral 1000",
        ),
        sa.Column(
            "mcclellan_oscillator_ratio",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="the oscillator of rana; comparable across universes",
        ),
        sa.Column(
            "mcclellan_summation_ratio",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="19 * (5% trend) - 9 * (10% trend) of rana; neutral 0",
        ),
        sa.Column(
            "zweig_ema",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="10-session EMA of advances / (advances + declines), 0 to 1",
        ),
        sa.Column(
            "trin", sa.DOUBLE_PRECISION(), nullable=True, comment="(advances / declines) / (up volume / down volume)"
        ),
        sa.Column(
            "up_volume_share",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="up volume / (up volume + down volume), 0 to 1",
        ),
        sa.Column(
            "pct_above_20",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="percent of able members above their 20-session mean",
        ),
        sa.Column(
            "pct_above_50",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="percent of able members above their 50-session mean",
        ),
        sa.Column(
            "pct_above_200",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="percent of able members above their 200-session mean",
        ),
        sa.Column("net_new_highs", sa.DOUBLE_PRECISION(), nullable=True, comment="new highs - new lows, issues"),
        sa.Column(
            "settled",
            sa.Boolean(),
            nullable=False,
            comment="whether the slowest recursion has forgotten its seed to one in a million",
        ),
        sa.Column("convention", sa.Integer(), nullable=False, comment="version of the definitions"),
        sa.Column(
            "computed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the row last changed",
        ),
        sa.CheckConstraint(
            "ad_line > '-Infinity' AND ad_line < 'Infinity'", name=op.f("breadth_indicators_ad_line_finite")
        ),
        sa.CheckConstraint(
            "mcclellan_oscillator > '-Infinity' AND mcclellan_oscillator < 'Infinity'",
            name=op.f("breadth_indicators_mcclellan_oscillator_finite"),
        ),
        sa.CheckConstraint(
            "mcclellan_oscillator_ratio > '-Infinity' AND mcclellan_oscillator_ratio < 'Infinity'",
            name=op.f("breadth_indicators_mcclellan_oscillator_ratio_finite"),
        ),
        sa.CheckConstraint(
            "mcclellan_summation > '-Infinity' AND mcclellan_summation < 'Infinity'",
            name=op.f("breadth_indicators_mcclellan_summation_finite"),
        ),
        sa.CheckConstraint(
            "mcclellan_summation_ratio > '-Infinity' AND mcclellan_summation_ratio < 'Infinity'",
            name=op.f("breadth_indicators_mcclellan_summation_ratio_finite"),
        ),
        sa.CheckConstraint(
            "net_advances > '-Infinity' AND net_advances < 'Infinity'",
            name=op.f("breadth_indicators_net_advances_finite"),
        ),
        sa.CheckConstraint(
            "net_new_highs > '-Infinity' AND net_new_highs < 'Infinity'",
            name=op.f("breadth_indicators_net_new_highs_finite"),
        ),
        sa.CheckConstraint(
            "pct_above_20 > '-Infinity' AND pct_above_20 < 'Infinity'",
            name=op.f("breadth_indicators_pct_above_20_finite"),
        ),
        sa.CheckConstraint(
            "pct_above_200 > '-Infinity' AND pct_above_200 < 'Infinity'",
            name=op.f("breadth_indicators_pct_above_200_finite"),
        ),
        sa.CheckConstraint(
            "pct_above_50 > '-Infinity' AND pct_above_50 < 'Infinity'",
            name=op.f("breadth_indicators_pct_above_50_finite"),
        ),
        sa.CheckConstraint("rana > '-Infinity' AND rana < 'Infinity'", name=op.f("breadth_indicators_rana_finite")),
        sa.CheckConstraint("state IN ('provisional', 'final')", name=op.f("breadth_indicators_state_known")),
        sa.CheckConstraint("trin > '-Infinity' AND trin < 'Infinity'", name=op.f("breadth_indicators_trin_finite")),
        sa.CheckConstraint(
            "up_volume_share > '-Infinity' AND up_volume_share < 'Infinity'",
            name=op.f("breadth_indicators_up_volume_share_finite"),
        ),
        sa.CheckConstraint(
            "zweig_ema > '-Infinity' AND zweig_ema < 'Infinity'", name=op.f("breadth_indicators_zweig_ema_finite")
        ),
        sa.CheckConstraint("pct_above_20 BETWEEN 0 AND 100", name=op.f("breadth_indicators_pct_above_20_range")),
        sa.CheckConstraint("pct_above_200 BETWEEN 0 AND 100", name=op.f("breadth_indicators_pct_above_200_range")),
        sa.CheckConstraint("pct_above_50 BETWEEN 0 AND 100", name=op.f("breadth_indicators_pct_above_50_range")),
        sa.CheckConstraint("rana BETWEEN -1000 AND 1000", name=op.f("breadth_indicators_rana_range")),
        sa.CheckConstraint("trin >= 0", name=op.f("breadth_indicators_trin_not_negative")),
        sa.CheckConstraint("up_volume_share BETWEEN 0 AND 1", name=op.f("breadth_indicators_up_volume_share_range")),
        sa.CheckConstraint("zweig_ema BETWEEN 0 AND 1", name=op.f("breadth_indicators_zweig_ema_range")),
        sa.PrimaryKeyConstraint("universe", "segment", "session", name=op.f("breadth_indicators_pkey")),
        comment="Breadth indicators, recomputed whole from the counts; null until burn-in and where nobody could tell",
    )
    op.create_table(
        "exchange_breadth",
        sa.Column("exchange", sa.Text(), nullable=False, comment="whose counts; also the name of the universe"),
        sa.Column("session", sa.Date(), nullable=False, comment="the exchange's own date"),
        sa.Column(
            "advances", sa.BigInteger(), nullable=True, comment="advances as published; null where not published"
        ),
        sa.Column(
            "declines", sa.BigInteger(), nullable=True, comment="declines as published; null where not published"
        ),
        sa.Column(
            "unchanged", sa.BigInteger(), nullable=True, comment="unchanged as published; null where not published"
        ),
        sa.Column(
            "up_volume", sa.BigInteger(), nullable=True, comment="up volume as published; null where not published"
        ),
        sa.Column(
            "down_volume", sa.BigInteger(), nullable=True, comment="down volume as published; null where not published"
        ),
        sa.Column(
            "unchanged_volume",
            sa.BigInteger(),
            nullable=True,
            comment="unchanged volume as published; null where not published",
        ),
        sa.Column(
            "new_highs", sa.BigInteger(), nullable=True, comment="new highs as published; null where not published"
        ),
        sa.Column(
            "new_lows", sa.BigInteger(), nullable=True, comment="new lows as published; null where not published"
        ),
        sa.Column("run_id", sa.Text(), nullable=False, comment="the run that wrote it last"),
        sa.Column(
            "ingested_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when that was",
        ),
        sa.CheckConstraint("advances >= 0", name=op.f("exchange_breadth_advances_not_negative")),
        sa.CheckConstraint("declines >= 0", name=op.f("exchange_breadth_declines_not_negative")),
        sa.CheckConstraint("down_volume >= 0", name=op.f("exchange_breadth_down_volume_not_negative")),
        sa.CheckConstraint("new_highs >= 0", name=op.f("exchange_breadth_new_highs_not_negative")),
        sa.CheckConstraint("new_lows >= 0", name=op.f("exchange_breadth_new_lows_not_negative")),
        sa.CheckConstraint("unchanged >= 0", name=op.f("exchange_breadth_unchanged_not_negative")),
        sa.CheckConstraint("unchanged_volume >= 0", name=op.f("exchange_breadth_unchanged_volume_not_negative")),
        sa.CheckConstraint("up_volume >= 0", name=op.f("exchange_breadth_up_volume_not_negative")),
        sa.PrimaryKeyConstraint("exchange", "session", name=op.f("exchange_breadth_pkey")),
        comment="Breadth as an exchange published it, in issues and shares",
    )
    op.create_table(
        "market_signals",
        sa.Column("signal_id", sa.Text(), nullable=False, comment="stable: the same signal keeps its id"),
        sa.Column("universe", sa.Text(), nullable=False, comment="name of the universe"),
        sa.Column("segment", sa.Text(), nullable=False, comment="ALL, or a sector"),
        sa.Column(
            "session", sa.Date(), nullable=False, comment="known at this session's close, to be acted on from the next"
        ),
        sa.Column("rule", sa.Text(), nullable=False, comment="the rule that fired"),
        sa.Column("action", sa.Text(), nullable=False, comment="buy, sell or hold"),
        sa.Column(
            "confidence",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="strength of the evidence, 0 to 1; not a probability",
        ),
        sa.Column("value", sa.DOUBLE_PRECISION(), nullable=False, comment="what the rule looked at"),
        sa.Column("threshold", sa.DOUBLE_PRECISION(), nullable=False, comment="what it was compared with"),
        sa.Column(
            "calibrated",
            sa.Boolean(),
            nullable=False,
            comment="whether the threshold was published for this kind of universe",
        ),
        sa.Column("state", sa.Text(), nullable=False, comment="provisional or final"),
        sa.Column("convention", sa.Integer(), nullable=False, comment="version of the definitions"),
        sa.Column("evidence", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="what explain prints"),
        sa.Column(
            "computed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the row last changed",
        ),
        sa.CheckConstraint("action IN ('buy', 'sell', 'hold')", name=op.f("market_signals_action_known")),
        sa.CheckConstraint("state IN ('provisional', 'final')", name=op.f("market_signals_state_known")),
        sa.CheckConstraint(
            "threshold > '-Infinity' AND threshold < 'Infinity'", name=op.f("market_signals_threshold_finite")
        ),
        sa.CheckConstraint("value > '-Infinity' AND value < 'Infinity'", name=op.f("market_signals_value_finite")),
        sa.CheckConstraint("confidence BETWEEN 0 AND 1", name=op.f("market_signals_confidence_range")),
        sa.PrimaryKeyConstraint("signal_id", name=op.f("market_signals_pkey")),
        sa.UniqueConstraint(
            "universe", "segment", "session", "rule", name=op.f("market_signals_universe_segment_session_rule_key")
        ),
        comment="Signals of the market's breadth, each with the evidence that fired it",
    )
    op.create_table(
        "rejected_bars",
        sa.Column(
            "fingerprint", sa.Text(), nullable=False, comment="of source, row and reasons: the same row is kept once"
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="who supplied it"),
        sa.Column("symbol", sa.Text(), nullable=True, comment="as supplied"),
        sa.Column("session", sa.Date(), nullable=True, comment="as supplied"),
        sa.Column("open", sa.DOUBLE_PRECISION(), nullable=True, comment="as supplied"),
        sa.Column("high", sa.DOUBLE_PRECISION(), nullable=True, comment="as supplied"),
        sa.Column("low", sa.DOUBLE_PRECISION(), nullable=True, comment="as supplied"),
        sa.Column("close", sa.DOUBLE_PRECISION(), nullable=True, comment="as supplied"),
        sa.Column("volume", sa.DOUBLE_PRECISION(), nullable=True, comment="as supplied"),
        sa.Column("close_adjusted", sa.DOUBLE_PRECISION(), nullable=True, comment="as supplied"),
        sa.Column("reasons", postgresql.ARRAY(sa.Text()), nullable=False, comment="the rules that it breaks"),
        sa.Column("run_id", sa.Text(), nullable=False, comment="the run that met it first"),
        sa.Column(
            "rejected_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when that was",
        ),
        sa.CheckConstraint("cardinality(reasons) > 0", name=op.f("rejected_bars_has_reason")),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("rejected_bars_pkey")),
        comment="Rows that broke the contract of bars, as they came, with the reasons",
    )
    op.create_table(
        "rejected_counts",
        sa.Column(
            "fingerprint", sa.Text(), nullable=False, comment="of exchange, row and reason: the same row is kept once"
        ),
        sa.Column("exchange", sa.Text(), nullable=False, comment="whose counts"),
        sa.Column("series", sa.Text(), nullable=False, comment="which file"),
        sa.Column("line", sa.BigInteger(), nullable=False, comment="which line of it, from 1"),
        sa.Column("session", sa.Date(), nullable=True, comment="the date on it, where it is one"),
        sa.Column("value", sa.Text(), nullable=True, comment="as it came"),
        sa.Column("reason", sa.Text(), nullable=False, comment="the rule that it breaks"),
        sa.Column("run_id", sa.Text(), nullable=False, comment="the run that met it first"),
        sa.Column(
            "rejected_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when that was",
        ),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("rejected_counts_pkey")),
        comment="Rows of published counts that broke their contract, with the reason",
    )
    op.create_table(
        "securities",
        sa.Column(
            "security_id",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="our own number for a company's share",
        ),
        sa.Column(
            "security_key",
            sa.Text(),
            nullable=False,
            comment="the name that never changes; where nobody gives one, the first symbol",
        ),
        sa.Column("name", sa.Text(), nullable=True, comment="the company's name"),
        sa.Column("sector", sa.Text(), nullable=True, comment="its sector; null where nobody said"),
        sa.Column("synthetic", sa.Boolean(), nullable=False, comment="invented by the demo market, not a real company"),
        sa.PrimaryKeyConstraint("security_id", name=op.f("securities_pkey")),
        sa.UniqueConstraint("security_key", name=op.f("securities_security_key_key")),
        comment="Shares that bars and memberships speak of, each with a number that outlives its symbols",
    )
    op.create_table(
        "bars",
        sa.Column("security_id", sa.BigInteger(), nullable=False, comment="whose bar"),
        sa.Column("session", sa.Date(), nullable=False, comment="the exchange's own date"),
        sa.Column(
            "open", sa.DOUBLE_PRECISION(), nullable=False, comment="open, adjusted for splits as the source gives it"
        ),
        sa.Column(
            "high", sa.DOUBLE_PRECISION(), nullable=False, comment="high, adjusted for splits as the source gives it"
        ),
        sa.Column(
            "low", sa.DOUBLE_PRECISION(), nullable=False, comment="low, adjusted for splits as the source gives it"
        ),
        sa.Column(
            "close", sa.DOUBLE_PRECISION(), nullable=False, comment="close, adjusted for splits as the source gives it"
        ),
        sa.Column("volume", sa.BigInteger(), nullable=False, comment="shares traded"),
        sa.Column(
            "close_adjusted",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="close adjusted for splits and dividends; null where the source has none",
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="who supplied it"),
        sa.Column("run_id", sa.Text(), nullable=False, comment="the run that wrote it"),
        sa.Column(
            "ingested_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it was written",
        ),
        sa.CheckConstraint("close > 0 AND close < 'Infinity'", name=op.f("bars_close_positive")),
        sa.CheckConstraint(
            "close_adjusted > 0 AND close_adjusted < 'Infinity'", name=op.f("bars_close_adjusted_positive")
        ),
        sa.CheckConstraint("high > 0 AND high < 'Infinity'", name=op.f("bars_high_positive")),
        sa.CheckConstraint("low > 0 AND low < 'Infinity'", name=op.f("bars_low_positive")),
        sa.CheckConstraint("open > 0 AND open < 'Infinity'", name=op.f("bars_open_positive")),
        sa.CheckConstraint("close BETWEEN low * 0.9999 AND high * 1.0001", name=op.f("bars_close_inside")),
        sa.CheckConstraint("high >= low", name=op.f("bars_high_not_below_low")),
        sa.CheckConstraint("open BETWEEN low * 0.9999 AND high * 1.0001", name=op.f("bars_open_inside")),
        sa.CheckConstraint("volume >= 0", name=op.f("bars_volume_not_negative")),
        sa.ForeignKeyConstraint(["security_id"], ["securities.security_id"], name=op.f("bars_security_id_fkey")),
        sa.PrimaryKeyConstraint("security_id", "session", name=op.f("bars_pkey")),
        comment="Daily bars, one per security and session, partitioned by year",
        postgresql_partition_by="RANGE (session)",
    )
    op.create_table(
        "security_symbols",
        sa.Column("security_id", sa.BigInteger(), nullable=False, comment="whose symbol"),
        sa.Column("symbol", sa.Text(), nullable=False, comment="the exchange's symbol"),
        sa.Column("valid_from", sa.Date(), nullable=True, comment="first day; null: as far back as known"),
        sa.Column("valid_to", sa.Date(), nullable=True, comment="first day on which it no longer is; null: still"),
        sa.CheckConstraint("valid_to > valid_from", name=op.f("security_symbols_interval")),
        sa.ForeignKeyConstraint(
            ["security_id"], ["securities.security_id"], name=op.f("security_symbols_security_id_fkey")
        ),
        comment="Symbols are names that move: which one belonged to which security, from when to when",
    )
    op.create_table(
        "universe_members",
        sa.Column("universe", sa.Text(), nullable=False, comment="name of the universe"),
        sa.Column("security_id", sa.BigInteger(), nullable=False, comment="the member"),
        sa.Column("valid_from", sa.Date(), nullable=False, comment="first day in"),
        sa.Column("valid_to", sa.Date(), nullable=True, comment="first day out; null: still in"),
        sa.Column(
            "symbol", sa.Text(), nullable=False, comment="its symbol when it joined, as the membership file writes it"
        ),
        sa.CheckConstraint("valid_to > valid_from", name=op.f("universe_members_interval")),
        sa.ForeignKeyConstraint(
            ["security_id"], ["securities.security_id"], name=op.f("universe_members_security_id_fkey")
        ),
        sa.PrimaryKeyConstraint("universe", "security_id", "valid_from", name=op.f("universe_members_pkey")),
        comment="Point-in-time members of each universe, as half-open intervals",
    )
    op.execute(_OVERLAPS)
    op.execute(_VIEWS)


def downgrade() -> None:
    """Take all of it away again."""
    op.execute("DROP VIEW breadth; DROP VIEW all_counts")
    op.drop_table("universe_members")
    op.drop_table("security_symbols")
    op.drop_table("bars")
    op.drop_table("securities")
    op.drop_table("rejected_counts")
    op.drop_table("rejected_bars")
    op.drop_table("market_signals")
    op.drop_table("exchange_breadth")
    op.drop_table("breadth_indicators")
    op.drop_table("breadth_counts")
    op.drop_table("bar_revisions")
    op.execute("DROP TYPE textrange")
