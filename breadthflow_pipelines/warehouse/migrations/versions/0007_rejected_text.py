"""The text of what could not be read of a rejected bar."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of rows that are there already the text is not known."""
    op.add_column(
        "rejected_bars",
        sa.Column(
            "raw", sa.Text(), nullable=True, comment="what could not be read, as it stands in the file; null: nothing"
        ),
    )


def downgrade() -> None:
    """Forget the text."""
    op.drop_column("rejected_bars", "raw")
