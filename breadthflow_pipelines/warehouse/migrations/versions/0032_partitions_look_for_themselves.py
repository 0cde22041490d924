"""Partitions have the triggers of their tables, so that rows can be written into them by their own names.

PostgreSQL writes many rows at a time into a partition, and one after another where the table that is named is divided
and has a trigger that sees what was written.
"""

from alembic import op
from sqlalchemy import text

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

_DIVIDED = ("bars", "price_indicators", "symbol_signals")
_OF_THE_TABLE = (
    "coalesce((SELECT relname FROM pg_inherits JOIN pg_class t ON t.oid = inhparent WHERE inhrelid = TG_RELID), "
    "TG_TABLE_NAME)"
)

_NOTE = """
CREATE OR REPLACE FUNCTION note_store_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO store_changes (transaction, relation) VALUES (pg_current_xact_id()::text::bigint, {relation})
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$
"""

_TRIGGERS = """
CREATE PROCEDURE let_partition_look(partition regclass)
LANGUAGE plpgsql AS $$
DECLARE
    event text;
BEGIN
    FOREACH event IN ARRAY ARRAY['insert', 'update'] LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER %s ON %s REFERENCING NEW TABLE AS written '
                       'FOR EACH STATEMENT EXECUTE FUNCTION known_securities()',
                       'known_securities_' || event, event, partition);
    END LOOP;
    EXECUTE format('CREATE OR REPLACE TRIGGER store_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION note_store_change()', partition);
END
$$
"""

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
{also}END
$$
"""
_ALSO = """    IF EXISTS (SELECT FROM pg_trigger
                WHERE tgrelid = quote_ident(name)::regclass AND tgname = 'store_changed') THEN
        RETURN;
    END IF;
    CALL let_partition_look(quote_ident(name)::regclass);
    -- Whoever may add rows to the table may name the partition.
    FOR role IN SELECT grantee FROM pg_class, aclexplode(relacl)
                 WHERE oid = quote_ident(parent)::regclass AND privilege_type = 'INSERT' AND grantee <> relowner LOOP
        EXECUTE format('GRANT INSERT ON %I TO %s', name, role);
    END LOOP;
"""


def upgrade() -> None:
    """Both run as the owner of the tables. What logins may do with partitions is granted by warehouse/roles.py."""
    op.execute(_NOTE.format(relation=_OF_THE_TABLE))
    op.execute(_TRIGGERS)
    op.execute("REVOKE ALL ON PROCEDURE let_partition_look(regclass) FROM PUBLIC")
    op.execute(_PARTITION.format(schema=_schema(), also=_ALSO))
    for partition in _partitions():
        op.execute(f"CALL let_partition_look('{partition}')")


def downgrade() -> None:
    """Rows that are written into a partition by its name are not looked at any more."""
    for partition in _partitions():
        for trigger in ("known_securities_insert", "known_securities_update", "store_changed"):
            op.execute(f"DROP TRIGGER {trigger} ON {partition}")
    op.execute(_PARTITION.format(schema=_schema(), also=""))
    op.execute("DROP PROCEDURE let_partition_look(regclass)")
    op.execute(_NOTE.format(relation="TG_TABLE_NAME"))


def _schema() -> str:
    return str(op.get_bind().scalar(text("SELECT quote_ident(current_schema())")))


def _partitions() -> list[str]:
    found = op.get_bind().execute(
        text(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = ANY(CAST(:tables AS regclass[])) "
            "ORDER BY 1"
        ),
        {"tables": list(_DIVIDED)},
    )
    return [str(name) for (name,) in found]
