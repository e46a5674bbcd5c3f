"""One queue of later work: what waited in the outbox to be sealed or removed moves into it."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("order_key", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("scheduled_time", sa.BigInteger(), nullable=False),
        sa.Column("due_time", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=True),
        sa.Column("held_key", sa.Text(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("last_reason", sa.Text(), nullable=False, server_default=""),
        sa.Column("blocked", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("blocked_time", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_jobs")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_jobs_kind_state_due_time_job_id", "jobs", ["kind", "state", "due_time", "job_id"], unique=False)
    op.create_index(
        "ix_jobs_kind_order_key_state_job_id", "jobs", ["kind", "order_key", "state", "job_id"], unique=False
    )
    op.create_index("ix_jobs_kind_resource_id", "jobs", ["kind", "resource_id"], unique=False)
    op.create_index("uq_jobs_kind_held_key", "jobs", ["kind", "held_key"], unique=True)
    # Without their numbers, because the sequence would not know that they are taken.
    op.execute(
        "INSERT INTO jobs (kind, tenant_id, resource_id, payload, state, scheduled_time, due_time, attempts,"
        " last_reason, blocked, blocked_time)"
        " SELECT kind, tenant_id, resource_id, CASE payload WHEN '' THEN '{}' ELSE payload END, 'WAITING', due_time,"
        " due_time, attempts, last_reason, blocked, blocked_time FROM outbox ORDER BY outbox_id"
    )
    op.drop_table("outbox")
