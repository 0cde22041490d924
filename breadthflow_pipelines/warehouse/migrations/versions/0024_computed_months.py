"""Which months of an asset are known to be what their inputs give."""

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


def downgrade() -> None:
    """Backfills compute all of their months."""
    op.drop_table("computed_months")
