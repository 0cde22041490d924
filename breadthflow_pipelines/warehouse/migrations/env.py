"""Runs the migrations on the connection that database.py hands over; has no configuration file of its own."""

from alembic import context

from breadthflow_pipelines.warehouse.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, transaction_per_migration=True
)
with context.begin_transaction():
    context.run_migrations()
