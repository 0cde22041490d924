"""One file per version; Alembic runs them in order."""
