"""${(message[:1].upper() + message[1:]).rstrip(".")}.

Revision: ${up_revision}
Revises: ${down_revision | comma,n}
"""

import sqlalchemy as sa
from alembic import op
${imports or ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Make the change."""
    ${upgrades or "pass"}


def downgrade() -> None:
    """Undo the change."""
    ${downgrades or "pass"}
