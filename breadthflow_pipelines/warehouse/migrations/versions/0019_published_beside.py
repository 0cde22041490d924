"""How many of a rule's events the counts have that an exchange published of the same issues."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_KNOWN = "signal_stability_variation_known"
_SAID = "what was otherwise: dropout, deadline, closes"
_COMMENT = (
    "events that stay, with the counts that an exchange published; null: none are named beside it, or none can tell"
)


def upgrade() -> None:
    """Null until the weekly job has run."""
    op.drop_constraint(op.f(_KNOWN), "signal_stability")
    op.create_check_constraint(
        op.f(_KNOWN), "signal_stability", "variation IN ('dropout', 'deadline', 'closes', 'total_return', 'published')"
    )
    op.alter_column("signal_stability", "variation", comment=f"{_SAID}, total_return or published")
    op.add_column(
        "signal_accuracy", sa.Column("kept_published", sa.DOUBLE_PRECISION(), nullable=True, comment=_COMMENT)
    )
    op.create_check_constraint(
        op.f("signal_accuracy_kept_published_range"), "signal_accuracy", "kept_published BETWEEN 0 AND 1"
    )


def downgrade() -> None:
    """Everything in it is computed from other tables."""
    op.drop_column("signal_accuracy", "kept_published")
    op.execute("DELETE FROM signal_stability WHERE variation = 'published'")
    op.drop_constraint(op.f(_KNOWN), "signal_stability")
    op.create_check_constraint(
        op.f(_KNOWN), "signal_stability", "variation IN ('dropout', 'deadline', 'closes', 'total_return')"
    )
    op.alter_column("signal_stability", "variation", comment=f"{_SAID} or total_return")
