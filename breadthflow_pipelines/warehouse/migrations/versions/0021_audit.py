"""Who did what, when and from where: rows that come and stay."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_ACTIONS = "'launched', 'released', 'confirmed', 'accepted', 'withdrawn', 'restored', 'exported', 'erased', 'forgotten'"

_STAYS = """
CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('breadthflow.audit', true) IS DISTINCT FROM 'open' THEN
        RAISE insufficient_privilege USING MESSAGE = 'audit is append-only';
    END IF;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    """Nothing is known of what was done before."""
    op.create_table(
        "audit",
        sa.Column(
            "audit_id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="in the order in which things were done",
        ),
        sa.Column(
            "done_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment="when"
        ),
        sa.Column("who", sa.Text(), nullable=True, comment="the user; null: not known, or no person"),
        sa.Column("behalf", sa.Text(), nullable=True, comment="in whose name, where another one was given"),
        sa.Column("action", sa.Text(), nullable=False, comment="what was done"),
        sa.Column("what", sa.Text(), nullable=False, comment="to what"),
        sa.Column("reason", sa.Text(), nullable=True, comment="why, where it was asked for"),
        sa.Column("run_id", sa.Text(), nullable=True, comment="the run that was launched"),
        sa.Column("via", sa.Text(), nullable=False, comment="command, ui, or what launches runs by itself"),
        sa.Column("host", sa.Text(), nullable=False, comment="the machine or container"),
        sa.Column(
            "login",
            sa.Text(),
            server_default=sa.text("SESSION_USER"),
            nullable=False,
            comment="the database's login, as the server knows it",
        ),
        sa.CheckConstraint(f"action IN ({_ACTIONS})", name=op.f("audit_action_known")),
        sa.PrimaryKeyConstraint("audit_id", name=op.f("audit_pkey")),
        comment="Who launched, decided, restored or erased what, when and from where; rows are added and stay",
    )
    op.execute(_STAYS)
    op.execute(
        "CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_stays()"
    )


def downgrade() -> None:
    """What was written down is lost."""
    op.drop_table("audit")
    op.execute("DROP FUNCTION audit_stays()")
