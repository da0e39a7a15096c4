"""``lowtide config``: the settings."""

from __future__ import annotations

from dataclasses import fields

import click

from lowtide.cli.app import VERBS
from lowtide.cli.options import json_option
from lowtide.settings import SECRETS, Settings, remove_setting, write_setting
from lowtide.wiring import Wiring
from lowtide_core.errors import InputError, nearest

_SECRET = "(set)"  # noqa: S105  the word shown instead of a secret
_CLEARED = "(cleared)"


@click.group(help=VERBS["config"], invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    if context.invoked_subcommand is None:
        context.invoke(list_values)


@command.command("set")
@click.argument("key")
@click.argument("value", required=False)
@click.option("--keyring", is_flag=True, help="Keep a key in the system's key ring, not in the file.")
def set_value(key: str, value: str | None, keyring: bool) -> None:
    """Set one setting: lowtide config set home DE. A key that is not given is asked for, unseen."""
    wiring = Wiring()
    if keyring and key not in SECRETS:
        raise InputError(f"{key!r} is no secret.", hint=f"The key ring is for {', '.join(SECRETS)}.")
    if value is None and key not in SECRETS:
        raise InputError(f"No value for {key!r} is given.", hint=f"lowtide config set {key} VALUE")
    if keyring:
        from lowtide_providers.signals.keys import require_key_ring

        require_key_ring()
    if key == "signals" and value:
        _require_sources(wiring, value)
    if value is None:
        value = str(click.prompt(key, hide_input=True, err=True))
    if keyring:
        from lowtide_providers.signals.keys import IN_KEY_RING, to_key_ring

        to_key_ring(key, value)
        value = IN_KEY_RING
    if key == "home":
        from lowtide.assembly.request import home_place
        from lowtide_core.places import LOCAL

        place = home_place(value)
        value = "" if place is None else place.zone if place.region == LOCAL else place.region
    kept_in = write_setting(wiring.environ, key, value)
    shown = _CLEARED if not value.strip() else _SECRET if key in SECRETS else value
    click.echo(f"{key} = {shown}, kept in {kept_in}")


def _require_sources(wiring: Wiring, value: str) -> None:
    """Refuses a chain with a name that is no source now, before every later command does.

    Raises:
        InputError: A name is not a source.
    """
    from lowtide_providers.signals.registry import HISTORY, build_source

    for name in filter(None, (part.strip() for part in value.split(","))):
        if name.partition(":")[0] != HISTORY:
            build_source(name, wiring.signal_settings())


@command.command("unset")
@click.argument("key")
def unset_value(key: str) -> None:
    """Forget one setting: lowtide config unset home."""
    wiring = Wiring()
    removed = remove_setting(wiring.environ, key)
    click.echo(f"{key} {'is no longer' if removed else 'was not'} set in {wiring.paths.config_file}")


@command.command("get")
@click.argument("key")
def get_value(key: str) -> None:
    """Print one setting in force."""
    values = _values(Wiring())
    if key not in values:
        raise InputError(f"{key!r} is not a setting.", hint=nearest(key, values) or f"They are {', '.join(values)}.")
    click.echo(values[key])


@command.command("list")
@json_option()
def list_values(as_json: bool) -> None:
    """Print all settings in force, and the file that holds them."""
    wiring = Wiring()
    values = _values(wiring)
    if as_json:
        import json

        click.echo(json.dumps({"config_file": str(wiring.paths.config_file), **values}, indent=2))
        return
    click.echo(f"# {wiring.paths.config_file}, then LOWTIDE_<KEY> of the environment")
    for key, value in values.items():
        click.echo(f"{key} = {value}")


def _values(wiring: Wiring) -> dict[str, str]:
    shown = {}
    for item in fields(Settings):
        value = getattr(wiring.settings, item.name)
        text = ",".join(value) if isinstance(value, tuple) else "" if value is None else str(value)
        shown[item.name] = (_SECRET if text else "") if item.name in SECRETS else text
    return shown
