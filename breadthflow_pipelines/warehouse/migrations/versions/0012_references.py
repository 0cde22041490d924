"""Bars and what is computed of each member refer to securities by one look for each statement."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_REFERRING = ("bars", "price_indicators", "symbol_signals")

_KNOWN_SECURITIES = """
CREATE FUNCTION known_securities() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    stranger bigint;
BEGIN
    -- Nobody deletes them before this transaction ends.
    PERFORM FROM securities WHERE security_id IN (SELECT security_id FROM written) FOR KEY SHARE;
    SELECT security_id INTO stranger FROM (SELECT DISTINCT security_id FROM written) w
     WHERE NOT EXISTS (SELECT FROM securities s WHERE s.security_id = w.security_id) LIMIT 1;
    IF FOUND THEN
        RAISE foreign_key_violation USING MESSAGE = format('%s: there is no security %s', TG_TABLE_NAME, stranger);
    END IF;
    RETURN NULL;
END
$$
"""

_SECURITIES_WITHOUT_BARS = """
CREATE FUNCTION securities_without_bars() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    used bigint;
BEGIN
    SELECT security_id INTO used FROM removed r
     WHERE NOT EXISTS (SELECT FROM securities s WHERE s.security_id = r.security_id)
       AND EXISTS (SELECT FROM bars b WHERE b.security_id = r.security_id) LIMIT 1;
    IF FOUND THEN
        RAISE foreign_key_violation USING MESSAGE = format('security %s has bars', used);
    END IF;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    """Every row that is stored had a foreign key, so none has to be looked at."""
    op.execute(_KNOWN_SECURITIES)
    op.execute(_SECURITIES_WITHOUT_BARS)
    for table in _REFERRING:
        op.drop_constraint(f"{table}_security_id_fkey", table)
        for event in ("INSERT", "UPDATE"):
            op.execute(
                f"CREATE TRIGGER known_securities_{event.lower()} AFTER {event} ON {table} "
                "REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION known_securities()"
            )
    for event in ("DELETE", "UPDATE"):
        op.execute(
            f"CREATE TRIGGER securities_without_bars_{event.lower()} AFTER {event} ON securities "
            "REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION securities_without_bars()"
        )


def downgrade() -> None:
    """Foreign keys again, which look at every row that is stored."""
    for event in ("delete", "update"):
        op.execute(f"DROP TRIGGER securities_without_bars_{event} ON securities")
    for table in _REFERRING:
        for event in ("insert", "update"):
            op.execute(f"DROP TRIGGER known_securities_{event} ON {table}")
        op.create_foreign_key(op.f(f"{table}_security_id_fkey"), table, "securities", ["security_id"], ["security_id"])
    op.execute("DROP FUNCTION known_securities()")
    op.execute("DROP FUNCTION securities_without_bars()")
