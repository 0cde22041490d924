"""Rejected rows that the source does not have any more."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The next reading says which rows are gone."""
    op.add_column(
        "rejected_bars",
        sa.Column(
            "gone_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the source, read again, did not have it any more; null: it has it",
        ),
    )


def downgrade() -> None:
    """Every row counts as one that the source has."""
    op.drop_column("rejected_bars", "gone_at")
