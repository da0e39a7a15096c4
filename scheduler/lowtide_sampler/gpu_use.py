"""Who uses a device that others may use too: looks at its users -> the job's parts of its time and of its work."""

from __future__ import annotations

import os

from lowtide_sampler.meters import DeviceUse, Meter, MeterReading, Sampled
from lowtide_sampler.standins import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_LINGERS_S = 2.0
"""A device still tells of work this long after the process that did it has left the list."""
_LONGEST_SAMPLE_PERIOD_S = 1.0
"""Drivers sample who works every 1/6 to 1 s: so long a look may find no new sample."""


class Sample(NamedTuple):
    """Part of the compute units that one process used in one period of the driver's; 0-1."""

    pid: int
    share: float


class Look(NamedTuple):
    """What a device says about its users at one instant.

    Attributes:
        users: Processes that have it open for compute, as the driver names them; 0: one that it will not name. None:
            it does not list them.
        samples: Who worked since the last look; None: it does not tell.
        busy_share: Part of the last period in which anything ran; 0-1; None: it does not tell.
        by_server: The users work through one server (MPS): the samples name the server.
    """

    users: tuple[int, ...] | None
    samples: tuple[Sample, ...] | None
    busy_share: float | None
    by_server: bool = False


class Standing(NamedTuple):
    """The job's equal part (0-1) of a device's users at one instant; ``is_blind``: nobody can say."""

    equal_share: float
    is_blind: bool = False


def process_exists(pid: int) -> bool:
    """Whether a process of that number is in our pid namespace, also where /proc hides those of others."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


class UseTally:
    """Sums what the looks at one device say.

    A look holds for half the time to its neighbours. What each look means:

    - The driver's numbers are our numbers where one of them is the job's or is a living process's. Numbers that are
      neither (another pid namespace), no list, or an empty one beside work that is being done: nobody can say, and
      the time is ``blind_s`` and in no other sum. The list and the samples are judged apart: driver 560 names processes
      in one namespace in the list and in another in the samples. Where only one can be read, it serves for both.
    - Idle power goes by heads: a process counts once, however many contexts it has.
    - Work goes by the samples, averaged; by heads where they cannot be read or name a server (MPS).
    - A device on which nobody is and nothing runs is the job's where the job asked for it by name (``is_named``), or
      where the job was on it and nobody has come since; else it is nobody's: a job that never touches the seven other
      devices of a node does not pay for them, and what its own draws before it is first used is not counted.

    Args:
        monotonic_s: Time of the looks; s.
        is_named: The job chose the device (CUDA_VISIBLE_DEVICES).
        exists: Whether a pid is a process that we can see.
    """

    def __init__(
        self, monotonic_s: Callable[[], float], *, is_named: bool, exists: Callable[[int], bool] = process_exists
    ) -> None:
        self.use = DeviceUse(0.0, 0.0, 0.0, 0.0)
        self._monotonic_s = monotonic_s
        self._exists = exists
        self._is_named = self._is_held = is_named
        self._own_pids: frozenset[int] = frozenset()
        self._own_on_device: set[int] = set()
        self._last: tuple[float, Standing] | None = None
        self._seen: tuple[float, Standing] | None = None
        self._unsampled_s = 0.0

    def add(self, look: Look, own_pids: frozenset[int]) -> None:
        """Takes one look; ``own_pids`` are the job's processes now."""
        now_s = self._monotonic_s()
        own_pids, self._own_pids = own_pids | self._own_pids, own_pids  # who ended since the last look worked too
        listed = self._heads(look.users or (), own_pids)
        sampled = self._heads((sample.pid for sample in look.samples or ()), own_pids)
        standing = self._standing(look, listed, sampled, now_s)
        if self._last is not None:
            then_s, before = self._last
            self._sum(look, own_pids, sampled is not None, now_s - then_s, before, standing)
        self._last = now_s, standing

    def _heads(self, pids: Iterable[int], own_pids: frozenset[int]) -> tuple[int, int] | None:
        """(the job's, others') processes among these; None: there are none, or none that our namespace knows."""
        heads = list(pids)
        named = set(heads) - {0}
        own = {pid for pid in named if self._is_own(pid, own_pids)}
        self._own_on_device |= own
        if not own and not any(self._exists(pid) for pid in named):
            return None
        return len(own), len(named) - len(own) + heads.count(0)

    def _is_own(self, pid: int, own_pids: frozenset[int]) -> bool:
        return pid in own_pids or (pid in self._own_on_device and not self._exists(pid))

    def _standing(
        self, look: Look, listed: tuple[int, int] | None, sampled: tuple[int, int] | None, now_s: float
    ) -> Standing:
        heads = listed or (None if look.by_server else sampled)
        if heads is not None:
            own, others = heads
            self._is_held = self._is_named or own > 0
            standing = Standing(own / (own + others))
            self._seen = now_s, standing
            return standing
        is_quiet = not look.busy_share and not look.samples
        if not look.users and is_quiet and (look.busy_share is not None or look.users is not None):
            return Standing(1.0 if self._is_held else 0.0)
        if self._seen is not None and now_s - self._seen[0] <= _LINGERS_S:
            return self._seen[1]
        return Standing(0.0, is_blind=True)

    def _sum(
        self, look: Look, own_pids: frozenset[int], are_samples_ours: bool, dt_s: float, before: Standing, now: Standing
    ) -> None:
        blind_s = dt_s * (before.is_blind + now.is_blind) / 2
        equal_s = dt_s * (before.equal_share + now.equal_share) / 2
        own_s = all_s = 0.0
        if are_samples_ours and not look.by_server:
            own_share, all_share = self._mean_shares(look.samples or (), own_pids)
            worked_s = dt_s + self._unsampled_s
            own_s, all_s = own_share * worked_s, all_share * worked_s
            self._unsampled_s = 0.0
        elif look.samples == () and not now.is_blind and self._unsampled_s + dt_s <= _LONGEST_SAMPLE_PERIOD_S:
            self._unsampled_s += dt_s
        else:
            seen_s = dt_s - blind_s
            all_s = (seen_s + self._unsampled_s) * (1.0 if look.busy_share is None else look.busy_share)
            own_s = all_s * min(equal_s / seen_s, 1.0) if seen_s > 0 else 0.0
            self._unsampled_s = 0.0
        use = self.use
        self.use = DeviceUse(use.own_s + own_s, use.all_s + all_s, use.equal_s + equal_s, use.blind_s + blind_s)

    def _mean_shares(self, samples: tuple[Sample, ...], own_pids: frozenset[int]) -> tuple[float, float]:
        """(the job's, everybody's) mean share; who has no sample of a period did nothing in it."""
        counts: dict[int, int] = {}
        own_share = all_share = 0.0
        for sample in samples:
            counts[sample.pid] = counts.get(sample.pid, 0) + 1
            all_share += sample.share
            if self._is_own(sample.pid, own_pids):
                own_share += sample.share
        periods = max(counts.values())
        return own_share / periods, all_share / periods


class DeviceMeter(Meter, Sampled, Protocol):
    """A meter of a device, by its counter or by its power."""

    @property
    def late_flags(self) -> tuple[str, ...]:
        """What became known of the device during the run."""


class SharedMeter:
    """A meter of a device that others may use too: its readings say who did."""

    def __init__(self, meter: DeviceMeter, look: Callable[[frozenset[int]], Look], tally: UseTally) -> None:
        self.source = meter.source
        self._meter = meter
        self._look = look
        self._tally = tally

    @property
    def sample_period_s(self) -> float | None:
        return self._meter.sample_period_s

    @property
    def late_flags(self) -> tuple[str, ...]:
        """What became known of the device during the run."""
        return (*self._meter.late_flags, *getattr(self._look, "late_flags", ()))

    def read(self) -> MeterReading:
        return MeterReading(self._meter.read().energy_uj, self._tally.use)

    def sample(self) -> None:
        self._meter.sample()

    def note_users(self, own_pids: frozenset[int]) -> None:
        """Looks who uses the device now; a look that fails says that nobody can tell."""
        self._tally.add(self._look(own_pids), own_pids)
