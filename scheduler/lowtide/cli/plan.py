"""``lowtide plan``: the quote."""

from __future__ import annotations

import re
import textwrap
from math import isclose
from typing import TYPE_CHECKING

import click

from lowtide.asking import Asked, plan_request
from lowtide.assembly.problem import MARGIN
from lowtide.assembly.quote import Quote, quote
from lowtide.cli.app import VERBS
from lowtide.cli.home import with_home
from lowtide.cli.options import Sectioned, asked_options, json_option, now_option, signal_option
from lowtide.cli.plot import plot
from lowtide.cli.text import without_request
from lowtide.planning.explain import further
from lowtide.planning.options import G_PER_T
from lowtide.reports import figures
from lowtide.wiring import Wiring
from lowtide_core.places import LOCAL
from lowtide_core.quantities import parse_instant_utc
from lowtide_core.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from lowtide.assembly.choices import Choice
    from lowtide.planning.types import Segment
    from lowtide_providers.signals.chain import Skipped

_WIDTH = 100
_PIECES_SHOWN = 4
_SHOWN_SHARE = 1e-3


@click.command(cls=Sectioned, help=VERBS["plan"])
@asked_options
@click.option("--frontier", is_flag=True, help="Every plan that no other betters in emissions, price and finish.")
@signal_option()
@now_option()
@json_option()
def command(frontier: bool, signal: str, now_text: str, as_json: bool, **typed: object) -> None:
    wiring = Wiring()
    now_utc = parse_instant_utc(now_text, now_utc=wiring.now_utc()) if now_text else wiring.now_utc()
    asked = wiring.with_history(Asked(**typed))  # type: ignore[arg-type]
    settings = wiring.settings if asked.zone or asked.region or asked.regions else with_home(wiring)
    request = wiring.with_promises(plan_request(asked, settings, now_utc=now_utc), now_utc)
    found = quote(request, wiring.chain(signal, as_of_utc=now_utc))
    choices: tuple[Choice, ...] = ()
    if frontier:
        from lowtide.assembly.choices import choices_of

        choices = choices_of(found)
    if as_json:
        import json

        told = found.to_json() | ({"frontier": [choice.to_json() for choice in choices]} if frontier else {})
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo("\n".join(lines(found, now_utc)))
        if frontier:
            from lowtide.cli.frontier import frontier_lines

            click.echo("\n".join(frontier_lines(choices)))


def lines(found: Quote, now_utc: datetime) -> list[str]:
    """The quote for a person: what will happen, what it saves, how sure that is, what to do next."""
    plan, request = found.plan, found.request
    window = Span(request.earliest_utc, min(request.deadline_utc, plan.forecast.known_until_utc))
    return [
        *_folded(_headlines(found)),
        "",
        *plot(found.series, window, plan.segments, None),
        "",
        *_figures(found, now_utc),
        *_folded(_doubts(found)),
        *_folded(_reasons(found)),
        *_more(found),
    ]


def _folded(texts: list[str]) -> list[str]:
    return [line for text in texts for line in _fold(text)]


def _fold(text: str, indent: str = "  ") -> list[str]:
    """The text on lines of at most 100 characters, broken after a comma or at a dot between, else between words."""
    done, line = [], ""
    for part in re.split(r"(?<=[,;]) (?=\S)|(?<= ·) ", text):
        joined = f"{line} {part}" if line.strip() else line + part
        if len(joined) <= _WIDTH:
            line = joined
            continue
        if line.strip():
            done.append(line)
        *wrapped, line = textwrap.wrap(
            part, _WIDTH, initial_indent=indent if done else "", subsequent_indent=indent, break_on_hyphens=False
        )
        done += wrapped
    return [*done, line]


def _headlines(found: Quote) -> list[str]:
    plan, forecast = found.plan, found.plan.forecast
    segment = plan.segments[0]
    where = segment.zone if segment.region == LOCAL else f"{segment.region} ({segment.zone})"
    issued = f", issued {figures.clock(forecast.issued_at)}" if forecast.issued_at else ""
    note = f", {found.series.note}" if found.series.note else ""
    took = figures.duration(found.request.duration_s)
    guess, widths = found.request.manner.guess, found.request.manner.widths
    if guess is not None:
        seen = f", like {len(guess.sample_s)} seen before" if guess.sample_s else ""
        took = f"{figures.duration(guess.low_s)} to {figures.duration(guess.high_s)}{seen}"
    if widths is not None:
        took += f" of work at width {widths.base}"
    return [
        f"{where} · {took} at {figures.significant(found.power_w)} W ({found.power_basis})",
        f"{forecast.source}{issued}{note}",
        f"{forecast.frame}",
    ]


def _figures(found: Quote, now_utc: datetime) -> list[str]:
    plan, request = found.plan, found.request
    spare_s = (request.deadline_utc - plan.end_utc).total_seconds()
    emissions = figures.grams(plan.emissions_g)
    if plan.emissions_low_g is not None and plan.emissions_high_g is not None:
        emissions = figures.grams_in_band(plan.emissions_g, plan.emissions_low_g, plan.emissions_high_g)
    against = plan.baseline_g if plan.baseline_g is not None else plan.at_once_g
    once = "at once" if plan.baseline_g is not None else "at once there"
    saved = figures.percent(plan.saved_pct) if plan.saved_pct is not None else f"not known: {plan.no_baseline_why}"
    price = f"${plan.price_usd:.2f}" if plan.price_usd is not None else "none known"
    if all(segment.region == LOCAL for segment in plan.segments):
        price = "none at home"
    starts = figures.local_time(plan.start_utc, now_utc)
    rows = [
        ("start", starts, "finish", f"{figures.clock(plan.end_utc)}, {figures.duration(spare_s)} before the deadline"),
        ("energy", figures.kwh(plan.energy_kwh), "price", price),
        ("emissions", emissions, once, figures.grams(against)),
        ("saved", saved, "", ""),
    ]
    lines = []
    for a, b, c, d in rows:
        lines += _fold(f"{a:<10}{b:<39}{c:<14}{d}".rstrip(), " " * (63 if d else 10))
    if len(plan.segments) > 1 or plan.segments[0].width != 1:
        lines += _fold(f"{'runs':<10}{', '.join(_pieces(plan.segments))}", " " * 10)
    return lines


def _pieces(segments: tuple[Segment, ...]) -> Iterator[str]:
    """``Sat 10 Jan 09:00-10:00 UTC``, ``12:00-13:00``: the day and the name of the clock only where they change.

    The width and the place stand behind where they are not the same for all.
    """
    day = clock = ""
    several_widths = any(segment.width != 1 for segment in segments)
    several_places = len({segment.region for segment in segments}) > 1
    for segment in segments[:_PIECES_SHOWN]:
        said = []
        ends = [instant.astimezone() for instant in (segment.start_utc, segment.end_utc)]
        for instant in ends:
            shown = [f"{instant:%H:%M}"]
            if f"{instant:%a %d %b}" != day:
                day = f"{instant:%a %d %b}"
                shown.insert(0, day)
            # within one clock its name stands once, behind the end
            if f"{instant:%Z}" != clock and (instant is ends[1] or f"{ends[0]:%Z}" != f"{ends[1]:%Z}"):
                clock = f"{instant:%Z}"
                shown.append(clock)
            said.append(" ".join(shown))
        width = f" x{segment.width}" if several_widths else ""
        yield "-".join(said) + width + (f" in {segment.region}" if several_places else "")
    if len(segments) > _PIECES_SHOWN:
        yield f"... and {len(segments) - _PIECES_SHOWN} more, --json lists them"


def _doubts(found: Quote) -> list[str]:
    plan = found.plan
    of_what = "this forecast" if plan.forecast.kind == "forecast" else "this model of the grid"
    sure = f"exact for {of_what}"
    if not plan.exact:
        over_pct = 100 * (plan.emissions_g - plan.bound_g) / plan.bound_g if plan.bound_g > 0 else float("inf")
        sure = f"at most {figures.significant(over_pct, 2)} % above the best for {of_what}"
    elif plan.bound_g < plan.emissions_g * (1 - _SHOWN_SHARE):
        sure += f" and for what you ask; the least possible is {figures.grams(plan.bound_g)}"
    if plan.chance_worse is not None and not _is_at_once(found):
        than = "starting at once" if plan.baseline_g is None or found.request.home in found.request.places else "home"
        sure += f" · {100 * plan.chance_worse:.0f} in 100 such plans turn out worse than {than}"
    lines = [sure]
    if plan.forecast_edge:
        until = figures.clock(plan.forecast.known_until_utc)
        lines.append(f"the best window is the last of the forecast (known until {until}): a better one may lie beyond")
    if plan.held_back_g:
        lines.append(
            f"{figures.grams(plan.held_back_g)} less would be expected from a shift, which does not beat the error of "
            "the forecast: --no-guard shifts it all the same"
        )
    guess = found.request.manner.guess
    if guess is not None:
        kept = f"{100 * guess.keep_share:.3g} of 100 such jobs have ended by then"
        lines.append(f"{kept}{'' if guess.sample_s else ', if every duration between is as likely'}; the others run on")
    if found.request.judgement.robust and plan.emissions_high_g is None:
        lines.append("this forecast has no band: --robust judges as without it")
    weight, price_usd = found.request.judgement.carbon_price_usd_per_t, plan.price_usd
    if weight is not None and price_usd is not None:
        carbon_usd = plan.emissions_g / G_PER_T * weight
        lines.append(f"${price_usd + carbon_usd:,.2f} with its emissions at ${weight:g} a tonne (${carbon_usd:,.2f})")
    known_utc = plan.forecast.known_until_utc
    if known_utc < found.request.deadline_utc and not plan.forecast_edge:
        lines.append(f"the forecast ends {figures.clock(known_utc)}: later times were not looked at")
    if plan.misfits:
        first = plan.misfits[0]
        more = f", and {len(plan.misfits) - 1} more: --json lists them" if len(plan.misfits) > 1 else ""
        lines.append(f"does not fit: {first.region}, {first.why}{more}")
    until_utc, count = found.planned_around_until_utc, found.promised
    if until_utc is not None:
        jobs, them = ("1 job is", "it") if count == 1 else (f"{count} jobs are", "them")
        lines.append(f"{jobs} promised here until {figures.clock(until_utc)}: planned around {them}")
    lines += [f"not used for {skip.zone}: {_reason(skip)}" for skip in found.gathered.skipped if not skip.by_wish]
    return lines


def _is_at_once(found: Quote) -> bool:
    """Whether the plan is the run at once that it would be held against."""
    plan, against = found.plan, found.plan.baseline_g
    return (
        against is not None
        and plan.start_utc <= found.request.earliest_utc
        and isclose(plan.emissions_g, against, rel_tol=1e-9)
    )


def _reason(skip: Skipped) -> str:
    """Who was not used and why."""
    return without_request(skip.why if skip.why.startswith(skip.source) else f"{skip.source}: {skip.why}")


_BRINGS = {"time": "time", "place": "place", "pausing": "pauses", "width": "widths"}


def _reasons(found: Quote) -> list[str]:
    """What each freedom brought, and which limit binds."""
    told = found.explanation
    lines = []
    saved_g = sum(told.saved_g.values())
    if told.against_g and len(told.saved_g) > 1 and abs(saved_g) > _SHOWN_SHARE * told.against_g:
        parts = (f"{_BRINGS[freedom]} {figures.signed_grams(-grams)}" for freedom, grams in told.saved_g.items())
        lines.append(f"made of: {' · '.join(parts)}")
    binding = [one for one in told.binding if one.limit != "guard"]  # that is said above, with what was held back
    if binding:
        parts = (f"{one.limit} (relaxed: {figures.signed_grams(-one.gain_g)})" for one in binding)
        lines.append(f"binding: {' · '.join(parts)}")
    return lines


def _more(found: Quote) -> list[str]:
    """What a little more freedom would bring: solved, not guessed."""
    against = found.plan.baseline_g or found.plan.at_once_g
    offered = further(found.gathered.problem, found.plan, MARGIN)
    if not against or not offered:
        return []
    later = f"{figures.duration(MARGIN.total_seconds())} more time"
    told = []
    for freedom, gain_g in offered.items():
        points = round(100 * gain_g / against)
        if points > 0:
            name = "--pausable" if freedom == "pausing" else later
            told.append(f"{name} saves {points} {'point' if points == 1 else 'points'}")
    if told:
        return [f"more: {' · '.join(told)}"]
    nouns = " or ".join(freedom if freedom == "pausing" else later for freedom in offered)
    return [f"more: {nouns} would save nothing"]
