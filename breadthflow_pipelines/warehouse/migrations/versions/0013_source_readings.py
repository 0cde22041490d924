"""Which run read a source last, and what it was made from."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Nothing is known of earlier runs, so the next one reads."""
    op.create_table(
        "source_readings",
        sa.Column("source", sa.Text(), nullable=False, comment="which source, as bars name it"),
        sa.Column("run_id", sa.Text(), nullable=False, comment="the run that read it last"),
        sa.Column(
            "inputs",
            sa.Text(),
            nullable=True,
            comment="hash of all that the run was made from; null: it has not ended well",
        ),
        sa.Column("begun_at", _TIME, server_default=sa.text("now()"), nullable=False, comment="when it began to read"),
        sa.Column("ended_at", _TIME, nullable=True, comment="when it ended well; null: it has not"),
        sa.PrimaryKeyConstraint("source", name=op.f("source_readings_pkey")),
        sa.CheckConstraint("(inputs IS NULL) = (ended_at IS NULL)", name=op.f("source_readings_ended_well")),
        comment="The last reading of each source: a run with the same inputs has nothing to do",
    )


def downgrade() -> None:
    """The next run reads."""
    op.drop_table("source_readings")
