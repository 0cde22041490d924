"""Sessions of the page, and indexes by which it finds what was refused of some days."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_BY_SESSION = ("rejected_bars", "rejected_counts", "quarantined_bars", "bar_revisions")


def upgrade() -> None:
    """Nobody is logged in at first."""
    op.create_table(
        "page_sessions",
        sa.Column("session_hash", sa.Text(), nullable=False, comment="SHA-256 of what the browser holds"),
        sa.Column("token_id", sa.Text(), nullable=False, comment="the token that was shown"),
        sa.Column(
            "began_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when that was",
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False, comment="from when on it is refused"),
        sa.ForeignKeyConstraint(["token_id"], ["api_tokens.token_id"], name=op.f("page_sessions_token_id_fkey")),
        sa.PrimaryKeyConstraint("session_hash", name=op.f("page_sessions_pkey")),
        comment="Who is logged in to the page; only browsers know what their sessions are called",
    )
    for table in _BY_SESSION:
        op.create_index(f"{table}_of_session", table, ["session"])


def downgrade() -> None:
    """Everybody is logged out."""
    for table in _BY_SESSION:
        op.drop_index(f"{table}_of_session", table)
    op.drop_table("page_sessions")
