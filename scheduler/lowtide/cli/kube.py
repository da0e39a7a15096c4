"""``lowtide kube``: Jobs of Kubernetes by their own manifests."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from lowtide.asking import Asked, plan_request
from lowtide.assembly.quote import quote
from lowtide.cli.app import VERBS
from lowtide.cli.home import with_home
from lowtide.cli.options import json_option, signal_option
from lowtide.cli.submit import accepted, require_handed_over
from lowtide.wiring import Wiring
from lowtide_core.errors import InputError

if TYPE_CHECKING:
    from lowtide_core.launches import Needs
    from lowtide_providers.engines.kubernetes_manifest import Manifest

_DRY = "dry-run"


@click.group(help=VERBS["kube"])
def command() -> None:
    pass


@command.command(help="Plan the Job of a manifest, and have it wait in the cluster for its hour.")
@click.argument("manifest", metavar="JOB.YAML")
@click.option("--duration", default="", metavar="TIME", help="How long: 90m, 4h; or the annotation lowtide/duration.")
@click.option("--deadline", default="", metavar="TIME", help="When it must have finished; or lowtide/deadline.")
@click.option("--earliest", default="", metavar="TIME", help="Not before this time; or lowtide/earliest.")
@click.option("--zone", default="", metavar="ZONE", help="The grid zone of the cluster: DE, US-CAL-CISO.")
@click.option("--region", default="", metavar="REGION", help="Its cloud region: aws:eu-central-1.")
@click.option("--regions", default="", metavar="A,B", help="Several, each a context (kubernetes_contexts).")
@click.option("--power", default="", metavar="POWER", help="What the job draws: 1.2kW; or lowtide/power.")
@click.option("--gpu", default="", metavar="MODEL", help="Accelerator, where the manifest does not say which.")
@click.option("--pausable", is_flag=True, help="It may be ended and started anew: needs --checkpoints.")
@click.option("--checkpoints", is_flag=True, help="Started anew it goes on from what it has saved.")
@click.option("--measure/--no-measure", default=True, help="Run its first container under the sampler.")
@click.option("--guard/--no-guard", default=True, help="Shift only where the gain beats the forecast's error.")
@click.option("--dry-run", is_flag=True, help="Print the manifest that would be applied; ask no cluster.")
@signal_option()
@json_option("Print the job as JSON, and nothing else.")
def submit(
    manifest: str,
    pausable: bool,
    checkpoints: bool,
    measure: bool,
    dry_run: bool,
    signal: str,
    as_json: bool,
    **typed: object,
) -> None:
    from lowtide.dispatch.remote import require_goes_on
    from lowtide.service.manifests import Waiting, submit_manifest
    from lowtide_core.launches import AttemptKey
    from lowtide_providers.engines.kubernetes_manifest import manifest_text, read_manifest

    wiring = Wiring()
    now_utc = wiring.now_utc()
    read = read_manifest(manifest)
    checkpoints = checkpoints or read.checkpoints
    if pausable:
        require_goes_on("kubernetes", checkpoints)
    given = {name: value for name, value in typed.items() if value != ""}
    asked = _asked(read, {**read.asked, **given, "pausable": pausable})
    settings = wiring.settings if asked.zone or asked.region or asked.regions else with_home(wiring)
    found = quote(plan_request(asked, settings, now_utc=now_utc), wiring.chain(signal, as_of_utc=now_utc))
    measured = measure and bool(read.argv)
    if measure and not measured:
        click.echo(f"{manifest} names no command: its image says what runs, and it is not measured", err=True)
    waiting = Waiting(read, checkpoints, wiring.node_sampler() if measured else None)
    if dry_run:
        click.echo(manifest_text(waiting.job(AttemptKey(f"{_DRY}.1"), _DRY, found.plan.start_utc)), nl=False)
        return
    with wiring.store() as store:
        actor = wiring.actor(store, "kube submit")
        record = submit_manifest(store, actor, found, waiting, signal=signal, environ=wiring.environ, now_utc=now_utc)
        require_handed_over(record)
        if as_json:
            from lowtide.cli.jobview import job_json

            click.echo(json.dumps(job_json(record, store), indent=2))
        else:
            click.echo(accepted(record, store, now_utc, waits_here=False))


def _asked(manifest: Manifest, given: dict[str, object]) -> Asked:
    """The question, with what the manifest says of its needs."""
    if not given.get("duration"):
        raise InputError(
            f"How long {manifest.name} takes is not said.",
            hint="Give --duration 4h, or the annotation lowtide/duration in the manifest.",
        )
    needs, pods = manifest.needs, max(1, manifest.pods)
    asked = Asked(**given)  # type: ignore[arg-type]
    if needs.gpu_count and not (asked.gpu or asked.power or _model(needs)):
        raise InputError(
            f"{manifest.name} asks for {needs.gpu_count} accelerators and does not say of which model.",
            hint="Give --gpu A100, or what it draws: --power 1.2kW.",
        )
    if needs.gpu_count:
        asked = replace(asked, gpu=asked.gpu or _model(needs), count=needs.gpu_count * pods)
    return replace(asked, cpus=needs.cpus * pods) if needs.cpus else asked


def _model(needs: Needs) -> str:
    """The accelerator that the manifest's node selector names, as the facts call it."""
    from lowtide_facts.accelerators import find_accelerator

    try:
        return find_accelerator(needs.gpu).name if needs.gpu else ""
    except InputError:
        return ""
