"""Teams, their members, and delegations."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "teams",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_teams_tenant_id")),
        sa.PrimaryKeyConstraint("team_id", name=op.f("pk_teams")),
    )
    op.create_index("ix_teams_tenant_id", "teams", ["tenant_id", "team_id"], unique=False)
    op.create_table(
        "team_members",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=True),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_team_members_tenant_id")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.team_id"], name=op.f("fk_team_members_team_id")),
        sa.PrimaryKeyConstraint("tenant_id", "team_id", "principal_id", name=op.f("pk_team_members")),
    )
    op.create_index(
        "ix_team_members_tenant_id_principal_id", "team_members", ["tenant_id", "principal_id"], unique=False
    )
    op.create_table(
        "delegations",
        sa.Column("delegation_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("delegator_id", sa.Text(), nullable=False),
        sa.Column("delegate_id", sa.Text(), nullable=False),
        sa.Column("permissions", sa.Text(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_delegations_tenant_id")),
        sa.PrimaryKeyConstraint("delegation_id", name=op.f("pk_delegations")),
    )
    op.create_index(
        "uq_delegations_tenant_id_delegator_id",
        "delegations",
        ["tenant_id", "delegator_id", "delegate_id"],
        unique=True,
    )
    op.create_index("ix_delegations_tenant_id_delegate_id", "delegations", ["tenant_id", "delegate_id"], unique=False)
