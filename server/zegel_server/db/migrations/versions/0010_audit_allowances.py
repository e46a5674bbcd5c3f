"""How many repeatable events a party has added to the trail of a signature request."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "audit_allowances",
        sa.Column("trail", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("trail", "party", name=op.f("pk_audit_allowances")),
    )
