"""Whether the signers of a canceled request keep their access to it."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column(
        "signature_requests", sa.Column("signers_keep_access", sa.BigInteger(), nullable=False, server_default="0")
    )
    # What was canceled before is hidden from now on as well.
    op.execute(
        "UPDATE sessions SET revoke_time = last_use_time WHERE revoke_time IS NULL AND signature_request_id IN"
        " (SELECT signature_request_id FROM signature_requests WHERE state = 'CANCELED')"
    )
