"""The whole catalogue: more counts, judged published counts, indicators per symbol, columns that follow formulas."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_INDICATORS = {
    "net_advances": "advances - declines, issues",
    "ad_line": "running sum of net advances, issues",
    "rana": "1000 * (advances - declines) / (advances + declines)",
    "mcclellan_oscillator": "10% trend - 5% trend of net advances, issues",
    "mcclellan_summation": "1000 + 19 * (5% trend) - 9 * (10% trend), issues; neutral 1000",
    "mcclellan_oscillator_ratio": "the oscillator of rana; comparable across universes",
    "mcclellan_summation_ratio": "19 * (5% trend) - 9 * (10% trend) of rana; neutral 0",
    "zweig_ema": "10-session EMA of advances / (advances + declines), 0 to 1",
    "trin": "(advances / declines) / (up volume / down volume)",
    "up_volume_share": "up volume / (up volume + down volume), 0 to 1",
    "pct_above_20": "percent of able members above their 20-session mean",
    "pct_above_50": "percent of able members above their 50-session mean",
    "pct_above_200": "percent of able members above their 200-session mean",
    "net_new_highs": "new highs - new lows, issues",
}
_BOUNDS = {
    **dict.fromkeys(("zweig_ema", "up_volume_share"), "BETWEEN 0 AND 1"),
    **dict.fromkeys(("pct_above_20", "pct_above_50", "pct_above_200"), "BETWEEN 0 AND 100"),
    "rana": "BETWEEN -1000 AND 1000",
}

# Counts and how they are told: (name, type, comment, whether every row has one).
_COUNTS = (
    ("unchanged_volume", "bigint", "shares traded in unchanged members", False),
    ("up_dollars", "bigint", "close * shares of advancing members", False),
    ("down_dollars", "bigint", "close * shares of declining members", False),
    ("points_gained", "double precision", "sum of the rises of advancing members, in price units", False),
    ("points_lost", "double precision", "sum of the falls of declining members, in price units", False),
    ("above_100", "bigint", "members that closed above the mean of their last 100 closes", False),
    ("able_100", "bigint", "priced members with 100 bars", True),
    ("above_150", "bigint", "members that closed above the mean of their last 150 closes", False),
    ("able_150", "bigint", "priced members with 150 bars", True),
    ("new_highs_20", "bigint", "members whose high is above that of their prior 20 bars", False),
    ("new_lows_20", "bigint", "members whose low is below that of their prior 20 bars", False),
    ("able_extremes_20", "bigint", "priced members with 20 earlier bars", True),
    ("new_highs_total_return", "bigint", "as new_highs, of prices with dividends reinvested", False),
    ("new_lows_total_return", "bigint", "as new_lows, of prices with dividends reinvested", False),
    ("able_252_total_return", "bigint", "priced members with 252 earlier bars and adjusted closes", True),
    (
        "index_close",
        "double precision",
        "level of the universe''s index, where one is configured; with ALL only",
        False,
    ),
)
_COUNT_CHECKS = {
    **{
        f"{name}_not_negative": f"{name} >= 0"
        for name, *_ in _COUNTS
        if name not in ("index_close", "above_100", "above_150")
    },
    **{
        f"{name}_finite": f"{name} > '-Infinity' AND {name} < 'Infinity'"
        for name in ("points_gained", "points_lost", "index_close")
    },
    **{f"above_{n}_able": f"above_{n} <= able_{n} AND able_{n} <= priced" for n in (100, 150)},
    **{
        f"extremes{kind}_able": f"greatest(new_highs{kind}, new_lows{kind}) <= {able} AND {able} <= priced"
        for kind, able in (("_20", "able_extremes_20"), ("_total_return", "able_252_total_return"))
    },
}

_OLD_VIEWS = """
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

# What is doubted is not counted, and volumes are in shares whatever unit was published.
_VIEWS = """
CREATE VIEW all_counts AS
    SELECT universe, segment, session, members, priced, coverage, advances, declines, unchanged, no_prior, gap,
           up_volume, down_volume, unchanged_volume, up_dollars, down_dollars, points_gained, points_lost,
           above_20, able_20, above_50, able_50, above_100, able_100, above_150, able_150, above_200, able_200,
           new_highs, new_lows, able_252, new_highs_20, new_lows_20, able_extremes_20,
           new_highs_total_return, new_lows_total_return, able_252_total_return, index_close, NULL::text[] AS doubts
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
           NULL, NULL, NULL, NULL, NULL, NULL, index_close, doubts
      FROM exchange_breadth;
COMMENT ON VIEW all_counts IS 'Counts from bars and counts that an exchange published, in one shape';
CREATE VIEW breadth AS
    SELECT universe, segment, session, i.state, members, priced, coverage, advances, declines, unchanged, no_prior, gap,
           up_volume, down_volume, unchanged_volume, up_dollars, down_dollars, points_gained, points_lost,
           above_20, able_20, above_50, able_50, above_100, able_100, above_150, able_150, above_200, able_200,
           new_highs, new_lows, able_252, new_highs_20, new_lows_20, able_extremes_20,
           new_highs_total_return, new_lows_total_return, able_252_total_return, index_close, doubts
      FROM all_counts JOIN breadth_indicators i USING (universe, segment, session);
COMMENT ON VIEW breadth IS 'Counts and indicators side by side, as breadthflow breadth prints them';
"""


def upgrade() -> None:
    """Add what the catalogue counts; the indicators' own columns come with the next run."""
    op.execute("DROP VIEW breadth; DROP VIEW all_counts")
    for name in _INDICATORS:
        op.drop_column("breadth_indicators", name)
    _add_counts()
    _judge_published()
    _add_members()
    op.execute(_VIEWS)


def downgrade() -> None:
    """Back to the first tables; indicators come back empty and are filled by the next run."""
    op.execute("DROP VIEW breadth; DROP VIEW all_counts")
    op.drop_table("symbol_signals")
    op.drop_table("price_indicators")
    for name in ("volume_usable", "issues_usable", "doubts", "volume_unit", "index_close"):
        op.drop_column("exchange_breadth", name)
    for name, *_ in reversed(_COUNTS):
        op.drop_column("breadth_counts", name)
    op.execute("DELETE FROM breadth_indicators")
    # Columns that came with a catalogue have no place in the first tables.
    op.execute(
        "DO $$ DECLARE c name; BEGIN FOR c IN SELECT attname FROM pg_attribute "
        "WHERE attrelid = 'breadth_indicators'::regclass AND attnum > 0 AND NOT attisdropped AND attname NOT IN "
        "('universe', 'segment', 'session', 'state', 'settled', 'convention', 'computed_at') "
        "LOOP EXECUTE format('ALTER TABLE breadth_indicators DROP COLUMN %I', c); END LOOP; END $$"
    )
    for name, comment in _INDICATORS.items():
        op.add_column("breadth_indicators", sa.Column(name, sa.DOUBLE_PRECISION(), nullable=True, comment=comment))
        finite = f"{name} > '-Infinity' AND {name} < 'Infinity'"
        op.create_check_constraint(op.f(f"breadth_indicators_{name}_finite"), "breadth_indicators", finite)
        if name in _BOUNDS:
            bounds = f"{name} {_BOUNDS[name]}"
            op.create_check_constraint(op.f(f"breadth_indicators_{name}_range"), "breadth_indicators", bounds)
    op.create_check_constraint(op.f("breadth_indicators_trin_not_negative"), "breadth_indicators", "trin >= 0")
    op.execute(_OLD_VIEWS)


def _add_counts() -> None:
    for name, kind, comment, everywhere in _COUNTS:
        # Rows that are there say that nobody was able, until the next run counts them anew.
        default = " NOT NULL DEFAULT 0" if everywhere else ""
        op.execute(f"ALTER TABLE breadth_counts ADD COLUMN {name} {kind}{default}")
        if everywhere:
            op.execute(f"ALTER TABLE breadth_counts ALTER COLUMN {name} DROP DEFAULT")
        op.execute(f"COMMENT ON COLUMN breadth_counts.{name} IS '{comment}'")
    for name, rule in _COUNT_CHECKS.items():
        op.create_check_constraint(op.f(f"breadth_counts_{name}"), "breadth_counts", rule)


def _judge_published() -> None:
    true, none = sa.text("true"), sa.text("'{}'")
    for column in (
        sa.Column(
            "index_close", sa.DOUBLE_PRECISION(), comment="the level of the exchange's index, where a file gives it"
        ),
        sa.Column(
            "volume_unit", sa.BigInteger(), comment="shares in one published unit of volume; null where no volume"
        ),
        sa.Column(
            "doubts",
            postgresql.ARRAY(sa.Text()),
            server_default=none,
            nullable=False,
            comment="the rules that the row fails; empty: none",
        ),
        sa.Column(
            "issues_usable",
            sa.Boolean(),
            server_default=true,
            nullable=False,
            comment="whether issues, highs and lows may enter indicators",
        ),
        sa.Column("volume_usable", sa.Boolean(), server_default=true, nullable=False, comment="whether volumes may"),
    ):
        op.add_column("exchange_breadth", column)
    positive = {
        "index_close_positive": "index_close > 0 AND index_close < 'Infinity'",
        "volume_unit_positive": "volume_unit > 0",
    }
    # As they were read until now; the next import finds their unit.
    op.execute("UPDATE exchange_breadth SET volume_unit = 1")
    for name, rule in positive.items():
        op.create_check_constraint(op.f(f"exchange_breadth_{name}"), "exchange_breadth", rule)


def _member_key() -> "list[sa.Column[Any]]":
    return [
        sa.Column("universe", sa.Text(), nullable=False, comment="name of the universe"),
        sa.Column("session", sa.Date(), nullable=False, comment="the exchange's own date"),
        sa.Column("security_id", sa.BigInteger(), nullable=False, comment="the member"),
    ]


def _version() -> "list[sa.Column[Any]]":
    return [
        sa.Column("convention", sa.Integer(), nullable=False, comment="version of the definitions"),
        sa.Column(
            "computed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the row last changed",
        ),
    ]


def _add_members() -> None:
    op.create_table(
        "price_indicators",
        *_member_key(),
        *_version(),
        sa.ForeignKeyConstraint(
            ["security_id"], ["securities.security_id"], name=op.f("price_indicators_security_id_fkey")
        ),
        sa.PrimaryKeyConstraint("universe", "session", "security_id", name=op.f("price_indicators_pkey")),
        comment="Technical indicators of each member on each session, from the whole history of its own bars",
        postgresql_partition_by="RANGE (session)",
    )
    op.create_table(
        "symbol_signals",
        *_member_key(),
        sa.Column("action", sa.Text(), nullable=False, comment="buy, sell or hold"),
        sa.Column(
            "confidence",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="strength of the evidence, 0 to 1; not a probability",
        ),
        sa.Column(
            "strength",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="what the rules say together, -1 (sell) to 1 (buy)",
        ),
        sa.Column(
            "regime",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="breadth score of the universe on that session; null: unknown",
        ),
        sa.Column("gated", sa.Boolean(), nullable=False, comment="whether the regime held back what the rules said"),
        *_version(),
        sa.CheckConstraint("action IN ('buy', 'sell', 'hold')", name=op.f("symbol_signals_action_known")),
        sa.CheckConstraint("confidence BETWEEN 0 AND 1", name=op.f("symbol_signals_confidence_range")),
        sa.CheckConstraint("strength BETWEEN -1 AND 1", name=op.f("symbol_signals_strength_range")),
        sa.CheckConstraint("regime BETWEEN 0 AND 100", name=op.f("symbol_signals_regime_range")),
        sa.ForeignKeyConstraint(
            ["security_id"], ["securities.security_id"], name=op.f("symbol_signals_security_id_fkey")
        ),
        sa.PrimaryKeyConstraint("universe", "session", "security_id", name=op.f("symbol_signals_pkey")),
        comment="What the technical rules say of each member, gated by the breadth of its universe",
        postgresql_partition_by="RANGE (session)",
    )
