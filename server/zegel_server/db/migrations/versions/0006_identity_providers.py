"""Identity providers of tenants, their members' accounts there, and ID tokens that were exchanged."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "identity_providers",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("audiences", sa.Text(), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_identity_providers_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_identity_providers")),
    )
    op.create_table(
        "spent_id_tokens",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_spent_id_tokens")),
    )
    op.create_index("ix_spent_id_tokens_expire_time", "spent_id_tokens", ["expire_time"], unique=False)
    op.add_column("members", sa.Column("account", sa.LargeBinary(), nullable=True))
    op.create_index("uq_members_tenant_id_account", "members", ["tenant_id", "account"], unique=True)
