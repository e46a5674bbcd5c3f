"""When a document was purged."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.add_column("documents", sa.Column("end_time", sa.BigInteger()))
    # A purged document changes no more, except that a merged one moves with its request: the nearest that is known.
    op.execute("UPDATE documents SET end_time = update_time WHERE state = 'PURGED'")
