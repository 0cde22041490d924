"""What those who listen are told: events in their order, those that wait for their number, and requests of runs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_ACTIONS = (
    "'launched', 'released', 'confirmed', 'accepted', 'withdrawn', 'restored', 'exported', 'erased', 'forgotten', "
    "'granted', 'revoked'"
)
_KINDS = "'run_queued', 'run_started', 'run_progress', 'run_finished', 'check_failed', 'new_session', 'new_signals'"

# Whoever listens looks for what is new; the payload says nothing, so that many notices of one transaction are one. A
# statement that inserts nothing wakes nobody: those who are woken give numbers by such a statement.
_TELL = """
CREATE FUNCTION tell_of_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added) THEN
        PERFORM pg_notify('breadthflow_events', '');
    END IF;
    RETURN NULL;
END
$$
"""

_SYNTHETIC = (
    "EXISTS (SELECT FROM universe_members m JOIN securities s USING (security_id) "
    "WHERE m.universe = n.universe AND s.synthetic)"
)

# One event for each universe, however many rows came.
_SESSIONS = f"""
CREATE FUNCTION note_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO pending_events (kind, about)
    SELECT 'new_session', jsonb_build_object('universe', universe, 'session', newest, 'first', oldest,
                                             'sessions', sessions, 'synthetic', {_SYNTHETIC})
      FROM (SELECT universe, max(session) AS newest, min(session) AS oldest, count(*) AS sessions
              FROM added WHERE segment = 'ALL' GROUP BY universe) n ORDER BY universe;
    RETURN NULL;
END
$$
"""

_SIGNALS = f"""
CREATE FUNCTION note_signals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO pending_events (kind, about)
    SELECT 'new_signals', jsonb_build_object('universe', universe, 'session', newest, 'first', oldest,
                                             'signals', signals, 'newest', said, 'synthetic', {_SYNTHETIC})
      FROM (SELECT universe, max(session) AS newest, min(session) AS oldest, count(*) AS signals
              FROM added WHERE segment = 'ALL' GROUP BY universe) n
      CROSS JOIN LATERAL (
          SELECT jsonb_agg(jsonb_build_object('signal_id', signal_id, 'rule', rule, 'action', action,
                                              'confidence', confidence, 'state', state) ORDER BY rule) AS said
            FROM added a WHERE a.universe = n.universe AND a.segment = 'ALL' AND a.session = newest) latest
     ORDER BY universe;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    """Events begin with what comes from now on."""
    op.create_table(
        "events",
        sa.Column(
            "event_id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="in the order in which listeners get them; given under a lock, so that none appears below another",
        ),
        sa.Column("kind", sa.Text(), nullable=False, comment="what happened"),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False, comment="when"),
        sa.Column("about", postgresql.JSONB(), nullable=False, comment="what it is about"),
        sa.Column(
            "dagster_id", sa.BigInteger(), nullable=True, comment="its entry in Dagster's log; null: the store's"
        ),
        sa.CheckConstraint(f"kind IN ({_KINDS})", name=op.f("events_kind_known")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("events_pkey")),
        sa.UniqueConstraint("dagster_id", name=op.f("events_dagster_id_key")),
        comment="What listeners were told, or will be when they ask: runs, failed checks, new sessions and signals",
    )
    op.create_index("events_by_time", "events", ["happened_at"])
    op.create_table(
        "pending_events",
        sa.Column(
            "pending_id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="no order that listeners could rely on: others with lower ones may be committed later",
        ),
        sa.Column("kind", sa.Text(), nullable=False, comment="what happened"),
        sa.Column(
            "happened_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment="when"
        ),
        sa.Column("about", postgresql.JSONB(), nullable=False, comment="what it is about"),
        sa.CheckConstraint(f"kind IN ({_KINDS})", name=op.f("pending_events_kind_known")),
        sa.PrimaryKeyConstraint("pending_id", name=op.f("pending_events_pkey")),
        comment="Events of the store, written with what they tell of, that have no number yet",
    )
    op.create_table(
        "event_marks",
        sa.Column("mark", sa.Text(), nullable=False, comment="read: of Dagster's log; dropped: of events"),
        sa.Column("reached", sa.BigInteger(), nullable=False, comment="all up to this number are read, or dropped"),
        sa.CheckConstraint("mark IN ('read', 'dropped')", name=op.f("event_marks_mark_known")),
        sa.PrimaryKeyConstraint("mark", name=op.f("event_marks_pkey")),
        comment="How far Dagster's log was read for events, and up to which number old events were dropped",
    )
    op.create_table(
        "run_requests",
        sa.Column("request_id", sa.Text(), nullable=False, comment="random; a tag of the run that was launched for it"),
        sa.Column("who", sa.Text(), nullable=True, comment="the user; null where nobody has to say"),
        sa.Column("key_hash", sa.Text(), nullable=True, comment="of the user and the idempotency key, where one came"),
        sa.Column("body_hash", sa.Text(), nullable=False, comment="of what was requested"),
        sa.Column(
            "asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment="when"
        ),
        sa.Column("run_id", sa.Text(), nullable=True, comment="the run that answers it; null: none was launched yet"),
        sa.PrimaryKeyConstraint("request_id", name=op.f("run_requests_pkey")),
        sa.UniqueConstraint("key_hash", name=op.f("run_requests_key_hash_key")),
        comment="Runs that were requested by API, so that a request that is sent again starts no second run",
    )
    op.drop_constraint("audit_action_known", "audit")
    op.create_check_constraint(op.f("audit_action_known"), "audit", f"action IN ({_ACTIONS}, 'ended')")
    op.execute(_TELL)
    for table in ("events", "pending_events"):
        op.execute(
            f"CREATE TRIGGER {table}_told AFTER INSERT ON {table} REFERENCING NEW TABLE AS added "
            "FOR EACH STATEMENT EXECUTE FUNCTION tell_of_events()"
        )
    for function, table, body in (
        ("note_sessions", "breadth_indicators", _SESSIONS),
        ("note_signals", "market_signals", _SIGNALS),
    ):
        op.execute(body)
        op.execute(
            f"CREATE TRIGGER {function} AFTER INSERT ON {table} REFERENCING NEW TABLE AS added "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
        )


def downgrade() -> None:
    """Nobody is told of anything any more."""
    op.execute("DROP TRIGGER note_sessions ON breadth_indicators")
    op.execute("DROP TRIGGER note_signals ON market_signals")
    for table in ("run_requests", "event_marks", "pending_events", "events"):
        op.drop_table(table)
    for function in ("note_sessions", "note_signals", "tell_of_events"):
        op.execute(f"DROP FUNCTION {function}()")
    op.execute("SET LOCAL breadthflow.audit = 'open'")
    op.execute("DELETE FROM audit WHERE action = 'ended'")
    op.drop_constraint("audit_action_known", "audit")
    op.create_check_constraint(op.f("audit_action_known"), "audit", f"action IN ({_ACTIONS})")
