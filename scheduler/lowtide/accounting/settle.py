"""Readings x vintages -> what the job emitted, against the plan, against at once at home, against the best possible."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isclose
from typing import TYPE_CHECKING, Any, Literal

from lowtide.accounting.difference import Difference, shapley
from lowtide.accounting.profiles import (
    Profile,
    emissions_g,
    least_emissions_g,
    measured_profile,
    pauses_of,
    planned_profile,
)
from lowtide.planning.solvers.pauses import PauseRules, plan_pauses
from lowtide.planning.solvers.windows import StepSeries, known_until_s
from lowtide_core.quantities import JOULES_PER_KWH, SECONDS_PER_HOUR
from lowtide_core.series import require_one_frame
from lowtide_core.spans import from_epoch_s, iso_utc, to_epoch_s

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from lowtide.jobs.manner import Pausing
    from lowtide.planning.types import Plan
    from lowtide_core.places import Place, ZoneId
    from lowtide_core.series import FloatArray, SignalSeries

State = Literal["modelled", "provisional", "settled"]
_NOTHING_TO_SAVE = 1e-9
_SAME = 1e-9
"""Energies that differ by less, relatively, are the same: the sum over the buckets is rounded."""


@dataclass(frozen=True, slots=True)
class SitedPlace:
    """A place with its overhead, and what bringing the data there emitted."""

    place: Place
    pue: float
    transfer_g: float = 0.0


@dataclass(frozen=True, slots=True)
class SettlementInputs:
    """All that a settlement rests on.

    Attributes:
        results: The sampler's results, one per attempt that has one; every attempt's energy counts.
        planned, realised: Where it was to run, and where it ran.
        home: Where it would have run without lowtide; None with the reason in ``no_home_why``.
        forecast: What was expected, by zone; of every zone above.
        actual: What came, by zone; a zone without actuals is not in it.
        final: Whether the actuals will not be revised any more.
        embodied_g_per_h: Of the machine; None where unknown.
        pausing: How the job could be paused; None where it could not.
    """

    job_id: str
    plan: Plan
    results: tuple[Mapping[str, Any], ...]
    planned: SitedPlace
    realised: SitedPlace
    home: SitedPlace | None
    no_home_why: str
    earliest_utc: datetime
    deadline_utc: datetime
    forecast: Mapping[ZoneId, SignalSeries]
    actual: Mapping[ZoneId, SignalSeries]
    final: bool
    facts_version: str
    embodied_g_per_h: float | None = None
    pausing: Pausing | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """One job's receipt; see ``to_json`` for the names that others rely on."""

    inputs: SettlementInputs
    state: State
    source: str
    profile: Profile
    realised_g: float
    realised_low_g: float
    realised_high_g: float
    baseline_g: float | None
    no_baseline_why: str
    possible_g: float | None
    difference: Difference | None
    no_difference_why: str

    @property
    def saved_g(self) -> float | None:
        return None if self.baseline_g is None else self.baseline_g - self.realised_g

    @property
    def captured_pct(self) -> float | None:
        """Share of the possible saving; None where there is no baseline, no actual, or nothing could be saved."""
        if self.baseline_g is None or self.possible_g is None or self.saved_g is None:
            return None
        possible_saving_g = self.baseline_g - self.possible_g
        if possible_saving_g <= _NOTHING_TO_SAVE * self.baseline_g:
            return None
        return 100.0 * self.saved_g / possible_saving_g

    def to_json(self) -> dict[str, Any]:
        """The contract of ``lowtide report --json``, and more."""
        inputs, plan = self.inputs, self.inputs.plan
        frame = plan.forecast.frame
        meaning = {"basis": frame.basis, "scope": frame.scope, "accounting": frame.accounting}
        energy_kwh = self.profile.total_kwh
        embodied_g = self._embodied_g()
        return {
            "job_id": inputs.job_id,
            "planned": {
                "region": inputs.planned.place.region,
                "zone": inputs.planned.place.zone,
                "start_utc": iso_utc(plan.start_utc),
                "end_utc": iso_utc(plan.end_utc),
                "energy_kwh": plan.energy_kwh,
                "pue": inputs.planned.pue,
                "emissions_g": plan.emissions_g,
                "emissions_low_g": plan.emissions_low_g,
                "emissions_high_g": plan.emissions_high_g,
                "intensity_g_per_kwh": _intensity(plan.emissions_g, plan.energy_kwh, inputs.planned),
                "baseline_g": plan.baseline_g,
                "saved_pct": plan.saved_pct,
                "source": plan.forecast.source,
                "kind": plan.forecast.kind,
                "issued_at": iso_utc(plan.forecast.issued_at) if plan.forecast.issued_at else None,
                **meaning,
            },
            "realised": {
                "state": self.state,
                "region": inputs.realised.place.region,
                "zone": inputs.realised.place.zone,
                "start_utc": _iso_s(self.profile.start_s[0]),
                "end_utc": _iso_s(self.profile.end_s[-1]),
                "energy_kwh": energy_kwh,
                "energy_low_kwh": self._energy_kwh("energy_low_j"),
                "energy_high_kwh": self._energy_kwh("energy_high_j"),
                "measured_share": self._share("measured_share"),
                "modelled_share": self._share("modelled_share"),
                "filled_share": self._share("filled_share"),
                "meters": sorted({source for result in inputs.results for source in _meters(result)}),
                "components_kwh": self._components_kwh(),
                "pue": inputs.realised.pue,
                "emissions_g": self.realised_g,
                "emissions_low_g": self.realised_low_g,
                "emissions_high_g": self.realised_high_g,
                "intensity_g_per_kwh": _intensity(self.realised_g, energy_kwh, inputs.realised),
                "source": self.source,
                "facts_version": inputs.facts_version,
                **meaning,
            },
            "possible_g": self.possible_g,
            "baseline_g": self.baseline_g,
            "no_baseline_why": self.no_baseline_why or None,
            "saved_g": self.saved_g,
            "saved_pct": 100.0 * self.saved_g / self.baseline_g
            if self.baseline_g and self.saved_g is not None
            else None,
            "captured_pct": self.captured_pct,
            "difference": None
            if self.difference is None
            else {
                "energy_g": self.difference.energy_g,
                "timing_g": self.difference.timing_g,
                "place_g": self.difference.place_g,
                "forecast_g": self.difference.forecast_g,
            },
            "no_difference_why": self.no_difference_why or None,
            "embodied_g": embodied_g,
            "sci_g": None if embodied_g is None else self.realised_g + embodied_g,
        }

    def _embodied_g(self) -> float | None:
        per_h = self.inputs.embodied_g_per_h
        seconds = sum(float(result["duration_s"]) for result in self.inputs.results)
        return None if per_h is None else per_h * seconds / SECONDS_PER_HOUR

    def _energy_kwh(self, key: str) -> float:
        return sum(float(result[key]) for result in self.inputs.results) / JOULES_PER_KWH

    def _share(self, key: str) -> float:
        """Share over all attempts, weighted with their energy; an attempt without any has no share and no weight."""
        energy_j = [float(result["energy_j"]) for result in self.inputs.results]
        shares = [float(result[key] or 0.0) for result in self.inputs.results]
        return sum(energy * share for energy, share in zip(energy_j, shares, strict=True)) / sum(energy_j)

    def _components_kwh(self) -> dict[str, float | None]:
        parts: dict[str, float | None] = {}
        for result in self.inputs.results:
            for name, component in result["components"].items():
                energy_j = component and component.get("energy_j")
                if energy_j is None:
                    parts.setdefault(name, None)
                else:
                    parts[name] = (parts.get(name) or 0.0) + float(energy_j) / JOULES_PER_KWH
        return parts


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Nothing can be said yet, and why."""

    job_id: str
    why: str


def settle(inputs: SettlementInputs) -> Settlement | Unsettled:
    """One job's settlement, in the frame of its plan.

    Raises:
        InputError: A series stands in another frame than the plan.
    Notes:
        Realised emissions are IT energy in five-minute buckets x PUE x the intensity at that place and time. Without
        an actual intensity they are modelled: the series of the plan stands in, and neither the best possible nor what
        the forecast missed can be known.
    """
    everything = (*inputs.forecast.values(), *inputs.actual.values())
    require_one_frame([("the plan", inputs.plan.forecast.frame), *((s.source, s.frame) for s in everything)])
    profile = measured_profile(inputs.results)
    if profile.total_kwh <= 0:
        return Unsettled(inputs.job_id, "the sampler found no meter and no model, so its energy is unknown")
    zone = inputs.realised.place.zone
    actual = inputs.actual.get(zone)
    has_actual = actual is not None and emissions_g(profile, actual, 1.0) is not None
    state: State = "modelled" if not has_actual else "settled" if inputs.final else "provisional"
    series = actual if has_actual else inputs.forecast.get(zone)
    if series is None:
        return Unsettled(inputs.job_id, f"no intensity of {zone} is known, neither what came nor what was expected")
    operational_g = emissions_g(profile, series, inputs.realised.pue)
    if operational_g is None:
        return Unsettled(inputs.job_id, f"{series.source} has no intensity of {zone} for the time of the run")
    realised_g = operational_g + inputs.realised.transfer_g
    low, high = _band(inputs, profile, series, state)
    chosen = inputs.actual if state != "modelled" else inputs.forecast
    baseline_g, why = _baseline(inputs, profile, chosen)
    difference, no_difference_why = _difference(inputs, profile, state)
    return Settlement(
        inputs=inputs,
        state=state,
        source=series.source,
        profile=profile,
        realised_g=realised_g,
        realised_low_g=operational_g * low + inputs.realised.transfer_g,
        realised_high_g=operational_g * high + inputs.realised.transfer_g,
        baseline_g=baseline_g,
        no_baseline_why=why,
        possible_g=_possible(inputs, profile, state),
        difference=difference,
        no_difference_why=no_difference_why,
    )


def _band(inputs: SettlementInputs, profile: Profile, series: SignalSeries, state: State) -> tuple[float, float]:
    """Factors on the emissions: the energy's band, and where the intensity is modelled its band too, multiplied."""
    energy = sum(float(result["energy_j"]) for result in inputs.results)
    low = sum(float(result["energy_low_j"]) for result in inputs.results) / energy
    high = sum(float(result["energy_high_j"]) for result in inputs.results) / energy
    if state == "modelled" and series.low_g_per_kwh is not None and series.high_g_per_kwh is not None:
        middle = emissions_g(profile, series, 1.0)
        below = emissions_g(profile, _with_values(series, series.low_g_per_kwh), 1.0)
        above = emissions_g(profile, _with_values(series, series.high_g_per_kwh), 1.0)
        if middle and below is not None and above is not None:
            low, high = low * below / middle, high * above / middle
    return low, high


def _with_values(series: SignalSeries, values: FloatArray) -> SignalSeries:
    return replace(series, intensity_g_per_kwh=values, low_g_per_kwh=None, high_g_per_kwh=None)


def _baseline(
    inputs: SettlementInputs, profile: Profile, known: Mapping[ZoneId, SignalSeries]
) -> tuple[float | None, str]:
    """The same energy, used at once at home and without the pauses of the plan."""
    if inputs.home is None:
        return None, inputs.no_home_why
    series = known.get(inputs.home.place.zone)
    at_once = profile.without(pauses_of(inputs.plan)).moved_to(to_epoch_s(inputs.earliest_utc))
    found = None if series is None else emissions_g(at_once, series, inputs.home.pue)
    if found is None:
        return None, f"no intensity of {inputs.home.place.zone} is known for a run at once"
    return found + inputs.home.transfer_g, ""


def _possible(inputs: SettlementInputs, profile: Profile, state: State) -> float | None:
    """The least that this energy could have emitted within the job's time, at the place where it ran.

    A job that may pause could have run in the cheapest pieces of that time, at its mean power.
    """
    actual = inputs.actual.get(inputs.realised.place.zone)
    if state == "modelled" or actual is None:
        return None
    earliest_s, deadline_s = to_epoch_s(inputs.earliest_utc), to_epoch_s(inputs.deadline_utc)
    least = least_emissions_g(profile, actual, inputs.realised.pue, earliest_s, deadline_s - profile.length_s)
    if least is not None and inputs.pausing is not None:
        least = min(least, _least_with_pauses_g(inputs, inputs.pausing, profile, actual))
    return None if least is None else least + inputs.realised.transfer_g


def _least_with_pauses_g(inputs: SettlementInputs, pausing: Pausing, profile: Profile, actual: SignalSeries) -> float:
    run = profile.without(pauses_of(inputs.plan))
    ran_s = float((run.end_s - run.start_s).sum())
    steps = StepSeries(actual.start_s, actual.step_s, actual.intensity_g_per_kwh)
    earliest_s, deadline_s = to_epoch_s(inputs.earliest_utc), to_epoch_s(inputs.deadline_utc)
    end_by_s = max(earliest_s + ran_s, min(deadline_s, known_until_s(steps, earliest_s)))
    rules = PauseRules(
        restart_s=pausing.restart_kwh / run.total_kwh * ran_s,
        max_pauses=pausing.max_pauses,
        min_run_s=pausing.min_run_s,
    )
    best = plan_pauses(steps, earliest_s, end_by_s, ran_s, rules)
    return best.bound / ran_s * run.total_kwh * inputs.realised.pue


def _difference(inputs: SettlementInputs, profile: Profile, state: State) -> tuple[Difference | None, str]:
    planned, forecast = planned_profile(inputs.plan), inputs.forecast
    actual = inputs.actual if state != "modelled" else forecast
    places = (inputs.planned, inputs.realised)
    for site in places:
        for name, known in (("forecast", forecast), ("actual intensity", actual)):
            series = known.get(site.place.zone)
            for run in (planned, profile):
                if series is None or emissions_g(run, series, 1.0) is None:
                    return None, f"no {name} of {site.place.zone} covers both the planned and the real run"
    shapes = (_unit(planned), _unit(profile))
    energies = (planned.total_kwh, profile.total_kwh)
    changed = {
        "energy": not isclose(*energies, rel_tol=_SAME),
        "timing": not planned.same_course_as(profile),
        "place": places[0] != places[1],
        "forecast": state != "modelled",
    }

    def value(some: frozenset[str]) -> float:
        site = places["place" in some]
        series = (actual if "forecast" in some else forecast)[site.place.zone]
        per_kwh = emissions_g(shapes["timing" in some], series, site.pue)
        return energies["energy" in some] * (per_kwh or 0.0) + site.transfer_g

    shares = shapley(value, frozenset(cause for cause, is_so in changed.items() if is_so))
    return (
        Difference(
            energy_g=shares["energy"],
            timing_g=shares["timing"],
            place_g=shares["place"],
            forecast_g=None if state == "modelled" else shares["forecast"],
        ),
        "",
    )


def _unit(profile: Profile) -> Profile:
    """The profile of one kWh with the same course."""
    return Profile(profile.start_s, profile.end_s, profile.energy_kwh / profile.total_kwh)


def _intensity(total_g: float, energy_kwh: float, site: SitedPlace) -> float | None:
    facility_kwh = energy_kwh * site.pue
    return (total_g - site.transfer_g) / facility_kwh if facility_kwh > 0 else None


def _meters(result: Mapping[str, Any]) -> tuple[str, ...]:
    components = (component for component in result["components"].values() if component)
    return tuple(str(source) for component in components for source in component.get("sources") or ())


def _iso_s(epoch_s: float) -> str:
    return iso_utc(from_epoch_s(float(epoch_s)))
