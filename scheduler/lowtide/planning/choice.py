"""Which solver answers which question: from a job's manner to the runs of least cost at one place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowtide.planning.energy import Run, booked_s, durations_of, run_energy_kwh
from lowtide.planning.solvers.windows import best_pieces, best_window
from lowtide_core.quantities import JOULES_PER_KWH, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from lowtide.jobs.durations import DurationGuess
    from lowtide.jobs.manner import Manner, Pausing
    from lowtide.jobs.widths import WidthTable
    from lowtide.planning.solvers.pauses import ProgressWeight
    from lowtide.planning.solvers.windows import StepSeries

_SAME = 1e-9
_CELLS_OF_GUESS = 96
"""Stretches into which the chance to be still running is cut, for a job that pauses and whose duration is not known."""


class Work(NamedTuple):
    """What is to be run, and where it stands.

    Attributes:
        manner: How the job runs. power_w: its mean power at the place; W.
        duration_s: Of the whole job; s. done_s: how much of it is done.
        running: It runs at the earliest time. pauses_used: pauses that it has had.
        setup_kwh: IT energy of the first start; a restart's where the job has begun.
    """

    manner: Manner
    power_w: float
    duration_s: float
    done_s: float
    running: bool
    pauses_used: int
    setup_kwh: float

    @property
    def remaining_s(self) -> float:
        """What is still to be run; s: what suffices surely enough, where the duration is not known."""
        return booked_s(self.manner, self.duration_s, self.done_s) - self.done_s

    @property
    def least_s(self) -> float:
        """How long the run takes at least, at its widest, from its start to its end; s."""
        widths = self.manner.widths
        return (
            self.remaining_s
            if widths is None
            else self.remaining_s * widths.at(widths.base)[0] / max(widths.throughput)
        )

    @property
    def is_plain(self) -> bool:
        """Whether every second of it costs the same, and its start and its end nothing."""
        return not (self.manner.course or self.setup_kwh or self.manner.teardown_kwh or self.manner.guess)

    def as_seconds(self, energy_kwh: float) -> float:
        """An energy as seconds of running at mean power."""
        return energy_kwh * JOULES_PER_KWH / self.power_w


class Chosen(NamedTuple):
    """The runs; what they cost over what no plan can cost less than (1 where they attain it); whether they are best."""

    runs: tuple[Run, ...]
    over_bound: float = 1.0
    exact: bool = True


def choose(work: Work, series: StepSeries, earliest_s: float, end_by_s: float) -> Chosen:
    """The runs of least cost between two instants.

    Args:
        series: By which times are judged; known and >= 0 between the two.
        earliest_s, end_by_s: The job fits between them.
    """
    manner = work.manner
    if manner.widths is not None:
        return _of_widths(work, manner.widths, series, earliest_s, end_by_s)
    if manner.pausing is None:
        if work.is_plain:
            window = best_window(series, earliest_s, end_by_s, work.remaining_s)
            return Chosen((Run(window.start_s, window.end_s),))
        if manner.guess is not None:
            return _of_unknown_length(work, manner.guess, series, earliest_s, end_by_s)
        return _of_load(work, series, earliest_s, end_by_s)
    if work.is_plain and manner.pausing.is_free and not work.running:
        pieces = best_pieces(series, earliest_s, end_by_s, work.remaining_s)
        return Chosen(tuple(Run(piece.start_s, piece.end_s) for piece in pieces))
    return _of_pauses(work, manner.pausing, series, earliest_s, end_by_s)


def _of_load(work: Work, series: StepSeries, earliest_s: float, end_by_s: float) -> Chosen:
    """One run whose power varies, or whose start and end cost something."""
    from lowtide.planning.solvers.loads import Load, best_load

    ends_s, relative = _course(work)
    load = Load(
        np.concatenate(([0.0], ends_s)),
        relative,
        work.as_seconds(work.setup_kwh),
        work.as_seconds(work.manner.teardown_kwh),
    )
    window = best_load(series, earliest_s, end_by_s, load)
    return Chosen((Run(window.start_s, window.end_s),))


def _course(work: Work) -> tuple[np.ndarray, np.ndarray]:
    """Relative power over what remains: where each stretch ends, s after now, and its power; (n,) each."""
    course = work.manner.course or ((1.0, 1.0),)
    shares, relative = (np.array(column) for column in zip(*course, strict=True))
    ends_s = np.cumsum(shares) * work.duration_s - work.done_s
    ends_s[-1] = work.remaining_s
    ahead = ends_s > 0
    return ends_s[ahead], relative[ahead]


def _of_unknown_length(
    work: Work, guess: DurationGuess, series: StepSeries, earliest_s: float, end_by_s: float
) -> Chosen:
    """One run of which only a guess is known: least expected cost, with the deadline kept surely enough."""
    from lowtide.planning.solvers.durations import best_uncertain_start

    durations = durations_of(guess)
    found = best_uncertain_start(
        series,
        earliest_s,
        end_by_s,
        durations.after(work.done_s) if work.done_s else durations,
        probability=guess.keep_share,
        setup_s=work.as_seconds(work.setup_kwh),
    )
    return Chosen((Run(found.start_s, found.start_s + work.remaining_s),))


def _of_pauses(work: Work, pausing: Pausing, series: StepSeries, earliest_s: float, end_by_s: float) -> Chosen:
    """Several runs with pauses that cost something, or are limited."""
    from lowtide.planning.solvers.pauses import PauseRules, plan_pauses

    rules = PauseRules(
        first_start_s=work.as_seconds(work.setup_kwh),
        restart_s=work.as_seconds(pausing.restart_kwh),
        stop_s=work.as_seconds(work.manner.teardown_kwh),
        max_pauses=pausing.max_pauses,
        min_run_s=pausing.min_run_s,
    )
    if work.done_s or work.running:
        rules = rules.after_pauses(work.pauses_used)
    weight = _weight(work, series.step_s)
    found = plan_pauses(series, earliest_s, end_by_s, work.remaining_s, rules, weight=weight, running=work.running)
    runs = tuple(Run(piece.start_s, piece.end_s) for piece in found.pieces)
    if work.manner.guess is None:
        return Chosen(runs, over_bound(found.cost, found.bound), found.exact)
    # The chance falls within a cell of progress: with its least value there, and without the jobs that take longer than
    # booked, no plan at all costs less.
    below = _weight(work, series.step_s, least=True)
    least = plan_pauses(series, earliest_s, end_by_s, work.remaining_s, rules, weight=below, running=work.running)
    cost, bound = _expected_cost(work, series, runs), least.bound * work.power_w / JOULES_PER_KWH
    return Chosen(runs, over_bound(cost, bound), cost - bound <= _SAME * cost)


def _expected_cost(work: Work, series: StepSeries, runs: tuple[Run, ...]) -> float:
    """Energy x value of the runs, with the jobs that take longer than booked; kWh x value."""
    used = sum(
        run_energy_kwh(
            work.manner,
            series,
            runs,
            number,
            power_w=work.power_w,
            duration_s=work.duration_s,
            done_s=work.done_s,
            first_kwh=work.setup_kwh,
        )
        for number in range(len(runs))
    )
    spent = np.asarray(used) > 0
    return float(np.asarray(used)[spent] @ series.values[spent])


def over_bound(cost: float, bound: float) -> float:
    """What runs cost over what no plan can cost less than; infinite where that is nothing and they cost something."""
    if bound > 0:
        return max(1.0, cost / bound)
    return 1.0 if cost <= 0 else math.inf


def _weight(work: Work, step_s: float, *, least: bool = False) -> ProgressWeight | None:
    """What running counts for by progress: power, or the chance to be still running; None: the same throughout.

    A chance that falls evenly is cut into cells that divide the step, as long as there are no more than so many; their
    mean is exact for runs that end on cells. ``least``: its value at the end of each cell in the place of the mean.
    """
    from lowtide.planning.solvers.pauses import ProgressWeight

    guess = work.manner.guess
    if guess is not None:
        from lowtide.planning.solvers.durations import survival_weights

        durations = durations_of(guess)
        grain_s = None
        if not guess.sample_s and guess.high_s > guess.low_s:
            grain_s = step_s / 4
            while (guess.high_s - guess.low_s) / grain_s > _CELLS_OF_GUESS:
                grain_s *= 2
        known = survival_weights(durations, guess.high_s, 1.0, grain_s=grain_s)
        factors = known.weight.tolist()
        if least and grain_s is not None:
            factors = [durations.survival(float(end_s)) for end_s in known.edges_s[1:]]
        return ProgressWeight(tuple(known.edges_s[1:].tolist()), tuple(factors), is_survival=True).after(
            work.done_s, still=durations.survival(work.done_s)
        )
    if not work.manner.course:
        return None
    ends_s, relative = _course(work)
    return ProgressWeight(tuple(ends_s.tolist()), tuple(relative.tolist()))


def _of_widths(work: Work, table: WidthTable, series: StepSeries, earliest_s: float, end_by_s: float) -> Chosen:
    """Several widths; pauses are always allowed, but for a job of one fixed width that may not pause."""
    from lowtide.planning.solvers.widths import best_fixed_width, plan_widths
    from lowtide.planning.solvers.widths_profile import Widths

    widths = Widths(table.width, np.array(table.throughput) * SECONDS_PER_HOUR, np.array(table.power_w))
    units = table.at(table.base)[0] * work.remaining_s
    if table.fixed:
        pausable = work.manner.pausing is not None
        found = best_fixed_width(series, earliest_s, end_by_s, units, widths, pausable=pausable)
    else:
        found = plan_widths(
            series,
            earliest_s,
            end_by_s,
            units,
            widths,
            whole_slots=table.whole_steps,
            stop_when_done=table.whole_steps,
            switch_kwh=table.switch_kwh,
        )
    runs = tuple(Run(run.start_s, run.end_s, width=run.width) for run in found.runs)
    return Chosen(runs, over_bound(found.cost, found.bound), found.exact)
