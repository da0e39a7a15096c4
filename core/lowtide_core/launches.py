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


SPOOL_WORD = "{spool}"
"""In the words of a ``NodeProgram``: the folder on the node whose journal comes back."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a launch needs of its node; None: nobody said.

    Attributes:
        cpus: Threads that it keeps busy. memory_gb: 1e9 bytes each. gpu: Model as in the facts; empty for any.
    """

    cpus: float | None = None
    memory_gb: float | None = None
    gpu: str = ""
    gpu_count: int = 0


@dataclass(frozen=True, slots=True)
class NodeProgram:
    """A single-file Python program under which a launch runs on a node that has nothing of ours.

    Attributes:
        path: Where it lies here; the engine brings it along.
        words: Its arguments before the command; ``SPOOL_WORD`` stands for the folder of its journal.
    """

    path: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Launch:
    """A command to start once. ``argv`` is what the engine runs, already wrapped with the sampler by the caller.

    Attributes:
        wrapped: The first process of ``argv`` only watches the command: it stays awake while the rest is suspended.
        needs, region: What it asks of its node, and the place that was planned; ``local`` where no other was.
        checkpoints: Ended and started anew it goes on from what it has saved.
        options: What its user told the engine, by the engine's own names.
        name: What a person calls it, for the engine's own lists.
        begin_utc: Not before then, for engines that keep a queue (``Movable``); None is at once.
        run_id_at: Where ``argv`` holds the id of its run, which is the attempt's key. An engine that runs it in parts
            (an array, a restart from its own checkpoint) gives each part an id of its own there: the key, a dot, and a
            letter with a number.
        sampler: For engines that share no files with us (``Remote``): there ``argv`` is the bare command, and runs
            under this program. None: it is not measured.
    """

    job_id: str
    argv: tuple[str, ...]
    working_dir: str
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_grace_s: float = 10.0
    wrapped: bool = False
    needs: Needs = Needs()
    region: str = "local"
    checkpoints: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    sampler: NodeProgram | None = None
    name: str = ""
    begin_utc: datetime | None = None
    run_id_at: int | None = None


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What an engine knows of one attempt.

    Attributes:
        queued: It is ``accepted``, and the engine will start it by itself: nobody need submit it again.
        suspended: It is ``running``, and the engine holds it: nothing of it computes. Since ``suspended_utc``, where
            the engine can tell. What is ``queued`` may be held there as well.
        begin_utc: What is ``queued`` begins no sooner, where that lies ahead.
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
