"""Which devices of the node are the job's, from the variables that schedulers, containers and people set."""

from __future__ import annotations

from lowtide_sampler.standins import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SLURM_LISTS = ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS")
_BATCH_JOBS = ("PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID", "_CONDOR_AssignedGPUs")
_SHARING = ("SLURM_SHARDS_ON_NODE", "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE")


class Choice(NamedTuple):
    """The words of a list of devices, and the variable that holds it; ``words`` None: all devices."""

    words: tuple[str, ...] | None
    variable: str = ""


def chosen_nvidia(environ: Mapping[str, str]) -> Choice:
    """CUDA_VISIBLE_DEVICES, then Slurm's lists, then what a container was given; the first that is set.

    An empty list is no device. NVIDIA_VISIBLE_DEVICES of ``all`` is no choice; ``none`` and ``void`` are no device.
    """
    chosen = _first(environ, ("CUDA_VISIBLE_DEVICES", *_SLURM_LISTS))
    if chosen.words is not None:
        return chosen
    given = environ.get("NVIDIA_VISIBLE_DEVICES", "all").strip()
    if given in ("all", ""):  # empty: the container's runtime did nothing, and what is there is there
        return Choice(None)
    return Choice(() if given in ("none", "void") else _words(given), "NVIDIA_VISIBLE_DEVICES")


def chosen_amd(environ: Mapping[str, str]) -> tuple[Choice, Choice]:
    """What the runtime below shows, and what HIP chooses of that.

    HIP takes CUDA_VISIBLE_DEVICES where HIP_VISIBLE_DEVICES is not set.
    """
    return (
        _first(environ, ("ROCR_VISIBLE_DEVICES", *_SLURM_LISTS)),
        _first(environ, ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")),
    )


def is_exclusive(environ: Mapping[str, str]) -> bool:
    """Whether a scheduler gave the devices to this job and to no other.

    Slurm says so by its lists of devices, unless it gave shards or a part by MPS; PBS, LSF, Flux and HTCondor by the
    CUDA_VISIBLE_DEVICES that stands beside their job's name. Anybody else's CUDA_VISIBLE_DEVICES is a choice and keeps
    no one off the device; so is a Kubernetes device plugin's, which may share a device in turns.
    """
    if any(environ.get(name) for name in _SHARING):
        return False
    if any(environ.get(name) for name in (*_SLURM_LISTS, "SLURM_GPUS_ON_NODE")):
        return True
    listed = environ.get("CUDA_VISIBLE_DEVICES") or environ.get("ROCR_VISIBLE_DEVICES")
    return bool(listed) and any(environ.get(name) for name in _BATCH_JOBS)


def pick(words: tuple[str, ...], count: int, uuids: Callable[[], list[str]]) -> list[int]:
    """Positions of the devices that a list names: by position, or by a UUID or a beginning that only one has.

    The list ends at its first word that names none, or names a device a second time, as CUDA's does.
    """
    picked: list[int] = []
    for word in words:
        if word.isdecimal():
            matches = [int(word)] if int(word) < count else []
        else:
            matches = [at for at, uuid in enumerate(uuids()) if word and uuid.startswith(word)]
        if len(matches) != 1 or matches[0] in picked:
            break
        picked += matches
    return picked


def _first(environ: Mapping[str, str], variables: tuple[str, ...]) -> Choice:
    for variable in variables:
        if variable in environ:
            return Choice(_words(environ[variable]), variable)
    return Choice(None)


def _words(listed: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in listed.split(",")) if listed.strip() else ()
