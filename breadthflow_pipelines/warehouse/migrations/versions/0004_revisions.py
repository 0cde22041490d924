"""Histories that a source restates, what is to be computed anew because of a change, and what was known when."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """What changed before is not known to have been a restatement or a correction."""
    op.add_column(
        "bar_revisions",
        sa.Column("kind", sa.Text(), comment="restatement, correction; null: changed before they were told apart"),
    )
    op.create_check_constraint(
        op.f("bar_revisions_kind_known"), "bar_revisions", "kind IN ('restatement', 'correction')"
    )
    op.create_table(
        "restatements",
        sa.Column("security_id", sa.BigInteger(), nullable=False, comment="whose history"),
        sa.Column("noticed_at", _TIME, server_default=sa.text("now()"), nullable=False, comment="when it was noticed"),
        sa.Column(
            "price_ratio",
            sa.Double(),
            nullable=True,
            comment="new prices / old prices; null: prices are as they were",
        ),
        sa.Column(
            "adjusted_ratio",
            sa.Double(),
            nullable=True,
            comment="new adjusted closes / old ones; null: as they were, or there are none",
        ),
        sa.Column(
            "compared",
            sa.BigInteger(),
            nullable=False,
            comment="bars that were stored and came again when it was noticed",
        ),
        sa.Column("applied_at", _TIME, nullable=True, comment="when its history was stored anew; null: not yet"),
        sa.Column("run_id", sa.Text(), nullable=False, comment="the run that noticed it"),
        sa.CheckConstraint("num_nonnulls(price_ratio, adjusted_ratio) > 0", name=op.f("restatements_says_what")),
        sa.CheckConstraint(
            "price_ratio > 0 AND price_ratio < 'Infinity'", name=op.f("restatements_price_ratio_positive")
        ),
        sa.CheckConstraint(
            "adjusted_ratio > 0 AND adjusted_ratio < 'Infinity'", name=op.f("restatements_adjusted_ratio_positive")
        ),
        sa.ForeignKeyConstraint(
            ["security_id"], ["securities.security_id"], name=op.f("restatements_security_id_fkey")
        ),
        sa.PrimaryKeyConstraint("security_id", "noticed_at", name=op.f("restatements_pkey")),
        comment="Securities whose whole history a source gave on another scale: "
        "splits and dividends, seen after the fact",
    )
    op.create_index(
        "restatements_one_pending",
        "restatements",
        ["security_id"],
        unique=True,
        postgresql_where=sa.text("applied_at IS NULL"),
    )
    op.create_table(
        "recomputations",
        sa.Column(
            "recomputation_id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="in the order in which they became due",
        ),
        sa.Column("asset", sa.Text(), nullable=False, comment="what is to be made anew"),
        sa.Column("first_session", sa.Date(), nullable=False, comment="from this session on"),
        sa.Column("cause", sa.Text(), nullable=False, comment="what changed below it"),
        sa.Column("noted_at", _TIME, server_default=sa.text("now()"), nullable=False, comment="when that was"),
        sa.PrimaryKeyConstraint("recomputation_id", name=op.f("recomputations_pkey")),
        comment="What is made of bars and members and does not know yet of a change in them; empty after a whole run",
    )
    op.create_table(
        "breadth_revisions",
        sa.Column("relation", sa.Text(), nullable=False, comment="the table that it stood in"),
        sa.Column("universe", sa.Text(), nullable=False, comment="name of the universe"),
        sa.Column("segment", sa.Text(), nullable=False, comment="ALL, or a sector"),
        sa.Column("session", sa.Date(), nullable=False, comment="the exchange's own date"),
        sa.Column("known_from", _TIME, nullable=False, comment="since when the store had said so"),
        sa.Column("known_to", _TIME, nullable=False, comment="when it said otherwise, or nothing more"),
        sa.Column("row", postgresql.JSONB(), nullable=False, comment="the whole row as it was"),
        sa.PrimaryKeyConstraint(
            "relation", "universe", "segment", "session", "known_to", name=op.f("breadth_revisions_pkey")
        ),
        comment="Rows of counts, published counts and indicators that were changed or removed: what was known when",
    )


def downgrade() -> None:
    """Forget what was known before."""
    op.drop_table("breadth_revisions")
    op.drop_table("recomputations")
    op.drop_table("restatements")
    op.drop_constraint(op.f("bar_revisions_kind_known"), "bar_revisions")
    op.drop_column("bar_revisions", "kind")
