"""Which sessions of the newest months are known to be what their inputs give; a daily run computes the others."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing is known yet, so the next daily run computes all sessions of its months once more."""
    op.create_table(
        "computed_sessions",
        sa.Column("asset", sa.Text(), nullable=False, comment="whose rows"),
        sa.Column("session", sa.Date(), nullable=False, comment="the exchange's own date"),
        sa.Column("made_of", sa.Text(), nullable=False, comment="hash of all that the session was computed from"),
        sa.Column(
            "writers", sa.Text(), nullable=False, comment="hash of which transactions wrote how many of its rows"
        ),
        sa.PrimaryKeyConstraint("asset", "session", name=op.f("computed_sessions_pkey")),
        comment="The same as computed_months of the sessions of the newest months, for daily runs",
    )


def downgrade() -> None:
    """Daily runs compute all sessions of their months."""
    op.drop_table("computed_sessions")
