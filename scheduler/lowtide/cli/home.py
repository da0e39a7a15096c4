"""Home is never guessed: a person is asked for it once, a program gets an error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from lowtide.settings import load_settings, write_setting
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from lowtide.settings import Settings
    from lowtide.wiring import Wiring


def with_home(wiring: Wiring) -> Settings:
    """The settings; where they name no home and a person sits there, asks for it and keeps the answer."""
    if wiring.settings.home or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return wiring.settings
    from lowtide.assembly.request import local_place

    click.echo(
        "Where is this machine? lowtide needs the zone of its electricity grid, and does not guess it.", err=True
    )
    while True:
        typed = click.prompt("Zone (such as DE, GB, US-CAL-CISO)", err=True)
        try:
            zone = local_place(typed).zone
        except InputError as error:
            click.echo(f"  {error}", err=True)
            continue
        kept_in = write_setting(wiring.environ, "home", zone)
        click.echo(f"Home is {zone}; kept in {kept_in}.", err=True)
        return load_settings(wiring.environ)
