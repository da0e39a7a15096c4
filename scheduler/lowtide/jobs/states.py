"""Where a job can be, and the one table of how it gets from there to somewhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from lowtide_core.errors import IllegalTransition, InputError, nearest

JobState = Literal["waiting", "starting", "running", "paused", "done", "failed", "cancelled", "lost", "missed"]

STATES: tuple[JobState, ...] = get_args(JobState)
IN_FLIGHT: tuple[JobState, ...] = ("starting", "running", "paused")
FINAL: tuple[JobState, ...] = ("done", "failed", "cancelled", "lost", "missed")

SHOWN: dict[JobState, str] = {
    "waiting": "waits",
    "starting": "starts",
    "running": "runs",
    "paused": "paused",
    "done": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "lost": "lost",
    "missed": "missed",
}
"""The word that a person reads in a table."""

MEANING: dict[JobState, str] = {
    "waiting": "planned; nothing has been started",
    "starting": "taken by one owner; the engine has been, or is about to be, asked",
    "running": "the engine says that it runs",
    "paused": "held by its engine: between two runs of its plan, or at the user's wish",
    "done": "ended with exit status 0",
    "failed": "ended with another exit status, or could not be started",
    "cancelled": "ended, or kept from starting, at the user's wish",
    "lost": "was started, and nobody can say how it ended; never run again unasked",
    "missed": "its deadline passed before it could start",
}


@dataclass(frozen=True, slots=True)
class Transition:
    """One legal move: by name, from any of these states, to that one."""

    letter: str
    name: str
    sources: tuple[JobState, ...]
    target: JobState
    when: str


TRANSITIONS: tuple[Transition, ...] = (
    Transition("A", "submit", (), "waiting", "a user submits it, and a plan fits"),
    Transition("B", "replan", ("waiting",), "waiting", "a fresher forecast gives another plan"),
    Transition("C", "claim", ("waiting",), "starting", "its time has come; one owner takes it and names the attempt"),
    Transition("D", "start", ("starting",), "running", "the engine has it"),
    Transition("E", "finish", IN_FLIGHT, "done", "the engine reports exit status 0"),
    Transition("F", "fail", IN_FLIGHT, "failed", "the engine reports another exit status, or refuses it"),
    Transition("G", "lose", IN_FLIGHT, "lost", "the engine cannot say how it ended; no retry is left"),
    Transition("H", "retry", IN_FLIGHT, "waiting", "the attempt is lost, a retry is left and fits"),
    Transition("I", "cancel", ("waiting",), "cancelled", "the user cancels before it started"),
    Transition("J", "stop", IN_FLIGHT, "cancelled", "the user cancelled, and the engine has ended it"),
    Transition("K", "miss", ("waiting", "starting"), "missed", "the deadline has passed and it had not started"),
    Transition("L", "pause", ("running",), "paused", "a run of its plan ends before the last, or `lowtide pause`"),
    Transition("M", "resume", ("paused",), "running", "the next run of its plan begins, or `lowtide resume`"),
    Transition(
        "N", "shift", ("starting",), "starting", "a fresher forecast gives another plan to what its engine queues"
    ),
)

BY_NAME: dict[str, Transition] = {transition.name: transition for transition in TRANSITIONS}


def require(name: str, state: JobState, *, what: str = "A job") -> Transition:
    """The transition of that name, legal in this state.

    Args:
        what: Who is meant, as the message begins.
    Raises:
        IllegalTransition: It does not lead out of this state.
    """
    transition = BY_NAME[name]
    if state not in transition.sources:
        possible = [other.name for other in TRANSITIONS if state in other.sources]
        raise IllegalTransition(
            f"{what} cannot {name}: it is {state}.",
            hint=f"From here it can only {', '.join(possible)}." if possible else "lowtide show tells how it ended.",
            transition=name,
            state=state,
        )
    return transition


def parse_state(text: str) -> JobState:
    """The state that a person means: by its name, or by the word in the tables.

    Raises:
        InputError: No such state.
    """
    wanted = text.strip().lower()
    for state, shown in SHOWN.items():
        if wanted in (state, shown):
            return state
    raise InputError(f"{text!r} is not a state.", hint=nearest(wanted, STATES) or f"They are {', '.join(STATES)}.")


def states_markdown() -> str:
    """The table and its diagram as a page of the documentation."""
    rows = [
        f"| {t.letter} | {t.name} | {', '.join(t.sources) or 'nothing'} | {t.target} | {t.when} |" for t in TRANSITIONS
    ]
    arrows = [
        f"    {source} --> {t.target}: {t.letter} {t.name}" for t in TRANSITIONS for source in (t.sources or ("[*]",))
    ]
    ends = [f"    {state} --> [*]" for state in FINAL]
    return "\n".join(
        [
            "# The states of a job",
            "",
            "Made from `lowtide.jobs.states`; a test holds this page to it.",
            "",
            "| state | in tables | meaning |",
            "|---|---|---|",
            *(f"| {state} | {SHOWN[state]} | {MEANING[state]} |" for state in STATES),
            "",
            "Each move names the state and the owner that it expects, and is written together with its event.",
            "",
            "| | move | from | to | when |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "```mermaid",
            "stateDiagram-v2",
            *arrows,
            *ends,
            "```",
            "",
        ]
    )
