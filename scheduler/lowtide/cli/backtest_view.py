"""The answer of ``lowtide backtest`` for a person, and for a program."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from lowtide.backtest.capacity import QueueRules
from lowtide.cli.text import WIDTH, table
from lowtide.reports import figures

if TYPE_CHECKING:
    from lowtide.backtest.replay import Rules
    from lowtide.backtest.run import BacktestResult
    from lowtide.backtest.score import Score

_HEADS = ("jobs", "possible", "saved", "captured", "worse")
_BAR = 30
_ONE_IN = ("", "", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def to_json(found: BacktestResult) -> dict[str, object]:
    """The whole answer; shares in percent, None where there is none."""
    whole, frame, question = found.whole, found.frame, found.question
    return {
        **whole.score.to_json(),
        "plans": whole.score.plans,
        "plans_per_s": whole.score.plans / whole.plan_s if whole.plan_s else None,
        "plan_s": whole.plan_s,
        "forecast_s": found.forecast_s,
        "actual": found.actual,
        "forecast": found.forecast,
        "basis": frame.basis,
        "scope": frame.scope,
        "accounting": frame.accounting,
        "job_hours": None if question.job_s is None else question.job_s / 3600,
        "slack_hours": None if _all_own(found) else question.slack_s / 3600,
        **_planning(question.rules),
        "left_out": _left_out(found),
        "months": [{"month": month.month} | month.score.to_json() for month in whole.months],
        "zones": [{"zone": result.zone} | result.score.to_json() for result in found.zones],
        "corrections": [correction._asdict() for correction in found.corrections],
        "compare": [{"policy": name} | score.to_json() for name, score in whole.policies.items()],
    }


def lines(found: BacktestResult) -> list[str]:
    """The answer in words, month by month, zone by zone, and beside other policies."""
    whole = found.whole
    said = [*wrap(in_words(found), WIDTH), ""]
    if len(found.zones) > 1:
        zones = [(result.zone, result.score) for result in found.zones]
        said += [*_table("zone", zones), ""]
    said += _table("month", [(month.month, month.score) for month in whole.months])
    if whole.policies:
        said += ["", *_table("policy", list(whole.policies.items()))]
    return [*said, "", *_below(found)]


def in_words(found: BacktestResult) -> str:
    """``for 4 h jobs with 1 d of slack in GB, lowtide would have saved 22 % (of 30 % possible); one plan in ...``"""
    question, score = found.question, found.whole.score
    kind = f"{figures.duration(question.job_s)} jobs" if question.job_s is not None else f"the {score.jobs} jobs"
    place = f" in {found.whole.zone}" if found.whole.zone else ""
    if score.captured_pct is None:
        return f"for {kind} with {_slack(found)}{place}, nothing could be saved: no later start would have emitted less"
    return (
        f"for {kind} with {_slack(found)}{place}, lowtide would have saved {figures.percent(score.saved_pct)} "
        f"(of {figures.percent(score.oracle_saved_pct)} possible); {_worse(score)}"
    )


def _slack(found: BacktestResult) -> str:
    """``1 d of slack``, ``their own deadlines``, or both where some of the jobs name none."""
    slack_s = found.question.slack_s
    slack = f"{figures.duration(slack_s)} of slack" if slack_s else "no slack"
    if _all_own(found):
        return "their own deadlines"
    return f"their own deadlines or {slack}" if found.past is not None and found.past.own_deadlines else slack


def _all_own(found: BacktestResult) -> bool:
    """Whether every job names its own deadline, so that no slack was given to any."""
    return found.past is not None and found.past.own_deadlines == len(found.past.jobs)


def _worse(score: Score) -> str:
    """How often a plan turned out worse, as people say it."""
    if not score.worse:
        return "no plan was worse than running at once"
    one_in = round(score.jobs / score.worse)
    if one_in >= 100:
        often = "fewer than one plan in a hundred was"
    elif one_in >= len(_ONE_IN):
        often = f"one plan in {one_in} was"
    elif one_in > 1:
        often = f"one plan in {_ONE_IN[one_in]} was"
    else:
        often = f"{figures.percent(score.worse_than_now_pct)} of the plans were"
    return f"{often} worse than running at once"


def _table(head: str, rows: list[tuple[str, Score]]) -> list[str]:
    """One line each; the bar shows what was saved of what was possible, all bars to one scale."""
    most = max((score.oracle_saved_pct or 0.0) for _, score in rows)
    cells = [
        (
            name,
            f"{score.jobs:,}",
            figures.percent(score.oracle_saved_pct),
            figures.percent(score.saved_pct),
            figures.percent(score.captured_pct),
            figures.percent(score.worse_than_now_pct),
        )
        for name, score in rows
    ]
    taken = sum(2 + max(map(len, column)) for column in zip((head, *_HEADS), *cells, strict=True))
    bars = (_bar(score, most, min(_BAR, WIDTH - taken)) for _, score in rows)
    return table((head, *_HEADS, ""), [(*row, bar) for row, bar in zip(cells, bars, strict=True)], left={0, 6})


def _bar(score: Score, most_pct: float, width: int) -> str:
    if not most_pct:
        return ""
    possible = round(width * (score.oracle_saved_pct or 0.0) / most_pct)
    saved = min(possible, max(0, round(width * (score.saved_pct or 0.0) / most_pct)))
    return "█" * saved + "░" * (possible - saved)


def _below(found: BacktestResult) -> list[str]:
    score = found.whole.score
    rank = "-" if score.rank_correlation is None else f"{score.rank_correlation:.2f}"
    said = [
        f"█ saved, ░ possible · rank correlation {rank} · regret {figures.percent(score.regret_pct)}",
        f"forecast {found.forecast} · {_planned(found.question.rules)}",
        f"{found.actual} · {found.frame} · months are UTC",
    ]
    for correction in found.corrections:
        tried = ", ".join(f"{name} {figures.percent(share)}" for name, share in correction.captured_pct.items())
        named = f"{correction.zone}: " if correction.zone else ""
        said += wrap(
            f"{named}planned on the forecasts {correction.chosen} · tried on the past before, with a job each hour, "
            f"they captured: {tried}",
            WIDTH,
        )
    left = {name: count for name, count in _left_out(found).items() if count}
    words = {
        "gap": "with a gap in what came",
        "unforecast": "without a forecast",
        "unplaced": "without a place",
        "never_ran": "that never ran",
    }
    if left:
        said.append("not counted: " + ", ".join(f"{count:,} jobs {words[name]}" for name, count in left.items()))
    return said


def _planned(rules: Rules | QueueRules) -> str:
    """How the jobs were planned."""
    if isinstance(rules, QueueRules):
        return f"planned anew at each arrival, on {rules.cpus:g} CPUs, shifted for any gain"
    often = f"planned anew every {figures.duration(rules.replan_s)}" if np.isfinite(rules.replan_s) else "planned once"
    return f"{often}, shifted " + ("for any gain" if rules.guard is None else "only where the gain beats the error")


def _planning(rules: Rules | QueueRules) -> dict[str, object]:
    """The same for a program: ``once``, ``again`` every ``replan_hours``, or in a queue ``at_arrivals``."""
    if isinstance(rules, QueueRules):
        said: dict[str, object] = {"planned": "at_arrivals", "replan_hours": None, "pausable": False, "guard": False}
        return said | {"capacity_cpus": rules.cpus}
    again = np.isfinite(rules.replan_s)
    return {
        "planned": "again" if again else "once",
        "replan_hours": rules.replan_s / 3600 if again else None,
        "pausable": rules.pausable,
        "guard": rules.guard is not None,
        "capacity_cpus": None,
    }


def _left_out(found: BacktestResult) -> dict[str, int]:
    """Jobs that are not counted, by the reason."""
    left = found.whole.left_out
    never = 0 if found.past is None else found.past.skipped
    return {"gap": left.gap, "unforecast": left.unforecast, "unplaced": left.unplaced, "never_ran": never}
