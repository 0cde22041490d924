"""What entering at the next open gives, beside entering at its close."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_COLUMNS = {
    "universe_returns": {
        "intraday": "mean return of those contributing from the session's open to its close; null: there are none",
    },
    "signal_outcomes": {
        "return_from_open": "as return, from the open of the entry session; null where it has no opens",
    },
    "signal_accuracy": {
        "hit_rate_from_open": "hit_rate of entries at the open of the entry session; null: not all opens are known",
        "base_rate_from_open": "the same of all eligible sessions",
        "mean_from_open": "mean return after the events, from that open",
    },
}
_CHECKS = {
    "universe_returns": {"intraday_range": "intraday >= -1 AND intraday < 'Infinity'"},
    "signal_outcomes": {"return_from_open_range": "return_from_open >= -1 AND return_from_open < 'Infinity'"},
    "signal_accuracy": {
        "hit_rate_from_open_range": "hit_rate_from_open BETWEEN 0 AND 1",
        "base_rate_from_open_range": "base_rate_from_open BETWEEN 0 AND 1",
        "mean_from_open_finite": "mean_from_open > '-Infinity' AND mean_from_open < 'Infinity'",
    },
}


def upgrade() -> None:
    """The next run computes all returns again, from bars that are stored."""
    for table, columns in _COLUMNS.items():
        for name, comment in columns.items():
            op.add_column(table, sa.Column(name, sa.DOUBLE_PRECISION(), nullable=True, comment=comment))
        for name, condition in _CHECKS[table].items():
            op.create_check_constraint(op.f(f"{table}_{name}"), table, condition)
    op.execute(
        "INSERT INTO recomputations (asset, first_session, cause) "
        "SELECT 'universe_returns', min(session), 'bars' FROM universe_returns HAVING count(*) > 0"
    )


def downgrade() -> None:
    """Everything in them is computed from other tables."""
    for table, columns in _COLUMNS.items():
        for name in columns:
            op.drop_column(table, name)
