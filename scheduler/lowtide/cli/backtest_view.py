"""The answer of ``lowtide backtest`` for a person, and for a program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowtide.cli.text import table
from lowtide.reports import figures

if TYPE_CHECKING:
    from lowtide.backtest.ask import Answer
    from lowtide.backtest.run import LeftOut
    from lowtide.backtest.score import Score

_HEADS = ("jobs", "possible", "saved", "captured", "worse")
_BAR = 30
_ONE_IN = ("", "", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def to_json(found: Answer) -> dict[str, object]:
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
        "slack_hours": question.slack_s / 3600,
        "pausable": question.rules.pausable,
        "replan_hours": question.rules.replan_s / 3600 if np.isfinite(question.rules.replan_s) else None,
        "guard": question.rules.guard is not None,
        "left_out": _left_out(whole.left_out) | {"never_ran": found.skipped},
        "months": [{"month": month.month} | month.score.to_json() for month in whole.months],
        "zones": [{"zone": result.zone} | result.score.to_json() for result in found.zones],
        "corrections": [correction._asdict() for correction in found.corrections],
        "compare": [{"policy": name} | score.to_json() for name, score in whole.policies.items()],
    }


def lines(found: Answer) -> list[str]:
    """The answer in words, month by month, zone by zone, and beside other policies."""
    whole = found.whole
    said = [in_words(found), ""]
    if len(found.zones) > 1:
        zones = [(result.zone, result.score) for result in found.zones]
        said += [*_table("zone", zones), ""]
    said += _table("month", [(month.month, month.score) for month in whole.months])
    if whole.policies:
        said += ["", *_table("policy", list(whole.policies.items()))]
    return [*said, "", *_below(found)]


def in_words(found: Answer) -> str:
    """``for 4 h jobs with 1 d of slack in GB, lowtide would have saved 22 % (of 30 % possible); one plan in ...``"""
    question, score = found.question, found.whole.score
    slack = f"{figures.duration(question.slack_s)} of slack" if question.slack_s else "no slack"
    kind = f"{figures.duration(question.job_s)} jobs" if question.job_s is not None else f"the {score.jobs} jobs"
    place = f" in {found.whole.zone}" if found.whole.zone else ""
    if score.captured_pct is None:
        return f"for {kind} with {slack}{place}, nothing could be saved: no later start would have emitted less"
    return (
        f"for {kind} with {slack}{place}, lowtide would have saved {figures.percent(score.saved_pct)} "
        f"(of {figures.percent(score.oracle_saved_pct)} possible); {_worse(score)}"
    )


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
            _bar(score, most),
        )
        for name, score in rows
    ]
    return table((head, *_HEADS, ""), cells, left={0, 6})


def _bar(score: Score, most_pct: float) -> str:
    if not most_pct:
        return ""
    possible = round(_BAR * (score.oracle_saved_pct or 0.0) / most_pct)
    saved = min(possible, max(0, round(_BAR * (score.saved_pct or 0.0) / most_pct)))
    return "█" * saved + "░" * (possible - saved)


def _below(found: Answer) -> list[str]:
    score, rules = found.whole.score, found.question.rules
    rank = "-" if score.rank_correlation is None else f"{score.rank_correlation:.2f}"
    often = f"planned anew every {figures.duration(rules.replan_s)}" if np.isfinite(rules.replan_s) else "planned once"
    guarded = "shifted only where the gain beats the error" if rules.guard is not None else "shifted for any gain"
    said = [
        f"█ saved, ░ possible · rank correlation {rank} · regret {figures.percent(score.regret_pct)}",
        f"forecast {found.forecast} · {often}, {guarded}",
        f"{found.actual} · {found.frame} · months are UTC",
    ]
    for correction in found.corrections:
        tried = ", ".join(f"{name} {figures.percent(share)}" for name, share in correction.captured_pct.items())
        named = f"{correction.zone}: " if correction.zone else ""
        said.append(f"{named}forecasts {correction.chosen} · captured on the past before: {tried}")
    left = {name: count for name, count in _left_out(found.whole.left_out).items() if count}
    if found.skipped:
        left["never_ran"] = found.skipped
    words = {
        "gap": "with a gap in what came",
        "unforecast": "without a forecast",
        "unplaced": "without a place",
        "never_ran": "that never ran",
    }
    if left:
        said.append("not counted: " + ", ".join(f"{count:,} jobs {words[name]}" for name, count in left.items()))
    return said


def _left_out(left_out: LeftOut) -> dict[str, int]:
    return {"gap": left_out.gap, "unforecast": left_out.unforecast, "unplaced": left_out.unplaced}
