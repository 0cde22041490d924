"""Where published counts are read from, so that every run reads them again."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No place is known of counts that were imported before."""
    op.create_table(
        "publications",
        sa.Column("exchange", sa.Text(), nullable=False, comment="whose counts; a universe of that name"),
        sa.Column(
            "place", sa.Text(), nullable=False, comment="a directory, or an address without user, password and query"
        ),
        sa.Column(
            "remembered_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when breadthflow import-breadth last named it",
        ),
        sa.PrimaryKeyConstraint("exchange", name=op.f("publications_pkey")),
        comment="Where published counts are read from by every run, as breadthflow import-breadth was told",
    )


def downgrade() -> None:
    """Forget the places; the counts stay."""
    op.drop_table("publications")
