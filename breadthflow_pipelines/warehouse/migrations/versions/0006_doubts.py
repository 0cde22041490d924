"""Bars that stay and that somebody should look at: where a history is on another scale, or may be another company's."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_BEFORE = ("proposed", "quarantined", "released", "confirmed", "lapsed")
_AFTER = ("proposed", "quarantined", "doubted", "released", "confirmed", "lapsed")


def upgrade() -> None:
    """The next run says which bars are doubted."""
    _allow(_AFTER, "quarantined, confirmed: left out; proposed, doubted, released, lapsed: not")


def downgrade() -> None:
    """Nobody doubts them any more."""
    op.execute("DELETE FROM quarantined_bars WHERE status = 'doubted'")
    _allow(_BEFORE, "quarantined, confirmed: left out; proposed, released, lapsed: not")


def _allow(statuses: tuple[str, ...], comment: str) -> None:
    op.drop_constraint(op.f("quarantined_bars_status_known"), "quarantined_bars")
    allowed = ", ".join(map(repr, statuses))
    op.create_check_constraint(op.f("quarantined_bars_status_known"), "quarantined_bars", f"status IN ({allowed})")
    op.alter_column("quarantined_bars", "status", existing_type=sa.Text(), existing_nullable=False, comment=comment)
