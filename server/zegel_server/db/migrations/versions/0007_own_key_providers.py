"""Tenants with a key provider of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "own_key_providers",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("key_provider", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_own_key_providers_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_own_key_providers")),
    )
