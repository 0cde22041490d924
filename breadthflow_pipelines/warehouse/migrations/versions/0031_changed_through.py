"""A note of a change says through which session something changed, so that what follows it need not go on to the end.

Revision ID: 0031
Revises: 0030
"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Notes that are there already reach through the end, as they did."""
    op.add_column(
        "recomputations",
        sa.Column(
            "changed_through",
            sa.Date(),
            nullable=True,
            comment="the last session that changed below it; null: not known",
        ),
    )


def downgrade() -> None:
    """What a change below an asset concerns reaches through the end again."""
    op.drop_column("recomputations", "changed_through")
