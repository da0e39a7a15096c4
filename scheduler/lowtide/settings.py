"""What the user set, once: defaults, then the configuration file, then ``LOWTIDE_*`` of the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from lowtide_core.errors import InputError, nearest
from lowtide_core.quantities import parse_duration_s, parse_power_w

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Every key of the configuration file; each is ``LOWTIDE_<KEY>`` in the environment too.

    Attributes:
        home: Where jobs would run without lowtide: a zone (``DE``: this machine) or a region (``aws:us-east-1``).
            Empty: nobody said, and it is never guessed.
        home_gpus: Accelerators that the machine at home has.
        home_pue: Facility over IT energy at home.
        home_jobs: How many jobs the machine at home is to run at once; None is no limit.
        home_power: IT power that jobs may draw there together; W, None is no limit.
        slurm_slack: How much later than at once a batch script's job may finish where it does not say; s, None is not
            set.
        database: Path or SQLAlchemy URL of the job store.
        signals: Chain of sources to try, first to last; empty is the built-in chain.
        record: Zones whose intensities ``serve`` and ``signals record`` keep; empty is home's.
        offline: Never open a socket.
        http_timeout_s: How long one request may take.
        electricitymaps_token, watttime_user, watttime_password, eia_key, entsoe_token, openelectricity_key,
            carbon_aware_sdk_url: What sources need to be told; their usual environment names work too.
        kubernetes_contexts: Regions and the context of the kubeconfig that stands for each: ``aws:eu-central-1=prod``.
        kubernetes_namespace: Instead of the contexts' own.
        ray_address, ray_token: Of the Ray cluster's dashboard.
    """

    home: str = ""
    home_gpus: tuple[str, ...] = ()
    home_pue: float = 1.0
    home_jobs: int | None = None
    home_power: float | None = None
    slurm_slack: float | None = None
    database: str = ""
    signals: tuple[str, ...] = ()
    record: tuple[str, ...] = ()
    offline: bool = False
    http_timeout_s: float = 10.0
    electricitymaps_token: str = field(default="", repr=False)
    watttime_user: str = ""
    watttime_password: str = field(default="", repr=False)
    eia_key: str = field(default="", repr=False)
    entsoe_token: str = field(default="", repr=False)
    openelectricity_key: str = field(default="", repr=False)
    carbon_aware_sdk_url: str = ""
    kubernetes_contexts: tuple[str, ...] = ()
    kubernetes_namespace: str = ""
    ray_address: str = ""
    ray_token: str = field(default="", repr=False)

    @property
    def keys(self) -> dict[str, str]:
        """What sources need to be told, by the names of the settings; empty texts where nothing is set."""
        return {name: getattr(self, name) for name in _KEYS}


@dataclass(frozen=True, slots=True)
class Paths:
    """Where lowtide keeps things, by the XDG rules; ``LOWTIDE_STATE`` and ``LOWTIDE_SPOOL`` move them."""

    config_file: Path
    state: Path
    cache: Path
    spool: Path

    @property
    def database(self) -> Path:
        return self.state / "lowtide.db"

    @property
    def local_engine(self) -> Path:
        return self.engine("local")

    def engine(self, name: str) -> Path:
        """The folder in which the engine of that name keeps what it needs."""
        return self.state / f"engine-{name}"


def paths(environ: Mapping[str, str]) -> Paths:
    """Where things are for this environment; creates nothing."""

    from pathlib import Path  # 5 ms, and not every command keeps something

    state = Path(state_path(environ))
    return Paths(
        config_file=Path(config_path(environ)),
        state=state,
        cache=Path(cache_path(environ)),
        spool=Path(environ["LOWTIDE_SPOOL"]) if environ.get("LOWTIDE_SPOOL") else state / "spool",
    )


def config_path(environ: Mapping[str, str]) -> str:
    """The configuration file."""
    return environ.get("LOWTIDE_CONFIG") or f"{_base(environ, 'XDG_CONFIG_HOME', '.config')}/config.toml"


def state_path(environ: Mapping[str, str]) -> str:
    """Folder of what must not be lost."""
    return environ.get("LOWTIDE_STATE") or _base(environ, "XDG_STATE_HOME", ".local/state")


def cache_path(environ: Mapping[str, str]) -> str:
    """Folder of what can be fetched again."""
    return _base(environ, "XDG_CACHE_HOME", ".cache")


def _base(environ: Mapping[str, str], name: str, default: str) -> str:
    home = environ.get("HOME") or os.path.expanduser("~")  # noqa: PTH111
    return f"{environ.get(name) or f'{home}/{default}'}/lowtide"


def load_settings(environ: Mapping[str, str]) -> Settings:
    """The settings in force.

    Raises:
        InputError: The file cannot be read, is not TOML, or has a key or value that lowtide does not know.
    """
    config_file = config_path(environ)
    values: dict[str, Any] = {
        _known(key, where=config_file): _value(key, value, where=config_file)
        for key, value in read_config(config_file).items()
    }
    for key in _READERS:
        name = f"LOWTIDE_{key.upper()}"
        if environ.get(name):
            values[key] = _value(key, environ[name], where=name)
    return Settings(**values)


def read_config(config_file: str | Path) -> dict[str, object]:
    """The configuration file as it stands; empty where there is none."""
    try:
        with open(config_file, encoding="utf-8") as file:  # noqa: PTH123
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(
            f"The configuration {config_file} cannot be read: {reason}.", hint="Mend or remove it.", path=config_file
        ) from error
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"The configuration {config_file} is not TOML: {error}.", hint="Mend or remove it.", path=config_file
        ) from error


def write_setting(environ: Mapping[str, str], key: str, text: str) -> Path:
    """Sets one key in the configuration file, keeping the others; returns the file.

    Raises:
        InputError: The key or the value is not usable, or the file cannot be read or written.
    """
    config_file = paths(environ).config_file
    value = _value(_known(key), text)
    _write(config_file, {**read_config(config_file), key: list(value) if isinstance(value, tuple) else value})
    return config_file


def remove_setting(environ: Mapping[str, str], key: str) -> bool:
    """Takes one key out of the configuration file, even one that lowtide does not know; False where it had none.

    Raises:
        InputError: The key is neither a setting nor in the file, or the file cannot be read or written.
    """
    config_file = paths(environ).config_file
    table = read_config(config_file)
    if key not in table:
        _known(key)
        return False
    del table[key]
    _write(config_file, table)
    return True


def _write(config_file: Path, table: dict[str, object]) -> None:
    import tomli_w

    temporary = config_file.with_suffix(f".{os.getpid()}.tmp")
    try:
        config_file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            tomli_w.dump(table, file)
        temporary.replace(config_file)
    except OSError as error:
        raise InputError(
            f"The configuration {config_file} cannot be written: {error.strerror}.",
            hint="Make its folder writable, or name another file in LOWTIDE_CONFIG.",
            path=config_file,
        ) from error


def _known(key: str, *, where: str = "") -> str:
    if key not in _READERS:
        raise InputError(
            f"{_lead(where)}{key!r} is not a setting.",
            hint=nearest(key, _READERS) or f"The settings are {', '.join(_READERS)}.",
            key=key,
        )
    return key


def _value(key: str, value: object, *, where: str = "") -> object:
    try:
        return _READERS[key](value)
    except (InputError, ValueError, TypeError) as error:
        shown = "(hidden)" if key in SECRETS else repr(value)
        raise InputError(f"{_lead(where)}{key} = {shown} is not usable: {error}", key=key) from None


def _lead(where: str) -> str:
    return f"{where}: " if where else ""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("it must be a text.")
    return value.strip()


def _texts(value: object) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise TypeError("it must be a list, or a text with commas.")
    return tuple(_text(part) for part in parts if _text(part))


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if not isinstance(value, str) or value.lower() not in words:
        raise ValueError("it must be true or false.")
    return words[value.lower()]


def _pue(value: object) -> float:
    pue = _number(value)
    if pue is None or not 1.0 <= pue <= 5.0:
        raise ValueError("a PUE is a number between 1 and 5.")
    return pue


def _jobs(value: object) -> int:
    jobs = _number(value)
    if jobs is None or not 1 <= jobs <= _MOST_JOBS or jobs != int(jobs):
        raise ValueError(f"it must be a whole number of jobs, 1 to {_MOST_JOBS:,}.")
    return int(jobs)


def _power_w(value: object) -> float:
    power_w = _number(value)
    if power_w is None:
        power_w = parse_power_w(str(value))
    if not 0 < power_w < float("inf"):
        raise ValueError("it must be a positive power, such as 2kW.")
    return power_w


def _seconds(value: object) -> float:
    seconds = _number(value)
    if seconds is None:
        seconds = parse_duration_s(str(value))
    if not 0 < seconds <= _LONGEST_TIMEOUT_S:
        raise ValueError("it must be a positive number of seconds, and at most a day.")
    return seconds


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        return None


_KEYS = (
    "electricitymaps_token",
    "watttime_password",
    "eia_key",
    "entsoe_token",
    "openelectricity_key",
    "watttime_user",
    "carbon_aware_sdk_url",
)
SECRETS = (*_KEYS[:5], "ray_token")
"""Settings that are never shown."""
_LONGEST_TIMEOUT_S = 86400.0
_MOST_JOBS = 1_000_000
_READERS: dict[str, Callable[[object], object]] = {
    "home": _text,
    "home_gpus": _texts,
    "home_pue": _pue,
    "home_jobs": _jobs,
    "home_power": _power_w,
    "slurm_slack": lambda value: parse_duration_s(str(value)),
    "database": _text,
    "signals": _texts,
    "record": _texts,
    "offline": _switch,
    "http_timeout_s": _seconds,
    **dict.fromkeys(_KEYS, _text),
    "kubernetes_contexts": _texts,
    "kubernetes_namespace": _text,
    "ray_address": _text,
    "ray_token": _text,
}
if set(_READERS) != {item.name for item in fields(Settings)}:
    raise RuntimeError("every setting needs a reader")
