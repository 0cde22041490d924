"""What a login that does not own the tables needs done to them: partitions for new years, and first statistics."""

from alembic import op
from sqlalchemy import text

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_PARTITION = """
CREATE PROCEDURE add_yearly_partition(parent text, year integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
BEGIN
    IF parent NOT IN ('bars', 'price_indicators', 'symbol_signals') OR year NOT BETWEEN 1 AND 9998 THEN
        RAISE invalid_parameter_value USING MESSAGE = format('%s has no partition for %s', parent, year);
    END IF;
    EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                   parent || '_' || lpad(year::text, 4, '0'), parent, make_date(year, 1, 1), make_date(year + 1, 1, 1));
END
$$
"""

_STATISTICS = """
CREATE PROCEDURE analyze_new(relation text, columns text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    new_table regclass;
    names text := (SELECT string_agg(quote_ident(name), ', ') FROM unnest(columns) AS name);
BEGIN
    FOR new_table IN
        SELECT oid FROM pg_class
         WHERE reltuples < 0 AND relkind = 'r'
           AND (oid = relation::regclass
                OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = relation::regclass))
         ORDER BY oid::regclass::text
    LOOP
        EXECUTE format('ANALYZE %s (%s)', new_table, names);
    END LOOP;
END
$$
"""


def upgrade() -> None:
    """Both run as the owner of the tables. Who may call them is granted by warehouse/roles.py."""
    schema = op.get_bind().scalar(text("SELECT quote_ident(current_schema())"))
    for procedure in (_PARTITION, _STATISTICS):
        op.execute(procedure.format(schema=schema))
    op.execute("REVOKE ALL ON PROCEDURE add_yearly_partition(text, integer) FROM PUBLIC")
    op.execute("REVOKE ALL ON PROCEDURE analyze_new(text, text[]) FROM PUBLIC")


def downgrade() -> None:
    """The owner makes partitions and gathers statistics itself."""
    op.execute("DROP PROCEDURE analyze_new(text, text[])")
    op.execute("DROP PROCEDURE add_yearly_partition(text, integer)")
