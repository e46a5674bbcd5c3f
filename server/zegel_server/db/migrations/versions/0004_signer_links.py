"""Single-use links for signers."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "signer_links",
        sa.Column("signer_link_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("signature_request_id", sa.Text(), nullable=False),
        sa.Column("signature_id", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("trail", sa.Text(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("api_key_id", sa.Text(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=False),
        sa.Column("revoke_time", sa.BigInteger(), nullable=True),
        sa.Column("spend_time", sa.BigInteger(), nullable=True),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_signer_links_tenant_id")),
        sa.PrimaryKeyConstraint("signer_link_id", name=op.f("pk_signer_links")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_signer_links_token_hash")),
    )
    op.create_index("ix_signer_links_api_key_id", "signer_links", ["api_key_id"], unique=False)
    op.create_index("ix_signer_links_expire_time", "signer_links", ["expire_time"], unique=False)
