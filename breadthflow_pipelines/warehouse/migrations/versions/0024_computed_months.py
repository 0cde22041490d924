"""Which months of an asset are known to be what their inputs give, and what alone a change below it concerns."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing is known yet, so the next backfill computes all of its months once more."""
    op.create_table(
        "computed_months",
        sa.Column("asset", sa.Text(), nullable=False, comment="whose rows"),
        sa.Column("month", sa.Date(), nullable=False, comment="first day of the month that the rows are of"),
        sa.Column("made_of", sa.Text(), nullable=False, comment="hash of all that the month was computed from"),
        sa.Column(
            "writers", sa.Text(), nullable=False, comment="hash of which transactions wrote how many of its rows"
        ),
        sa.PrimaryKeyConstraint("asset", "month", name=op.f("computed_months_pkey")),
        comment="Months whose rows were found to be what their inputs give; where neither changed, nothing is computed",
    )
    op.create_table(
        "universe_medians",
        sa.Column("universe", sa.Text(), nullable=False, comment="name of the universe"),
        sa.Column("session", sa.Date(), nullable=False, comment="the exchange's own date"),
        sa.Column(
            "median_roc",
            sa.Double(precision=53),
            nullable=True,
            comment="per cent, the median of its members' gains in 63 bars; null: none is known",
        ),
        sa.PrimaryKeyConstraint("universe", "session", name=op.f("universe_medians_pkey")),
        comment="What relative_strength of price_indicators was held against, to tell whose it no longer is",
    )
    op.add_column(
        "recomputations",
        sa.Column(
            "last_session",
            sa.Date(),
            nullable=True,
            comment="through this one; null: through the last that is stored",
        ),
    )
    op.add_column(
        "recomputations",
        sa.Column(
            "securities", sa.ARRAY(sa.BigInteger()), nullable=True, comment="whose rows alone; null: those of all"
        ),
    )


def downgrade() -> None:
    """Backfills compute all of their months, and a change below an asset all of its members."""
    op.drop_column("recomputations", "securities")
    op.drop_column("recomputations", "last_session")
    op.drop_table("universe_medians")
    op.drop_table("computed_months")
