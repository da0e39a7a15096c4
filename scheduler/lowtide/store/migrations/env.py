"""Runs the migrations on the connection that ``lowtide.store.database`` hands over; never on its own."""

from alembic import context

from lowtide.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
