"""Jobs are found by whose they are, and counted from an index."""

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.create_index(
        "ix_jobs_kind_state_tenant_id_due_time_job_id",
        "jobs",
        ["kind", "state", "tenant_id", "due_time", "job_id"],
        unique=False,
    )
    op.create_index(
        "ix_jobs_kind_state_blocked_scheduled_time",
        "jobs",
        ["kind", "state", "blocked", "scheduled_time"],
        unique=False,
    )
