"""Years of members' tables can be filled beside the table, and join it with keys and triggers in the same transaction.

Building a key of a full year takes half of the time that it takes to keep it while rows come in. And of figures no
statistics are gathered: nobody looks for a row by one of fifty.
"""

from alembic import op
from sqlalchemy import text

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

_DIVIDED = ("bars", "price_indicators", "symbol_signals")

_DEFINED = "LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp"

_CHECKED = """
    IF parent NOT IN ('price_indicators', 'symbol_signals') OR year NOT BETWEEN 1 AND 9998 THEN
        RAISE invalid_parameter_value USING MESSAGE = format('%s has no year %s apart', parent, year);
    END IF;
"""

_NO_STATISTICS = """
CREATE PROCEDURE gather_as_the_table(partition regclass)
LANGUAGE plpgsql AS $$
DECLARE
    changes text := (SELECT string_agg(format('ALTER COLUMN %I SET STATISTICS 0', attname), ', ')
                       FROM pg_attribute JOIN pg_inherits ON inhparent = attrelid
                      WHERE inhrelid = partition AND attstattarget = 0 AND attnum > 0 AND NOT attisdropped);
BEGIN
    IF changes IS NOT NULL THEN
        EXECUTE format('ALTER TABLE %s %s', partition, changes);
    END IF;
END
$$
"""

_LET_FILL = """    -- Whoever may add rows to the table may name the partition, and copy it for a backup.
    FOR role IN SELECT grantee FROM pg_class, aclexplode(relacl)
                 WHERE oid = quote_ident(parent)::regclass AND privilege_type = 'INSERT' AND grantee <> relowner LOOP
        EXECUTE format('GRANT SELECT, INSERT ON %I TO %s', name, role);
    END LOOP;
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
    IF EXISTS (SELECT FROM pg_trigger
                WHERE tgrelid = quote_ident(name)::regclass AND tgname = 'store_changed') THEN
        RETURN;
    END IF;
    CALL let_partition_look(quote_ident(name)::regclass);{also}
{let_fill}END
$$
"""
_ALSO = "\n    CALL gather_as_the_table(quote_ident(name)::regclass);"

_ADD = f"""
CREATE PROCEDURE add_year_apart(parent text, year integer)
{_DEFINED} AS $$
DECLARE
    name text := parent || '_' || lpad(year::text, 4, '0');
    role regrole;
BEGIN{_CHECKED}
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS, '
                   'CONSTRAINT year_apart CHECK (session >= %L AND session < %L))',
                   name, parent, make_date(year, 1, 1), make_date(year + 1, 1, 1));
{_LET_FILL}END
$$
"""

_CLOSE = f"""
CREATE PROCEDURE close_years_apart(parent text, years integer[])
{_DEFINED} AS $$
DECLARE
    year integer;
    apart text;
    whose bigint[];
    stranger bigint;
    defined text;
BEGIN
    FOREACH year IN ARRAY years LOOP{_CHECKED}
        apart := parent || '_' || lpad(year::text, 4, '0');
        -- As known_securities() does for each statement.
        EXECUTE format('SELECT array_agg(security_id) FROM (SELECT DISTINCT security_id FROM %I) w', apart) INTO whose;
        PERFORM FROM securities WHERE security_id = ANY(whose) FOR KEY SHARE;
        SELECT one INTO stranger FROM unnest(whose) AS one
         WHERE NOT EXISTS (SELECT FROM securities WHERE security_id = one) LIMIT 1;
        IF stranger IS NOT NULL THEN
            RAISE foreign_key_violation USING MESSAGE = format('%s: there is no security %s', apart, stranger);
        END IF;
        FOR defined IN SELECT pg_get_constraintdef(oid) FROM pg_constraint
                        WHERE conrelid = quote_ident(parent)::regclass AND contype = 'p' LOOP
            EXECUTE format('ALTER TABLE %I ADD %s', apart, defined);
        END LOOP;
        FOR defined IN SELECT substring(pg_get_indexdef(indexrelid) FROM ' USING .*$') FROM pg_index
                        WHERE indrelid = quote_ident(parent)::regclass AND NOT indisprimary LOOP
            EXECUTE format('CREATE INDEX ON %I%s', apart, defined);
        END LOOP;
    END LOOP;
END
$$
"""

_JOIN = f"""
CREATE PROCEDURE join_years(parent text, years integer[])
{_DEFINED} AS $$
DECLARE
    year integer;
    apart text;
BEGIN
    FOREACH year IN ARRAY years LOOP{_CHECKED}
        apart := parent || '_' || lpad(year::text, 4, '0');
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                       parent, apart, make_date(year, 1, 1), make_date(year + 1, 1, 1));
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT year_apart', apart);
        CALL let_partition_look(quote_ident(apart)::regclass);
        CALL gather_as_the_table(quote_ident(apart)::regclass);
    END LOOP;
    INSERT INTO store_changes (transaction, relation) VALUES (pg_current_xact_id()::text::bigint, parent)
    ON CONFLICT DO NOTHING;
END
$$
"""

_ROUTINES = (
    "add_year_apart(text, integer)",
    "close_years_apart(text, integer[])",
    "join_years(text, integer[])",
)


def upgrade() -> None:
    """All run as the owner of the tables. Who may call them is granted by warehouse/roles.py."""
    op.execute(_NO_STATISTICS)
    op.execute("REVOKE ALL ON PROCEDURE gather_as_the_table(regclass) FROM PUBLIC")
    for procedure in (_ADD, _CLOSE, _JOIN):
        op.execute(procedure.format(schema=_schema()))
    for routine in _ROUTINES:
        op.execute(f"REVOKE ALL ON PROCEDURE {routine} FROM PUBLIC")
    op.execute(_PARTITION.format(schema=_schema(), also=_ALSO, let_fill=_LET_FILL))
    _gather(0)


def downgrade() -> None:
    """Rows are written into partitions alone, and statistics are gathered of all columns."""
    _gather(-1)
    op.execute(_PARTITION.format(schema=_schema(), also="", let_fill=_LET_FILL))
    for routine in _ROUTINES:
        op.execute(f"DROP PROCEDURE {routine}")
    op.execute("DROP PROCEDURE gather_as_the_table(regclass)")


def _gather(target: int) -> None:
    """How much of figures statistics say, of the tables with all their partitions; -1: as much as of other columns."""
    for table in _DIVIDED:
        found = op.get_bind().execute(
            text(
                "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = CAST(:name AS regclass) "
                "AND atttypid = 'double precision'::regtype AND attnum > 0 AND NOT attisdropped"
            ),
            {"name": table},
        )
        changes = ", ".join(f"ALTER COLUMN {name} SET STATISTICS {target}" for (name,) in found)
        if changes:
            op.execute(f"ALTER TABLE {table} {changes}")


def _schema() -> str:
    return str(op.get_bind().scalar(text("SELECT quote_ident(current_schema())")))
