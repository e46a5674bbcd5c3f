"""How much text each signer has filled in, for a request's stamps hold so much together."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("signatures", sa.Column("text_length", sa.BigInteger(), nullable=False, server_default="0"))
