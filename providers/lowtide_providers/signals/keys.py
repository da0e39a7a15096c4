"""What sources need to be told, and the names under which people already have it in their environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class KeyName:
    """One key, account name or address of a source.

    Attributes:
        setting: Its name among lowtide's settings.
        environ: Its names in the environment: the canonical one, then those that other tools use.
        secret: Whether it must never be shown.
    """

    setting: str
    source: str
    environ: tuple[str, ...]
    secret: bool = True


KEY_NAMES = (
    KeyName(
        "electricitymaps_token",
        "electricitymaps",
        (
            "ELECTRICITYMAPS_API_TOKEN",
            "ELECTRICITYMAPS_TOKEN",
            "ELECTRICITY_MAPS_TOKEN",
            "ELECTRICITY_MAPS_API_TOKEN",
            "CODECARBON_ELECTRICITYMAPS_API_TOKEN",
            "EM_API_KEY",
        ),
    ),
    KeyName("watttime_user", "watttime", ("WATTTIME_USER", "WATT_TIME_USER", "WATTTIME_USERNAME"), secret=False),
    KeyName("watttime_password", "watttime", ("WATTTIME_PASSWORD", "WATT_TIME_PASSWORD")),
    KeyName("eia_key", "eia930", ("EIA_API_KEY",)),
    KeyName("entsoe_token", "entsoe", ("ENTSOE_API_KEY", "ENTSOE_API_TOKEN", "ENTSOE_TOKEN")),
    KeyName("openelectricity_key", "openelectricity", ("OPENELECTRICITY_API_KEY", "OPENNEM_API_KEY")),
    KeyName("carbon_aware_sdk_url", "carbon-aware-sdk", ("CARBON_AWARE_SDK_URL", "CARBON_AWARE_WEBAPI_URL"), False),
)

SECRET_SETTINGS = frozenset(key.setting for key in KEY_NAMES if key.secret)


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key and where it stood: ``settings``, or a name of the environment."""

    name: KeyName
    value: str
    where: str

    def __repr__(self) -> str:
        return f"FoundKey({self.name.setting}, from {self.where})"


def find_keys(settings: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, FoundKey]:
    """Every key that is set, by the name of its setting.

    What was told to lowtide itself goes before the names that other tools share.
    """
    found: dict[str, FoundKey] = {}
    for key in KEY_NAMES:
        if settings.get(key.setting):
            found[key.setting] = FoundKey(key, settings[key.setting], "settings")
            continue
        name = next((name for name in key.environ if environ.get(name)), None)
        if name is not None:
            found[key.setting] = FoundKey(key, environ[name], name)
    return found
