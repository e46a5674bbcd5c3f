"""When a signature request ended, in whatever state."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("signature_requests", sa.Column("end_time", sa.BigInteger(), nullable=True))
    # Only its trail says when a request was canceled (event 67).
    op.execute(
        "UPDATE signature_requests SET end_time = CASE state WHEN 'DOWNLOADABLE' THEN seal_time"
        " WHEN 'DECLINED' THEN (SELECT MAX(decline_time) FROM signatures"
        " WHERE signatures.signature_request_id = signature_requests.signature_request_id)"
        " WHEN 'EXPIRED' THEN expire_time ELSE COALESCE((SELECT MAX(event_time) FROM audit_events"
        " WHERE audit_events.trail = signature_requests.audit_id AND event_type = 67), create_time) END"
        " WHERE state IN ('DOWNLOADABLE', 'DECLINED', 'CANCELED', 'EXPIRED')"
    )
