"""The tables. Times are seconds since 1970 UTC (``..._utc_s``); what nobody asks for by column is JSON."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, LargeBinary, MetaData, Table, Text, false

REVISION = "0004"
"""The newest migration; a test holds the migrations, replayed, to these tables."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("cancel_wanted", Boolean, nullable=False),
    Column("spec", Text, nullable=False),
    Column("submitted_utc_s", Float, nullable=False),
    Column("start_utc_s", Float, nullable=False),
    Column("changed_utc_s", Float, nullable=False),
    Column("pause_wanted", Boolean, nullable=False, server_default=false()),
)
Index("ix_jobs_state_start_utc_s", jobs.c.state, jobs.c.start_utc_s)
Index("ix_jobs_submitted_utc_s", jobs.c.submitted_utc_s)

plans = Table(
    "plans",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.job_id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("made_utc_s", Float, nullable=False),
    Column("plan", Text, nullable=False),
    Column("vintages", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("question", Text, nullable=False, server_default=""),
)

attempts = Table(
    "attempts",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.job_id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("engine", Text, nullable=False),
    Column("ref", Text),
    Column("claimed_utc_s", Float, nullable=False),
    Column("started_utc_s", Float),
    Column("ended_utc_s", Float),
    Column("exit_status", Integer),
    Column("why", Text, nullable=False),
    Column("paused_s", Float, nullable=False, server_default="0"),
    Column("paused_utc_s", Float),
    Column("identity", Text, nullable=False, server_default="{}"),
    Column("engine_energy_j", Float),
)

events = Table(
    "events",
    metadata,
    Column("event_id", Integer, primary_key=True, autoincrement=True),
    Column("job_id", Text, ForeignKey("jobs.job_id"), nullable=False, index=True),
    Column("at_utc_s", Float, nullable=False),
    Column("letter", Text, nullable=False),
    Column("from_state", Text, nullable=False),
    Column("to_state", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False),
)

vintages = Table(
    "vintages",
    metadata,
    Column("vintage_id", Text, primary_key=True),
    Column("zone", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("basis", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("accounting", Text, nullable=False),
    Column("start_utc_s", Float, nullable=False),
    Column("end_utc_s", Float, nullable=False),
    Column("step_s", Float, nullable=False),
    Column("issued_utc_s", Float),
    Column("fetched_utc_s", Float),
    Column("intensity_g_per_kwh", LargeBinary, nullable=False),
    Column("low_g_per_kwh", LargeBinary),
    Column("high_g_per_kwh", LargeBinary),
    Column("note", Text, nullable=False),
)
Index("ix_vintages_zone_kind_start_utc_s", vintages.c.zone, vintages.c.kind, vintages.c.start_utc_s)
Index("ix_vintages_zone_source_fetched_utc_s", vintages.c.zone, vintages.c.source, vintages.c.fetched_utc_s)

readings = Table(
    "readings",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("job_id", Text, ForeignKey("jobs.job_id"), nullable=False, index=True),
    Column("attempt", Integer, nullable=False),
    Column("added_utc_s", Float, nullable=False),
    Column("result", Text, nullable=False),
)

settlements = Table(
    "settlements",
    metadata,
    Column("settlement_id", Integer, primary_key=True, autoincrement=True),
    Column("job_id", Text, ForeignKey("jobs.job_id"), nullable=False, index=True),
    Column("settled_utc_s", Float, nullable=False),
    Column("state", Text, nullable=False),
    Column("settlement", Text, nullable=False),
)

services = Table(
    "services",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("host", Text, primary_key=True),
    Column("pid", Integer, primary_key=True),
    Column("beat_utc_s", Float, nullable=False),
    Column("until_utc_s", Float, nullable=False),
)
