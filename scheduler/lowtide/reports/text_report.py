"""The report in the terminal: a receipt for one job, a table for many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lowtide.reports import figures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowtide.reports.build import ReportRow

HEADS = ("job", "state", "energy", "planned", "realised", "at once", "saved", "captured", "settlement")


def receipt(row: ReportRow) -> list[str]:
    """One job, quoted beside what came."""
    title = f"receipt for {row.job_id}   {' '.join(row.command)}"
    found = row.settlement
    if found is None:
        return [title, f"no settlement: {row.why}"]
    planned, realised = found["planned"], found["realised"]
    lines = [
        f"{title[:80]:<82}{realised['state']}",
        f"{'':<11}{'quoted':<22}{'realised':<}",
        f"{'energy':<11}{figures.kwh(planned['energy_kwh']):<22}{_energy(realised)}",
        f"{'intensity':<11}{figures.intensity(planned['intensity_g_per_kwh']):<22}"
        f"{figures.intensity(realised['intensity_g_per_kwh'])}   {_source(realised)}",
        f"{'emissions':<11}{figures.grams(planned['emissions_g']):<22}{_emissions(realised)}",
        _against(found),
        _difference(found),
    ]
    if found["embodied_g"] is not None:
        lines.append(f"{'embodied':<11}{figures.grams(found['embodied_g'])} beside, in no sum above")
    return lines


def _energy(realised: Mapping[str, Any]) -> str:
    low, high = (figures.kwh(realised[key]) for key in ("energy_low_kwh", "energy_high_kwh"))
    shares = []
    for key, word in (("measured_share", "measured"), ("modelled_share", "modelled"), ("filled_share", "filled")):
        if realised[key] >= 0.005:
            shares.append(f"{100 * realised[key]:.0f} % {word}")
    meters = f" ({', '.join(realised['meters'])})" if realised["meters"] else ""
    return f"{figures.kwh(realised['energy_kwh'])} ({low} to {high})   {', '.join(shares)}{meters}"


def _source(realised: Mapping[str, Any]) -> str:
    return f"{realised['source']} · {realised['basis']}, {realised['scope']}, {realised['accounting']}"


def _emissions(realised: Mapping[str, Any]) -> str:
    band = figures.band(realised["emissions_low_g"], realised["emissions_high_g"])
    return f"{figures.grams(realised['emissions_g'])} ({band})"


def _against(found: Mapping[str, Any]) -> str:
    if found["baseline_g"] is None:
        return f"{'at once':<11}not known: {found['no_baseline_why']}"
    possible = (
        "best possible not known"
        if found["possible_g"] is None
        else f"best possible {figures.grams(found['possible_g'])}"
    )
    saved = f"saved {figures.signed_grams(found['saved_g']).lstrip('+')} ({figures.percent(found['saved_pct'])})"
    captured = "" if found["captured_pct"] is None else f" · captured {found['captured_pct']:.0f} %"
    return f"{'at once':<11}{figures.grams(found['baseline_g']):<22}{possible}   {saved}{captured}"


def _difference(found: Mapping[str, Any]) -> str:
    parts = found["difference"]
    if parts is None:
        return f"{'difference':<11}not split: {found['no_difference_why']}"
    total_g = sum(value for value in parts.values() if value is not None)
    named = "  ".join(f"{name} {figures.signed_grams(parts[f'{name}_g'])}" for name in ("energy", "timing", "place"))
    forecast = "not known" if parts["forecast_g"] is None else figures.signed_grams(parts["forecast_g"])
    return f"{'difference':<11}{figures.signed_grams(total_g)}  =  {named}  forecast {forecast}"


def cells(row: ReportRow) -> tuple[str, ...]:
    """One job as a line of a table, under ``HEADS``."""
    found = row.settlement
    if found is None:
        return (row.job_id, row.state, "-", "-", "-", "-", "-", "-", row.why)
    return (
        row.job_id,
        row.state,
        figures.kwh(found["realised"]["energy_kwh"]),
        figures.grams(found["planned"]["emissions_g"]),
        figures.grams(found["realised"]["emissions_g"]),
        figures.grams(found["baseline_g"]),
        figures.percent(found["saved_pct"]),
        figures.percent(found["captured_pct"]),
        found["realised"]["state"],
    )
