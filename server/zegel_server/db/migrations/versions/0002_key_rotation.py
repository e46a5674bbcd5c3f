"""Scopes of API keys, and their rotation with overlap."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("permissions", sa.Text(), nullable=False, server_default=""))
    op.add_column("api_keys", sa.Column("rotate_time", sa.BigInteger(), nullable=True))
    op.add_column("api_keys", sa.Column("previous_expire_time", sa.BigInteger(), nullable=True))
    op.add_column("api_keys", sa.Column("previous_use_time", sa.BigInteger(), nullable=True))
    op.create_table(
        "retired_tokens",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("api_key_id", sa.Text(), nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["api_key_id"], ["api_keys.api_key_id"], name=op.f("fk_retired_tokens_api_key_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_retired_tokens")),
    )
    op.create_index("ix_retired_tokens_api_key_id", "retired_tokens", ["api_key_id"], unique=False)
    op.create_index("ix_retired_tokens_expire_time", "retired_tokens", ["expire_time"], unique=False)
