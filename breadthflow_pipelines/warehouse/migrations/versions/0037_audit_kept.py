"""Pipelines drop old rows of the audit only as far as the owner lets them, and whoever does so is written down."""

from alembic import op
from sqlalchemy import text

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

_DEFINED = """
CREATE OR REPLACE FUNCTION forget_audit(days integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    kept integer := days;
    gone bigint;
BEGIN
    IF kept IS NULL OR kept < 90 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'audit is kept for 90 days at least';
    END IF;
{body}
    RETURN gone;
END
$$
"""

_DELETE = """
    PERFORM set_config('breadthflow.audit', 'open', true);
    DELETE FROM audit WHERE done_at < now() - make_interval(days => kept);
    GET DIAGNOSTICS gone = ROW_COUNT;
    PERFORM set_config('breadthflow.audit', '', true);
"""

_AS_THE_OWNER_LETS = (
    """
    IF NOT pg_has_role(session_user, (SELECT relowner FROM pg_class WHERE oid = 'audit'::regclass), 'MEMBER') THEN
        kept := greatest(kept, audit_days());
    END IF;
"""
    + _DELETE
    + """
    IF gone > 0 THEN
        INSERT INTO audit (action, what, via, host)
        VALUES ('forgotten', format('%s rows older than %s days', gone, kept), 'retention',
                coalesce(host(inet_client_addr()), 'local'));
    END IF;
"""
)


def upgrade() -> None:
    """warehouse/roles.py grants it, and says how much is kept, at every upgrade."""
    op.execute("CREATE FUNCTION audit_days() RETURNS integer LANGUAGE sql RETURN NULL::integer")
    _define(_AS_THE_OWNER_LETS)


def downgrade() -> None:
    """Whoever may call it says how much is kept."""
    _define(_DELETE)
    op.execute("DROP FUNCTION audit_days()")


def _define(body: str) -> None:
    schema = op.get_bind().scalar(text("SELECT quote_ident(current_schema())"))
    op.execute(_DEFINED.format(schema=schema, body=body))
