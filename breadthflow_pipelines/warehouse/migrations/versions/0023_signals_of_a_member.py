"""The signals of one member are found without looking at those of all: an index by security."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Every partition gets one, and each that is added later."""
    op.create_index("symbol_signals_of_security", "symbol_signals", ["security_id", "session"])


def downgrade() -> None:
    """Those of the partitions go with it."""
    op.drop_index("symbol_signals_of_security", "symbol_signals")
