"""Bars that cannot be right are left out: what was found, what was decided, and the view without them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SOUND = """
CREATE VIEW sound_bars AS
    SELECT * FROM bars b WHERE NOT EXISTS (
        SELECT FROM quarantined_bars q
         WHERE q.security_id = b.security_id AND q.session = b.session AND q.status IN ('quarantined', 'confirmed'));
COMMENT ON VIEW sound_bars IS 'The bars that everything is computed from: without those in quarantine'
"""


def upgrade() -> None:
    """Make room for findings; the next run looks at every bar there is."""
    op.create_table(
        "quarantined_bars",
        sa.Column("security_id", sa.BigInteger(), nullable=False, comment="whose bar"),
        sa.Column("session", sa.Date(), nullable=False, comment="which session"),
        sa.Column("rule", sa.Text(), nullable=False, comment="the rule that speaks against it"),
        sa.Column("evidence", postgresql.JSONB(), nullable=False, comment="what the rule saw"),
        sa.Column(
            "fingerprint",
            sa.Text(),
            nullable=False,
            comment="of the bar's values: a decision holds for these and no others",
        ),
        sa.Column(
            "status",
            sa.Text(),
            nullable=False,
            comment="quarantined, confirmed: left out; proposed, released, lapsed: not",
        ),
        sa.Column(
            "run_id",
            sa.Text(),
            nullable=True,
            comment="the run that brought the status about; null: somebody decided it",
        ),
        sa.Column(
            "found_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the rule first found these values",
        ),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True, comment="when somebody decided"),
        sa.Column("decided_by", sa.Text(), nullable=True, comment="who"),
        sa.Column("reason", sa.Text(), nullable=True, comment="and why"),
        sa.CheckConstraint(
            "status IN ('proposed', 'quarantined', 'released', 'confirmed', 'lapsed')",
            name=op.f("quarantined_bars_status_known"),
        ),
        sa.CheckConstraint(
            "(status IN ('released', 'confirmed')) = (num_nonnulls(decided_at, decided_by, reason) = 3) "
            "AND num_nonnulls(decided_at, decided_by, reason) IN (0, 3)",
            name=op.f("quarantined_bars_decision_is_signed"),
        ),
        sa.ForeignKeyConstraint(
            ["security_id"], ["securities.security_id"], name=op.f("quarantined_bars_security_id_fkey")
        ),
        sa.PrimaryKeyConstraint("security_id", "session", "rule", name=op.f("quarantined_bars_pkey")),
        comment="Bars that keep their contract and cannot be right: by which rule, on what evidence, "
        "and who decided what",
    )
    op.execute(_SOUND)


def downgrade() -> None:
    """Every bar is sound again."""
    op.execute("DROP VIEW sound_bars")
    op.drop_table("quarantined_bars")
