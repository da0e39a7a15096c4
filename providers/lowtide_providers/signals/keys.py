"""What sources need to be told, and the names under which people already have it in their environment."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class KeyName(NamedTuple):
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

IN_KEY_RING = "keyring"
"""A setting of this value lies in the system's key ring, under lowtide and the name of the setting."""

_SERVICE = "lowtide"


class FoundKey(NamedTuple):
    """A key and where it stood: ``settings``, ``key ring``, or a name of the environment."""

    name: KeyName
    value: str
    where: str

    def __repr__(self) -> str:
        return f"FoundKey({self.name.setting}, from {self.where})"


def keys_of(source: str) -> tuple[str, ...]:
    """The settings that a source cannot do without."""
    return tuple(key.setting for key in KEY_NAMES if key.source == source)


def find_keys(settings: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, FoundKey]:
    """Every key that is set, by the name of its setting.

    What was told to lowtide itself goes before the names that other tools share.

    Raises:
        InputError: A setting says that its value lies in the key ring, and it cannot be had there.
    """
    found: dict[str, FoundKey] = {}
    for key in KEY_NAMES:
        value = settings.get(key.setting, "").strip()
        if value == IN_KEY_RING:
            found[key.setting] = FoundKey(key, from_key_ring(key.setting), "key ring")
        elif value:
            found[key.setting] = FoundKey(key, value, "settings")
        else:
            name = next((name for name in key.environ if environ.get(name, "").strip()), None)
            if name is not None:  # a line break at the end of a secret's file is not of the key
                found[key.setting] = FoundKey(key, environ[name].strip(), name)
    return found


def require_key_ring() -> None:
    """Raises:
    InputError: There is no way to the system's key ring.
    """
    with _key_ring():
        pass


def from_key_ring(setting: str) -> str:
    """The key that the system keeps.

    Raises:
        InputError: There is no key ring, it is locked, or it has no such key.
    """
    with _key_ring() as ring:
        value = ring.get_password(_SERVICE, setting)
    if not value:
        raise InputError(
            f"The key ring has no {setting} of lowtide.",
            hint=f"lowtide config set {setting} --keyring puts it there.",
            setting=setting,
        )
    return str(value).strip()


def to_key_ring(setting: str, value: str) -> None:
    """Puts a key where the system keeps secrets.

    Raises:
        InputError: There is no key ring, or it is locked.
    """
    with _key_ring() as ring:
        ring.set_password(_SERVICE, setting, value)


@contextmanager
def _key_ring() -> Iterator[Any]:
    try:
        import keyring  # type: ignore[import-not-found,unused-ignore]  # an extra
        import keyring.errors  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise InputError(
            "The system's key ring cannot be used: the package keyring is missing.",
            hint="Install it (pip install keyring), or keep the key in the environment or the settings.",
        ) from None
    try:
        yield keyring
    except keyring.errors.KeyringError as error:
        raise InputError(
            f"The system's key ring did not answer ({type(error).__name__}).",
            hint="Unlock it, or keep the key in the environment: lowtide config unset, then set its variable.",
        ) from error
