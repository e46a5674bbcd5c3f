"""Which version of the disclosure a signer has accepted: until now there was one."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.add_column("signatures", sa.Column("disclosure_version", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE signatures SET disclosure_version = 1 WHERE disclosure_time IS NOT NULL")
