"""The user's wish to pause, and how long an attempt was paused."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("pause_wanted", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("attempts", sa.Column("paused_s", sa.Float(), nullable=False, server_default="0"))
    op.add_column("attempts", sa.Column("paused_utc_s", sa.Float()))
