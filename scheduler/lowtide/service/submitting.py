"""From a planning question and a command to a job in the store."""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lowtide.jobs.spec import JobSpec
from lowtide.store.archive import Question, question_to_text
from lowtide.store.jobs import NewPlan
from lowtide_core.errors import InputError
from lowtide_core.launches import Launch
from lowtide_core.places import LOCAL
from lowtide_core.ports import Checking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from lowtide.assembly.quote import Quote
    from lowtide.store import Store
    from lowtide.store.jobs import JobRecord
    from lowtide_core.ports import Engine

_KEPT = ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "CONDA_PREFIX")
"""Of the submitter's environment: what finds programs. Anything else may be a secret and is given with ``--env``."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to run, beside the question of when and where.

    Attributes:
        environment: Variables given explicitly; they are kept in the store, so no secret belongs there.
        options, checkpoints, cpus: See ``JobSpec``.
        elsewhere: Its engine shares no files with us: its program need not be here, and our paths mean nothing there.
        key: The submitter's own name for this very submission: the same key again is the same job.
    """

    argv: tuple[str, ...]
    working_dir: str
    environment: Mapping[str, str]
    engine: str = "local"
    retries: int = 0
    name: str = ""
    signal: str = ""
    key: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    checkpoints: bool = False
    cpus: float | None = None
    elsewhere: bool = False


def submit(
    store: Store, found: Quote, order: Order, *, environ: Mapping[str, str], now_utc: datetime, who: str
) -> JobRecord:
    """Archives what the plan rests on, then keeps the job with its plan.

    The room at home is not locked between the quote and this: two jobs submitted in the same instant may both have
    been promised the last of it.

    Raises:
        InputError: The command cannot be found, or its engine does not run where the plan says.
    """
    request, plan = found.request, found.plan
    if order.engine in ("local", "slurm") and any(place.region != LOCAL for place in request.places):
        raise InputError(
            f"The engine {order.engine!r} runs jobs here, not in {request.places[0].region}.",
            hint="Give --zone, or leave the place out to run at home.",
        )
    _require_runnable(found, order.engine)
    if not order.elsewhere:
        require_command(order.argv, order.working_dir, environ)
    kept = {} if order.elsewhere else {name: environ[name] for name in _KEPT if name in environ}
    spec = JobSpec(
        argv=order.argv,
        working_dir=order.working_dir,
        duration_s=request.duration_s,
        earliest_utc=request.earliest_utc,
        deadline_utc=request.deadline_utc,
        places=request.places,
        home=request.home,
        power_w=found.power_w,
        power_basis=found.power_basis,
        gpu=request.gpu,
        gpu_count=request.gpu_count if request.gpu else 0,
        engine=order.engine,
        signal=os.path.abspath(order.signal) if os.path.exists(order.signal) else order.signal,  # noqa: PTH100, PTH110
        retries=order.retries,
        max_price_usd=request.max_price_usd,
        data_gb=request.data_gb,
        data_from=request.data_from,
        manner=request.manner,
        judgement=request.judgement,
        bandwidth_gb_per_s=request.bandwidth_gb_per_s,
        name=order.name,
        options=order.options,
        checkpoints=order.checkpoints,
        cpus=order.cpus,
        environment={**kept, **order.environment},
    )
    vintages = store.signals.add_all(found.gathered.series)
    why = f"quoted {plan.emissions_g:.3g} g"
    key = order.key or uuid.uuid4().hex
    planned = NewPlan(
        plan, vintages, question_to_text(Question(found.gathered.problem, excluded=found.gathered.excluded))
    )
    record = store.jobs.get(store.jobs.add(spec, planned, key, now_utc, who, why))
    if record.spec.argv != spec.argv:
        raise InputError(
            f"The key {key!r} is job {record.job_id} already, and that runs another command.",
            hint="Give another --key, or none.",
            job=record.job_id,
        )
    return record


def check_engine(engine: Engine, order: Order) -> None:
    """Refuses now what the engine would refuse at night.

    Raises:
        InputError, Rejected: See ``Checking``; or options for an engine that has none.
    """
    if isinstance(engine, Checking):
        engine.check(Launch("", tuple(order.argv) or ("true",), order.working_dir, options=order.options))
    elif order.options:
        raise InputError(
            f"The engine {order.engine!r} has no options.",
            hint=f"Leave out {', '.join(order.options)}.",
            engine=order.engine,
        )


def _require_runnable(found: Quote, engine: str) -> None:
    """Refuses what can be planned, and which nothing here could run.

    Raises:
        InputError: The job moves between regions, or changes its width while it runs.
    """
    if found.request.checkpoint_gb is not None:
        raise InputError(
            f"The engine {engine!r} cannot move a job to another region.",
            hint="Leave --checkpoint out, or only plan it.",
        )
    widths = found.request.manner.widths
    if widths is not None and not widths.fixed:
        raise InputError(
            f"The engine {engine!r} cannot change the width of a job that runs.", hint="Plan it with one width for all."
        )


def require_command(argv: Sequence[str], working_dir: str, environ: Mapping[str, str]) -> None:
    """Refuses now what would fail at night.

    Raises:
        InputError: No command, no such folder, or no such program.
    """
    if not argv:
        raise InputError(
            "The job has no command.", hint="Write it after --, as in: lowtide submit ... -- python train.py"
        )
    if not os.path.isdir(working_dir):  # noqa: PTH112  a text, as it will be given to the engine
        raise InputError(f"There is no folder {working_dir}.", hint="Check --working-dir.")
    program = argv[0]
    path = os.path.join(working_dir, program) if os.sep in program else program  # noqa: PTH118
    if shutil.which(path, path=environ.get("PATH")) is None:
        raise InputError(
            f"There is no program {program!r} to run.",
            hint="Check its name; a script of your own needs its path (./train.sh) and the right to be executed.",
            command=program,
        )


def parse_environment(given: Sequence[str], example: str = "--env SEED=7") -> dict[str, str]:
    """``NAME=VALUE`` pairs.

    Raises:
        InputError: One has no ``=``.
    """
    pairs = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise InputError(f"{item.partition('=')[0]!r} is not NAME=VALUE.", hint=f"Write {example}.")
        pairs[name] = value
    return pairs
