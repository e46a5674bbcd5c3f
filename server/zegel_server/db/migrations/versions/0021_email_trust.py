"""What is believed of the mail addresses in an identity provider's tokens: until now, what they say is verified."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("identity_providers", sa.Column("email_trust", sa.Text(), nullable=False, server_default="VERIFIED"))
