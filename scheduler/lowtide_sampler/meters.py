"""What a meter is: the types and errors that every source of energy shares.

MeterError
└── Unreadable    a source that is there cannot be read now; it is asked again at the next tick
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

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

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Source:
        """The source of a journal's first line; fields of a newer writer are left aside."""
        known = {key: value for key, value in record.items() if key in cls._fields}
        return cls(**{**known, "flags": tuple(known.get("flags", ()))})


class MeterReading(NamedTuple):
    """Cumulative energy since an instant of the device's own choosing; µJ, as the device gave it, resets and all."""

    energy_uj: int


class Meter(Protocol):
    """One device that is read."""

    @property
    def source(self) -> Source: ...

    @property
    def sample_period_s(self) -> float | None:
        """Mean time between reads that the meter needs (a power sensor); None: any time will do (a counter)."""
        ...

    def read(self) -> MeterReading:
        """The reading of this instant.

        Raises:
            Unreadable: No reading now; the next call tries afresh.
        """
        ...


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
