"""What the user asked: the command, its needs and its freedom."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NewType

from lowtide.jobs.manner import EXPECTED, PLAIN, Judgement, Manner
from lowtide.jobs.window import require_time
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from lowtide_core.places import Place

JobId = NewType("JobId", str)
MOST_RETRIES = 1000


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One job as submitted; never changed afterwards.

    Attributes:
        argv: The user's command, without the sampler.
        duration_s: How long it is expected to run; > 0.
        earliest_utc, deadline_utc: It may start from the first and must have finished by the second.
        places: Where it may run; one for the local engine.
        home: Where it would have run without lowtide; None where nobody said.
        power_w: IT power of the job's share of the node at its load; ``power_basis`` says where that comes from.
        retries: How often a lost attempt may be run again; a failed one never is.
        environment: Only what the user gave explicitly, and what finds programs (PATH); never secrets.
        signal: The source or file that the user demanded; empty follows the chain.
        options: What the user told the engine, by the engine's own names.
        checkpoints: Ended and started anew it goes on from what it has saved.
        cpus: Threads that it keeps busy; None where nobody said.
        max_price_usd, data_gb, data_from, bandwidth_gb_per_s, manner, judgement: Of the planning question, for the next
            plan too.
    """

    argv: tuple[str, ...]
    working_dir: str
    duration_s: float
    earliest_utc: datetime
    deadline_utc: datetime
    places: tuple[Place, ...]
    home: Place | None
    power_w: float
    power_basis: str
    gpu: str = ""
    gpu_count: int = 0
    engine: str = "local"
    signal: str = ""
    retries: int = 0
    max_price_usd: float | None = None
    data_gb: float = 0.0
    data_from: Place | None = None
    name: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    manner: Manner = PLAIN
    judgement: Judgement = EXPECTED
    bandwidth_gb_per_s: float | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    checkpoints: bool = False
    cpus: float | None = None

    def __post_init__(self) -> None:
        if not self.argv or not self.argv[0]:
            raise InputError(
                "The job has no command.", hint="Write it after --, as in: lowtide submit ... -- python train.py"
            )
        if not self.duration_s > 0:
            raise InputError(
                f"The duration is {self.duration_s} s.", hint="Give a positive one, such as --duration 4h."
            )
        if not self.power_w > 0:
            raise InputError(f"The power is {self.power_w} W.", hint="Give a positive one, such as --power 300W.")
        if not 0 <= self.retries <= MOST_RETRIES:
            raise InputError(f"The number of retries is {self.retries}.", hint=f"Give 0 to {MOST_RETRIES}.")
        if not self.places:
            raise InputError("The job has no place to run.", hint="Give --zone or --region.")
        require_time(self.earliest_utc, self.deadline_utc, 0.0 if self.manner.widths else self.duration_s)
