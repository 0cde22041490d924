"""Who fills partitions may copy them for a backup, and the audit has a token's holder where names are erased."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import text

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

_PARTITION = """
CREATE OR REPLACE PROCEDURE add_yearly_partition(parent text, year integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    name text := parent || '_' || lpad(year::text, 4, '0');
    role regrole;
BEGIN
    IF parent NOT IN ('bars', 'price_indicators', 'symbol_signals') OR year NOT BETWEEN 1 AND 9998 THEN
        RAISE invalid_parameter_value USING MESSAGE = format('%s has no partition for %s', parent, year);
    END IF;
    EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                   name, parent, make_date(year, 1, 1), make_date(year + 1, 1, 1));
    IF EXISTS (SELECT FROM pg_trigger
                WHERE tgrelid = quote_ident(name)::regclass AND tgname = 'store_changed') THEN
        RETURN;
    END IF;
    CALL let_partition_look(quote_ident(name)::regclass);
    -- {who}
    FOR role IN SELECT grantee FROM pg_class, aclexplode(relacl)
                 WHERE oid = quote_ident(parent)::regclass AND privilege_type = 'INSERT' AND grantee <> relowner LOOP
        EXECUTE format('GRANT {rights} ON %I TO %s', name, role);
    END LOOP;
END
$$
"""

# Whose a token is its own row says, where a name that was erased is a pseudonym already. Tokens stay for ever.
_HOLDERS = """
UPDATE audit SET behalf = nullif(held_by, who), what = regexp_replace(what, '(, to | of ).*$', '')
  FROM api_tokens
 WHERE action IN ('granted', 'revoked') AND what ~ '^token [^ ,]+(, [a-z]+, to | of )'
   AND token_id = substring(what FROM '^token ([^ ,]+)')
"""


def upgrade() -> None:
    """What logins may do with the partitions that there are is granted by warehouse/roles.py."""
    op.execute("SET LOCAL breadthflow.audit = 'open'")
    op.execute(_HOLDERS)
    _say_of_behalf("in whose name or about whom, where that is somebody else")
    who = "Whoever may add rows to the table may name the partition, and copy it for a backup."
    op.execute(_PARTITION.format(schema=_schema(), who=who, rights="SELECT, INSERT"))


def downgrade() -> None:
    """New partitions are their owner's to copy. What the audit says stays: names are put back nowhere."""
    _say_of_behalf("in whose name, where another one was given")
    who = "Whoever may add rows to the table may name the partition."
    op.execute(_PARTITION.format(schema=_schema(), who=who, rights="INSERT"))


def _say_of_behalf(comment: str) -> None:
    op.alter_column("audit", "behalf", existing_type=sa.Text(), comment=comment)


def _schema() -> str:
    return str(op.get_bind().scalar(text("SELECT quote_ident(current_schema())")))
