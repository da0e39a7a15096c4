"""The first tables: jobs with plans, attempts and events; vintages; readings; settlements; services."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("cancel_wanted", sa.Boolean(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("submitted_utc_s", sa.Float(), nullable=False),
        sa.Column("start_utc_s", sa.Float(), nullable=False),
        sa.Column("changed_utc_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_jobs"),
        sa.UniqueConstraint("key", name="uq_jobs_key"),
    )
    op.create_index("ix_jobs_state_start_utc_s", "jobs", ["state", "start_utc_s"])
    op.create_index("ix_jobs_submitted_utc_s", "jobs", ["submitted_utc_s"])
    op.create_table(
        "plans",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("made_utc_s", sa.Float(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("vintages", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.job_id"], name="fk_plans_job_id_jobs"),
        sa.PrimaryKeyConstraint("job_id", "number", name="pk_plans"),
    )
    op.create_table(
        "attempts",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text()),
        sa.Column("claimed_utc_s", sa.Float(), nullable=False),
        sa.Column("started_utc_s", sa.Float()),
        sa.Column("ended_utc_s", sa.Float()),
        sa.Column("exit_status", sa.Integer()),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.job_id"], name="fk_attempts_job_id_jobs"),
        sa.PrimaryKeyConstraint("job_id", "number", name="pk_attempts"),
        sa.UniqueConstraint("key", name="uq_attempts_key"),
    )
    op.create_table(
        "events",
        sa.Column("event_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("at_utc_s", sa.Float(), nullable=False),
        sa.Column("letter", sa.Text(), nullable=False),
        sa.Column("from_state", sa.Text(), nullable=False),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.job_id"], name="fk_events_job_id_jobs"),
        sa.PrimaryKeyConstraint("event_id", name="pk_events"),
    )
    op.create_index("ix_events_job_id", "events", ["job_id"])
    op.create_table(
        "vintages",
        sa.Column("vintage_id", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("accounting", sa.Text(), nullable=False),
        sa.Column("start_utc_s", sa.Float(), nullable=False),
        sa.Column("end_utc_s", sa.Float(), nullable=False),
        sa.Column("step_s", sa.Float(), nullable=False),
        sa.Column("issued_utc_s", sa.Float()),
        sa.Column("fetched_utc_s", sa.Float()),
        sa.Column("intensity_g_per_kwh", sa.LargeBinary(), nullable=False),
        sa.Column("low_g_per_kwh", sa.LargeBinary()),
        sa.Column("high_g_per_kwh", sa.LargeBinary()),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("vintage_id", name="pk_vintages"),
    )
    op.create_index("ix_vintages_zone_kind_start_utc_s", "vintages", ["zone", "kind", "start_utc_s"])
    op.create_table(
        "readings",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("added_utc_s", sa.Float(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.job_id"], name="fk_readings_job_id_jobs"),
        sa.PrimaryKeyConstraint("run_id", name="pk_readings"),
    )
    op.create_index("ix_readings_job_id", "readings", ["job_id"])
    op.create_table(
        "settlements",
        sa.Column("settlement_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("settled_utc_s", sa.Float(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("settlement", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.job_id"], name="fk_settlements_job_id_jobs"),
        sa.PrimaryKeyConstraint("settlement_id", name="pk_settlements"),
    )
    op.create_index("ix_settlements_job_id", "settlements", ["job_id"])
    op.create_table(
        "services",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("beat_utc_s", sa.Float(), nullable=False),
        sa.Column("until_utc_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "host", "pid", name="pk_services"),
    )
