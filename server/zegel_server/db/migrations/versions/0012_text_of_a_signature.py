"""How much text each signer has filled in, because a request's stamps are limited in total."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("signatures", sa.Column("text_length", sa.BigInteger(), nullable=False, server_default="0"))
