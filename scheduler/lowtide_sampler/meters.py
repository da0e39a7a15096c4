"""What a meter is: the types and errors that every source of energy shares.

MeterError
└── Unreadable    a source that is there cannot be read now; it is asked again at the next tick
"""

from __future__ import annotations

from lowtide_sampler.standins import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from typing import Any

BESIDE = "beside"
"""The component of sources that are reported beside the sum and never added to it (psys contains the packages)."""


class MeterError(Exception):
    """A source failed; ``source`` names it, ``why`` says how, ``repair`` is the command that mends it ("" if none)."""

    def __init__(self, source: str, why: str, repair: str = "") -> None:
        super().__init__(f"{source}: {why}")
        self.source = source
        self.why = why
        self.repair = repair


class Unreadable(MeterError):
    """The source exists and gives no reading now."""


class Source(NamedTuple):
    """How one source of energy is bounded and attributed; the journal's first line carries one per source.

    Attributes:
        name: Unique within a run (``powercap:intel-rapl:0``).
        label: What a reader calls it (``RAPL package``).
        component: ``cpu``, ``dram``, ``gpu``, ``rest``, or ``BESIDE``.
        kind: ``counter`` (cumulative, covers its own holes), ``power`` (integrated by us, a hole is lost) or
            ``model`` (computed from time and CPU seconds; has no readings).
        pmax_w: More than the source can draw; W. Readings above it are not believed.
        range_uj: Where a counter starts again at zero; µJ; None where it never does.
        error_share: One sigma of a meter's error, as a share of its energy.
        idle_w: Power at no load where it is known (models); W; None: found from the readings.
        active_j_per_cpu_s: A model's energy per busy CPU second above idle; J/s.
        low_share, high_share: A model's 90 % band as factors of its energy.
        job_share: The job's part of the source where it does not follow the CPU (a GPU, a slice of one); None: by CPU.
        flags: What a reader must know about the figure.
        step_s: How often a counter moves; s; a reading is up to that much behind.
        typical_w: What a hole is filled with where the source has measured nothing at all; W; None: half of ``pmax_w``.
        package: The processor (``physical_package_id``) whose energy it is; None: of the whole node, or not known.
    """

    name: str
    label: str
    component: str
    kind: str
    pmax_w: float = 1000.0
    range_uj: int | None = None
    error_share: float = 0.0
    idle_w: float | None = None
    active_j_per_cpu_s: float = 0.0
    low_share: float = 1.0
    high_share: float = 1.0
    job_share: float | None = None
    flags: tuple[str, ...] = ()
    step_s: float = 0.0
    typical_w: float | None = None
    package: int | None = None

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Source:
        """The source of a journal's first line; fields of a newer writer are left aside."""
        known = {key: value for key, value in record.items() if key in cls._fields}
        return cls(**{**known, "flags": tuple(known.get("flags", ()))})


class DeviceUse(NamedTuple):
    """Who used a shared device, summed since the run began; s. Every field only grows.

    Attributes:
        own_s: Integral of the job's part of the device's compute units in use (0-1).
        all_s: The same of everybody.
        equal_s: Integral of the job's part of the device's users, each counted once.
        blind_s: Time in which nobody could say who used it: the job is then taken for the only user.
    """

    own_s: float
    all_s: float
    equal_s: float
    blind_s: float


class MeterReading(NamedTuple):
    """One reading of a device.

    Attributes:
        energy_uj: Cumulative energy since an instant of the device's own choosing; µJ, as it was given, resets and all.
        use: Who used the device; None where it is not shared or does not tell.
    """

    energy_uj: int
    use: DeviceUse | None = None


class Meter(Protocol):
    """One device that is read."""

    @property
    def source(self) -> Source: ...

    @property
    def sample_period_s(self) -> float | None:
        """Mean time between reads that the meter needs (a power sensor); None: any time will do (a counter)."""

    def read(self) -> MeterReading:
        """The reading of this instant.

        Raises:
            Unreadable: No reading now; the next call tries afresh.
        """


@runtime_checkable
class Shared(Protocol):
    """Ability of a meter whose device tells which processes use it."""

    def note_users(self, own_pids: frozenset[int]) -> None:
        """Looks who uses the device now; ``own_pids`` are the job's. Never raises: not seen is ``blind_s``."""


@runtime_checkable
class Sampled(Protocol):
    """Ability of a meter that sums a power sensor: its sensor is asked apart from the reading.

    Records are written at even times, and a sensor asked with each of them would fall into step with the load; so
    ``read`` answers with what is held, as long as ``sample`` is called while ``sample_period_s`` is not None (which may
    change during a run: a counter may turn out to be none).
    """

    def sample(self) -> None:
        """Asks the sensor; to be called at uneven times, ``sample_period_s`` apart in the mean.

        Raises:
            Unreadable: No reading now: what flows until the next one is lost.
        """


class Finding(NamedTuple):
    """One source that was looked for: whether it is there, why not, and the command that mends it."""

    name: str
    found: bool
    why: str = ""
    repair: str = ""


class Discovery(NamedTuple):
    """The meters of one kind, and what was found and missed in looking for them.

    ``missing_share`` is the part of the kind's devices that are there and cannot be read (all of them where there
    are none): what a model must stand in for.
    """

    meters: tuple[Meter, ...]
    findings: tuple[Finding, ...]
    missing_share: float
