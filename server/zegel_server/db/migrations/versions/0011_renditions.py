"""Renditions of the originals, which of them a signature request pins, and sealing that waiting does not mend."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("document_versions", sa.Column("rendition_prefix", sa.Text(), nullable=True))
    op.add_column("document_versions", sa.Column("rendition_header", sa.LargeBinary(), nullable=True))
    op.add_column("document_versions", sa.Column("rendition_size", sa.BigInteger(), nullable=True))
    op.add_column("document_versions", sa.Column("rendition_sha256", sa.LargeBinary(), nullable=True))
    op.add_column("document_versions", sa.Column("findings", sa.Text(), nullable=True))
    op.create_index("uq_document_versions_rendition_prefix", "document_versions", ["rendition_prefix"], unique=True)
    op.add_column("documents", sa.Column("merged", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("requested_documents", sa.Column("size", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute(
        "UPDATE requested_documents SET size = (SELECT v.size FROM document_versions v"
        " WHERE v.document_id = requested_documents.document_id AND v.version = requested_documents.version)"
        " WHERE EXISTS (SELECT 1 FROM document_versions v"
        " WHERE v.document_id = requested_documents.document_id AND v.version = requested_documents.version)"
    )
    for column in (
        sa.Column("rendition_document_id", sa.Text(), nullable=False, server_default=""),
        sa.Column("rendition_version", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("rendition_sha256", sa.LargeBinary(), nullable=True),
        sa.Column("rendition_size", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("rendition_pages", sa.BigInteger(), nullable=False, server_default="0"),
    ):
        op.add_column("signature_requests", column)
    op.add_column("outbox", sa.Column("blocked", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("outbox", sa.Column("blocked_time", sa.BigInteger(), nullable=True))
