"""The question behind each plan, and a way to the newest vintage of a source."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("plans", sa.Column("question", sa.Text(), nullable=False, server_default=""))
    op.create_index("ix_vintages_zone_source_fetched_utc_s", "vintages", ["zone", "source", "fetched_utc_s"])
