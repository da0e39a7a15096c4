"""Names of sources -> sources: the built-in ones, and those that other packages bring."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lowtide_core.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from lowtide_core.ports import SignalSource
    from lowtide_providers.http import Http

DEFAULT_CHAIN = ("gb-neso", "electricitymaps", "climatology", "static")
EMBEDDED = ("climatology", "static")
GROUP = "lowtide.signals"


@dataclass(frozen=True, slots=True)
class SignalSettings:
    """What sources need to be made.

    Attributes:
        keys: What sources need to be told, by the names of ``keys.KEY_NAMES``; see ``key``.
        as_of_utc: The time of planning: a file's later forecasts are not known yet; None is now.
        cache_dir: Where answers from the network are kept; None keeps none.
    """

    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    offline: bool = False
    timeout_s: float = 10.0
    retries: int = 3
    as_of_utc: datetime | None = None
    cache_dir: str | Path | None = None

    @property
    def http(self) -> Http:
        from lowtide_providers.http import Http

        return Http(self.timeout_s, self.retries, self.offline)

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


def _foreign(name: str, settings: SignalSettings) -> SignalSource:
    from importlib.metadata import entry_points

    points = entry_points(group=GROUP)
    if name in points.names:
        source: SignalSource = points[name].load()(settings)
        return source
    known = [*_BUILDERS, *points.names]
    raise InputError(
        f"{name!r} is not a source of intensities.",
        hint=nearest(name, known) or f"The sources are {', '.join(known)}, or a CSV or Parquet file.",
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


def _eia930(settings: SignalSettings) -> SignalSource:
    from lowtide_providers.signals.eia930 import Eia930Source

    return _cached(Eia930Source(settings.key("eia_key"), settings.http), settings)


def _openelectricity(settings: SignalSettings) -> SignalSource:
    from lowtide_providers.signals.openelectricity import OpenElectricitySource

    return _cached(OpenElectricitySource(settings.key("openelectricity_key"), settings.http), settings)


def _entsoe(settings: SignalSettings) -> SignalSource:
    from lowtide_providers.signals.entsoe import EntsoeSource

    return _cached(EntsoeSource(settings.key("entsoe_token"), settings.http), settings)


def _cached(source: SignalSource, settings: SignalSettings) -> SignalSource:
    if settings.cache_dir is None:
        return source
    from pathlib import Path

    from lowtide_providers.signals.cache import CachedSource

    return CachedSource(source, Path(settings.cache_dir))


_BUILDERS: dict[str, Callable[[SignalSettings], SignalSource]] = {
    "gb-neso": _gb_neso,
    "electricitymaps": _electricitymaps,
    "eia930": _eia930,
    "openelectricity": _openelectricity,
    "entsoe": _entsoe,
    "climatology": _climatology,
    "static": _static,
}
BUILT_IN = tuple(_BUILDERS)
