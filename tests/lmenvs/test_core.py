"""TextEnv: the lifecycle, seeds, noise, snapshots, and what an invalid action costs."""

import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from lmenvs import ERRORS, NoExactModel, Outcome, Snapshot, TextEnv
from tests.lmenvs.small import Hallway, Ladder


def _numbers(env: TextEnv, count: int = 4) -> list[float]:
    return [float(env.np_random.random()) for _ in range(count)]


def test_a_task_is_drawn_from_the_seed_and_the_count_of_resets():
    class Lottery(Ladder):
        def _begin(self, task: np.random.Generator, options: object) -> str:
            self._rung = 0
            return str(task.integers(10**9))

    env = Lottery()
    drawn = [env.reset(seed=11)[0], env.reset()[0], env.reset()[0], env.reset(seed=11)[0]]
    expected = [str(np.random.default_rng((11, n)).integers(10**9)) for n in (0, 1, 2, 0)]
    assert drawn == expected


def test_chance_is_apart_from_the_task_and_from_other_noise():
    env = Ladder()
    streams = {}
    for noise in (0, 1, 2):
        env.reset(seed=4, options={"noise": noise})
        streams[noise] = _numbers(env)
    env.reset(seed=4)
    assert _numbers(env) == streams[0]
    task = np.random.default_rng((4, 0))
    streams["task"] = [float(task.random()) for _ in range(4)]
    assert len({number for stream in streams.values() for number in stream}) == 16


def test_each_branch_gets_its_own_chance():
    env = Ladder()
    env.reset(seed=4)
    here = env.snapshot()
    env.step("rest")
    later = env.snapshot()
    seen = {}
    for name, snapshot in (("here", here), ("later", later)):
        for noise in (None, 0, 1):
            env.restore(snapshot, noise=noise)
            seen[name, noise] = tuple(_numbers(env))
            env.restore(snapshot, noise=noise)
            assert tuple(_numbers(env)) == seen[name, noise]
    assert len({numbers for (_, noise), numbers in seen.items() if noise is not None}) == 4
    env.reset(seed=4)
    assert tuple(_numbers(env)) == seen["here", None] not in {seen["here", 0], seen["here", 1]}


def test_resets_without_any_seed_differ():
    assert Hallway().reset()[1] == {"valid": True, "error": None}
    keys = set()
    for _ in range(40):
        env = Hallway()
        env.reset()
        keys.add(env.answer())
    assert keys == {"left", "right"}


def test_a_reset_after_restore_follows_the_snapshots_episode():
    env, other = Hallway(), Hallway()
    env.reset(seed=9)
    env.reset()
    snapshot = env.snapshot()
    expected = [env.reset(), env.state_key()]
    other.restore(pickle.loads(pickle.dumps(snapshot)))
    assert [other.reset(), other.state_key()] == expected


def test_an_episode_ends_once_and_only_by_rule():
    env = Hallway()
    with pytest.raises(ResetNeeded, match="no episode has begun; call reset"):
        env.step("left")
    with pytest.raises(ResetNeeded, match="no episode has begun"):
        env.snapshot()
    env.reset(seed=0)
    for turn in range(1, 9):
        _, _, terminated, truncated, info = env.step("nonsense")
        assert (env.turn, terminated, truncated) == (turn, turn == 8, False)
        assert info.get("success") is (False if terminated else None)
    with pytest.raises(ResetNeeded, match="the episode is over"):
        env.step("left")


def test_an_action_that_is_no_text_is_a_type_error_and_takes_no_turn():
    env = Hallway()
    env.reset(seed=0)
    with pytest.raises(TypeError, match="an action is text, got bytes"):
        env.step(b"left")  # type: ignore[arg-type]
    assert env.turn == 0


@pytest.mark.parametrize(
    ("mode", "reward", "terminated"),
    [("penalise", -2.0, False), ("noop", 0.0, False), ("terminate", -2.0, True)],
)
def test_an_invalid_action_costs_what_on_invalid_says(mode: str, reward: float, terminated: bool):
    env = Hallway(on_invalid=mode)  # type: ignore[arg-type]
    env.reset(seed=0)
    key = env.state_key()
    text, paid, ended, _, info = env.step("\x00")
    assert (paid, ended, info["valid"], info["error"]) == (reward, terminated, False, "malformed")
    assert env.state_key() == key and text == "Say left or right." and info["error"] in ERRORS


def test_info_holds_what_the_outcome_says_and_nothing_that_is_missing():
    class Talkative(Ladder):
        def _play(self, action: str) -> Outcome:
            return Outcome(
                "ok", feedback="try again", regret=0.5, optimal_actions=("climb",), cost=2.0
            )

    env = Talkative()
    env.reset(seed=0)
    info = env.step("?")[4]
    assert info == {
        "valid": True,
        "error": None,
        "feedback": "try again",
        "regret": 0.5,
        "optimal_actions": ["climb"],
        "cost": 2.0,
    }


def test_admissible_actions_are_in_the_info_for_those_who_ask():
    env = Hallway(admissible_info=True)
    assert env.reset(seed=0)[1]["admissible_actions"] == ["left", "right"]
    assert "admissible_actions" not in Hallway().reset(seed=0)[1]
    while not env.step(env.expert_action())[2]:
        pass
    assert env._info(Outcome("", terminated=True))["admissible_actions"] is None


def test_a_snapshot_does_not_share_what_the_environment_goes_on_changing():
    class Diary(Ladder):
        def _begin(self, task: np.random.Generator, options: object) -> str:
            self._rung, self._lines = 0, []
            return ""

        def _play(self, action: str) -> Outcome:
            self._lines.append(action)
            return Outcome(" ".join(self._lines))

        def _save(self) -> list[str]:  # type: ignore[override]
            return self._lines

        def _load(self, state: list[str]) -> None:
            self._lines = state

    env = Diary()
    env.reset(seed=0)
    env.step("one")
    snapshot = env.snapshot()
    env.step("two")
    for _ in range(2):
        env.restore(snapshot)
        assert env.step("three")[0] == "one three"


def test_a_refused_reset_leaves_no_half_begun_episode():
    class Picky(Hallway):
        reset_options = frozenset({"door"})

        def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
            if "door" in options:
                raise ValueError("options['door'] = 9; expected -1 or 5")
            return super()._begin(task, options)

    env = Picky()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="expected -1 or 5"):
        env.reset(seed=0, options={"door": 9})
    with pytest.raises(ResetNeeded):
        env.step("left")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seed": -1}, "seed = -1; expected an integer >= 0"),
        ({"seed": 1.5}, "seed = 1.5"),
        ({"options": {"noise": -1}}, r"options\['noise'\] = -1"),
        ({"options": {"noise": "a"}}, "noise"),
        ({"options": {"strat": 1}}, r"\['strat'\] unknown to Hallway; it takes \['noise'\]"),
    ],
)
def test_bad_reset_arguments_are_refused_and_change_nothing(arguments: dict, words: str):
    env = Hallway()
    env.reset(seed=3)
    env.step("left")
    before = env.snapshot()
    with pytest.raises(ValueError, match=words):
        env.reset(**arguments)
    assert env.snapshot() == before


def test_numpy_integers_are_seeds_too():
    env = Hallway()
    assert env.reset(seed=np.int64(3), options={"noise": np.int32(1)})  # type: ignore[arg-type]
    key = env.state_key()
    env.reset(seed=3)
    assert env.state_key() == key


def test_bad_construction_is_refused():
    with pytest.raises(ValueError, match="on_invalid='ignore'; expected"):
        Hallway(on_invalid="ignore")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="render_mode='human'"):
        Hallway(render_mode="human")
    with pytest.raises(ValueError, match="admissible_info='yes'; expected True or False"):
        Hallway(admissible_info="yes")  # type: ignore[arg-type]


def test_outcomes_of_a_deterministic_environment_are_what_a_step_does():
    env = Hallway()
    env.reset(seed=0)
    before = env.snapshot()
    ((probability, after, reward, terminated),) = env.outcomes("left")
    assert env.snapshot() == before
    text, stepped, ended, _, _ = env.step("left")
    assert (probability, reward, terminated) == (1.0, stepped, ended)
    assert isinstance(after, Snapshot) and after == env.snapshot() and after.observation == text


def test_what_a_subclass_has_not_written_says_so():
    class Empty(TextEnv):
        pass

    for ask in (
        lambda: Empty().reset(seed=0),
        lambda: Empty().progress(),
        lambda: Empty().expert_action(),
        lambda: Empty().state_key(),
    ):
        with pytest.raises(NotImplementedError, match="Empty"):
            ask()
    assert Empty().admissible_actions() is None and Empty().answer() is None


def test_an_environment_without_a_model_says_so_in_one_line():
    class Modelless(Hallway):
        start_states = TextEnv.start_states

    with pytest.raises(NoExactModel, match="Modelless has no exact model; .*--tag exact") as caught:
        Modelless().start_states()
    assert isinstance(caught.value, ValueError) and "\n" not in str(caught.value)
