"""What engines call an attempt, where it ran, and what they themselves measured."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("identity", sa.Text(), nullable=False, server_default="{}"))
    op.add_column("attempts", sa.Column("engine_energy_j", sa.Float()))
