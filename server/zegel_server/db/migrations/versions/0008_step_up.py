"""The permissions that tenants call sensitive, and when the principal of a session authenticated."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("tenants", sa.Column("sensitive", sa.Text(), nullable=False, server_default=""))
    op.add_column("sessions", sa.Column("auth_time", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE sessions SET auth_time = create_time")
