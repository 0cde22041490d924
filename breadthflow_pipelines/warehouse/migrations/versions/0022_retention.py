"""What was dropped because it was old, and dropping old rows of the audit."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import text

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_FORGET = """
CREATE FUNCTION forget_audit(days integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    gone bigint;
BEGIN
    IF days IS NULL OR days < 90 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'audit is kept for 90 days at least';
    END IF;
    PERFORM set_config('breadthflow.audit', 'open', true);
    DELETE FROM audit WHERE done_at < now() - make_interval(days => days);
    GET DIAGNOSTICS gone = ROW_COUNT;
    PERFORM set_config('breadthflow.audit', '', true);
    RETURN gone;
END
$$
"""


def upgrade() -> None:
    """Nothing was dropped so far. The function runs as the owner, and is granted by warehouse/roles.py."""
    op.create_table(
        "retentions",
        sa.Column("relation", sa.Text(), nullable=False, comment="the table"),
        sa.Column(
            "dropped_before",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="rows that were over before this moment were dropped",
        ),
        sa.Column(
            "dropped_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when last",
        ),
        sa.PrimaryKeyConstraint("relation", name=op.f("retentions_pkey")),
        comment="From which tables old rows were dropped, and how old they were",
    )
    op.execute(_FORGET.format(schema=op.get_bind().scalar(text("SELECT quote_ident(current_schema())"))))
    op.execute("REVOKE ALL ON FUNCTION forget_audit(integer) FROM PUBLIC")


def downgrade() -> None:
    """What was dropped stays gone."""
    op.execute("DROP FUNCTION forget_audit(integer)")
    op.drop_table("retentions")
