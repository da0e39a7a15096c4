"""Jobs and plans as JSON, exactly: what is read back equals what was written, to the last digit."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lowtide.jobs.durations import DurationGuess
from lowtide.jobs.manner import Judgement, Manner, Pausing
from lowtide.jobs.spec import JobSpec
from lowtide.jobs.widths import WidthTable
from lowtide.planning.types import ForecastUsed, Misfit, Plan, Segment
from lowtide_core.places import Place, RegionId, ZoneId
from lowtide_core.series import Frame
from lowtide_core.spans import iso_utc, parse_iso_utc

if TYPE_CHECKING:
    from datetime import datetime


def spec_to_text(spec: JobSpec) -> str:
    """The job as asked, as JSON."""
    return json.dumps(
        {
            "argv": spec.argv,
            "working_dir": spec.working_dir,
            "duration_s": spec.duration_s,
            "earliest_utc": iso_utc(spec.earliest_utc),
            "deadline_utc": iso_utc(spec.deadline_utc),
            "places": [_place_to_json(place) for place in spec.places],
            "home": _place_to_json(spec.home) if spec.home else None,
            "power_w": spec.power_w,
            "power_basis": spec.power_basis,
            "gpu": spec.gpu,
            "gpu_count": spec.gpu_count,
            "engine": spec.engine,
            "signal": spec.signal,
            "retries": spec.retries,
            "max_price_usd": spec.max_price_usd,
            "data_gb": spec.data_gb,
            "data_from": _place_to_json(spec.data_from) if spec.data_from else None,
            "name": spec.name,
            "environment": dict(spec.environment),
            "manner": asdict(spec.manner),
            "judgement": asdict(spec.judgement),
            "bandwidth_gb_per_s": spec.bandwidth_gb_per_s,
            "options": dict(spec.options),
            "checkpoints": spec.checkpoints,
            "cpus": spec.cpus,
        }
    )


def spec_from_text(text: str) -> JobSpec:
    """The job as asked, from its JSON."""
    item: dict[str, Any] = json.loads(text)
    return JobSpec(
        **{
            **item,
            "argv": tuple(item["argv"]),
            "earliest_utc": parse_iso_utc(item["earliest_utc"]),
            "deadline_utc": parse_iso_utc(item["deadline_utc"]),
            "places": tuple(_place_from_json(place) for place in item["places"]),
            "home": _place_from_json(item["home"]) if item["home"] else None,
            "data_from": _place_from_json(item["data_from"]) if item["data_from"] else None,
            "manner": manner_from_json(item.get("manner", {})),
            "judgement": judgement_from_json(item.get("judgement", {})),
        }
    )


def plan_to_text(plan: Plan) -> str:
    """The plan as made, as JSON."""
    forecast = plan.forecast
    return json.dumps(
        {
            "segments": [
                [iso_utc(s.start_utc), iso_utc(s.end_utc), s.region, s.zone, s.width, s.energy_kwh]
                for s in plan.segments
            ],
            "energy_kwh": plan.energy_kwh,
            "emissions_g": plan.emissions_g,
            "emissions_low_g": plan.emissions_low_g,
            "emissions_high_g": plan.emissions_high_g,
            "at_once_g": plan.at_once_g,
            "baseline_g": plan.baseline_g,
            "no_baseline_why": plan.no_baseline_why,
            "bound_g": plan.bound_g,
            "exact": plan.exact,
            "chance_worse": plan.chance_worse,
            "price_usd": plan.price_usd,
            "forecast": {
                "source": forecast.source,
                "kind": forecast.kind,
                "issued_at": iso_utc(forecast.issued_at) if forecast.issued_at else None,
                "frame": [forecast.frame.basis, forecast.frame.scope, forecast.frame.accounting],
                "known_until_utc": iso_utc(forecast.known_until_utc),
            },
            "forecast_edge": plan.forecast_edge,
            "pue": plan.pue,
            "transfer_g": plan.transfer_g,
            "baseline_pue": plan.baseline_pue,
            "baseline_transfer_g": plan.baseline_transfer_g,
            "misfits": [[m.region, m.zone, m.why, m.limit, m.short_by_s] for m in plan.misfits],
            "held_back_g": plan.held_back_g,
        }
    )


def plan_from_text(text: str) -> Plan:
    """The plan as made, from its JSON."""
    item: dict[str, Any] = json.loads(text)
    forecast = item["forecast"]
    return Plan(
        **{
            **item,
            "segments": tuple(
                Segment(parse_iso_utc(start), parse_iso_utc(end), *labels)  # older plans have no energy per segment
                for start, end, *labels in item["segments"]
            ),
            "forecast": ForecastUsed(
                source=forecast["source"],
                kind=forecast["kind"],
                issued_at=_instant(forecast["issued_at"]),
                frame=Frame(*forecast["frame"]),
                known_until_utc=parse_iso_utc(forecast["known_until_utc"]),
            ),
            "misfits": tuple(Misfit(*misfit) for misfit in item["misfits"]),
        }
    )


def manner_from_json(item: dict[str, Any]) -> Manner:
    """How the job runs; nothing said, as in older records, is one run at constant power."""
    pausing, guess, widths = (item.get(key) for key in ("pausing", "guess", "widths"))
    return Manner(
        **{
            **item,
            "pausing": Pausing(**pausing) if pausing else None,
            "course": tuple(tuple(stretch) for stretch in item.get("course", ())),
            "guess": DurationGuess(**{**guess, "sample_s": tuple(guess["sample_s"])}) if guess else None,
            "widths": _widths_from_json(widths) if widths else None,
        }
    )


def judgement_from_json(item: dict[str, Any]) -> Judgement:
    """What counts as better; older records weighed a gain in standard deviations, which are about as large."""
    item = dict(item)
    if "least_sigmas" in item:
        item["least_errors"] = item.pop("least_sigmas")
    return Judgement(**item)


def _widths_from_json(item: dict[str, Any]) -> WidthTable:
    columns = {key: tuple(item[key]) for key in ("width", "throughput", "power_w", "excluded")}
    return WidthTable(**{**item, **columns})


def _place_to_json(place: Place) -> list[str]:
    return [place.region, place.zone]


def _place_from_json(pair: list[str]) -> Place:
    return Place(RegionId(pair[0]), ZoneId(pair[1]))


def _instant(text: str | None) -> datetime | None:
    return None if text is None else parse_iso_utc(text)
