"""Signals with what their rules' records were then, for whoever reads with SQL: two views."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_RECORD = "r.record_hit_rate, r.record_base_rate, r.record_n, r.verdict"
_OF_UNIVERSES = f"""
CREATE VIEW signals_with_record AS
SELECT s.signal_id, s.universe, s.segment, s.session, s.rule, s.action, s.confidence, s.value, s.threshold,
       s.calibrated, s.state, s.convention, s.evidence, {_RECORD}
  FROM market_signals s LEFT JOIN signal_records r USING (signal_id);
COMMENT ON VIEW signals_with_record IS
    'Market signals, each with what the record of its rule was then, as breadthflow signals prints them'
"""
_OF_MEMBERS = f"""
CREATE VIEW symbol_signals_with_record AS
SELECT s.universe, n.symbol, s.session, s.security_id, s.action, s.confidence, s.strength, s.regime, s.gated,
       s.convention{{votes}}, {_RECORD}, securities.synthetic
  FROM symbol_signals s
  JOIN security_symbols n ON n.security_id = s.security_id AND daterange(n.valid_from, n.valid_to) @> s.session
  JOIN securities ON securities.security_id = s.security_id
  LEFT JOIN symbol_records r ON r.rule = 'combined' AND r.universe = s.universe AND r.action = s.action
       AND r.month = date_trunc('month', s.session)::date;
COMMENT ON VIEW symbol_signals_with_record IS
    'Signals of members under the symbols of then, each with what the record of such signals was before the month'
"""
_OWN = {
    *("universe", "session", "security_id", "action", "confidence", "strength", "regime", "gated"),
    *("convention", "computed_at"),
}


def upgrade() -> None:
    """The second with whatever votes the store has."""
    found = op.get_bind().execute(
        sa.text(
            "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = 'symbol_signals'::regclass AND attnum > 0 "
            "AND NOT attisdropped ORDER BY attnum"
        )
    )
    votes = "".join(f", s.{name}" for (name,) in found if name not in _OWN)
    op.execute(_OF_UNIVERSES)
    op.execute(_OF_MEMBERS.format(votes=votes))


def downgrade() -> None:
    """What they show stays in its tables."""
    op.execute("DROP VIEW symbol_signals_with_record; DROP VIEW signals_with_record")
