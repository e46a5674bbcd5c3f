"""The time zone of a signature request's days, and of each signer's: empty where the request is from before."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0017"


def upgrade() -> None:
    for table in ("signature_requests", "signatures"):
        op.add_column(table, sa.Column("time_zone", sa.Text(), nullable=False, server_default=""))
