"""What signals said before, and when each table that the API shows last changed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_SHOWN = (
    *("securities", "security_symbols", "universe_members", "bars", "rejected_bars", "quarantined_bars", "verdicts"),
    *("holds", "hole_decisions", "exchange_breadth", "rejected_counts", "breadth_counts", "breadth_indicators"),
    *("breadth_revisions", "retentions", "price_indicators", "symbol_signals", "symbol_records", "market_signals"),
    *("signal_records", "signal_outcomes", "signal_accuracy", "backtests", "signal_revisions"),
)
_NOTE = """
CREATE OR REPLACE FUNCTION note_store_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO store_changes ({columns}) VALUES ({values}) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$
"""
_NUMBER = "pg_current_xact_id()::text::bigint"


def upgrade() -> None:
    """What signals said before now is not known; each table counts as changed now, whenever it was."""
    op.create_table(
        "signal_revisions",
        sa.Column("relation", sa.Text(), nullable=False, comment="the table it was in"),
        sa.Column("signal_id", sa.Text(), nullable=False, comment="the signal"),
        sa.Column("universe", sa.Text(), nullable=False, comment="name of the universe"),
        sa.Column("session", sa.Date(), nullable=False, comment="the signal's"),
        sa.Column("known_from", _TIME, nullable=False, comment="since when the store said so"),
        sa.Column("known_to", _TIME, nullable=False, comment="when the store changed or removed it"),
        sa.Column("row", postgresql.JSONB(), nullable=False, comment="the whole row as it was"),
        sa.PrimaryKeyConstraint("relation", "signal_id", "known_to", name=op.f("signal_revisions_pkey")),
        comment="Market signals and the records beside them that were changed or removed: what was known when",
    )
    op.execute(
        "CREATE TRIGGER store_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON signal_revisions "
        "FOR EACH STATEMENT EXECUTE FUNCTION note_store_change()"
    )
    op.execute("DELETE FROM store_changes")
    op.add_column(
        "store_changes", sa.Column("relation", sa.Text(), nullable=False, comment="the table that it changed")
    )
    op.add_column(
        "store_changes",
        sa.Column(
            "changed_at",
            _TIME,
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the transaction began",
        ),
    )
    op.drop_constraint("store_changes_pkey", "store_changes")
    op.create_primary_key("store_changes_pkey", "store_changes", ["transaction", "relation"])
    op.execute(_NOTE.format(columns="transaction, relation", values=f"{_NUMBER}, TG_TABLE_NAME"))
    for table in _SHOWN:
        op.execute(f"INSERT INTO store_changes (transaction, relation) VALUES ({_NUMBER}, '{table}')")


def downgrade() -> None:
    """What signals said before is lost."""
    op.drop_table("signal_revisions")
    op.execute(_NOTE.format(columns="transaction", values=_NUMBER))
    op.execute("DELETE FROM store_changes")
    op.drop_column("store_changes", "changed_at")
    op.drop_column("store_changes", "relation")  # and with it the primary key
    op.create_primary_key("store_changes_pkey", "store_changes", ["transaction"])
    op.execute(f"INSERT INTO store_changes (transaction) VALUES ({_NUMBER})")
