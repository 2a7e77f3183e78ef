"""`observes_state`: where it says so, equal observations are equal states."""

import pytest

from agents.rollout import collect
from lmenvs.registration import make
from lmenvs.table import ROWS

NAMES = [name for spec in ROWS if spec.extra is None for name in (spec.id, *spec.variants)]


def states_by_observation(env: str) -> dict[str, set[str]]:
    """What states random play saw behind each observation."""
    seen: dict[str, set[str]] = {}
    for episode in collect(env, "random", range(30), max_turns=40):
        for turn in episode.turns:
            seen.setdefault(turn.observation, set()).add(str(turn.state_key))
    return seen


def test_some_environment_observes_its_state():
    assert [name for name in NAMES if make(name).observes_state]


@pytest.mark.parametrize("env", [name for name in NAMES if make(name).observes_state])
def test_where_the_state_is_observed_equal_texts_are_equal_states(env: str):
    seen = states_by_observation(env)
    assert len(seen) > 1 and all(len(states) == 1 for states in seen.values())


def test_the_partial_view_of_the_maze_does_not_tell_the_state():
    env = "lmenvs/Maze-v0?observability=partial"
    assert not make(env).observes_state
    assert max(map(len, states_by_observation(env).values())) > 1
