"""Alembic's entry: runs the migrations on the connection that ``zegel_server.db.migrate`` passes in."""

from alembic import context

from zegel_server.db.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
