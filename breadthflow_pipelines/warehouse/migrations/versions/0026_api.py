"""Tokens of the API, and which transactions changed what it shows."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_BEFORE = "'launched', 'released', 'confirmed', 'accepted', 'withdrawn', 'restored', 'exported', 'erased', 'forgotten'"
_SHOWN = (
    *("securities", "security_symbols", "universe_members", "bars", "rejected_bars", "quarantined_bars", "verdicts"),
    *("holds", "hole_decisions", "exchange_breadth", "rejected_counts", "breadth_counts", "breadth_indicators"),
    *("breadth_revisions", "retentions", "price_indicators", "symbol_signals", "symbol_records", "market_signals"),
    *("signal_records", "signal_outcomes", "signal_accuracy", "backtests"),
)

# One row for each transaction, however many statements it has; nobody waits for another one's.
_NOTE = """
CREATE FUNCTION note_store_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO store_changes (transaction) VALUES (pg_current_xact_id()::text::bigint) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    """No token is known at first, and no change."""
    op.create_table(
        "api_tokens",
        sa.Column("token_id", sa.Text(), nullable=False, comment="the part of the token that is no secret"),
        sa.Column("held_by", sa.Text(), nullable=False, comment="whose it is; the audit has it as who"),
        sa.Column("role", sa.Text(), nullable=False, comment="viewer: reads; operator: also starts and ends runs"),
        sa.Column("secret_hash", sa.Text(), nullable=False, comment="Argon2 hash of the rest of the token"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it was made",
        ),
        sa.Column("created_by", sa.Text(), nullable=False, comment="by whom"),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="from when on it is refused; null: never",
        ),
        sa.Column(
            "revoked_at", sa.DateTime(timezone=True), nullable=True, comment="when it was revoked; null: it was not"
        ),
        sa.Column("revoked_by", sa.Text(), nullable=True, comment="by whom"),
        sa.Column(
            "last_used_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when it last let someone in, to a minute",
        ),
        sa.CheckConstraint("role IN ('viewer', 'operator')", name=op.f("api_tokens_role_known")),
        sa.CheckConstraint("(revoked_at IS NULL) = (revoked_by IS NULL)", name=op.f("api_tokens_revocation_is_signed")),
        sa.PrimaryKeyConstraint("token_id", name=op.f("api_tokens_pkey")),
        comment="Tokens of the API; only their holders know their secrets",
    )
    op.create_table(
        "store_changes",
        sa.Column(
            "transaction",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="the server's number of a transaction that changed what the API shows",
        ),
        sa.PrimaryKeyConstraint("transaction", name=op.f("store_changes_pkey")),
        comment="What answers of the API are dated by; a trigger of each table that it shows writes them",
    )
    op.execute(_NOTE)
    for table in _SHOWN:
        op.execute(
            f"CREATE TRIGGER store_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION note_store_change()"
        )
    _let_audit_say(f"{_BEFORE}, 'granted', 'revoked'")


def downgrade() -> None:
    """Tokens are lost, and what was written down of them."""
    op.execute("SET LOCAL breadthflow.audit = 'open'")
    op.execute("DELETE FROM audit WHERE action IN ('granted', 'revoked')")
    _let_audit_say(_BEFORE)
    for table in _SHOWN:
        op.execute(f"DROP TRIGGER store_changed ON {table}")
    op.execute("DROP FUNCTION note_store_change()")
    op.drop_table("store_changes")
    op.drop_table("api_tokens")


def _let_audit_say(actions: str) -> None:
    op.drop_constraint(op.f("audit_action_known"), "audit", type_="check")
    op.create_check_constraint(op.f("audit_action_known"), "audit", f"action IN ({actions})")
