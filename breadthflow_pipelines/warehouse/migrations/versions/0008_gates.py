"""What checks said of each month, what must not be built on, and what people decided of that."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_NOW = sa.text("now()")

_VIEWS = """
CREATE VIEW accepted_holes AS
    SELECT * FROM hole_decisions d
     WHERE decision = 'accepted' AND NOT EXISTS (
        SELECT FROM hole_decisions later
         WHERE (later.gate, later.universe, later.synthetic, later.session)
               = (d.gate, d.universe, d.synthetic, d.session) AND later.decision_id > d.decision_id);
COMMENT ON VIEW accepted_holes IS 'Holes that somebody accepted, by the decision that stands';
CREATE VIEW holding AS
    SELECT * FROM holds h
     WHERE NOT EXISTS (
        SELECT FROM accepted_holes a
         WHERE (a.gate, a.universe, a.synthetic, a.session) = (h.gate, h.universe, h.synthetic, h.session)
           AND h.missing <= a.missing + 0.000001);
COMMENT ON VIEW holding IS 'Holds that nobody accepted, or of which more is missing than was accepted'
"""


def _hole() -> "list[sa.Column[Any]]":
    return [
        sa.Column("gate", sa.Text(), nullable=False, comment="the check that found it"),
        sa.Column(
            "universe",
            sa.Text(),
            nullable=False,
            comment="whom it holds; *: every universe that is made of the bars",
        ),
        sa.Column(
            "synthetic",
            sa.Boolean(),
            nullable=False,
            comment="with *: whether the bars are those of invented companies",
        ),
        sa.Column("session", sa.Date(), nullable=False, comment="the first session that must not be built on"),
        sa.Column("missing", sa.Double(), nullable=False, comment="the share of what should be there that is not"),
    ]


def upgrade() -> None:
    """Nothing is known of any month; the next run judges what is stored."""
    op.create_table(
        "verdicts",
        sa.Column("asset", sa.Text(), nullable=False, comment="what was judged"),
        sa.Column("check_name", sa.Text(), nullable=False, comment="by which check"),
        sa.Column("month", sa.Text(), nullable=False, comment="which month of it, as YYYY-MM; all: the whole table"),
        sa.Column("severity", sa.Text(), nullable=False, comment="error or warn: what a failure of the check means"),
        sa.Column(
            "failing",
            sa.BigInteger(),
            nullable=False,
            comment="sessions of the month that fail, or rows; 0: it passes",
        ),
        sa.Column(
            "first_session",
            sa.Date(),
            nullable=True,
            comment="the first session that fails; null: none, or not known",
        ),
        sa.Column("last_session", sa.Date(), nullable=True, comment="the last one"),
        sa.Column("said", sa.Text(), nullable=True, comment="what is wrong, in words; null: nothing"),
        sa.Column("since", _TIME, server_default=_NOW, nullable=False, comment="since when it passes, or fails"),
        sa.Column("judged_at", _TIME, server_default=_NOW, nullable=False, comment="when it was judged last"),
        sa.Column(
            "run_id",
            sa.Text(),
            nullable=True,
            comment="by which run; null: by a command that decided something",
        ),
        sa.CheckConstraint("severity IN ('error', 'warn')", name=op.f("verdicts_severity_known")),
        sa.CheckConstraint(
            "failing >= 0 AND (failing > 0) = (said IS NOT NULL)", name=op.f("verdicts_says_what_fails")
        ),
        sa.PrimaryKeyConstraint("asset", "check_name", "month", name=op.f("verdicts_pkey")),
        comment="What each check last said of each month: a check passes where no month that was ever judged fails",
    )
    op.create_table(
        "holds",
        *_hole(),
        sa.Column("said", sa.Text(), nullable=False, comment="the figure, in words"),
        sa.Column("since", _TIME, server_default=_NOW, nullable=False, comment="when it was found"),
        sa.Column("run_id", sa.Text(), nullable=False, comment="the run that found it"),
        sa.Column("tried_at", _TIME, nullable=True, comment="when its bars were last asked for; null: not yet"),
        sa.CheckConstraint("missing BETWEEN 0 AND 1", name=op.f("holds_missing_range")),
        sa.PrimaryKeyConstraint("gate", "universe", "synthetic", "session", name=op.f("holds_pkey")),
        comment="What must not be built on; the view holding has those that nobody accepted",
    )
    op.create_table(
        "hole_decisions",
        sa.Column(
            "decision_id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="in the order of decisions",
        ),
        *_hole(),
        sa.Column(
            "decision",
            sa.Text(),
            nullable=False,
            comment="accepted; withdrawn: somebody took that back; lapsed: the hole is no more",
        ),
        sa.Column("decided_at", _TIME, server_default=_NOW, nullable=False, comment="when"),
        sa.Column("decided_by", sa.Text(), nullable=False, comment="who, or which run"),
        sa.Column("reason", sa.Text(), nullable=False, comment="why"),
        sa.CheckConstraint(
            "decision IN ('accepted', 'withdrawn', 'lapsed')", name=op.f("hole_decisions_decision_known")
        ),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("hole_decisions_pkey")),
        comment="Every decision on a hole; the last one counts, for no more than was missing then",
    )
    op.execute(_VIEWS)


def downgrade() -> None:
    """Forget what was judged and decided."""
    op.execute("DROP VIEW holding")
    op.execute("DROP VIEW accepted_holes")
    op.drop_table("hole_decisions")
    op.drop_table("holds")
    op.drop_table("verdicts")
