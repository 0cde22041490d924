"""Where the recursions of price_indicators go on."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing is known yet, so the next run reads whole histories once more."""
    op.create_table(
        "recursion_states",
        sa.Column("security_id", sa.BigInteger(), nullable=False, comment="whose bars"),
        sa.Column("session", sa.Date(), nullable=False, comment="the bar after which the recursions go on"),
        sa.Column(
            "states",
            sa.ARRAY(sa.Double(precision=53)),
            nullable=False,
            comment="what each recursion is on this bar",
        ),
        sa.Column(
            "formulas",
            sa.Text(),
            nullable=False,
            comment="hash of the recursions' definitions; under others the row means nothing",
        ),
        sa.PrimaryKeyConstraint("security_id", "session", name=op.f("recursion_states_pkey")),
        comment="Where the recursions of price_indicators go on, so that no run need read a whole history",
    )


def downgrade() -> None:
    """Runs read whole histories."""
    op.drop_table("recursion_states")
