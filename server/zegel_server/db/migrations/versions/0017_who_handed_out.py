"""Who handed out a signer's session or link, and who owned the request then."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    for table in ("sessions", "signer_links"):
        op.add_column(table, sa.Column("granter_id", sa.Text(), nullable=False, server_default=""))
        op.add_column(table, sa.Column("request_owner_id", sa.Text(), nullable=False, server_default=""))
        op.execute(
            f"UPDATE {table} SET granter_id = creator_id, request_owner_id = (SELECT r.owner_id"  # noqa: S608 - two names
            f" FROM signature_requests AS r WHERE r.signature_request_id = {table}.signature_request_id)"
            f" WHERE signature_request_id IN (SELECT signature_request_id FROM signature_requests)"
        )
