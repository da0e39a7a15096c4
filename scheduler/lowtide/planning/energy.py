"""Which energy a run uses in which step of a series: the one function behind every figure of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from lowtide.planning.solvers.steps import SAME_INSTANT_S
from lowtide_core.quantities import JOULES_PER_KWH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowtide.jobs.durations import DurationGuess
    from lowtide.jobs.manner import Manner
    from lowtide.planning.solvers.durations import Durations
    from lowtide.planning.solvers.windows import StepSeries
    from lowtide_core.series import FloatArray


class Run(NamedTuple):
    """One uninterrupted stretch at one place (an index into the candidates) and one width."""

    start_s: float
    end_s: float
    place: int = 0
    width: int = 1


def run_energy_kwh(
    manner: Manner,
    series: StepSeries,
    runs: Sequence[Run],
    number: int,
    *,
    power_w: float,
    duration_s: float,
    done_s: float = 0.0,
    first_kwh: float | None = None,
) -> FloatArray:
    """IT energy that one of the runs uses in each step: what it emits per g/kWh of it, before the PUE.

    Args:
        manner: How the job runs.
        series: The steps at the run's place; values are not looked at.
        runs: All of them, in order, not overlapping: what came before decides how far the job is. number: which one.
        power_w: Mean power of the whole job at that place (not looked at, where the manner has widths); W.
        duration_s: Of the whole job; s. Not looked at, where it is not known.
        done_s: How much of it was done before the first of the runs; s.
        first_kwh: IT energy of starting the first run; None: of the job's set-up.
    Returns:
        kWh; (n,). Expected energy, where the duration is not known, with that of the jobs that take longer than was
        booked. The energy of a start is spent in the step that holds or begins at the start, that of the end in the
        step that holds or ends there.
    """
    run, edges_s = runs[number], series.edges_s()
    is_last = number + 1 == len(runs)
    at_s = np.clip(edges_s, run.start_s, run.end_s + (tail_s(manner, done_s) if is_last else 0.0))
    if manner.widths is not None:
        widths = manner.widths
        used = widths.at(run.width)[1] * np.diff(at_s) / JOULES_PER_KWH
        if widths.switch_kwh:
            _add_at(used, edges_s, run.start_s, "right", widths.switch_kwh)
            if not is_last and runs[number + 1].start_s - run.end_s > SAME_INSTANT_S:
                _add_at(used, edges_s, run.end_s, "left", widths.switch_kwh)
        return used
    reached_s = done_s + sum(before.end_s - before.start_s for before in runs[:number])
    likely = still_running(manner, done_s)
    by_then_s = seconds_at_mean(manner, reached_s + (at_s - run.start_s), duration_s)
    used = np.diff(by_then_s) / likely * power_w / JOULES_PER_KWH
    restart_kwh = manner.pausing.restart_kwh if manner.pausing else 0.0
    first_kwh = manner.setup_kwh if first_kwh is None else first_kwh
    starting_kwh = (first_kwh if number == 0 else restart_kwh) * still_running(manner, reached_s) / likely
    _add_at(used, edges_s, run.start_s, "right", starting_kwh)
    if is_last:
        _add_at(used, edges_s, run.end_s, "left", manner.teardown_kwh)
    return used


def _add_at(
    used: FloatArray, edges_s: FloatArray, instant_s: float, side: Literal["left", "right"], kwh: float
) -> None:
    """Spends an energy in the step that holds the instant; on an edge the one that begins or ends (left) there."""
    if not kwh:
        return
    nudge_s = SAME_INSTANT_S if side == "right" else -SAME_INSTANT_S
    index = int(np.searchsorted(edges_s, instant_s + nudge_s, side="right")) - 1
    if 0 <= index < used.size:
        used[index] += kwh


def seconds_at_mean(manner: Manner, progress_s: FloatArray, duration_s: float) -> FloatArray:
    """Energy that has been used by each progress, as seconds of running at mean power; (m,), s, expected."""
    if manner.guess is not None:
        return durations_of(manner.guess).lasting_s(progress_s)
    if not manner.course:
        return np.asarray(progress_s, dtype=np.float64)
    shares, relative = (np.array(column) for column in zip(*manner.course, strict=True))
    ends_s = np.concatenate(([0.0], np.cumsum(shares))) * duration_s
    drawn_s = np.concatenate(([0.0], np.cumsum(shares * relative))) * duration_s
    return np.asarray(np.interp(progress_s, ends_s, drawn_s), dtype=np.float64)


def still_running(manner: Manner, progress_s: float) -> float:
    """Probability that the job has not ended by this progress; 0-1."""
    return 1.0 if manner.guess is None else durations_of(manner.guess).survival(progress_s)


def booked_s(manner: Manner, duration_s: float, done_s: float = 0.0) -> float:
    """How long the job is planned to take in all; s.

    Its duration, or where that is not known what suffices surely enough for a job that has run for ``done_s``.
    """
    guess = manner.guess
    if guess is None:
        return duration_s
    durations = durations_of(guess)
    return (durations.after(done_s) if done_s else durations).quantile_s(guess.keep_share) + done_s


def tail_s(manner: Manner, done_s: float = 0.0) -> float:
    """How much longer than booked the job may take, where its duration is not known: it then runs on; s."""
    guess = manner.guess
    return 0.0 if guess is None else durations_of(guess).longest_s - booked_s(manner, 0.0, done_s)


def durations_of(guess: DurationGuess) -> Durations:
    """What is known of a duration, as a distribution."""
    from lowtide.planning.solvers.durations import Durations

    return Durations.sample(guess.sample_s) if guess.sample_s else Durations.uniform(guess.low_s, guess.high_s)
