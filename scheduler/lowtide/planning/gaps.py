"""A job's runs around the spans in which it cannot run, because what may run then is promised to others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lowtide.planning.choice import Chosen, choose, over_bound
from lowtide.planning.energy import Run
from lowtide.planning.solvers.parts import cheapest_in_gaps
from lowtide.planning.solvers.steps import SAME_INSTANT_S
from lowtide.planning.solvers.windows import Piece, StepSeries, seconds_in_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from lowtide.planning.choice import Work

    Spans = Sequence[tuple[float, float]]
    Cost = Callable[[tuple[Run, ...]], float]

_SAME = 1e-9
_TIE = 1e-12
_DEAR = (1e3, 1e5, 1e7)
"""Times the largest value: the prices of blocked steps, tried in order. The lower, the less is lost to rounding."""
_MOST_PARTS = 12
_LEAST_PART_S = 60.0
"""A step is cut into no more parts, and into none that are shorter, to tell what is blocked of it."""


def free_spans(blocked: Spans, from_s: float, until_s: float) -> tuple[Piece, ...]:
    """What the blocked spans (in order, disjoint) leave free between two instants; of rounding nothing is left."""
    starts_s = (from_s, *(max(from_s, end_s) for _, end_s in blocked))
    ends_s = (*(min(until_s, start_s) for start_s, _ in blocked), until_s)
    return tuple(Piece(start, end) for start, end in zip(starts_s, ends_s, strict=True) if end - start > SAME_INSTANT_S)


def overlaps(blocked: Spans, start_s: float, end_s: float) -> bool:
    """Whether a run between two instants is in a blocked span, by more than rounding."""
    return any(min(end_s, until_s) - max(start_s, from_s) > SAME_INSTANT_S for from_s, until_s in blocked)


def first_start_s(blocked: Spans, earliest_s: float, length_s: float) -> float:
    """The first instant from which so long nothing is blocked; infinite where there is none."""
    for gap in free_spans(blocked, earliest_s, math.inf):
        if gap.end_s - gap.start_s >= length_s - SAME_INSTANT_S:
            return gap.start_s
    return math.inf


def first_end_s(work: Work, blocked: Spans, earliest_s: float) -> float:
    """By when the job can have been done, were there no deadline; infinite where it never can.

    The least such instant, but for a job whose pauses are limited or cost something: that is taken to run in one go.
    """
    if not _may_be_split(work):
        return first_start_s(blocked, earliest_s, work.least_s) + work.least_s
    left_s = work.least_s
    for gap in free_spans(blocked, earliest_s, math.inf):
        if gap.end_s - gap.start_s >= left_s - SAME_INSTANT_S:
            return gap.start_s + left_s
        left_s -= gap.end_s - gap.start_s
    return math.inf


def choose_around(
    work: Work, series: StepSeries, earliest_s: float, end_by_s: float, blocked: Spans, cost_of: Cost
) -> Chosen | None:
    """The runs of least cost between two instants, none of them in a blocked span; None where there is no room.

    Args:
        series: By which times are judged; known and >= 0 between the two.
        earliest_s, end_by_s: The job would fit between them, were nothing blocked.
        blocked: Start and end of each span; s, in order, disjoint.
        cost_of: What given runs cost by the series; it chooses between runs in different gaps.
    Notes:
        One run is planned in every gap that is long enough; pauses that are free take the cheapest parts of steps of
        all gaps. Both are exact. Where pauses cost something or are limited, or the width changes, blocked steps are
        given a value so high that no plan has part of them; that is exact where the blocked spans end on steps, or on
        a few equal parts of them. Elsewhere a part that is blocked in part is taken as blocked, and the bound
        is the plan for which it is free. In a job whose power is 0 for a stretch, that stretch may lie in a blocked
        step whatever the price; then, and where only parts of parts would do, the best plan within one gap is taken,
        or one in as few gaps as will do. So a job that has room is never told that it has none, but for one whose
        widths change with the steps.

        A run whose length is not known is taken to be as long as it is booked.
    """
    gaps = free_spans(blocked, earliest_s, end_by_s)
    if gaps == (Piece(earliest_s, end_by_s),):
        return choose(work, series, earliest_s, end_by_s)
    if sum(gap.end_s - gap.start_s for gap in gaps) < work.least_s - SAME_INSTANT_S:
        return None
    widths = work.manner.widths
    if work.manner.pausing is None and (widths is None or widths.fixed):
        return _in_one_gap(work, series, earliest_s, gaps, cost_of)
    if _may_be_split(work) and (widths is None or widths.fixed):
        return _in_parts(work, series, gaps, cost_of)
    # a job that runs pauses where the window begins blocked; of any other the window begins with the first gap
    window = Piece(earliest_s if work.running else gaps[0].start_s, gaps[-1].end_s)
    return _at_a_price(work, series, window, gaps, _widened(blocked, window), cost_of)


def _may_be_split(work: Work) -> bool:
    """Whether only the sum of its runs counts."""
    pausing, widths = work.manner.pausing, work.manner.widths
    if widths is not None:
        return pausing is not None or not widths.fixed
    return pausing is not None and pausing.is_free and work.is_plain


def _in_one_gap(
    work: Work, series: StepSeries, earliest_s: float, gaps: Sequence[Piece], cost_of: Cost
) -> Chosen | None:
    """The best plan that stays within a gap; of equals, the earliest."""
    long = [gap for gap in gaps if gap.end_s - gap.start_s >= work.least_s - SAME_INSTANT_S]
    if work.running and work.manner.pausing is not None:
        long = [gap for gap in long if gap.start_s == earliest_s]  # later, it would have paused
    found = [choose(work, series, gap.start_s, gap.end_s) for gap in long]
    return _cheapest(found, cost_of) if found else None


def _in_parts(work: Work, series: StepSeries, gaps: Sequence[Piece], cost_of: Cost) -> Chosen | None:
    """The cheapest parts of steps, of the width for which they cost least; of equals, the widest."""
    table = work.manner.widths
    found = []
    for width in (1,) if table is None else reversed(table.width):
        speed = 1.0 if table is None else table.at(width)[0] / table.at(table.base)[0]
        pieces = cheapest_in_gaps(series, gaps, work.remaining_s / speed)
        if pieces:
            found.append(Chosen(tuple(Run(piece.start_s, piece.end_s, width=width) for piece in pieces)))
    return _cheapest(found, cost_of) if found else None


def _cheapest(found: Sequence[Chosen], cost_of: Cost) -> Chosen:
    """The first of those that cost least, up to rounding."""
    costs = [cost_of(chosen.runs) for chosen in found]
    return next(chosen for chosen, cost in zip(found, costs, strict=True) if cost <= min(costs) * (1 + _TIE))


def _widened(blocked: Spans, window: Piece) -> list[tuple[float, float]]:
    """The spans within the window; what is blocked as it opens is so before, for the step that lies across."""
    return [
        (-math.inf if start_s <= window.start_s else start_s, end_s)
        for start_s, end_s in blocked
        if end_s > window.start_s + SAME_INSTANT_S and start_s < window.end_s - SAME_INSTANT_S
    ]


def _at_a_price(
    work: Work, series: StepSeries, window: Piece, gaps: Sequence[Piece], blocked: Spans, cost_of: Cost
) -> Chosen | None:
    """The plan for which blocked steps are too dear."""
    widths = work.manner.widths
    most = 1 if widths is not None and widths.whole_steps else _parts(series, blocked)
    fitting, bounds = [], []
    for parts in dict.fromkeys((most, 1)):
        fine = StepSeries(series.start_s, series.step_s / parts, np.repeat(series.values, parts))
        touched, covered = (_blocked_steps(fine, blocked, wholly=wholly) for wholly in (False, True))
        found, on_parts = _avoiding(work, fine, touched, window), bool((touched == covered).all())
        if found is not None and found.exact and on_parts:
            return found
        below = found if on_parts else _avoiding(work, fine, covered, window)
        fitting += [] if found is None else [found]
        bounds += [] if below is None else [cost_of(below.runs) / below.over_bound]
        if found is not None and found.exact:
            break  # on whole steps it would not be better
    if widths is None or not widths.whole_steps:  # a gap may end inside a step
        within = _in_one_gap(work, series, window.start_s, gaps, cost_of), _in_few_gaps(work, window.start_s, gaps)
        fitting += [chosen for chosen in within if chosen is not None]
    if not fitting:
        return None
    if not bounds:
        alone = choose(work, series, *window)
        bounds = [cost_of(alone.runs) / alone.over_bound]
    runs = _cheapest(fitting, cost_of).runs
    over = over_bound(cost_of(runs), max(bounds))
    return Chosen(runs, over, over <= 1 + _SAME)


def _in_few_gaps(work: Work, earliest_s: float, gaps: Sequence[Piece]) -> Chosen | None:
    """A plan in the longest gaps, as few as will do: of a job that does not run yet there is one, if there is any."""
    pausing, widths = work.manner.pausing, work.manner.widths
    width = 1 if widths is None else max(widths.width, key=lambda width: widths.at(width)[0])
    longest = sorted(gaps, key=lambda gap: gap.start_s - gap.end_s)
    room_s = np.cumsum([gap.end_s - gap.start_s for gap in longest])
    taken = sorted(longest[: 1 + int(np.searchsorted(room_s, work.least_s - SAME_INSTANT_S))])
    pauses = work.pauses_used + len(taken) - 1 + (work.running and taken[0].start_s > earliest_s)
    least_s = pausing.min_run_s if pausing is not None and len(taken) > 1 else 0.0
    spare_s = work.least_s - len(taken) * least_s
    limited = pausing is not None and pausing.max_pauses is not None and pauses > pausing.max_pauses
    if limited or spare_s < -SAME_INSTANT_S or any(gap.end_s - gap.start_s < least_s - SAME_INSTANT_S for gap in taken):
        return None
    runs = []
    for gap in taken:
        more_s = min(spare_s, gap.end_s - gap.start_s - least_s)
        runs.append(Run(gap.start_s, gap.start_s + least_s + more_s, width=width))
        spare_s -= more_s
    return Chosen(tuple(runs))


def _avoiding(work: Work, series: StepSeries, blocked: npt.NDArray[np.bool_], window: Piece) -> Chosen | None:
    """The best plan without these steps; None where every price is paid."""
    inside = seconds_in_steps(series, (window,)) > 0
    top = float(series.values[inside].max()) or 1.0
    for times in _DEAR:
        priced = series._replace(values=np.where(blocked, times * top, series.values))
        chosen = choose(work, priced, *window)
        pieces = tuple(Piece(run.start_s, run.end_s) for run in chosen.runs)
        if seconds_in_steps(series, pieces)[blocked].sum() <= SAME_INSTANT_S:
            return chosen
    return None


def _parts(series: StepSeries, blocked: Spans) -> int:
    """Into how many equal parts a step is cut, so that the blocked spans begin and end on parts, or nearly so."""
    most = max(1, min(_MOST_PARTS, int(series.step_s // _LEAST_PART_S)))
    inner_s = [at_s - series.start_s for span in blocked for at_s in span if math.isfinite(at_s)]
    for parts in range(1, most + 1):
        part_s = series.step_s / parts
        if all(abs(at_s - round(at_s / part_s) * part_s) < SAME_INSTANT_S for at_s in inner_s):
            return parts
    return most


def _blocked_steps(series: StepSeries, blocked: Spans, *, wholly: bool) -> npt.NDArray[np.bool_]:
    """The steps that a span covers, or (not ``wholly``) touches; (n,)."""
    edges_s = series.edges_s()
    begins_s, ends_s = edges_s[:-1], edges_s[1:]
    within = np.zeros(begins_s.size, dtype=np.bool_)
    for from_s, until_s in blocked:
        if wholly:
            within |= (begins_s >= from_s - SAME_INSTANT_S) & (ends_s <= until_s + SAME_INSTANT_S)
        else:
            within |= (begins_s < until_s - SAME_INSTANT_S) & (ends_s > from_s + SAME_INSTANT_S)
    return within
