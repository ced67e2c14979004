"""Create messages.

Revision: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "messages",
        sa.Column("id", sa.Integer(), sa.Identity(), nullable=False),
        sa.Column("message", sa.Unicode(length=255), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("messages")
