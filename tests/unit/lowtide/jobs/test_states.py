"""The one table of transitions, and the page made from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lowtide.jobs.states import (
    BY_NAME,
    FINAL,
    IN_FLIGHT,
    MEANING,
    SHOWN,
    STATES,
    TRANSITIONS,
    parse_state,
    require,
    states_markdown,
)
from lowtide_core.errors import IllegalTransition, InputError

PAGE = Path(__file__).parents[4] / "docs" / "states.md"


@pytest.mark.parametrize("name", sorted(BY_NAME))
@pytest.mark.parametrize("state", STATES)
def test_only_the_table_is_legal(name: str, state: str) -> None:
    legal = state in BY_NAME[name].sources
    if legal:
        assert require(name, state).target in STATES  # type: ignore[arg-type]
    else:
        with pytest.raises(IllegalTransition, match=f"cannot {name}: it is {state}"):
            require(name, state)  # type: ignore[arg-type]


def test_nothing_leaves_a_final_state_and_everything_reaches_one() -> None:
    assert not [t for t in TRANSITIONS if set(t.sources) & set(FINAL)]
    reached = set(FINAL)
    while True:
        more = {s for t in TRANSITIONS if t.target in reached for s in t.sources} - reached
        if not more:
            break
        reached |= more
    assert reached == set(STATES)


def test_a_lost_attempt_runs_again_only_by_the_move_that_says_so() -> None:
    back = {t.name for t in TRANSITIONS if t.target == "waiting" and set(t.sources) & set(IN_FLIGHT)}
    assert back == {"retry"}


def test_letters_names_and_words_are_unique_and_complete() -> None:
    assert len({t.letter for t in TRANSITIONS}) == len({t.name for t in TRANSITIONS}) == len(TRANSITIONS)
    assert set(SHOWN) == set(MEANING) == set(STATES)


def test_the_page_is_made_from_the_table() -> None:
    assert PAGE.read_text() == states_markdown()


def test_people_name_states_as_they_see_them() -> None:
    assert parse_state("waits") == parse_state("Waiting") == "waiting"
    with pytest.raises(InputError) as caught:
        parse_state("runing")
    assert "running" in caught.value.hint
