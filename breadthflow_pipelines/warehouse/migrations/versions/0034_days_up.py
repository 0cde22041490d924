"""A backtest's days up are those that earned more than cash; a day out of the market was one where cash earned."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

_NOW = {
    "hit_rate": "sessions that earned more than cash, of those that earned something else",
    "profit_factor": "gains over losses of sessions, both against cash",
}
_BEFORE = {
    "hit_rate": "sessions with a gain, of those with a change",
    "profit_factor": "gains over losses, of sessions",
}


def upgrade() -> None:
    """The next run computes all backtests, as every run does."""
    _say(_NOW)


def downgrade() -> None:
    """The figures stay until the next run."""
    _say(_BEFORE)


def _say(comments: dict[str, str]) -> None:
    for column, comment in comments.items():
        op.alter_column("backtests", column, existing_type=sa.DOUBLE_PRECISION(), comment=comment)
