"""What an engine is asked to start, and what it answers about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NewType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

AttemptKey = NewType("AttemptKey", str)
"""Ours, unique for ever, given to the engine with the launch: how the truth is found after a crash."""

EngineRef = NewType("EngineRef", str)
"""The engine's own name of what it started (a Slurm job number, a folder)."""

EngineState = Literal["absent", "accepted", "running", "ended", "vanished"]
"""``absent``: never heard of it, so it may be started; ``accepted``: will start; ``vanished``: it was started and
the engine cannot say how it ended, so it must never be started again unasked."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A command to start once. ``argv`` is what the engine runs, already wrapped with the sampler by the caller.

    Attributes:
        wrapped: The first process of ``argv`` only watches the command: it stays awake while the rest is suspended.
        begin_utc: Not before then, for engines that keep a queue (``Movable``); None is at once.
        options: What this engine alone understands (a partition, an account), by its own names.
        name: What a person calls it, for the engine's own lists.
        gpu_count: Accelerators that it needs.
        run_id_at: Where ``argv`` holds the id of its run, which is the attempt's key. An engine that runs it in parts
            (an array, a restart from its own checkpoint) gives each part an id of its own there: the key, a dot, and a
            letter with a number.
    """

    job_id: str
    argv: tuple[str, ...]
    working_dir: str
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_grace_s: float = 10.0
    wrapped: bool = False
    begin_utc: datetime | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    gpu_count: int = 0
    run_id_at: int | None = None


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What an engine knows of one attempt.

    Attributes:
        suspended: The engine holds it: nothing of it computes. Since ``suspended_utc``, where the engine can tell.
        queued: It is ``accepted`` and stands in a queue of the engine's own, which starts it: nobody need ask again.
            Not before ``begin_utc``, where that lies ahead.
        identity: What the engine calls it, and where it ran: so that its record joins others'.
    """

    key: AttemptKey
    state: EngineState
    ref: EngineRef | None = None
    started_utc: datetime | None = None
    ended_utc: datetime | None = None
    exit_status: int | None = None
    why: str = ""
    suspended: bool = False
    suspended_utc: datetime | None = None
    queued: bool = False
    begin_utc: datetime | None = None
    identity: Mapping[str, str] = field(default_factory=dict)
