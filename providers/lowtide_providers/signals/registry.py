"""Names of sources -> sources: the built-in ones, and those that other packages bring."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from lowtide_core.errors import InputError, LowtideError, nearest
from lowtide_core.ports import SignalSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from importlib.metadata import EntryPoint
    from pathlib import Path

    from lowtide_providers.http import Http

HISTORY = "history"
"""The link that stands for lowtide's own forecasts over what was recorded; whoever has the records makes it."""

DEFAULT_CHAIN = (
    "gb-neso",
    "electricitymaps",
    "energy-charts",
    "energinet",
    "openelectricity",
    "entsoe",
    HISTORY,
    "climatology",
    "static",
)
"""Average intensities only: a marginal source is used where somebody asks for it by name."""

ACTUAL_ONLY = ("eia930", "eco2mix")
"""Sources without a forecast: they are recorded, and settle what ran."""

EMBEDDED = ("climatology", "static")


class About(NamedTuple):
    """What a source says of itself before it is asked.

    Attributes:
        horizon_h: How far its forecasts reach at best; None: it has none, or its reach is any.
        operator: Whom the figures come from.
    """

    horizon_h: float | None
    operator: str


ABOUT = {
    "gb-neso": About(48, "National Energy System Operator, carbonintensity.org.uk"),
    "electricitymaps": About(72, "Electricity Maps"),
    "energy-charts": About(42, "Fraunhofer ISE, energy-charts.info"),
    "energinet": About(36, "Energinet, energidataservice.dk"),
    "openelectricity": About(40, "OpenElectricity, and AEMO's pre-dispatch"),
    "entsoe": About(30, "ENTSO-E Transparency Platform"),
    "watttime": About(72, "WattTime"),
    "carbon-aware-sdk": About(72, "a Carbon Aware SDK of yours"),
    "eia930": About(None, "US Energy Information Administration"),
    "eco2mix": About(None, "RTE, eCO2mix"),
    "climatology": About(None, "embedded: each zone's usual day and season"),
    "static": About(None, "embedded: each zone's annual level"),
}
GROUP = "lowtide.signals"


@dataclass(frozen=True, slots=True)
class SignalSettings:
    """What sources need to be made.

    Attributes:
        keys: What sources need to be told, by the names of ``keys.KEY_NAMES``; see ``key``.
        as_of_utc: The time of planning: a file's later forecasts are not known yet; None is now.
        cache_dir: Where answers from the network are kept, and the turns of all processes; None keeps none.
        background: Nobody waits for the answers (recording): limits that are only supposed are kept as well.
    """

    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    offline: bool = False
    timeout_s: float = 10.0
    retries: int = 3
    as_of_utc: datetime | None = None
    cache_dir: str | Path | None = None
    background: bool = False

    @property
    def http(self) -> Http:
        from pathlib import Path

        from lowtide_providers.http import Http
        from lowtide_providers.limits import limits_of

        folder = None if self.cache_dir is None else Path(self.cache_dir) / "limits"
        return Http(self.timeout_s, self.retries, self.offline, limits_of(folder, self.background))

    def key(self, setting: str) -> str:
        """What the user set under that name; empty where nothing is set."""
        return self.keys.get(setting, "")


def build_source(name: str, settings: SignalSettings) -> SignalSource:
    """The source of that name, or of that file.

    Raises:
        InputError: No source has that name, and it is not the path of a signal file.
    """
    if name in _BUILDERS:
        return _BUILDERS[name](settings)
    if name.lower() in ("co2signal", "co2-signal", "co2_signal"):
        raise InputError(
            "CO2 Signal's service is gone.",
            hint="Use electricitymaps with a key of Electricity Maps (ELECTRICITYMAPS_API_TOKEN).",
            source=name,
        )
    if name.lower().endswith((".csv", ".parquet", ".pq")) or "/" in name:
        from lowtide_providers.signals.file import FileSource

        return FileSource(name, as_of_utc=settings.as_of_utc)
    return _foreign(name, settings)


def foreign_names() -> tuple[str, ...]:
    """Names of the sources that other packages bring, in alphabetical order; a built-in name stays the built-in one."""
    from importlib.metadata import entry_points

    return tuple(sorted(entry_points(group=GROUP).names - _BUILDERS.keys()))


def _foreign(name: str, settings: SignalSettings) -> SignalSource:
    from importlib.metadata import entry_points

    points = entry_points(group=GROUP)
    if name not in points.names:
        known = [*_BUILDERS, *sorted(points.names)]
        raise InputError(
            f"{name!r} is not a source of intensities.",
            hint=nearest(name, known) or f"The sources are {', '.join(known)}, or a CSV or Parquet file.",
            source=name,
        )
    point = points[name]
    return _cached(_made(name, point, settings), settings, apart=f"{GROUP} {name} = {point.value}")


def _made(name: str, point: EntryPoint, settings: SignalSettings) -> SignalSource:
    """What a stranger's code makes, and that it is a source of that name."""
    try:
        source = point.load()(settings)
    except LowtideError:
        raise
    except Exception as error:
        raise _broken(name, point, f"it raised {type(error).__name__}: {error}") from error
    if not isinstance(source, SignalSource):
        raise _broken(name, point, f"it made no source but a value of type {type(source).__name__}")
    if source.name != name:
        raise _broken(name, point, f"it calls itself {source.name!r}")
    return source


def _broken(name: str, point: EntryPoint, why: str) -> InputError:
    return InputError(
        f"The source {name} cannot be used, {why} ({point.value}).",
        hint="Mend, or uninstall, the package that brings it.",
        source=name,
    )


def _climatology(_: SignalSettings) -> SignalSource:
    from lowtide_providers.signals.climatology import ClimatologySource

    return ClimatologySource()


def _static(_: SignalSettings) -> SignalSource:
    from lowtide_providers.signals.static import StaticSource

    return StaticSource()


def _gb_neso(settings: SignalSettings) -> SignalSource:
    from lowtide_providers.signals.gb_neso import GbNesoSource

    return _cached(GbNesoSource(settings.http), settings)


def _electricitymaps(settings: SignalSettings) -> SignalSource:
    from lowtide_providers.signals.electricitymaps import ElectricityMapsSource

    return _cached(ElectricityMapsSource(settings.key("electricitymaps_token"), settings.http), settings)


def _watttime(settings: SignalSettings) -> SignalSource:
    from lowtide_providers.signals.watttime import WattTimeSource

    user, password = settings.key("watttime_user"), settings.key("watttime_password")
    return _cached(WattTimeSource(user, password, settings.http), settings)


def _energy_charts(settings: SignalSettings) -> SignalSource:
    from lowtide_providers.signals.energy_charts import EnergyChartsSource

    return _cached(EnergyChartsSource(settings.http), settings)


def _energinet(settings: SignalSettings) -> SignalSource:
    from lowtide_providers.signals.energinet import EnerginetSource

    return _cached(EnerginetSource(settings.http), settings)


def _eco2mix(settings: SignalSettings) -> SignalSource:
    from lowtide_providers.signals.eco2mix import Eco2mixSource

    return _cached(Eco2mixSource(settings.http), settings)


def _carbon_aware_sdk(settings: SignalSettings) -> SignalSource:
    from lowtide_providers.signals.carbon_aware_sdk import source_of

    setting = settings.key("carbon_aware_sdk_url")
    return _cached(source_of(setting, settings.http), settings, apart=setting)


def _eia930(settings: SignalSettings) -> SignalSource:
    from lowtide_providers.signals.eia930 import Eia930Source

    return _cached(Eia930Source(settings.key("eia_key"), settings.http), settings)


def _openelectricity(settings: SignalSettings) -> SignalSource:
    from lowtide_providers.signals.openelectricity import OpenElectricitySource

    return _cached(OpenElectricitySource(settings.key("openelectricity_key"), settings.http), settings)


def _entsoe(settings: SignalSettings) -> SignalSource:
    from lowtide_providers.signals.entsoe import EntsoeSource

    return _cached(EntsoeSource(settings.key("entsoe_token"), settings.http), settings)


def _cached(source: SignalSource, settings: SignalSettings, *, apart: str = "") -> SignalSource:
    """The source with its answers kept; ``apart``: what decides which figures it gives, where its name does not."""
    if settings.cache_dir is None:
        return source
    from hashlib import sha256
    from pathlib import Path

    from lowtide_providers.signals.cache import CachedSource

    folder = Path(settings.cache_dir, sha256(apart.encode()).hexdigest()[:12] if apart else "")
    if settings.background:  # what is recorded is what the source says now; others read what it said
        return CachedSource(source, folder, max_age_s=0.0, actual_max_age_s=0.0, stale_max_age_s=0.0)
    return CachedSource(source, folder)


_BUILDERS: dict[str, Callable[[SignalSettings], SignalSource]] = {
    "gb-neso": _gb_neso,
    "electricitymaps": _electricitymaps,
    "watttime": _watttime,
    "energy-charts": _energy_charts,
    "energinet": _energinet,
    "eco2mix": _eco2mix,
    "carbon-aware-sdk": _carbon_aware_sdk,
    "eia930": _eia930,
    "openelectricity": _openelectricity,
    "entsoe": _entsoe,
    "climatology": _climatology,
    "static": _static,
}
BUILT_IN = tuple(_BUILDERS)
