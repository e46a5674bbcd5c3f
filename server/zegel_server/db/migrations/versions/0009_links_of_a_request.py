"""An index that finds the links of a signature request."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_index(
        "ix_signer_links_signature_request_id",
        "signer_links",
        ["signature_request_id", "signer_link_id"],
        unique=False,
    )
